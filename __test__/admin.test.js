"use strict";

// The Admin UI: what admins see and can do is the same as with @socket.io/admin-ui on stock, and costs as little as it can.

const assert = require("node:assert/strict");
const { EventEmitter, once: onceEvent } = require("node:events");
const Module = require("node:module");
const test = require("node:test");
const bcrypt = require("bcryptjs");
const { ClusterAdapter } = require("socket.io-adapter");
const stockAdmin = require("@socket.io/admin-ui");
const { Recorder, connected, eventually, isStock, once, serve, sio } = require("./support/harness");
const { REDIS_CLIENTS } = require("./support/adapters");
const { redisPort, withoutRedis } = require("./support/services");
const { requireStock } = require("./support/stock");

const OURS = { skip: isStock && "stock has another one" };
const ourAdmin = isStock ? stockAdmin : require("../admin-ui");

const STOCK = { of: requireStock("socket.io"), ...stockAdmin };
const OUR = { of: sio, ...ourAdmin };
/** As with `SOCKEYE_NATIVE=0`. */
const OUR_ON_STOCK = { ...STOCK, ...ourAdmin };

/** With the lowest cost there is, so that it takes no time. */
const BASIC = { type: "basic", username: "ada", password: bcrypt.hashSync("secret", 4) };

/** A server for admins, of one package or the other. */
async function instrumented(t, { of, instrument }, options = {}, serverOptions = {}) {
  const server = await serve(t, { adapter: undefined, ...serverOptions }, { of });
  instrument(server.io, { auth: false, serverId: "one", mode: "development", ...options });
  return server;
}

/** An admin, and all that it is told but for statistics. */
class Admin {
  constructor(server, nsp = "/admin", options = {}) {
    this.told = new Recorder();
    this.statistics = new Recorder();
    this.client = server.client(nsp, options);
    this.client.onAny((event, ...args) => {
      if (event === "server_stats") this.statistics.push(args[0]);
      else this.told.push([event, ...args]);
    });
  }

  /** Waits until it has been told of something so many times. */
  until(event, count = 1, matches = () => true) {
    const isIt = ([name, ...args]) => name === event && matches(...args);
    return this.told.until((list) => list.filter(isIt).length >= count);
  }

  /** How often it was told of something. */
  count(event) {
    return this.told.list.filter(([name]) => name === event).length;
  }

  /** Does something, and waits until it has been told of this so many times more. */
  async see(event, more, act) {
    const count = this.count(event) + more;
    await act();
    await this.until(event, count);
  }
}

/** What was told, without what is another one each time. */
function normalise(told, names) {
  let text = JSON.stringify(told);
  for (const [name, id] of Object.entries(names)) text = text.replaceAll(id, `<${name}>`);
  return JSON.parse(
    text
      .replace(/"\d{4}-\d\d-\d\dT[\d:.]+Z"/g, '"<time>"')
      .replace(/"time":"[^"]*"/g, '"time":"<time>"')
      .replace(/"(issued)":\d+/g, '"$1":0')
      .replace(/"clientId":"[\w-]{12}"/g, '"clientId":"<twelve characters>"')
      .replace(/"sec-websocket-key":"[^"]*"/g, '"sec-websocket-key":"<key>"')
      .replace(/127\.0\.0\.1:\d+/g, "<host>")
      .replace(/([?&])(t|sid)=[^"&]*/g, "$1$2=<any>")
      .replace(/"(t|sid)":"[^"]*"/g, '"$1":"<any>"'),
  );
}

/** Plays a scenario on both, and with our half of the Admin UI on stock's engine, and compares what it returns. */
function onBoth(name, play, others = [OUR, OUR_ON_STOCK]) {
  test(name, OURS, async (t) => {
    const expected = await play(t, STOCK);
    for (const other of others) assert.deepEqual(await play(t, other), expected);
  });
}

onBoth("an admin is told of sockets, rooms and events", async (t, one) => {
  const server = await instrumented(t, one);
  const { io } = server;
  io.of(/^\/room-\d+$/);
  io.of("/chat").on("connection", (socket) => socket.join(["lobby", "hall"]));
  io.on("connection", (socket) => {
    socket.on("name", (name) => (socket.data.name = name));
    socket.on("ask", (text, reply) => {
      socket.join("askers");
      io.to("askers").emit("asked", text, { of: "askers" });
      io.except("askers").emit("somebody asks");
      socket.emit("told", text);
      reply("fine");
    });
    socket.on("leave", () => socket.leave("askers"));
  });
  const { client: ann } = await server.pair();
  const admin = new Admin(server);
  await admin.until("all_sockets");
  const names = { ann: ann.id, admin: admin.client.id };

  const bob = server.client();
  await admin.until("socket_connected", 2);
  const chat = bob.io.socket("/chat");
  await admin.until("socket_connected", 3);
  const room = bob.io.socket("/room-7");
  await admin.until("socket_connected", 4);
  await Promise.all([bob, chat, room].map(connected));
  Object.assign(names, { bob: bob.id, chat: chat.id, room: room.id });

  await admin.see("socket_updated", 1, () => bob.emit("name", "Bob"));
  await admin.see("event_sent", 3, async () => assert.equal(await bob.emitWithAck("ask", "what?"), "fine"));
  await admin.see("room_left", 1, () => bob.emit("leave"));
  await admin.see("event_received", 1, () => chat.emit("binary", Buffer.from("bytes")));
  await admin.see("room_left", 3, () => chat.disconnect());
  await admin.see("room_left", 2, () => bob.io._close());
  await admin.see("room_left", 1, () => ann.disconnect());
  return normalise(admin.told.list, names);
});

onBoth("an admin is told of an upgrade", async (t, one) => {
  const server = await instrumented(t, one);
  const admin = new Admin(server);
  await admin.until("all_sockets");
  const client = await connected(server.client("/", { transports: ["polling", "websocket"] }));
  await admin.until("socket_updated");
  return normalise(admin.told.list, { admin: admin.client.id, client: client.id });
});

onBoth("an admin makes sockets join, leave, hear events, and disconnect", async (t, one) => {
  const server = await instrumented(t, one);
  const admin = new Admin(server);
  await admin.until("all_sockets");
  const names = { admin: admin.client.id };
  const heard = {};
  const clients = {};
  for (const [name, nsp] of [
    ["ann", "/"],
    ["bob", "/"],
    ["cem", "/"],
    ["eve", "/chat"],
  ]) {
    server.io.of(nsp);
    const client = await connected(server.client(nsp));
    names[name] = client.id;
    clients[name] = client;
    heard[name] = [];
    client.onAny((...event) => heard[name].push(event));
    client.on("disconnect", (reason) => heard[name].push(reason));
  }
  await admin.until("socket_connected", 5);
  const order = (...command) => admin.client.emit(...command);

  await admin.see("room_joined", 3, () => order("join", "/", "all"));
  await admin.see("room_joined", 1, () => order("join", "/", "some", names.ann));
  await admin.see("room_joined", 1, () => order("join", "/", "others", "some"));
  await admin.see("event_sent", 1, () => order("emit", "/", "some", "to some", 1, { two: [3] }));
  await admin.see("event_sent", 1, () => order("emit", "/", names.bob, "to one"));
  await admin.see("event_sent", 3, () => order("emit", "/", undefined, "to all"));
  await admin.see("event_sent", 1, () => order("emit", "/chat", "", "to another namespace"));
  await admin.see("room_left", 1, () => order("leave", "/", "all", "some"));
  await admin.see("room_left", 2, () => order("leave", "/", "all"));
  await admin.see("room_left", 3, () => order("_disconnect", "/", false, "some"));
  await admin.see("room_left", 1, () => order("_disconnect", "/", true, names.bob));
  await admin.see("room_left", 1, () => order("_disconnect", "/", false));
  await admin.see("room_left", 1, () => order("_disconnect", "/chat", true));
  await eventually(() => Object.values(clients).every(({ disconnected }) => disconnected), "all have gone");
  return { told: normalise(admin.told.list, names), heard };
});

onBoth("whoever knows the password gets in, and comes back with a session", async (t, one) => {
  const server = await instrumented(t, one, { auth: BASIC });
  const refusals = [];
  for (const auth of [
    undefined,
    { username: "bob", password: "secret" },
    { username: "ada", password: "wrong" },
    { username: "ada", password: "" },
    { sessionId: "1234567812345678" },
    { sessionId: ["a"], username: {}, password: "secret" },
  ]) {
    const [error] = await once(server.client("/admin", { auth }), "connect_error");
    refusals.push(error.message);
  }
  const admin = new Admin(server, "/admin", { auth: { username: "ada", password: "secret" } });
  await admin.until("all_sockets");
  const [, sessionId] = admin.told.list.find(([event]) => event === "session");
  assert.match(sessionId, /^[0-9a-f]{16,}$/);
  admin.client.disconnect();
  const again = new Admin(server, "/admin", { auth: { sessionId } });
  await again.until("all_sockets");
  const names = { admin: admin.client.id ?? "none", again: again.client.id, session: sessionId };
  const events = (list) => list.map(([event]) => event);
  return { refusals, first: events(admin.told.list), again: normalise(again.told.list, names) };
});

onBoth("sessions are in a store of the application's own", async (t, one) => {
  const saved = [];
  const asked = [];
  const store = {
    async doesSessionExist(id) {
      asked.push(id);
      return id === "known";
    },
    saveSession: (id) => saved.push(id),
  };
  const server = await instrumented(t, one, { auth: BASIC, store, mode: "production" });
  const known = new Admin(server, "/admin", { auth: { sessionId: "known" } });
  await known.until("config");
  const admin = new Admin(server, "/admin", {
    auth: { sessionId: "unknown", username: "ada", password: "secret" },
  });
  await admin.until("config");
  assert.deepEqual(
    saved,
    admin.told.list.filter(([event]) => event === "session").map(([, id]) => id),
  );
  return { asked, saved: saved.length, known: known.told.list, config: admin.told.list.at(-1) };
});

for (const mode of ["development", "production"]) {
  onBoth(`read-only, in ${mode}: an admin looks, and nothing more`, async (t, one) => {
    const server = await instrumented(t, one, { readonly: true, mode, namespaceName: "/custom" });
    const { client, socket } = await server.pair();
    const admin = new Admin(server, "/custom");
    await admin.until(mode === "development" ? "all_sockets" : "config");
    admin.client.emit("join", "/", "room");
    admin.client.emit("_disconnect", "/", true);
    const adminSocket = server.io.of("/custom").sockets.get(admin.client.id);
    const last = onceEvent(adminSocket, "last");
    admin.client.emit("last");
    await last;
    assert.deepEqual([...socket.rooms], [socket.id]);
    assert.equal(client.connected, true);
    return normalise(
      admin.told.list.filter(([event]) => !event.startsWith("event_")),
      { admin: admin.client.id, client: client.id },
    );
  });
}

onBoth(
  "statistics: the same of both, but for the numbers of bytes",
  async (t, one) => {
    const server = await instrumented(t, one, { mode: "production" });
    const first = new Admin(server);
    await first.until("config");
    const client = await connected(server.client());
    await connected(server.client("/", { transports: ["polling"], upgrade: false }));
    server.io.of("/chat");
    client.disconnect();
    const counted = {};
    await first.statistics.until((list) => {
      for (const key of Object.keys(counted)) delete counted[key];
      for (const { type, subType, count } of list.flatMap((one) => one.aggregatedEvents)) {
        counted[`${type} ${subType}`] = (counted[`${type} ${subType}`] ?? 0) + count;
      }
      return (
        counted["rawDisconnection client namespace disconnect"] || counted["rawDisconnection transport close"]
      );
    });
    const { timestamp } = first.statistics.list.flatMap((one) => one.aggregatedEvents)[0];
    assert.ok(timestamp % 1000 === 0 && Math.abs(Date.now() - timestamp) < 20_000);
    const { uptime, pid, hostname, aggregatedEvents, ...rest } = first.statistics.list.at(-1);
    assert.ok(uptime > 0 && pid === process.pid && hostname.length > 0 && Array.isArray(aggregatedEvents));
    return { counted: Object.keys(counted).sort(), rest };
  },
  [OUR],
);

test("in production mode, nothing listens to sockets, and broadcasts are native", OURS, async (t) => {
  const server = await instrumented(t, OUR, { mode: "production" });
  const { io } = server;
  const admin = new Admin(server);
  await admin.until("config");
  const pairs = await server.pairs(12);
  for (const { socket } of pairs) {
    socket.join("room");
    assert.deepEqual(socket._detours(), []);
    assert.deepEqual(
      [socket.eventNames(), socket.listenersAny(), socket.listenersAnyOutgoing()],
      [["error"], [], []],
    );
    assert.deepEqual(socket.conn.eventNames(), []);
    assert.equal(socket.data._admin, undefined);
  }
  assert.equal(io.engine._isWatched(), false);
  assert.deepEqual(io.sockets.adapter.eventNames(), []);
  const heard = pairs.map(({ client }) => once(client, "last"));
  const { native } = io.metrics().broadcasts.roads;
  for (let i = 0; i < 10; i++) io.to("room").emit("news", i);
  io.emit("last");
  await Promise.all(heard);
  const { roads, deliveries } = io.metrics().broadcasts;
  assert.deepEqual(Object.keys(roads), ["native"]);
  assert.ok(
    roads.native - (native ?? 0) >= 11 && deliveries >= 11 * 12,
    JSON.stringify({ roads, deliveries }),
  );
});

test("while nobody looks, nothing is counted, sent or kept", OURS, async (t) => {
  for (const mode of ["production", "development"]) {
    const server = await instrumented(t, OUR, { mode });
    const { io } = server;
    const calls = [];
    const { metrics } = io;
    io.metrics = function () {
      calls.push("metrics");
      return metrics.call(this);
    };
    const { client, socket } = await server.pair();
    socket.data = { name: "Ann" };
    const { data } = socket;
    const isAlone = () => {
      assert.deepEqual(io.sockets.adapter.eventNames(), []);
      assert.deepEqual(io.sockets.eventNames(), []);
      assert.deepEqual(socket._detours(), []);
      assert.deepEqual(
        [socket.eventNames(), socket.listenersAny(), socket.conn.eventNames()],
        [["error"], [], []],
      );
      assert.equal(socket.data, data);
    };
    isAlone();
    assert.deepEqual(calls, []);
    assert.deepEqual(io.metrics().broadcasts.roads, {});

    const admin = new Admin(server);
    await admin.until("config");
    const gone = once(io.of("/admin").sockets.get(admin.client.id), "disconnect");
    admin.client.disconnect();
    await gone;
    isAlone();
    const { length } = calls;
    client.disconnect();
    await once(socket, "disconnect");
    assert.equal(calls.length, length);
  }
});

test("in development mode, broadcasts are native too", OURS, async (t) => {
  const server = await instrumented(t, OUR);
  const admin = new Admin(server);
  await admin.until("all_sockets");
  const pairs = await server.pairs(12);
  await admin.see("event_sent", 12, () => server.io.emit("news"));
  assert.deepEqual(Object.keys(server.io.metrics().broadcasts.roads), ["native"]);
  assert.equal(pairs.length, 12);
});

test("an admin sees at once how things are", OURS, async (t) => {
  const server = await instrumented(t, OUR, { mode: "production" });
  await server.pairs(2);
  const admin = new Admin(server);
  const [{ namespaces, clientsCount, pollingClientsCount, aggregatedEvents }] =
    await admin.statistics.until(1);
  assert.deepEqual(namespaces, [
    { name: "/", socketsCount: 2 },
    { name: "/admin", socketsCount: 1 },
  ]);
  assert.deepEqual(
    { clientsCount, pollingClientsCount, aggregatedEvents },
    {
      clientsCount: 3,
      pollingClientsCount: 0,
      aggregatedEvents: [],
    },
  );
});

test("statistics count messages, and bytes", OURS, async (t) => {
  const server = await instrumented(t, OUR, { mode: "production" });
  const admin = new Admin(server);
  await admin.until("config");
  const { client, socket } = await server.pair();
  const before = server.io.metrics().engine;
  const heard = once(client, "large");
  socket.emit("large", "x".repeat(10_000));
  await heard;
  const received = once(socket, "large");
  client.emit("large", "x".repeat(20_000));
  await received;
  const total = (list, type) =>
    list
      .flatMap(({ aggregatedEvents }) => aggregatedEvents)
      .reduce((sum, event) => (event.type === type ? sum + event.count : sum), 0);
  const list = await admin.statistics.until((told) => total(told, "bytesIn") >= 20_000);
  assert.ok(total(list, "bytesOut") >= 10_000);
  assert.ok(total(list, "packetsIn") >= 2 && total(list, "packetsOut") >= 2);
  assert.ok(before.packets.sent > 0);
});

test("data of sockets: changes are told, and objects stay what they are", OURS, async (t) => {
  const server = await instrumented(t, OUR);
  const admin = new Admin(server);
  await admin.until("all_sockets");
  const { socket, client } = await server.pair();
  const updates = () =>
    admin.told.list.filter(([event]) => event === "socket_updated").map(([, { data }]) => data);
  const user = { name: "Ann", tags: ["a"] };
  const map = new Map([[1, 2]]);
  const fixed = Object.freeze({ inner: { a: 1 } });
  await admin.see("socket_updated", 4, () => {
    socket.data.user = user;
    socket.data.nothing = null;
    socket.data.map = map;
    socket.data.fixed = fixed;
  });
  assert.deepEqual(updates().at(-1), { user, nothing: null, map: {}, fixed });
  assert.equal(socket.data.map.get(1), 2);
  assert.equal(socket.data.fixed.inner, fixed.inner);
  await admin.see("socket_updated", 1, () => (socket.data.user.name = "Anna"));
  assert.equal(updates().at(-1).user.name, "Anna");
  await admin.see("socket_updated", 2, () => socket.data.user.tags.push("b"));
  assert.deepEqual(updates().at(-1).user.tags, ["a", "b"]);
  await admin.see("socket_updated", 1, () => delete socket.data.nothing);
  assert.deepEqual(Object.keys(updates().at(-1)), ["user", "map", "fixed"]);

  // what cannot be told does not throw, and what has its place taken is not told of
  const told = admin.count("socket_updated");
  socket.data.itself = socket.data;
  delete socket.data.itself;
  await admin.until("socket_updated", told + 1);
  const left = once(socket, "disconnect");
  client.disconnect();
  await left;
  assert.equal(socket.data.user, user);
  assert.deepEqual(user, { name: "Anna", tags: ["a", "b"] });
});

test("a session that is recovered has its data, and is watched", OURS, async (t) => {
  const server = await instrumented(t, OUR, {}, { connectionStateRecovery: {} });
  const admin = new Admin(server);
  await admin.until("all_sockets");
  const client = server.client("/", { reconnection: true, reconnectionDelay: 1 });
  await connected(client);
  const first = server.io.sockets.sockets.get(client.id);
  const user = { name: "Ann" };
  await admin.see("socket_updated", 1, () => (first.data.user = user));
  const heard = once(client, "offset");
  first.emit("offset");
  await heard;
  const back = once(client, "connect");
  client.io.engine.close();
  await back;
  assert.equal(client.recovered, true);
  const second = server.io.sockets.sockets.get(client.id);
  assert.notEqual(second, first);
  await admin.see("socket_updated", 1, () => (second.data.user.name = "Anna"));
  assert.equal(user.name, "Anna");
});

test("commands that make no sense are ignored", OURS, async (t) => {
  const server = await instrumented(t, OUR);
  const admin = new Admin(server);
  await admin.until("all_sockets");
  const { client, socket } = await server.pair();
  admin.client.emit("emit", "/", undefined, "connect");
  admin.client.emit("emit", { not: "a name" }, undefined, "event");
  admin.client.emit("join");
  admin.client.emit("_disconnect", null, true);
  admin.client.emit("emit", "/", undefined, "last");
  assert.deepEqual(await once(client, "last"), []);
  assert.equal(socket.connected, true);
  assert.deepEqual([...server.io._nsps.keys()], ["/", "/admin"]);
});

test("a store that fails lets nobody in without the password, and nobody out with it", OURS, async (t) => {
  const fail = () => Promise.reject(new Error("no store"));
  const store = { doesSessionExist: fail, saveSession: fail };
  const server = await instrumented(t, OUR, { auth: BASIC, store });
  const refused = server.client("/admin", { auth: { sessionId: "any" } });
  assert.equal((await once(refused, "connect_error"))[0].message, "invalid credentials");
  const admin = new Admin(server, "/admin", {
    auth: { username: "ada", password: "secret", sessionId: "any" },
  });
  await admin.until("all_sockets");
  assert.equal(admin.count("session"), 0);
});

test("sessions in Redis, with clients that take callbacks or return promises", OURS, async () => {
  const kept = new Map();
  const commands = {
    exists: (key) => (kept.has(key) ? 1 : 0),
    set: (key, value) => kept.set(key, { value }) && "OK",
    expire: (key, seconds) => ((kept.get(key).seconds = seconds), 1),
  };
  const byCallback = {};
  const byPromise = { isReady: true };
  for (const [name, command] of Object.entries(commands)) {
    byCallback[name] = (...args) => process.nextTick(args.pop(), null, command(...args));
    byPromise[name] = async (...args) => command(...args);
  }
  const { RedisStore } = ourAdmin;
  const first = new RedisStore(byCallback);
  const second = new RedisStore(byPromise, { sessionDuration: 10 });
  await first.saveSession("a");
  await second.saveSession("b");
  assert.deepEqual(
    [...kept],
    [
      ["socket.io-admin#a", { value: "true", seconds: 86_400 }],
      ["socket.io-admin#b", { value: "true", seconds: 10 }],
    ],
  );
  for (const store of [first, second]) {
    const known = await Promise.all(["a", "b", "c"].map((id) => store.doesSessionExist(id)));
    assert.deepEqual(known, [true, true, false]);
  }
  assert.equal(await new RedisStore(byPromise, { prefix: "other" }).doesSessionExist("a"), false);
  const broken = new RedisStore({ exists: (key, done) => done(new Error("gone")) });
  await assert.rejects(broken.doesSessionExist("a"), /gone/);
});

for (const [library, open] of Object.entries(REDIS_CLIENTS)) {
  test(`sessions in Redis, by ${library}`, { skip: OURS.skip || withoutRedis }, async (t) => {
    const { client, close } = await open(await redisPort(t));
    t.after(close);
    const store = new ourAdmin.RedisStore(client, { prefix: `admin-test-${process.pid}-${library}` });
    assert.equal(await store.doesSessionExist("a"), false);
    await store.saveSession("a");
    assert.equal(await store.doesSessionExist("a"), true);
    assert.equal(await store.doesSessionExist("b"), false);
  });
}

test("it has to be said who may connect", OURS, (t) => {
  const io = new sio.Server();
  t.after(() => io.close());
  const { instrument } = ourAdmin;
  for (const auth of [
    undefined,
    null,
    true,
    {},
    { type: "digest", username: "ada", password: BASIC.password },
  ]) {
    assert.throws(() => instrument(io, { auth }), {
      name: "TypeError",
      message: /wants to know who may connect/,
    });
  }
  assert.throws(() => instrument(io), /auth is undefined/);
  for (const password of [undefined, "secret", "$2b$10$short"]) {
    assert.throws(() => instrument(io, { auth: { ...BASIC, password } }), /a hash that bcrypt has made/);
  }
  assert.throws(() => instrument(io, { auth: BASIC, store: {} }), /doesSessionExist and saveSession/);
});

test("passwords need bcryptjs", OURS, (t) => {
  const io = new sio.Server();
  t.after(() => io.close());
  const { _load: load } = Module;
  t.after(() => (Module._load = load));
  Module._load = function (name, ...args) {
    if (name === "bcryptjs") throw new Error(`Cannot find module '${name}'`);
    return load.call(this, name, ...args);
  };
  assert.throws(
    () => ourAdmin.instrument(io, { auth: BASIC }),
    (error) => {
      assert.equal(error.message, "instrument() needs bcryptjs for passwords: npm install bcryptjs");
      assert.match(error.cause.message, /Cannot find module/);
      return true;
    },
  );
  ourAdmin.instrument(io, { auth: false });
});

test("admins of other servers of a cluster see the sockets of this one", OURS, async (t) => {
  const options = { adapter: makeBus() };
  const [here, there] = [
    await instrumented(t, OUR, { serverId: "here" }, options),
    await instrumented(t, OUR, { serverId: "there" }, options),
  ];
  const { client: early } = await there.pair();
  const admin = new Admin(here);
  const [[, shown]] = (await admin.until("all_sockets")).filter(([event]) => event === "all_sockets");
  const { clientId, transport, data } = shown.find(({ id }) => id === early.id);
  assert.match(clientId, /^[\w-]{12}$/);
  assert.deepEqual({ transport, data }, { transport: "websocket", data: {} });

  const { client: late, socket } = await there.pair();
  await admin.until("socket_connected", 1, ({ id }) => id === late.id);
  await admin.see("socket_updated", 1, () => (socket.data.name = "Ann"));
  await admin.see("room_joined", 1, () => admin.client.emit("join", "/", "room", late.id));
  assert.ok(socket.rooms.has("room"));
  await admin.see("socket_disconnected", 1, () => late.disconnect());
  await admin.statistics.until((list) => list.some(({ serverId }) => serverId === "there"));
});

test("a server of a cluster tells nothing any more once it is closed", OURS, async (t) => {
  const { setInterval } = global;
  t.after(() => (global.setInterval = setInterval));
  const ticks = [];
  global.setInterval = (tick, ...args) => {
    ticks.push(tick);
    return setInterval(tick, ...args);
  };
  // one that listens itself
  const server = await serve(t, { adapter: makeBus() }, { stream: "http" });
  ourAdmin.instrument(server.io, { auth: false, mode: "development" });
  global.setInterval = setInterval;
  const { io } = server;
  const { emit } = io.of("/admin");
  const told = [];
  io.of("/admin").emit = function (...args) {
    told.push(args[0]);
    return emit.apply(this, args);
  };
  const [tick] = ticks;
  tick();
  assert.deepEqual(told, ["server_stats"]);
  await io.close();
  tick();
  assert.deepEqual(told, ["server_stats"]);
  assert.deepEqual(io.sockets.eventNames(), []);
});

/** The adapter of servers that tell each other everything, in one process. */
function makeBus() {
  const bus = new EventEmitter();
  return class extends ClusterAdapter {
    constructor(nsp) {
      super(nsp);
      this.listener = (message) => process.nextTick(() => this.onMessage(message));
      bus.on(nsp.name, this.listener);
    }

    doPublish(message) {
      bus.emit(this.nsp.name, JSON.parse(JSON.stringify(message)));
      return Promise.resolve("");
    }

    doPublishResponse(uid, response) {
      return this.doPublish({ ...response, nsp: this.nsp.name });
    }

    serverCount() {
      return Promise.resolve(2);
    }

    close() {
      bus.off(this.nsp.name, this.listener);
    }
  };
}
