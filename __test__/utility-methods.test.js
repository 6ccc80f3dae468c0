"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { serve, once } = require("./support/harness");

/** Three clients; 0 and 1 are in "room". */
async function threeClients(t) {
  const server = await serve(t);
  const pairs = await server.pairs(3);
  pairs[0].socket.join("room");
  pairs[1].socket.join("room");
  pairs.forEach(({ socket }, i) => (socket.data.index = i));
  return { server, io: server.io, pairs, sockets: pairs.map(({ socket }) => socket) };
}

const indices = (sockets) => sockets.map((socket) => socket.data.index).sort();

test("fetchSockets gives the matching sockets", async (t) => {
  const { io, sockets } = await threeClients(t);
  assert.deepEqual(indices(await io.fetchSockets()), [0, 1, 2]);
  assert.deepEqual(indices(await io.in("room").fetchSockets()), [0, 1]);
  assert.deepEqual(indices(await io.except("room").fetchSockets()), [2]);
  assert.deepEqual(indices(await io.in("unknown").fetchSockets()), []);
  assert.deepEqual(indices(await io.local.fetchSockets()), [0, 1, 2]);
  assert.deepEqual(indices(await sockets[0].broadcast.fetchSockets()), [1, 2]);
  assert.deepEqual(indices(await sockets[0].to("room").fetchSockets()), [1]);
  assert.deepEqual(indices(await io.of("/").in("room").except(sockets[0].id).fetchSockets()), [1]);
});

test("what fetchSockets gives can be used like a socket", async (t) => {
  const { io, pairs } = await threeClients(t);
  const [fetched] = await io.in(pairs[2].socket.id).fetchSockets();
  assert.equal(fetched.id, pairs[2].socket.id);
  assert.deepEqual([...fetched.rooms], [pairs[2].socket.id]);
  assert.deepEqual(fetched.data, { index: 2 });
  assert.equal(fetched.handshake.address, "127.0.0.1");
  const hello = once(pairs[2].client, "hello");
  fetched.emit("hello", 1);
  assert.deepEqual(await hello, [1]);
  fetched.join("other");
  assert.equal(pairs[2].socket.rooms.has("other"), true);
  fetched.leave("other");
  assert.equal(pairs[2].socket.rooms.has("other"), false);
  const gone = once(pairs[2].client, "disconnect");
  fetched.disconnect();
  assert.equal((await gone)[0], "io server disconnect");
});

test("socketsJoin and socketsLeave move the matching sockets", async (t) => {
  const { io, sockets } = await threeClients(t);
  const members = (room) => sockets.flatMap((socket, i) => (socket.rooms.has(room) ? [i] : []));
  io.socketsJoin("all");
  assert.deepEqual(members("all"), [0, 1, 2]);
  io.in("room").socketsJoin(["x", "y"]);
  assert.deepEqual(members("x"), [0, 1]);
  assert.deepEqual(members("y"), [0, 1]);
  io.except("room").socketsJoin("z");
  assert.deepEqual(members("z"), [2]);
  sockets[0].broadcast.socketsLeave("all");
  assert.deepEqual(members("all"), [0]);
  io.socketsLeave(["x", "y"]);
  assert.deepEqual(members("x"), []);
  assert.deepEqual(members("y"), []);
  io.of("/").in(sockets[2].id).socketsJoin("x");
  assert.deepEqual(members("x"), [2]);
});

test("a broadcast right after socketsJoin and socketsLeave", async (t) => {
  const { io, pairs } = await threeClients(t);
  const got = [];
  pairs.forEach(({ client }, i) => client.on("ev", () => got.push(i)));
  const last = Promise.all(pairs.map(({ client }) => once(client, "last")));
  io.socketsJoin("late");
  io.in(pairs[0].socket.id).socketsLeave("late");
  io.to("late").emit("ev");
  io.emit("last");
  await last;
  assert.deepEqual(got.sort(), [1, 2]);
});

test("disconnectSockets ends the matching sockets and keeps their sessions", async (t) => {
  const { server, io, pairs } = await threeClients(t);
  const both = [pairs[0], pairs[1]];
  const seen = Promise.all([
    ...both.map(({ client }) => once(client, "disconnect")),
    ...both.map(({ socket }) => once(socket, "disconnect")),
  ]);
  io.in("room").disconnectSockets();
  assert.deepEqual(
    (await seen).map(([reason]) => reason),
    [
      "io server disconnect",
      "io server disconnect",
      "server namespace disconnect",
      "server namespace disconnect",
    ],
  );
  assert.equal(pairs[2].client.connected, true);
  assert.deepEqual([...io.sockets.sockets.keys()], [pairs[2].socket.id]);
  assert.equal(server.io.engine.clients[both[0].socket.conn.id], both[0].socket.conn);
});

test("disconnectSockets(true) closes the sessions", async (t) => {
  const { server, io, pairs } = await threeClients(t);
  const closed = Promise.all(pairs.map(({ socket }) => once(socket.conn, "close")));
  const seen = Promise.all(pairs.map(({ client }) => once(client, "disconnect")));
  io.disconnectSockets(true);
  assert.deepEqual(
    (await seen).map(([reason]) => reason),
    ["io server disconnect", "io server disconnect", "io server disconnect"],
  );
  await closed;
  assert.equal(server.io.engine.clientsCount, 0);
});

test("disconnectSockets from a socket spares it", async (t) => {
  const { pairs } = await threeClients(t);
  const gone = once(pairs[1].client, "disconnect");
  pairs[0].socket.to("room").disconnectSockets();
  await gone;
  assert.equal(pairs[0].socket.connected, true);
  assert.equal(pairs[1].socket.connected, false);
  assert.equal(pairs[2].socket.connected, true);
});

test("the methods in a namespace do not touch another", async (t) => {
  const { server, io, pairs } = await threeClients(t);
  io.of("/chat");
  const chat = await server.pair("/chat");
  assert.equal((await io.of("/chat").fetchSockets()).length, 1);
  io.of("/chat").socketsJoin("room");
  assert.equal((await io.in("room").fetchSockets()).length, 2);
  const gone = once(chat.client, "disconnect");
  io.of("/chat").disconnectSockets();
  await gone;
  assert.ok(pairs.every(({ socket }) => socket.connected));
});

test("serverSideEmit refuses reserved names", async (t) => {
  const { io } = await threeClients(t);
  assert.throws(() => io.serverSideEmit("connection"), { message: '"connection" is a reserved event name' });
});
