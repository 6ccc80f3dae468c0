"use strict";

// Rooms that are large enough to be mirrored to the workers: whatever changes who is in them, the next broadcast reaches
// those that it would reach with stock.

const test = require("node:test");
const assert = require("node:assert/strict");
const { Adapter } = require("socket.io-adapter");
const { serve, once, connected, record, Recorder, RawWebSocket } = require("./support/harness");

/** More than are named one by one in a broadcast. */
const MANY = 12;

/** Clients in the order in which they have connected. */
async function clientsInOrder(server, count, nsp) {
  const pairs = [];
  for (let i = 0; i < count; i++) pairs.push(await server.pair(nsp));
  return pairs;
}

/** The numbers of the clients that get an event by what is done, in order, once for each time. */
async function receivers(pairs, broadcast) {
  const got = [];
  const ends = pairs.map(({ client }, i) => {
    client.on("event", () => got.push(i));
    return once(client, "end");
  });
  broadcast();
  for (const { socket } of pairs) socket.emit("end");
  await Promise.all(ends);
  for (const { client } of pairs) client.off("event");
  return got.sort((a, b) => a - b);
}

function range(from, to) {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

for (const [name, adapter] of [
  ["the default adapter", undefined],
  ["that of socket.io-adapter", Adapter],
]) {
  /** A server, and clients that are all in "room", which has been broadcast to, as has everybody. */
  async function largeRoom(t, count = MANY) {
    const server = await serve(t, { adapter });
    const pairs = await clientsInOrder(server, count);
    const { io } = server;
    for (const { socket } of pairs) socket.join("room");
    const all = range(0, count);
    const toRoom = () => receivers(pairs, () => io.to("room").emit("event"));
    const toAll = () => receivers(pairs, () => io.emit("event"));
    assert.deepEqual(await toRoom(), all);
    assert.deepEqual(await toAll(), all);
    const sockets = pairs.map(({ socket }) => socket);
    return { server, io, pairs, sockets, all, adapter: io.of("/").adapter, toRoom, toAll };
  }

  test(`${name}: who leaves a large room no longer gets its broadcasts`, async (t) => {
    const { io, pairs, sockets, all, toRoom, toAll } = await largeRoom(t);
    sockets[3].leave("room");
    assert.deepEqual(await toRoom(), all.toSpliced(3, 1));
    assert.deepEqual(await toAll(), all);
    sockets[3].join("room");
    assert.deepEqual(await toRoom(), all);
    io.in("room").socketsLeave("room");
    assert.deepEqual(await toRoom(), []);
    for (const socket of sockets.slice(0, 10)) socket.join("room");
    assert.deepEqual(await toRoom(), range(0, 10));
    for (const socket of sockets.slice(1, 10)) socket.leave("room");
    assert.deepEqual(await toRoom(), [0], "a room that has become small");
    assert.deepEqual(await receivers(pairs, () => io.except("room").emit("event")), range(1, MANY));
  });

  test(`${name}: who leaves all rooms no longer gets any broadcast, until it joins one`, async (t) => {
    const { sockets, all, toRoom, toAll } = await largeRoom(t);
    sockets[0].leaveAll();
    assert.deepEqual(await toRoom(), all.slice(1));
    assert.deepEqual(await toAll(), all.slice(1));
    sockets[0].join("other");
    assert.deepEqual(await toRoom(), all.slice(1));
    assert.deepEqual(await toAll(), all);
  });

  test(`${name}: a room that is deleted from the Map reaches nobody`, async (t) => {
    const { sockets, adapter, all, toRoom, toAll } = await largeRoom(t);
    adapter.rooms.delete("room");
    assert.deepEqual(await toRoom(), []);
    assert.deepEqual(await toAll(), all);
    sockets[1].join("room");
    assert.deepEqual(await toRoom(), [1]);
  });

  test(`${name}: a room that is put into the Map reaches those in it`, async (t) => {
    const { sockets, adapter, toRoom } = await largeRoom(t);
    adapter.rooms.set("room", new Set(sockets.slice(2).map(({ id }) => id)));
    assert.deepEqual(await toRoom(), range(2, MANY));
    adapter.rooms.set("room", new Set(sockets.slice(1, 11).map(({ id }) => id)));
    assert.deepEqual(await toRoom(), range(1, 11), "as many as before");
    adapter.rooms = new Map([["room", new Set([sockets[5].id])]]);
    assert.deepEqual(await toRoom(), [5]);
  });

  test(`${name}: the Set of a room may be changed`, async (t) => {
    const { sockets, adapter, all, toRoom } = await largeRoom(t);
    sockets[0].leave("room");
    assert.deepEqual(await toRoom(), all.slice(1));
    const members = adapter.rooms.get("room");
    members.delete(sockets[1].id);
    assert.deepEqual(await toRoom(), all.slice(2));
    members.delete(sockets[2].id);
    members.add(sockets[0].id);
    assert.deepEqual(await toRoom(), [0, ...all.slice(3)], "as many as before");
    members.add("nobody");
    members.add(sockets[0].id);
    assert.deepEqual(await toRoom(), [0, ...all.slice(3)]);
    Set.prototype.delete.call(members, sockets[3].id);
    assert.deepEqual(await toRoom(), [0, ...all.slice(4)], "past the methods of the Set");
    Set.prototype.add.call(members, "somebody");
    members.delete("somebody");
    assert.deepEqual(await toRoom(), [0, ...all.slice(4)]);
    members.clear();
    assert.deepEqual(await toRoom(), []);
    members.add(sockets[7].id);
    assert.deepEqual(await toRoom(), [7]);
    for (const { id } of sockets) members.add(id);
    assert.deepEqual(await toRoom(), all);
  });

  test(`${name}: a Set may be that of two rooms`, async (t) => {
    const { io, pairs, sockets, adapter, all, toRoom } = await largeRoom(t);
    adapter.rooms.set("alias", adapter.rooms.get("room"));
    const toAlias = () => receivers(pairs, () => io.to("alias").emit("event"));
    assert.deepEqual(await toAlias(), all);
    sockets[0].leave("room");
    assert.deepEqual(await toAlias(), all.slice(1));
    assert.deepEqual(await toRoom(), all.slice(1));
    assert.deepEqual(await receivers(pairs, () => io.to(["room", "alias"]).emit("event")), all.slice(1));
  });

  test(`${name}: the Map of sockets may be changed`, async (t) => {
    const { sockets, adapter, all, toRoom, toAll } = await largeRoom(t);
    const rooms = adapter.sids.get(sockets[4].id);
    adapter.sids.delete(sockets[4].id);
    assert.deepEqual(await toAll(), all.toSpliced(4, 1));
    assert.deepEqual(await toRoom(), all);
    adapter.sids.set(sockets[4].id, rooms);
    adapter.sids.delete(sockets[5].id);
    assert.deepEqual(await toAll(), all.toSpliced(5, 1), "as many as before");
    adapter.sids = new Map([...adapter.sids].slice(1));
    assert.deepEqual(await toAll(), all.slice(1).toSpliced(4, 1));
    adapter.sids.clear();
    assert.deepEqual(await toAll(), []);
    assert.deepEqual(await toRoom(), all);
  });

  test(`${name}: a socket whose list of rooms was changed is in none of them once it has gone`, async (t) => {
    const server = await serve(t, { adapter });
    const chat = server.io.of("/chat");
    server.io.of("/other");
    const pairs = await clientsInOrder(server, MANY, "/chat");
    for (const { socket } of pairs) socket.join("room");
    chat.to("room").emit("event");
    chat.emit("event");
    const [{ client, socket }] = pairs;
    const other = client.io.socket("/other");
    await connected(other);
    const packets = record(client.io.engine, "data");
    socket.rooms.delete("room");
    chat.to("room").emit("event", "before");
    const { id } = socket;
    const gone = once(client, "disconnect");
    socket.disconnect();
    assert.equal(chat.adapter.rooms.get("room").has(id), true, "nobody has told the room");
    chat.to("room").emit("event", "after");
    await gone;
    // the same connection comes back, without the room
    const back = once(chat, "connection");
    client.connect();
    await back;
    chat.to("room").emit("event", "again");
    server.io.of("/other").emit("end");
    await once(other, "end");
    assert.deepEqual(
      packets.list.map(([packet]) => packet).filter((packet) => packet.startsWith('2/chat,["event"')),
      ['2/chat,["event","before"]'],
    );
  });

  test(`${name}: a watched Set and Map look like any other`, async (t) => {
    const { sockets, adapter } = await largeRoom(t);
    const ids = sockets.map(({ id }) => id);
    const members = adapter.rooms.get("room");
    assert.deepEqual(members, new Set(ids));
    assert.deepEqual([...adapter.sids.keys()], ids);
    assert.deepEqual(adapter.sids, new Map(ids.map((id) => [id, new Set([id, "room"])])));
    assert.deepEqual(structuredClone(members), new Set(ids));
    assert.deepEqual(Object.keys(members), []);
    assert.equal(members.add(ids[0]), members);
    assert.equal(members.delete("nobody"), false);
    assert.equal(members.delete(ids[0]), true);
    assert.equal(adapter.sids.set(ids[0], new Set()), adapter.sids);
    assert.equal(adapter.sids.delete("nobody"), false);
    assert.equal(adapter.sids.delete(ids[0]), true);
    assert.equal(members.clear(), undefined);
    assert.equal(members.size, 0);
  });

  test(`${name}: listeners of the adapter's events may broadcast`, async (t) => {
    const { io, pairs, sockets, adapter } = await largeRoom(t);
    const heard = await receivers(pairs, () => {
      adapter.on("join-room", (room) => room === "other" && io.to("other").emit("event"));
      adapter.on("leave-room", (room) => room === "room" && io.to("room").emit("event"));
      sockets[0].join("other");
      sockets[1].leave("room");
      sockets[2].leaveAll();
    });
    assert.deepEqual(
      heard,
      [0, ...range(0, MANY).filter((i) => i !== 1), ...range(0, MANY).filter((i) => i > 2 || i === 0)].sort(
        (a, b) => a - b,
      ),
    );
  });

  test(`${name}: two sockets of one connection in one namespace get a copy each`, async (t) => {
    const server = await serve(t, { adapter });
    const { io } = server;
    const held = new Recorder();
    io.use((socket, next) => (socket.handshake.query.twin ? held.push(next) : next()));
    const pairs = await clientsInOrder(server, MANY);
    for (const { socket } of pairs) socket.join("room");
    io.to("room").emit("first");
    const ws = await RawWebSocket.open(server, { query: "EIO=4&transport=websocket&twin=1" });
    const arrived = record(io, "connection");
    ws.text("40");
    ws.text("40");
    for (const next of await held.until(2)) next();
    const [[one], [two]] = await arrived.until(2);
    assert.equal(one.conn, two.conn);
    one.join(["room", "one", "small"]);
    two.join(["room", "two", "small"]);
    const copies = async (emit) => {
      const before = ws.messages.length;
      emit();
      one.conn.send('2["end"]');
      await ws.changes.until(() => ws.messages.indexOf('42["end"]', before) !== -1);
      return ws.messages.slice(before).filter((message) => message === '42["event"]').length;
    };
    const counts = [];
    for (const [operator, expected] of [
      [io, 2],
      [io.to("room"), 2],
      [io.to("small"), 2],
      [io.to("one"), 1],
      [io.to("two"), 1],
      [io.to(["one", "two"]), 2],
      [io.to("none"), 0],
      [io.except("one"), 1],
      [io.except("two"), 1],
      [io.except("small"), 0],
      [one.broadcast, 1],
      [two.to("room"), 1],
      [one.to("one"), 0],
      [io.to("room").except("two"), 1],
      // of two volatile messages at once, one arrives
      [io.volatile, 1],
      [io.compress(false).to("room"), 2],
    ]) {
      counts.push([await copies(() => operator.emit("event")), expected]);
    }
    two.leave("room");
    counts.push([await copies(() => io.to("room").emit("event")), 1]);
    two.join("room");
    one.leave("room");
    counts.push([await copies(() => io.to("room").emit("event")), 1]);
    one.join("room");
    const binary = await copies(() => io.to("room").emit("bin", Buffer.from([1])));
    counts.push([binary, 0]);
    assert.equal(ws.messages.filter((message) => Buffer.isBuffer(message)).length, 2);
    one.disconnect();
    counts.push([await copies(() => io.to("room").emit("event")), 1]);
    counts.push([await copies(() => io.emit("event")), 1]);
    two.disconnect();
    counts.push([await copies(() => io.to("room").emit("event")), 0]);
    assert.deepEqual(
      counts.map(([count]) => count),
      counts.map(([, expected]) => expected),
    );
  });
}
