"use strict";

// What becomes of events for clients that do not read as fast as they are sent to: `slowConsumer`, `maxOutboundTotal`.

const test = require("node:test");
const assert = require("node:assert/strict");
const { randomBytes } = require("node:crypto");
const { createServer } = require("node:http");
const { serve, sio, isStock, once, record, eventually } = require("./support/harness");

const OURS = { skip: isStock && "stock has no such option" };

const KB = 1024;
const FILLER = "x".repeat(10 * KB);

/** More than this does not wait besides what may: what the transport has, and what comes besides the filler. */
const SLACK = 200 * KB;

/** Stops, or goes on with, what a client reads. */
function setReading(client, isReading) {
  const { ws } = client.io.engine.transport;
  if (isReading) ws.resume();
  else ws.pause();
}

/** A client that has stopped reading, and to which more was sent than the kernel takes: events "n" with a count. */
async function stuckPair(t, options, how = {}) {
  const server = await serve(t, { pingInterval: 60_000, ...options }, { stream: how.stream });
  how.prepare?.(server);
  const pair = await server.pair(how.nsp);
  const { client, socket } = pair;
  const { conn } = socket;
  const got = record(client, "n");
  const slow = record(server.io.engine, "slow_consumer");
  const gone = record(socket, "disconnect");
  setReading(client, false);
  let sent = 0;
  const emit = (count, name = "n") => {
    for (let i = 0; i < count; i++) socket.emit(name, sent++, how.filler?.() ?? FILLER);
  };
  // who may not be dropped from may be given up at once
  while (conn.bufferedAmount === 0 && conn.readyState === "open") {
    emit(20);
    await new Promise(setImmediate);
  }
  // who does not read at all is waited for when the server closes
  const { ws } = client.io.engine.transport;
  server.keep({ destroy: () => ws.resume() });
  return { server, ...pair, conn, got, slow, gone, emit, sent: () => sent };
}

/** Waits until the worker has written what was emitted, or has tried to. */
async function turns() {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setTimeout(resolve, 5));
}

function numbersOf(got) {
  return got.list.map(([n]) => n);
}

function assertRising(numbers) {
  numbers.forEach((n, i) => assert.ok(i === 0 || n > numbers[i - 1], `${numbers[i - 1]}, then ${n}`));
}

for (const stream of ["http", "https", "duplex"]) {
  test(`drop-oldest: the last ones come, in order, over ${stream}`, OURS, async (t) => {
    const rule = { policy: "drop-oldest", maxBytes: 500 * KB };
    const { server, client, socket, conn, got, slow, emit, sent } = await stuckPair(
      t,
      { slowConsumer: rule },
      { stream },
    );
    for (let i = 0; i < 30; i++) {
      emit(20);
      await turns();
      assert.ok(conn.bufferedAmount < rule.maxBytes + SLACK, `${conn.bufferedAmount} bytes`);
    }
    await slow.until(1);
    const told = slow.list.map(([one, , outcome]) => [one === conn, outcome]);
    // a stream in JavaScript may take all that waits in one go, and then the client has caught up for a moment
    if (stream !== "duplex") assert.equal(told.length, 1);
    for (const one of told) assert.deepEqual(one, [true, "drop"]);
    const last = sent() - 1;
    setReading(client, true);
    await got.until((list) => list.at(-1)?.[0] === last);
    const numbers = numbersOf(got);
    assertRising(numbers);
    const lost = sent() - numbers.length;
    assert.ok(lost > 0, "some were dropped");
    assert.equal(server.io.metrics().engine.dropped.events, lost);
    // what waited was the last ones, without a gap
    const tail = numbers.slice(-40);
    assert.deepEqual(
      tail,
      tail.map((_, i) => last - tail.length + 1 + i),
    );
    assert.equal(socket.connected, true);
    // it has caught up: the next time is told again
    socket.emit("n", "again");
    await got.until((list) => list.at(-1)[0] === "again");
    assert.equal(conn.bufferedAmount, 0);
  });
}

test("drop-newest: what waits stays, what comes is dropped", OURS, async (t) => {
  const rule = { policy: "drop-newest", maxBytes: 300 * KB };
  const { client, conn, got, slow, emit, sent } = await stuckPair(t, { slowConsumer: rule });
  while (slow.list.length === 0) {
    emit(20);
    await turns();
  }
  emit(100);
  assert.ok(conn.bufferedAmount < rule.maxBytes + SLACK);
  const before = sent();
  setReading(client, true);
  await eventually(() => conn.bufferedAmount === 0, "it has caught up");
  emit(1);
  await got.until((list) => list.at(-1)?.[0] === before);
  const numbers = numbersOf(got);
  const count = numbers.length - 1;
  assert.deepEqual(
    numbers.slice(0, count),
    numbers.slice(0, count).map((_, i) => i),
  );
  assert.ok(count < before - 100, `${count} of ${before}`);
});

test(
  "latest: the last of each event, behind one another in the order in which they were sent",
  OURS,
  async (t) => {
    const { client, socket, conn, got, emit, sent } = await stuckPair(t, {
      slowConsumer: { policy: "latest" },
    });
    const log = [];
    client.onAny((name, n) => log.push([name, n]));
    await turns();
    for (let i = 0; i < 50; i++) {
      emit(5, "price");
      emit(5, "n");
      socket.emit("binary", sent(), Buffer.alloc(10 * KB, i));
      await turns();
      assert.ok(conn.bufferedAmount < SLACK, `${conn.bufferedAmount} bytes`);
    }
    emit(1, "price");
    const last = sent() - 1;
    setReading(client, true);
    await eventually(() => log.at(-1)?.[1] === last, "the last one");
    assertRising(numbersOf(got));
    assert.deepEqual(log.slice(-3), [
      ["n", last - 1],
      ["binary", last],
      ["price", last],
    ]);
    assert.equal(log.filter(([name]) => name === "price").length, 1);
    assert.equal(log.filter(([name]) => name === "binary").length, 1);
  },
);

test("what has an acknowledgement, and what is no event, is not dropped", OURS, async (t) => {
  const rule = { policy: "drop-oldest", maxBytes: 200 * KB };
  const { client, socket, got, slow, emit, sent } = await stuckPair(t, { slowConsumer: rule });
  client.on("question", (n, _filler, answer) => answer(n));
  await turns();
  const answers = [1, 2, 3].map((n) => {
    emit(30);
    return socket.emitWithAck("question", n, FILLER);
  });
  emit(100);
  await slow.until(1);
  const left = once(client, "disconnect");
  const last = sent() - 1;
  setReading(client, true);
  assert.deepEqual(await Promise.all(answers), [1, 2, 3]);
  await got.until((list) => list.at(-1)?.[0] === last);
  socket.disconnect();
  assert.equal((await left)[0], "io server disconnect");
});

test("a client for which only such things wait is given up, and sees why", OURS, async (t) => {
  const rule = { policy: "latest", maxBytes: 200 * KB };
  const { client, socket, conn, slow } = await stuckPair(t, { slowConsumer: rule });
  const ended = once(socket, "disconnect");
  const closed = once(client, "disconnect");
  for (let n = 0; n < 30; n++) socket.emit("question", FILLER, () => {});
  const [reason, description] = await ended;
  assert.deepEqual(
    [reason, description.message],
    ["transport error", "the client does not read what it is sent"],
  );
  const outcomes = slow.list.map(([one, , outcome]) => [one === conn, outcome]);
  assert.deepEqual(outcomes.at(-1), [true, "close"]);
  setReading(client, true);
  const [clientReason, details] = await closed;
  assert.equal(clientReason, "transport close");
  assert.deepEqual([details.context.code, details.context.reason], [1013, "slow consumer"]);
});

test("maxAge: a client that lets something wait for so long is given up", OURS, async (t) => {
  const { socket, slow, emit } = await stuckPair(t, { slowConsumer: { maxAge: 300 } });
  const ended = once(socket, "disconnect");
  emit(20);
  const start = performance.now();
  assert.equal((await ended)[0], "transport error");
  assert.ok(performance.now() - start > 200);
  assert.equal(slow.list[0][2], "close");
});

test("maxAge with a policy that drops: what is older does not come any more", OURS, async (t) => {
  const rule = { policy: "drop-oldest", maxAge: 200 };
  const { client, socket, got, emit, sent } = await stuckPair(t, { slowConsumer: rule });
  await turns();
  emit(10);
  const old = sent() - 1;
  await new Promise((resolve) => setTimeout(resolve, 300));
  emit(1);
  const last = sent() - 1;
  setReading(client, true);
  await got.until((list) => list.at(-1)?.[0] === last);
  assert.equal(numbersOf(got).includes(old), false);
  assert.equal(socket.connected, true);
});

test("a namespace and a socket have rules of their own", OURS, async (t) => {
  const prepare = ({ io }) => io.of("/prices").slowConsumer({ policy: "latest" });
  const { server, client, socket, conn, emit, sent } = await stuckPair(t, {}, { nsp: "/prices", prepare });
  await turns();
  emit(100);
  await turns();
  assert.ok(conn.bufferedAmount < SLACK, `${conn.bufferedAmount} bytes`);
  socket.slowConsumer({ policy: "drop-oldest", maxBytes: 500 * KB });
  emit(100);
  await turns();
  const bytes = conn.bufferedAmount;
  assert.ok(bytes > 400 * KB && bytes < 500 * KB + SLACK, `${bytes} bytes`);
  // the namespace's again
  socket.slowConsumer(null);
  emit(1);
  await turns();
  assert.ok(conn.bufferedAmount < SLACK, `${conn.bufferedAmount} bytes`);
  server.io.of("/prices").slowConsumer(null);
  emit(100);
  await turns();
  assert.ok(conn.bufferedAmount > 900 * KB, `${conn.bufferedAmount} bytes`);
  const got = record(client, "n");
  setReading(client, true);
  await got.until((list) => list.at(-1)?.[0] === sent() - 1);
  assertRising(numbersOf(got));
});

test("dynamic namespaces have the rule of their parent", OURS, async (t) => {
  const prepare = ({ io }) => io.of(/^\/room-\d+$/).slowConsumer({ policy: "latest" });
  const { conn, emit } = await stuckPair(t, {}, { nsp: "/room-7", prepare });
  await turns();
  emit(100);
  await turns();
  assert.ok(conn.bufferedAmount < SLACK, `${conn.bufferedAmount} bytes`);
});

test("broadcasts, compressed and not, to clients that read and that do not", OURS, async (t) => {
  const options = { slowConsumer: { policy: "drop-oldest", maxBytes: 300 * KB }, perMessageDeflate: true };
  // which does not become less by that
  const text = () => randomBytes(10 * KB).toString("base64");
  const { server, client, conn, got, slow } = await stuckPair(t, options, { filler: text });
  const others = await server.pairs(2);
  const heard = others.map((other) => record(other.client, "n"));
  let sent = 0;
  while (slow.list.length === 0 || sent < 50) {
    server.io.emit("n", `broadcast ${sent++}`, text());
    await Promise.all(heard.map((list) => list.until(sent)));
  }
  assert.ok(conn.bufferedAmount < 300 * KB + SLACK, `${conn.bufferedAmount} bytes`);
  setReading(client, true);
  await got.until((list) => list.at(-1)?.[0] === `broadcast ${sent - 1}`);
  for (const { list } of heard)
    assert.deepEqual(
      list.map(([n]) => n),
      list.map((_, i) => `broadcast ${i}`),
    );
});

test("a client that polls, between its GETs", OURS, async (t) => {
  const rule = { policy: "drop-oldest", maxBytes: 300 * KB };
  const server = await serve(t, { slowConsumer: rule });
  const { polling, socket } = await server.pollingPair();
  for (let n = 0; n < 100; n++) socket.emit("n", n, FILLER);
  await eventually(() => server.io.metrics().engine.dropped.events > 60, "some were dropped");
  assert.ok(socket.conn.bufferedAmount < rule.maxBytes + SLACK, `${socket.conn.bufferedAmount} bytes`);
  const { packets } = await polling.poll();
  const numbers = packets.map((packet) => JSON.parse(packet.slice(packet.indexOf("[")))[1]);
  assertRising(numbers);
  assert.equal(numbers.at(-1), 99);
  assert.equal(numbers.length, 100 - server.io.metrics().engine.dropped.events);
  // what comes while it asks is not held back
  const poll = polling.poll();
  await eventually(() => socket.conn.transport.writable, "a poll is open");
  socket.emit("n", "now");
  assert.deepEqual((await poll).packets, ['42["n","now"]']);
});

test("rules of namespaces are each for their own", OURS, async (t) => {
  const prepare = ({ io }) => io.of("/a").slowConsumer({ policy: "drop-oldest", maxAge: 50 });
  const { client, socket, got, emit, sent, slow } = await stuckPair(
    t,
    { slowConsumer: { policy: "drop-oldest", maxBytes: 500 * KB } },
    { prepare },
  );
  const a = client.io.socket("/a", {});
  setReading(client, true);
  await once(a, "connect");
  setReading(client, false);
  while (socket.conn.bufferedAmount === 0) {
    emit(20);
    await new Promise(setImmediate);
  }
  await turns();
  emit(5);
  const last = sent() - 1;
  await new Promise((resolve) => setTimeout(resolve, 100));
  const other = [...socket.nsp.server.of("/a").sockets.values()][0];
  other.emit("n", "late");
  // a rule that goes leaves what waits under others as it is
  other.disconnect();
  emit(100);
  await slow.until(1);
  setReading(client, true);
  await got.until((list) => list.at(-1)?.[0] === sent() - 1);
  assert.equal(socket.connected, true);
  assert.ok(last > 0);
});

test("plain messages of the engine, and those of another parser, are never dropped", OURS, async (t) => {
  const rule = { policy: "drop-oldest", maxBytes: 200 * KB };
  const parser = { ...require("socket.io-parser") };
  const { emit, slow, gone } = await stuckPair(t, { slowConsumer: rule, parser });
  emit(50);
  await gone.until(1);
  assert.equal(gone.list[0][0], "transport error");
  assert.equal(slow.list.at(-1)[2], "close");
});

test("an upgrade takes along what was held back", OURS, async (t) => {
  const rule = { policy: "drop-oldest", maxBytes: 300 * KB };
  const server = await serve(t, { slowConsumer: rule });
  server.io.on("connection", (socket) => {
    let n = 0;
    const timer = setInterval(() => {
      socket.emit("n", n++);
      if (n === 300) clearInterval(timer);
    }, 1);
  });
  const client = server.client("/", { transports: ["polling", "websocket"] });
  const got = record(client, "n");
  await got.until(300);
  assert.deepEqual(
    numbersOf(got),
    Array.from({ length: 300 }, (_, i) => i),
  );
  assert.equal(client.io.engine.transport.name, "websocket");
});

test("the callbacks of what is dropped are called, when what is not has left", OURS, async (t) => {
  const rule = { policy: "drop-oldest", maxBytes: 200 * KB };
  const { client, conn, slow, emit } = await stuckPair(t, { slowConsumer: rule });
  let called = 0;
  for (let i = 0; i < 50; i++) conn.send(`2["n",-1,"${FILLER}"]`, () => called++);
  const flushed = conn.flushed();
  emit(10);
  await slow.until(1);
  assert.equal(called, 0);
  setReading(client, true);
  await flushed;
  assert.equal(called, 50);
});

test("close() sends what was held back first", OURS, async (t) => {
  const rule = { policy: "drop-oldest", maxBytes: 500 * KB };
  const { client, conn, got, emit, sent } = await stuckPair(t, { slowConsumer: rule });
  emit(20);
  const last = sent() - 1;
  const closed = once(client, "disconnect");
  conn.close();
  setReading(client, true);
  await closed;
  assert.equal(numbersOf(got).at(-1), last);
});

test("maxOutboundTotal: the one for which most waits is given up", OURS, async (t) => {
  const { server, client, socket, conn, slow, emit } = await stuckPair(t, { maxOutboundTotal: 6000 * KB });
  const other = await server.pair();
  setReading(other.client, false);
  while (other.socket.conn.bufferedAmount === 0) {
    for (let i = 0; i < 20; i++) other.socket.emit("n", FILLER);
    await new Promise(setImmediate);
  }
  const ended = once(socket, "disconnect");
  while (socket.connected) {
    emit(20);
    await new Promise(setImmediate);
  }
  assert.equal((await ended)[0], "transport error");
  assert.deepEqual(
    slow.list.map(([one]) => one === conn),
    [true],
  );
  assert.equal(other.socket.connected, true);
  const got = record(other.client, "last");
  setReading(other.client, true);
  other.socket.emit("last");
  await got.until(1);
  setReading(client, true);
});

test("what is no such option is refused", OURS, async (t) => {
  const { Server } = sio;
  for (const [options, message] of [
    [{ slowConsumer: 5 }, '"slowConsumer" must be an object with policy, maxBytes, maxAge, not 5'],
    [
      { slowConsumer: { policy: "drop" } },
      `"slowConsumer.policy" must be one of "close", "drop-oldest", "drop-newest", "latest", not 'drop'`,
    ],
    [{ slowConsumer: { maxBytes: 0 } }, '"slowConsumer.maxBytes" must be a positive number of bytes, not 0'],
    [
      { slowConsumer: { maxAge: -1 } },
      '"slowConsumer.maxAge" must be a positive number of milliseconds, not -1',
    ],
    [{ maxOutboundTotal: "x" }, `the "maxOutboundTotal" option must be a positive number, not 'x'`],
  ]) {
    assert.throws(() => new Server(createServer(), options), { name: "TypeError", message });
  }
  const server = await serve(t);
  const { socket } = await server.pair();
  assert.throws(() => socket.slowConsumer({ policy: 1 }), TypeError);
  assert.throws(() => server.io.of("/x").slowConsumer(undefined), TypeError);
});

test(
  "what is held back from a client that polls can be seen, and is gone when it has asked",
  OURS,
  async (t) => {
    const server = await serve(t, { slowConsumer: { maxBytes: 10e6 }, transports: ["polling"] });
    const { polling, socket } = await server.pollingPair();
    for (let n = 0; n < 5; n++) socket.emit("held", "x".repeat(10_000));
    await eventually(() => socket.conn.bufferedAmount >= 50_000, "all of it waits");
    const { packets } = await polling.poll();
    assert.equal(packets.length, 5);
    await eventually(() => socket.conn.bufferedAmount === 0, "nothing waits");
  },
);
