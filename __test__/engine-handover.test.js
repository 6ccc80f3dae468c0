"use strict";

const assert = require("node:assert/strict");
const http = require("node:http");
const test = require("node:test");
const {
  serve,
  adopt,
  atEnd,
  connect,
  connected,
  once,
  sio,
  RawWebSocket,
  LIMIT,
} = require("./support/harness");

/** The class of io.engine. */
const EngineServer = new sio.Server().attach(http.createServer()).engine.constructor;

/** The class of stock's engine. */
const { Server: StockEngine } = require(
  require.resolve("engine.io", { paths: [require.resolve("socket.io/package.json")] }),
);

/** An HTTP server that hands everything to an engine by itself. */
async function listenBy(t, engine) {
  const httpServer = http.createServer((req, res) => engine.handleRequest(req, res));
  httpServer.on("upgrade", (req, socket, head) => engine.handleUpgrade(req, socket, head));
  httpServer.listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  atEnd(t, () => {
    engine.close();
    httpServer.closeAllConnections();
    return new Promise((resolve) => httpServer.close(resolve));
  });
  return httpServer.address().port;
}

function clientOf(t, port, transports, options) {
  const client = connect(`http://127.0.0.1:${port}`, {
    transports,
    forceNew: true,
    reconnection: false,
    ...options,
  });
  atEnd(t, () => client.close());
  return client;
}

for (const [whose, Engine] of [
  ["an engine", EngineServer],
  ["an engine of stock", StockEngine],
]) {
  test(`io.bind() takes the sessions of ${whose} that was made by somebody else`, async (t) => {
    const engine = new Engine();
    const port = await listenBy(t, engine);
    const io = new sio.Server();
    assert.equal(io.bind(engine), io);
    assert.equal(io.engine, engine);
    io.on("connection", (socket) => socket.on("echo", (...args) => args.pop()(...args)));
    for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
      const client = clientOf(t, port, transports);
      await connected(client);
      const socket = io.sockets.sockets.get(client.id);
      if (transports.length > 1 && !socket.conn.upgraded) await once(socket.conn, "upgrade");
      assert.equal(socket.conn.transport.name, transports.at(-1));
      assert.equal(await client.timeout(LIMIT).emitWithAck("echo", "é"), "é");
      const data = await client.timeout(LIMIT).emitWithAck("echo", Buffer.from([1, 2]));
      assert.deepEqual(data, Buffer.from([1, 2]));
      const heard = once(client, "ev");
      socket.join("room");
      io.to("room").emit("ev", 1, Buffer.from([3]));
      assert.deepEqual(await heard, [1, Buffer.from([3])]);
      const disconnected = once(socket, "disconnect");
      client.disconnect();
      assert.equal((await disconnected)[0], "client namespace disconnect");
    }
  });
}

test("a server with two engines reaches the clients of both", async (t) => {
  const server = await serve(t, {}, { stream: "http" });
  const second = new EngineServer();
  const port = await listenBy(t, second);
  const first = server.io.engine;
  server.io.bind(second);
  assert.equal(server.io.engine, second);
  // closing the server closes the engine that was bound last
  atEnd(t, () => first.close());
  const clients = [
    server.client(),
    server.client("/", { transports: ["polling"] }),
    clientOf(t, port, ["websocket"]),
    clientOf(t, port, ["polling"]),
  ];
  await Promise.all(clients.map(connected));
  assert.equal(first.clientsCount, 2);
  assert.equal(second.clientsCount, 2);
  const heard = Promise.all(clients.map((client) => once(client, "ev")));
  server.io.emit("ev", 1, Buffer.from([1]));
  assert.deepEqual(await heard, Array(4).fill([1, Buffer.from([1])]));
  const room = Promise.all([once(clients[0], "room"), once(clients[2], "room")]);
  for (const { id } of [clients[0], clients[2]]) server.io.sockets.sockets.get(id).join("room");
  server.io.to("room").emit("room", 2);
  assert.deepEqual(await room, [[2], [2]]);
});

test("engine.ws.handleUpgrade() makes WebSockets for the application's own use", async (t) => {
  const httpServer = http.createServer();
  const io = new sio.Server(httpServer, { destroyUpgradeTimeout: 100, maxHttpBufferSize: 1000 });
  httpServer.listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  const { ws } = io.engine;
  const heads = [];
  ws.on("headers", (lines, req) => heads.push([lines[0], req.url]));
  httpServer.on("upgrade", (req, socket, head) => {
    if (!req.url.startsWith("/own")) return;
    // stock wants to know whether there is a session
    req._query = {};
    assert.equal(ws.shouldHandle(req), true);
    ws.handleUpgrade(req, socket, head, (websocket, request) => {
      assert.equal(request, req);
      websocket.on("error", ({ message }) => assert.equal(message, "Max payload size exceeded"));
      websocket.on("message", (data, isBinary) => websocket.send(isBinary ? data : `${data}!`));
    });
  });
  const server = adopt(t, io, httpServer.address().port);
  const own = await RawWebSocket.upgrade(server, { path: "/own", query: "" });
  assert.equal(own.status, 101);
  assert.deepEqual(heads, [["HTTP/1.1 101 Switching Protocols", "/own"]]);
  own.text("hello");
  assert.equal(await own.next(), "hello!");
  own.binary(Buffer.from([1]));
  assert.deepEqual(await own.next(), Buffer.from([1]));
  own.text("x".repeat(1001));
  assert.equal((await own.closed()).code, 1009);
  // the engine's own are as ever
  const { client } = await server.pair();
  assert.equal(client.connected, true);
  assert.equal(heads.length, 2);
  assert.throws(() => ws.address(), /noServer/);
});

test("engine.onWebSocket() makes such a WebSocket that of a session", async (t) => {
  const engine = new EngineServer();
  const io = new sio.Server().bind(engine);
  const httpServer = http.createServer((req, res) => engine.handleRequest(req, res));
  httpServer.on("upgrade", (req, socket, head) => {
    engine.prepare(req);
    engine.ws.handleUpgrade(req, socket, head, (websocket) => engine.onWebSocket(req, socket, websocket));
  });
  httpServer.listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  atEnd(t, () => {
    engine.close();
    httpServer.closeAllConnections();
    return new Promise((resolve) => httpServer.close(resolve));
  });
  io.on("connection", (socket) => socket.on("echo", (...args) => args.pop()(...args)));
  for (const transports of [["websocket"], ["polling", "websocket"]]) {
    const client = clientOf(t, httpServer.address().port, transports);
    await connected(client);
    const socket = io.sockets.sockets.get(client.id);
    if (transports.length > 1 && !socket.conn.upgraded) await once(socket.conn, "upgrade");
    assert.equal(socket.conn.transport.name, "websocket");
    assert.equal(socket.conn.transport.socket.constructor.name, "WebSocket");
    assert.equal(await client.timeout(LIMIT).emitWithAck("echo", "é"), "é");
    const disconnected = once(socket, "disconnect");
    client.close();
    assert.equal((await disconnected)[0], "client namespace disconnect");
  }
});
