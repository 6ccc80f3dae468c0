"use strict";

const assert = require("node:assert/strict");
const test = require("node:test");
const { serve, connected, once, RawWebSocket } = require("./support/harness");
const { startRequest } = require("./support/raw-polling");

test("a POST that is still arriving when the session upgrades does no harm", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const query = `EIO=4&transport=polling&sid=${polling.sid}`;
  const post = startRequest(server, {
    method: "POST",
    path: `/socket.io/?${query}`,
    headers: { "Content-Type": "text/plain", "Content-Length": 10 },
  });
  const cut = once(post, "error");
  post.write("42[");
  const ws = await RawWebSocket.upgrade(server, {
    query: `EIO=4&transport=websocket&sid=${polling.sid}`,
  });
  ws.text("2probe");
  assert.equal(await ws.next(), "3probe");
  const upgraded = once(socket.conn, "upgrade");
  ws.text("5");
  await upgraded;
  await cut;
  socket.emit("alive");
  assert.equal(await ws.next(), '42["alive"]');
});

test("socket.request stays the first request over an upgrade", async (t) => {
  const server = await serve(t);
  server.io.use((socket, next) => {
    socket.request.user = "ann";
    next();
  });
  const joined = once(server.io, "connection");
  await connected(server.client("/", { transports: ["polling", "websocket"] }));
  const [socket] = await joined;
  if (socket.conn.transport.name === "polling") await once(socket.conn, "upgrade");
  assert.equal(socket.request.user, "ann");
  assert.equal(socket.handshake.query.transport, "polling");
});

for (const members of [2, 20]) {
  test(`a listener that throws at the end of a connection leaks no broadcasts: room of ${members}`, async (t) => {
    const server = await serve(t);
    const { io } = server;
    const uncaught = [];
    const previous = process.listeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.on("uncaughtException", (error) => uncaught.push(error.message));
    t.after(() => {
      process.removeAllListeners("uncaughtException");
      for (const listener of previous) process.on("uncaughtException", listener);
    });
    const pairs = [];
    for (let i = 0; i < members; i++) {
      const pair = await server.pair("/", { transports: ["websocket"] });
      pair.socket.join("secret");
      pairs.push(pair);
    }
    io.to("secret").emit("warm up");
    const { client, socket } = pairs.pop();
    socket.on("disconnecting", () => {
      throw new Error("bug in the application");
    });
    // it is called for the DISCONNECT packet, and again when the connection ends
    const gone = new Promise((resolve) => {
      process.on("uncaughtException", () => uncaught.length === 2 && resolve());
    });
    client.disconnect();
    await gone;
    const outsider = await server.pair("/", { transports: ["websocket"] });
    const heard = [];
    outsider.client.onAny((event) => heard.push(event));
    io.to("secret").emit("secret");
    outsider.socket.emit("last");
    await once(outsider.client, "last");
    assert.deepEqual(heard, ["last"]);
    assert.deepEqual(uncaught, Array(2).fill("bug in the application"));
  });
}

test("half a character at the end of a message does not touch the next message", async (t) => {
  const server = await serve(t);
  const first = await server.rawSession();
  const second = await server.rawSession();
  const third = await server.rawSession();
  await Promise.all([first, second, third].map(({ ws }) => ws));
  first.conn.send("x\ud83d");
  second.conn.send("\ude00y");
  third.conn.send("z");
  assert.equal(await first.ws.next(), "4x\ufffd");
  assert.equal(await second.ws.next(), "4\ufffdy");
  assert.equal(await third.ws.next(), "4z");
});
