"use strict";

// Ordinary upgrade requests do not pass Node's HTTP server. Nobody but async_hooks can tell.

const assert = require("node:assert/strict");
const { AsyncLocalStorage } = require("node:async_hooks");
const { fork } = require("node:child_process");
const diagnostics = require("node:diagnostics_channel");
const { EventEmitter } = require("node:events");
const http = require("node:http");
const net = require("node:net");
const path = require("node:path");
const test = require("node:test");
const { startChild } = require("./support/child");
const {
  isStock,
  sio,
  adopt,
  atEnd,
  connected,
  eventually,
  frame,
  once,
  record,
  request,
  upgradeRequest,
  within,
  RawConnection,
  RawWebSocket,
  Recorder,
} = require("./support/harness");
const { accepted, connections, newParsers, observe, parsers } = require("./support/parsers");

const TARGET = "/socket.io/?EIO=4&transport=websocket";
const REQUEST = upgradeRequest(TARGET);

/** What stock, and whoever is observed, needs for a connection. */
const ONE_IF_STOCK = isStock ? 1 : 0;

/** A server with an HTTP server of its own that listens. */
async function open(t, { http: options = {}, io: engineOptions, create, attach, host = "127.0.0.1" } = {}) {
  const httpServer = create?.() ?? http.createServer(options);
  const io = new sio.Server(httpServer, engineOptions);
  attach?.(httpServer, io);
  httpServer.listen(0, host);
  await once(httpServer, "listening");
  const server = adopt(t, io, httpServer.address().port);
  newParsers();
  return server;
}

/** A connection that the server has accepted. */
async function silent(server) {
  const connection = server.keep(new RawConnection(server));
  await accepted(server, 1);
  return connection;
}

/** The engine's next session. */
async function nextConn(server) {
  return (await once(server.io.engine, "connection"))[0];
}

test("an ordinary upgrade request makes a session without a parser", async (t) => {
  const server = await open(t);
  const { client, socket } = await server.pair();
  assert.equal(newParsers(), ONE_IF_STOCK);
  assert.equal(socket.handshake.headers.upgrade, "websocket");
  assert.equal(await connections(server), 1);
  client.disconnect();
  await accepted(server, 0);
});

test("an engine of Engine.IO by itself makes sessions the same way", { skip: isStock }, async (t) => {
  const httpServer = http.createServer();
  const engine = require("../engine.io.js").attach(httpServer);
  httpServer.listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  atEnd(t, () => {
    engine.close();
    return new Promise((resolve) => httpServer.close(resolve));
  });
  newParsers();
  const connection = once(engine, "connection");
  const server = { port: httpServer.address().port, keep: (thing) => atEnd(t, () => thing.destroy()) };
  const ws = await RawWebSocket.open(server, { path: "/engine.io/" });
  const [conn] = await connection;
  ws.text("4echo");
  assert.deepEqual(await once(conn, "message"), ["echo"]);
  assert.equal(newParsers(), 0);
});

class OwnRequest extends http.IncomingMessage {}
class OwnServer extends http.Server {}

/** Ways for the application to see, or to have a say in, what comes before the session. */
const OBSERVED = {
  "a listener that uses connections": { attach: observe },
  "an emit() of the server's own": {
    attach: (httpServer) => {
      httpServer.emit = function (...args) {
        return http.Server.prototype.emit.apply(this, args);
      };
    },
  },
  "a class of servers": { create: () => new OwnServer() },
  "a class of requests": { http: { IncomingMessage: OwnRequest } },
  "a limit of connections": { attach: (httpServer) => (httpServer.maxConnections = 10) },
  "a list of blocked addresses": { attach: (httpServer) => (httpServer.blockList = new net.BlockList()) },
  "a limit of the headers' size": { http: { maxHeaderSize: 4000 } },
  "a limit of the number of headers": { attach: (httpServer) => (httpServer.maxHeadersCount = 10) },
  "joined headers": { http: { joinDuplicateHeaders: true } },
  "TCP's keep-alive": { http: { keepAlive: true } },
  "a time limit for idle sockets": { attach: (httpServer) => httpServer.setTimeout(60_000) },
  "a short time limit for headers": { http: { headersTimeout: 500, connectionsCheckingInterval: 50 } },
  "a short time limit for requests": { http: { headersTimeout: 500, requestTimeout: 600 } },
  "a callback that decides about upgrades": {
    // an option of Node 24
    create: () => Object.assign(http.createServer(), { shouldUpgradeCallback: () => true }),
  },
  "a second server on the same HTTP server": {
    attach: (httpServer, io) => {
      const second = new sio.Server(httpServer, { path: "/second" });
      httpServer.once("close", () => second.close());
      assert.notEqual(second.engine, io.engine);
    },
  },
  "the option initialPacket": { io: { initialPacket: "40" } },
};

/** Ways for the application to see requests, which are shown to it. */
const SHOWN = {
  "a middleware of the engine": { attach: (_, io) => io.engine.use((req, res, next) => next()) },
  "a listener for headers": { attach: (_, io) => io.engine.on("initial_headers", () => {}) },
  "ids of the application": {
    attach: (_, { engine }) => {
      let count = 0;
      engine.generateId = () => `own-${count++}`;
    },
  },
  "the option allowRequest": { io: { allowRequest: (req, decide) => decide(null, true) } },
  "the option cors, as a function of the request": { io: { cors: (req, decide) => decide(null, {}) } },
  "the option cors, with a function of the origin": {
    io: { cors: { origin: (origin, decide) => decide(null, true) } },
  },
};

for (const [name, how] of Object.entries(SHOWN)) {
  test(`${name}: no parser is made`, async (t) => {
    const server = await open(t, how);
    // what is tried out for the first one
    await RawWebSocket.open(server);
    newParsers();
    const ws = await RawWebSocket.open(server);
    assert.equal(newParsers(), ONE_IF_STOCK);
    const conn = server.io.engine.clients[ws.sid];
    assert.equal(conn.request.url, TARGET);
    assert.equal(conn.request.socket.remotePort, ws.socket.localPort);
    const gone = once(conn, "close");
    ws.destroy();
    assert.equal((await gone)[0], "transport close");
  });
}

for (const [name, how] of Object.entries(OBSERVED)) {
  test(`${name}: the request is Node's`, async (t) => {
    const server = await open(t, how);
    const ws = await RawWebSocket.open(server);
    assert.equal(newParsers(), 1);
    const conn = server.io.engine.clients[ws.sid];
    assert.equal(conn.request.url, TARGET);
    const gone = once(conn, "close");
    ws.destroy();
    assert.equal((await gone)[0], "transport close");
  });
}

for (const [name, prototype] of [
  ["all HTTP servers", http.Server.prototype],
  ["all emitters", EventEmitter.prototype],
]) {
  test(`an emit() that was replaced for ${name}: the request is Node's`, async (t) => {
    const server = await open(t);
    const own = Object.getOwnPropertyDescriptor(prototype, "emit");
    const { emit } = prototype;
    const seen = new Recorder();
    prototype.emit = function (event, ...args) {
      if (this === server.httpServer) seen.push(event);
      return emit.call(this, event, ...args);
    };
    t.after(() => (own ? Object.defineProperty(prototype, "emit", own) : delete prototype.emit));
    await RawWebSocket.open(server);
    assert.deepEqual(seen.list, ["connection", "upgrade"]);
  });
}

for (const [name, cors, expected] of [
  ["for everybody", { origin: "*" }, ["Access-Control-Allow-Origin: *"]],
  [
    "for a list, with credentials",
    { origin: ["http://here", /there$/], credentials: true },
    ["Access-Control-Allow-Origin: http://here", "Vary: Origin", "Access-Control-Allow-Credentials: true"],
  ],
  ["for somebody else", { origin: ["http://there"] }, ["Vary: Origin"]],
]) {
  test(`the option cors, ${name}, adds to the answer`, async (t) => {
    const server = await open(t, { io: { cors } });
    const ws = await RawWebSocket.open(server, { headers: { Origin: "http://here" } });
    assert.equal(newParsers(), ONE_IF_STOCK);
    assert.deepEqual(ws.headerLines.slice(3), expected);
    assert.equal(server.io.engine.clients[ws.sid].request.headers.origin, "http://here");
  });
}

test("many clients at once, on several workers", async (t) => {
  const server = await open(t, { io: isStock ? {} : { workers: 3 } });
  server.io.on("connection", (socket) => socket.on("echo", (value, reply) => reply(value)));
  const ends = new Recorder();
  server.io.engine.on("connection", (conn) => conn.on("close", (reason) => ends.push(reason)));
  const clients = await Promise.all(Array.from({ length: 90 }, () => RawWebSocket.connect(server)));
  const echoes = clients.map(async (ws, i) => {
    ws.text(`420["echo",${i}]`);
    assert.equal(await ws.next(), `430[${i}]`);
  });
  await Promise.all(echoes);
  assert.deepEqual(ends.list, []);
  assert.equal(server.io.engine.clientsCount, 90);
});

test("a subscriber of Node's channel for sockets hears of each connection", async (t) => {
  const server = await open(t);
  const seen = new Recorder();
  const listener = ({ socket }) => seen.push(socket.server === server.httpServer);
  diagnostics.subscribe("net.server.socket", listener);
  t.after(() => diagnostics.unsubscribe("net.server.socket", listener));
  await RawWebSocket.open(server);
  assert.ok(seen.list.includes(true));
});

test("a listener that comes after the connection and before its request sees the request", async (t) => {
  const server = await open(t);
  const connection = await silent(server);
  const seen = once(server.httpServer, "upgrade");
  connection.write(REQUEST);
  const [req, socket] = await seen;
  assert.equal(req.url, TARGET);
  assert.equal(socket.remotePort, connection.socket.localPort);
});

const ORDINARY = {
  Cookie: ["a=1; b=2", `c=${"x".repeat(3000)}`],
  Origin: "http://here",
  "X-Same": ["1", "2"],
  "X-Empty": "",
};

test("the request that is made again is the one that was sent", async (t) => {
  const seen = [];
  for (const attach of [undefined, observe]) {
    const server = await open(t, { attach, http: { highWaterMark: 5000 } });
    const connection = nextConn(server);
    const ws = await RawWebSocket.open(server, {
      query: "EIO=4&transport=websocket&a=1&a=2",
      headers: ORDINARY,
    });
    const { request: req } = await connection;
    const { socket } = req;
    assert.equal(socket.server, server.httpServer);
    assert.equal(socket.remotePort, ws.socket.localPort);
    assert.equal(socket.localPort, server.port);
    assert.equal(req.connection, socket);
    const { url, method, httpVersion, headers, rawHeaders, headersDistinct, complete, upgrade, _query } = req;
    const { remoteAddress, remoteFamily, localAddress, localFamily, allowHalfOpen, readyState } = socket;
    const { timeout, encrypted, destroyed, readableHighWaterMark, writableHighWaterMark } = socket;
    seen.push(
      { url, method, httpVersion, headers, rawHeaders, headersDistinct, complete, upgrade, _query },
      { remoteAddress, remoteFamily, localAddress, localFamily, allowHalfOpen, readyState },
      { timeout, encrypted, destroyed, readableHighWaterMark, writableHighWaterMark },
    );
  }
  assert.equal(newParsers(), 1);
  assert.deepEqual(seen.slice(0, 3), seen.slice(3));
});

for (const when of ["connection", "later", "disconnect"]) {
  test(`the connection's request and addresses, asked for first in: ${when}`, async (t) => {
    const server = await open(t);
    const tell = ({ handshake, request, conn }) => {
      const { remoteAddress, remotePort, localPort, server: owner } = request.socket;
      assert.equal(owner, server.httpServer);
      assert.equal(conn.request, request);
      return [
        handshake.address,
        handshake.query.EIO,
        conn.remoteAddress,
        remoteAddress,
        remotePort,
        localPort,
      ];
    };
    const told = new Recorder();
    server.io.on("connection", (socket) => {
      if (when === "connection") told.push(tell(socket));
      socket.on("later", () => told.push(tell(socket)));
      if (when === "disconnect") socket.on("disconnect", () => told.push(tell(socket).slice(0, 4)));
    });
    const ws = await RawWebSocket.connect(server);
    const expected = ["127.0.0.1", "4", "127.0.0.1", "127.0.0.1", ws.socket.localPort, server.port];
    if (when === "later") ws.text('42["later"]');
    if (when === "disconnect") ws.destroy();
    const [values] = await told.until(1);
    assert.deepEqual(values, expected.slice(0, values.length));
  });
}

test("the application destroys a socket that was made again", async (t) => {
  const server = await open(t);
  const { ws, socket, disconnected } = await server.rawPair();
  socket.request.socket.destroy();
  assert.equal((await disconnected)[0], "transport close");
  await ws.ended();
  await accepted(server, 0);
});

test("a request that comes byte by byte", async (t) => {
  const server = await open(t);
  const ws = server.keep(new RawWebSocket(server));
  const connection = nextConn(server);
  for (const byte of REQUEST) {
    ws.write(byte);
    await new Promise(setImmediate);
  }
  await ws.answered();
  assert.equal(ws.status, 101);
  await connection;
  assert.match(await ws.next(), /^0\{/);
});

// stock loses what comes before it has made an id
test("frames right behind the request", { skip: isStock }, async (t) => {
  const server = await open(t);
  const head = Buffer.concat(["40", "40/other"].map((payload) => frame({ payload })));
  const ws = await RawWebSocket.open(server, { head });
  assert.equal(await ws.next(), '44/other,{"message":"Invalid namespace"}');
  assert.match(await ws.next(), /^40\{/);
  assert.equal(newParsers(), 0);
});

test("another request right behind the upgrade request is a breach of the WebSocket protocol", async (t) => {
  const server = await open(t);
  const connection = nextConn(server);
  const ws = server.keep(new RawWebSocket(server));
  ws.write(REQUEST + "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  assert.equal((await once(await connection, "close"))[0], "transport error");
  assert.equal((await ws.closed()).code, 1002);
});

test("a client that sends the request and ends its side", async (t) => {
  const server = await open(t);
  const connection = nextConn(server);
  const ws = server.keep(new RawWebSocket(server));
  ws.socket.end(REQUEST);
  assert.equal((await once(await connection, "close"))[0], "transport close");
  await accepted(server, 0);
});

/** Requests of which Node is to judge. */
const OTHERS = {
  "more than 8 KiB of headers": [REQUEST.replace("\r\n\r\n", `\r\nX: ${"x".repeat(9000)}\r\n\r\n`), 101],
  "more than 64 headers": [REQUEST.replace("\r\n\r\n", `${"\r\nX: y".repeat(100)}\r\n\r\n`), 101],
  "headers in Latin-1": [upgradeRequest(TARGET, { "X-Name": "\xe9" }), 101],
  "a query in percents": [upgradeRequest(`${TARGET}&a=%41`), 101],
  "no space in front of values": [REQUEST.replaceAll(": ", ":"), 101],
  "an older WebSocket": [upgradeRequest(TARGET, { "Sec-WebSocket-Version": "8" }), 101],
  "a subprotocol": [upgradeRequest(TARGET, { "Sec-WebSocket-Protocol": "a, b" }), 101],
  "a bare line feed": [REQUEST.replace("\r\nUpgrade:", "\nUpgrade: "), 400],
  "no host": [upgradeRequest(TARGET, { Host: undefined }), 101],
  "a body of a kind that is none": [upgradeRequest(TARGET, { "Transfer-Encoding": "x" }), 101],
  "the protocol's revision 3": [upgradeRequest(TARGET.replace("4", "3")), 101],
  "an unknown session": [upgradeRequest(`${TARGET}&sid=abc`), 400],
  "HTTP/1.0": [REQUEST.replace("HTTP/1.1", "HTTP/1.0"), undefined],
  TLS: ["\x16\x03\x01\x00\x05hello", 400],
};

for (const [name, [bytes, status]] of Object.entries(OTHERS)) {
  test(`${name}: the request is Node's`, async (t) => {
    const server = await open(t);
    const ws = server.keep(new RawWebSocket(server));
    ws.socket.write(bytes, "latin1");
    await ws.answered();
    if (status !== undefined) assert.equal(ws.status, status);
    assert.equal(newParsers(), 1);
  });
}

test("extensions are Node's business where the server might agree to them", async (t) => {
  const headers = { "Sec-WebSocket-Extensions": "permessage-deflate" };
  const compressing = await open(t, { io: { perMessageDeflate: true } });
  const ws = await RawWebSocket.upgrade(compressing, { headers });
  assert.equal(ws.headers["sec-websocket-extensions"], "permessage-deflate");
  assert.equal(newParsers(), 1);
  const other = await open(t);
  assert.equal(
    (await RawWebSocket.upgrade(other, { headers })).headers["sec-websocket-extensions"],
    undefined,
  );
  assert.equal(newParsers(), ONE_IF_STOCK);
});

test("polling, and requests of others", async (t) => {
  const server = await open(t, { create: () => http.createServer((req, res) => res.end("other")) });
  assert.equal((await request(server, { path: "/" })).body, "other");
  const { client, socket } = await server.pair("/", { transports: ["polling", "websocket"] });
  if (!socket.conn.upgraded) await once(socket.conn, "upgrade");
  assert.equal(client.connected, true);
});

test("what does not begin like a request of ours is Node's at once", { skip: isStock }, async (t) => {
  const server = await open(t, { create: () => http.createServer((req, res) => res.end(req.url)) });
  const { native } = server.io.engine._bridge;
  const { receive } = native;
  const received = [];
  native.receive = function (...args) {
    received.push(args);
    return receive.apply(this, args);
  };
  const others = ["/", "/socket.iO/", "/socket.io?EIO=4&transport=websocket", "/socket", "//socket.io/"];
  for (const path of others) assert.equal((await request(server, { path })).body, path);
  assert.equal((await request(server, { path: "/socket.io/", method: "PUT" })).status, 400);
  // elsewhere, connections are accepted before they have said anything
  if (process.platform === "linux") assert.equal(received.length, 0);
  await RawWebSocket.open(server);
  assert.equal(received.length, 1);
});

test("a connection waits to be accepted only while it may concern us", { skip: isStock }, async (t) => {
  const server = await open(t);
  const { native } = server.io.engine._bridge;
  const told = [];
  native.deferAccept = (fd, defers) => told.push(defers);
  await RawWebSocket.open(server);
  server.httpServer.maxConnections = 10;
  await RawWebSocket.open(server);
  assert.deepEqual(told, [false]);
  server.httpServer.maxConnections = undefined;
  await RawWebSocket.open(server);
  assert.deepEqual(told, [false, true]);
});

test("a connection that says nothing is Node's after a while", async (t) => {
  const server = await open(t);
  const connection = await silent(server);
  await parsers.until(1);
  assert.equal(await connections(server), 1);
  const session = nextConn(server);
  connection.write(REQUEST);
  assert.equal((await session).request.url, TARGET);
});

test("a server that is attached to while it begins to listen has one entrance", async (t) => {
  const httpServer = http.createServer().listen(0);
  const io = new sio.Server(httpServer);
  const { onconnection } = httpServer._handle;
  await once(httpServer, "listening");
  assert.equal(httpServer._handle.onconnection, onconnection);
  const server = adopt(t, io, httpServer.address().port);
  newParsers();
  await RawWebSocket.open(server);
  assert.equal(newParsers(), ONE_IF_STOCK);
});

test(
  "the first connection of a server that listens already waits until it says something",
  { skip: isStock || process.platform !== "linux" },
  async (t) => {
    const httpServer = http.createServer().listen(0);
    await once(httpServer, "listening");
    const server = adopt(t, new sio.Server(httpServer), httpServer.address().port);
    const quiet = net.connect(server.port, "127.0.0.1");
    t.after(() => quiet.destroy());
    await once(quiet, "connect");
    await RawWebSocket.open(server);
    assert.equal(await connections({ httpServer }), 1);
  },
);

test("a silent client that resets its connection", async (t) => {
  const server = await open(t);
  const failed = once(server.httpServer, "clientError");
  (await silent(server)).reset();
  assert.equal((await failed)[0].code, "ECONNRESET");
  await accepted(server, 0);
});

test("a client that ends its side in the middle of the request", async (t) => {
  const server = await open(t);
  const failed = once(server.httpServer, "clientError");
  const connection = await silent(server);
  connection.socket.end(REQUEST.slice(0, 50));
  const [error, socket] = await failed;
  assert.equal(error.code, "HPE_INVALID_EOF_STATE");
  socket.destroy();
});

test("closeAllConnections() closes connections that have said nothing", async (t) => {
  const server = await open(t);
  const connection = await silent(server);
  const { client } = await server.pair();
  const closed = once(server.httpServer, "close");
  server.httpServer.close();
  server.httpServer.closeAllConnections();
  assert.equal(await connection.ended(), "FIN");
  // sessions are not the HTTP server's any more
  assert.equal(client.connected, true);
  client.disconnect();
  await closed;
});

test("a connection of before close() is served, and waited for", async (t) => {
  const server = await open(t);
  const connection = await silent(server);
  let isClosed = false;
  const closed = new Promise((resolve) => server.httpServer.close(resolve)).then(() => (isClosed = true));
  const session = nextConn(server);
  connection.write(REQUEST);
  const conn = await session;
  assert.equal(isClosed, false);
  const gone = once(conn, "close");
  connection.destroy();
  await gone;
  await within(closed, "the end of the HTTP server");
});

test("a silent connection that hangs up lets the HTTP server close", async (t) => {
  const server = await open(t);
  const connection = await silent(server);
  const closed = new Promise((resolve) => server.httpServer.close(resolve));
  connection.destroy();
  await within(closed, "the end of the HTTP server");
});

test("an HTTP server that listens again", async (t) => {
  const server = await open(t);
  const { client } = await server.pair();
  const { httpServer } = server;
  // a closed HTTP server closes the engine
  client.disconnect();
  await new Promise((resolve) => httpServer.close(resolve));
  httpServer.listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  server.port = httpServer.address().port;
  for (let i = 0; i < 2; i++) assert.equal((await RawWebSocket.open(server)).status, 101);
});

test("a closed engine leaves everything to Node", async (t) => {
  const server = await open(t, { create: () => http.createServer((req, res) => res.end("other")) });
  const ws = await RawWebSocket.open(server);
  newParsers();
  server.io.engine.close();
  ws.destroy();
  await accepted(server, 0);
  const connection = await silent(server);
  assert.equal(newParsers(), 1);
  connection.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  await connection.ended();
  assert.match(connection.received.toString(), /other$/);
});

test("requests are handled in the asynchronous context of listen()", async (t) => {
  const storage = new AsyncLocalStorage();
  const seen = [];
  const httpServer = http.createServer((req, res) => {
    seen.push(storage.getStore());
    res.end();
  });
  const io = new sio.Server(httpServer);
  storage.run("listen", () => httpServer.listen(0, "127.0.0.1"));
  await once(httpServer, "listening");
  const server = adopt(t, io, httpServer.address().port);
  await request(server, { path: "/" });
  assert.deepEqual(seen, ["listen"]);
});

test("the asynchronous context that a listener for sessions enters ends with it", async (t) => {
  const storage = new AsyncLocalStorage();
  const server = await open(t);
  const seen = [];
  server.io.engine.on("connection", () => {
    seen.push(storage.getStore());
    storage.enterWith("somebody");
  });
  server.io.on("connection", () => seen.push(storage.getStore()));
  for (let i = 0; i < 3; i++) await RawWebSocket.connect(server);
  assert.deepEqual(seen, Array(6).fill(undefined));
});

test("a listener for sessions that throws", async (t) => {
  const child = startChild(t, async ({ sio, listen, send }) => {
    process.on("uncaughtException", ({ message }) => send("uncaught", { message }));
    const httpServer = await listen();
    const io = new sio.Server(httpServer);
    io.engine.once("connection", () => {
      throw new Error("of the application");
    });
    send("port", { port: httpServer.address().port });
  });
  const { port } = await child.message("port");
  const server = { port, keep: (thing) => atEnd(t, () => thing.destroy()) };
  const [, other] = [await RawWebSocket.upgrade(server), await RawWebSocket.open(server)];
  assert.equal((await child.message("uncaught")).message, "of the application");
  other.text("40");
  assert.match(await other.next(), /^40/);
});

test("IPv6, and IPv4 in its clothes", async (t) => {
  let server;
  try {
    server = await open(t, { host: "::" });
  } catch (error) {
    return t.skip(error.message);
  }
  for (const [host, address] of [
    ["::1", "::1"],
    ["127.0.0.1", "::ffff:127.0.0.1"],
  ]) {
    const { socket } = await server.rawPair({ connect: { host } });
    assert.equal(socket.handshake.address, address);
    const { remoteAddress, remoteFamily, localAddress, localFamily } = socket.request.socket;
    assert.deepEqual(
      [remoteAddress, remoteFamily, localAddress, localFamily],
      [address, "IPv6", address, "IPv6"],
    );
  }
  assert.equal(newParsers(), 2 * ONE_IF_STOCK);
});

test("a descriptor that is listened on", async (t) => {
  const listener = net.createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  atEnd(t, () => listener.close());
  const httpServer = http.createServer();
  const io = new sio.Server(httpServer);
  httpServer.listen(listener);
  await once(httpServer, "listening");
  const server = adopt(t, io, listener.address().port);
  newParsers();
  const ws = await RawWebSocket.open(server);
  assert.equal(io.engine.clients[ws.sid].request.socket.remotePort, ws.socket.localPort);
  assert.equal(newParsers(), ONE_IF_STOCK);
});

for (const policy of ["rr", "none"]) {
  test(`node:cluster, scheduling policy ${policy}`, async (t) => {
    const env = { ...process.env, NODE_CLUSTER_SCHED_POLICY: policy };
    delete env.NODE_TEST_CONTEXT;
    const primary = fork(path.join(__dirname, "fixtures", "arrival-cluster.js"), { env });
    const messages = record(primary, "message");
    atEnd(t, () => primary.kill());
    const [[{ port }]] = await messages.until(1);
    const server = { port, keep: (thing) => atEnd(t, () => thing.destroy()) };
    const ws = await RawWebSocket.open(server);
    const [, [told]] = await messages.until(2);
    assert.deepEqual(told, { remotePort: ws.socket.localPort, localPort: port, parsers: ONE_IF_STOCK });
  });
}

test("a process whose clients have said nothing ends at once", async (t) => {
  const child = startChild(t, async ({ sio, listen, send, inbox }) => {
    const httpServer = await listen();
    new sio.Server(httpServer);
    inbox.on("count", () => httpServer.getConnections((error, count) => send("count", { count })));
    inbox.on("exit", () => process.exit(7));
    send("port", { port: httpServer.address().port });
  });
  const { port } = await child.message("port");
  const connection = new RawConnection({ port });
  atEnd(t, () => connection.destroy());
  await eventually(async () => (await child.ask("count")).count === 1, "the connection");
  child.send("exit");
  assert.deepEqual(await child.ended(), { code: 7, signal: null });
  await connection.ended();
});

test("a process whose silent client hangs up after close() ends by itself", async (t) => {
  const child = startChild(t, async ({ sio, listen, send, inbox }) => {
    const httpServer = await listen();
    const io = new sio.Server(httpServer);
    inbox.on("count", () => httpServer.getConnections((error, count) => send("count", { count })));
    inbox.on("close", () => {
      io.close();
      // this process ends by itself, or not at all
      process.removeAllListeners("disconnect");
      process.disconnect();
    });
    send("port", { port: httpServer.address().port });
  });
  const { port } = await child.message("port");
  const connection = new RawConnection({ port });
  atEnd(t, () => connection.destroy());
  await eventually(async () => (await child.ask("count")).count === 1, "the connection");
  child.process.once("disconnect", () => connection.destroy());
  child.send("close");
  assert.deepEqual(await child.ended(), { code: 0, signal: null });
});

test("clients that come while the event loop is blocked", async (t) => {
  const child = startChild(t, async ({ sio, listen, send, block }) => {
    const httpServer = await listen();
    const io = new sio.Server(httpServer);
    io.on("connection", (socket) => socket.on("echo", (value, ack) => ack(value)));
    send("port", { port: httpServer.address().port });
    setImmediate(block, 300);
  });
  const { port } = await child.message("port");
  const server = { port, keep: (thing) => atEnd(t, () => thing.destroy()) };
  const sockets = await Promise.all(Array.from({ length: 20 }, () => RawWebSocket.connect(server)));
  for (const ws of sockets) {
    ws.text('421["echo","é"]');
    assert.equal(await ws.next(), '431["é"]');
  }
});

test("as many clients as there may be descriptors come at once", async (t) => {
  const body = async ({ sio, listen, send, block, inbox }) => {
    const httpServer = await listen();
    new sio.Server(httpServer);
    inbox.on("block", () => {
      send("blocked");
      setImmediate(block, 300);
    });
    send("port", { port: httpServer.address().port });
  };
  const child = startChild(t, body, undefined, { shell: "ulimit -n 120" });
  const { port } = await child.message("port");
  const server = { port, keep: (thing) => atEnd(t, () => thing.destroy()) };
  child.send("block");
  await child.message("blocked");
  await Promise.all(Array.from({ length: 70 }, () => RawWebSocket.open(server)));
});

test("clients that hang up at any moment leave nothing behind", async (t) => {
  const server = await open(t);
  for (let i = 0; i < REQUEST.length; i += 7) {
    const connection = new RawConnection(server);
    connection.socket.on("connect", () => {
      connection.write(REQUEST.slice(0, i));
      if (i % 2) connection.reset();
      else connection.socket.end(REQUEST.slice(i));
    });
    atEnd(t, () => connection.destroy());
  }
  await connected(server.client());
  await accepted(server, 1);
  assert.equal(server.io.engine.clientsCount, 1);
});
