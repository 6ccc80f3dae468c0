"use strict";

// What `sockeye.io/ws` has beyond ws: broadcasts, topics, heartbeats, limits, clients that do not read, workers. What both have is
// compared in differential-ws.test.js.

const test = require("node:test");
const assert = require("node:assert/strict");
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const net = require("node:net");
const { Worker } = require("node:worker_threads");
const { WebSocket: Client } = require("ws");
const { WebSocket, WebSocketServer } = require("../ws.js");
const { RawWebSocket, frame, PING, PONG } = require("./support/raw-websocket");
const harness = require("./support/harness");
const { requireStock } = require("./support/stock");
const { startChild } = require("./support/child");

const { atEnd, eventually, isStock, listen, once, record, sio, within } = harness;

const OURS = { skip: isStock && "stock has no such thing" };

const KB = 1024;

/** Over what a client may come: its bytes are a worker's, a worker's with TLS, or come through JavaScript. */
const STREAMS = ["http", "https", "duplex"];

/** A server that is closed, with all its clients, when the test ends. */
class TestServer {
  constructor(wss, port, secure) {
    Object.assign(this, { wss, port, secure, url: `${secure ? "wss" : "ws"}://127.0.0.1:${port}`, kept: [] });
  }

  /** A client of ws's, its side here, and what it gets. */
  async pair(options) {
    const accepted = once(this.wss, "connection");
    const client = new Client(this.url, { rejectUnauthorized: false, perMessageDeflate: false, ...options });
    this.kept.push(() => client.terminate());
    const got = record(client, "message");
    await once(client, "open");
    const [ws] = await accepted;
    assert.ok(ws instanceof WebSocket);
    return { client, ws, got, gone: once(client, "close"), closed: once(ws, "close") };
  }

  /** So many, one after the other. */
  async pairs(count, options) {
    const pairs = [];
    for (let n = 0; n < count; n++) pairs.push(await this.pair(options));
    return pairs;
  }

  /** A client that makes its frames itself. */
  async raw() {
    const accepted = once(this.wss, "connection");
    const raw = await RawWebSocket.upgrade(this, { path: "/", query: "" });
    this.kept.push(() => raw.destroy());
    const [ws] = await accepted;
    return { raw, ws, closed: once(ws, "close") };
  }

  async close() {
    for (const end of this.kept.reverse()) end();
    this.wss.clients?.forEach((ws) => ws.terminate());
    await within(new Promise((resolve) => this.wss.close(resolve)), "close()");
  }
}

async function serve(t, options = {}, stream = "http") {
  const { httpServer, port } = await listen(t, stream);
  atEnd(t, () => httpServer.close());
  const server = new TestServer(
    new WebSocketServer({ server: httpServer, ...options }),
    port,
    stream === "https",
  );
  atEnd(t, () => server.close());
  return server;
}

/** What came, as text. */
const texts = ({ list }) => list.map(([data]) => data.toString());

/** Has everything that was sent to these arrive, and one more message. */
async function settled(...pairs) {
  for (const { ws, got } of pairs) {
    const before = got.list.length;
    ws.send("settled");
    await got.until((list) => list.slice(before).some(([data]) => data.toString() === "settled"));
    got.list.splice(
      got.list.findIndex(([data]) => data.toString() === "settled"),
      1,
    );
  }
}

test("the subpath has the exports of ws, by require and by import", OURS, async () => {
  const own = require("../ws.js");
  const stock = require("ws");
  assert.equal(require("sockeye.io/ws"), own);
  assert.deepEqual(Object.keys(own).sort(), Object.keys(stock).sort());
  const [imported, expected] = await Promise.all([import("sockeye.io/ws"), import("ws")]);
  assert.deepEqual(Object.keys(imported).sort(), Object.keys(expected).sort());
  for (const name of Object.keys(expected)) {
    assert.equal(imported[name], name === "default" ? own : own[name], name);
  }
  assert.ok(own.prototype instanceof stock.WebSocket);
  assert.equal(own.createWebSocketStream, stock.createWebSocketStream);
});

for (const stream of STREAMS) {
  test(`a broadcast reaches all clients but those that are spared, over ${stream}`, OURS, async (t) => {
    const server = await serve(t, {}, stream);
    const { wss } = server;
    const [ada, bob, cyd] = await server.pairs(3);
    wss.broadcast("to all");
    wss.broadcast("not to ada", { except: ada.ws });
    wss.broadcast("not to ada and bob", { except: [ada.ws, bob.ws] });
    wss.broadcast("to cyd only", { except: new Set([ada.ws, bob.ws]) });
    const dan = await server.pair();
    wss.broadcast("to dan as well");
    await settled(ada, bob, cyd, dan);
    assert.deepEqual(texts(ada.got), ["to all", "to dan as well"]);
    assert.deepEqual(texts(bob.got), ["to all", "not to ada", "to dan as well"]);
    assert.deepEqual(texts(cyd.got), [
      "to all",
      "not to ada",
      "not to ada and bob",
      "to cyd only",
      "to dan as well",
    ]);
    assert.deepEqual(texts(dan.got), ["to dan as well"]);
  });
}

test("what is broadcast is text or binary as it would be by send()", OURS, async (t) => {
  const server = await serve(t);
  const pair = await server.pair();
  const bytes = Buffer.from("bytes");
  const { wss } = server;
  wss.broadcast("text");
  wss.broadcast(bytes);
  wss.broadcast(bytes, { binary: false });
  wss.broadcast("binary", { binary: true });
  wss.broadcast(new Uint8Array([1, 2, 3]).subarray(1));
  wss.broadcast(new Uint8Array([4, 5]).buffer);
  wss.broadcast("");
  wss.broadcast(null);
  await settled(pair);
  assert.deepEqual(
    pair.got.list.map(([data, isBinary]) => [data.toString("latin1"), isBinary]),
    [
      ["text", false],
      ["bytes", true],
      ["bytes", false],
      ["binary", true],
      ["\x02\x03", true],
      ["\x04\x05", true],
      ["", false],
      ["", true],
    ],
  );
  assert.throws(() => wss.broadcast(Buffer.from([0xff]), { binary: false }), {
    name: "TypeError",
    message: "a text message has to be UTF-8",
  });
  await settled(pair);
});

test("what the application does with a Buffer after a broadcast changes nothing", OURS, async (t) => {
  const server = await serve(t);
  const pairs = await server.pairs(2);
  const data = Buffer.alloc(20 * KB, "a");
  server.wss.broadcast(data);
  data.fill("b");
  server.wss.broadcast(data);
  data.fill("c");
  for (const { got } of pairs) {
    await got.until(2);
    assert.deepEqual(
      got.list.map(([received]) => [received.length, received.toString().charAt(0)]),
      [
        [20 * KB, "a"],
        [20 * KB, "b"],
      ],
    );
  }
});

test(
  "a broadcast is compressed for those that have agreed to it, unless it says otherwise",
  OURS,
  async (t) => {
    const server = await serve(t, { perMessageDeflate: true });
    const plain = await server.pair();
    const compressing = await server.pair({ perMessageDeflate: true });
    assert.match(compressing.ws.extensions, /permessage-deflate/);
    const text = "x".repeat(50 * KB);
    const sizes = [];
    for (const compress of [undefined, false]) {
      const before = compressing.client._socket.bytesRead;
      server.wss.broadcast(text, { compress });
      await settled(plain, compressing);
      sizes.push(compressing.client._socket.bytesRead - before);
    }
    assert.deepEqual(texts(plain.got), [text, text]);
    assert.deepEqual(texts(compressing.got), [text, text]);
    assert.ok(sizes[0] < 2 * KB, `${sizes[0]} bytes`);
    assert.ok(sizes[1] > 50 * KB, `${sizes[1]} bytes`);
  },
);

test("a broadcast takes its place among messages to one client", OURS, async (t) => {
  const server = await serve(t);
  const [ada, bob] = await server.pairs(2);
  for (let n = 0; n < 20; n += 2) {
    ada.ws.send(`${n}`);
    server.wss.broadcast(`${n + 1}`);
  }
  await settled(ada, bob);
  assert.deepEqual(
    texts(ada.got),
    Array.from({ length: 20 }, (_, n) => `${n}`),
  );
  assert.deepEqual(
    texts(bob.got),
    Array.from({ length: 10 }, (_, n) => `${2 * n + 1}`),
  );
});

test("who is no client of the server cannot be spared by it", OURS, async (t) => {
  const [server, other] = [await serve(t), await serve(t)];
  const pair = await server.pair();
  const stranger = await other.pair();
  server.wss.broadcast("spares one of another server", { except: stranger.ws });
  server.wss.broadcast("spares one of ws", { except: [stranger.client] });
  await settled(pair);
  assert.deepEqual(texts(pair.got), ["spares one of another server", "spares one of ws"]);
});

test("a broadcast to nobody, and without a client, is none", OURS, async (t) => {
  const server = await serve(t);
  server.wss.broadcast("nobody is there");
  const pair = await server.pair();
  server.wss.broadcast("all are spared", { except: [pair.ws] });
  await settled(pair);
  assert.deepEqual(texts(pair.got), []);
});

test("a broadcast reaches clients that nobody keeps track of", OURS, async (t) => {
  const server = await serve(t, { clientTracking: false });
  const pairs = await server.pairs(2);
  assert.equal(server.wss.clients, undefined);
  server.wss.broadcast("hello");
  await settled(...pairs);
  for (const { got } of pairs) assert.deepEqual(texts(got), ["hello"]);
});

test("a topic reaches those that have subscribed, each once", OURS, async (t) => {
  const server = await serve(t);
  const { wss } = server;
  const [ada, bob, cyd] = await server.pairs(3);
  assert.equal(wss.subscribers("news"), 0);
  assert.equal(wss.publish("news", "too early"), 0);
  ada.ws.subscribe("news");
  ada.ws.subscribe("news");
  bob.ws.subscribe("news");
  bob.ws.subscribe("sports");
  assert.deepEqual([wss.subscribers("news"), wss.subscribers("sports")], [2, 1]);
  assert.equal(wss.publish("news", "first"), 2);
  assert.equal(wss.publish("sports", Buffer.from("second")), 1);
  bob.ws.unsubscribe("news");
  bob.ws.unsubscribe("news");
  cyd.ws.unsubscribe("news");
  cyd.ws.unsubscribe("nothing");
  assert.equal(wss.subscribers("news"), 1);
  assert.equal(wss.publish("news", "third", { except: cyd.ws }), 1);
  wss.publish("news", "not to ada", { except: ada.ws });
  await settled(ada, bob, cyd);
  assert.deepEqual(texts(ada.got), ["first", "third"]);
  assert.deepEqual(
    bob.got.list.map(([data, isBinary]) => [data.toString(), isBinary]),
    [
      ["first", false],
      ["second", true],
    ],
  );
  assert.deepEqual(texts(cyd.got), []);
});

test("what a client publishes does not come back to it", OURS, async (t) => {
  const server = await serve(t);
  const [ada, bob, cyd] = await server.pairs(3);
  ada.ws.subscribe("room");
  bob.ws.subscribe("room");
  ada.ws.publish("room", "from ada");
  cyd.ws.publish("room", "from cyd", { binary: true });
  await settled(ada, bob, cyd);
  assert.deepEqual(texts(ada.got), ["from cyd"]);
  assert.equal(ada.got.list[0][1], true);
  assert.deepEqual(texts(bob.got), ["from ada", "from cyd"]);
  assert.deepEqual(texts(cyd.got), []);
});

test("who leaves is out of all topics, and a topic that is empty can begin anew", OURS, async (t) => {
  const server = await serve(t);
  const { wss } = server;
  const [ada, bob] = await server.pairs(2);
  for (const topic of ["a", "b"]) ada.ws.subscribe(topic);
  bob.ws.subscribe("b");
  ada.client.close();
  await ada.closed;
  assert.deepEqual([wss.subscribers("a"), wss.subscribers("b")], [0, 1]);
  ada.ws.subscribe("a");
  assert.equal(wss.subscribers("a"), 0, "who has gone does not subscribe");
  ada.ws.publish("b", "from one that has gone");
  bob.ws.subscribe("a");
  assert.equal(wss.publish("a", "anew"), 1);
  await settled(bob);
  assert.deepEqual(texts(bob.got), ["from one that has gone", "anew"]);
  bob.ws.terminate();
  await bob.closed;
  assert.equal(wss.subscribers("a"), 0);
});

test("a topic of a listener that is told of the end is the same as before", OURS, async (t) => {
  const server = await serve(t);
  const [ada, bob] = await server.pairs(2);
  bob.ws.subscribe("room");
  ada.ws.subscribe("room");
  ada.ws.on("close", () => ada.ws.publish("room", "ada has left"));
  ada.client.close();
  await bob.got.until(1);
  assert.deepEqual(texts(bob.got), ["ada has left"]);
});

test("clients of a server have topics, those of ws have none", OURS, async (t) => {
  const server = await serve(t);
  const client = new WebSocket(server.url);
  server.kept.push(() => client.terminate());
  await once(client, "open");
  client.subscribe("room");
  client.publish("room", "nobody");
  client.unsubscribe("room");
  assert.equal(server.wss.subscribers("room"), 0);
});

for (const stream of STREAMS) {
  test(`heartbeat: who does not answer is ended with 1006 in time, over ${stream}`, OURS, async (t) => {
    const server = await serve(t, { heartbeat: { interval: 100, timeout: 200 } }, stream);
    const quiet = await server.pair({ autoPong: false });
    const alive = await server.pair();
    const pongs = record(alive.ws, "pong");
    const pings = record(alive.client, "ping");
    const begun = performance.now();
    const [code, reason] = await quiet.closed;
    const time = performance.now() - begun;
    assert.deepEqual([code, reason.toString()], [1006, ""]);
    assert.ok(time > 150 && time < 2000, `${time} ms`);
    assert.equal((await quiet.gone)[0], 1006);
    await pings.until(8);
    assert.equal(alive.ws.readyState, WebSocket.OPEN);
    assert.deepEqual(pongs.list, [], "what answers the worker is not shown");
    alive.ws.ping("mine");
    await pongs.until(1);
    assert.equal(pongs.list[0][0].toString(), "mine");
  });
}

test("heartbeat: a blocked event loop ends nobody", OURS, async (t) => {
  const server = await serve(t, { heartbeat: { interval: 100, timeout: 300 } });
  const accepted = once(server.wss, "connection");
  const code = `
    const { workerData, parentPort } = require("node:worker_threads");
    const { WebSocket } = require(workerData.ws);
    const client = new WebSocket(workerData.url);
    client.on("message", (data) => client.send(data));
    client.on("close", (code) => parentPort.postMessage(code));
  `;
  const workerData = { url: server.url, ws: require.resolve("ws") };
  const thread = new Worker(code, { eval: true, workerData });
  atEnd(t, () => thread.terminate());
  const [ws] = await accepted;
  const end = performance.now() + 1500;
  while (performance.now() < end);
  assert.equal(ws.readyState, WebSocket.OPEN);
  const answer = once(ws, "message");
  ws.send("still there?");
  assert.equal((await answer)[0].toString(), "still there?");
});

test("heartbeat: without the option, nobody is pinged", OURS, async (t) => {
  const server = await serve(t);
  const { client, ws } = await server.pair({ autoPong: false });
  const pings = record(client, "ping");
  ws.ping("mine");
  await pings.until(1);
  assert.equal(pings.list[0][0].toString(), "mine");
});

test("a ping of the client is answered, and shown", OURS, async (t) => {
  const server = await serve(t, { heartbeat: true });
  const { raw, ws } = await server.raw();
  const pings = record(ws, "ping");
  raw.frame({ opcode: PING, payload: "are you there?" });
  await raw.changes.until(() => raw.frames.some(({ opcode }) => opcode === PONG));
  await pings.until(1);
  assert.equal(pings.list[0][0].toString(), "are you there?");
});

for (const stream of STREAMS) {
  test(`limits: one that is paused is read at the rate that is allowed, over ${stream}`, OURS, async (t) => {
    const server = await serve(t, { limits: { packetsPerSecond: 200, burst: 0.5 } }, stream);
    const reached = record(server.wss, "limit");
    const { client, ws } = await server.pair();
    const got = record(ws, "message");
    const other = await server.pair();
    const begun = performance.now();
    for (let n = 0; n < 300; n++) client.send(`${n}`);
    const heard = once(other.ws, "message");
    other.client.send("hello");
    await heard;
    assert.ok(got.list.length < 250, `${got.list.length} at once`);
    await got.until(300);
    const seconds = (performance.now() - begun) / 1000;
    assert.ok(seconds > 0.7, `${seconds} s`);
    assert.deepEqual(
      texts(got),
      Array.from({ length: 300 }, (_, n) => `${n}`),
    );
    assert.deepEqual(
      reached.list.map(([who, name]) => [who === ws, name]),
      [[true, "packetsPerSecond"]],
    );
    assert.equal(ws.readyState, WebSocket.OPEN);
  });
}

test("limits: bytes count as well", OURS, async (t) => {
  const server = await serve(t, { limits: { bytesPerSecond: 100_000, burst: 0.5 } });
  const reached = record(server.wss, "limit");
  const { client, ws } = await server.pair();
  const got = record(ws, "message");
  const begun = performance.now();
  for (let n = 0; n < 100; n++) client.send(Buffer.alloc(1000));
  await got.until(100);
  assert.ok(performance.now() - begun > 300);
  assert.deepEqual(
    reached.list.map(([, name]) => name),
    ["bytesPerSecond"],
  );
});

test("limits: drop", OURS, async (t) => {
  const server = await serve(t, { limits: { packetsPerSecond: 20, action: "drop" } });
  const reached = record(server.wss, "limit");
  const { client, ws, gone } = await server.pair();
  const got = record(ws, "message");
  // what looks like a packet of Socket.IO is not taken for one
  for (let n = 0; n < 100; n++) client.send(n === 0 ? "52-[]" : n % 2 ? `${n}` : Buffer.from(`${n}`));
  await reached.until(1);
  client.close(1000);
  await gone;
  assert.ok(got.list.length >= 20 && got.list.length < 40, `${got.list.length} came`);
  assert.deepEqual(texts(got).slice(0, 20), ["52-[]", ...Array.from({ length: 19 }, (_, n) => `${n + 1}`)]);
});

test("limits: close", OURS, async (t) => {
  const server = await serve(t, { limits: { packetsPerSecond: 20, action: "close" } });
  const reached = record(server.wss, "limit");
  const { client, ws, gone, closed } = await server.pair();
  const got = record(ws, "message");
  for (let n = 0; n < 100; n++) client.send(`${n}`);
  const [code, reason] = await gone;
  assert.deepEqual([code, reason.toString()], [1008, "too many packets"]);
  await closed;
  assert.equal(got.list.length, 20);
  assert.deepEqual(
    reached.list.map(([who, name]) => [who === ws, name]),
    [[true, "packetsPerSecond"]],
  );
});

test("limits: what has no place without Engine.IO, and what makes no sense, is refused", OURS, () => {
  for (const options of [
    { limits: { packetsPerSecond: 0 } },
    { limits: { action: "shout" } },
    { heartbeat: { interval: 0 } },
    { heartbeat: { timeout: "soon" } },
    { workers: 0 },
    { maxOutboundBuffer: -1 },
    { maxOutboundTotal: NaN },
    { slowConsumer: { policy: "wait" } },
    { slowConsumer: { maxBytes: 0 } },
    // not a subclass of ours: a request for it would end the process
    { WebSocket: Client },
  ]) {
    assert.throws(() => new WebSocketServer({ noServer: true, ...options }), { name: "TypeError" });
  }
});

/** A client that does not read, and to which more was sent than the kernel takes. */
async function stuckPair(t, options, stream) {
  const server = await serve(t, options, stream);
  const slow = record(server.wss, "slow_consumer");
  const pair = await server.pair();
  const { client, ws } = pair;
  client.pause();
  let sent = 0;
  const send = (count) => {
    for (let n = 0; n < count; n++) ws.send(`${sent++} ${"x".repeat(10 * KB)}`);
  };
  // across turns: what is sent in this one counts as well
  for (let waits = 0; waits < 3 && ws.readyState === WebSocket.OPEN;) {
    send(20);
    await new Promise((resolve) => setTimeout(resolve, 2));
    if (ws.bufferedAmount > 0) waits++;
  }
  return { ...pair, server, slow, send, sent: () => sent };
}

for (const stream of STREAMS) {
  test(`maxOutboundBuffer: who does not read is severed, over ${stream}`, OURS, async (t) => {
    const { ws, slow, send, closed, client, gone } = await stuckPair(
      t,
      { maxOutboundBuffer: 500 * KB },
      stream,
    );
    while (ws.readyState === WebSocket.OPEN) {
      send(20);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    assert.equal((await closed)[0], 1006);
    assert.deepEqual(
      slow.list.map(([who, bytes, outcome]) => [who === ws, bytes > 500 * KB, outcome]),
      [[true, true, "close"]],
    );
    client.resume();
    assert.equal((await gone)[0], 1006);
  });
}

test("slowConsumer: who does not read is given up", OURS, async (t) => {
  const { ws, slow, send, closed, client, gone } = await stuckPair(t, {
    slowConsumer: { policy: "close", maxBytes: 500 * KB },
  });
  while (slow.list.length === 0) {
    send(20);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  client.resume();
  const [code, reason] = await gone;
  assert.deepEqual([code, reason.toString()], [1013, "slow consumer"]);
  await closed;
  assert.deepEqual(
    slow.list.map(([who, , outcome]) => [who === ws, outcome]),
    [[true, "close"]],
  );
});

test("slowConsumer: who does not read for too long is given up", OURS, async (t) => {
  const { ws, slow, send, client, closed, gone } = await stuckPair(t, { slowConsumer: { maxAge: 200 } });
  send(20);
  await slow.until(1);
  assert.notEqual(ws.readyState, WebSocket.OPEN, "who is given up gets nothing any more");
  client.resume();
  assert.equal((await gone)[0], 1013);
  await closed;
  assert.deepEqual(
    slow.list.map(([who, , outcome]) => [who === ws, outcome]),
    [[true, "close"]],
  );
});

for (const policy of ["drop-oldest", "drop-newest", "latest"]) {
  test(`slowConsumer: ${policy}`, OURS, async (t) => {
    const rule = { policy, maxBytes: 500 * KB };
    const { ws, slow, send, sent, client, got } = await stuckPair(t, { slowConsumer: rule });
    for (let n = 0; n < 30; n++) {
      send(20);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.equal(ws.readyState, WebSocket.OPEN);
    assert.ok(ws.bufferedAmount < 700 * KB, `${ws.bufferedAmount} bytes`);
    assert.deepEqual(
      slow.list.map(([who, , outcome]) => [who === ws, outcome]),
      [[true, "drop"]],
    );
    client.resume();
    await eventually(() => ws.bufferedAmount === 0, "it has caught up");
    ws.send("last");
    await got.until((list) => list.at(-1)?.[0].toString() === "last");
    const numbers = texts(got)
      .slice(0, -1)
      .map((text) => Number(text.split(" ")[0]));
    numbers.forEach((n, i) => assert.ok(i === 0 || n > numbers[i - 1], `${numbers[i - 1]}, then ${n}`));
    assert.ok(numbers.length < sent(), `${numbers.length} of ${sent()}`);
    if (policy !== "drop-newest") assert.equal(numbers.at(-1), sent() - 1);
    else assert.notEqual(numbers.at(-1), sent() - 1);
  });
}

for (const [name, options] of [
  ["without an option", {}],
  ["with slowConsumer", { slowConsumer: { maxBytes: 50e6 } }],
]) {
  test(`a client that reads late gets all of it in order, ${name}`, OURS, async (t) => {
    const { ws, send, sent, client, got, gone } = await stuckPair(t, options);
    send(50);
    const count = sent();
    ws.ping("between");
    ws.send("first, ", { fin: false });
    ws.send("second");
    ws.close(4000, "enough");
    let before;
    client.on("ping", () => (before = got.list.length));
    client.resume();
    const [code, reason] = await gone;
    assert.deepEqual([code, reason.toString()], [4000, "enough"]);
    const all = texts(got);
    assert.equal(all.pop(), "first, second");
    assert.deepEqual(
      all.map((text) => Number(text.split(" ")[0])),
      Array.from({ length: count }, (_, n) => n),
    );
    // what is held back is overtaken by it
    assert.ok(options.slowConsumer ? before <= count : before === count, `${before} of ${count}`);
  });
}

test("maxOutboundTotal: of those that do not read, one for whom most waits is given up", OURS, async (t) => {
  const { server, ws, slow, send, closed } = await stuckPair(t, { workers: 1, maxOutboundTotal: 1000 * KB });
  const other = await server.pair();
  while (ws.readyState === WebSocket.OPEN) {
    send(20);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await closed;
  assert.deepEqual(
    slow.list.map(([who, , outcome]) => [who === ws, outcome]),
    [[true, "close"]],
  );
  await settled(other);
});

test("a loop over clients sends each what the Buffer has then", OURS, async (t) => {
  const server = await serve(t);
  const pairs = await server.pairs(6);
  const data = Buffer.alloc(4);
  let n = 0;
  for (const client of server.wss.clients) {
    data.writeUInt32LE(Math.floor(n++ / 2));
    client.send(data);
  }
  data.writeUInt32LE(99);
  await settled(...pairs);
  assert.deepEqual(
    pairs.map(({ got }) => got.list.map(([received]) => received.readUInt32LE())),
    [[0], [0], [1], [1], [2], [2]],
  );
});

test(
  "what the application does with the Buffer of a fragment, or of a ping, changes nothing",
  OURS,
  async (t) => {
    const server = await serve(t);
    const pair = await server.pair();
    const pings = record(pair.client, "ping");
    const data = Buffer.alloc(4, "a");
    pair.ws.send(data, { fin: false });
    data.fill("b");
    pair.ws.ping(data);
    data.fill("c");
    pair.ws.send(data);
    data.fill("d");
    await settled(pair);
    assert.deepEqual(texts(pair.got), ["aaaacccc"]);
    assert.equal(pings.list[0][0].toString(), "bbbb");
  },
);

test("the same message twice in a row arrives twice", OURS, async (t) => {
  const server = await serve(t);
  const pairs = await server.pairs(3);
  const bytes = Buffer.from("bytes");
  for (const { ws } of pairs) {
    ws.send("text");
    ws.send("text");
    ws.send(bytes);
    ws.send(bytes);
  }
  for (let n = 0; n < 2; n++) for (const { ws } of pairs) ws.send("again");
  await settled(...pairs);
  for (const { got } of pairs) {
    assert.deepEqual(texts(got), ["text", "text", "bytes", "bytes", "again", "again"]);
  }
});

test("other messages between those of a loop keep their places", OURS, async (t) => {
  const server = await serve(t);
  const pairs = await server.pairs(4);
  for (const { ws } of pairs) {
    ws.send("to all");
    if (ws === pairs[1].ws) ws.send("to bob");
  }
  server.wss.broadcast("to all");
  for (const { ws } of pairs) ws.send("to all", { compress: false });
  await settled(...pairs);
  assert.deepEqual(
    pairs.map(({ got }) => texts(got)),
    [
      ["to all", "to all", "to all"],
      ["to all", "to bob", "to all", "to all"],
      ["to all", "to all", "to all"],
      ["to all", "to all", "to all"],
    ],
  );
});

test("each callback of a loop is called, once, in order", OURS, async (t) => {
  const server = await serve(t, { workers: 2 });
  const pairs = await server.pairs(5);
  const called = [];
  const all = pairs.map(
    ({ ws }, n) =>
      new Promise((resolve) =>
        ws.send("hello", (error) => {
          called.push([n, error]);
          resolve();
        }),
      ),
  );
  await within(Promise.all(all), "the callbacks");
  await settled(...pairs);
  assert.deepEqual(
    called.sort(([a], [b]) => a - b),
    pairs.map((_, n) => [n, undefined]),
  );
  const order = [];
  const [{ ws }] = pairs;
  for (let n = 0; n < 4; n++) ws.send("same", () => order.push(n));
  ws.ping("", undefined, () => order.push("ping"));
  ws.send("last", () => order.push("last"));
  await eventually(() => order.length === 6, "all were called");
  assert.deepEqual(order, [0, 1, 2, 3, "ping", "last"]);
});

test("callbacks of one that ends are called with an error", OURS, async (t) => {
  const { ws, client, closed } = await stuckPair(t, {});
  const results = [];
  ws.send("x".repeat(5_000_000), (error) => results.push(error?.message));
  ws.send("same", (error) => results.push(error?.message));
  client.terminate();
  ws.terminate();
  await closed;
  ws.send("late", (error) => results.push(error?.message));
  await eventually(() => results.length === 3, "all were called");
  assert.deepEqual(results, [
    "The socket was closed before the data was written",
    "The socket was closed before the data was written",
    "WebSocket is not open: readyState 3 (CLOSED)",
  ]);
});

test("with several workers, broadcasts, topics and loops reach everybody", OURS, async (t) => {
  const server = await serve(t, { workers: 3 });
  const pairs = await server.pairs(9);
  const bytes = Buffer.from("bytes");
  pairs.forEach(({ ws }, n) => ws.subscribe(n % 2 ? "odd" : "even"));
  for (const client of server.wss.clients) client.send(bytes);
  server.wss.broadcast("to all", { except: pairs[4].ws });
  assert.equal(server.wss.publish("odd", "odd"), 4);
  assert.equal(server.wss.publish("even", "even"), 5);
  pairs[0].ws.publish("even", "from 0");
  await settled(...pairs);
  pairs.forEach(({ got }, n) => {
    const expected = ["bytes", "to all", n % 2 ? "odd" : "even", "from 0"];
    assert.deepEqual(
      texts(got),
      expected.filter(
        (text) => !(text === "from 0" && (n === 0 || n % 2)) && !(text === "to all" && n === 4),
      ),
    );
  });
});

test("a server that is closed keeps its clients, and its threads end with the last", OURS, async (t) => {
  if (!fs.existsSync("/proc/self/task")) return t.skip("no /proc");
  const threads = () =>
    fs.readdirSync("/proc/self/task").filter((id) => {
      try {
        return fs.readFileSync(`/proc/self/task/${id}/comm`, "utf8").startsWith("sockeye");
      } catch {
        return false;
      }
    }).length;
  await eventually(() => threads() === 0, "those of earlier tests have ended");
  const wss = new WebSocketServer({ port: 0, host: "127.0.0.1", workers: 3 });
  await once(wss, "listening");
  const server = new TestServer(wss, wss.address().port, false);
  atEnd(t, () => server.close());
  const pairs = await server.pairs(4);
  assert.ok(threads() > 0);
  let isClosed = false;
  const closed = new Promise((resolve) =>
    server.wss.close(() => {
      isClosed = true;
      resolve();
    }),
  );
  await settled(...pairs);
  assert.equal(isClosed, false);
  const late = new Client(server.url);
  const [error] = await once(late, "error");
  assert.equal(error.code, "ECONNREFUSED");
  for (const { client } of pairs.slice(1)) client.close();
  await Promise.all(pairs.slice(1).map(({ closed: over }) => over));
  await settled(pairs[0]);
  assert.ok(threads() > 0);
  pairs[0].ws.close(1001);
  assert.equal((await pairs[0].gone)[0], 1001);
  await within(closed, "close()");
  await eventually(() => threads() === 0, "the threads have ended");
});

test("a frame in pieces between messages of the client is put together", OURS, async (t) => {
  const server = await serve(t, { limits: { packetsPerSecond: 1000 } });
  const { raw, ws } = await server.raw();
  const got = record(ws, "message");
  raw.write(Buffer.concat([frame({ payload: "a", fin: false }), frame({ opcode: 0, payload: "b" })]));
  await got.until(1);
  assert.deepEqual(texts(got), ["ab"]);
});

for (const [name, of] of [
  ["this package", sio],
  ["stock", requireStock("socket.io")],
]) {
  test(`the option wsEngine of ${name} takes the server`, OURS, async (t) => {
    const options = { wsEngine: WebSocketServer, pingInterval: 100, pingTimeout: 5000 };
    const server = await harness.serve(t, options, { of, stream: "http" });
    const direct = await server.pair();
    const upgraded = await server.pair("/", { transports: ["polling", "websocket"] });
    const { conn } = upgraded.socket;
    if (conn.transport.name !== "websocket") await once(conn, "upgrade");
    for (const { client, socket } of [direct, upgraded]) {
      assert.ok(socket.conn.transport.socket instanceof WebSocket);
      socket.on("echo", (...args) => args.pop()(...args));
      const bytes = Buffer.from("bytes");
      assert.deepEqual(await within(client.emitWithAck("echo", bytes), "the answer"), bytes);
    }
    const heard = [direct, upgraded].map(({ client }) => once(client, "news"));
    server.io.emit("news", "x".repeat(100_000));
    for (const [text] of await Promise.all(heard)) assert.equal(text.length, 100_000);
    await once(direct.socket.conn, "heartbeat");
    const gone = once(direct.socket, "disconnect");
    direct.client.disconnect();
    assert.equal((await gone)[0], "client namespace disconnect");
    const ended = once(upgraded.client, "disconnect");
    await server.io.close();
    assert.equal((await ended)[0], "transport close");
  });
}

test("limits: pings and pongs of a client count, those to pings of the server do not", OURS, async (t) => {
  const limits = { packetsPerSecond: 20, action: "drop" };
  const server = await serve(t, { limits, heartbeat: { interval: 20 } });
  const { raw, ws } = await server.raw();
  const pings = record(ws, "ping");
  const pongs = record(ws, "pong");
  raw.write(Buffer.concat(Array.from({ length: 100 }, () => frame({ opcode: PING }))));
  raw.write(Buffer.concat(Array.from({ length: 100 }, () => frame({ opcode: PONG, payload: "x" }))));
  await eventually(() => server.wss.metrics().dropped.messages > 100, "most are dropped");
  assert.ok(pings.list.length + pongs.list.length < 60, `${pings.list.length}, ${pongs.list.length}`);
});

test("metrics() tells of what has been opened, has ended, and went over it", OURS, async (t) => {
  const server = await serve(t, { limits: { packetsPerSecond: 5, burst: 1, action: "drop" } });
  const [first, second] = await server.pairs(2);
  server.wss.broadcast("to all");
  await Promise.all([first, second].map(({ got }) => got.until((list) => list.length === 1)));
  const limited = once(server.wss, "limit");
  for (let n = 0; n < 10; n++) first.client.send("much");
  assert.deepEqual(await limited, [first.ws, "packetsPerSecond"]);
  second.client.close(4001);
  await second.closed;
  const { webSockets, packets, bytes, deliveries, dropped, workers } = server.wss.metrics();
  assert.deepEqual(webSockets, {
    open: { native: 1, pumped: 0 },
    connects: 2,
    closes: { 4001: 1 },
    limits: { packetsPerSecond: 1 },
  });
  assert.ok(packets.sent >= 2 && bytes.received > 0 && workers.length > 0);
  assert.equal(deliveries, 2);
  assert.deepEqual(Object.keys(dropped).sort(), ["events", "messages", "slowConsumers", "volatile"]);
});

test("with SOCKEYE_NATIVE=0 it is ws", OURS, () => {
  const program = `process.stdout.write(String(require(${JSON.stringify(require.resolve("../ws.js"))}) === require("ws")))`;
  const run = (value) =>
    spawnSync(process.execPath, ["-e", program], {
      cwd: __dirname,
      env: { ...process.env, SOCKEYE_NATIVE: value },
      encoding: "utf8",
    });
  assert.equal(run("0").stdout, "true");
  assert.equal(run("").stdout, "false");
  assert.match(run("perhaps").stderr, /ERR_SOCKEYE_STOCK/);
});

test("a number is sent to many as a text, and a Blob is refused", OURS, async (t) => {
  const server = await serve(t);
  const { got } = await server.pair();
  server.wss.broadcast(5);
  await got.until((list) => list.length === 1);
  assert.deepEqual([texts(got)[0], got.list[0][1]], ["5", false]);
  assert.throws(() => server.wss.broadcast(new Blob(["x"])), /a Blob has to be read/);
});

test("who publishes can spare others as well", OURS, async (t) => {
  const server = await serve(t);
  const [first, second, third] = await server.pairs(3);
  for (const { ws } of [first, second, third]) ws.subscribe("news");
  first.ws.publish("news", "one", { except: second.ws });
  first.ws.publish("news", "two", { except: [third.ws] });
  await settled(first, second, third);
  assert.deepEqual(
    [first, second, third].map(({ got }) => texts(got)),
    [[], ["two"], ["one"]],
  );
});

test(
  "a server that is closed leaves nothing with the HTTP server, whose connections are its own again",
  OURS,
  async (t) => {
    const { httpServer, port } = await listen(t, "http");
    atEnd(t, () => httpServer.close());
    const names = ["listening", "newListener", "upgrade", "error", "connection"];
    const counts = () => names.map((name) => httpServer.listenerCount(name));
    const before = { counts: counts(), own: Object.keys(httpServer).sort() };
    for (let n = 0; n < 20; n++) {
      const wss = new WebSocketServer({ server: httpServer });
      if (n % 5 === 0) {
        const client = new Client(`ws://127.0.0.1:${port}`);
        const [ws] = await once(wss, "connection");
        await once(client, "open");
        client.close();
        await once(ws, "close");
      }
      await new Promise((resolve) => wss.close(resolve));
    }
    assert.deepEqual({ counts: counts(), own: Object.keys(httpServer).sort() }, before);
    httpServer.once("request", (_req, res) => res.end("its own"));
    const response = await fetch(`http://127.0.0.1:${port}`, { headers: { connection: "close" } });
    assert.equal(await response.text(), "its own");
  },
);

test(
  "a server that is closed while a client has said half of a request lets Node have it",
  OURS,
  async (t) => {
    const { httpServer, port } = await listen(t, "http");
    atEnd(t, () => httpServer.close());
    httpServer.on("request", (_req, res) => res.end("its own"));
    const wss = new WebSocketServer({ server: httpServer });
    const client = net.connect(port, "127.0.0.1");
    atEnd(t, () => client.destroy());
    const got = record(client, "data");
    client.write("GET / HTTP/1.1\r\nHost: x\r\n");
    const connections = () =>
      new Promise((resolve) => httpServer.getConnections((_, count) => resolve(count)));
    while ((await connections()) === 0) await new Promise((resolve) => setImmediate(resolve));
    wss.close();
    client.write("Connection: close\r\n\r\n");
    await got.until((list) =>
      list
        .map(([chunk]) => chunk.toString("latin1"))
        .join("")
        .includes("its own"),
    );
  },
);

for (const stream of STREAMS) {
  test(`one that is paused hears of its end all the same, over ${stream}`, OURS, async (t) => {
    const server = await serve(t, { closeTimeout: 200 }, stream);
    const { raw, ws, closed } = await server.raw();
    ws.pause();
    ws.close(1000);
    assert.deepEqual([(await closed)[0], server.wss.clients.size], [1006, 0]);
    raw.destroy();
  });

  test(
    `heartbeat: one that is paused is not given up for what is not read, over ${stream}`,
    OURS,
    async (t) => {
      const server = await serve(t, { heartbeat: { interval: 100, timeout: 100 } }, stream);
      const { client, ws } = await server.pair();
      const pings = record(client, "ping");
      ws.pause();
      client.send("meanwhile");
      await pings.until(1);
      await new Promise((resolve) => setTimeout(resolve, 500));
      assert.equal(ws.readyState, WebSocket.OPEN);
      const message = once(ws, "message");
      ws.resume();
      assert.equal((await message)[0].toString(), "meanwhile");
      await pings.until(3);
    },
  );

  test(`a limit and pause() hold each for itself, over ${stream}`, OURS, async (t) => {
    const limits = { packetsPerSecond: 40, burst: 0.5, action: "pause" };
    const server = await serve(t, { limits }, stream);
    const { raw, ws } = await server.raw();
    const got = record(ws, "message");
    const limited = once(server.wss, "limit");
    raw.write(Buffer.concat(Array.from({ length: 40 }, (_, n) => frame({ payload: String(n) }))));
    await limited;
    ws.pause();
    // the limit is over before
    await new Promise((resolve) => setTimeout(resolve, 400));
    ws.resume();
    await got.until(40);
    assert.deepEqual(
      texts(got),
      Array.from({ length: 40 }, (_, n) => String(n)),
    );
  });

  test(`what is answered to a client that has finished sending arrives, over ${stream}`, OURS, async (t) => {
    const server = await serve(t, {}, stream);
    const { raw, ws, closed } = await server.raw();
    ws.on("message", (data) => ws.send(`you said ${data}`));
    raw.write(frame({ payload: "a" }));
    raw.socket.end();
    assert.equal(await raw.next(), "you said a");
    assert.equal((await closed)[0], 1006);
  });
}

test("fragments that are not read count for maxOutboundBuffer", OURS, async (t) => {
  const server = await serve(t, { maxOutboundBuffer: 100 * KB });
  const { client, ws, closed } = await server.pair();
  client.pause();
  const slow = once(server.wss, "slow_consumer");
  const chunk = Buffer.alloc(1000 * KB);
  for (let n = 0; n < 60; n++) ws.send(chunk, { fin: false });
  assert.equal((await slow)[2], "close");
  await closed;
});

test("listeners and callbacks that throw keep nothing from its end", OURS, async (t) => {
  const child = startChild(
    t,
    async ({ args, load, send }) => {
      const { WebSocketServer, WebSocket } = load(args.target);
      const errors = [];
      process.on("uncaughtException", (error) => errors.push(error.message));
      const wss = new WebSocketServer({ port: 0, host: "127.0.0.1" });
      await new Promise((resolve) => wss.once("listening", resolve));
      const pair = async () => {
        const accepted = new Promise((resolve) => wss.once("connection", resolve));
        const client = new WebSocket(`ws://127.0.0.1:${wss.address().port}`);
        await new Promise((resolve) => client.once("open", resolve));
        return { client, ws: await accepted };
      };
      const fail = (message) => () => {
        throw new Error(message);
      };
      const first = await pair();
      first.ws.on("close", fail("of close"));
      first.client.close();
      const second = await pair();
      second.client.pause();
      second.ws.send(Buffer.alloc(20e6), fail("of send"));
      const ended = new Promise((resolve) => second.ws.on("close", resolve));
      second.ws.terminate();
      await ended;
      const third = await pair();
      const got = [];
      third.ws.once("message", () => {
        third.ws.pause();
        setTimeout(() => third.ws.resume(), 10);
      });
      third.ws.on("message", (data) => {
        got.push(String(data));
        if (got.length === 2) throw new Error("of message");
      });
      for (const text of ["1", "2", "3", "4"]) third.client.send(text);
      while (got.length < 4) await new Promise((resolve) => setImmediate(resolve));
      third.client.close();
      await new Promise((resolve) => wss.close(resolve));
      send("done", { got, errors: errors.sort(), clients: wss.clients.size });
    },
    { target: require.resolve("../ws.js") },
  );
  const { got, errors, clients } = await child.message("done");
  assert.deepEqual([got, errors, clients], [["1", "2", "3", "4"], ["of close", "of message", "of send"], 0]);
});
