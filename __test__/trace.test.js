"use strict";

// The option `trace`: what has happened to a connection.

const test = require("node:test");
const assert = require("node:assert/strict");
const http = require("node:http");
const { CLOSE, closePayload } = require("./support/raw-websocket");
const { RawWebSocket, eventually, isStock, once, serve, sio } = require("./support/harness");

const OURS = { skip: isStock && "stock has none" };

const names = (steps) => steps.map(({ event }) => event);

test("without the option nothing is kept", OURS, async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  assert.deepEqual(socket.conn.trace(), []);
  ws.destroy();
  await eventually(() => server.io.engine.clientsCount === 0, "it has ended");
  assert.deepEqual(server.io.engine.traces(), []);
});

test("a connection that upgrades, joins two namespaces, and is closed", OURS, async (t) => {
  const server = await serve(t, { trace: true });
  server.io.of("/chat").on("connection", () => {});
  const before = Date.now();
  const { client, socket } = await server.pair("/", { transports: ["polling", "websocket"] });
  const { conn } = socket;
  await eventually(() => conn.upgraded, "the upgrade is done");
  const joined = once(server.io.of("/chat"), "connection");
  client.io.socket("/chat");
  await joined;
  assert.deepEqual(names(conn.trace()), ["opened", "joined", "upgraded", "joined"]);
  const [opened, first, , second] = conn.trace();
  assert.deepEqual(opened.details, { transport: "polling", protocol: 4 });
  assert.deepEqual(first.details, { namespace: "/", id: socket.id });
  assert.equal(second.details.namespace, "/chat");
  for (const { at } of conn.trace()) assert.ok(at >= before && at <= Date.now());
  const gone = once(client, "disconnect");
  socket.disconnect(true);
  await gone;
  const [{ address, steps }] = server.io.engine.traces();
  assert.equal(address, conn.remoteAddress);
  assert.deepEqual(names(steps).slice(-3).sort(), ["closed", "left", "left"]);
  assert.deepEqual(steps.find(({ event }) => event === "left").details, {
    namespace: "/",
    reason: "server namespace disconnect",
  });
});

test("why: a limit, a middleware, a client that does not read", OURS, async (t) => {
  const server = await serve(t, { trace: true, maxIdleTime: 100, maxOutboundBuffer: 1_000_000 });
  server.io.of("/closed").use((socket, next) => next(new Error("not you")));
  const ws = await RawWebSocket.connect(server);
  ws.text("40/closed,");
  await ws.changes.until(() => ws.messages.some((message) => message.startsWith("44/closed")));
  await ws.closed();
  await eventually(() => server.io.engine.traces().length === 1, "it has ended");
  const [{ steps }] = server.io.engine.traces();
  assert.deepEqual(names(steps), ["opened", "joined", "refused", "limit", "left", "closed"]);
  assert.deepEqual(steps[2].details, { namespace: "/closed", message: "not you" });
  assert.deepEqual(steps[3].details, { limit: "maxIdleTime" });
});

test("why: the code and the last heartbeat of a client that has closed its WebSocket", OURS, async (t) => {
  const server = await serve(t, { trace: true, pingInterval: 30 });
  const { ws, socket, disconnected } = await server.rawPair();
  await ws.changes.until(() => ws.messages.includes("2"));
  ws.text("3");
  await eventually(() => socket.conn.lastHeartbeatAt !== undefined, "the pong has come");
  const { lastHeartbeatAt } = socket.conn;
  ws.frame({ opcode: CLOSE, payload: closePayload(4000, "") });
  await disconnected;
  const { details } = socket.conn.trace().at(-1);
  const { reason, closeCode, roundTripTime } = details;
  assert.deepEqual([reason, closeCode, details.lastHeartbeatAt], ["transport close", 4000, lastHeartbeatAt]);
  assert.ok(roundTripTime >= 0 && roundTripTime < 5000, String(roundTripTime));
});

test(
  "no more is kept than was asked for: of a connection how it began and the last things",
  OURS,
  async (t) => {
    const server = await serve(t, { trace: { events: 3, connections: 2 } });
    for (let n = 0; n < 4; n++) server.io.of(`/${n}`);
    for (let round = 0; round < 3; round++) {
      const ws = await RawWebSocket.connect(server);
      for (let n = 0; n < 4; n++) ws.text(`40/${n},`);
      await ws.changes.until(() => ws.messages.filter((message) => message.startsWith("40/")).length === 4);
      ws.destroy();
      await eventually(() => server.io.engine.clientsCount === 0, "it has ended");
    }
    const ended = server.io.engine.traces();
    assert.equal(ended.length, 2);
    assert.deepEqual(names(ended[0].steps), ["opened", "left", "closed"]);
  },
);

test("options that make no sense are refused", OURS, () => {
  for (const trace of [{ events: 0 }, { connections: 1.5 }, { events: "many" }]) {
    assert.throws(() => new sio.Server(http.createServer(), { trace }), {
      name: "TypeError",
      message: /^trace\.(events|connections) is .*, not a positive integer$/,
    });
  }
});
