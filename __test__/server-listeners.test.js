"use strict";

// Applications that listen on the HTTP server themselves: for upgrade requests, as whoever has another WebSocket server
// beside this one does, or for connections, as whoever wants to end them all some day. Workers have them all the same.

const assert = require("node:assert/strict");
const http = require("node:http");
const net = require("node:net");
const test = require("node:test");
const {
  isStock,
  sio,
  adopt,
  connected,
  eventually,
  once,
  upgradeRequest,
  RawConnection,
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

for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
  test(
    `connections that are kept track of, of clients of ${transports.join(", then ")}`,
    { skip: isStock },
    async (t) => {
      const server = await open(t);
      const sockets = new Set();
      server.httpServer.on("connection", (socket) => {
        assert.ok(socket instanceof net.Socket);
        assert.equal(socket.remoteAddress, "127.0.0.1");
        sockets.add(socket);
        socket.once("close", () => sockets.delete(socket));
      });
      const pairs = await server.pairs(10, "/", { transports, reconnection: false });
      for (const { client } of pairs) {
        const { engine } = client.io;
        if (engine.transport.name !== transports.at(-1)) await once(engine, "upgrade");
        assert.equal(await client.emitWithAck("echo", "é"), "é");
      }
      assert.equal(newParsers(), 0);
      assert.ok(sockets.size > 0);
      const ends = pairs.map(({ socket }) => once(socket, "disconnect"));
      for (const { client } of pairs.slice(0, 5)) client.disconnect();
      await Promise.all(ends.slice(0, 5));
      for (const socket of sockets) socket.destroy();
      // who polls is missed when it does not come back
      if (transports.at(-1) === "websocket") await Promise.all(ends);
      await eventually(() => sockets.size === 0, "the end of all sockets");
      await accepted(server, 0);
    },
  );
}

test("a connection that somebody begins to use later is Node's", { skip: isStock }, async (t) => {
  const server = await open(t);
  const sockets = [];
  server.httpServer.on("connection", (socket) => sockets.push(socket));
  const connection = server.keep(new RawConnection(server));
  await eventually(() => sockets.length === 1, "the connection");
  const timeout = once(sockets[0].setTimeout(300), "timeout");
  await timeout;
  connection.write("GET /page HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
  await connection.ended();
  assert.match(connection.received.toString(), /^HTTP\/1.1 200 OK/);
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
