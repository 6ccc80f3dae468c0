"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { AsyncLocalStorage, AsyncResource } = require("node:async_hooks");
const { serve, once, record, connected, RawWebSocket } = require("./support/harness");

/** Resolves with the connect_error of a client that must not get in. */
async function refused(client) {
  const [error] = await once(client, "connect_error");
  return error;
}

test("io.use runs its functions in order before 'connection'", async (t) => {
  const server = await serve(t);
  const order = [];
  server.io.use((socket, next) => {
    order.push(["first", socket.connected]);
    setImmediate(next);
  });
  server.io.use((socket, next) => {
    order.push(["second", socket.connected]);
    next();
  });
  server.io.on("connection", (socket) => order.push(["connection", socket.connected]));
  await server.pair();
  assert.deepEqual(order, [
    ["first", false],
    ["second", false],
    ["connection", true],
  ]);
});

test("io.use sees the handshake and may refuse with a message and data", async (t) => {
  const server = await serve(t);
  const connections = record(server.io, "connection");
  let reached = false;
  server.io.use((socket, next) => {
    if (socket.handshake.auth.token === "good") {
      return next();
    }
    const error = new Error("not authorized");
    error.data = { code: 401, why: "трудно" };
    next(error);
  });
  server.io.use((socket, next) => {
    reached = socket.handshake.auth.token;
    next();
  });
  const error = await refused(server.client("/", { auth: { token: "bad" } }));
  assert.equal(error.message, "not authorized");
  assert.deepEqual(error.data, { code: 401, why: "трудно" });
  assert.equal(reached, false);
  assert.equal(connections.list.length, 0);
  assert.equal(server.io.sockets.sockets.size, 0);
  await server.pair("/", { auth: { token: "good" } });
  assert.equal(reached, "good");
  assert.equal(connections.list.length, 1);
});

test("the packet of a refusal, as it goes over the wire", async (t) => {
  const server = await serve(t);
  server.io.use((socket, next) => {
    const error = new Error("no");
    if (socket.handshake.auth.data) {
      error.data = socket.handshake.auth.data;
    }
    next(error);
  });
  const ws = await RawWebSocket.open(server);
  ws.text("40");
  assert.equal(await ws.next(), '44{"message":"no"}');
  // the session stays open and may try again
  ws.text('40{"data":[1,null]}');
  assert.equal(await ws.next(), '44{"message":"no","data":[1,null]}');
});

test("a refused socket leaves its rooms", async (t) => {
  const server = await serve(t);
  server.io.use((socket, next) => {
    socket.join("early");
    next(new Error("no"));
  });
  await refused(server.client());
  assert.equal(server.io.sockets.adapter.rooms.size, 0);
  assert.equal(server.io.sockets.adapter.sids.size, 0);
});

test("a socket may join a room in a middleware", async (t) => {
  const server = await serve(t);
  server.io.use((socket, next) => {
    socket.join("early");
    next();
  });
  const { client, socket } = await server.pair();
  assert.deepEqual([...socket.rooms], ["early", socket.id]);
  const hello = once(client, "hello");
  server.io.to("early").emit("hello");
  await hello;
});

test("a client that leaves while a middleware runs never connects", async (t) => {
  const server = await serve(t);
  const connections = record(server.io, "connection");
  const waiting = new Promise((resolve) => {
    server.io.use((socket, next) => (socket.handshake.auth.slow ? resolve({ socket, next }) : next()));
  });
  const client = server.client("/", { auth: { slow: true } });
  const { socket, next } = await waiting;
  const closed = once(socket.conn, "close");
  client.io.engine.close();
  await closed;
  next();
  const other = await server.pair();
  assert.deepEqual(
    connections.list.map(([one]) => one),
    [other.socket],
  );
  assert.equal(socket.connected, false);
});

test("middleware of one namespace does not run for another", async (t) => {
  const server = await serve(t);
  const ran = [];
  server.io.use((socket, next) => next(ran.push("/")));
  server.io.of("/chat").use((socket, next) => {
    ran.push("/chat");
    next();
  });
  await server.pair("/chat");
  assert.deepEqual(ran, ["/chat"]);
});

test("nsp.use refuses a namespace while the main one stays open", async (t) => {
  const server = await serve(t);
  server.io.of("/admin").use((socket, next) => next(new Error("admins only")));
  const { client } = await server.pair();
  const admin = client.io.socket("/admin");
  const error = await refused(admin);
  assert.equal(error.message, "admins only");
  assert.equal(client.connected, true);
  assert.equal(admin.connected, false);
});

test("a middleware added after a client connected applies to the next client", async (t) => {
  const server = await serve(t);
  const { client } = await server.pair();
  server.io.use((socket, next) => next(new Error("closed now")));
  assert.equal((await refused(server.client())).message, "closed now");
  assert.equal(client.connected, true);
});

test("io.use and nsp.use return what they were called on", async (t) => {
  const server = await serve(t);
  assert.equal(
    server.io.use((socket, next) => next()),
    server.io,
  );
  const chat = server.io.of("/chat");
  assert.equal(
    chat.use((socket, next) => next()),
    chat,
  );
});

test("socket.use runs for every event, in order, before the listener", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const order = [];
  socket.use((event, next) => {
    order.push(["first", ...event]);
    setImmediate(next);
  });
  socket.use((event, next) => {
    order.push(["second", event[0]]);
    next();
  });
  const got = once(socket, "hello");
  client.emit("hello", 1, { a: "b" });
  assert.deepEqual(await got, [1, { a: "b" }]);
  assert.deepEqual(order, [
    ["first", "hello", 1, { a: "b" }],
    ["second", "hello"],
  ]);
});

test("socket.use may change an event and add arguments", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  socket.use((event, next) => {
    event[0] = "renamed";
    event[1] *= 2;
    event.push("added");
    next();
  });
  const got = once(socket, "renamed");
  client.emit("original", 21);
  assert.deepEqual(await got, [42, "added"]);
});

test("socket.use gets the ack function as the last element", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  socket.use((event, next) => {
    const ack = event[event.length - 1];
    return event[0] === "quick" ? ack("from the middleware") : next();
  });
  assert.equal(await client.timeout(5000).emitWithAck("quick"), "from the middleware");
});

test("an error in socket.use becomes the socket's 'error', and the event is not delivered", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const delivered = [];
  socket.onAny((name) => delivered.push(name));
  socket.on("bad", () => delivered.push("listener of bad"));
  socket.use(([name], next) => (name === "bad" ? next(new Error("refused event")) : next()));
  const error = once(socket, "error");
  client.emit("bad");
  assert.equal((await error)[0].message, "refused event");
  socket.on("good", (ack) => ack("ok"));
  assert.equal(await client.timeout(5000).emitWithAck("good"), "ok");
  // onAny listeners run before the middleware
  assert.deepEqual(delivered, ["bad", "good"]);
  assert.equal(socket.connected, true);
});

test("an error in socket.use without a listener does no harm", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  socket.use(([name], next) => next(name === "bad" ? new Error("refused event") : undefined));
  socket.on("good", (ack) => ack("ok"));
  client.emit("bad");
  assert.equal(await client.timeout(5000).emitWithAck("good"), "ok");
});

test("asynchronous socket.use keeps acks and a later event apart", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const order = [];
  let release;
  socket.use(([name], next) => {
    if (name === "slow") {
      release = next;
    } else {
      next();
    }
  });
  socket.onAny((name) => order.push(`any ${name}`));
  const done = new Promise((resolve) => socket.on("slow", () => resolve(order.push("slow"))));
  socket.on("fast", (ack) => {
    order.push("fast");
    ack();
    release();
  });
  client.emit("slow");
  await client.timeout(5000).emitWithAck("fast");
  await done;
  assert.deepEqual(order, ["any slow", "any fast", "fast", "slow"]);
});

test("listeners are called in the asynchronous context in which socket.use goes on", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const storage = new AsyncLocalStorage();
  const resource = storage.run("of the resource", () => new AsyncResource("TEST"));
  socket.use(([name], next) => {
    if (name === "in a resource") resource.runInAsyncScope(next);
    else if (name === "in a store") storage.run("of the call", next);
    else next();
  });
  const seen = [];
  for (const name of ["plain", "in a resource", "in a store", "plain again"]) {
    socket.on(name, () => seen.push([name, storage.getStore()]));
    client.emit(name);
  }
  socket.on("last", (ack) => ack());
  await client.timeout(5000).emitWithAck("last");
  assert.deepEqual(seen, [
    ["plain", undefined],
    ["in a resource", "of the resource"],
    ["in a store", "of the call"],
    ["plain again", undefined],
  ]);
});

test("an event held back by socket.use is dropped when the socket disconnects meanwhile", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  let delivered = false;
  socket.on("late", () => (delivered = true));
  const held = new Promise((resolve) => socket.use((event, next) => resolve(next)));
  client.emit("late");
  const next = await held;
  socket.disconnect();
  next();
  await new Promise(setImmediate);
  assert.equal(delivered, false);
  await connected(server.client());
});
