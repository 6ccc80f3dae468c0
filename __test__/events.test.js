"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { serve, isStock, once, record, frame } = require("./support/harness");

/** Values that JSON carries unchanged. */
const VALUES = [
  [],
  [1, -0.5, 1e21, 0],
  ["", "text", 'quotes " and \\ backslash', "\u0000\u001f\u2028"],
  [null, true, false],
  [{ a: { b: [{ c: null }] } }, [[], {}]],
  [{ "": 1, "key with space": 2 }],
];

test("arguments of every JSON type from the client to the server", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  for (const values of VALUES) {
    const got = once(socket, "ev");
    client.emit("ev", ...values);
    assert.deepEqual(await got, values);
  }
});

test("arguments of every JSON type from the server to the client", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  for (const values of VALUES) {
    const got = once(client, "ev");
    assert.equal(socket.emit("ev", ...values), true);
    assert.deepEqual(await got, values);
  }
});

test("what JSON does to undefined, NaN, dates and toJSON", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const got = once(client, "ev");
  socket.emit("ev", undefined, NaN, new Date(0), { toJSON: () => "from toJSON" }, { dropped: undefined });
  assert.deepEqual(await got, [null, null, "1970-01-01T00:00:00.000Z", "from toJSON", {}]);
});

test("an event on the wire", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  socket.emit("hello", 1, "two", { three: [3] });
  assert.equal(await ws.next(), '42["hello",1,"two",{"three":[3]}]');
  const got = once(socket, "hello");
  ws.text('42["hello",{"a":[1,2]},null]');
  assert.deepEqual(await got, [{ a: [1, 2] }, null]);
});

test("a JSON body with white space and escapes is understood", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  const got = once(socket, "hi");
  ws.text('42[ "\\u0068i" ,\n\t"\\u00e9\\ud83d\\ude00" ]');
  assert.deepEqual(await got, ["é😀"]);
});

test("an event may have a number as its name", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  const got = once(socket, 1);
  ws.text('42[1,"x"]');
  assert.deepEqual(await got, ["x"]);
});

test("an event without data is delivered without a name", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  const any = record(socket, "undefined");
  const seen = new Promise((resolve) => socket.onAny((...args) => resolve(args)));
  ws.text("42");
  assert.deepEqual(await seen, []);
  socket.on("barrier", (ack) => ack());
  ws.text('420["barrier"]');
  assert.equal(await ws.next(), "430[]");
  assert.deepEqual(any.list, [[]]);
});

test("a client may emit 'error', which fires the listener", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  const got = once(socket, "error");
  ws.text('42["error","x"]');
  assert.deepEqual(await got, ["x"]);
  assert.equal(socket.connected, true);
});

test("__proto__ stays a key of its own", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  const got = once(socket, "ev");
  ws.text('42["ev",{"__proto__":{"polluted":1},"constructor":2}]');
  const [value] = await got;
  assert.deepEqual(Object.keys(value), ["__proto__", "constructor"]);
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
  assert.equal({}.polluted, undefined);
});

test("names that mean something to JavaScript or to EventEmitter are ordinary", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty", "data", "message", ""]) {
    const got = once(socket, name);
    client.emit(name, name);
    assert.deepEqual(await got, [name], name);
  }
});

test("the server refuses to emit reserved names", async (t) => {
  const server = await serve(t);
  const { socket } = await server.pair();
  for (const name of [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
  ]) {
    const expected = { message: `"${name}" is a reserved event name` };
    assert.throws(() => socket.emit(name), expected);
    assert.throws(() => server.io.emit(name), expected);
    assert.throws(() => socket.broadcast.emit(name), expected);
    assert.throws(() => server.io.to("room").emit(name), expected);
  }
});

test("send and write emit 'message'", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const messages = record(client, "message");
  assert.equal(socket.send("a", 1), socket);
  assert.equal(socket.write("b"), socket);
  assert.equal(server.io.send("c"), server.io);
  assert.equal(server.io.write("d"), server.io);
  assert.equal(server.io.of("/").send("e"), server.io.sockets);
  await messages.until(5);
  assert.deepEqual(messages.list, [["a", 1], ["b"], ["c"], ["d"], ["e"]]);
  const got = once(socket, "message");
  client.send("hi", 2);
  assert.deepEqual(await got, ["hi", 2]);
});

test("listeners: once, off, removeAllListeners and several of them", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const seen = [];
  const first = () => seen.push("first");
  const second = () => seen.push("second");
  socket.on("ev", first);
  socket.on("ev", second);
  socket.once("ev", () => seen.push("once"));
  socket.prependListener("ev", () => seen.push("prepended"));
  socket.on("barrier", (ack) => ack());
  const send = (name) => {
    client.emit(name);
    return client.timeout(5000).emitWithAck("barrier");
  };
  await send("ev");
  assert.deepEqual(seen.splice(0), ["prepended", "first", "second", "once"]);
  socket.off("ev", first);
  await send("ev");
  assert.deepEqual(seen.splice(0), ["prepended", "second"]);
  socket.removeAllListeners("ev");
  await send("ev");
  assert.deepEqual(seen, []);
  assert.equal(socket.listenerCount("ev"), 0);
  assert.ok(socket.eventNames().includes("barrier"));
});

test("an event that nobody listens for is dropped silently", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  client.emit("nobody", 1);
  socket.on("ev", (ack) => ack("fine"));
  assert.equal(await client.timeout(5000).emitWithAck("ev"), "fine");
});

test("a listener may be added while an event is delivered", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const second = new Promise((resolve) => {
    socket.once("ev", () => socket.on("ev", (value) => resolve(value)));
  });
  client.emit("ev", 1);
  client.emit("ev", 2);
  assert.equal(await second, 2);
});

test("onAny listeners see every event before its own listeners", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const seen = [];
  const removed = () => seen.push("removed");
  assert.equal(
    socket.onAny((...args) => seen.push(["any", ...args])),
    socket,
  );
  socket.prependAny((name) => seen.push(["prepended", name]));
  socket.onAny(removed);
  assert.equal(socket.listenersAny().length, 3);
  socket.offAny(removed);
  assert.equal(socket.listenersAny().length, 2);
  socket.on("ev", () => seen.push("listener"));
  const done = once(socket, "ev");
  client.emit("ev", 1, "two");
  await done;
  assert.deepEqual(seen, [["prepended", "ev"], ["any", "ev", 1, "two"], "listener"]);
  socket.offAny();
  assert.deepEqual(socket.listenersAny(), []);
});

test("onAnyOutgoing listeners see what is sent: emits, broadcasts, but not acks", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const seen = [];
  const removed = () => seen.push("removed");
  socket.onAnyOutgoing((...args) => seen.push(["any", ...args]));
  socket.prependAnyOutgoing((name) => seen.push(["prepended", name]));
  socket.onAnyOutgoing(removed);
  assert.equal(socket.listenersAnyOutgoing().length, 3);
  socket.offAnyOutgoing(removed);
  socket.on("ask", (ack) => ack("answer"));
  await client.timeout(5000).emitWithAck("ask");
  const got = once(client, "two");
  socket.emit("one", 1);
  server.io.emit("two", 2);
  await got;
  assert.deepEqual(seen, [
    ["prepended", "one"],
    ["any", "one", 1],
    ["prepended", "two"],
    ["any", "two", 2],
  ]);
  socket.offAnyOutgoing();
  assert.deepEqual(socket.listenersAnyOutgoing(), []);
});

test("a patched onevent and a patched emit are used", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const seen = [];
  const { onevent, emit } = socket;
  socket.onevent = function (packet) {
    seen.push(["onevent", packet.data]);
    return onevent.call(this, packet);
  };
  socket.emit = function (...args) {
    seen.push(["emit", args]);
    return emit.apply(this, args);
  };
  const got = once(socket, "ev");
  client.emit("ev", 1);
  await got;
  const sent = once(client, "message");
  socket.send("x");
  await sent;
  assert.deepEqual(seen, [
    ["onevent", ["ev", 1]],
    ["emit", ["message", "x"]],
  ]);
});

test("events from several clients reach their own sockets", async (t) => {
  const server = await serve(t);
  const pairs = await server.pairs(10);
  const got = Promise.all(pairs.map(({ socket }) => once(socket, "who")));
  pairs.forEach(({ client }, i) => client.emit("who", i, client.id));
  assert.deepEqual(
    await got,
    pairs.map(({ client }, i) => [i, client.id]),
  );
});

test("an event deeply nested is delivered", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  const depth = 100_000;
  const got = once(socket, "deep");
  ws.text(`42["deep",${"[".repeat(depth)}${"]".repeat(depth)}]`);
  let [value] = await got;
  let found = 1;
  while (value.length) {
    [value] = value;
    found++;
  }
  assert.equal(found, depth);
});

test("packets that arrive in one segment are handled in order", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  socket.on("n", (n, ack) => ack(n));
  const packets = Array.from({ length: 5 }, (_, n) => frame({ payload: `42${n}["n",${n}]` }));
  ws.write(Buffer.concat(packets));
  for (let n = 0; n < 5; n++) {
    assert.equal(await ws.next(), `43${n}[${n}]`);
  }
});

for (const [name, stop] of [
  ["the listener is removed", ({ socket }, listener) => socket.offAnyOutgoing(listener)],
  ["all are removed", ({ socket }) => socket.offAnyOutgoing()],
  ["the socket has gone", ({ socket }) => socket.disconnect(true)],
  [
    "the socket has gone, and the listener comes late",
    ({ socket }, listener) => {
      socket.disconnect(true);
      socket.offAnyOutgoing(listener);
      socket.prependAnyOutgoing(listener);
    },
  ],
]) {
  test(`broadcasts are told to listeners for what is sent until ${name}`, { skip: isStock }, async (t) => {
    const server = await serve(t);
    const [pair, other] = await server.pairs(2);
    const told = [];
    const listener = (...args) => told.push(args);
    pair.socket.onAnyOutgoing(listener);
    // who hears of a broadcast is found out socket by socket, and only if there is anybody
    let asked = 0;
    other.socket.notifyOutgoingListeners = () => asked++;
    server.io.emit("ev", 1);
    assert.deepEqual(told, [["ev", 1]]);
    assert.equal(asked, 1);
    stop(pair, listener);
    server.io.emit("ev", 2);
    assert.equal(told.length, 1);
    assert.equal(asked, 1);
    other.socket.onAnyOutgoing(listener);
    delete other.socket.notifyOutgoingListeners;
    server.io.emit("ev", 3);
    assert.deepEqual(told[1], ["ev", 3]);
  });
}
