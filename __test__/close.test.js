"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const http = require("node:http");
const {
  serve,
  once,
  within,
  connect,
  request,
  RawPolling,
  RawWebSocket,
  sio,
  isStock,
} = require("./support/harness");

test("io.close() disconnects everybody and closes the HTTP server", async (t) => {
  const server = await serve(t);
  const pairs = [...(await server.pairs(2)), await server.pair("/", { transports: ["polling"] })];
  const reasons = Promise.all(pairs.map(({ socket }) => once(socket, "disconnect")));
  const clients = Promise.all(pairs.map(({ client }) => once(client, "disconnect")));
  const httpClosed = server.stream === "duplex" ? undefined : once(server.httpServer, "close");
  await within(server.io.close(), "io.close()");
  assert.deepEqual(
    (await reasons).map(([reason]) => reason),
    ["server shutting down", "server shutting down", "server shutting down"],
  );
  for (const [reason] of await clients) {
    assert.match(reason, /^(transport close|transport error)$/);
  }
  await httpClosed;
  assert.equal(server.httpServer.listening, false);
  assert.equal(server.io.engine.clientsCount, 0);
});

test("io.close() ends all namespaces", async (t) => {
  const server = await serve(t);
  server.io.of("/chat");
  const chat = await server.pair("/chat");
  const gone = once(chat.socket, "disconnect");
  await server.io.close();
  assert.equal((await gone)[0], "server shutting down");
});

test("io.close(callback) calls back without an error", async (t) => {
  const server = await serve(t, {}, { stream: "http" });
  await server.pair();
  const args = await within(new Promise((resolve) => server.io.close((...got) => resolve(got))), "callback");
  assert.deepEqual(args, [undefined]);
});

test("io.close() of a server that was stopped hands over the error and does not throw", async (t) => {
  const server = await serve(t, {}, { stream: "http" });
  await new Promise((resolve) => server.httpServer.close(resolve));
  let error;
  await within(
    server.io.close((got) => (error = got)),
    "io.close()",
  );
  assert.equal(error.code, "ERR_SERVER_NOT_RUNNING");
});

// stock rejects with a TypeError, and does not call back
test("io.close() of a server that was never attached", { skip: isStock }, async () => {
  const io = new sio.Server();
  const calls = [];
  assert.equal(await io.close((...args) => calls.push(args)), undefined);
  assert.deepEqual(calls, [[]]);
  await new sio.Server().close();
});

test("io.close() twice", async (t) => {
  const server = await serve(t);
  await server.pair();
  await within(server.io.close(), "first io.close()");
  await within(server.io.close(), "second io.close()");
});

test("io.close() awaits the adapters", async (t) => {
  const server = await serve(t);
  const order = [];
  server.io.sockets.adapter.close = () =>
    new Promise((resolve) => setImmediate(() => resolve(order.push("adapter closed"))));
  await server.io.close();
  order.push("closed");
  assert.deepEqual(order, ["adapter closed", "closed"]);
});

test("io.close() ends a WebSocket with an empty close frame, a poll with a close packet", async (t) => {
  const server = await serve(t);
  const ws = await RawWebSocket.connect(server);
  const { polling, socket } = await server.pollingPair();
  const poll = polling.poll();
  await within(
    (async () => {
      while (!socket.conn.transport.writable) {
        await new Promise(setImmediate);
      }
    })(),
    "a poll is open",
  );
  const closing = server.io.close();
  assert.deepEqual((await poll).packets, ["1"]);
  assert.deepEqual(await ws.closed(), { code: null, reason: "", end: "FIN" });
  await within(closing, "io.close()");
});

test("nobody gets in after io.close()", async (t) => {
  const server = await serve(t, {}, { stream: "http" });
  await server.io.close();
  const client = connect(server.url, { reconnection: false, forceNew: true });
  t.after(() => client.close());
  const [error] = await once(client, "connect_error");
  assert.match(error.message, /xhr poll error|websocket error/);
});

test("a port can be used again right after io.close()", async (t) => {
  const server = await serve(t, {}, { stream: "http" });
  await server.pair();
  await server.io.close();
  const httpServer = http.createServer();
  const second = new sio.Server(httpServer);
  t.after(() => second.close());
  httpServer.listen(server.port, "127.0.0.1");
  await once(httpServer, "listening");
  const client = connect(`http://127.0.0.1:${server.port}`, { reconnection: false, forceNew: true });
  t.after(() => client.close());
  await once(client, "connect");
});

test("the engine works again when the HTTP server listens again", async (t) => {
  const server = await serve(t, {}, { stream: "http" });
  await server.pair();
  const { httpServer } = server;
  server.io.disconnectSockets(true);
  await new Promise((resolve) => {
    httpServer.close(resolve);
    httpServer.closeAllConnections();
  });
  httpServer.listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  server.port = httpServer.address().port;
  server.url = `http://127.0.0.1:${server.port}`;
  const { client } = await server.pair();
  assert.equal(client.connected, true);
});

test("after engine.close(), WebSockets are refused until the HTTP server listens again", async (t) => {
  const server = await serve(t, {}, { stream: "http" });
  const { httpServer, io } = server;
  io.engine.close();
  const polling = await RawPolling.open(server);
  const query = `EIO=4&transport=websocket&sid=${polling.sid}`;
  for (const ws of [await RawWebSocket.upgrade(server), await RawWebSocket.upgrade(server, { query })]) {
    await ws.ended();
    assert.deepEqual([ws.status, ws.body], [503, "Service Unavailable"]);
  }
  io.engine.close();
  httpServer.closeAllConnections();
  await new Promise((resolve) => httpServer.close(resolve));
  httpServer.listen(server.port);
  await once(httpServer, "listening");
  assert.equal((await RawWebSocket.open(server)).status, 101);
});

test("engine.close() closes the sessions and leaves the HTTP server", async (t) => {
  const server = await serve(t, {}, { requestListener: (req, res) => res.end("still here") });
  const { socket } = await server.pair();
  const gone = once(socket, "disconnect");
  assert.equal(server.io.engine.close(), server.io.engine);
  assert.equal((await gone)[0], "forced close");
  assert.equal((await request(server, { path: "/" })).body, "still here");
  assert.equal(server.io.engine.clientsCount, 0);
});

test("closing the HTTP server closes the sessions once the others are gone", async (t) => {
  const server = await serve(t, {}, { stream: "http" });
  const { client, socket } = await server.pair();
  const gone = once(socket, "disconnect");
  let closed = false;
  const closing = new Promise((resolve) => server.httpServer.close(resolve)).then(() => (closed = true));
  // a WebSocket counts as an open connection, so that nothing happens yet
  socket.on("echo", (value, ack) => ack(value));
  assert.equal(await client.timeout(5000).emitWithAck("echo", 1), 1);
  assert.equal(closed, false);
  client.disconnect();
  await gone;
  await within(closing, "close of the HTTP server");
});
