"use strict";

// What `io.metrics()` says is what has happened.

const test = require("node:test");
const assert = require("node:assert/strict");
const { serve, sio, isStock, once, eventually, RawPolling, RawWebSocket } = require("./support/harness");

const OURS = { skip: isStock && "stock has no metrics" };

/** How many there are in a histogram. */
function count({ bounds, counts }) {
  assert.equal(counts.length, bounds.length + 1);
  return counts.reduce((sum, one) => sum + one, 0);
}

test("sessions are counted by transport, and how they begin and end", OURS, async (t) => {
  const server = await serve(t, { workers: 2 });
  const { io } = server;
  assert.deepEqual(io.metrics().engine.sessions.open, { polling: 0, websocket: 0, webtransport: 0 });
  const ws = await RawWebSocket.connect(server);
  const polling = await RawPolling.connect(server);
  const { client } = await server.pair("/", { transports: ["polling", "websocket"] });
  await eventually(() => io.metrics().engine.sessions.upgrades === 1, "the upgrade is done");
  const { sessions } = io.metrics().engine;
  assert.deepEqual(sessions.open, { polling: 1, websocket: 2, webtransport: 0 });
  assert.equal(sessions.roads.native + sessions.roads.pumped, 2);
  assert.deepEqual(sessions.connects, { websocket: 1, polling: 2 });
  assert.deepEqual(io.metrics().namespaces, { "/": 3 });
  assert.equal(io.metrics().sockets.connects, 3);

  client.disconnect();
  ws.destroy();
  await polling.post("1");
  await eventually(() => io.engine.clientsCount === 0, "they have gone");
  const { sockets, namespaces, engine } = io.metrics();
  assert.deepEqual(namespaces, { "/": 0 });
  assert.deepEqual(sockets.disconnects, { "client namespace disconnect": 1, "transport close": 2 });
  assert.deepEqual(engine.sessions.disconnects, { "transport close": 3 });
});

test("refused requests are counted by message", OURS, async (t) => {
  const server = await serve(t, {});
  const refused = once(server.io.engine, "connection_error");
  const response = await fetch(`${server.url}/socket.io/?EIO=4&transport=polling&sid=nobody`);
  assert.equal(response.status, 400);
  await refused;
  assert.deepEqual(server.io.metrics().engine.sessions.refusals, { "Session ID unknown": 1 });
});

for (const stream of ["http", "duplex"]) {
  test(`packets, bytes and deliveries are counted, over ${stream}`, OURS, async (t) => {
    const server = await serve(t, { workers: 2 }, { stream });
    const { io } = server;
    const sockets = [];
    io.on("connection", (socket) => {
      sockets.push(socket);
      socket.on("echo", (value, reply) => reply(value));
    });
    const clients = await Promise.all(Array.from({ length: 4 }, () => RawWebSocket.connect(server)));
    await eventually(() => sockets.length === 4, "they are there");
    const before = io.metrics().engine;
    // OPEN and CONNECT for each, and a CONNECT from each
    assert.deepEqual(before.packets, { received: 4, sent: 8 });

    clients[0].text('421["echo","hello"]');
    assert.equal(await clients[0].next(), '431["hello"]');
    io.emit("news", Buffer.alloc(1000));
    for (const ws of clients) {
      assert.equal(await ws.next(), '451-["news",{"_placeholder":true,"num":0}]');
      assert.equal((await ws.next()).length, 1000);
    }
    const { packets, bytes, deliveries } = io.metrics().engine;
    assert.equal(packets.received - before.packets.received, 1);
    assert.equal(packets.sent - before.packets.sent, 1 + 2 * 4);
    assert.equal(deliveries - before.deliveries, 4);
    // the header of the frame, its mask, and the text
    assert.equal(bytes.received - before.bytes.received, 2 + 4 + '421["echo","hello"]'.length);
    const news = 2 + '451-["news",{"_placeholder":true,"num":0}]'.length + 4 + 1000;
    assert.equal(bytes.sent - before.bytes.sent, 2 + '431["hello"]'.length + 4 * news);
    assert.deepEqual(io.metrics().broadcasts, { roads: { native: 1 }, deliveries: 4 });
  });
}

test("what is said over polling is counted as well", OURS, async (t) => {
  const server = await serve(t, {});
  const { io } = server;
  io.on("connection", (socket) => socket.on("echo", (value, reply) => reply(value)));
  const client = await RawPolling.connect(server);
  const before = io.metrics().engine;
  const post = '421["echo","a"]\x1e422["echo","b"]';
  await client.post(post);
  const answers = [await client.next(), await client.next()];
  assert.deepEqual(answers, ['431["a"]', '432["b"]']);
  const { packets, bytes } = io.metrics().engine;
  assert.equal(packets.received - before.packets.received, 2);
  assert.equal(packets.sent - before.packets.sent, 2);
  assert.equal(bytes.received - before.bytes.received, post.length);
  assert.ok(bytes.sent - before.bytes.sent >= 16);
});

test("broadcasts that go socket by socket are counted by why", OURS, async (t) => {
  const server = await serve(t, {});
  const { io } = server;
  io.emit("early");
  await server.pair();
  io.engine.on("flush", () => {});
  io.emit("watched");
  io.engine.removeAllListeners("flush");
  io.emit("native");
  assert.deepEqual(io.metrics().broadcasts.roads, {
    "nobody was connected": 1,
    "somebody listens to what is sent": 1,
    native: 1,
  });
});

test("round trips of heartbeats are measured", OURS, async (t) => {
  const server = await serve(t, { pingInterval: 50, pingTimeout: 5000 });
  await server.pair();
  await eventually(() => count(server.io.metrics().engine.heartbeats.roundTrips) >= 3, "three pongs");
  const { pings, roundTrips } = server.io.metrics().engine.heartbeats;
  assert.ok(pings >= 3);
  const mean = roundTrips.sum / count(roundTrips);
  assert.ok(mean > 0 && mean < 2000, `${mean} ms`);
});

test(
  "what waits for a client that does not read is seen, and volatile messages that it does not get",
  OURS,
  async (t) => {
    const server = await serve(t, {});
    const { ws, socket } = await server.rawPair();
    ws.socket.pause();
    const text = "x".repeat(1e6);
    const waiting = () => server.io.metrics().engine.waiting;
    assert.deepEqual([waiting().bytes, count(waiting().clients)], [0, 0]);
    // 16 MiB are the highest bound
    for (const enough of [5e6, 17e6]) {
      for (let sent = 0; waiting().bytes < enough && sent < 100; sent++) {
        socket.emit("n", text);
        await new Promise(setImmediate);
      }
      const { bytes, largest, clients } = waiting();
      assert.ok(bytes >= enough && largest === bytes && clients.sum === bytes);
      const bucket = clients.bounds.filter((bound) => bytes > bound).length;
      assert.deepEqual([count(clients), clients.counts[bucket]], [1, 1]);
    }
    socket.volatile.emit("n", 1);
    server.io.volatile.emit("n", 1);
    await eventually(() => server.io.metrics().engine.dropped.volatile === 2, "both are dropped");
    ws.socket.resume();
    await eventually(() => waiting().bytes === 0, "all has been written");
  },
);

test("turns of the workers are timed from the first call on", OURS, async (t) => {
  const server = await serve(t, { workers: 1 });
  const { socket, client } = await server.pair();
  socket.on("echo", (reply) => reply());
  const turns = () => server.io.metrics().engine.workers[0].turns;
  assert.equal(count(turns()), 0);
  for (let i = 0; i < 10; i++) await client.emitWithAck("echo");
  assert.ok(count(turns()) >= 10);
  assert.ok(turns().sum > 0 && turns().sum < 10_000);
});

test("an engine of another package has no metrics, and takes nothing from the others", OURS, async (t) => {
  const { Server } = sio;
  const io = new Server();
  t.after(() => io.close());
  assert.equal(io.metrics().engine, undefined);
  assert.deepEqual(io.metrics().namespaces, { "/": 0 });
});

test("10,000 sessions are counted in a millisecond", OURS, async (t) => {
  const server = await serve(t, {});
  const { io } = server;
  const { socket } = await server.pair();
  // as the engine sees them
  for (let i = 1; i < 10_000; i++) io.engine._bridge.conns.add(socket.conn);
  t.after(() => (io.engine._bridge.conns.items.length = 1));
  const times = Array.from({ length: 50 }, () => {
    const begin = performance.now();
    io.metrics();
    return performance.now() - begin;
  }).sort((a, b) => a - b);
  assert.equal(io.metrics().engine.sessions.open.websocket, 10_000);
  assert.ok(times[5] <= 1, `${times[5]} ms`);
});

test("how long events wait for JavaScript is timed once somebody has asked", OURS, async (t) => {
  const server = await serve(t, {}, { stream: "http" });
  const { ws, socket } = await server.rawPair();
  const received = once(socket, "first");
  ws.text('42["first"]');
  await received;
  assert.equal(count(server.io.metrics().engine.events.waits), 0);
  const second = once(socket, "second");
  ws.text('42["second"]');
  // the worker has it soon, but nobody takes it
  const end = performance.now() + 200;
  while (performance.now() < end);
  await second;
  const { waits } = server.io.metrics().engine.events;
  assert.equal(count(waits), 1);
  assert.ok(waits.sum > 100 && waits.sum < 10_000, `${waits.sum} ms`);
});
