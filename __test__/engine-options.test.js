"use strict";

const assert = require("node:assert/strict");
const http = require("node:http");
const { inspect } = require("node:util");
const test = require("node:test");
const zlib = require("node:zlib");
const {
  serve,
  once,
  record,
  connected,
  request,
  eventually,
  isStock,
  sio,
  upgradeRequest,
  RawPolling,
  RawWebSocket,
} = require("./support/harness");

const POLLING = "/socket.io/?EIO=4&transport=polling";

test("generateId may throw, over both transports", async (t) => {
  const server = await serve(t);
  const errors = record(server.io.engine, "connection_error");
  const broken = new Error("broken");
  server.io.engine.generateId = () => {
    throw broken;
  };
  const answer = await request(server, { path: POLLING });
  assert.deepEqual([answer.status, answer.json], [400, { code: 3, message: "Bad request" }]);
  const ws = await RawWebSocket.upgrade(server);
  assert.equal(ws.status, 101);
  await ws.ended();
  assert.deepEqual(ws.messages, []);
  for (const [{ code, context }] of await errors.until(2)) {
    assert.equal(code, 3);
    assert.deepEqual(context, { name: "ID_GENERATION_ERROR", error: broken });
  }
  assert.equal(server.io.engine.clientsCount, 0);
});

test("generateId may return a number, or any thenable", async (t) => {
  const server = await serve(t);
  let n = 0;
  server.io.engine.generateId = () => ++n;
  const polling = await RawPolling.open(server);
  assert.equal(String(polling.sid), "1");
  assert.equal((await polling.post("40")).body, "ok");
  await connected(server.client());
  await connected(server.client("/", { transports: ["polling", "websocket"] }));
  assert.deepEqual(Object.keys(server.io.engine.clients), ["1", "2", "3"]);
  server.io.engine.generateId = () => ({ then: (resolve) => resolve("x") });
  assert.equal((await RawWebSocket.open(server)).sid, "x");
});

test("a client that resets a connection without listeners for errors, before generateId has made up its mind", async (t) => {
  const server = await serve(t, {}, { stream: "http" });
  const { engine } = server.io;
  let decide;
  engine.generateId = () => new Promise((resolve) => (decide = resolve));
  let gone;
  server.httpServer.prependListener("upgrade", (req, socket) => {
    // the engine can have it no more without Node's socket
    socket.setTimeout(60_000);
    socket.removeAllListeners("error");
    gone = once(socket, "close");
  });
  const ws = server.keep(new RawWebSocket(server));
  ws.write(upgradeRequest("/socket.io/?EIO=4&transport=websocket"));
  await eventually(() => decide !== undefined, "an id is asked for");
  ws.reset();
  const [hadError] = await gone;
  assert.equal(hadError, true);
  decide("late");
  await new Promise(setImmediate);
  assert.equal(engine.clientsCount, 0);
});

test("numbers may be given as text", async (t) => {
  const server = await serve(t, { pingInterval: "50", pingTimeout: "1000", maxHttpBufferSize: "100" });
  const ws = await RawWebSocket.open(server);
  assert.equal(Number(ws.handshake.pingInterval), 50);
  assert.equal(Number(ws.handshake.pingTimeout), 1000);
  assert.equal(Number(ws.handshake.maxPayload), 100);
  assert.equal(await ws.next(), "2");
  ws.text("4" + "x".repeat(100));
  assert.equal((await ws.closed()).code, 1009);
  const polling = await RawPolling.open(server);
  assert.equal((await polling.post("4" + "x".repeat(100))).status, 413);
});

test("no limit to the size of messages", async (t) => {
  for (const perMessageDeflate of [false, true]) {
    const server = await serve(t, { maxHttpBufferSize: Infinity, perMessageDeflate });
    const { client, socket } = await server.pair();
    const got = once(socket, "ev");
    client.emit("ev", "x".repeat(2_000_000));
    assert.equal((await got)[0].length, 2_000_000);
    assert.equal((await RawPolling.open(server)).handshake.maxPayload, null);
  }
});

test("maxHttpBufferSize: 0 is no limit for WebSockets", async (t) => {
  const server = await serve(t, { maxHttpBufferSize: 0 });
  const { ws, socket } = await server.rawPair();
  const got = once(socket, "ev");
  ws.text(`42["ev","${"x".repeat(100_000)}"]`);
  assert.equal((await got)[0].length, 100_000);
});

test("options that are undefined have their defaults", { skip: isStock }, async (t) => {
  const server = await serve(t, { pingInterval: undefined, pingTimeout: null, maxHttpBufferSize: undefined });
  const { handshake } = await RawWebSocket.open(server);
  assert.equal(handshake.pingInterval, 25000);
  assert.equal(handshake.pingTimeout, 20000);
  assert.equal(handshake.maxPayload, 1e6);
});

for (const [name, value, reason] of [
  ["pingInterval", "often", "a number, not 'often'"],
  ["pingTimeout", { of: { course: [1] } }, "a number, not { of: [Object] }"],
  ["upgradeTimeout", NaN, "a number, not NaN"],
  ["maxHttpBufferSize", "1MB", "a number, not '1MB'"],
  ["workers", 0, "an integer from 1 to 31, not 0"],
  ["workers", 32, "an integer from 1 to 31, not 32"],
  ["workers", "two", "an integer from 1 to 31, not 'two'"],
  ["maxOutboundBuffer", -1, "a positive number, not -1"],
  ["maxOutboundBuffer", "64k", "a positive number, not '64k'"],
]) {
  test(`${name}: ${inspect(value)} is refused, and it is said why`, { skip: isStock }, () => {
    assert.throws(() => new sio.Server(http.createServer(), { [name]: value }), {
      name: "TypeError",
      message: `the "${name}" option must be ${reason}`,
    });
  });
}

test("maxOutboundBuffer as text", { skip: isStock }, async (t) => {
  const server = await serve(t, { maxOutboundBuffer: "1000" });
  const { socket, disconnected } = await server.pollingPair();
  socket.emit("ev", "x".repeat(1001));
  assert.equal((await disconnected)[0], "transport error");
});

for (const [cookie, expected] of [
  [{}, "io=ID; Path=/; HttpOnly; SameSite=Lax"],
  [{ name: "own" }, "own=ID; Path=/; HttpOnly; SameSite=Lax"],
  [{ domain: "example.com" }, "io=ID; Domain=example.com; Path=/; HttpOnly; SameSite=Lax"],
  [{ expires: new Date(0) }, "io=ID; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax"],
  [{ maxAge: 10 }, "io=ID; Max-Age=10; Path=/; HttpOnly; SameSite=Lax"],
  [{ path: null, httpOnly: false, sameSite: false }, "io=ID"],
  [{ secure: true, sameSite: "none" }, "io=ID; Path=/; HttpOnly; Secure; SameSite=None"],
  [{ sameSite: true, priority: "high" }, "io=ID; Path=/; HttpOnly; Priority=High; SameSite=Strict"],
  [{ partitioned: true }, "io=ID; Path=/; HttpOnly; Partitioned; SameSite=Lax"],
  [{ encode: (sid) => sid.length }, "io=20; Path=/; HttpOnly; SameSite=Lax"],
]) {
  test(`the cookie option ${JSON.stringify(cookie)}`, async (t) => {
    const server = await serve(t, { cookie });
    const { answer, sid } = await RawPolling.open(server);
    assert.deepEqual(answer.headers["set-cookie"], [expected.replace("ID", sid)]);
    // a WebSocket gets none
    assert.equal((await RawWebSocket.open(server)).headers["set-cookie"], undefined);
  });
}

/** The answer to a poll with a message of so many bytes, by a client that accepts gzip. */
async function pollCompressed(t, httpCompression, size) {
  const server = await serve(t, { httpCompression });
  const { polling, socket } = await server.pollingPair();
  socket.conn.send("x".repeat(size - 1));
  return polling.poll({ "Accept-Encoding": "gzip" });
}

for (const [httpCompression, size, isCompressed] of [
  [{ threshold: 1024 }, 1023, false],
  [{ threshold: 1024 }, 1024, true],
  [{ threshold: 10 }, 10, true],
  [{ threshold: 10 }, 9, false],
  [true, 10, true],
  [{}, 10, true],
  [{ level: 1 }, 10, true],
  [false, 5000, false],
  [null, 5000, false],
]) {
  const how = isCompressed ? "compresses" : "does not compress";
  test(`httpCompression ${JSON.stringify(httpCompression)} ${how} ${size} bytes`, async (t) => {
    const answer = await pollCompressed(t, httpCompression, size);
    assert.equal(answer.headers["content-encoding"], isCompressed ? "gzip" : undefined);
    const bytes = isCompressed ? zlib.gunzipSync(answer.bytes) : answer.bytes;
    assert.equal(bytes.toString(), "4" + "x".repeat(size - 1));
  });
}

test("httpCompression takes the options of zlib", async (t) => {
  const stored = await pollCompressed(t, { threshold: 0, level: 0 }, 5000);
  assert.ok(stored.bytes.length > 5000, `${stored.bytes.length} bytes`);
  const small = await pollCompressed(t, { threshold: 0, level: 9, memLevel: 9, chunkSize: 1024 }, 5000);
  assert.ok(small.bytes.length < 100, `${small.bytes.length} bytes`);
  assert.equal(zlib.gunzipSync(small.bytes).length, 5000);
});

test("a second decision of allowRequest is none", { skip: isStock }, async (t) => {
  const allowRequest = (req, callback) => {
    callback(null, true);
    callback(null, true);
    callback("no", false);
  };
  const server = await serve(t, { allowRequest });
  await connected(server.client());
  await connected(server.client("/", { transports: ["polling"] }));
  assert.equal(server.io.engine.clientsCount, 2);
});

test("attachApp() says what to do instead", { skip: isStock }, () => {
  assert.throws(
    () => new sio.Server().attachApp({}),
    /attachApp\(\) is not supported.*attach\(\) or listen\(\)/,
  );
});
