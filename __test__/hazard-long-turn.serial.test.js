"use strict";

// A broadcast, or an answer, that takes a worker seconds: what else it has to do must not wait for it.

const test = require("node:test");
const assert = require("node:assert/strict");
const { constants } = require("node:zlib");
const { once, frame, RawConnection, RawPolling, RawWebSocket, PING } = require("./support/harness");
const { startChild } = require("./support/child");

const CROWD = 400;

/** Offers permessage-deflate and lets the server keep its context, so that each message is compressed anew for each. */
const DEFLATE = { headers: { "Sec-WebSocket-Extensions": "permessage-deflate" } };

test("while a large message is compressed for hundreds of clients, others are answered", async (t) => {
  const child = startChild(
    t,
    async ({ sio, listen, send, inbox, args }) => {
      const httpServer = await listen();
      const io = new sio.Server(httpServer, {
        perMessageDeflate: { threshold: 0, zlibDeflateOptions: { level: args.level } },
        pingInterval: 300,
        pingTimeout: 20_000,
      });
      io.on("connection", (socket) => {
        socket.on("echo", (ack) => ack());
        if ("sec-websocket-extensions" in socket.handshake.headers) socket.join("large");
        send("connection");
      });
      // text that takes deflate its time
      let text = "";
      for (let i = 0; text.length < 100_000; i++) text += ((i * 2654435761) >>> 0).toString(36);
      inbox.on("broadcast", () => {
        io.to("large").emit("large", text);
        send("broadcast");
      });
      send("listening", { port: httpServer.address().port });
    },
    { level: constants.Z_BEST_COMPRESSION },
  );
  const { port } = await child.message("listening");
  const target = { port, secure: false, keep: (ws) => (t.after(() => ws.destroy()), ws) };
  let arrived = 0;
  for (let i = 0; i < CROWD; i++) {
    const ws = await RawWebSocket.upgrade(target, DEFLATE);
    // what comes is compressed, and of no interest
    ws.socket.removeAllListeners("data");
    ws.text("40");
    await child.message("connection");
    let bytes = 0;
    ws.socket.on("data", (data) => {
      if (bytes < 10_000 && (bytes += data.length) >= 10_000) arrived++;
    });
  }
  const ws = await RawWebSocket.connect(target);
  const answer = async (send, expected) => {
    const asked = performance.now();
    send();
    while ((await ws.next()) !== expected);
    return performance.now() - asked;
  };
  await answer(() => ws.text('421["echo"]'), "431[]");
  const started = performance.now();
  await child.ask("broadcast");
  const waits = [];
  while (arrived < CROWD) {
    waits.push(await answer(() => ws.text('421["echo"]'), "431[]"));
    const pong = once(ws.socket, "data");
    const asked = performance.now();
    ws.write(frame({ opcode: PING, payload: "p" }));
    await pong;
    waits.push(performance.now() - asked);
  }
  const took = performance.now() - started;
  assert.ok(took > 500, `nothing was long about it: ${Math.round(took)} ms`);
  const longest = Math.max(...waits);
  assert.ok(waits.length > 20 && longest < took / 4, `${Math.round(longest)} of ${Math.round(took)} ms`);
});

test("while a large answer is compressed for a client that polls, others are answered", async (t) => {
  const child = startChild(
    t,
    async ({ sio, listen, send, inbox, args }) => {
      const httpServer = await listen();
      const io = new sio.Server(httpServer, { ...args, allowUpgrades: false });
      io.on("connection", (socket) => socket.on("echo", (ack) => ack()));
      // text that takes deflate its time
      let text = "";
      for (let i = 0; text.length < 20e6; i++) text += ((i * 2654435761) >>> 0).toString(36);
      inbox.on("emit", ({ id }) => {
        io.to(id).emit("large", text);
        send("emit");
      });
      send("listening", { port: httpServer.address().port });
    },
    { workers: 1, httpCompression: { level: constants.Z_BEST_COMPRESSION } },
  );
  const { port } = await child.message("listening");
  const target = { port, secure: false, keep: (ws) => (t.after(() => ws.destroy()), ws) };
  const polling = await RawPolling.connect(target);
  const ws = await RawWebSocket.connect(target);
  await child.ask("emit", { id: polling.id });
  const poll = target.keep(new RawConnection(target));
  poll.socket.removeAllListeners("data");
  const parts = [];
  poll.socket.on("data", (part) => parts.push(part));
  poll.write(
    `GET ${polling.url} HTTP/1.1\r\nHost: here\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n`,
  );
  const started = performance.now();
  const waits = [];
  while (poll.end === null) {
    const asked = performance.now();
    ws.text('421["echo"]');
    while ((await ws.next()) !== "431[]");
    waits.push(performance.now() - asked);
  }
  const took = performance.now() - started;
  const answer = Buffer.concat(parts);
  assert.match(answer.toString("latin1", 0, 300), /\r\nContent-Encoding: gzip\r\n/);
  assert.equal(answer.toString("latin1", answer.length - 5), "0\r\n\r\n");
  assert.ok(took > 300, `nothing was long about it: ${Math.round(took)} ms`);
  const longest = Math.max(...waits);
  assert.ok(waits.length > 20 && longest < took / 4, `${Math.round(longest)} of ${Math.round(took)} ms`);
});
