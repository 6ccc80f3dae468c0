"use strict";

// Applications that listen for upgrade requests themselves, as whoever has another WebSocket server beside this one does:
// workers have the WebSockets all the same.

const assert = require("node:assert/strict");
const http = require("node:http");
const test = require("node:test");
const {
  isStock,
  sio,
  adopt,
  connected,
  eventually,
  once,
  upgradeRequest,
  RawWebSocket,
} = require("./support/harness");
const { accepted, newParsers } = require("./support/parsers");

/** A server that listens, and has been told of so many sockets. */
async function open(t, options) {
  const httpServer = http.createServer((_req, res) => res.end());
  const io = new sio.Server(httpServer, { serveClient: false, ...options });
  io.on("connection", (socket) => socket.on("echo", (value, reply) => reply(value)));
  httpServer.listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  const server = adopt(t, io, httpServer.address().port);
  server.httpServer = httpServer;
  newParsers();
  return server;
}

for (const transports of [["websocket"], ["polling", "websocket"]]) {
  test(`clients of ${transports.join(", then ")} make no parser`, { skip: isStock }, async (t) => {
    const server = await open(t);
    const sockets = new Set();
    server.httpServer.on("upgrade", (req, socket, head) => {
      assert.equal(req.socket, socket);
      assert.equal(head.length, 0);
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
    });
    const clients = Array.from({ length: 10 }, () => server.client("/", { transports }));
    for (const client of clients) {
      await connected(client);
      if (client.io.engine.transport.name === "polling") await once(client.io.engine, "upgrade");
      assert.equal(await client.emitWithAck("echo", "é"), "é");
    }
    assert.equal(newParsers(), 0);
    assert.equal(sockets.size, 10);
    await accepted(server, 10);
    for (const client of clients) client.disconnect();
    await eventually(() => sockets.size === 0, "the end of all sockets");
    await accepted(server, 0);
  });
}

test("who has kept a socket can destroy it", { skip: isStock }, async (t) => {
  const server = await open(t);
  const sockets = [];
  server.httpServer.prependListener("upgrade", (_req, socket) => sockets.push(socket));
  const { client, socket } = await server.pair("/", { transports: ["websocket"], reconnection: false });
  assert.equal(newParsers(), 0);
  const ends = [once(client, "disconnect"), once(socket, "disconnect"), once(sockets[0], "close")];
  sockets[0].destroy();
  assert.equal((await ends[0])[0], "transport close");
  assert.equal((await ends[1])[0], "transport close");
  await ends[2];
  await accepted(server, 0);
});

test("listeners come and go", { skip: isStock }, async (t) => {
  const server = await open(t);
  let count = 0;
  const listener = () => count++;
  for (const expected of [0, 1, 1, 2]) {
    if (expected % 2 === 1 && count === 0) server.httpServer.once("upgrade", listener);
    if (expected === 2) server.httpServer.on("upgrade", listener);
    await server.pair("/", { transports: ["websocket"] });
    assert.equal(count, expected);
  }
  assert.equal(newParsers(), 0);
});

test("one that keeps requests from the engine has them", { skip: isStock }, async (t) => {
  const server = await open(t);
  const { httpServer } = server;
  const [own] = httpServer.listeners("upgrade");
  httpServer.prependListener("upgrade", (_req, socket) => {
    httpServer.removeListener("upgrade", own);
    socket.end("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
  });
  const ws = await RawWebSocket.upgrade(server);
  // whom an emitter has begun to call, it calls
  assert.equal(ws.status, 404);
  await ws.closed();
  await accepted(server, 0);
});

test("a client that hangs up while the application makes up its mind", { skip: isStock }, async (t) => {
  let decide;
  const server = await open(t, { allowRequest: (_req, done) => (decide = done) });
  const sockets = [];
  server.httpServer.on("upgrade", (_req, socket) => sockets.push(socket));
  const ws = new RawWebSocket(server);
  server.keep(ws);
  ws.write(upgradeRequest("/socket.io/?EIO=4&transport=websocket"));
  await eventually(() => decide !== undefined, "the question");
  ws.destroy();
  await eventually(() => server.io.engine._roads().streams.Arrival === undefined, "Node to have it");
  decide(null, true);
  await once(sockets[0], "close");
  await accepted(server, 0);
  await eventually(() => server.io.engine.clientsCount === 0, "the end of the session");
});
