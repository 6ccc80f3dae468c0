"use strict";

// The status page: who may see it, and what it shows.

const test = require("node:test");
const assert = require("node:assert/strict");
const { createHash } = require("node:crypto");
const http = require("node:http");
const { RawPolling, RawWebSocket, eventually, isStock, request, serve, sio } = require("./support/harness");

const OURS = { skip: isStock && "stock has none" };

const basic = (text) => ({ authorization: `Basic ${Buffer.from(text).toString("base64")}` });

/** A server with a status page, over HTTP. */
async function withStatus(t, auth, options) {
  const server = await serve(t, options, { stream: "http" });
  assert.equal(server.io.serveStatus("/status/", { auth }), server.io);
  return { server, get: (path, headers) => request(server, { path, headers }) };
}

test("who may see it has to be said", OURS, async (t) => {
  const { io } = await serve(t, {}, { stream: "http" });
  for (const options of [
    undefined,
    {},
    { auth: true },
    { auth: { username: "a" } },
    { auth: { username: "a", password: "" } },
  ]) {
    assert.throws(() => io.serveStatus("/status", options), {
      name: "TypeError",
      message: /^serveStatus\(\) wants to know who may see it: auth is /,
    });
  }
  assert.throws(() => io.serveStatus("status", { auth: false }), /wants a path that begins with a slash/);
  for (const path of ["/", "//", "/socket.io", "/socket.io/status"]) {
    assert.throws(() => io.serveStatus(path, { auth: false }), /wants a path of its own/);
  }
  assert.throws(() => new sio.Server().serveStatus("/status", { auth: false }), /needs an HTTP server/);
});

test("with a name and a password", OURS, async (t) => {
  const { get } = await withStatus(t, { username: "admin", password: "open:sesame" });
  for (const headers of [
    {},
    basic("admin:wrong"),
    basic("other:open:sesame"),
    { authorization: "Bearer x" },
    basic(""),
  ]) {
    for (const path of ["/status", "/status/data"]) {
      const { status, headers: answered, body } = await get(path, headers);
      assert.equal(status, 401);
      assert.match(answered["www-authenticate"], /^Basic /);
      assert.equal(body, "Unauthorized");
    }
  }
  assert.equal((await get("/status", basic("admin:open:sesame"))).status, 200);
  assert.equal((await get("/status/data", basic("admin:open:sesame"))).json.pid, process.pid);
});

test("by a function, which may take its time, throw, or answer by itself", OURS, async (t) => {
  const { get } = await withStatus(t, async (req) => {
    await new Promise(setImmediate);
    if (req.headers.cookie === "bad") throw new Error("no");
    return req.headers.cookie === "good" || (req.headers.cookie === "truthy" && 1);
  });
  assert.equal((await get("/status", { cookie: "good" })).status, 200);
  for (const cookie of ["bad", "truthy", "none"]) {
    const { status, body } = await get("/status/data", { cookie });
    assert.deepEqual([status, body], [403, "Forbidden"]);
  }
});

test("a status that cannot be told is an error of the server, and ends nothing", OURS, async (t) => {
  for (const auth of [false, async () => true]) {
    const { server, get } = await withStatus(t, auth);
    server.io.metrics = () => {
      throw new Error("broken");
    };
    const { status, body } = await get("/status/data", {});
    assert.deepEqual([status, body], [500, "The status cannot be told: broken"]);
    assert.equal((await get("/status", {})).status, 200);
  }
});

test("other requests are whose they were, and the engine's roads stay open", OURS, async (t) => {
  const { server, get } = await withStatus(t, false);
  assert.equal((await get("/status", {})).status, 200);
  assert.equal((await get("/status/", {})).status, 200);
  assert.equal((await get("/status?x=1", {})).status, 200);
  assert.equal((await get("/status/other", {})).status, 404);
  assert.equal((await request(server, { method: "POST", path: "/status" })).status, 405);
  assert.equal((await get("/socket.io/?EIO=4&transport=polling", {})).body[0], "0");
  assert.equal((await get("/socket.io/socket.io.js", {})).status, 200);
  const reasons = JSON.stringify(server.io.engine._roads());
  assert.doesNotMatch(reasons, /others listen for request/);
  server.httpServer.on("request", (req, res) => {
    if (req.url === "/statuses") res.end("mine");
  });
  assert.equal((await get("/statuses", {})).body, "mine");
});

test("the page needs nothing else, and no other script can run in it", OURS, async (t) => {
  const { get } = await withStatus(t, false);
  const { body, headers } = await get("/status", {});
  assert.match(headers["content-type"], /^text\/html/);
  assert.equal(headers["cache-control"], "no-store");
  assert.doesNotMatch(body, /https?:\/\/|<link|<img|src=|innerHTML|<script [^>]/);
  const [, script] = /<script>([^]*)<\/script>/.exec(body);
  const digest = createHash("sha256").update(script).digest("base64");
  assert.ok(headers["content-security-policy"].includes(`script-src 'sha256-${digest}'`));
  assert.match(body, /prefers-color-scheme: dark/);
  assert.match(body, /name="viewport"/);
});

test("it tells of metrics, rooms, connections, and what has happened to them", OURS, async (t) => {
  const { server, get } = await withStatus(t, false, { trace: true });
  const [one, two] = await Promise.all([0, 1].map(() => RawWebSocket.connect(server)));
  const sockets = [...server.io.sockets.sockets.values()];
  sockets.forEach((socket) => socket.join("<b>room</b>"));
  sockets[0].join("alone");
  const { json: before } = await get("/status/data", {});
  assert.deepEqual(before.rooms, [
    { namespace: "/", name: "<b>room</b>", size: 2 },
    { namespace: "/", name: "alone", size: 1 },
  ]);
  assert.equal(before.metrics.engine.sessions.open.websocket, 2);
  assert.equal(before.connections.length, 2);
  assert.deepEqual(
    before.connections[0].steps.map(({ event }) => event),
    ["opened", "joined"],
  );
  assert.equal(before.connections[0].transport, "websocket");
  assert.deepEqual(before.ended, []);
  one.destroy();
  while (server.io.engine.clientsCount !== 1) await new Promise(setImmediate);
  const { json: after } = await get("/status/data", {});
  const [{ steps }] = after.ended;
  assert.deepEqual(
    steps.map(({ event }) => event),
    ["opened", "joined", "left", "closed"],
  );
  assert.equal(steps.at(-1).details.reason, "transport close");
  two.destroy();
});

test("the connections come first for which most waits", OURS, async (t) => {
  const { server, get } = await withStatus(t, false, { pingInterval: 60_000 });
  // those that poll have it waiting until they ask for it
  for (const size of [1000, 3000, 0, 2000]) {
    const { sid } = await RawPolling.open(server);
    if (size > 0) server.io.engine.clients[sid].send("x".repeat(size));
  }
  const waiting = () => Object.values(server.io.engine.clients).map((conn) => conn.bufferedAmount);
  await eventually(() => waiting().filter((bytes) => bytes >= 1000).length === 3, "it waits");
  const { json } = await get("/status/data", {});
  assert.deepEqual(
    json.connections.map((row) => Math.floor(row.waiting / 1000)),
    [3, 2, 1, 0],
  );
});

test("with a server on several HTTP servers it is on the last", OURS, async (t) => {
  const io = new sio.Server();
  const [first, last] = [http.createServer(), http.createServer()];
  t.after(() => io.close());
  t.after(() => first.close());
  io.attach(first);
  io.attach(last);
  io.serveStatus("/status", { auth: false });
  const answers = await Promise.all(
    [first, last].map(async (server) => {
      server.on("request", (req, res) => res.headersSent || res.writeHead(404).end());
      await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
      return (await request({ port: server.address().port }, { path: "/status" })).status;
    }),
  );
  assert.deepEqual(answers, [404, 200]);
});
