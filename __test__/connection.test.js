"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const {
  serve,
  once,
  within,
  record,
  connected,
  eventually,
  connect,
  Manager,
  RawWebSocket,
} = require("./support/harness");

test("a client connects over WebSocket and both sides know the same id", async (t) => {
  const server = await serve(t);
  const connection = once(server.io, "connection");
  const client = server.client();
  const [[socket]] = await Promise.all([connection, connected(client)]);
  assert.equal(socket.id, client.id);
  assert.match(socket.id, /^[A-Za-z0-9_-]{20}$/);
  assert.equal(socket.connected, true);
  assert.equal(socket.disconnected, false);
  assert.equal(socket.recovered, false);
  assert.deepEqual([...socket.rooms], [socket.id]);
  assert.equal(socket.nsp, server.io.sockets);
  assert.equal(socket.server, server.io);
  assert.equal(server.io.sockets.sockets.get(socket.id), socket);
  assert.equal(server.io.sockets.sockets.size, 1);
  assert.equal(server.io.engine.clientsCount, 1);
});

test("'connect' and 'connection' are both emitted, in this order, with the same socket", async (t) => {
  const server = await serve(t);
  const seen = [];
  server.io.on("connection", (socket) => seen.push(["connection", socket.id, socket.connected]));
  server.io.on("connect", (socket) => seen.push(["connect", socket.id, socket.connected]));
  const { client } = await server.pair();
  assert.deepEqual(seen, [
    ["connect", client.id, true],
    ["connection", client.id, true],
  ]);
});

test("the socket is in its room and in the map when 'connection' is emitted", async (t) => {
  const server = await serve(t);
  let seen;
  server.io.on("connection", (socket) => {
    seen = [server.io.sockets.sockets.has(socket.id), server.io.sockets.adapter.rooms.has(socket.id)];
  });
  await server.pair();
  assert.deepEqual(seen, [true, true]);
});

test("the public id is not the session id of the engine", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  assert.equal(socket.conn.id, client.io.engine.id);
  assert.equal(socket.client.id, socket.conn.id);
  assert.notEqual(socket.id, socket.conn.id);
});

test("the handshake object describes the request", async (t) => {
  const server = await serve(t);
  const before = Date.now();
  const { socket } = await server.pair("/", {
    query: { token: "abc", ключ: "значение" },
    extraHeaders: { "X-Custom": "yes" },
    auth: { user: "ann", nested: { n: [1, 2] } },
  });
  const { handshake } = socket;
  assert.deepEqual(Object.keys(handshake).sort(), [
    "address",
    "auth",
    "headers",
    "issued",
    "query",
    "secure",
    "time",
    "url",
    "xdomain",
  ]);
  assert.equal(handshake.address, "127.0.0.1");
  assert.deepEqual(handshake.auth, { user: "ann", nested: { n: [1, 2] } });
  assert.equal(handshake.headers["x-custom"], "yes");
  assert.equal(handshake.headers.host, `127.0.0.1:${server.port}`);
  assert.ok(handshake.issued >= before && handshake.issued <= Date.now());
  assert.equal(handshake.time, String(new Date(handshake.issued)));
  assert.equal(handshake.query.EIO, "4");
  assert.equal(handshake.query.transport, "websocket");
  assert.equal(handshake.query.token, "abc");
  assert.equal(handshake.query["ключ"], "значение");
  assert.equal(handshake.secure, server.secure);
  assert.equal(handshake.xdomain, false);
  assert.match(handshake.url, /^\/socket\.io\/\?.*EIO=4.*transport=websocket/);
});

test("a request with an Origin header counts as cross-domain", async (t) => {
  const server = await serve(t);
  const { socket } = await server.pair("/", { extraHeaders: { Origin: "https://elsewhere.example" } });
  assert.equal(socket.handshake.xdomain, true);
  assert.equal(socket.handshake.headers.origin, "https://elsewhere.example");
});

test("auth may be a function of the client", async (t) => {
  const server = await serve(t);
  const { socket } = await server.pair("/", { auth: (cb) => setImmediate(cb, { token: "late" }) });
  assert.deepEqual(socket.handshake.auth, { token: "late" });
});

test("without auth the handshake holds an empty object", async (t) => {
  const server = await serve(t);
  const ws = await RawWebSocket.connect(server);
  assert.deepEqual(server.io.sockets.sockets.get(ws.id).handshake.auth, {});
});

test("the handshake of the engine announces its parameters", async (t) => {
  const server = await serve(t, { pingInterval: 12345, pingTimeout: 6789, maxHttpBufferSize: 54321 });
  const ws = await RawWebSocket.open(server);
  assert.deepEqual(ws.handshake, {
    sid: ws.sid,
    upgrades: [],
    pingInterval: 12345,
    pingTimeout: 6789,
    maxPayload: 54321,
  });
  assert.match(ws.sid, /^[A-Za-z0-9_-]{20}$/);
  assert.deepEqual(Object.keys(ws.handshake), [
    "sid",
    "upgrades",
    "pingInterval",
    "pingTimeout",
    "maxPayload",
  ]);
});

test("the defaults of the handshake", async (t) => {
  const server = await serve(t);
  const ws = await RawWebSocket.open(server);
  const { sid, ...rest } = ws.handshake;
  assert.equal(typeof sid, "string");
  assert.deepEqual(rest, { upgrades: [], pingInterval: 25000, pingTimeout: 20000, maxPayload: 1000000 });
});

test("socket.request is the request that opened the session", async (t) => {
  const server = await serve(t);
  let first;
  server.io.engine.use((req, res, next) => {
    req.mark = "kept";
    first ??= req;
    next();
  });
  const { socket } = await server.pair();
  assert.equal(socket.request, first);
  assert.equal(socket.request.mark, "kept");
  assert.equal(socket.conn.request, first);
  assert.equal(socket.client.request, first);
});

test("generateId decides the session id, also when it is asynchronous", async (t) => {
  const server = await serve(t);
  let n = 0;
  server.io.engine.generateId = () => `sync-${++n}`;
  assert.equal((await RawWebSocket.open(server)).sid, "sync-1");
  server.io.engine.generateId = async (req) => {
    await new Promise(setImmediate);
    return `async-${req.headers["x-name"]}`;
  };
  assert.equal((await RawWebSocket.open(server, { headers: { "X-Name": "ann" } })).sid, "async-ann");
});

test("allowRequest lets in or refuses with its own message", async (t) => {
  const server = await serve(t, {
    allowRequest: (req, callback) => {
      const allowed = req.headers["x-pass"] === "yes";
      setImmediate(callback, allowed ? null : "not today", allowed);
    },
  });
  const { socket } = await server.pair("/", { extraHeaders: { "X-Pass": "yes" } });
  assert.equal(socket.connected, true);
  const answer = await server.request({ path: "/socket.io/?EIO=4&transport=polling" });
  assert.equal(answer.status, 403);
  assert.deepEqual(answer.json, { code: 4, message: "not today" });
  const ws = await RawWebSocket.upgrade(server);
  assert.equal(ws.status, 400);
  await ws.ended();
  assert.equal(ws.body, "not today");
});

test("several namespaces of a client share one session", async (t) => {
  const server = await serve(t);
  server.io.of("/a");
  server.io.of("/b");
  const manager = new Manager(server.url, {
    transports: ["websocket"],
    reconnection: false,
    rejectUnauthorized: false,
  });
  server.keep({ destroy: () => manager._close() });
  const clients = ["/", "/a", "/b"].map((name) => manager.socket(name));
  await Promise.all(clients.map(connected));
  assert.equal(server.io.engine.clientsCount, 1);
  const sockets = clients.map((client) => server.io.of(client.nsp).sockets.get(client.id));
  assert.equal(new Set(sockets.map((socket) => socket.id)).size, 3);
  assert.equal(new Set(sockets.map((socket) => socket.client)).size, 1);
  assert.equal(new Set(sockets.map((socket) => socket.conn)).size, 1);
});

test("a client leaves one namespace and stays in the other", async (t) => {
  const server = await serve(t);
  server.io.of("/a");
  const manager = new Manager(server.url, {
    transports: ["websocket"],
    reconnection: false,
    rejectUnauthorized: false,
  });
  server.keep({ destroy: () => manager._close() });
  const [main, other] = await Promise.all([connected(manager.socket("/")), connected(manager.socket("/a"))]);
  const disconnect = once(server.io.of("/a").sockets.get(other.id), "disconnect");
  other.disconnect();
  assert.equal((await disconnect)[0], "client namespace disconnect");
  const socket = server.io.sockets.sockets.get(main.id);
  assert.equal(socket.connected, true);
  socket.on("echo", (value, ack) => ack(value));
  assert.equal(await main.timeout(5000).emitWithAck("echo", 7), 7);
  assert.equal(server.io.of("/a").sockets.size, 0);
});

test("a client that was dropped reconnects with a new id", async (t) => {
  const server = await serve(t);
  const connections = record(server.io, "connection");
  const client = server.client("/", { reconnection: true, reconnectionDelay: 1, randomizationFactor: 0 });
  await connected(client);
  const firstId = client.id;
  client.io.engine.close();
  await connections.until(2);
  await connected(client);
  assert.notEqual(client.id, firstId);
  assert.equal(connections.list[1][0].id, client.id);
  await eventually(() => server.io.engine.clientsCount === 1, "only the new session is left");
  assert.deepEqual([...server.io.sockets.sockets.keys()], [client.id]);
});

test("clientsCount and clients follow connects and disconnects", async (t) => {
  const server = await serve(t);
  const pairs = await server.pairs(5);
  assert.equal(server.io.engine.clientsCount, 5);
  const ids = pairs.map(({ socket }) => socket.conn.id).sort();
  assert.deepEqual(Object.keys(server.io.engine.clients).sort(), ids);
  const closed = Promise.all(pairs.map(({ socket }) => once(socket.conn, "close")));
  for (const { client } of pairs) {
    client.disconnect();
  }
  await closed;
  assert.equal(server.io.engine.clientsCount, 0);
  assert.deepEqual(Object.keys(server.io.engine.clients), []);
  assert.equal(server.io.sockets.sockets.size, 0);
});

/** Resolves with the reason for which the next session closes. */
function closeOfNext({ io }) {
  return new Promise((resolve) => io.engine.once("connection", (conn) => conn.once("close", resolve)));
}

test("a client that joins no namespace is closed after connectTimeout", async (t) => {
  const server = await serve(t, { connectTimeout: 50 });
  const closed = closeOfNext(server);
  const ws = await RawWebSocket.open(server);
  assert.equal(await within(closed, "the end"), "forced close");
  assert.equal((await ws.closed()).end, "FIN");
});

test("connectTimeout does not touch a client that joined", async (t) => {
  const server = await serve(t, { connectTimeout: 300 });
  const { client, socket } = await server.pair();
  // the second session is closed by the same timeout, and later than the first would have been
  const closed = closeOfNext(server);
  await RawWebSocket.open(server);
  await within(closed, "the end");
  assert.equal(socket.connected, true);
  assert.equal(client.connected, true);
});

test("data is kept on the socket", async (t) => {
  const server = await serve(t);
  server.io.use((socket, next) => {
    socket.data.user = "ann";
    next();
  });
  const { socket } = await server.pair();
  assert.deepEqual(socket.data, { user: "ann" });
  socket.data = { replaced: true };
  assert.deepEqual(socket.data, { replaced: true });
});

test("events that the client sent before it was connected arrive after it is", async (t) => {
  const server = await serve(t);
  const got = new Promise((resolve) => {
    server.io.on("connection", (socket) => socket.on("early", (...args) => resolve(args)));
  });
  server.client().emit("early", 1, "two");
  assert.deepEqual(await got, [1, "two"]);
});

test("an event emitted in the connection handler arrives after the client's connect", async (t) => {
  const server = await serve(t);
  server.io.on("connection", (socket) => socket.emit("welcome", socket.id));
  const client = server.client();
  const order = [];
  client.on("connect", () => order.push("connect"));
  const welcome = once(client, "welcome");
  client.on("welcome", () => order.push("welcome"));
  assert.deepEqual(await welcome, [client.id]);
  assert.deepEqual(order, ["connect", "welcome"]);
});

test("what a socket says of itself after it disconnected", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const disconnect = once(socket, "disconnect");
  client.disconnect();
  await disconnect;
  assert.equal(socket.connected, false);
  assert.equal(socket.disconnected, true);
  assert.equal(socket.rooms.size, 0);
  assert.equal(socket.handshake.address, "127.0.0.1");
  assert.equal(server.io.sockets.sockets.has(socket.id), false);
});

test("the client's factory without options finds the server", async (t) => {
  const server = await serve(t, {}, { stream: "http" });
  const client = connect(server.url);
  server.keep({ destroy: () => client.io._close() });
  await connected(client);
  assert.ok(server.io.sockets.sockets.has(client.id));
});
