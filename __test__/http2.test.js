"use strict";

const assert = require("node:assert/strict");
const http2 = require("node:http2");
const test = require("node:test");
const zlib = require("node:zlib");
const {
  adopt,
  atEnd,
  connected,
  isStock,
  once,
  selfSigned,
  sio,
  within,
  LIMIT,
} = require("./support/harness");

const POLLING = "/socket.io/?EIO=4&transport=polling";

/** A server that speaks HTTP/2, and HTTP/1.1 with those who ask for it. */
async function serveHttp2(t, options) {
  const httpServer = http2.createSecureServer({ ...selfSigned(), allowHTTP1: true });
  const sessions = new Set();
  httpServer.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  const io = new sio.Server(httpServer, options);
  httpServer.listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  const server = adopt(t, io, httpServer.address().port, "https");
  atEnd(t, () => {
    for (const session of sessions) session.destroy();
  });
  return server;
}

/** A client of HTTP/2. `send` resolves with { status, headers, body }. */
function connectHttp2(server) {
  const session = http2.connect(server.url, { rejectUnauthorized: false });
  server.keep(session);
  return {
    start(path, { method = "GET", headers = {} } = {}) {
      const stream = session.request({ ":path": path, ":method": method, ...headers }, { endStream: false });
      stream.on("error", () => {});
      return stream;
    },
    async send(path, { body, ...options } = {}) {
      const stream = this.start(path, options);
      const answer = new Promise((resolve) => {
        let headers;
        const chunks = [];
        stream.on("response", (received) => (headers = received));
        stream.on("data", (chunk) => chunks.push(chunk));
        stream.on("end", () => resolve({ status: headers[":status"], headers, body: Buffer.concat(chunks) }));
      });
      stream.end(body);
      return within(answer, `answer to ${options.method ?? "GET"} ${path}`);
    },
  };
}

/** Opens a session by polling and joins the main namespace. */
async function pollingPair(server, options) {
  const client = connectHttp2(server);
  const connection = once(server.io, "connection");
  const opened = await client.send(POLLING, options);
  const { sid } = JSON.parse(opened.body.toString().slice(1));
  const path = `${POLLING}&sid=${sid}`;
  assert.equal((await client.send(path, { method: "POST", body: "40" })).body.toString(), "ok");
  const [socket] = await connection;
  assert.equal((await client.send(path)).body.toString(), `40{"sid":"${socket.id}"}`);
  return { client, opened, path, sid, socket };
}

for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
  test(`the client over HTTP/1.1 by ${transports.join(", then ")}`, async (t) => {
    const server = await serveHttp2(t);
    const connection = once(server.io, "connection");
    const client = server.client("/", { transports });
    await connected(client);
    const [socket] = await connection;
    if (transports.length > 1 && !socket.conn.upgraded) await once(socket.conn, "upgrade");
    assert.equal(socket.conn.transport.name, transports.at(-1));
    assert.equal(socket.request.httpVersion, "1.1");
    assert.equal(socket.handshake.secure, true);
    assert.equal(socket.handshake.address, "127.0.0.1");
    socket.on("echo", (data, reply) => reply(data));
    const data = Buffer.alloc(100_000, 1);
    assert.deepEqual(await client.timeout(LIMIT).emitWithAck("echo", data), data);
  });
}

test("polling over HTTP/2", async (t) => {
  const server = await serveHttp2(t, { cookie: true, cors: { origin: "https://example.com" } });
  server.io.engine.on("headers", (headers) => (headers["x-own"] = "1"));
  const headers = { origin: "https://example.com", "accept-encoding": "identity" };
  const { client, opened, path, sid, socket } = await pollingPair(server, { headers });
  assert.equal(opened.status, 200);
  assert.equal(opened.headers["access-control-allow-origin"], "https://example.com");
  assert.equal(opened.headers["x-own"], "1");
  assert.deepEqual(opened.headers["set-cookie"], [`io=${sid}; Path=/; HttpOnly; SameSite=Lax`]);
  assert.equal(socket.request.httpVersion, "2.0");
  assert.equal(socket.handshake.address, "127.0.0.1");
  assert.equal(socket.handshake.url, POLLING);
  assert.equal(socket.handshake.xdomain, true);
  assert.equal(socket.handshake.headers.origin, "https://example.com");

  socket.on("echo", (data, reply) => reply(data));
  await client.send(path, { method: "POST", body: '421["echo","é"]' });
  assert.equal((await client.send(path)).body.toString(), '431["é"]');
  const waiting = client.send(path);
  socket.emit("late", 1);
  assert.equal((await waiting).body.toString(), '42["late",1]');
});

test("errors over HTTP/2 are answered as over HTTP/1.1", async (t) => {
  const server = await serveHttp2(t, { maxHttpBufferSize: 1000 });
  const { client, path } = await pollingPair(server);
  const outcome = async (...args) => {
    const { status, body } = await client.send(...args);
    return [status, body.toString()];
  };
  assert.deepEqual(await outcome(`${POLLING}&sid=none`), [400, '{"code":1,"message":"Session ID unknown"}']);
  assert.deepEqual(await outcome("/socket.io/?EIO=4&transport=websocket"), [
    400,
    '{"code":3,"message":"Bad request"}',
  ]);
  assert.deepEqual(await outcome(path, { method: "PUT", body: "x" }), [500, ""]);
  assert.deepEqual(await outcome(path, { method: "POST", body: '42["ev"]' }), [200, "ok"]);
  assert.deepEqual(await outcome(path, { method: "POST", body: "4".repeat(1001) }), [413, ""]);
});

test("a poll over HTTP/2 that is cut ends the session", async (t) => {
  const server = await serveHttp2(t);
  const { client, path, socket } = await pollingPair(server);
  const disconnected = once(socket, "disconnect");
  const stream = client.start(path);
  stream.end();
  // the first of two GETs is there when the second is answered
  const { status } = await client.send(`${POLLING}&sid=none`);
  assert.equal(status, 400);
  stream.close(http2.constants.NGHTTP2_CANCEL);
  const [reason, error] = await disconnected;
  assert.equal(reason, "transport error");
  assert.equal(error.message, "poll connection closed prematurely");
});

test("a compressed answer over HTTP/2 leaves the session alone", { skip: isStock }, async (t) => {
  const server = await serveHttp2(t);
  const { client, path, socket } = await pollingPair(server);
  socket.emit("ev", "x".repeat(5000));
  const { headers, body } = await client.send(path, { headers: { "accept-encoding": "gzip" } });
  assert.equal(headers["content-encoding"], "gzip");
  assert.equal(zlib.gunzipSync(body).toString(), `42["ev","${"x".repeat(5000)}"]`);
  socket.emit("ev", 2);
  assert.equal((await client.send(path)).body.toString(), '42["ev",2]');
});

test("the bundle of the client over HTTP/2", async (t) => {
  const server = await serveHttp2(t);
  const { status, headers, body } = await connectHttp2(server).send("/socket.io/socket.io.js");
  assert.equal(status, 200);
  assert.match(headers["content-type"], /^application\/javascript/);
  assert.match(body.toString(), /Socket\.IO v4\.8/);
});
