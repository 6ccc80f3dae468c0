"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { serve, isStock, once, record, eventually, RawWebSocket, Recorder } = require("./support/harness");

test("the properties of conn over WebSocket", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const { conn } = socket;
  assert.equal(conn, socket.client.conn);
  assert.equal(conn.id, client.io.engine.id);
  assert.equal(conn.protocol, 4);
  assert.equal(conn.remoteAddress, "127.0.0.1");
  assert.equal(conn.readyState, "open");
  assert.equal(conn.request, socket.request);
  assert.ok(Object.keys(conn).includes("request"));
  assert.equal(conn.upgrading, false);
  assert.equal(conn.upgraded, false);
  assert.equal(conn.transport.name, "websocket");
  await eventually(() => conn.transport.writable, "writable again");
  assert.deepEqual(conn.writeBuffer, []);
});

test("what the socket of a WebSocket says of itself can be replaced", async (t) => {
  // not every stream is a socket
  const server = await serve(t, {}, { stream: "http" });
  const { socket } = await server.pair();
  const stream = socket.request.socket;
  assert.equal(stream.pending, false);
  Object.defineProperty(stream, "pending", { value: false });
  assert.equal(Object.getOwnPropertyDescriptor(stream, "pending").value, false);
});

test("the properties of conn over polling", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const { conn } = socket;
  assert.equal(conn.id, polling.sid);
  assert.equal(conn.protocol, 4);
  assert.equal(conn.remoteAddress, "127.0.0.1");
  assert.equal(conn.readyState, "open");
  assert.equal(conn.upgrading, false);
  assert.equal(conn.upgraded, false);
  assert.equal(conn.transport.name, "polling");
  assert.equal(conn.transport.writable, false);
  socket.emit("waits");
  assert.deepEqual(
    conn.writeBuffer.map(({ type, data }) => [type, data]),
    [["message", '2["waits"]']],
  );
  const poll = polling.poll();
  assert.deepEqual((await poll).packets, ['42["waits"]']);
  assert.deepEqual(conn.writeBuffer, []);
});

test("remoteAddress and readyState after the end", async (t) => {
  const server = await serve(t);
  const { ws, conn, closed } = await server.rawSession();
  ws.socket.end();
  await closed;
  assert.equal(conn.remoteAddress, "127.0.0.1");
  assert.equal(conn.readyState, "closed");
});

test("readyState while it closes", async (t) => {
  const server = await serve(t);
  const { polling, conn, closed } = await server.pollingSession();
  conn.close();
  assert.equal(conn.readyState, "closing");
  assert.deepEqual((await polling.poll()).packets, ["6", "1"]);
  assert.equal((await closed)[0], "forced close");
  assert.equal(conn.readyState, "closed");
});

test("data, message and packet events", async (t) => {
  const server = await serve(t);
  const { ws, conn } = await server.rawSession();
  const seen = [];
  conn.on("packet", ({ type, data }) => seen.push(["packet", type, data]));
  conn.on("data", (data) => seen.push(["data", data]));
  const message = once(conn, "message");
  conn.on("message", (data) => seen.push(["message", data]));
  ws.text('40{"é":1}');
  await message;
  assert.deepEqual(seen, [
    ["packet", "message", '0{"é":1}'],
    ["data", '0{"é":1}'],
    ["message", '0{"é":1}'],
  ]);
});

test("a binary message is a Buffer", async (t) => {
  const server = await serve(t);
  const { ws, conn } = await server.rawSession();
  const data = once(conn, "data");
  ws.binary(Buffer.from([1, 2, 3]));
  const [value] = await data;
  assert.ok(Buffer.isBuffer(value));
  assert.deepEqual(value, Buffer.from([1, 2, 3]));
});

test("packetCreate shows what goes out", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  const created = record(socket.conn, "packetCreate");
  socket.emit("ev", 1);
  server.io.emit("all", 2);
  assert.equal(await ws.next(), '42["ev",1]');
  assert.equal(await ws.next(), '42["all",2]');
  assert.deepEqual(
    created.list.map(([{ type, data }]) => [type, data]),
    [
      ["message", '2["ev",1]'],
      ["message", '2["all",2]'],
    ],
  );
});

test("close hands over a reason and a description", async (t) => {
  const server = await serve(t);
  const { ws, closed } = await server.rawSession();
  ws.text("2");
  const [reason, description] = await closed;
  assert.equal(reason, "transport error");
  assert.equal(description.message, "invalid heartbeat direction");
});

test("a close frame of the client is answered with the same code and reason", async (t) => {
  const server = await serve(t);
  const { ws, closed } = await server.rawSession();
  ws.frame({ opcode: 8, payload: Buffer.from([0x0f, 0xa1, 0x68, 0x69]) });
  const [reason] = await closed;
  assert.equal(reason, "transport close");
  const { code, reason: text } = await ws.closed();
  assert.deepEqual([code, text], [4001, "hi"]);
});

test("conn.send and conn.write speak Engine.IO", async (t) => {
  const server = await serve(t);
  const { ws, conn } = await server.rawSession();
  conn.send("text");
  conn.write(Buffer.from([1, 2]));
  assert.equal(conn.send("é😀"), conn);
  assert.equal(await ws.next(), "4text");
  assert.deepEqual(await ws.next(), Buffer.from([1, 2]));
  assert.equal(await ws.next(), "4é😀");
});

test("the callback of conn.send", async (t) => {
  const server = await serve(t);
  const { ws, conn } = await server.rawSession();
  const sent = new Promise((resolve) => conn.send("text", {}, resolve));
  await sent;
  assert.equal(await ws.next(), "4text");
});

test("conn.close() sends what is waiting first", async (t) => {
  const server = await serve(t);
  const { ws, conn, closed } = await server.rawSession();
  for (let i = 0; i < 100; i++) {
    conn.send(`n${i}`);
  }
  conn.close();
  assert.equal((await closed)[0], "forced close");
  assert.equal((await ws.closed()).end, "FIN");
  assert.deepEqual(
    ws.messages.slice(1),
    Array.from({ length: 100 }, (_, i) => `4n${i}`),
  );
});

test("conn.close(true) closes at once", async (t) => {
  const server = await serve(t);
  const { ws, conn, closed } = await server.rawSession();
  conn.close(true);
  assert.equal((await closed)[0], "forced close");
  assert.equal((await ws.closed()).end, "FIN");
});

test("conn.request may be set to null to save memory", async (t) => {
  const server = await serve(t);
  server.io.engine.on("connection", (conn) => (conn.request = null));
  const ws = await RawWebSocket.connect(server);
  const socket = server.io.sockets.sockets.get(ws.id);
  assert.equal(socket.request, null);
  assert.deepEqual(socket.handshake.headers, {});
  assert.deepEqual(socket.handshake.query, {});
  const got = once(socket, "ev");
  ws.text('42["ev",1]');
  assert.deepEqual(await got, [1]);
});

test("the transport shows the address of the peer", async (t) => {
  const server = await serve(t);
  const { conn } = await server.rawSession();
  assert.equal(conn.transport.socket._socket.remoteAddress, "127.0.0.1");
  assert.equal(typeof conn.transport.socket.bufferedAmount, "number");
});

test("a session that closed is no longer among the engine's clients", async (t) => {
  const server = await serve(t);
  const { ws, conn, closed } = await server.rawSession();
  let inside;
  conn.on("close", () => (inside = server.io.engine.clients[ws.sid]));
  ws.socket.end();
  await closed;
  assert.equal(inside, undefined);
  assert.equal(server.io.engine.clientsCount, 0);
});

test("listeners may be removed", async (t) => {
  const server = await serve(t);
  const { ws, conn } = await server.rawSession();
  const seen = [];
  const listener = () => seen.push("removed");
  conn.on("packet", listener);
  conn.off("packet", listener);
  const packet = once(conn, "packet");
  ws.text("6");
  await packet;
  assert.deepEqual(seen, []);
});

for (const way of ["on", "addListener", "once", "prependListener", "prependOnceListener"]) {
  test(`a listener for packets that are no messages, added by ${way}`, async (t) => {
    const server = await serve(t);
    const { ws, conn } = await server.rawSession();
    const seen = new Recorder();
    conn[way]("packet", ({ type }) => seen.push(`packet ${type}`));
    conn[way]("heartbeat", () => seen.push("heartbeat"));
    ws.text("3");
    assert.deepEqual(await seen.until(2), ["packet pong", "heartbeat"]);
  });
}

/** Counts the broadcasts that go socket by socket. */
function countWrites(socket) {
  const counter = { writes: 0 };
  const { writeToEngine } = socket.client;
  socket.client.writeToEngine = function (...args) {
    counter.writes++;
    return writeToEngine.apply(this, args);
  };
  return counter;
}

for (const [name, listen] of [
  ["once()", (conn, event) => conn.once(event, () => {})],
  ["once() of the transport", (conn, event) => conn.transport.once(event, () => {})],
  [
    "a listener that was removed",
    (conn, event) => {
      const listener = () => {};
      conn.prependListener(event, listener);
      conn.off(event, listener);
    },
  ],
  [
    "listeners that were all removed",
    (conn, event) => {
      conn.on(event, () => {});
      conn.once("packetCreate", () => {});
      conn.removeAllListeners();
    },
  ],
]) {
  test(`broadcasts are native again after ${name}`, { skip: isStock }, async (t) => {
    const server = await serve(t);
    const [{ socket, client }, other] = await server.pairs(2);
    const counter = countWrites(other.socket);
    const got = record(other.client, "ev");
    const heard = record(client, "ev");
    const { conn } = socket;
    conn.on("drain", () => {});
    server.io.emit("ev", 1);
    assert.equal(counter.writes, 1, "while somebody listens, broadcasts go socket by socket");
    conn.removeAllListeners("drain");
    listen(conn, "drain");
    socket.emit("ev");
    await heard.until(2);
    server.io.emit("ev", 2);
    assert.equal(counter.writes, 1);
    assert.deepEqual(await got.until(2), [[1], [2]]);
  });
}

test(
  "broadcasts are native again after the end of a session that was listened to",
  { skip: isStock },
  async (t) => {
    const server = await serve(t);
    const [{ socket }, other] = await server.pairs(2);
    const counter = countWrites(other.socket);
    const { conn } = socket;
    const listener = () => {};
    for (const event of ["packetCreate", "flush", "drain"]) conn.on(event, listener);
    const closed = once(conn, "close");
    socket.disconnect(true);
    await closed;
    server.io.emit("ev");
    // whatever becomes of them now
    conn.removeAllListeners();
    conn.on("drain", listener);
    server.io.emit("ev");
    assert.equal(counter.writes, 0);
  },
);

test(
  "broadcasts are native again when a session has left a transport that was listened to",
  { skip: isStock },
  async (t) => {
    const server = await serve(t);
    const { polling, conn } = await server.pollingSession();
    const { transport } = conn;
    const listener = () => {};
    transport.on("drain", listener);
    assert.equal(server.io.engine._isWatched(), true);
    const ws = await RawWebSocket.upgrade(server, {
      query: `EIO=4&transport=websocket&sid=${polling.sid}`,
    });
    ws.text("2probe");
    assert.equal(await ws.next(), "3probe");
    const upgraded = once(conn, "upgrade");
    ws.text("5");
    await upgraded;
    assert.equal(server.io.engine._isWatched(), false);
    // nothing comes of it any more
    transport.on("packet", listener);
    transport.removeListener("drain", listener);
    assert.deepEqual([conn.listenerCount("packet"), conn.listenerCount("drain")], [0, 0]);
  },
);
