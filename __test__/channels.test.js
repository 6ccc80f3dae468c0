"use strict";

// What the channels of diagnostics_channel tell.

const test = require("node:test");
const assert = require("node:assert/strict");
const diagnostics = require("node:diagnostics_channel");
const { serve, isStock, once, eventually, RawWebSocket } = require("./support/harness");

const OURS = { skip: isStock && "stock has none" };

/** What is published on a channel until the test ends. */
function listen(t, name) {
  const messages = [];
  const onMessage = (message) => messages.push(message);
  diagnostics.subscribe(`sockeye.io:${name}`, onMessage);
  t.after(() => diagnostics.unsubscribe(`sockeye.io:${name}`, onMessage));
  return messages;
}

test("connections and disconnections", OURS, async (t) => {
  const [joined, left] = [listen(t, "connection"), listen(t, "disconnection")];
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  assert.deepEqual(joined, [{ socket }]);
  assert.deepEqual(left, []);
  const ended = once(socket, "disconnect");
  ws.destroy();
  const [reason, description] = await ended;
  assert.deepEqual(left, [{ socket, reason, description }]);
});

test("refusals", OURS, async (t) => {
  const refusals = listen(t, "refusal");
  const server = await serve(t);
  const refused = once(server.io.engine, "connection_error");
  await fetch(`${server.url}/socket.io/?EIO=4&transport=polling&sid=nobody`);
  const [told] = await refused;
  assert.deepEqual(refusals, [{ engine: server.io.engine, ...told }]);
  assert.equal(told.code, 1);
});

test("slow consumers", OURS, async (t) => {
  const slow = listen(t, "slow-consumer");
  const server = await serve(t, { maxOutboundBuffer: 1_000_000 });
  const { ws, socket } = await server.rawPair();
  const { conn } = socket;
  ws.socket.pause();
  while (slow.length === 0) {
    socket.emit("much", "x".repeat(500_000));
    await new Promise(setImmediate);
  }
  assert.equal(slow[0].engine, server.io.engine);
  assert.equal(slow[0].conn, conn);
  assert.ok(slow[0].bytes > 1_000_000);
});

test("servers and engines", OURS, async (t) => {
  const [attached, bound] = [listen(t, "attach"), listen(t, "bind")];
  const { io } = await serve(t);
  await eventually(() => attached.length === 1, "the engine is attached");
  assert.equal(attached[0].engine, io.engine);
  assert.equal(attached[0].path, "/socket.io/");
  assert.deepEqual(bound, [{ io, engine: io.engine }]);
});

test("nothing is made for a channel without subscribers", OURS, async (t) => {
  const server = await serve(t);
  const ws = await RawWebSocket.connect(server);
  assert.equal(diagnostics.hasSubscribers("sockeye.io:disconnection"), false);
  ws.text("41");
  await eventually(() => server.io.sockets.sockets.size === 0, "the socket has left");
});
