"use strict";

// Streams over WebSockets by websocket-stream, whose server is a subclass of ws's.

const assert = require("node:assert/strict");
const { once } = require("node:events");
const { close, listen } = require("../support");

exports.packages = ["websocket-stream"];
exports.requiresWs = true;

exports.play = async () => {
  const { createServer } = require("node:http");
  const { randomBytes } = require("node:crypto");
  const websocket = require("websocket-stream");

  const httpServer = createServer();
  const ended = [];
  const server = websocket.createServer({ server: httpServer }, (stream, request) => {
    stream.on("close", () => ended.push(request.url));
    if (request.url === "/refuse") stream.destroy();
    else stream.pipe(stream);
  });
  const url = `ws://127.0.0.1:${await listen(httpServer)}`;

  const echo = async (size) => {
    const sent = randomBytes(size);
    const stream = websocket(`${url}/echo`);
    const received = [];
    let length = 0;
    const all = new Promise((resolve) => {
      stream.on("data", (chunk) => {
        received.push(chunk);
        if ((length += chunk.length) === size) resolve();
      });
    });
    for (let i = 0; i < size; i += 50_000) stream.write(sent.subarray(i, i + 50_000));
    await all;
    assert.ok(Buffer.concat(received).equals(sent));
    const closed = once(stream.socket, "close");
    stream.end();
    await closed;
  };
  await Promise.all([echo(10), echo(100_000), echo(3_000_000)]);

  const refused = websocket(`${url}/refuse`);
  refused.on("error", () => {});
  await once(refused, "close");
  while (ended.length < 4) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(ended.sort(), ["/echo", "/echo", "/echo", "/refuse"]);
  await close(server);
  await close(httpServer);
};
