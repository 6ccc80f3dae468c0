"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { serve, connected, request, RawPolling, RawWebSocket } = require("./support/harness");

const APP = { requestListener: (req, res) => res.writeHead(418).end("the app") };

// a stream that does not count what was written is never ended
const HTTP = { stream: "http" };

test("path: only requests below it belong to the engine", async (t) => {
  const server = await serve(t, { path: "/own/path" }, APP);
  const polling = await RawPolling.connect(server, { path: "/own/path/" });
  assert.ok(polling.id);
  const ws = await RawWebSocket.connect(server, { path: "/own/path/" });
  assert.ok(ws.id);
  const answer = await request(server, { path: "/socket.io/?EIO=4&transport=polling" });
  assert.deepEqual([answer.status, answer.body], [418, "the app"]);
});

test("path with a slash at the end means the same", async (t) => {
  const server = await serve(t, { path: "/own/path/" }, APP);
  assert.equal(server.io.path(), "/own/path");
  assert.ok((await RawPolling.open(server, { path: "/own/path/" })).sid);
});

test("the stock client with a path", async (t) => {
  const server = await serve(t, { path: "/own" });
  for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
    const { client } = await server.pair("/", { path: "/own", transports });
    assert.equal(client.connected, true);
  }
});

test("without a slash at the end the request is not the engine's", async (t) => {
  const server = await serve(t, {}, APP);
  const answer = await request(server, { path: "/socket.io?EIO=4&transport=polling" });
  assert.deepEqual([answer.status, answer.body], [418, "the app"]);
});

test("addTrailingSlash: false accepts requests without one", async (t) => {
  const server = await serve(t, { addTrailingSlash: false }, APP);
  assert.ok((await RawPolling.open(server, { path: "/socket.io" })).sid);
  const { client } = await server.pair("/", { addTrailingSlash: false });
  assert.equal(client.connected, true);
});

test("anything below the path is the engine's", async (t) => {
  const server = await serve(t, {}, APP);
  assert.ok((await RawPolling.open(server, { path: "/socket.io/anything/else" })).sid);
});

test("the getter and setter io.path()", async (t) => {
  const server = await serve(t);
  assert.equal(server.io.path(), "/socket.io");
  assert.equal(server.io.path("/other/"), server.io);
  assert.equal(server.io.path(), "/other");
});

test("an upgrade on another path is silent, then ended", async (t) => {
  const server = await serve(t, { destroyUpgradeTimeout: 50 }, HTTP);
  const ws = await RawWebSocket.upgrade(server, { path: "/elsewhere" });
  assert.equal(ws.status, null);
  assert.equal(ws.end, "FIN");
  assert.equal(ws.received.length, 0);
});

test("an upgrade on another path ends after a second", async (t) => {
  const server = await serve(t, {}, HTTP);
  const started = Date.now();
  const ws = await RawWebSocket.upgrade(server, { path: "/elsewhere" });
  const waited = Date.now() - started;
  assert.equal(ws.end, "FIN");
  assert.ok(waited >= 900 && waited < 8000, `${waited} ms`);
});

test("destroyUpgrade: false leaves such an upgrade to others", async (t) => {
  const server = await serve(t, { destroyUpgrade: false, destroyUpgradeTimeout: 10 });
  server.httpServer.on("upgrade", (req, socket) => {
    if (req.url === "/mine") {
      setTimeout(() => socket.end("HTTP/1.1 299 Mine\r\n\r\n"), 40);
    }
  });
  const ws = await RawWebSocket.upgrade(server, { path: "/mine", query: "" });
  assert.equal(ws.status, 299);
});

test("another upgrade listener that answers keeps its connection", async (t) => {
  const server = await serve(t, { destroyUpgradeTimeout: 20 }, HTTP);
  server.httpServer.on("upgrade", (req, socket) => {
    if (req.url === "/mine") {
      socket.write("HTTP/1.1 101 Mine\r\n\r\n");
      socket.on("data", (chunk) => socket.write(chunk));
      socket.on("end", () => socket.end());
    }
  });
  const mine = await RawWebSocket.upgrade(server, { path: "/mine", query: "" });
  assert.equal(mine.status, 101);
  // this one is ended by the timeout, and so later than the other would have been
  const silent = await RawWebSocket.upgrade(server, { path: "/nobody" });
  assert.equal(silent.end, "FIN");
  const before = mine.frames.length;
  mine.write(Buffer.from([0x81, 0x02, 0x68, 0x69]));
  await mine.changes.until(() => mine.frames.length > before);
  assert.equal(mine.frames[0].payload.toString(), "hi");
});

test("the app's own routes are served while sessions run", async (t) => {
  const server = await serve(t, {}, APP);
  const client = await connected(server.client());
  assert.equal((await request(server, { path: "/" })).body, "the app");
  assert.equal(client.connected, true);
});
