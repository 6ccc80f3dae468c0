"use strict";

// What clients may do, at the most: the option `limits`.

const test = require("node:test");
const assert = require("node:assert/strict");
const { createServer } = require("node:http");
const { serve, sio, isStock, once, record, eventually, RawWebSocket } = require("./support/harness");

const OURS = { skip: isStock && "stock has no such option" };

/** A server whose clients send "n" with a count, and what it hears of them. */
async function limitedServer(t, limits, { stream, ...options } = {}) {
  const server = await serve(t, { limits, ...options }, { stream });
  const reached = record(server.io.engine, "limit");
  return { server, reached };
}

function names({ list }) {
  return list.map(([, name]) => name);
}

/** Sends many events at once. */
function flood(client, count, size = 0) {
  for (let n = 0; n < count; n++) client.emit("n", n, "x".repeat(size));
}

for (const stream of ["http", "https", "duplex"]) {
  test(`pause: all of it comes, at the rate that is allowed, over ${stream}`, OURS, async (t) => {
    const limits = { packetsPerSecond: 200, burst: 0.5 };
    const { server, reached } = await limitedServer(t, limits, { stream });
    const { client, socket } = await server.pair();
    const { client: other, socket: otherSocket } = await server.pair();
    const got = record(socket, "n");
    const start = performance.now();
    flood(client, 300);
    // others are not disturbed
    const heard = once(otherSocket, "hello");
    other.emit("hello");
    await heard;
    assert.ok(got.list.length < 250, `${got.list.length} at once`);
    await got.until(300);
    const seconds = (performance.now() - start) / 1000;
    assert.ok(seconds > 0.7, `${seconds} s`);
    assert.deepEqual(
      got.list.map(([n]) => n),
      Array.from({ length: 300 }, (_, n) => n),
    );
    assert.deepEqual(names(reached), ["packetsPerSecond"]);
    assert.equal(client.connected, true);
  });
}

test("pause: bytes", OURS, async (t) => {
  const { server, reached } = await limitedServer(t, { bytesPerSecond: 100_000, burst: 0.5 });
  const { client, socket } = await server.pair();
  const got = record(socket, "n");
  const start = performance.now();
  flood(client, 100, 1000);
  await got.until(100);
  assert.ok(performance.now() - start > 300);
  assert.deepEqual(names(reached), ["bytesPerSecond"]);
});

test("pause: a client that polls is answered later", OURS, async (t) => {
  const { server, reached } = await limitedServer(t, { packetsPerSecond: 100, burst: 0.1 });
  const { polling, socket } = await server.pollingPair();
  const got = record(socket, "n");
  const start = performance.now();
  const post = (count) => polling.post(Array(count).fill('42["n"]').join("\x1e"));
  assert.equal((await post(50)).status, 200);
  assert.equal((await post(1)).status, 200);
  assert.ok(performance.now() - start > 300, `${performance.now() - start} ms`);
  await got.until(51);
  assert.deepEqual(names(reached), ["packetsPerSecond"]);
});

test("pause: who is not read is not taken for dead", OURS, async (t) => {
  const limits = { packetsPerSecond: 20, burst: 1 };
  const { server } = await limitedServer(t, limits, { pingInterval: 100, pingTimeout: 150 });
  const { client, socket } = await server.pair();
  const got = record(socket, "n");
  flood(client, 60);
  await got.until(60);
  assert.equal(socket.connected, true);
});

test("pause: who has hung up is not read for long", OURS, async (t) => {
  const limits = { packetsPerSecond: 1 };
  const { server } = await limitedServer(t, limits, { pingInterval: 200, pingTimeout: 200 });
  const { ws, socket, disconnected } = await server.rawPair();
  for (let n = 0; n < 10_000; n++) ws.text('42["n"]');
  await once(server.io.engine, "limit");
  assert.equal(socket.connected, true);
  ws.destroy();
  assert.match((await disconnected)[0], /transport close|ping timeout/);
});

test("drop: what is too much does not come, attachments go with their packets", OURS, async (t) => {
  const { server, reached } = await limitedServer(t, { packetsPerSecond: 50, action: "drop" });
  const { client, socket } = await server.pair();
  const got = record(socket, "n");
  for (let n = 0; n < 200; n++) client.emit("n", n, Buffer.alloc(10), Buffer.alloc(5));
  await eventually(() => server.io.metrics().engine.dropped.messages >= 400, "most of it is dropped");
  await got.until(6);
  const before = got.list.length;
  assert.ok(before > 5 && before < 60, `${before}`);
  for (const [, ten, five] of got.list) assert.deepEqual([ten.length, five.length], [10, 5]);
  assert.deepEqual(names(reached), ["packetsPerSecond"]);
  assert.equal(socket.connected, true);
  await eventually(() => {
    client.emit("n", "later");
    return got.list.at(-1)[0] === "later";
  }, "it may go on");
});

for (const stream of ["http", "duplex"]) {
  test(`close: the client sees why, over ${stream}`, OURS, async (t) => {
    const limits = { packetsPerSecond: 50, action: "close" };
    const { server, reached } = await limitedServer(t, limits, { stream });
    const { client, socket } = await server.pair();
    const ended = once(socket, "disconnect");
    const closed = once(client, "disconnect");
    flood(client, 200);
    const [reason, details] = await ended;
    assert.deepEqual([reason, details.context], ["transport error", { limit: "packetsPerSecond" }]);
    assert.equal(details.message, "the client sends more than it may");
    assert.equal(details.description, "the client has sent more than limits.packetsPerSecond allows");
    assert.deepEqual(names(reached), ["packetsPerSecond"]);
    const [clientReason, why] = await closed;
    assert.equal(clientReason, "transport close");
    assert.deepEqual([why.context.code, why.context.reason], [1008, "too many packets"]);
  });
}

test("a middleware exempts a client", OURS, async (t) => {
  const { server, reached } = await limitedServer(t, { packetsPerSecond: 20 });
  server.io.use((socket, next) => {
    if (socket.handshake.auth.token === "a robot of ours") socket.conn.exempt();
    next();
  });
  const { client, socket } = await server.pair("/", { auth: { token: "a robot of ours" } });
  const got = record(socket, "n");
  flood(client, 2000);
  await got.until(2000);
  assert.deepEqual(reached.list, []);
});

test("a flood costs the JavaScript thread next to nothing", OURS, async (t) => {
  const { server } = await limitedServer(t, { packetsPerSecond: 100, action: "drop" });
  const { client, socket } = await server.pair();
  const got = record(socket, "n");
  flood(client, 50_000);
  await eventually(() => server.io.metrics().engine.dropped.messages > 49_000, "it is dropped");
  assert.ok(got.list.length < 1000, `${got.list.length}`);
});

test("connectionsPerAddress: one more is refused, until one has gone", OURS, async (t) => {
  const { server } = await limitedServer(t, { connectionsPerAddress: 2 });
  const errors = record(server.io.engine, "connection_error");
  for (const transport of ["websocket", "polling"]) {
    const pairs = await server.pairs(2, "/", { transports: [transport] });
    const refused = server.client("/", { transports: [transport] });
    await once(refused, "connect_error");
    const { code, message, context, address } = errors.list.at(-1)[0];
    assert.equal(address, "127.0.0.1");
    assert.deepEqual(
      [code, message, context],
      [7, "Too many sessions", { limit: "connectionsPerAddress", address: "127.0.0.1" }],
    );
    const answer = await server.request({ path: "/socket.io/?EIO=4&transport=polling" });
    assert.equal(answer.status, 429);
    assert.deepEqual(JSON.parse(answer.body), { code: 7, message: "Too many sessions" });
    assert.equal(answer.headers["retry-after"], "1");
    const ended = pairs.map(({ socket }) => once(socket, "disconnect"));
    pairs.forEach(({ client }) => client.disconnect());
    await Promise.all(ended);
    await eventually(() => server.io.engine.clientsCount === 0, "they have gone");
  }
});

test("connectionsPerAddress: who gets an id when there is no room any more is refused", OURS, async (t) => {
  const { server } = await limitedServer(t, { connectionsPerAddress: 1 });
  const names = [];
  server.io.engine.generateId = () => new Promise((resolve) => names.push(resolve));
  const path = "/socket.io/?EIO=4&transport=polling";
  const asked = [server.request({ path }), server.request({ path })];
  await eventually(() => names.length === 2, "both have asked");
  names.forEach((resolve, n) => resolve(`id-${n}`));
  const statuses = (await Promise.all(asked)).map(({ status }) => status);
  assert.deepEqual(statuses.sort(), [200, 429]);
  assert.deepEqual(Object.keys(server.io.engine.clients), ["id-0"]);
});

test("behind proxies that are trusted, their word counts", OURS, async (t) => {
  const limits = {
    connectionsPerAddress: 1,
    proxies: { trusted: ["127.0.0.1", "10.0.0.0/8", "fd00::/8"] },
  };
  const { server } = await limitedServer(t, limits);
  const status = async (forwarded) => {
    const headers = forwarded === undefined ? {} : { "X-Forwarded-For": forwarded };
    return (await server.request({ path: "/socket.io/?EIO=4&transport=polling", headers })).status;
  };
  assert.equal(await status("203.0.113.5"), 200);
  assert.equal(await status("203.0.113.5"), 429);
  assert.equal(await status("203.0.113.6, 10.1.2.3, fd00::1"), 200);
  // what the client itself has written is in front
  assert.equal(await status("198.51.100.1, 203.0.113.6"), 429);
  assert.equal(await status("::ffff:203.0.113.6"), 429);
  assert.equal(await status(), 200);
  assert.equal(await status("nonsense"), 429);
});

test("a header is nobody's word if its peer is not trusted", OURS, async (t) => {
  const limits = { connectionsPerAddress: 1, proxies: { trusted: ["10.0.0.1"] } };
  const { server } = await limitedServer(t, limits);
  const statuses = [];
  for (const forwarded of ["203.0.113.5", "203.0.113.6"]) {
    const headers = { "X-Forwarded-For": forwarded };
    const answer = await server.request({ path: "/socket.io/?EIO=4&transport=polling", headers });
    statuses.push(answer.status);
  }
  assert.deepEqual(statuses, [200, 429]);
});

for (const name of ["handshakesPerSecond", "handshakesPerSecondPerAddress"]) {
  test(`${name}: those who come too fast come back later`, OURS, async (t) => {
    const { server } = await limitedServer(t, { [name]: 5 });
    const errors = record(server.io.engine, "connection_error");
    const clients = Array.from({ length: 10 }, () =>
      server.client("/", { reconnection: true, reconnectionDelay: 300, reconnectionDelayMax: 500 }),
    );
    await Promise.all(clients.map((client) => once(client, "connect")));
    assert.ok(errors.list.length >= 3, `${errors.list.length}`);
    assert.equal(errors.list[0][0].context.limit, name);
  });
}

test("headers of one name are one, however they come", OURS, async (t) => {
  const limits = { connectionsPerAddress: 1, proxies: { trusted: ["127.0.0.1"] } };
  const { server } = await limitedServer(t, limits);
  const connect = (lines) =>
    RawWebSocket.upgrade(server, { headers: { "X-Forwarded-For": lines } }).then(({ status }) => status);
  // what a proxy adds comes behind what the client has written
  assert.equal(await connect(["10.9.9.1", "203.0.113.5"]), 101);
  assert.equal(await connect(["10.9.9.2", "203.0.113.5:4711"]), 429);
});

test("namespaces that are still looked for count as well", OURS, async (t) => {
  const { server } = await limitedServer(t, { namespaces: 3 });
  server.io.of((_name, _auth, next) => setImmediate(next, null, true));
  const { ws } = await server.rawPair();
  for (let n = 0; n < 20; n++) ws.text(`40/n${n},`);
  for (let n = 0; n < 20; n++) await ws.next();
  assert.equal(server.io._nsps.size, 3);
});

for (const stream of ["http", "duplex"]) {
  test(`exempt(), and the end, while a client is paused, over ${stream}`, OURS, async (t) => {
    const { server, reached } = await limitedServer(t, { packetsPerSecond: 2 }, { stream });
    const [first, second] = await server.pairs(2);
    const got = record(first.socket, "n");
    const start = performance.now();
    flood(first.client, 200);
    flood(second.client, 200);
    await reached.until(2);
    first.socket.conn.exempt();
    await got.until(200);
    const gone = once(second.client, "disconnect");
    second.socket.disconnect(true);
    await gone;
    assert.ok(performance.now() - start < 5000, `${performance.now() - start} ms`);
  });
}

test("pause: what comes faster than JavaScript can be told is bounded", OURS, async (t) => {
  const limits = { bytesPerSecond: 20_000 };
  const { server } = await limitedServer(t, limits, { stream: "duplex" });
  const { client, socket } = await server.pair();
  const before = process.memoryUsage.rss();
  const timer = setInterval(() => {
    if (client.io.engine.transport.ws?.bufferedAmount < 1e6) flood(client, 50, 20_000);
  }, 10);
  await new Promise((resolve) => setTimeout(resolve, 2000));
  clearInterval(timer);
  const gained = (process.memoryUsage.rss() - before) / 1e6;
  assert.equal(socket.connected, true);
  assert.ok(gained < 100, `${gained} MB`);
});

test("pause: a client that is not read is asked for its heartbeat all the same", OURS, async (t) => {
  const limits = { bytesPerSecond: 1000 };
  const { server } = await limitedServer(t, limits, { pingInterval: 200, pingTimeout: 150 });
  const { client, socket } = await server.pair();
  const got = record(socket, "n");
  flood(client, 2, 2500);
  await got.until(2);
  assert.equal(client.connected, true);
});

test("namespaces: one more is refused, until one was left", OURS, async (t) => {
  const { server, reached } = await limitedServer(t, { namespaces: 2 });
  for (const name of ["/a", "/b"]) server.io.of(name);
  server.io.of(/^\/dynamic-/);
  const main = await server.pair();
  const join = (name) => main.client.io.socket(name, {});
  const a = join("/a");
  await once(a, "connect");
  const [error] = await once(join("/b"), "connect_error");
  assert.equal(error.message, "Too many namespaces");
  await once(join("/dynamic-1"), "connect_error");
  assert.equal(server.io._nsps.has("/dynamic-1"), false);
  assert.deepEqual(names(reached), ["namespaces", "namespaces"]);
  const left = once([...server.io.of("/a").sockets.values()][0], "disconnect");
  a.disconnect();
  await left;
  await once(join("/dynamic-2"), "connect");
});

test("a namespace whose middleware has refused does not count", OURS, async (t) => {
  const { server } = await limitedServer(t, { namespaces: 2 });
  server.io.of("/closed").use((_socket, next) => next(new Error("closed")));
  server.io.of("/open");
  const { client } = await server.pair();
  for (let i = 0; i < 3; i++) {
    const [error] = await once(client.io.socket("/closed", {}).connect(), "connect_error");
    assert.equal(error.message, "closed");
  }
  await once(client.io.socket("/open", {}), "connect");
});

test("unansweredAcks: a client that owes too many is disconnected", OURS, async (t) => {
  const { server, reached } = await limitedServer(t, { unansweredAcks: 10 });
  const { client, socket } = await server.pair();
  client.on("answer", (answer) => answer());
  for (let n = 0; n < 30; n++) await socket.emitWithAck("answer");
  assert.equal(socket.connected, true);
  const ended = once(socket, "disconnect");
  for (let n = 0; n < 11; n++) socket.emit("question", () => {});
  const [reason, details] = await ended;
  assert.equal(reason, "server namespace disconnect");
  assert.deepEqual(details.context, { limit: "unansweredAcks" });
  assert.deepEqual(names(reached), ["unansweredAcks"]);
});

test("what is no limit is refused", OURS, () => {
  const { Server } = sio;
  const trusted = "an array of addresses and networks";
  for (const [limits, message, options] of [
    [5, '"limits" must be an object, not 5'],
    [{ packetsPerSecond: 0 }, '"limits.packetsPerSecond" must be a positive number, not 0'],
    [{ burst: "x" }, `"limits.burst" must be a positive number, not 'x'`],
    [{ action: "stop" }, `"limits.action" must be one of "pause", "drop", "close", not 'stop'`],
    [
      { action: "drop" },
      `"limits.action" must be "pause" or "close" with a custom parser, not 'drop'`,
      { parser: { ...require("socket.io-parser") } },
    ],
    [{ proxies: {} }, `"limits.proxies.trusted" must be ${trusted}, not undefined`],
    [{ proxies: { trusted: ["x"] } }, `"limits.proxies.trusted" must be ${trusted}, not 'x'`],
    [{ proxies: { trusted: [], header: 1 } }, '"limits.proxies.header" must be the name of a header, not 1'],
  ]) {
    const make = () => new Server(createServer(), { limits, ...options });
    assert.throws(make, { name: "TypeError", message });
  }
});
