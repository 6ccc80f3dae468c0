"use strict";

// What a connection knows of itself: what waits, round-trip times, bytes, since when; and `flushed()`.

const test = require("node:test");
const assert = require("node:assert/strict");
const { serve, isStock, once, eventually, RawPolling, RawWebSocket } = require("./support/harness");
const { CLOSE, closePayload } = require("./support/raw-websocket");

const OURS = { skip: isStock && "stock has none of it" };

const MB = 1024 * 1024;

/** The time of the next event, in turns of the event loop. */
const turn = () => new Promise(setImmediate);

for (const stream of ["http", "https", "duplex"]) {
  test(`bytes that wait, over ${stream}`, OURS, async (t) => {
    const server = await serve(t, { pingInterval: 60_000 }, { stream });
    const { ws, socket } = await server.rawPair();
    const { conn } = socket;
    assert.equal(conn.bufferedAmount, 0);
    ws.socket.pause();
    for (let n = 0; n < 30; n++) socket.emit("n", n, "x".repeat(MB));
    await eventually(() => conn.bufferedAmount > 4 * MB, "bytes wait");
    ws.socket.resume();
    await ws.count(31);
    await eventually(() => conn.bufferedAmount === 0, "none wait");
  });
}

test("bytes that wait for the next GET", OURS, async (t) => {
  const server = await serve(t, { pingInterval: 60_000 });
  const joined = once(server.io, "connection");
  const client = await RawPolling.connect(server);
  const [{ conn }] = await joined;
  conn.send("x".repeat(1000));
  await eventually(() => conn.bufferedAmount >= 1000, "it waits");
  assert.equal((await client.next()).length, 1001);
  await eventually(() => conn.bufferedAmount === 0, "it has left");
});

test("what waited for a GET does not after the upgrade", OURS, async (t) => {
  const server = await serve(t, { pingInterval: 60_000 });
  const joined = once(server.io, "connection");
  const { client } = await server.pair("/", { transports: ["polling", "websocket"] });
  const [{ conn }] = await joined;
  client.on("n", () => {});
  while (!conn.upgraded) {
    conn.send('2["n"]');
    await turn();
  }
  await eventually(() => conn.bufferedAmount === 0, "nothing waits");
});

for (const stream of ["http", "https", "duplex"]) {
  test(`packets that wait behind others, over ${stream}`, async (t) => {
    const server = await serve(t, { pingInterval: 60_000 }, { stream });
    const { ws, socket } = await server.rawPair();
    const { conn } = socket;
    assert.equal(conn.writeBuffer.length, 0);
    ws.socket.pause();
    socket.emit("large", "x".repeat(32 * MB));
    socket.emit("n", 1);
    socket.emit("n", 2);
    server.io.emit("all");
    socket.emit("attached", Buffer.alloc(3));
    await eventually(() => conn.writeBuffer.length === 5, "they wait");
    assert.deepEqual(
      conn.writeBuffer.map(({ type }) => type),
      Array(5).fill("message"),
    );
    ws.socket.resume();
    await ws.count(6);
    await eventually(() => conn.writeBuffer.length === 0, "they have left");
    ws.destroy();
  });
}

test("packets that are held back from a client that does not read", OURS, async (t) => {
  const slowConsumer = { policy: "drop-oldest", maxBytes: 10_000 };
  const server = await serve(t, { pingInterval: 60_000, slowConsumer });
  const { ws, socket } = await server.rawPair();
  const { conn } = socket;
  ws.socket.pause();
  socket.emit("large", "x".repeat(32 * MB));
  await eventually(() => conn.bufferedAmount > 0, "there is no room for it");
  for (let n = 0; n < 3; n++) socket.emit("n", n);
  await eventually(() => conn.writeBuffer.length === 3, "they wait");
  for (let n = 0; n < 40; n++) socket.emit("n", "x".repeat(1000));
  await eventually(() => server.io.metrics().engine.dropped.events > 30, "some are dropped");
  assert.ok(conn.writeBuffer.length < 10, String(conn.writeBuffer.length));
  ws.destroy();
});

test("bytes and the beginning of a session, by slot anew", OURS, async (t) => {
  const server = await serve(t, { workers: 2 });
  const before = Date.now();
  const ends = [];
  for (let round = 0; round < 40; round++) {
    const joined = once(server.io, "connection");
    const ws = await RawWebSocket.connect(server);
    const [{ conn }] = await joined;
    assert.ok(conn.connectedAt === undefined || conn.connectedAt >= before - 1, "not that of another");
    // "40" of the client with its mask
    assert.equal(conn.bytesRead, 2 + 4 + 2);
    await eventually(() => conn.bytesWritten > 100, "OPEN and CONNECT have left");
    ws.text('42["hi"]');
    await eventually(() => conn.bytesRead === 8 + 2 + 4 + 8, "the event has come");
    assert.ok(conn.connectedAt >= before - 1 && conn.connectedAt <= Date.now(), String(conn.connectedAt));
    assert.equal(conn.roundTripTime, undefined);
    const ended = once(conn, "close").then(() => ends.push(conn.bytesRead));
    ws.destroy();
    await ended;
  }
  assert.equal(ends.length, 40);
});

test("the round-trip time is that of the last ping", OURS, async (t) => {
  const server = await serve(t, { pingInterval: 50, pingTimeout: 5000 });
  const { ws, socket } = await server.rawPair();
  assert.equal(await ws.next(), "2");
  assert.equal(socket.conn.roundTripTime, undefined);
  ws.text("3");
  await eventually(() => socket.conn.roundTripTime !== undefined, "the pong is there");
  assert.ok(socket.conn.roundTripTime < 5000, String(socket.conn.roundTripTime));
});

for (const EIO of [3, 4]) {
  test(`the last heartbeat of a client of revision ${EIO}`, OURS, async (t) => {
    const server = await serve(t, { pingInterval: 50, pingTimeout: 5000, allowEIO3: true });
    const { ws, conn } = await server.rawSession({ query: `EIO=${EIO}&transport=websocket` });
    assert.equal(conn.lastHeartbeatAt, undefined);
    // a client of revision 3 asks, one of revision 4 is asked
    if (EIO === 4) await ws.changes.until(() => ws.messages.includes("2"));
    const before = Date.now();
    ws.text(EIO === 4 ? "3" : "2");
    await eventually(() => conn.lastHeartbeatAt !== undefined, "it has come");
    assert.ok(conn.lastHeartbeatAt >= before - 1 && conn.lastHeartbeatAt <= Date.now());
  });
}

for (const stream of ["http", "duplex"]) {
  test(`the code with which a client has closed its WebSocket, over ${stream}`, OURS, async (t) => {
    const server = await serve(t, { pingInterval: 60_000, maxHttpBufferSize: 1000 }, { stream });
    const ends = [
      ["4001", (ws) => ws.frame({ opcode: CLOSE, payload: closePayload(4001, "") }), 4001, "transport close"],
      ["none", (ws) => ws.frame({ opcode: CLOSE, payload: Buffer.alloc(0) }), 1005, "transport close"],
      ["broken off", (ws) => ws.destroy(), 1006, "transport close"],
      [
        "ended by the server",
        (ws, socket) => socket.disconnect(true),
        undefined,
        "server namespace disconnect",
      ],
      ["too large a message", (ws) => ws.text("4".repeat(2000)), undefined, "transport error"],
    ];
    for (const [what, end, code, reason] of ends) {
      const { ws, socket } = await server.rawPair();
      const gone = once(socket, "disconnect");
      end(ws, socket);
      const [why] = await gone;
      assert.deepEqual([what, why, socket.conn.closeCode], [what, reason, code]);
      ws.destroy();
    }
  });
}

test("a WebSocket that was to take over a session does not say how that ends", OURS, async (t) => {
  const server = await serve(t, { pingInterval: 60_000 });
  const joined = once(server.io, "connection");
  const client = await RawPolling.connect(server);
  const [socket] = await joined;
  const probe = await RawWebSocket.upgrade(server, { query: `EIO=4&transport=websocket&sid=${client.sid}` });
  probe.text("2probe");
  assert.equal(await probe.next(), "3probe");
  probe.frame({ opcode: CLOSE, payload: closePayload(4002, "") });
  await probe.closed();
  const gone = once(socket, "disconnect");
  socket.disconnect(true);
  await gone;
  assert.equal(socket.conn.closeCode, undefined);
});

test("figures of very many connections are apart", OURS, async (t) => {
  const server = await serve(t, { workers: 3 });
  const clients = await Promise.all(Array.from({ length: 300 }, () => RawWebSocket.connect(server)));
  const sockets = [...server.io.sockets.sockets.values()];
  assert.equal(sockets.length, 300);
  clients.forEach((ws, n) => ws.text(`42["${"x".repeat(n % 100)}"]`));
  const sum = clients.reduce((bytes, _, n) => bytes + 8 + 6 + 6 + (n % 100), 0);
  const read = () => sockets.reduce((bytes, { conn }) => bytes + conn.bytesRead, 0);
  await eventually(() => read() === sum, "all has come");
  assert.equal(new Set(sockets.map(({ conn }) => conn.bytesRead)).size, 100);
});

for (const stream of ["http", "duplex"]) {
  test(`flushed() waits until what was emitted has left, over ${stream}`, OURS, async (t) => {
    const server = await serve(t, { pingInterval: 60_000 }, { stream });
    const { ws, socket } = await server.rawPair();
    await socket.flushed();
    ws.socket.pause();
    for (let n = 0; n < 30; n++) socket.emit("n", n, "x".repeat(MB));
    let isReady = false;
    const ready = socket.flushed().then(() => (isReady = true));
    await eventually(() => socket.conn.bufferedAmount > 4 * MB, "bytes wait");
    assert.equal(isReady, false);
    assert.deepEqual(socket.conn.packetsFn, []);
    ws.socket.resume();
    await ready;
    assert.equal(socket.conn.bufferedAmount, 0);
    await ws.count(31);
  });
}

test("an emitter that waits for flushed() piles up nothing", OURS, async (t) => {
  const server = await serve(t, { pingInterval: 60_000 });
  const { client, socket } = await server.pair("/", { transports: ["websocket"] });
  let received = 0;
  client.on("chunk", (data) => (received += data.length));
  let most = 0;
  for (let n = 0; n < 60; n++) {
    socket.emit("chunk", Buffer.alloc(MB));
    await socket.flushed();
    most = Math.max(most, socket.conn.bufferedAmount);
  }
  assert.equal(most, 0);
  await eventually(() => received === 60 * MB, "all has come");
});

test("flushed() over polling waits for the next GET", OURS, async (t) => {
  const server = await serve(t, { pingInterval: 60_000 });
  const joined = once(server.io, "connection");
  const client = await RawPolling.connect(server);
  const [socket] = await joined;
  await socket.flushed();
  socket.emit("n", 1);
  let isReady = false;
  const ready = socket.flushed().then(() => (isReady = true));
  await eventually(() => socket.conn.bufferedAmount > 0, "it waits");
  assert.equal(isReady, false);
  assert.equal(await client.next(), '42["n",1]');
  await ready;
});

test("flushed() with a listener for what is sent", OURS, async (t) => {
  const server = await serve(t, { pingInterval: 60_000 });
  const { ws, socket } = await server.rawPair();
  let flushed = 0;
  socket.conn.on("flush", (packets) => (flushed += packets.length));
  for (let n = 0; n < 10; n++) socket.emit("n", n);
  await socket.flushed();
  assert.equal(flushed, 10);
  await ws.count(11);
});

test("flushed() fails when the client goes, or has gone", OURS, async (t) => {
  const server = await serve(t, { pingInterval: 60_000 });
  const { ws, socket } = await server.rawPair();
  ws.socket.pause();
  for (let n = 0; n < 30; n++) socket.emit("n", n, "x".repeat(MB));
  const ready = socket.flushed();
  await eventually(() => socket.conn.bufferedAmount > 0, "bytes wait");
  ws.destroy();
  await assert.rejects(ready, { message: "socket has been disconnected" });
  await assert.rejects(socket.flushed(), { message: "socket has been disconnected" });
  await assert.rejects(socket.conn.flushed(), { message: "the session has ended" });
  assert.equal(socket.conn.bufferedAmount, 0);
});

test("an application may have members of these names of its own", OURS, async (t) => {
  const server = await serve(t);
  const { socket } = await server.rawPair();
  const { conn } = socket;
  for (const name of ["bufferedAmount", "bytesRead", "roundTripTime", "closeCode", "connectedAt"]) {
    conn[name] = "mine";
    assert.equal(conn[name], "mine");
  }
  server.io.isDraining = true;
  assert.equal(server.io.isDraining, true);
  assert.equal(socket.ready, undefined);
  socket.emit("still");
});
