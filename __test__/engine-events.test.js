"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { serve, once, record, connected, request, RawPolling, RawWebSocket } = require("./support/harness");

const pathWith = (query) => `/socket.io/?${query}`;

test("'connection' of the engine hands over the session", async (t) => {
  const server = await serve(t);
  const connection = once(server.io.engine, "connection");
  const ws = await RawWebSocket.open(server);
  const [conn] = await connection;
  assert.equal(conn.id, ws.sid);
  assert.equal(conn, server.io.engine.clients[ws.sid]);
  assert.equal(conn.readyState, "open");
});

test("initial_headers once per session, headers for every answer, over polling", async (t) => {
  const server = await serve(t);
  const seen = [];
  server.io.engine.on("initial_headers", (headers, req) => {
    seen.push(["initial", req.method]);
    headers["X-Initial"] = "1";
  });
  server.io.engine.on("headers", (headers, req) => {
    seen.push(["headers", req.method]);
    headers["X-Every"] = "é".length;
    headers["Set-Cookie"] = ["a=1", "b=2"];
  });
  const polling = await RawPolling.open(server);
  assert.equal(polling.answer.headers["x-initial"], "1");
  assert.equal(polling.answer.headers["x-every"], "1");
  assert.deepEqual(polling.answer.headers["set-cookie"], ["a=1", "b=2"]);
  const post = await polling.post("40");
  assert.equal(post.headers["x-initial"], undefined);
  assert.equal(post.headers["x-every"], "1");
  const poll = await polling.poll();
  assert.equal(poll.headers["x-initial"], undefined);
  assert.equal(poll.headers["x-every"], "1");
  assert.deepEqual(seen, [
    ["initial", "GET"],
    ["headers", "GET"],
    ["headers", "POST"],
    ["headers", "GET"],
  ]);
});

test("initial_headers and headers for a WebSocket", async (t) => {
  const server = await serve(t);
  const seen = [];
  server.io.engine.on("initial_headers", (headers, req) => {
    seen.push(["initial", req.headers["x-from"]]);
    headers["X-Initial"] = "1";
    headers["Set-Cookie"] = "a=1";
  });
  server.io.engine.on("headers", (headers) => {
    seen.push(["headers"]);
    headers["X-Every"] = "2";
  });
  const ws = await RawWebSocket.open(server, { headers: { "X-From": "me" } });
  assert.equal(ws.headers["x-initial"], "1");
  assert.equal(ws.headers["x-every"], "2");
  assert.equal(ws.headers["set-cookie"], "a=1");
  assert.deepEqual(seen, [["initial", "me"], ["headers"]]);
});

test("an upgrade of a polling session gets headers, but no initial ones", async (t) => {
  const server = await serve(t);
  const polling = await RawPolling.open(server);
  const seen = [];
  server.io.engine.on("initial_headers", () => seen.push("initial"));
  server.io.engine.on("headers", (headers) => {
    seen.push("headers");
    headers["X-Every"] = "1";
  });
  const ws = await RawWebSocket.upgrade(server, {
    query: `EIO=4&transport=websocket&sid=${polling.sid}`,
  });
  assert.equal(ws.headers["x-every"], "1");
  assert.deepEqual(seen, ["headers"]);
});

test("the head of the answer to an upgrade", async (t) => {
  const server = await serve(t);
  const ws = await RawWebSocket.upgrade(server);
  assert.equal(ws.statusText, "HTTP/1.1 101 Switching Protocols");
  assert.deepEqual(ws.headers, {
    upgrade: "websocket",
    connection: "Upgrade",
    "sec-websocket-accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
  });
});

test("connection_error tells the request, the code, the message and the context", async (t) => {
  const server = await serve(t);
  const { sid } = await RawPolling.open(server);
  const ws = await RawWebSocket.open(server);
  const errors = record(server.io.engine, "connection_error");
  for (const [query, code, message, context, method] of [
    ["EIO=4&transport=nope", 0, "Transport unknown", { transport: "nope" }],
    ["EIO=4", 0, "Transport unknown", { transport: undefined }],
    ["EIO=4&transport=polling&sid=nope", 1, "Session ID unknown", { sid: "nope" }],
    ["EIO=4&transport=polling", 2, "Bad handshake method", { method: "POST" }, "POST"],
    ["EIO=4&transport=websocket", 3, "Bad request", { name: "TRANSPORT_HANDSHAKE_ERROR" }],
    [
      `EIO=4&transport=polling&sid=${ws.sid}`,
      3,
      "Bad request",
      { name: "TRANSPORT_MISMATCH", transport: "polling", previousTransport: "websocket" },
    ],
    [
      `EIO=3&transport=polling&sid=${sid}`,
      3,
      "Bad request",
      { name: "PROTOCOL_MISMATCH", protocol: 3, previousProtocol: 4 },
    ],
    ["EIO=3&transport=polling", 5, "Unsupported protocol version", { protocol: 3 }],
  ]) {
    const before = errors.list.length;
    const answer = await request(server, { method, path: pathWith(query) });
    const [[error]] = errors.list.slice(before);
    assert.deepEqual(answer.json, { code, message });
    assert.deepEqual(Object.keys(error).sort(), ["code", "context", "message", "req"]);
    assert.equal(error.req.url, pathWith(query));
    assert.equal(error.code, code);
    assert.equal(error.message, message);
    assert.deepEqual(error.context, context);
  }
  assert.equal(errors.list.length, 8);
});

test("connection_error for allowRequest and for a middleware that fails", async (t) => {
  const server = await serve(t, { allowRequest: (req, callback) => callback("my reason", false) });
  const errors = record(server.io.engine, "connection_error");
  const refused = await request(server, { path: pathWith("EIO=4&transport=polling") });
  assert.deepEqual([refused.status, refused.json], [403, { code: 4, message: "my reason" }]);
  assert.deepEqual(errors.list[0][0].context, { message: "my reason" });
  server.io.engine.use((req, res, next) => next(new Error("broken")));
  const failed = await request(server, { path: pathWith("EIO=4&transport=polling") });
  assert.deepEqual([failed.status, failed.json], [400, { code: 3, message: "Bad request" }]);
  assert.deepEqual(errors.list[1][0].context, { name: "MIDDLEWARE_FAILURE" });
});

test("an emit() of the application's own gets the headers of a WebSocket's answer, without a listener", async (t) => {
  const server = await serve(t);
  const { engine } = server.io;
  const { emit } = engine;
  engine.emit = function (event, ...args) {
    if (event === "initial_headers") args[0]["X-Initial"] = "1";
    if (event === "headers") args[0]["X-Every"] = "2";
    return emit.call(this, event, ...args);
  };
  const ws = await RawWebSocket.open(server);
  assert.ok(ws.headerLines.includes("X-Initial: 1"));
  assert.ok(ws.headerLines.includes("X-Every: 2"));
});

test("connection_error when generateId fails", async (t) => {
  const server = await serve(t);
  const errors = record(server.io.engine, "connection_error");
  const broken = new Error("no id today");
  server.io.engine.generateId = () => Promise.reject(broken);
  const answer = await request(server, { path: pathWith("EIO=4&transport=polling") });
  assert.deepEqual([answer.status, answer.json], [400, { code: 3, message: "Bad request" }]);
  assert.deepEqual(errors.list[0][0].context, { name: "ID_GENERATION_ERROR", error: broken });
});

test("engine.use runs in order for polling requests and upgrades", async (t) => {
  const server = await serve(t);
  const seen = [];
  server.io.engine.use((req, res, next) => {
    seen.push(["first", req._query.sid !== undefined, typeof res.setHeader]);
    setImmediate(next);
  });
  server.io.engine.use((req, res, next) => {
    seen.push(["second"]);
    res.setHeader("X-Middleware", "yes");
    next();
  });
  const polling = await RawPolling.open(server);
  assert.equal(polling.answer.headers["x-middleware"], "yes");
  await polling.post("40");
  const ws = await RawWebSocket.open(server);
  assert.equal(ws.headers["x-middleware"], "yes");
  assert.deepEqual(seen, [
    ["first", false, "function"],
    ["second"],
    ["first", true, "function"],
    ["second"],
    ["first", false, "function"],
    ["second"],
  ]);
});

test("a middleware may answer a request itself", async (t) => {
  const server = await serve(t);
  server.io.engine.use((req, res, next) => {
    if (req.headers["x-stop"]) {
      res.writeHead?.(418);
      return res.end("stopped");
    }
    next();
  });
  const answer = await request(server, {
    path: pathWith("EIO=4&transport=polling"),
    headers: { "X-Stop": "1" },
  });
  assert.deepEqual([answer.status, answer.body], [418, "stopped"]);
  const ws = await RawWebSocket.upgrade(server, { headers: { "X-Stop": "1" } });
  assert.equal(ws.status, null);
  await connected(server.client());
});

test("a session of an express-like middleware is seen as socket.request.session", async (t) => {
  const server = await serve(t);
  let visits = 0;
  server.io.engine.use((req, res, next) => {
    req.session = { visit: ++visits };
    next();
  });
  const { socket } = await server.pair();
  assert.deepEqual(socket.request.session, { visit: 1 });
});

test("flush and drain of the engine and of the session", async (t) => {
  const server = await serve(t);
  const { ws, conn } = await server.rawSession();
  const flush = once(server.io.engine, "flush");
  const drain = once(server.io.engine, "drain");
  const own = [once(conn, "flush"), once(conn, "drain")];
  conn.send("hello");
  const [flushed, packets] = await flush;
  assert.equal(flushed, conn);
  assert.deepEqual(
    packets.map(({ type, data }) => [type, data]),
    [["message", "hello"]],
  );
  assert.equal((await drain)[0], conn);
  await Promise.all(own);
  assert.equal(await ws.next(), "4hello");
});

test("packets that wait for a poll are flushed when it comes", async (t) => {
  const server = await serve(t);
  const { polling, conn } = await server.pollingSession();
  const log = [];
  conn.on("flush", (packets) => log.push(packets.map(({ data }) => data)));
  conn.on("drain", () => log.push(["drain", conn.writeBuffer.length]));
  conn.send("a");
  conn.send("b");
  assert.deepEqual(log, []);
  assert.equal(conn.writeBuffer.length, 2);
  assert.deepEqual((await polling.poll()).packets, ["4a", "4b"]);
  assert.deepEqual(log, [
    ["a", "b"],
    ["drain", 0],
  ]);
});

test("packets that wait for a poll are flushed after an upgrade instead", async (t) => {
  const server = await serve(t);
  const { polling, conn } = await server.pollingSession();
  const ws = await RawWebSocket.upgrade(server, { query: `EIO=4&transport=websocket&sid=${polling.sid}` });
  ws.text("2probe");
  assert.equal(await ws.next(), "3probe");
  // the poll that the server answers so that the client can switch is the last
  assert.deepEqual((await polling.poll()).packets, ["6"]);
  const log = [];
  conn.on("upgrade", () => log.push("upgrade"));
  conn.on("flush", (packets) => log.push(packets.map(({ data }) => data)));
  const drained = new Promise((resolve) => conn.once("drain", resolve));
  conn.send("a");
  conn.send("b");
  ws.text("5");
  assert.deepEqual([await ws.next(), await ws.next()], ["4a", "4b"]);
  await drained;
  assert.deepEqual(log, ["upgrade", ["a", "b"]]);
});

test("initialPacket is sent behind the handshake", async (t) => {
  const server = await serve(t, { initialPacket: "hello" });
  const ws = await RawWebSocket.open(server);
  assert.equal(await ws.next(), "4hello");
  const polling = await RawPolling.open(server);
  assert.equal(await polling.next(), "4hello");
});

for (const [what, initialPacket, expected] of [
  ["a Buffer", Buffer.from([1, 2, 3]), Buffer.from([1, 2, 3])],
  ["an ArrayBuffer", Uint8Array.of(1, 2, 3).buffer, Buffer.from([1, 2, 3])],
  ["a view", new DataView(Uint8Array.of(0, 1, 2).buffer, 1), Buffer.from([1, 2])],
  ["an empty Buffer", Buffer.alloc(0), Buffer.alloc(0)],
  ["a number", 5, "5"],
  ["an array", [1, 2], "1,2"],
]) {
  test(`initialPacket may be ${what}`, async (t) => {
    const server = await serve(t, { initialPacket, allowEIO3: true });
    const isBinary = Buffer.isBuffer(expected);
    const base64 = isBinary && expected.toString("base64");
    const body = async (query) => {
      const answer = await request(server, { path: pathWith(query) });
      return answer.bytes.toString("latin1").replace(/^[^}]*\}/, "");
    };
    const message = async (query) => (await RawWebSocket.open(server, { query })).next();
    assert.deepEqual(await message("EIO=4&transport=websocket"), isBinary ? expected : `4${expected}`);
    assert.equal(await body("EIO=4&transport=polling"), isBinary ? `\x1eb${base64}` : `\x1e4${expected}`);
    const inRevision3 = isBinary ? Buffer.concat([Buffer.from([4]), expected]) : `4${expected}`;
    assert.deepEqual(await message("EIO=3&transport=websocket"), inRevision3);
    const text = isBinary ? `b4${base64}` : `4${expected}`;
    assert.equal(await body("EIO=3&transport=polling&b64=1"), `${text.length}:${text}`);
    if (isBinary) {
      const part = Buffer.concat([Buffer.from([1, expected.length + 1, 255, 4]), expected]);
      assert.equal(await body("EIO=3&transport=polling"), part.toString("latin1"));
    }
  });
}

for (const initialPacket of ["", 0, null, false]) {
  test(`an initialPacket of ${JSON.stringify(initialPacket)} is none`, async (t) => {
    const server = await serve(t, { initialPacket });
    const ws = await RawWebSocket.connect(server);
    assert.equal(ws.messages.length, 2);
    const { body } = await request(server, { path: pathWith("EIO=4&transport=polling") });
    assert.match(body, /^0\{[^}]*\}$/);
  });
}

test("the answer that opens a session carries nothing that the application sends", async (t) => {
  const server = await serve(t, { allowEIO3: true });
  server.io.engine.on("connection", (conn) => conn.send("hello"));
  for (const query of ["EIO=4&transport=polling", "EIO=3&transport=polling"]) {
    const { body } = await request(server, { path: pathWith(query) });
    assert.match(body, /^(\d+:)?0\{[^}]*\}$/);
  }
});

test("the cookie option", async (t) => {
  const server = await serve(t, { cookie: { name: "sid", httpOnly: true, path: "/x", sameSite: "strict" } });
  const polling = await RawPolling.open(server);
  assert.deepEqual(polling.answer.headers["set-cookie"], [
    `sid=${polling.sid}; Path=/x; HttpOnly; SameSite=Strict`,
  ]);
  assert.equal((await polling.post("40")).headers["set-cookie"], undefined);
});

test("the cookie option with its defaults, and off by default", async (t) => {
  const server = await serve(t, { cookie: true });
  const polling = await RawPolling.open(server);
  assert.deepEqual(polling.answer.headers["set-cookie"], [
    `io=${polling.sid}; Path=/; HttpOnly; SameSite=Lax`,
  ]);
  const plain = await RawPolling.open(await serve(t));
  assert.equal(plain.answer.headers["set-cookie"], undefined);
});

test("io.engine.opts shows the options and their defaults", async (t) => {
  const server = await serve(t, { pingInterval: 4321 });
  const { opts } = server.io.engine;
  assert.equal(opts.pingInterval, 4321);
  assert.equal(opts.pingTimeout, 20000);
  assert.equal(opts.upgradeTimeout, 10000);
  assert.equal(opts.maxHttpBufferSize, 1e6);
  assert.deepEqual(opts.transports, ["polling", "websocket"]);
  assert.equal(opts.allowUpgrades, true);
  assert.equal(opts.allowEIO3, false);
  assert.equal(opts.path, "/socket.io");
});

test("transports limits what a client may use", async (t) => {
  const server = await serve(t, { transports: ["websocket"] });
  const answer = await request(server, { path: pathWith("EIO=4&transport=polling") });
  assert.deepEqual([answer.status, answer.json], [400, { code: 0, message: "Transport unknown" }]);
  await connected(server.client());
  const other = await serve(t, { transports: ["polling"] });
  const { client } = await other.pair("/", { transports: ["polling"] });
  assert.equal(client.connected, true);
});
