"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { serve, once, record, connected, eventually, RawWebSocket } = require("./support/harness");

test("io.of gives one namespace per name, with or without the slash", async (t) => {
  const server = await serve(t);
  const chat = server.io.of("/chat");
  assert.equal(chat.name, "/chat");
  assert.equal(server.io.of("chat"), chat);
  assert.equal(server.io.of("/"), server.io.sockets);
  assert.equal(chat.server, server.io);
  assert.ok(chat.sockets instanceof Map);
  assert.notEqual(chat.adapter, server.io.sockets.adapter);
});

test("the second argument of io.of listens for connections", async (t) => {
  const server = await serve(t);
  const connection = new Promise((resolve) => server.io.of("/chat", resolve));
  const client = server.client("/chat");
  await connected(client);
  assert.equal((await connection).id, client.id);
});

test("an event stays in its namespace, in both directions", async (t) => {
  const server = await serve(t);
  server.io.of("/a");
  server.io.of("/b");
  const [main, a, b] = await Promise.all([server.pair("/"), server.pair("/a"), server.pair("/b")]);
  const seen = [];
  for (const [name, { client, socket }] of Object.entries({ main, a, b })) {
    client.on("ev", (from) => seen.push(`client ${name} from ${from}`));
    socket.on("ev", (from, ack) => {
      seen.push(`server ${name} from ${from}`);
      ack();
    });
  }
  await a.client.timeout(5000).emitWithAck("ev", "client a");
  const got = once(b.client, "ev");
  server.io.of("/b").emit("ev", "server");
  await got;
  assert.deepEqual(seen, ["server a from client a", "client b from server"]);
});

test("namespaces have rooms of their own", async (t) => {
  const server = await serve(t);
  const [main, chat] = [await server.pair("/"), (server.io.of("/chat"), await server.pair("/chat"))];
  main.socket.join("room");
  chat.socket.join("room");
  const seen = record(main.client, "ev");
  const got = once(chat.client, "ev");
  server.io.of("/chat").to("room").emit("ev", 1);
  assert.deepEqual(await got, [1]);
  const last = once(main.client, "last");
  server.io.emit("last");
  await last;
  assert.equal(seen.list.length, 0);
});

test("an unknown namespace is refused and the session stays open", async (t) => {
  const server = await serve(t);
  const client = server.client("/nope");
  const [error] = await once(client, "connect_error");
  assert.equal(error.message, "Invalid namespace");
  const main = client.io.socket("/");
  await connected(main);
  assert.equal(server.io.engine.clientsCount, 1);
});

test("packets of a namespace on the wire", async (t) => {
  const server = await serve(t);
  server.io.of("/chat", (socket) => {
    socket.on("ev", (ack) => ack("yes"));
    socket.emit("hello", { a: 1 });
  });
  const ws = await RawWebSocket.open(server);
  ws.text('40/chat,{"token":"x"}');
  const connect = await ws.next();
  const id = /^40\/chat,\{"sid":"([^"]{20})"\}$/.exec(connect)?.[1];
  assert.ok(id, connect);
  assert.deepEqual(server.io.of("/chat").sockets.get(id).handshake.auth, { token: "x" });
  assert.equal(await ws.next(), '42/chat,["hello",{"a":1}]');
  ws.text('42/chat,7["ev"]');
  assert.equal(await ws.next(), '43/chat,7["yes"]');
  server.io.of("/chat").sockets.get(id).disconnect();
  assert.equal(await ws.next(), "41/chat,");
});

test("a query string in the namespace belongs to its name since protocol 4", async (t) => {
  const server = await serve(t);
  server.io.of("/chat");
  const ws = await RawWebSocket.open(server);
  ws.text("40/chat?a=b,");
  assert.equal(await ws.next(), '44/chat?a=b,{"message":"Invalid namespace"}');
});

test("names that are not ASCII", async (t) => {
  const server = await serve(t);
  server.io.of("/чат-😀", (socket) => socket.on("ev", (ack) => ack(socket.nsp.name)));
  const { client } = await server.pair("/чат-😀");
  assert.equal(await client.timeout(5000).emitWithAck("ev"), "/чат-😀");
});

test("'new_namespace' is emitted for each namespace but not for the main one", async (t) => {
  const server = await serve(t);
  const seen = record(server.io, "new_namespace");
  server.io.of("/");
  const a = server.io.of("/a");
  server.io.of("/a");
  const b = server.io.of("/b");
  assert.deepEqual(seen.list, [[a], [b]]);
});

test("a disconnect from the server leaves the other namespaces of the client alone", async (t) => {
  const server = await serve(t);
  server.io.of("/chat");
  const { client, socket } = await server.pair();
  const chat = await connected(client.io.socket("/chat"));
  const disconnect = once(client, "disconnect");
  socket.disconnect();
  assert.equal((await disconnect)[0], "io server disconnect");
  assert.equal(chat.connected, true);
  const hello = once(chat, "hello");
  server.io.of("/chat").emit("hello");
  await hello;
});

test("a regular expression makes namespaces when clients ask for them", async (t) => {
  const server = await serve(t);
  const parent = server.io.of(/^\/dynamic-\d+$/);
  const connections = record(parent, "connection");
  parent.use((socket, next) => {
    socket.data.checked = true;
    next();
  });
  const { client, socket } = await server.pair("/dynamic-101");
  assert.equal(socket.nsp.name, "/dynamic-101");
  assert.equal(socket.nsp, server.io.of("/dynamic-101"));
  assert.equal(socket.data.checked, true);
  assert.equal(connections.list[0][0], socket);
  const hello = once(client, "hello");
  socket.nsp.emit("hello", "child");
  assert.deepEqual(await hello, ["child"]);
  const [error] = await once(server.client("/dynamic-x"), "connect_error");
  assert.equal(error.message, "Invalid namespace");
});

test("emitting on a dynamic parent reaches all its children", async (t) => {
  const server = await serve(t);
  const parent = server.io.of(/^\/dynamic-\d+$/);
  const [one, two, main] = await Promise.all([
    server.pair("/dynamic-1"),
    server.pair("/dynamic-2"),
    server.pair("/"),
  ]);
  const other = record(main.client, "hello");
  const got = Promise.all([once(one.client, "hello"), once(two.client, "hello")]);
  parent.emit("hello", "everyone");
  assert.deepEqual(await got, [["everyone"], ["everyone"]]);
  const last = once(main.client, "last");
  server.io.emit("last");
  await last;
  assert.equal(other.list.length, 0);
});

test("rooms of a dynamic parent reach the children's rooms", async (t) => {
  const server = await serve(t);
  const parent = server.io.of(/^\/dynamic-\d+$/);
  const [one, two] = await Promise.all([server.pair("/dynamic-1"), server.pair("/dynamic-2")]);
  one.socket.join("room");
  const unwanted = record(two.client, "hello");
  const got = once(one.client, "hello");
  parent.to("room").emit("hello");
  await got;
  const last = once(two.client, "last");
  parent.emit("last");
  await last;
  assert.equal(unwanted.list.length, 0);
});

test("a function decides about a namespace, with the auth payload", async (t) => {
  const server = await serve(t);
  const asked = [];
  server.io.of((name, auth, next) => {
    asked.push([name, auth]);
    setImmediate(next, null, auth.token === "good");
  });
  await server.pair("/any", { auth: { token: "good" } });
  const [error] = await once(server.client("/other", { auth: { token: "bad" } }), "connect_error");
  assert.equal(error.message, "Invalid namespace");
  assert.deepEqual(asked, [
    ["/any", { token: "good" }],
    ["/other", { token: "bad" }],
  ]);
  assert.equal(server.io._nsps.has("/any"), true);
  assert.equal(server.io._nsps.has("/other"), false);
});

test("parents are asked in the order of their creation", async (t) => {
  const server = await serve(t);
  const asked = [];
  server.io.of((name, auth, next) => next(null, asked.push("first") < 0));
  const second = server.io.of((name, auth, next) => next(null, asked.push("second") > 0));
  server.io.of((name, auth, next) => next(null, asked.push("third") > 0));
  const connection = once(second, "connection");
  const { socket } = await server.pair("/x");
  assert.equal((await connection)[0], socket);
  assert.deepEqual(asked, ["first", "second"]);
});

test("two clients that ask at once get one namespace", async (t) => {
  const server = await serve(t);
  const parent = server.io.of((name, auth, next) => setImmediate(next, null, true));
  const created = record(server.io, "new_namespace");
  const pairs = await server.pairs(2, "/same");
  assert.equal(pairs[0].socket.nsp, pairs[1].socket.nsp);
  assert.equal(created.list.length, 1);
  assert.equal(parent.children.size, 1);
});

test("stateful regular expressions are refused", async (t) => {
  const server = await serve(t);
  const expected = { message: "stateful regular expressions are not supported" };
  assert.throws(() => server.io.of(/a/g), expected);
  assert.throws(() => server.io.of(/a/y), expected);
});

test("a static namespace that matches becomes a child of the regular expression", async (t) => {
  const server = await serve(t);
  const parent = server.io.of(/^\/dynamic-\d+$/);
  const ran = [];
  parent.use((socket, next) => {
    ran.push(socket.nsp.name);
    next();
  });
  server.io.of("/dynamic-5");
  await server.pair("/dynamic-5");
  assert.deepEqual(ran, ["/dynamic-5"]);
});

test("cleanupEmptyChildNamespaces removes a child when its last socket leaves", async (t) => {
  const server = await serve(t, { cleanupEmptyChildNamespaces: true });
  const parent = server.io.of(/^\/dynamic-\d+$/);
  const [one, two] = await server.pairs(2, "/dynamic-1");
  assert.equal(server.io._nsps.has("/dynamic-1"), true);
  const first = once(one.socket, "disconnect");
  one.client.disconnect();
  await first;
  assert.equal(server.io._nsps.has("/dynamic-1"), true);
  two.client.disconnect();
  await eventually(() => !server.io._nsps.has("/dynamic-1"), "child is removed");
  assert.equal(parent.children.size, 0);
  const again = await server.pair("/dynamic-1");
  const hello = once(again.client, "hello");
  server.io.of("/dynamic-1").emit("hello");
  await hello;
});

test("without that option the child stays", async (t) => {
  const server = await serve(t);
  server.io.of(/^\/dynamic-\d+$/);
  const { client, socket } = await server.pair("/dynamic-1");
  const gone = once(socket, "disconnect");
  client.disconnect();
  await gone;
  assert.equal(server.io._nsps.has("/dynamic-1"), true);
});

test("fetchSockets on a parent namespace is refused", async (t) => {
  const server = await serve(t);
  const parent = server.io.of(/^\/x$/);
  assert.throws(() => parent.fetchSockets(), {
    message: "fetchSockets() is not supported on parent namespaces",
  });
});
