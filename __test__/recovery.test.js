"use strict";

// Connection state recovery: who is who while several connections are the same session.

const test = require("node:test");
const assert = require("node:assert/strict");
const { SessionAwareAdapter } = require("socket.io-adapter");
const { sio, serve, isStock, once, eventually, RawWebSocket } = require("./support/harness");

/** More than are named one by one in a broadcast. */
const MANY = 12;

const END = '42["end"]';

/** A raw client that joins, with the ids that it was given, and its socket. */
async function join(server, auth) {
  const connection = once(server.io, "connection");
  const ws = await RawWebSocket.open(server);
  ws.text(`40${auth ? JSON.stringify(auth) : ""}`);
  // what was missed comes in front of it
  const answer = () => ws.messages.find((message) => message.startsWith("40"));
  await ws.changes.until(answer);
  const [socket] = await connection;
  return { ws, socket, disconnected: once(socket, "disconnect"), ...JSON.parse(answer().slice(2)) };
}

function joinAll(server, count) {
  return Promise.all(Array.from({ length: count }, () => server.rawPair()));
}

/** The names of the events that a client has got by now. Its connection is asked, as the id may not lead to it. */
async function eventsOf({ ws, conn }) {
  conn.send(END.slice(1));
  await ws.changes.until(() => ws.messages.includes(END));
  return ws.messages
    .filter((message) => message.startsWith("42") && message !== END)
    .map((message) => JSON.parse(message.slice(2))[0]);
}

/** A server with a large room, and a session that was in it and has lost its connection. */
async function lostSession(t, adapter, connectionStateRecovery = {}) {
  const server = await serve(t, { adapter, connectionStateRecovery });
  const others = await joinAll(server, MANY);
  for (const { socket } of others) socket.join("room");
  const lost = await join(server);
  lost.socket.join("room");
  server.io.to("room").emit("seen");
  const seen = () => lost.ws.messages.find((message) => message.startsWith("42"));
  await lost.ws.changes.until(seen);
  lost.ws.destroy();
  await lost.disconnected;
  const auth = { pid: lost.pid, offset: JSON.parse(seen().slice(2)).at(-1) };
  async function recover() {
    const found = await join(server, auth);
    assert.equal(found.sid, lost.sid);
    assert.equal(found.socket.recovered, true);
    return { ...found, conn: found.socket.conn };
  }
  return { server, io: server.io, auth, recover };
}

/** Has new clients connect, more than have gone, and tells what they get of a message to the room. */
async function strangersHear({ server, io }) {
  const strangers = await joinAll(server, 8);
  io.to("room").emit("private");
  const heard = await Promise.all(strangers.map(({ ws, socket }) => eventsOf({ ws, conn: socket.conn })));
  return heard.flat();
}

for (const [name, adapter] of [
  ["the default adapter", undefined],
  ["that of socket.io-adapter", SessionAwareAdapter],
]) {
  test(`${name}: of two connections that have recovered one session, the later one is in its rooms`, async (t) => {
    const { io, recover } = await lostSession(t, adapter);
    const b = await recover();
    io.to("room").emit("one");
    const c = await recover();
    io.to("room").emit("two");
    io.emit("three");
    b.socket.emit("four");
    b.socket.leave("room");
    io.to("room").emit("five");
    assert.deepEqual(await eventsOf(b), ["one"]);
    assert.deepEqual(await eventsOf(c), ["one", "two", "three", "four"], "one was missed and sent again");
  });

  test(`${name}: the earlier of two connections with one session goes: no stranger is in its rooms`, async (t) => {
    const lost = await lostSession(t, adapter);
    const b = await lost.recover();
    const c = await lost.recover();
    b.ws.destroy();
    await b.disconnected;
    assert.deepEqual(await strangersHear(lost), []);
    // with stock, the id that both have has left the rooms, and the namespace
    assert.deepEqual(await eventsOf(c), isStock ? [] : ["private"]);
    assert.equal(lost.io.sockets.sockets.get(c.sid), isStock ? undefined : c.socket);
  });

  test(`${name}: a session is kept by the last of several connections`, { skip: isStock }, async (t) => {
    const lost = await lostSession(t, adapter);
    const b = await lost.recover();
    const c = await lost.recover();
    lost.io.to("room").emit("one");
    b.ws.destroy();
    await b.disconnected;
    c.socket.join("another room");
    c.socket.data.of = "c";
    c.ws.destroy();
    await c.disconnected;
    assert.equal(lost.io.sockets.sockets.has(c.sid), false);
    assert.equal(lost.io.sockets.adapter.sids.has(c.sid), false);
    lost.io.to("another room").emit("missed");
    const d = await lost.recover();
    assert.deepEqual(d.socket.data, { of: "c" });
    lost.io.to("another room").emit("two");
    assert.deepEqual(await eventsOf(d), ["one", "missed", "two"]);
  });

  test(
    `${name}: a session keeps its rooms when the last of several connections goes first`,
    { skip: isStock },
    async (t) => {
      const lost = await lostSession(t, adapter);
      const b = await lost.recover();
      const c = await lost.recover();
      c.socket.data.of = "c";
      c.ws.destroy();
      await c.disconnected;
      b.ws.destroy();
      await b.disconnected;
      lost.io.to("room").emit("missed");
      const d = await lost.recover();
      assert.deepEqual(d.socket.data, { of: "c" });
      lost.io.to("room").emit("two");
      assert.deepEqual(await eventsOf(d), ["missed", "two"]);
    },
  );

  test(`${name}: who is turned away takes nothing from the connection that has the session`, async (t) => {
    const lost = await lostSession(t, adapter, { skipMiddlewares: false });
    const b = await lost.recover();
    let refuse;
    lost.io.use((socket, next) => {
      refuse = () => next(new Error("no"));
    });
    const c = await RawWebSocket.open(lost.server);
    c.text(`40${JSON.stringify(lost.auth)}`);
    await eventually(() => refuse, "the middleware");
    refuse();
    await c.changes.until(() => c.messages.includes('44{"message":"no"}'));
    lost.io.to("room").emit("still here");
    assert.deepEqual(await eventsOf(b), isStock ? [] : ["still here"]);
    assert.equal(lost.io.sockets.sockets.get(b.sid), isStock ? undefined : b.socket);
  });

  test(`${name}: who goes takes nothing from a connection that a middleware holds back`, async (t) => {
    const lost = await lostSession(t, adapter, { skipMiddlewares: false });
    const b = await lost.recover();
    let admit;
    lost.io.use((socket, next) => {
      admit = next;
    });
    const connection = once(lost.io, "connection");
    const c = await RawWebSocket.open(lost.server);
    c.text(`40${JSON.stringify(lost.auth)}`);
    await eventually(() => admit, "the middleware");
    b.ws.destroy();
    await b.disconnected;
    admit();
    const [socket] = await connection;
    lost.io.to("room").emit("still here");
    assert.deepEqual(await eventsOf({ ws: c, conn: socket.conn }), isStock ? [] : ["still here"]);
  });

  test(`${name}: the later of two connections with one session goes: no stranger is in its rooms`, async (t) => {
    const lost = await lostSession(t, adapter);
    const b = await lost.recover();
    const c = await lost.recover();
    lost.io.emit("to all");
    c.ws.destroy();
    await c.disconnected;
    lost.io.to("room").emit("to nobody");
    assert.deepEqual(await eventsOf(b), []);
    b.ws.destroy();
    await b.disconnected;
    assert.deepEqual(await strangersHear(lost), []);
  });
}

/** An adapter with a clock that the test sets, and one socket that is never there. */
function adapterWithClock(t, maxDisconnectionDuration) {
  t.mock.timers.enable({ apis: ["setInterval", "Date"], now: 1_700_000_000_000 });
  const io = new sio.Server({ connectionStateRecovery: { maxDisconnectionDuration } });
  const { adapter } = io.of("/");
  const emit = (name, rooms = []) => {
    const packet = { type: 2, data: [name] };
    adapter.broadcast(packet, { rooms: new Set(rooms), except: new Set() });
    return packet.data.at(-1);
  };
  const lose = (pid) => adapter.persistSession({ sid: `id of ${pid}`, pid, rooms: ["room"], data: {} });
  const restore = async (pid, offset) => {
    const session = await adapter.restoreSession(pid, offset);
    return session && session.missedPackets.map(([name]) => name);
  };
  return { adapter, emit, lose, restore, pass: (ms) => t.mock.timers.tick(ms) };
}

test("what was broadcast is forgotten when nobody can have missed it any more: some of it", async (t) => {
  const { adapter, emit, lose, restore, pass } = adapterWithClock(t, 90_000);
  const old = emit("old");
  pass(1);
  lose("early");
  pass(49_999);
  const fresh = emit("fresh");
  emit("fresher", ["room"]);
  emit("for others", ["other"]);
  pass(10_000);
  lose("late");
  assert.equal(adapter.packets.length, 4, "nothing is old enough");
  assert.deepEqual(await restore("early", old), ["fresh", "fresher"]);
  pass(60_000);
  assert.deepEqual(
    adapter.packets.map(({ data }) => data[0]),
    ["fresh", "fresher", "for others"],
  );
  assert.deepEqual([...adapter.sessions.keys()], ["late"]);
  assert.equal(await restore("late", old), null);
  assert.deepEqual(await restore("late", fresh), ["fresher"]);
});

test("what was broadcast is forgotten when nobody can have missed it any more: all of it", async (t) => {
  const { adapter, emit, lose, restore, pass } = adapterWithClock(t, 30_000);
  emit("one");
  const two = emit("two");
  lose("pid");
  pass(60_000);
  assert.equal(adapter.packets.length, 0);
  assert.equal(adapter.sessions.size, 0);
  lose("pid");
  assert.equal(await restore("pid", two), null);
  const three = emit("three");
  emit("four");
  assert.deepEqual(await restore("pid", three), ["four"], "what comes later is remembered again");
});

test("nothing is forgotten at the very time that it may still be asked for", async (t) => {
  const { adapter, emit, lose, restore, pass } = adapterWithClock(t, 60_000);
  const offset = emit("one");
  emit("two");
  lose("pid");
  pass(60_000);
  assert.deepEqual(await restore("pid", offset), ["two"]);
  assert.equal(adapter.packets.length, 2);
  pass(1);
  assert.equal(await restore("pid", offset), null, "the session has expired");
  assert.equal(adapter.sessions.size, 0);
  pass(59_999);
  assert.equal(adapter.packets.length, 0);
});

test("acknowledgements, volatile packets and those of other types are not remembered", async (t) => {
  const { adapter, emit } = adapterWithClock(t, 60_000);
  const rooms = new Set();
  adapter.broadcast({ type: 2, data: ["ack"], id: 0 }, { rooms, except: rooms });
  adapter.broadcast({ type: 2, data: ["volatile"] }, { rooms, except: rooms, flags: { volatile: true } });
  const refusal = { type: 4, data: ["refused"] };
  adapter.broadcast(refusal, { rooms, except: rooms, flags: {} });
  assert.deepEqual(refusal.data, ["refused"]);
  assert.equal(adapter.packets.length, 0);
  const offsets = [emit("one"), emit("two"), emit("three")];
  assert.equal(new Set(offsets).size, 3);
  assert.deepEqual(
    adapter.packets.map(({ id }) => id),
    offsets,
  );
});

test("a packet is found by its offset among many, whatever the clock does", async (t) => {
  const { adapter, emit, lose, restore, pass } = adapterWithClock(t, 600_000);
  lose("pid");
  const offsets = [];
  for (let i = 0; i < 300; i++) {
    offsets.push(emit(i));
    if (i % 7 === 0) pass(i % 3);
    // stock gives out offsets again then
    if (i === 150 && !isStock) t.mock.timers.setTime(Date.now() - 20);
  }
  assert.equal(new Set(offsets).size, 300);
  for (const [i, offset] of offsets.entries()) {
    const missed = offsets.slice(i + 1).map((_, j) => i + 1 + j);
    assert.deepEqual(await restore("pid", offset), missed);
  }
  for (const unknown of [
    "",
    "0",
    "~",
    `${offsets[5]}0`,
    offsets[5].slice(0, -1),
    undefined,
    null,
    5,
    [offsets[5]],
  ]) {
    assert.equal(await restore("pid", unknown), null);
  }
  assert.equal(adapter.packets.length, 300);
});

test("an adapter that adds to the rooms of an emit changes those of that one", async (t) => {
  const seen = [];
  class Adding extends SessionAwareAdapter {
    broadcast(packet, opts) {
      if (packet.type === 2) {
        seen.push([...opts.rooms]);
        opts.rooms.add("more");
      }
      super.broadcast(packet, opts);
    }
  }
  const server = await serve(t, { adapter: Adding, connectionStateRecovery: {} });
  const { socket } = await join(server);
  socket.emit("one");
  socket.emit("two");
  assert.deepEqual(seen, [[socket.id], [socket.id]]);
});

const OURS = { skip: isStock && "stock has no bounds" };

/** A namespace's adapter with bounds, whose broadcasts are for nobody. */
async function boundedAdapter(t, bounds) {
  const { io } = await serve(t, { connectionStateRecovery: bounds });
  const { adapter } = io.of("/");
  return {
    io,
    adapter,
    emit(...args) {
      io.emit(...args);
      return adapter.packets.at(-1)?.id;
    },
    names: () => adapter.packets.map(({ data }) => data[0]),
    async restore(offset) {
      adapter.persistSession({ sid: "sid", pid: "pid", rooms: ["sid"], data: {} });
      const session = await adapter.restoreSession("pid", offset);
      return session && session.missedPackets.map(([name]) => name);
    },
  };
}

test(
  "no more packets are kept than there may be, and who has missed none that is gone is given the rest",
  OURS,
  async (t) => {
    const { adapter, emit, names, restore } = await boundedAdapter(t, { maxPackets: 1000 });
    const ids = Array.from({ length: 5000 }, (_, n) => emit(`n${n}`));
    assert.equal(adapter.packets.length, 1000);
    assert.deepEqual([names()[0], names().at(-1)], ["n4000", "n4999"]);
    assert.equal(await restore(ids[3998]), null);
    assert.equal((await restore(ids[3999])).length, 1000);
    assert.deepEqual(await restore(ids[4997]), ["n4998", "n4999"]);
    assert.deepEqual(await restore(ids[4999]), []);
    assert.equal(await restore("nonsense"), null);
  },
);

test("packets take no more memory than they may, whatever they are", OURS, async (t) => {
  const { adapter, emit, names } = await boundedAdapter(t, { maxBytes: 1_000_000 });
  for (let n = 0; n < 100; n++) emit(`text ${n}`, { text: ["x".repeat(50_000)] });
  assert.equal(adapter.packets.length, 9);
  emit("buffer", Buffer.alloc(850_000), null, undefined, 1, true);
  assert.deepEqual(names(), ["text 99", "buffer"]);
  emit("too large", Buffer.alloc(2_000_000));
  assert.deepEqual(names(), []);
  emit("small");
  assert.deepEqual(names(), ["small"]);
});

test("a sweep forgets as many as are old, however many that are", { skip: isStock }, async (t) => {
  t.mock.timers.enable({ apis: ["Date", "setInterval"] });
  const { io } = await serve(t, { connectionStateRecovery: { maxDisconnectionDuration: 30_000 } });
  const { adapter } = io.of("/");
  for (const [old, fresh] of [
    [300, 0],
    [600, 400],
    [10, 1000],
    [1000, 1],
  ]) {
    adapter.packets = [];
    for (let n = 0; n < old; n++) io.emit("old", n);
    t.mock.timers.tick(45_000);
    for (let n = 0; n < fresh; n++) io.emit("fresh", n);
    t.mock.timers.tick(15_000);
    assert.equal(adapter.packets.length, fresh);
    assert.ok(adapter.packets.every(({ data }) => data[0] === "fresh"));
  }
});

test("values that hide a circle are weighed, and those that are nested far", OURS, async (t) => {
  const { adapter, emit } = await boundedAdapter(t, { maxBytes: 1_000_000 });
  const circle = { toJSON: () => "a circle" };
  circle.itself = circle;
  emit("circle", circle);
  assert.equal(adapter.packets.length, 1);
});

test("bounds that are none are refused", OURS, () => {
  for (const bounds of [{ maxPackets: 0 }, { maxPackets: "10" }, { maxBytes: -1 }, { maxBytes: NaN }]) {
    const [name] = Object.keys(bounds);
    assert.throws(() => new sio.Server({ connectionStateRecovery: bounds }), {
      name: "TypeError",
      message: new RegExp(`^connectionStateRecovery\\.${name} is .*, not a positive number$`),
    });
  }
});

test("metrics tell of sessions that were recovered, were not, and are kept", OURS, async (t) => {
  const server = await serve(t, { connectionStateRecovery: { maxPackets: 2 } });
  const { io } = server;
  const first = await join(server);
  io.emit("offset");
  await first.ws.changes.until(() => first.ws.messages.some((message) => message.startsWith("42")));
  const [, offset] = JSON.parse(first.ws.messages.at(-1).slice(2));
  first.ws.destroy();
  await first.disconnected;
  assert.deepEqual(io.metrics().recovery, { recovered: 0, failed: 0, sessions: 1, packets: 1 });
  const second = await join(server, { pid: first.pid, offset });
  assert.equal(second.socket.recovered, true);
  second.ws.destroy();
  await second.disconnected;
  for (let n = 0; n < 4; n++) io.emit("n");
  const third = await join(server, { pid: first.pid, offset });
  assert.equal(third.socket.recovered, false);
  const { recovered, failed, packets } = io.metrics().recovery;
  assert.deepEqual({ recovered, failed, packets }, { recovered: 1, failed: 1, packets: 2 });
});

test(
  "the time of expireAt() holds for a session that is recovered, and a session that is over is not recovered",
  OURS,
  async (t) => {
    const server = await serve(t, { connectionStateRecovery: {} });
    const { io } = server;
    let left = 0;
    io.use((socket, next) => {
      socket.expireAt(Date.now() + left);
      next();
    });
    const lose = async (milliseconds) => {
      left = milliseconds;
      const client = await join(server);
      client.socket.emit("offset");
      io.emit("offset");
      await client.ws.changes.until(
        () => client.ws.messages.filter((it) => it.startsWith("42")).length === 2,
      );
      const offset = JSON.parse(client.ws.messages.at(-1).slice(2)).at(-1);
      client.ws.destroy();
      await client.disconnected;
      return { pid: client.pid, offset };
    };
    const back = await join(server, await lose(600));
    assert.equal(back.socket.recovered, true);
    const [reason] = await back.disconnected;
    assert.equal(reason, "server namespace disconnect");
    const over = await lose(100);
    await new Promise((resolve) => setTimeout(resolve, 150));
    left = 60_000;
    assert.equal((await join(server, over)).socket.recovered, false);
  },
);
