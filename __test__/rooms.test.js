"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { isStock, serve, once, record } = require("./support/harness");

/**
 * Runs `emit`, then a last broadcast to everybody, and tells which of the clients got "ev" before that one.
 *
 * @returns {Promise<number[]>} the indices of the clients, one entry per event
 */
async function receivers(server, pairs, emit) {
  const got = [];
  const listeners = pairs.map(({ client }, i) => {
    const listener = () => got.push(i);
    client.on("ev", listener);
    return listener;
  });
  const last = Promise.all(pairs.map(({ client }) => once(client, "last")));
  emit();
  for (const { socket } of pairs) {
    socket.emit("last");
  }
  await last;
  pairs.forEach(({ client }, i) => client.off("ev", listeners[i]));
  return got.sort();
}

/** Clients 0 to 4: "a" holds 0, 1, 2; "b" holds 2, 3; 4 is in no room. */
async function fiveClients(t) {
  const server = await serve(t);
  const pairs = await server.pairs(5);
  pairs[0].socket.join("a");
  pairs[1].socket.join(["a"]);
  pairs[2].socket.join(["a", "b"]);
  pairs[3].socket.join("b");
  return { server, pairs, io: server.io, sockets: pairs.map(({ socket }) => socket) };
}

test("to, in and except choose the receivers", async (t) => {
  const { server, pairs, io, sockets } = await fiveClients(t);
  const cases = [
    ["io.emit", () => io.emit("ev"), [0, 1, 2, 3, 4]],
    ["io.to(a)", () => io.to("a").emit("ev"), [0, 1, 2]],
    ["io.in(b)", () => io.in("b").emit("ev"), [2, 3]],
    ["io.to(a).to(b): each once", () => io.to("a").to("b").emit("ev"), [0, 1, 2, 3]],
    ["io.to([a, b])", () => io.to(["a", "b"]).emit("ev"), [0, 1, 2, 3]],
    ["io.except(a)", () => io.except("a").emit("ev"), [3, 4]],
    ["io.except([a, b])", () => io.except(["a", "b"]).emit("ev"), [4]],
    ["io.to(a).except(b)", () => io.to("a").except("b").emit("ev"), [0, 1]],
    ["io.except(b).to(a)", () => io.except("b").to("a").emit("ev"), [0, 1]],
    ["io.to(unknown)", () => io.to("unknown").emit("ev"), []],
    ["io.to([])", () => io.to([]).emit("ev"), [0, 1, 2, 3, 4]],
    ["io.except(unknown)", () => io.except("unknown").emit("ev"), [0, 1, 2, 3, 4]],
    ["io.to(id)", () => io.to(sockets[4].id).emit("ev"), [4]],
    ["io.except(id)", () => io.except(sockets[4].id).emit("ev"), [0, 1, 2, 3]],
    ["io.to(a).to(id)", () => io.to("a").to(sockets[4].id).emit("ev"), [0, 1, 2, 4]],
    ["socket.broadcast", () => sockets[0].broadcast.emit("ev"), [1, 2, 3, 4]],
    ["socket.to(a)", () => sockets[0].to("a").emit("ev"), [1, 2]],
    ["socket.in(a)", () => sockets[0].in("a").emit("ev"), [1, 2]],
    ["socket.to(b), not a member", () => sockets[0].to("b").emit("ev"), [2, 3]],
    ["socket.to([a, b])", () => sockets[2].to(["a", "b"]).emit("ev"), [0, 1, 3]],
    ["socket.to(own id)", () => sockets[0].to(sockets[0].id).emit("ev"), []],
    ["socket.except(a)", () => sockets[3].except("a").emit("ev"), [4]],
    ["socket.broadcast.except(b)", () => sockets[0].broadcast.except("b").emit("ev"), [1, 4]],
    ["socket.to(a).except(b)", () => sockets[0].to("a").except("b").emit("ev"), [1]],
    ["socket.emit", () => sockets[1].emit("ev"), [1]],
    ["io.local", () => io.local.emit("ev"), [0, 1, 2, 3, 4]],
    ["io.local.to(b)", () => io.local.to("b").emit("ev"), [2, 3]],
    ["socket.local", () => sockets[0].local.emit("ev"), [1, 2, 3, 4]],
    ["namespace", () => io.of("/").to("b").emit("ev"), [2, 3]],
  ];
  for (const [name, emit, expected] of cases) {
    assert.deepEqual(await receivers(server, pairs, emit), expected, name);
  }
});

test("operators are immutable and can be used again", async (t) => {
  const { server, pairs, io } = await fiveClients(t);
  const a = io.to("a");
  const both = a.to("b");
  const without = a.except("b");
  assert.deepEqual(await receivers(server, pairs, () => a.emit("ev")), [0, 1, 2]);
  assert.deepEqual(await receivers(server, pairs, () => both.emit("ev")), [0, 1, 2, 3]);
  assert.deepEqual(await receivers(server, pairs, () => without.emit("ev")), [0, 1]);
  assert.deepEqual(await receivers(server, pairs, () => a.emit("ev")), [0, 1, 2]);
});

test("join and leave show in rooms, and in the adapter's maps", async (t) => {
  const server = await serve(t);
  const { socket } = await server.pair();
  const { adapter } = server.io.sockets;
  socket.join("a");
  socket.join(["b", "c"]);
  assert.deepEqual([...socket.rooms], [socket.id, "a", "b", "c"]);
  assert.deepEqual([...adapter.rooms.get("a")], [socket.id]);
  assert.deepEqual([...adapter.sids.get(socket.id)], [socket.id, "a", "b", "c"]);
  socket.leave("b");
  assert.deepEqual([...socket.rooms], [socket.id, "a", "c"]);
  assert.equal(adapter.rooms.has("b"), false);
  socket.leave("never joined");
  assert.deepEqual([...socket.rooms], [socket.id, "a", "c"]);
});

test("a socket may leave the room of its own id", async (t) => {
  const { server, pairs, io, sockets } = await fiveClients(t);
  sockets[4].leave(sockets[4].id);
  assert.deepEqual(await receivers(server, pairs, () => io.to(sockets[4].id).emit("ev")), []);
  assert.deepEqual(await receivers(server, pairs, () => io.emit("ev")), [0, 1, 2, 3, 4]);
});

test("joining twice and leaving once", async (t) => {
  const { server, pairs, io, sockets } = await fiveClients(t);
  sockets[0].join("a");
  assert.deepEqual(await receivers(server, pairs, () => io.to("a").emit("ev")), [0, 1, 2]);
  sockets[0].leave("a");
  assert.deepEqual(await receivers(server, pairs, () => io.to("a").emit("ev")), [1, 2]);
});

test("the rooms of a socket end with it", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  socket.join(["a", "b"]);
  const during = new Promise((resolve) => socket.on("disconnecting", () => resolve([...socket.rooms])));
  const gone = once(socket, "disconnect");
  client.disconnect();
  assert.deepEqual(await during, [socket.id, "a", "b"]);
  await gone;
  assert.equal(socket.rooms.size, 0);
  assert.equal(server.io.sockets.adapter.rooms.size, 0);
  assert.equal(server.io.sockets.adapter.sids.size, 0);
});

test("the adapter tells of rooms and their members", async (t) => {
  const server = await serve(t);
  const { socket } = await server.pair();
  const { adapter } = server.io.sockets;
  const events = [];
  for (const name of ["create-room", "join-room", "leave-room", "delete-room"]) {
    adapter.on(name, (...args) => events.push([name, ...args]));
  }
  socket.join("a");
  socket.join("a");
  socket.leave("a");
  assert.deepEqual(events, [
    ["create-room", "a"],
    ["join-room", "a", socket.id],
    ["leave-room", "a", socket.id],
    ["delete-room", "a"],
  ]);
});

test("an adapter whose methods were replaced is asked and tells by these", async (t) => {
  const server = await serve(t);
  const { socket } = await server.pair();
  const { adapter } = server.io.sockets;
  const calls = [];
  for (const name of ["emit", "addAll", "del"]) {
    const method = adapter[name];
    adapter[name] = function (...args) {
      calls.push([name, ...args]);
      return method.apply(this, args);
    };
  }
  const { id } = socket;
  socket.join("a");
  socket.leave("a");
  assert.deepEqual(calls, [
    ["addAll", id, new Set(["a"])],
    ["emit", "create-room", "a"],
    ["emit", "join-room", "a", id],
    ["del", id, "a"],
    ["emit", "leave-room", "a", id],
    ["emit", "delete-room", "a"],
  ]);
});

test("room names of any kind", async (t) => {
  const { server, pairs, io, sockets } = await fiveClients(t);
  for (const name of [
    "",
    " ",
    "комната",
    "部屋😀",
    "__proto__",
    "constructor",
    "a,b",
    "x".repeat(10_000),
    42,
  ]) {
    sockets[4].join(name);
    sockets[0].join(name);
    assert.deepEqual(
      await receivers(server, pairs, () => io.to(name).emit("ev")),
      [0, 4],
      String(name).slice(0, 20),
    );
    sockets[0].leave(name);
    assert.deepEqual(
      await receivers(server, pairs, () => io.to(name).emit("ev")),
      [4],
      String(name).slice(0, 20),
    );
  }
});

test("a room named 1 is not the room named '1'", async (t) => {
  const { server, pairs, io, sockets } = await fiveClients(t);
  sockets[0].join(1);
  sockets[1].join("1");
  assert.deepEqual(await receivers(server, pairs, () => io.to(1).emit("ev")), [0]);
  assert.deepEqual(await receivers(server, pairs, () => io.to("1").emit("ev")), [1]);
});

test("many rooms: each member gets the event once", async (t) => {
  const { server, pairs, io, sockets } = await fiveClients(t);
  const rooms = Array.from({ length: 500 }, (_, i) => `room ${i}`);
  sockets[0].join(rooms);
  sockets[1].join(rooms.slice(250));
  assert.equal(sockets[0].rooms.size, 502);
  assert.deepEqual(await receivers(server, pairs, () => io.to(rooms).emit("ev")), [0, 1]);
  assert.deepEqual(await receivers(server, pairs, () => io.to(rooms).except("room 499").emit("ev")), []);
});

test("a broadcast reaches clients on polling and on WebSocket alike", async (t) => {
  const server = await serve(t);
  const ws = await server.pair("/", { transports: ["websocket"] });
  const polling = await server.pair("/", { transports: ["polling"] });
  ws.socket.join("room");
  polling.socket.join("room");
  const got = Promise.all([once(ws.client, "ev"), once(polling.client, "ev")]);
  server.io.to("room").emit("ev", 1, { b: "два" });
  assert.deepEqual(await got, [
    [1, { b: "два" }],
    [1, { b: "два" }],
  ]);
});

test("the packet of a broadcast, as it goes over the wire", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  socket.join("room");
  server.io.to("room").emit("ev", 1, ["x"]);
  assert.equal(await ws.next(), '42["ev",1,["x"]]');
  server.io.of("/chat");
  ws.text("40/chat,");
  assert.match(await ws.next(), /^40\/chat,/);
  server.io.of("/chat").emit("ev", "é");
  assert.equal(await ws.next(), '42/chat,["ev","é"]');
});

test("joining in the connection handler is in time for a broadcast there", async (t) => {
  const server = await serve(t);
  server.io.on("connection", (socket) => {
    socket.join("room");
    server.io.to("room").emit("joined", socket.id);
  });
  const client = server.client();
  const joined = record(client, "joined");
  await joined.until(1);
  assert.deepEqual(joined.list, [[client.id]]);
});

test("allSockets gives the ids", async (t) => {
  const { io, sockets } = await fiveClients(t);
  assert.deepEqual([...(await io.allSockets())].sort(), sockets.map((socket) => socket.id).sort());
  assert.deepEqual([...(await io.in("b").allSockets())].sort(), [sockets[2].id, sockets[3].id].sort());
});

test(
  "sockets in no room but their own cost no entries in the Maps until these are looked at",
  { skip: isStock && "stock enters every socket" },
  async (t) => {
    const server = await serve(t);
    const { socket, client } = await server.pair();
    const got = once(client, "ev");
    server.io.emit("ev");
    await got;
    const { adapter } = server.io.of("/");
    assert.equal(adapter._index._rooms.size, 0);
    assert.deepEqual([...adapter.rooms.keys()], [socket.id]);
    assert.equal(adapter._index._rooms.size, 1);
  },
);
