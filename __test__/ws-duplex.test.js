"use strict";

// WebSockets of `sockeye.io/ws` over streams that are no sockets; ws is asked the same.

const assert = require("node:assert/strict");
const { Duplex } = require("node:stream");
const test = require("node:test");
const ours = require("../ws");
const { within } = require("./support/waiting");

const REQUEST = {
  method: "GET",
  url: "/",
  headers: {
    connection: "upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  },
};

/** How the answer to an upgrade request and a message that follows at once are written. */
function chunksOf(wss) {
  return new Promise((resolve) => {
    const chunks = [];
    const stream = new Duplex({
      read() {},
      write(chunk, _encoding, callback) {
        chunks.push(chunk.toString("latin1"));
        callback();
        if (chunk.includes("hello")) resolve(chunks);
      },
    });
    wss.handleUpgrade(REQUEST, stream, Buffer.alloc(0), (ws) => {
      ws.send("hello");
    });
  });
}

for (const [name, { WebSocketServer }] of [
  ["ws", require("ws")],
  ["sockeye.io/ws", ours],
]) {
  test(`${name}: what switches protocols is a chunk by itself`, async (t) => {
    const wss = new WebSocketServer({ noServer: true });
    t.after(() => {
      for (const ws of wss.clients) ws.terminate();
      return within(new Promise((resolve) => wss.close(resolve)), "the end");
    });
    // all at once, so that there is much to write when a worker comes to it
    const all = await within(Promise.all(Array.from({ length: 200 }, () => chunksOf(wss))), "the messages");
    for (const [answer, ...rest] of all) {
      assert.match(answer, /^HTTP\/1\.1 101 [^]*\r\n\r\n$/);
      assert.equal(rest.join(""), "\x81\x05hello");
    }
  });
}
