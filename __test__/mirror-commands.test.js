"use strict";

// What the workers are told of rooms, word for word. Here they are a list of commands that know what may be said to them:
// who joins a room is not in it, who leaves it is, and no room is made twice.

const test = require("node:test");
const assert = require("node:assert/strict");
const { Adapter: InMemoryAdapter } = require("socket.io-adapter");
const { Adapter } = require("../lib/adapter/adapter");
const { follow } = require("../lib/adapter/adapter-follower");
const { mirrorOf } = require("../lib/adapter/room-mirror");
const { watch, unwatch } = require("../lib/adapter/watch");
const { VOLATILE, COMPRESS, TARGET_CONNECTION } = require("../lib/native/commands");

/** Rooms of up to this many are named member by member. */
const SMALL = 8;

/** The commands of an engine, and what they have made of its rooms. */
class Engine {
  constructor() {
    this.said = [];
    this.rooms = new Map();
    this.isWatched = false;
    this.handles = 0;
    let last = 0;
    this._bridge = { commands: this, rooms: { add: () => ++last, remove: () => {} } };
  }

  _isWatched() {
    return this.isWatched;
  }

  room(number, connections) {
    assert.equal(this.rooms.has(number), false);
    this.rooms.set(number, new Set(connections));
    assert.equal(this.rooms.get(number).size, connections.length);
    this.said.push(`room ${number}: ${connections}`);
  }

  dropRoom(number) {
    assert.equal(this.rooms.delete(number), true);
    this.said.push(`drop ${number}`);
  }

  join(number, connection) {
    assert.equal(this.rooms.get(number).has(connection), false);
    this.rooms.get(number).add(connection);
    this.said.push(`join ${number}: ${connection}`);
  }

  leave(number, connection) {
    assert.equal(this.rooms.get(number).delete(connection), true);
    this.said.push(`leave ${number}: ${connection}`);
  }

  sendPackets(connection, [name], flags) {
    this.said.push(`${name}${bitsOf(flags)} (alone): ${connection}`);
  }

  broadcast([name], targets, except, flags) {
    const resolve = (list) =>
      new Set(
        list.flatMap((target) => {
          if (target >= TARGET_CONNECTION) return [target - TARGET_CONNECTION];
          assert.equal(this.rooms.has(target), true);
          return [...this.rooms.get(target)];
        }),
      );
    const spared = resolve(except);
    const reached = [...resolve(targets)].filter((handle) => !spared.has(handle)).sort((a, b) => a - b);
    const kind = targets.some((target) => target < TARGET_CONNECTION) ? "room" : "named";
    this.said.push(`${name}${bitsOf(flags)} (${kind}): ${reached}`);
  }

  /** What was said since this was asked last. */
  take() {
    return this.said.splice(0);
  }
}

function bitsOf(flags) {
  return `${flags & VOLATILE ? " volatile" : ""}${flags & COMPRESS ? "" : " plain"}`;
}

/** A namespace with sockets that are nothing but what an adapter looks at. */
class Namespace {
  constructor(Class = Adapter) {
    this.name = "/";
    this.sockets = new Map();
    this.server = { encoder: { encode: ({ data }) => [data[0]] } };
    this.engine = new Engine();
    /** What was written to sockets one by one: id, name, options. */
    this.written = [];
    this.use(Class);
  }

  use(Class) {
    this.adapter = new Class(this);
    follow(this, this.adapter);
    this.mirror = mirrorOf(this.adapter);
  }

  /** A connection, for one socket or more. */
  open(engine = this.engine) {
    const sockets = [];
    return {
      conn: { _handle: engine.handles++, server: engine, readyState: "open" },
      sockets,
      _listSockets: () => sockets,
    };
  }

  /** A socket that its middleware still holds back. */
  hold(id, client = this.open()) {
    return {
      id,
      nsp: this,
      client: {
        conn: client.conn,
        sockets: client.sockets,
        _listSockets: client._listSockets,
        writeToEngine: ([name], opts) => this.written.push([id, name, opts]),
      },
    };
  }

  admit(socket) {
    this.sockets.set(socket.id, socket);
    this.mirror.onConnect(socket);
    this.adapter.addAll(socket.id, new Set([socket.id]));
    socket.client.sockets.push(socket);
    return socket;
  }

  connect(id, client) {
    return this.admit(this.hold(id, client));
  }

  disconnect({ id }) {
    this.adapter.delAll(id);
    this.sockets.delete(id);
    this.mirror.onRemove(id);
  }

  join(room, ...sockets) {
    for (const { id } of sockets) this.adapter.addAll(id, new Set([room]));
  }

  emit(name, rooms = [], except = [], flags = {}) {
    this.adapter.broadcast(
      { type: 2, data: [name] },
      { rooms: new Set(rooms), except: except && new Set(except), flags },
    );
    return this.engine.take();
  }

  /** As many sockets, of connections 0 and up, in a room. */
  crowd(count, room = "room") {
    const sockets = Array.from({ length: count }, (_, i) => this.connect(`id ${i}`));
    this.join(room, ...sockets);
    assert.deepEqual(this.engine.take(), [], "nothing is said of rooms that were not broadcast to");
    return sockets;
  }
}

const first = (count) => Array.from({ length: count }, (_, i) => i).join();

for (const [kind, Class] of [
  ["our adapter", Adapter],
  ["another package's", InMemoryAdapter],
]) {
  test(`${kind}: a small room is named, a larger one is made once`, () => {
    const nsp = new Namespace(Class);
    nsp.crowd(SMALL, "small");
    assert.deepEqual(nsp.emit("a", ["small"]), [`a (named): ${first(SMALL)}`]);
    nsp.join("small", nsp.connect("late"));
    assert.deepEqual(nsp.emit("b", ["small"]), [
      `room 1: ${first(SMALL + 1)}`,
      `b (room): ${first(SMALL + 1)}`,
    ]);
    assert.deepEqual(nsp.emit("c", ["small"]), [`c (room): ${first(SMALL + 1)}`]);
    assert.deepEqual(nsp.emit("d"), [`room 2: ${first(SMALL + 1)}`, `d (room): ${first(SMALL + 1)}`]);
    assert.deepEqual(nsp.emit("e"), [`e (room): ${first(SMALL + 1)}`]);
    assert.deepEqual(nsp.emit("f", [], ["small"]), ["f (room): "]);
    assert.deepEqual(nsp.emit("g", ["small"], undefined), [`g (room): ${first(SMALL + 1)}`]);
    assert.deepEqual(nsp.emit("h", ["none"]), [], "without anybody to reach, nothing is said");
  });

  test(`${kind}: each change is said once, and nothing else`, () => {
    const nsp = new Namespace(Class);
    const { adapter, engine } = nsp;
    const sockets = nsp.crowd(10);
    nsp.emit("a", ["room"]);
    nsp.emit("b");
    nsp.join("room", sockets[0]);
    nsp.join("other", sockets[0]);
    adapter.del(sockets[0].id, "other");
    adapter.del(sockets[0].id, "never joined");
    assert.deepEqual(engine.take(), []);
    adapter.del(sockets[0].id, "room");
    adapter.del(sockets[0].id, "room");
    assert.deepEqual(engine.take(), ["leave 1: 0"]);
    nsp.join("room", sockets[0]);
    assert.deepEqual(engine.take(), ["join 1: 0"]);
    const late = nsp.connect("late");
    assert.deepEqual(engine.take(), ["join 2: 10"]);
    nsp.join("room", late);
    assert.deepEqual(engine.take(), ["join 1: 10"]);
    nsp.disconnect(late);
    assert.deepEqual(engine.take(), ["leave 1: 10", "leave 2: 10"]);
    assert.deepEqual(nsp.emit("c", ["room"]), [`c (room): ${first(10)}`]);
    assert.deepEqual(nsp.emit("d"), [`d (room): ${first(10)}`]);
  });

  test(`${kind}: sockets that are in no room but their own`, () => {
    const nsp = new Namespace(Class);
    const { adapter, engine } = nsp;
    const sockets = Array.from({ length: 9 }, (_, i) => nsp.connect(`id ${i}`));
    nsp.emit("a");
    assert.equal(engine.take().length, 0);
    adapter.addAll("id 0", new Set(["id 0"]));
    assert.deepEqual(engine.take(), []);
    const late = nsp.connect("late");
    assert.deepEqual(engine.take(), ["join 1: 9"]);
    nsp.join("room", late);
    nsp.join("id 1", sockets[0]);
    assert.deepEqual(engine.take(), []);
    assert.deepEqual(nsp.emit("b", ["id 1"]), ["b (named): 0,1"]);
    nsp.disconnect(late);
    nsp.disconnect(sockets[2]);
    assert.deepEqual(engine.take(), ["leave 1: 9", "leave 1: 2"]);
    // a room that is named like a socket to come, and a socket whose first rooms are several
    nsp.join("last", sockets[0]);
    nsp.connect("last");
    assert.deepEqual(nsp.emit("c", ["last"]), ["join 1: 10", "c (named): 0,10"]);
    const held = nsp.hold("held");
    adapter.addAll("held", new Set(["held", "room"]));
    nsp.admit(held);
    assert.deepEqual(nsp.emit("d", ["room"]), ["join 1: 11", "d (alone): 11"]);
    assert.deepEqual([...adapter.rooms.get("last")].sort(), ["id 0", "last"]);
    assert.deepEqual([...adapter.sids.get("held")], ["held", "room"]);
  });

  test(`${kind}: the Map of sockets is in the order in which they have connected, whoever is in rooms`, () => {
    const nsp = new Namespace(Class);
    const { adapter } = nsp;
    const names = ["a", "b", "c", "d"];
    const sockets = names.map((name) => nsp.connect(name));
    nsp.join("room", sockets[2], sockets[1]);
    adapter.addAll("held", new Set(["held"]));
    assert.deepEqual([...adapter.sids.keys()], [...names, "held"]);
    assert.deepEqual(
      [...adapter.rooms.keys()].filter((room) => room !== "room"),
      [...names, "held"],
    );
    assert.deepEqual(adapter.rooms.get("room"), new Set(["c", "b"]));
  });

  test(`${kind}: listeners that come late hear of sockets that are in no room but their own`, () => {
    const nsp = new Namespace(Class);
    const one = nsp.connect("one");
    const heard = [];
    for (const event of ["create-room", "join-room", "leave-room", "delete-room"]) {
      nsp.adapter.on(event, (...args) => heard.push([event, ...args].join(" ")));
    }
    nsp.disconnect(one);
    nsp.connect("two");
    assert.deepEqual(heard, [
      "leave-room one one",
      "delete-room one",
      "create-room two",
      "join-room two two",
    ]);
  });

  test(`${kind}: the same once somebody has looked at the Maps`, () => {
    const nsp = new Namespace(Class);
    const { adapter, engine } = nsp;
    const sockets = nsp.crowd(10);
    nsp.emit("a");
    assert.equal(adapter.sids.size, 10);
    const late = nsp.connect("late");
    nsp.join("room", late);
    nsp.disconnect(late);
    assert.deepEqual(engine.take(), ["join 1: 10", "leave 1: 10"]);
    adapter.sids.set(sockets[0].id, new Set());
    adapter.sids.delete("nobody");
    assert.deepEqual(engine.take(), []);
    assert.deepEqual(nsp.emit("b"), [`b (room): ${first(10)}`]);
    adapter.sids = new Map([...adapter.sids.keys()].map((id) => [id, new Set()]));
    nsp.emit("c");
    nsp.connect("later");
    assert.deepEqual(engine.take(), ["join 2: 11"], "another Map is watched too");
    const others = [...sockets.slice(1), ...["x", "y"].map((id) => nsp.connect(id))].map(({ id }) => id);
    engine.take();
    adapter.sids = new Map(others.map((id) => [id, new Set()]));
    assert.equal(nsp.emit("d").at(-1), "d (room): 1,2,3,4,5,6,7,8,9,12,13", "as many as before");
  });

  test(`${kind}: a room that is empty is forgotten, and begins anew`, () => {
    const nsp = new Namespace(Class);
    const { adapter, engine } = nsp;
    const sockets = nsp.crowd(9);
    nsp.emit("a", ["room"]);
    nsp.emit("b");
    for (const { id } of sockets) adapter.del(id, "room");
    assert.equal(engine.take().at(-1), "drop 1");
    for (const socket of sockets) nsp.disconnect(socket);
    assert.equal(engine.take().at(-1), "drop 2");
    assert.equal(engine.rooms.size, 0);
    assert.equal(nsp.mirror._members.size, 0);
    nsp.crowd(9);
    assert.deepEqual(nsp.emit("c", ["room"]).length, 2);
  });

  test(`${kind}: who is in no mirrored room is forgotten when its socket has gone`, () => {
    const nsp = new Namespace(Class);
    const sockets = nsp.crowd(10);
    nsp.emit("a", ["room"]);
    assert.equal(nsp.mirror._members.size, 10);
    nsp.adapter.del(sockets[0].id, "room");
    nsp.disconnect(sockets[0]);
    assert.equal(nsp.mirror._members.size, 9);
    nsp.disconnect(sockets[1]);
    assert.equal(nsp.mirror._members.size, 8);
    nsp.join("room", { id: "nobody" });
    assert.equal(nsp.mirror._members.size, 9);
    nsp.adapter.del("nobody", "room");
    assert.equal(nsp.mirror._members.size, 8);
  });

  test(`${kind}: who comes back into a room is on the connection that it has then`, () => {
    const nsp = new Namespace(Class);
    const { adapter, engine } = nsp;
    const [moves, ends] = nsp.crowd(10);
    nsp.emit("a", ["room"]);
    for (const { id } of [moves, ends]) adapter.del(id, "room");
    const twin = nsp.connect(moves.id);
    ends.client.conn.readyState = "closed";
    assert.deepEqual(engine.take(), ["leave 1: 0", "leave 1: 1"]);
    nsp.join("room", twin, ends);
    assert.deepEqual(engine.take(), ["join 1: 10"]);
  });

  test(`${kind}: after all is forgotten, nothing is said and nothing watched`, () => {
    const nsp = new Namespace(Class);
    const { adapter, engine, mirror } = nsp;
    const [one, two] = nsp.crowd(10);
    nsp.emit("a", ["room"]);
    nsp.emit("b");
    mirror.clear();
    assert.deepEqual(engine.take(), ["drop 1", "drop 2"]);
    assert.equal(mirror._members.size, 0);
    adapter.del(one.id, "room");
    nsp.disconnect(two);
    nsp.join("room", nsp.connect("late"));
    assert.deepEqual(engine.take(), []);
    for (const collection of [adapter.rooms.get("room"), Class === InMemoryAdapter && adapter.sids]) {
      if (collection) assert.deepEqual(Reflect.ownKeys(collection), []);
    }
    assert.deepEqual(nsp.emit("c", ["room"]), ["room 3: 2,3,4,5,6,7,8,9,10", "c (room): 2,3,4,5,6,7,8,9,10"]);
  });

  test(`${kind}: a socket that is held back is told of once it is admitted, in all its rooms`, () => {
    const nsp = new Namespace(Class);
    const { engine, adapter } = nsp;
    nsp.crowd(9);
    nsp.emit("a", ["room"]);
    nsp.emit("b");
    const held = nsp.hold("held");
    nsp.join("room", held);
    nsp.join("other", held);
    assert.deepEqual(engine.take(), []);
    assert.deepEqual(nsp.emit("c", ["room"]), [`c (room): ${first(9)}`]);
    nsp.admit(held);
    assert.deepEqual(engine.take().sort(), ["join 1: 9", "join 2: 9"]);
    const refused = nsp.hold("refused");
    nsp.join("room", refused);
    adapter.delAll(refused.id);
    assert.deepEqual(engine.take(), []);
    assert.deepEqual(nsp.emit("d", ["room"]), [`d (room): ${first(10)}`]);
  });

  test(`${kind}: an id moves from one connection to another, and the first one's end says nothing more`, () => {
    const nsp = new Namespace(Class);
    const { engine } = nsp;
    const [one] = nsp.crowd(9);
    nsp.emit("a", ["room"]);
    nsp.emit("b");
    const two = nsp.connect(one.id);
    assert.deepEqual(engine.take().sort(), ["join 1: 9", "join 2: 9", "leave 1: 0", "leave 2: 0"]);
    nsp.disconnect(one);
    assert.deepEqual(engine.take().sort(), ["leave 1: 9", "leave 2: 9"]);
    nsp.disconnect(two);
    assert.deepEqual(engine.take(), []);
  });

  test(`${kind}: an id that the Set of a room has lost moves out of the others only`, () => {
    const nsp = new Namespace(Class);
    const { engine, adapter } = nsp;
    const [one] = nsp.crowd(10);
    nsp.emit("a", ["room"]);
    nsp.emit("b");
    adapter.rooms.get("room").delete(one.id);
    assert.deepEqual(engine.take(), ["leave 1: 0"]);
    nsp.connect(one.id);
    assert.deepEqual(engine.take(), ["leave 2: 0", "join 2: 10"]);
  });

  test(`${kind}: a connection that is closed is not named, nor put into rooms`, () => {
    const nsp = new Namespace(Class);
    const sockets = nsp.crowd(10);
    sockets[0].client.conn.readyState = "closed";
    assert.deepEqual(nsp.emit("a", [sockets[0].id, sockets[1].id]), ["a (alone): 1"]);
    assert.deepEqual(nsp.emit("b", ["room"]), ["room 1: 1,2,3,4,5,6,7,8,9", "b (room): 1,2,3,4,5,6,7,8,9"]);
    nsp.disconnect(sockets[0]);
    assert.deepEqual(nsp.engine.take(), []);
  });

  test(`${kind}: what is said of a broadcast`, () => {
    const nsp = new Namespace(Class);
    nsp.crowd(2);
    assert.deepEqual(nsp.emit("a", [], [], { volatile: true }), ["a volatile (named): 0,1"]);
    assert.deepEqual(nsp.emit("b", [], [], { compress: false }), ["b plain (named): 0,1"]);
    assert.deepEqual(nsp.emit("c", [], [], { compress: true, volatile: false }), ["c (named): 0,1"]);
    nsp.adapter.broadcast({ type: 2, data: ["d"] }, { rooms: new Set() });
    assert.deepEqual(nsp.engine.take(), ["d (named): 0,1"], "without flags, and rooms to leave out");
  });

  test(`${kind}: while somebody has to see every message, each socket is written to`, () => {
    const nsp = new Namespace(Class);
    nsp.crowd(10);
    nsp.engine.isWatched = true;
    assert.deepEqual(nsp.emit("a", ["room"], ["id 3"]), []);
    assert.deepEqual(
      nsp.written.map(([id]) => id),
      [0, 1, 2, 4, 5, 6, 7, 8, 9].map((i) => `id ${i}`),
    );
  });

  test(`${kind}: of two sockets of one connection, the later one is written to apart`, () => {
    const nsp = new Namespace(Class);
    const { engine, adapter } = nsp;
    nsp.crowd(9);
    nsp.emit("a", ["room"]);
    nsp.emit("b");
    const client = nsp.open();
    const one = nsp.connect("one", client);
    const two = nsp.connect("two", client);
    nsp.join("room", one, two);
    assert.deepEqual(engine.take(), ["join 2: 9", "join 1: 9"]);
    assert.deepEqual(nsp.emit("c", ["room"], [], { volatile: true, compress: false }), [
      `c volatile plain (room): ${first(10)}`,
    ]);
    const [[id, name, { volatile, compress, preEncoded }]] = nsp.written.splice(0);
    assert.deepEqual([id, name, volatile, compress, preEncoded], ["two", "c", true, false, true]);
    nsp.emit("d", [], ["two"]);
    nsp.emit("e", ["one"]);
    nsp.emit("f", ["none"]);
    assert.deepEqual(nsp.written, []);
    nsp.emit("g", ["two"]);
    nsp.emit("h", ["two", "room"], ["one"]);
    nsp.emit("i", [], null);
    adapter.delAll("two");
    nsp.emit("j");
    assert.deepEqual(
      nsp.written.splice(0).map(([, name]) => name),
      ["g", "h", "i"],
    );
    nsp.join("other", two);
    nsp.emit("k");
    assert.equal(nsp.written.splice(0).length, 1);
    adapter.delAll("two");
    nsp.join("two", two);
    nsp.emit("l", ["two"]);
    assert.equal(nsp.written.splice(0).length, 1);
    // the id comes back on a connection of its own
    engine.take();
    nsp.connect("two");
    assert.deepEqual(engine.take(), ["join 2: 10"]);
    nsp.emit("m");
    assert.deepEqual(nsp.written, []);
    assert.equal(nsp.mirror._apart.size, 0);
  });

  test(`${kind}: an id whose second socket is on the same connection is written to apart until it goes`, () => {
    const nsp = new Namespace(Class);
    const { engine } = nsp;
    const sockets = nsp.crowd(10);
    nsp.emit("a", ["room"]);
    const [{ id, client }] = sockets;
    const twin = nsp.connect(id, client);
    assert.deepEqual(engine.take(), ["leave 1: 0"]);
    assert.deepEqual(nsp.emit("b", ["room"]), ["b (room): 1,2,3,4,5,6,7,8,9"]);
    assert.equal(nsp.written.splice(0).length, 1);
    nsp.disconnect(twin);
    nsp.emit("c", ["room"]);
    assert.deepEqual(nsp.written, []);
    assert.equal(nsp.mirror._apart.size, 0);
  });

  test(`${kind}: a socket of the connection in another namespace changes nothing`, () => {
    const nsp = new Namespace(Class);
    const client = nsp.open();
    client.sockets.push({ nsp: new Namespace(Class) });
    nsp.connect("one", client);
    assert.deepEqual(nsp.emit("a"), ["a (alone): 0"]);
    assert.deepEqual(nsp.written, []);
  });

  test(`${kind}: sockets on another engine are written to apart`, () => {
    const nsp = new Namespace(Class);
    const other = new Engine();
    const sockets = nsp.crowd(10);
    const foreign = [nsp.connect("foreign", nsp.open(other)), nsp.connect("strange", nsp.open(other))];
    foreign[1].client.conn._handle = undefined;
    nsp.join("room", ...foreign);
    assert.deepEqual(nsp.emit("a", ["room"]), [`room 1: ${first(10)}`, `a (room): ${first(10)}`]);
    assert.deepEqual(nsp.emit("b", ["foreign", "id 3"]), ["b (alone): 3"]);
    assert.deepEqual(
      nsp.written.splice(0).map(([id, name]) => `${id} ${name}`),
      ["foreign a", "strange a", "foreign b"],
    );
    assert.deepEqual(other.said, []);
    const held = nsp.hold("held", nsp.open(other));
    nsp.join("room", held);
    for (const socket of [...sockets, ...foreign]) nsp.disconnect(socket);
    // all were gone: from now on, the other engine is told
    const late = Array.from({ length: 9 }, (_, i) => nsp.connect(`late ${i}`, nsp.open(other)));
    nsp.join("room", ...late);
    assert.equal(nsp.engine.rooms.size, 0);
    nsp.engine.take();
    nsp.emit("c", ["room"]);
    const reached = late.map(({ client }) => client.conn._handle).join();
    assert.deepEqual(other.take(), [`room 1: ${reached}`, `c (room): ${reached}`]);
    assert.deepEqual(nsp.written, []);
    assert.deepEqual(nsp.engine.said, []);
  });

  test(`${kind}: a socket of which nothing was said is not mistaken for one of another engine`, () => {
    const nsp = new Namespace(Class);
    const other = new Engine();
    nsp.crowd(10);
    const stray = nsp.hold("stray", nsp.open(other));
    nsp.sockets.set("stray", stray);
    nsp.join("room", stray);
    assert.deepEqual(nsp.emit("a", ["stray"]), []);
    assert.deepEqual(nsp.emit("b", ["room"]), [`room 1: ${first(10)}`, `b (room): ${first(10)}`]);
  });

  test(`${kind}: a connection of no engine of ours comes first`, () => {
    const nsp = new Namespace(Class);
    const client = nsp.open({});
    client.conn._handle = undefined;
    nsp.connect("foreign", client);
    assert.deepEqual(nsp.emit("a"), []);
    assert.equal(nsp.written.splice(0).length, 1);
    nsp.connect("ours");
    assert.deepEqual(nsp.emit("b"), ["b (alone): 0"]);
    assert.equal(nsp.written.splice(0).length, 1);
  });

  test(`${kind}: a Set that cannot be watched is named member by member, as it is`, () => {
    const nsp = new Namespace(Class);
    const { adapter } = nsp;
    const sockets = nsp.crowd(10);
    nsp.emit("a", ["room"]);
    adapter.rooms.set("alias", adapter.rooms.get("room"));
    assert.deepEqual(nsp.emit("b", ["alias"]), [`b (named): ${first(10)}`]);
    const frozen = Object.freeze(new Set(sockets.map(({ id }) => id)));
    adapter.rooms.set("frozen", frozen);
    assert.deepEqual(nsp.emit("c", ["frozen"]), [`c (named): ${first(10)}`]);
    frozen.delete(sockets[0].id);
    assert.deepEqual(nsp.emit("d", ["frozen"]), ["d (named): 1,2,3,4,5,6,7,8,9"]);
    adapter.rooms.set("list", { size: 10, [Symbol.iterator]: () => frozen.values() });
    assert.deepEqual(nsp.emit("e", ["list"]), ["e (named): 1,2,3,4,5,6,7,8,9"]);
    assert.deepEqual(nsp.emit("f", ["room"]), [`f (room): ${first(10)}`], "which is still known");
  });

  test(`${kind}: an adapter that comes later knows the sockets that are there`, () => {
    const nsp = new Namespace(Class);
    const sockets = nsp.crowd(10);
    nsp.use(Class);
    nsp.join("room", ...sockets);
    assert.deepEqual(nsp.emit("a", ["room"]), [`room 1: ${first(10)}`, `a (room): ${first(10)}`]);
    assert.deepEqual(nsp.written, []);
  });
}

test("an adapter that is the one of two namespaces is followed once", () => {
  const nsp = new Namespace(InMemoryAdapter);
  const { mirror } = nsp;
  follow(nsp, nsp.adapter);
  assert.equal(mirrorOf(nsp.adapter), mirror);
});

test("an adapter that keeps its rooms elsewhere is left alone", () => {
  for (const maps of [{ rooms: {} }, { sids: {} }, { rooms: undefined }]) {
    const nsp = new Namespace();
    const adapter = Object.assign(new InMemoryAdapter(nsp), maps);
    follow(nsp, adapter);
    assert.equal(mirrorOf(adapter), undefined);
  }
});

test("close() of our adapter drops its rooms", () => {
  const nsp = new Namespace();
  nsp.crowd(9);
  nsp.emit("a", ["room"]);
  nsp.adapter.close();
  assert.deepEqual(nsp.engine.take(), ["drop 1"]);
});

test("a watched Set or Map tells what has changed, and no longer when it is unwatched", () => {
  for (const collection of [new Set(["a"]), new Map([["a", 1]])]) {
    const add = (key) => (collection instanceof Set ? collection.add(key) : collection.set(key, 1));
    const told = [];
    const watcher = { added: (key) => told.push(`+${key}`), removed: (key) => told.push(`-${key}`) };
    assert.equal(watch(collection, watcher), true);
    assert.equal(watch(collection, watcher), false);
    assert.equal(add("a"), collection);
    assert.equal(add("b"), collection);
    assert.equal(collection.delete("a"), true);
    assert.equal(collection.delete("c"), false);
    assert.deepEqual([...collection.keys()], ["b"]);
    assert.deepEqual(told, ["+b", "-a"]);
    assert.deepEqual(Object.keys(collection), []);
    unwatch(collection);
    assert.deepEqual(Reflect.ownKeys(collection), []);
    add("d");
    collection.delete("b");
    assert.deepEqual(told, ["+b", "-a"]);
    assert.equal(watch(collection, watcher), true);
  }
  assert.equal(watch(Object.freeze(new Set()), {}), false);
  assert.equal(watch(["a"], {}), false);
});
