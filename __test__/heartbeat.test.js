"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const {
  serve,
  isStock,
  once,
  record,
  eventually,
  within,
  deferred,
  RawWebSocket,
} = require("./support/harness");

const OURS = { skip: isStock && "about the inside of this package" };

test("the server pings, the client answers, and the session lives", async (t) => {
  const server = await serve(t, { pingInterval: 20, pingTimeout: 1000 });
  const { ws, socket, log } = await server.rawPair();
  const heartbeats = record(socket.conn, "heartbeat");
  for (let i = 0; i < 5; i++) {
    assert.equal(await ws.next(), "2");
    ws.text("3");
  }
  await heartbeats.until(5);
  assert.deepEqual(log, []);
});

// Times are measured from before the server can have started its timer, so that a busy machine only adds to them.

test("the first ping comes after pingInterval, not before", async (t) => {
  const server = await serve(t, { pingInterval: 100, pingTimeout: 5000 });
  const started = performance.now();
  const ws = await RawWebSocket.open(server);
  assert.equal(await ws.next(), "2");
  const waited = performance.now() - started;
  assert.ok(waited >= 98, `${waited} ms`);
});

test("the next ping comes an interval after the answer", async (t) => {
  const server = await serve(t, { pingInterval: 100, pingTimeout: 5000 });
  const ws = await RawWebSocket.open(server);
  assert.equal(await ws.next(), "2");
  await new Promise((resolve) => setTimeout(resolve, 80));
  const answered = performance.now();
  ws.text("3");
  assert.equal(await ws.next(), "2");
  const waited = performance.now() - answered;
  assert.ok(waited >= 98, `${waited} ms`);
});

test("a client that does not answer is dropped after pingTimeout", async (t) => {
  const server = await serve(t, { pingInterval: 100, pingTimeout: 200 });
  const started = performance.now();
  const { ws, closed } = await server.rawSession();
  assert.equal(await ws.next(), "2");
  assert.equal((await closed)[0], "ping timeout");
  const waited = performance.now() - started;
  assert.ok(waited >= 298, `${waited} ms`);
  assert.deepEqual(await ws.closed(), { code: null, reason: "", end: "FIN" });
  assert.equal(ws.messages.length, 2);
});

test("a client that vanished without closing is dropped too", async (t) => {
  const server = await serve(t, { pingInterval: 100, pingTimeout: 200 });
  const { ws, disconnected } = await server.rawPair();
  ws.socket.pause();
  assert.deepEqual(await disconnected, ["ping timeout", undefined]);
  await eventually(() => server.io.engine.clientsCount === 0, "the session is gone");
});

test("another packet extends the wait for the answer, but only once", async (t) => {
  const server = await serve(t, { pingInterval: 50, pingTimeout: 400, connectTimeout: 60_000 });
  const started = performance.now();
  const { ws, closed } = await server.rawSession();
  assert.equal(await ws.next(), "2");
  const timer = setInterval(() => ws.text("6"), 200);
  t.after(() => clearInterval(timer));
  // if each packet extended it, this would never come
  assert.equal((await closed)[0], "ping timeout");
  const waited = performance.now() - started;
  assert.ok(waited >= 50 + 200 + 400 - 5, `${waited} ms`);
});

test("the stock client answers over polling and over WebSocket", async (t) => {
  const server = await serve(t, { pingInterval: 20, pingTimeout: 1000 });
  for (const transport of ["polling", "websocket"]) {
    const { client, socket } = await server.pair("/", { transports: [transport] });
    await record(socket.conn, "heartbeat").until(4);
    assert.equal(client.connected, true);
    client.disconnect();
  }
});

test("heartbeats by long-polling on the wire", async (t) => {
  const server = await serve(t, { pingInterval: 20, pingTimeout: 1000 });
  const { polling, conn } = await server.pollingSession();
  const heartbeats = record(conn, "heartbeat");
  for (let i = 0; i < 3; i++) {
    assert.equal(await polling.next(), "2");
    assert.equal((await polling.post("3")).body, "ok");
  }
  assert.equal(heartbeats.list.length, 3);
});

test("a polling client that stops polling is dropped", async (t) => {
  const server = await serve(t, { pingInterval: 100, pingTimeout: 200 });
  const { polling, closed } = await server.pollingSession();
  assert.equal((await closed)[0], "ping timeout");
  const answer = await polling.poll();
  assert.deepEqual(answer.json, { code: 1, message: "Session ID unknown" });
});

test("a closing session whose client does not poll ends like any whose client is gone", async (t) => {
  const server = await serve(t, { pingInterval: 50, pingTimeout: 100 });
  const started = performance.now();
  const { polling, conn, closed } = await server.pollingSession();
  conn.on("packet", () => assert.fail("a packet after close()"));
  conn.close();
  assert.equal((await polling.post("3")).body, "ok");
  assert.equal((await closed)[0], "ping timeout");
  const waited = performance.now() - started;
  assert.ok(waited >= 148, `${waited} ms`);
});

test("a client that hangs up when its answer is overdue has timed out", async (t) => {
  const server = await serve(t, { pingInterval: 50, pingTimeout: 100 });
  const { polling, closed } = await server.pollingSession();
  assert.equal(await polling.next(), "2");
  polling.post("1").catch(() => {});
  // the server reads it late, and finds a timer due at the same time
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  assert.equal((await closed)[0], "ping timeout");
});

test("an answer nobody asked for does no harm", async (t) => {
  const server = await serve(t);
  const { ws, socket, log } = await server.rawPair();
  ws.text("3");
  ws.text("3probe");
  const got = once(socket, "ev");
  ws.text('42["ev"]');
  await got;
  assert.deepEqual(log, []);
});

test("packet and packetCreate show pings and pongs to who listens", async (t) => {
  const server = await serve(t, { pingInterval: 20, pingTimeout: 1000 });
  const logs = {};
  // from the first moment on: a ping comes soon
  server.io.engine.once("connection", (conn) => {
    for (const event of ["packetCreate", "packet"]) logs[event] = record(conn, event);
  });
  const { ws } = await server.rawSession();
  const { packetCreate: created, packet: received } = logs;
  assert.equal(await ws.next(), "2");
  ws.text("3");
  await received.until(1);
  assert.equal(created.list[0][0].type, "ping");
  assert.equal(received.list[0][0].type, "pong");
});

test("a client whose stream rests is judged when it rests no more", OURS, async (t) => {
  const { Batch, drain } = require("../lib/native/events");
  const { events, words } = require("../lib/native/codes");
  const batches = [[events.CHECK_ALIVE, 1], []];
  const native = {
    drain(bytes) {
      const next = batches.shift();
      const target = new Uint32Array(bytes.buffer);
      target.set([next.length, 0, 0]);
      target.set(next, words.DRAIN_HEAD);
      return "";
    },
  };
  const stream = {};
  let restsFor = 10;
  const isResting = (it) => it === stream && restsFor-- > 0;
  const judged = deferred();
  const commands = { flush() {}, alive: judged.resolve };
  // only the process of the tests has nothing else to live on
  const alive = setInterval(() => {}, 1000);
  t.after(() => clearInterval(alive));
  drain({ native, isResting, conns: new Map([[1, { _stream: stream }]]), batch: new Batch(), commands });
  assert.equal(await within(judged.promise, "the answer"), 1);
  assert.ok(restsFor < 0, `${restsFor} more turns for which its stream rests`);
});

test("many clients all keep their heartbeat", async (t) => {
  const server = await serve(t, { pingInterval: 50, pingTimeout: 2000 });
  const pairs = await server.pairs(30);
  await Promise.all(pairs.map(({ socket }) => record(socket.conn, "heartbeat").until(4)));
  assert.ok(pairs.every(({ client, socket }) => client.connected && socket.connected));
});

test("a WebSocket-level ping is answered with its payload, and is no heartbeat", async (t) => {
  const server = await serve(t);
  const { ws, conn } = await server.rawSession();
  const heartbeats = record(conn, "heartbeat");
  for (const payload of ["", "abc", "x".repeat(125)]) {
    const before = ws.frames.length;
    ws.frame({ opcode: 9, payload });
    await ws.changes.until(() => ws.frames.length > before);
    const { opcode, payload: answer } = ws.frames[before];
    assert.deepEqual([opcode, answer.toString()], [10, payload]);
  }
  assert.equal(heartbeats.list.length, 0);
});

test("a ping that a blocked event loop has kept back counts from when it leaves", OURS, async (t) => {
  const server = await serve(t, { pingInterval: 100, pingTimeout: 400 }, { stream: "duplex" });
  const { ws, socket, log } = await server.rawPair();
  const heartbeat = once(socket.conn, "heartbeat");
  // the ping is due, and its time would be over
  const until = performance.now() + 700;
  while (performance.now() < until);
  assert.equal(await ws.next(), "2");
  // a client that takes its time, but not too much of it
  setTimeout(() => ws.text("3"), 200);
  await heartbeat;
  assert.deepEqual(log, []);
});
