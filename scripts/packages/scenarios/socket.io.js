"use strict";

// Stock's socket.io with the class as its wsEngine.

const assert = require("node:assert/strict");
const { once } = require("node:events");
const { listen } = require("../support");

exports.packages = ["socket.io"];

exports.play = async ({ WebSocketServer }) => {
  const { createServer } = require("node:http");
  const { Server } = require("socket.io");
  const { io: connectTo } = require("socket.io-client");

  const httpServer = createServer();
  const io = new Server(httpServer, {
    wsEngine: WebSocketServer,
    perMessageDeflate: true,
    pingInterval: 100,
  });
  io.on("connection", (socket) => {
    socket.join("all");
    socket.on("echo", (...args) => args.pop()(...args));
    socket.on("say", (text) => io.to("all").emit("said", text));
  });
  const url = `http://127.0.0.1:${await listen(httpServer)}`;
  const clients = [
    connectTo(url, { transports: ["websocket"], forceNew: true }),
    connectTo(url, { transports: ["websocket"], forceNew: true }),
    connectTo(url, { forceNew: true }),
  ];
  await Promise.all(clients.map((client) => once(client, "connect")));
  if (clients[2].io.engine.transport.name !== "websocket") await once(clients[2].io.engine, "upgrade");
  const bytes = Buffer.alloc(100_000, 7);
  for (const client of clients) {
    assert.deepEqual(await client.emitWithAck("echo", { a: [1, "é"] }), { a: [1, "é"] });
    assert.ok(bytes.equals(Buffer.from(await client.emitWithAck("echo", bytes))));
  }
  const said = clients.map((client) => once(client, "said"));
  clients[0].emit("say", "x".repeat(100_000));
  for (const [text] of await Promise.all(said)) assert.equal(text.length, 100_000);

  const gone = new Promise((resolve) => io.sockets.sockets.get(clients[1].id).on("disconnect", resolve));
  clients[1].disconnect();
  assert.equal(await gone, "client namespace disconnect");
  const lost = [clients[0], clients[2]].map((client) => once(client, "disconnect"));
  await io.close();
  for (const [reason] of await Promise.all(lost))
    assert.match(reason, /^(io server disconnect|transport close)$/);
  for (const client of clients) client.disconnect();
};
