"use strict";

// Sessions that are ended because of a time: `expireAt()`, `maxSessionAge`, `maxIdleTime`.

const test = require("node:test");
const assert = require("node:assert/strict");
const http = require("node:http");
const diagnostics = require("node:diagnostics_channel");
const customParser = require("socket.io-msgpack-parser");
const { serve, sio, isStock, once, eventually, RawWebSocket, RawPolling } = require("./support/harness");

const OURS = { skip: isStock && "stock has none" };

/** What a `disconnect` listener on the server gets. */
const ended = (socket) => once(socket, "disconnect");

for (const transports of [["websocket"], ["polling"]]) {
  test(`a socket is disconnected at its time, over ${transports}`, OURS, async (t) => {
    const server = await serve(t);
    const { client, socket } = await server.pair("/", { transports });
    const [gone, over] = [once(client, "disconnect"), ended(socket)];
    const at = Date.now() + 100;
    assert.equal(socket.expireAt(new Date(at)), socket);
    assert.equal((await gone)[0], "io server disconnect");
    assert.ok(Date.now() >= at, `${at - Date.now()} ms early`);
    const [reason, details] = await over;
    assert.equal(reason, "server namespace disconnect");
    assert.deepEqual(details.context, { limit: "expireAt" });
    assert.deepEqual(server.io.metrics().engine.sessions.limits, { expireAt: 1 });
  });
}

test("the last time that was set counts, and null takes it back", OURS, async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair("/", { transports: ["websocket"] });
  const other = await server.pair("/", { transports: ["websocket"] });
  socket.expireAt(Date.now() + 20);
  socket.expireAt(null);
  other.socket.expireAt(Date.now() + 60_000);
  other.socket.expireAt(Date.now() + 40);
  await once(other.client, "disconnect");
  assert.equal(client.connected, true);
  assert.equal(socket.connected, true);
});

test("a time that has passed comes at once", OURS, async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair("/", { transports: ["websocket"] });
  const gone = once(client, "disconnect");
  socket.expireAt(0);
  await gone;
});

test(
  "only the namespace whose time has come is left, and the connection with the last one",
  OURS,
  async (t) => {
    const server = await serve(t);
    server.io.of("/other").on("connection", () => {});
    const { client, socket } = await server.pair("/", { transports: ["websocket"] });
    const joined = once(server.io.of("/other"), "connection");
    const beside = client.io.socket("/other");
    const [second] = await joined;
    socket.expireAt(Date.now() + 20);
    second.expireAt(Date.now() + 200);
    await once(client, "disconnect");
    assert.equal(second.connected, true);
    assert.equal(second.conn.readyState, "open");
    await once(beside, "disconnect");
    await eventually(() => server.io.engine.clientsCount === 0, "the connection is closed");
  },
);

test("a time may be set by middleware, and come before that is done", OURS, async (t) => {
  const server = await serve(t);
  let proceed;
  server.io.use((socket, next) => {
    socket.expireAt(Date.now() + 10);
    proceed = next;
  });
  const joined = once(server.io, "connection");
  const ws = await RawWebSocket.open(server);
  ws.text("40");
  await eventually(() => proceed !== undefined, "the middleware has it");
  await new Promise((resolve) => setTimeout(resolve, 50));
  proceed();
  const [socket] = await joined;
  assert.equal((await ended(socket))[0], "server namespace disconnect");
});

test("what is no time is refused", OURS, async (t) => {
  const server = await serve(t);
  const { socket } = await server.rawPair();
  for (const nothing of [undefined, "tomorrow", NaN, new Date(NaN), {}]) {
    assert.throws(() => socket.expireAt(nothing), {
      name: "TypeError",
      message: /^expireAt\(\) takes a Date, milliseconds or null, not /,
    });
  }
  assert.equal(socket.connected, true);
});

test("sessions end at their age, and their clients come back", OURS, async (t) => {
  const server = await serve(t, { maxSessionAge: 300 });
  const limits = [];
  const onLimit = ({ conn, limit }) => limits.push([conn, limit]);
  diagnostics.subscribe("sockeye.io:limit", onLimit);
  t.after(() => diagnostics.unsubscribe("sockeye.io:limit", onLimit));
  const { client, socket } = await server.pair("/", {
    transports: ["websocket"],
    reconnection: true,
    reconnectionDelay: 10,
  });
  const begun = performance.now();
  const { conn } = socket;
  const errors = [];
  conn.transport.on("error", (error) => errors.push(error));
  const over = ended(socket);
  assert.equal((await once(client, "disconnect"))[0], "transport close");
  assert.ok(performance.now() - begun > 200, `${performance.now() - begun} ms`);
  const [reason, details] = await over;
  assert.deepEqual([reason, details.context], ["forced close", { limit: "maxSessionAge" }]);
  assert.deepEqual(errors, [], "nothing is wrong with its transport");
  assert.deepEqual(limits, [[conn, "maxSessionAge"]]);
  await once(client, "connect");
});

test("sessions that began together do not end together", OURS, async (t) => {
  const server = await serve(t, { maxSessionAge: 2000 });
  const ends = [];
  server.io.engine.on("limit", () => ends.push(performance.now()));
  await Promise.all(Array.from({ length: 40 }, () => RawWebSocket.connect(server)));
  await eventually(() => ends.length === 40, "all have ended");
  assert.ok(ends.at(-1) - ends[0] > 80, `within ${ends.at(-1) - ends[0]} ms`);
});

for (const parser of [undefined, customParser]) {
  test(
    `idle clients are disconnected, others are not${parser ? ", with another parser" : ""}`,
    OURS,
    async (t) => {
      const server = await serve(t, { maxIdleTime: 400, pingInterval: 50, parser });
      const options = { transports: ["websocket"], ...(parser && { parser }) };
      const [idle, talks, hears] = await Promise.all([0, 1, 2].map(() => server.pair("/", options)));
      const talk = setInterval(() => {
        talks.client.emit("n");
        hears.socket.emit("n");
      }, 50);
      t.after(() => clearInterval(talk));
      const over = ended(idle.socket);
      assert.equal((await once(idle.client, "disconnect"))[0], "io server disconnect");
      const [reason, details] = await over;
      assert.equal(reason, "server namespace disconnect");
      assert.equal(details.context.limit, "maxIdleTime");
      assert.deepEqual([talks.client.connected, hears.client.connected], [true, true]);
      clearInterval(talk);
      await Promise.all([once(talks.client, "disconnect"), once(hears.client, "disconnect")]);
      assert.deepEqual(server.io.metrics().engine.sessions.limits, { maxIdleTime: 3 });
    },
  );
}

test("a broadcast keeps those from being idle whom it reaches", OURS, async (t) => {
  const server = await serve(t, { maxIdleTime: 300 });
  const clients = await Promise.all(Array.from({ length: 12 }, () => RawWebSocket.connect(server)));
  const [first] = server.io.sockets.sockets.values();
  for (let n = 0; n < 8; n++) {
    first.broadcast.emit("n");
    await new Promise((resolve) => setTimeout(resolve, 80));
  }
  assert.equal(server.io.engine.clientsCount, clients.length - 1);
});

test("an idle client that polls is disconnected", OURS, async (t) => {
  const server = await serve(t, { maxIdleTime: 100, pingInterval: 40 });
  const joined = once(server.io, "connection");
  const client = await RawPolling.connect(server);
  const [socket] = await joined;
  const over = ended(socket);
  client.poll();
  assert.equal((await over)[1].context.limit, "maxIdleTime");
});

test("a session that has not joined a namespace is closed when it is idle", OURS, async (t) => {
  const server = await serve(t, { maxIdleTime: 100 });
  const ws = await RawWebSocket.open(server);
  await ws.closed();
  assert.equal(server.io.engine.clientsCount, 0);
});

test("options that are no times are refused", OURS, () => {
  for (const name of ["maxSessionAge", "maxIdleTime"]) {
    for (const value of [0, -1, "soon", NaN]) {
      assert.throws(() => new sio.Server(http.createServer(), { [name]: value }), {
        name: "TypeError",
        message: new RegExp(`^the "${name}" option must be a positive number of milliseconds, not `),
      });
    }
  }
});

for (const [name, options] of [
  ["maxSessionAge", { maxSessionAge: 300 }],
  ["expireAt", {}],
]) {
  test(`what has arrived before the limit is handled before: ${name}`, OURS, async (t) => {
    const server = await serve(t, options, { stream: "http" });
    const { ws, socket } = await server.rawPair();
    const got = [];
    socket.on("n", (n) => got.push(n));
    if (name === "expireAt") socket.expireAt(Date.now() + 300);
    // what is set crosses
    await new Promise(setImmediate);
    const over = ended(socket);
    ws.text('42["n",1]');
    ws.text('42["n",2]');
    const end = performance.now() + 600;
    while (performance.now() < end);
    await over;
    assert.deepEqual(got, [1, 2]);
  });
}

test("sockets that have left are not kept for their time", OURS, async (t) => {
  const server = await serve(t);
  const { socket, ws } = await server.rawPair();
  const { client } = socket;
  socket.expireAt(Date.now() + 3_600_000);
  const { expiryOf } = require("../lib/api/expiry");
  assert.ok(expiryOf(socket) > Date.now());
  const over = ended(socket);
  ws.text("41");
  await over;
  assert.equal(expiryOf(socket), undefined);
  assert.equal(client.conn.readyState, "open");
});

test("the reason is told although the client has to be waited for", OURS, async (t) => {
  const server = await serve(t, { maxSessionAge: 200 });
  const joined = once(server.io, "connection");
  const client = await RawPolling.connect(server);
  const [socket] = await joined;
  const over = ended(socket);
  const limited = once(server.io.engine, "limit");
  await limited;
  await client.poll();
  const [reason, details] = await over;
  assert.equal(reason, "forced close");
  assert.deepEqual(details.context, { limit: "maxSessionAge" });
});
