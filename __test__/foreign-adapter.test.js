"use strict";

// Adapters of other packages extend the classes of socket.io-adapter. What they do with rooms must be as with stock, and
// a broadcast to the sockets of this server one command for the workers, unless the class has its own idea of it.

const fs = require("node:fs");
const { createRequire } = require("node:module");
const path = require("node:path");
const test = require("node:test");
const vm = require("node:vm");
const assert = require("node:assert/strict");
const { Adapter, ClusterAdapter, SessionAwareAdapter } = require("socket.io-adapter");
const { startChild } = require("./support/child");
const { isStock, sio, serve, once, record } = require("./support/harness");

/** Where stock's class is. */
const FILE = path.join(path.dirname(require.resolve("socket.io-adapter")), "in-memory-adapter.js");

/** More than are named one by one in a broadcast. */
const MANY = 12;

/** As adapters of a cluster do: publish, then deliver here by what they extend. */
class PublishingAdapter extends Adapter {
  published = [];

  broadcast(packet, opts) {
    this.published.push([packet, opts]);
    super.broadcast(packet, opts);
  }
}

/** Counts what is handed to sockets one by one from now on. */
function countWrites(pairs) {
  const counter = { count: 0 };
  for (const { socket } of pairs) {
    const { client } = socket;
    const write = client.writeToEngine;
    client.writeToEngine = function (...args) {
      counter.count++;
      return write.apply(this, args);
    };
  }
  return counter;
}

/** Emits an event to everybody after a broadcast, and returns what each has received before it. */
async function receivedBy(server, pairs, broadcast) {
  const logs = pairs.map(({ client }) => record(client, "event"));
  const ends = pairs.map(({ client }) => once(client, "end"));
  broadcast();
  for (const { socket } of pairs) socket.emit("end");
  await Promise.all(ends);
  for (const { client } of pairs) client.off("event");
  return logs.map(({ list }) => list.map(([value]) => value));
}

function numbersOf(logs) {
  return logs.flatMap((log, index) => log.map(() => index));
}

for (const [name, adapter] of [
  ["Adapter", Adapter],
  ["a class that extends Adapter", PublishingAdapter],
  ["a class that extends ClusterAdapter", clusterAdapter()],
]) {
  test(`${name}: everybody, rooms, those left out`, async (t) => {
    const server = await serve(t, { adapter });
    const pairs = await server.pairs(MANY + 8);
    const { io } = server;
    pairs.forEach(({ socket }, index) => {
      socket.join(index < MANY ? "large" : "small");
      if (index % 2 === 0) socket.join("even");
    });
    const writes = countWrites(pairs);
    const all = [...pairs.keys()];
    const large = all.filter((index) => index < MANY);
    const even = all.filter((index) => index % 2 === 0);

    const send = (operator) => receivedBy(server, pairs, () => operator.emit("event", 1)).then(numbersOf);
    for (let round = 0; round < 2; round++) {
      assert.deepEqual(await send(io.local), all);
      assert.deepEqual(await send(io.local.to("large")), large);
      assert.deepEqual(await send(io.local.to(["large", "even"])), [...new Set([...large, ...even])]);
      assert.deepEqual(
        await send(io.local.to("large").except("even")),
        large.filter((index) => index % 2 === 1),
      );
      assert.deepEqual(
        await send(io.local.except("large")),
        all.filter((index) => index >= MANY),
      );
      assert.deepEqual(await send(io.local.to("none")), []);
      assert.deepEqual(await send(pairs[3].socket.broadcast.local), all.toSpliced(3, 1));
    }
    if (!isStock) assert.equal(writes.count, all.length * 14, "only the ends were sent one by one");
  });
}

test("joins and leaves take effect at once, in the order in which they are said", async (t) => {
  const server = await serve(t, { adapter: Adapter });
  const pairs = await server.pairs(MANY);
  for (const { socket } of pairs) socket.join("room");
  const logs = await receivedBy(server, pairs, () => {
    const { io } = server;
    io.to("room").emit("event", 1);
    pairs[0].socket.leave("room");
    io.to("room").emit("event", 2);
    pairs[0].socket.join("room");
    pairs[1].socket.leaveAll();
    io.to("room").emit("event", 3);
    io.emit("event", 4);
    pairs[1].socket.join("room");
    io.to("room").emit("event", 5);
    io.emit("event", 6);
  });
  assert.deepEqual(logs[0], [1, 3, 4, 5, 6]);
  assert.deepEqual(logs[1], [1, 2, 5, 6]);
  assert.deepEqual(logs[2], [1, 2, 3, 4, 5, 6]);
});

test("a socket in no room that leaves all rooms is no longer reached", async (t) => {
  const server = await serve(t, { adapter: Adapter });
  const pairs = await server.pairs(MANY);
  const logs = await receivedBy(server, pairs, () => {
    server.io.emit("event", 1);
    pairs[0].socket.leave(pairs[0].socket.id);
    server.io.emit("event", 2);
    pairs[0].socket.leaveAll();
    server.io.emit("event", 3);
  });
  assert.deepEqual(logs[0], [1, 2]);
  assert.deepEqual(logs[1], [1, 2, 3]);
});

test("a socket is reached once its middleware lets it in, also in rooms that it has joined before", async (t) => {
  const server = await serve(t, { adapter: Adapter });
  const pairs = await server.pairs(MANY);
  for (const { socket } of pairs) socket.join("room");
  server.io.emit("event", "first");
  server.io.to("room").emit("event", "first");
  let admit;
  server.io.use((socket, next) => {
    // of all rooms, its own is the one whose joining would tell of the connection
    socket.join(["room", socket.id]);
    admit = next;
    server.io.emit("held");
  });
  const held = once(pairs[0].client, "held");
  const late = server.client();
  const log = record(late, "event");
  await held;
  server.io.emit("event", "too early");
  server.io.to("room").emit("event", "too early");
  admit();
  await once(late, "connect");
  server.io.emit("event", "everybody");
  server.io.to("room").emit("event", "room");
  assert.deepEqual(await log.until(2), [["everybody"], ["room"]]);
});

test("a socket that has left the namespace is no longer reached through its connection", async (t) => {
  const server = await serve(t, { adapter: Adapter });
  const chat = server.io.of("/chat");
  server.io.of("/other");
  const pairs = await server.pairs(MANY, "/chat");
  const [{ client, socket }] = pairs;
  const other = client.io.socket("/other");
  await once(other, "connect");
  for (const pair of pairs) pair.socket.join("room");
  chat.emit("event");
  chat.to("room").emit("event");
  const packets = record(client.io.engine, "data");
  socket.disconnect();
  chat.emit("event");
  chat.to("room").emit("event");
  server.io.of("/other").emit("end");
  await once(other, "end");
  assert.deepEqual(
    packets.list.map(([packet]) => packet).filter((packet) => packet.startsWith("2/chat")),
    ['2/chat,["event"]', '2/chat,["event"]'],
  );
});

test("many come and go", async (t) => {
  const server = await serve(t, { adapter: PublishingAdapter });
  const { io } = server;
  io.on("connection", (socket) => socket.join("room"));
  const staying = await server.pairs(MANY);
  for (let round = 0; round < 5; round++) {
    const leaving = await server.pairs(MANY);
    const all = [...staying, ...leaving];
    const logs = await receivedBy(server, all, () =>
      io.to("room").except(leaving[0].client.id).emit("event", 1),
    );
    assert.deepEqual(
      logs.map((log) => log.length),
      all.map((pair) => (pair === leaving[0] ? 0 : 1)),
    );
    const gone = leaving.map(({ socket }) => once(socket, "disconnect"));
    leaving.forEach(({ client, socket }, index) =>
      index % 2 === 0 ? client.disconnect() : socket.disconnect(true),
    );
    await Promise.all(gone);
  }
  assert.equal(io.of("/").adapter.rooms.get("room").size, MANY);
});

test("rooms that are changed without a word are noticed", async (t) => {
  const server = await serve(t, { adapter: Adapter });
  const pairs = await server.pairs(MANY);
  const { adapter } = server.io.of("/");
  for (const { socket } of pairs) socket.join("room");
  const logs = await receivedBy(server, pairs, () => {
    server.io.to("room").emit("event", 1);
    adapter.rooms.get("room").delete(pairs[0].client.id);
    server.io.to("room").emit("event", 2);
    adapter.removeAllListeners();
    pairs[1].socket.leave("room");
    server.io.to("room").emit("event", 3);
  });
  assert.deepEqual(logs[0], [1]);
  assert.deepEqual(logs[1], [1, 2]);
  assert.deepEqual(logs[2], [1, 2, 3]);
});

test("acknowledgements of a broadcast are gathered", async (t) => {
  const server = await serve(t, { adapter: PublishingAdapter });
  const pairs = await server.pairs(MANY);
  pairs.forEach(({ client }, index) => client.on("question", (ack) => ack(index)));
  const answers = await server.io.timeout(5000).emitWithAck("question");
  assert.deepEqual(
    answers.sort((a, b) => a - b),
    [...pairs.keys()],
  );
});

test("catch-all listeners hear of a broadcast", async (t) => {
  const server = await serve(t, { adapter: Adapter });
  const pairs = await server.pairs(MANY);
  const heard = [];
  pairs.slice(0, 2).forEach(({ socket }, index) => {
    socket.onAnyOutgoing((...args) => heard.push([index, ...args]));
  });
  const logs = await receivedBy(server, pairs, () => server.io.emit("event", "value"));
  assert.deepEqual(logs, Array(MANY).fill(["value"]));
  assert.deepEqual(
    // in the order in which they have connected, which need not be that of the pairs
    heard.filter(([, event]) => event === "event").sort(([a], [b]) => a - b),
    [
      [0, "event", "value"],
      [1, "event", "value"],
    ],
  );
});

test("clients that poll are reached too, in order, with binary data", async (t) => {
  const server = await serve(t, { adapter: PublishingAdapter });
  const pairs = [
    ...(await server.pairs(MANY)),
    ...(await server.pairs(2, "/", { transports: ["polling"], upgrade: false })),
  ];
  const logs = await receivedBy(server, pairs, () => {
    server.io.emit("event", Buffer.from([1, 2, 3]));
    server.io.emit("event", "text");
    server.io.compress(false).emit("event", "plain");
  });
  for (const log of logs) assert.deepEqual(log, [Buffer.from([1, 2, 3]), "text", "plain"]);
});

test("fetchSockets, socketsJoin, socketsLeave and disconnectSockets do not mistake themselves for broadcasts", async (t) => {
  const server = await serve(t, { adapter: PublishingAdapter });
  const pairs = await server.pairs(MANY);
  const { io } = server;
  io.emit("event");
  io.socketsJoin("room");
  assert.equal((await io.in("room").fetchSockets()).length, MANY);
  io.in(pairs[0].client.id).socketsLeave("room");
  assert.equal((await io.in("room").allSockets()).size, MANY - 1);
  const gone = once(pairs[0].client, "disconnect");
  io.except("room").disconnectSockets(true);
  await gone;
  assert.equal(io.sockets.sockets.size, MANY - 1);
});

for (const [name, adapter] of [
  ["the default adapter", undefined],
  ["that of socket.io-adapter", SessionAwareAdapter],
]) {
  test(`a session is recovered with ${name}`, async (t) => {
    const server = await serve(t, { adapter, connectionStateRecovery: {} });
    await server.pairs(MANY);
    const { client, socket } = await server.pair("/", { reconnection: true, reconnectionDelay: 1 });
    socket.join("room");
    server.io.emit("event", 0);
    await once(client, "event");
    const log = record(client, "event");
    const gone = once(socket, "disconnect");
    client.io.engine.close();
    await gone;
    server.io.to("room").emit("event", 1);
    await once(client, "connect");
    assert.equal(client.recovered, true);
    server.io.to("room").emit("event", 2);
    server.io.emit("event", 3);
    assert.deepEqual(
      (await log.until(3)).map(([value]) => value),
      [1, 2, 3],
    );
  });
}

/** Copies of socket.io-adapter's classes, made from changed text. */
function copyOf(change) {
  const exports = {};
  const text = change(fs.readFileSync(FILE, "utf8"));
  vm.compileFunction(text, ["exports", "require"])(exports, createRequire(FILE));
  return exports;
}

const COPIES = {
  "another copy": (text) => text,
  "a copy whose white space and comments are gone": (text) =>
    text.replace(/^\s*(\/\/.*)?\n/gm, "").replace(/^\s+/gm, ""),
  "a copy with other names": (text) =>
    text.replace(/\bencodedPackets\b/g, "e").replace(/\bsocket\b(?!s|\.io)/g, "t"),
  "a copy whose coverage is measured": (text) =>
    text
      .replace('"use strict";', '"use strict"; let count = 0;')
      .replace(/\(socket\) => \{/g, (start) => `${start} count++;`)
      .replace("apply(opts, callback) {", "apply(opts, callback) { count++;"),
};

for (const [name, change] of Object.entries(COPIES)) {
  test(`the class is recognised by what it does: ${name}`, async (t) => {
    const copy = copyOf(change);
    if (name !== "another copy") {
      assert.notEqual(String(copy.Adapter.prototype.broadcast), String(Adapter.prototype.broadcast));
    }
    const server = await serve(t, { adapter: class extends copy.Adapter {} });
    const pairs = await server.pairs(MANY);
    for (const { socket } of pairs) socket.join("room");
    const writes = countWrites(pairs);
    const send = () => server.io.to("room").emit("event", 1);
    assert.deepEqual(numbersOf(await receivedBy(server, pairs, send)), [...pairs.keys()]);
    if (!isStock) assert.equal(writes.count, MANY, "only the ends were sent one by one");
    const answers = server.io.timeout(5000).emitWithAck("question");
    for (const { client } of pairs) client.on("question", (answer) => answer(client.id));
    assert.deepEqual((await answers).sort(), pairs.map(({ client }) => client.id).sort());
  });
}

const STRANGERS = {
  "an apply() that does something else": (text) =>
    text.replace("const rooms = opts.rooms;", "const rooms = new Set(); void opts;"),
  "an apply() that reaches nobody where nobody is excepted": (text) =>
    text.replace(
      "const rooms = opts.rooms;",
      "if (opts.except?.size === 0) return; const rooms = opts.rooms;",
    ),
  "a broadcast() that does something else": (text) =>
    text.replace("socket.client.writeToEngine(encodedPackets, packetOpts);", "socket.emit('event', 1);"),
  "a broadcast() that sends something of its own": (text) =>
    text.replace("writeToEngine(encodedPackets, packetOpts);", "writeToEngine(['2[\"own\"]'], packetOpts);"),
  "a broadcast() that heeds no flags": (text) =>
    text.replace("writeToEngine(encodedPackets, packetOpts);", "writeToEngine(encodedPackets, {});"),
  "a class that does not extend an emitter directly": (text) =>
    text.replace("extends events_1.EventEmitter", "extends (class extends events_1.EventEmitter {})"),
  "functions without text": (text) =>
    text.replace("class Adapter ", "Function.prototype.toString = () => '[native code]'; class Adapter "),
};

for (const [name, change] of Object.entries(STRANGERS)) {
  test(`a class of another kind is left alone, and debug says so: ${name}`, { skip: isStock }, async (t) => {
    const child = startChild(
      t,
      async ({ args: [text, file], listen, load, send }) => {
        process.env.DEBUG = "sockeye:roads";
        const { Server } = load("../../index.js");
        const exports = {};
        const { createRequire } = load("node:module");
        new Function("exports", "require", text)(exports, createRequire(file));
        const httpServer = await listen();
        const io = new Server(httpServer, { adapter: exports.Adapter });
        const { adapter } = io.of("/");
        send("followed", { isFollowed: Object.hasOwn(adapter, "apply") });
        await io.close();
      },
      [change(fs.readFileSync(FILE, "utf8")), FILE],
    );
    assert.equal((await child.message("followed")).isFollowed, false);
    await child.ended();
    assert.match(child.errors, /sockeye:roads broadcasts of Adapter go socket by socket: /);
  });
}

test("a class with its own apply() is asked for every recipient", async (t) => {
  class FirstOnly extends Adapter {
    apply(opts, callback) {
      let isFirst = true;
      super.apply(opts, (socket) => {
        if (isFirst) callback(socket);
        isFirst = false;
      });
    }
  }
  const server = await serve(t, { adapter: FirstOnly });
  const pairs = await server.pairs(MANY);
  const logs = await receivedBy(server, pairs, () => server.io.emit("event", 1));
  assert.deepEqual(
    logs.map((log) => log.length).sort((a, b) => b - a),
    [1, ...Array(MANY - 1).fill(0)],
  );
});

test("recipients who are named one by one are reached on whichever worker they are", async (t) => {
  class OneByOne extends Adapter {
    apply(opts, callback) {
      super.apply(opts, (socket) => callback(socket));
    }
  }
  const server = await serve(t, { adapter: OneByOne, workers: 4 });
  const pairs = await server.pairs(8);
  for (let round = 0; round < 2; round++) {
    const heard = Promise.all(pairs.map(({ client }) => once(client, "event")));
    // nothing else is said in this tick that would wake the others
    server.io.emit("event", round);
    assert.deepEqual(await heard, Array(8).fill([round]));
  }
});

test("a class with its own broadcast() is left to it", async (t) => {
  class Whispering extends Adapter {
    broadcast(packet, opts) {
      this.apply(opts, (socket) => socket.emit("event", `for ${socket.id}`));
    }
  }
  const server = await serve(t, { adapter: Whispering });
  const pairs = await server.pairs(MANY);
  const logs = await receivedBy(server, pairs, () => server.io.emit("anything"));
  assert.deepEqual(
    logs,
    pairs.map(({ client }) => [`for ${client.id}`]),
  );
});

/** Adds to what it is given, as one may with stock. */
function hushing(Base) {
  return class extends Base {
    broadcast(packet, opts) {
      opts.except.add("quiet");
      if (opts.rooms.size === 0) opts.rooms.add("loud");
      super.broadcast(packet, opts);
    }

    fetchSockets(opts) {
      opts.except.add("quiet");
      return super.fetchSockets(opts);
    }

    sockets(rooms) {
      rooms.add("loud");
      return super.sockets(rooms);
    }
  };
}

for (const [name, adapter] of [
  ["Adapter", hushing(Adapter)],
  ["the default adapter", hushing(new sio.Server().of("/").adapter.constructor)],
]) {
  test(`a class that extends ${name} may add to the rooms of a broadcast`, async (t) => {
    const server = await serve(t, { adapter });
    const pairs = await server.pairs(3);
    const { io } = server;
    pairs[0].socket.join(["quiet", "loud"]);
    pairs[1].socket.join("loud");
    const send = (operator) => receivedBy(server, pairs, () => operator.emit("event", 1)).then(numbersOf);
    assert.deepEqual(await send(io), [1]);
    assert.deepEqual(await send(pairs[2].socket.broadcast), [1]);
    assert.deepEqual(await send(io.to(pairs[2].client.id)), [2]);
    assert.equal((await io.fetchSockets()).length, 2);
    assert.equal((await io.allSockets()).size, 2);
    const [remote] = await io.in(pairs[2].client.id).fetchSockets();
    assert.deepEqual(await send(remote), [2]);
  });
}

test("an adapter whose broadcast() is wrapped may add to the rooms, and others are not affected", async (t) => {
  const wrapped = await serve(t);
  const other = await serve(t);
  const { adapter } = wrapped.io.of("/");
  const { broadcast } = adapter;
  adapter.broadcast = function (packet, opts) {
    opts.except.add("room");
    broadcast.call(this, packet, opts);
  };
  const pairs = [...(await wrapped.pairs(2)), ...(await other.pairs(2))];
  pairs[0].socket.join("room");
  pairs[2].socket.join("room");
  const logs = await receivedBy(wrapped, pairs, () => {
    wrapped.io.emit("event", 1);
    other.io.emit("event", 2);
    wrapped.io.emit("event", 3);
  });
  assert.deepEqual(logs, [[], [1, 3], [2], [2]]);
});

test("with state recovery, what is emitted to one socket may be changed by the adapter too", async (t) => {
  const server = await serve(t, { adapter: hushing(SessionAwareAdapter), connectionStateRecovery: {} });
  const { client, socket } = await server.pair();
  const heard = once(client, "event");
  socket.emit("event", 1);
  assert.equal((await heard)[0], 1);
});

test("a class that adds to rooms later on, and encodes its own way", async (t) => {
  class Slow extends Adapter {
    async addAll(id, rooms) {
      await undefined;
      super.addAll(id, rooms);
    }

    _encode(packet, opts) {
      return super._encode({ ...packet, data: [...packet.data, "signed"] }, opts);
    }
  }
  const server = await serve(t, { adapter: Slow });
  const pairs = await server.pairs(MANY);
  server.io.emit("warm up");
  await pairs[0].socket.join("room");
  await Promise.all(pairs.slice(1).map(({ socket }) => socket.join("room")));
  const values = record(pairs[0].client, "event");
  server.io.emit("event", 1);
  server.io.to("room").emit("event", 2);
  assert.deepEqual(await values.until(2), [
    [1, "signed"],
    [2, "signed"],
  ]);
});

test("the namespace gets another adapter, sockets keep theirs", async (t) => {
  const server = await serve(t, { adapter: Adapter });
  const before = await server.pairs(MANY);
  server.io.emit("event");
  server.io.adapter(PublishingAdapter);
  const after = await server.pairs(MANY);
  const pairs = [...before, ...after];
  const logs = await receivedBy(server, pairs, () => {
    server.io.emit("event", "new");
    before[0].socket.broadcast.emit("event", "old");
  });
  assert.deepEqual(logs[0], []);
  assert.deepEqual(logs[1], ["old"]);
  assert.deepEqual(logs.at(-1), ["new"]);
});

test("the prototypes stay as they are", async (t) => {
  const names = Object.getOwnPropertyNames(Adapter.prototype);
  const methods = names.map((name) => Adapter.prototype[name]);
  const server = await serve(t, { adapter: PublishingAdapter });
  await server.pairs(MANY);
  server.io.emit("event");
  assert.deepEqual(Object.getOwnPropertyNames(Adapter.prototype), names);
  assert.deepEqual(
    names.map((name) => Adapter.prototype[name]),
    methods,
  );
  assert.deepEqual(Object.getOwnPropertyNames(PublishingAdapter.prototype), ["constructor", "broadcast"]);
});

/** A cluster of one. */
function clusterAdapter() {
  return class extends ClusterAdapter {
    doPublish() {
      return Promise.resolve("");
    }

    doPublishResponse() {
      return Promise.resolve();
    }
  };
}
