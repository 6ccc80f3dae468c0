"use strict";

const assert = require("node:assert/strict");
const http = require("node:http");
const path = require("node:path");
const { once: onceEvent } = require("node:events");
const test = require("node:test");
const { WebSocketServer } = require("ws");
const { RawPolling, RawWebSocket, atEnd, deferred, once, serve, within } = require("./support/harness");

const engineIo = require("../engine.io.js");

/** An engine on a free port, with the helpers' view of it. */
async function listenEngine(t, options = {}) {
  const engine = engineIo.listen(0, options);
  const { httpServer } = engine;
  await onceEvent(httpServer, "listening");
  const kept = new Set();
  atEnd(t, async () => {
    engine.close();
    for (const thing of kept) thing.destroy();
    httpServer.closeAllConnections();
    await new Promise((resolve) => httpServer.close(resolve));
  });
  const { port } = httpServer.address();
  return { engine, port, url: `http://127.0.0.1:${port}`, keep: (thing) => (kept.add(thing), thing) };
}

/** The path of an engine that nobody has given another. */
const PATH = { path: "/engine.io/" };

test("the subpath has the exports of engine.io, by require and by import", async () => {
  const names = [
    "Server",
    "uServer",
    "Socket",
    "Transport",
    "transports",
    "parser",
    "protocol",
    "listen",
    "attach",
  ];
  assert.deepEqual(Object.keys(engineIo).sort(), names.toSorted());
  assert.equal(require("sockeye.io/engine.io"), engineIo);
  const imported = await import(path.join(__dirname, "..", "engine.io.mjs"));
  for (const name of names) assert.equal(imported[name], engineIo[name], name);
  assert.equal(engineIo.protocol, 4);
  assert.deepEqual(engineIo.transports.polling.upgradesTo, ["websocket", "webtransport"]);
  assert.ok(engineIo.transports.websocket.prototype instanceof engineIo.Transport);
  assert.throws(() => new engineIo.uServer(), /Server/);
});

test("an engine works without Socket.IO", async (t) => {
  const server = await listenEngine(t);
  const { engine } = server;
  const connection = once(engine, "connection");
  const ws = await RawWebSocket.open(server, PATH);
  const [conn] = await connection;
  assert.ok(conn instanceof engineIo.Socket);
  assert.equal(engine.clients[conn.id], conn);
  assert.equal(engine.clientsCount, 1);
  const message = once(conn, "message");
  ws.text("4hello");
  assert.deepEqual(await message, ["hello"]);
  conn.send("back");
  assert.equal(await ws.next(), "4back");
  const closed = once(conn, "close");
  conn.close();
  assert.deepEqual((await closed).slice(0, 1), ["forced close"]);
  assert.equal(engine.clientsCount, 0);
});

test("listen() takes a callback in place of options", async (t) => {
  const listening = deferred();
  const engine = engineIo.listen(0, listening.resolve);
  atEnd(t, () => engine.httpServer.close());
  await within(listening.promise, "the callback");
  assert.equal(engine.httpServer.listening, true);
  assert.equal(engine.opts.pingInterval, 25_000);
});

test("an engine of its own answers other requests with 501", async (t) => {
  const { url } = await listenEngine(t);
  assert.equal((await fetch(url)).status, 501);
});

test("attach() leaves other requests to the HTTP server", async (t) => {
  const httpServer = http.createServer((_req, res) => res.end("other")).listen(0);
  await onceEvent(httpServer, "listening");
  const engine = engineIo.attach(httpServer, { path: "/here" });
  atEnd(t, () => new Promise((resolve) => httpServer.close(resolve)));
  const url = `http://127.0.0.1:${httpServer.address().port}`;
  assert.equal(await (await fetch(url)).text(), "other");
  const res = await fetch(`${url}/here/?EIO=4&transport=polling`);
  assert.match(await res.text(), /^0\{"sid":/);
  assert.equal(engine.clientsCount, 1);
  engine.close();
  assert.equal(engine.clientsCount, 0);
});

test("what is neither text nor binary is sent as text", async (t) => {
  const server = await listenEngine(t);
  const connection = once(server.engine, "connection");
  const ws = await RawWebSocket.open(server, PATH);
  const [conn] = await connection;
  for (const value of [1, true, null, undefined, 0, ""]) conn.send(value);
  for (const text of ["41", "4true", "4", "4", "4", "4"]) assert.equal(await ws.next(), text);
});

test("a frame that was made for all recipients is sent as it is", async (t) => {
  const server = await listenEngine(t);
  const connection = once(server.engine, "connection");
  const ws = await RawWebSocket.open(server, PATH);
  const [conn] = await connection;
  const text = "x".repeat(300);
  conn.send("a", { wsPreEncodedFrame: [Buffer.from([0x81, 4]), Buffer.from("4123")] });
  conn.send("b", { wsPreEncodedFrame: [Buffer.from([0x81, 126, 1, 45]), Buffer.from(`4${text}`)] });
  conn.send("c", { wsPreEncodedFrame: [Buffer.from([0x82, 2]), Buffer.from([1, 2])] });
  assert.equal(await ws.next(), "4123");
  assert.equal(await ws.next(), `4${text}`);
  assert.deepEqual(await ws.next(), Buffer.from([1, 2]));
});

test("prepare() may be replaced", async (t) => {
  const server = await listenEngine(t);
  const { engine } = server;
  engine.prepare = (req) => {
    engineIo.Server.prototype.prepare.call(engine, req);
    req.headers.origin += "\n";
  };
  const refused = once(engine, "connection_error");
  const res = await fetch(`${server.url}/engine.io/?EIO=4&transport=polling`, {
    headers: { Origin: "http://a.b" },
  });
  assert.equal(res.status, 400);
  assert.equal((await refused)[0].context.name, "INVALID_ORIGIN");
});

for (const transport of ["polling", "websocket"]) {
  test(`conn.transport of ${transport} tells of packets and of its end`, async (t) => {
    const server = await serve(t);
    const { conn, ...raw } = await (transport === "polling" ? server.pollingSession() : server.rawSession());
    assert.equal(conn.transport.name, transport);
    assert.equal(conn.transport.readyState, "open");
    assert.equal(conn.transport.sid, conn.id);
    const packets = [];
    conn.transport.on("packet", (packet) => packets.push(packet));
    const closed = once(conn.transport, "close");
    const message = once(conn, "message");
    const sent = transport === "polling" ? raw.polling.post("4x") : raw.ws.text("4x");
    await message;
    await sent;
    assert.deepEqual(packets, [{ type: "message", data: "x" }]);
    conn.close(true);
    await closed;
    assert.equal(conn.transport.readyState, "closed");
  });
}

test("conn.transport.close() ends the session", async (t) => {
  const server = await serve(t);
  const { conn, closed } = await server.rawSession();
  conn.transport.close();
  assert.deepEqual((await closed).slice(0, 1), ["transport close"]);
});

test("conn.transport.send() sends past the events of the session", async (t) => {
  const server = await serve(t);
  const { conn, ws } = await server.rawSession();
  conn.on("packetCreate", () => assert.fail("an event"));
  conn.transport.send([{ type: "message", data: "a" }]);
  assert.equal(await ws.next(), "4a");
});

test("conn.onError() ends the session, and what was not sent can be seen until then", async (t) => {
  const server = await serve(t);
  const { conn } = await server.pollingSession();
  const error = new Error("no more");
  conn.send("a");
  assert.equal(conn.writeBuffer.length, 1);
  const seen = new Promise((resolve) =>
    conn.on("close", (...args) => resolve([...args, conn.writeBuffer.length])),
  );
  conn.onError(error);
  assert.deepEqual(await seen, ["transport error", error, 1]);
  await new Promise(setImmediate);
  assert.equal(conn.writeBuffer.length, 0);
});

test("an upgrade hands over the transport that was announced", async (t) => {
  const server = await serve(t);
  const { conn, polling } = await server.pollingSession();
  const old = conn.transport;
  const oldClosed = once(old, "close");
  const upgrading = once(conn, "upgrading");
  const upgraded = once(conn, "upgrade");
  const ws = await RawWebSocket.upgrade(server, { query: `EIO=4&transport=websocket&sid=${polling.sid}` });
  ws.text("2probe");
  const [probe] = await upgrading;
  assert.equal(probe.name, "websocket");
  assert.equal(await ws.next(), "3probe");
  ws.text("5");
  assert.deepEqual(await upgraded, [probe]);
  assert.equal(conn.transport, probe);
  await oldClosed;
  assert.equal(old.readyState, "closed");
});

test("a transport that does not take over is closed", async (t) => {
  const server = await serve(t);
  const { conn, polling } = await server.pollingSession();
  const upgrading = once(conn, "upgrading");
  const ws = await RawWebSocket.upgrade(server, { query: `EIO=4&transport=websocket&sid=${polling.sid}` });
  ws.text("2probe");
  const [probe] = await upgrading;
  const closed = once(probe, "close");
  ws.text("4not an upgrade");
  await closed;
  assert.equal(conn.readyState, "open");
  assert.equal(conn.transport.name, "polling");
});

test("closing a session cuts the POST that is being received", async (t) => {
  const server = await serve(t);
  const { conn, polling, closed } = await server.pollingSession();
  const post = server.startRequest({
    method: "POST",
    path: polling.url,
    headers: { "Content-Length": 10, "Content-Type": "text/plain" },
  });
  const cut = once(post, "error");
  post.write("4a");
  while (conn.transport.post === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
  conn.close();
  await cut;
  await closed;
});

test("engine.ws tells how WebSockets are set up, and lets headers be added", async (t) => {
  const server = await serve(t, { maxHttpBufferSize: 1234 });
  const { ws } = server.io.engine;
  assert.equal(ws.options.maxPayload, 1234);
  ws.on("headers", (lines, req) => lines.push(`X-Path: ${req.url.slice(0, 11)}`));
  const upgraded = await RawWebSocket.upgrade(server);
  assert.equal(upgraded.headers["x-path"], "/socket.io/");
  assert.equal(new engineIo.Server({ transports: ["polling"] }).ws, undefined);
  await within(new Promise((resolve) => ws.close(resolve)), "the callback of ws.close()");
});

test("conn.request of a WebSocket has the headers of its request", async (t) => {
  const server = await serve(t);
  const { conn } = await server.rawSession({ headers: { "X-Token": "abc" } });
  assert.equal(conn.request.headers["x-token"], "abc");
});

test("wsEngine: WebSockets of another implementation carry sessions", async (t) => {
  const server = await serve(t, { wsEngine: WebSocketServer });
  const { engine } = server.io;
  assert.ok(engine.ws instanceof WebSocketServer);
  engine.on("headers", (headers) => (headers["X-By"] = "me"));
  assert.equal((await RawWebSocket.upgrade(server)).headers["x-by"], "me");

  server.io.on("connection", (socket) => socket.on("echo", (...args) => args.pop()(...args)));
  for (const transports of [["websocket"], ["polling", "websocket"]]) {
    const { client, socket } = await server.pair("/", { transports });
    if (transports.length > 1) await once(socket.conn, "upgrade");
    assert.equal(socket.conn.transport.socket.constructor.name, "WebSocket");
    for (const size of [0, 100, 1000, 100_000]) {
      const [text, data] = await new Promise((resolve) =>
        client.emit("echo", "é".repeat(size), Buffer.alloc(size, 7), (...args) => resolve(args)),
      );
      assert.equal(text, "é".repeat(size));
      assert.deepEqual(Buffer.from(data), Buffer.alloc(size, 7));
    }
    const disconnected = once(client, "disconnect");
    socket.disconnect(true);
    assert.equal((await disconnected)[0], "io server disconnect");
  }
});

test("wsEngine: an implementation gets the limits that there are for WebSockets", async (t) => {
  const given = [];
  class Noting extends WebSocketServer {
    constructor(options) {
      given.push(options);
      super(options);
    }
  }
  await serve(t, { wsEngine: Noting, maxHttpBufferSize: 100, maxBufferedChunks: 10 });
  const { noServer, clientTracking, perMessageDeflate, maxPayload, maxBufferedChunks } = given[0];
  assert.deepEqual(
    [noServer, clientTracking, perMessageDeflate, maxPayload, maxBufferedChunks],
    [true, false, undefined, 100, 10],
  );
});

for (const length of [125, 126, 65_535, 65_536, 65_537]) {
  test(`wsEngine: messages of ${length} bytes`, async (t) => {
    const server = await serve(t, { wsEngine: WebSocketServer });
    const { ws, socket } = await server.rawPair();
    const text = "x".repeat(length - '42["ev",""]'.length);
    const gotText = once(socket, "ev");
    ws.text(`42["ev","${text}"]`);
    assert.deepEqual(await gotText, [text]);
    socket.emit("ev", text);
    assert.equal(await ws.next(), `42["ev","${text}"]`);

    const bytes = Buffer.alloc(length, 1);
    const gotBytes = once(socket, "bin");
    ws.text('451-["bin",{"_placeholder":true,"num":0}]');
    ws.binary(bytes);
    assert.deepEqual(await gotBytes, [bytes]);
    socket.emit("bin", bytes);
    await ws.next();
    assert.deepEqual(await ws.next(), bytes);
  });
}

test("wsEngine: the end of the client, and its faults, are told as ever", async (t) => {
  const server = await serve(t, { wsEngine: WebSocketServer });
  const first = await server.rawSession();
  first.ws.destroy();
  assert.equal((await first.closed)[0], "transport close");
  const second = await server.rawSession();
  second.ws.text("9");
  assert.equal((await second.closed)[0], "parse error");
});

test("a client that polls gets what is sent before its session is announced", async (t) => {
  const server = await listenEngine(t);
  server.engine.on("connection", (conn) => conn.send("first"));
  const polling = await RawPolling.open(server, PATH);
  assert.equal(await polling.next(), "4first");
});
