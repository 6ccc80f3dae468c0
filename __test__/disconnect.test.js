"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const {
  serve,
  once,
  connected,
  record,
  eventually,
  frame,
  CLOSE,
  closePayload,
} = require("./support/harness");

/** The log of a socket whose end has this reason. */
const ending = (reason) => [`disconnecting: ${reason}`, `disconnect: ${reason}`];

test("client namespace disconnect: the client disconnects from a namespace", async (t) => {
  const server = await serve(t);
  const { ws, log, disconnected } = await server.rawPair();
  ws.text("41");
  assert.deepEqual(await disconnected, ["client namespace disconnect", undefined]);
  assert.deepEqual(log, ending("client namespace disconnect"));
  // the session is still open
  ws.text("40");
  assert.match(await ws.next(), /^40\{"sid"/);
});

test("server namespace disconnect: the server disconnects a socket", async (t) => {
  const server = await serve(t);
  const { ws, socket, log, disconnected } = await server.rawPair();
  assert.equal(socket.disconnect(), socket);
  assert.deepEqual(await disconnected, ["server namespace disconnect", undefined]);
  assert.deepEqual(log, ending("server namespace disconnect"));
  assert.equal(await ws.next(), "41");
  ws.text("40");
  assert.match(await ws.next(), /^40\{"sid"/);
});

test("disconnect(true) says goodbye, then closes the session", async (t) => {
  const server = await serve(t);
  const { ws, socket, log } = await server.rawPair();
  const closed = once(socket.conn, "close");
  socket.disconnect(true);
  assert.deepEqual(log, ending("server namespace disconnect"));
  assert.equal(await ws.next(), "41");
  const { code, end } = await ws.closed();
  assert.equal(code, null);
  assert.equal(end, "FIN");
  assert.equal((await closed)[0], "forced close");
});

test("disconnect(true) ends every namespace of the client", async (t) => {
  const server = await serve(t);
  server.io.of("/chat");
  const { client, socket } = await server.pair();
  const chat = await connected(client.io.socket("/chat"));
  const chatSocket = server.io.of("/chat").sockets.get(chat.id);
  const seen = Promise.all([
    once(socket, "disconnect"),
    once(chatSocket, "disconnect"),
    once(client, "disconnect"),
    once(chat, "disconnect"),
  ]);
  socket.disconnect(true);
  assert.deepEqual(
    (await seen).map(([reason]) => reason),
    [
      "server namespace disconnect",
      "server namespace disconnect",
      "io server disconnect",
      "io server disconnect",
    ],
  );
});

test("disconnect(true) over long-polling", async (t) => {
  const server = await serve(t);
  const { polling, socket, log } = await server.pollingPair();
  socket.disconnect(true);
  assert.deepEqual(log, ending("server namespace disconnect"));
  assert.deepEqual((await polling.poll()).packets, ["41"]);
  assert.deepEqual((await polling.poll()).packets, ["6", "1"]);
  const after = await polling.poll();
  assert.deepEqual([after.status, after.json], [400, { code: 1, message: "Session ID unknown" }]);
});

test("transport close: the client closes the WebSocket", async (t) => {
  const server = await serve(t);
  const { ws, log, disconnected } = await server.rawPair();
  ws.frame({ opcode: CLOSE, payload: closePayload(1000) });
  const [reason] = await disconnected;
  assert.equal(reason, "transport close");
  assert.deepEqual(log, ending("transport close"));
  assert.deepEqual(await ws.closed(), { code: 1000, reason: "", end: "FIN" });
});

test("transport close: the TCP connection ends without a close frame", async (t) => {
  const server = await serve(t);
  const { ws, log, disconnected } = await server.rawPair();
  ws.socket.end();
  assert.equal((await disconnected)[0], "transport close");
  assert.deepEqual(log, ending("transport close"));
  assert.equal(await ws.ended(), "FIN");
});

test("transport close: the client sends a close packet by long-polling", async (t) => {
  const server = await serve(t);
  const { polling, log, disconnected } = await server.pollingPair();
  assert.equal((await polling.post("1")).body, "ok");
  assert.equal((await disconnected)[0], "transport close");
  assert.deepEqual(log, ending("transport close"));
});

test("transport error: the client breaks the WebSocket protocol", async (t) => {
  const server = await serve(t);
  const { ws, log, disconnected } = await server.rawPair();
  ws.write(frame({ payload: "2", masked: false }));
  const [reason, description] = await disconnected;
  assert.equal(reason, "transport error");
  assert.ok(description instanceof Error);
  assert.deepEqual(log, ending("transport error"));
  assert.equal((await ws.closed()).code, 1002);
});

test("transport close: the TCP connection is reset", async (t) => {
  const server = await serve(t, {}, { stream: "http" });
  const { ws, log, disconnected } = await server.rawPair();
  ws.reset();
  assert.equal((await disconnected)[0], "transport close");
  assert.deepEqual(log, ending("transport close"));
});

test("transport error: a poll is cut", async (t) => {
  const server = await serve(t);
  const { polling, socket, log, disconnected } = await server.pollingPair();
  const req = server.startRequest({ path: polling.url });
  req.end();
  await eventually(() => socket.conn.transport.writable, "a poll is open");
  req.destroy();
  const [reason, description] = await disconnected;
  assert.equal(reason, "transport error");
  assert.equal(description.message, "poll connection closed prematurely");
  assert.deepEqual(log, ending("transport error"));
});

test("ping timeout: the client does not answer a ping", async (t) => {
  const server = await serve(t, { pingInterval: 100, pingTimeout: 200 });
  const { ws, log, disconnected } = await server.rawPair();
  assert.deepEqual(await disconnected, ["ping timeout", undefined]);
  assert.deepEqual(log, ending("ping timeout"));
  assert.equal(await ws.next(), "2");
  assert.equal((await ws.closed()).end, "FIN");
});

test("parse error: the client sends what is not an Engine.IO packet", async (t) => {
  const server = await serve(t);
  const { ws, log, disconnected } = await server.rawPair();
  ws.text("9");
  assert.deepEqual(await disconnected, ["parse error", undefined]);
  assert.deepEqual(log, ending("parse error"));
  assert.equal((await ws.closed()).end, "FIN");
});

test("forced close: the client sends what is not a Socket.IO packet", async (t) => {
  const server = await serve(t);
  const { ws, log, disconnected } = await server.rawPair();
  ws.text("4x");
  assert.deepEqual(await disconnected, ["forced close", undefined]);
  assert.deepEqual(log, ["error: unknown packet type NaN", ...ending("forced close")]);
  assert.equal((await ws.closed()).end, "FIN");
});

test("forced close: the server closes the session of a socket", async (t) => {
  const server = await serve(t);
  const { ws, socket, log, disconnected } = await server.rawPair();
  socket.conn.close();
  assert.deepEqual(await disconnected, ["forced close", undefined]);
  assert.deepEqual(log, ending("forced close"));
  assert.equal((await ws.closed()).code, null);
});

test("forced close: over WebSocket an event to a namespace that the client has not joined", async (t) => {
  const server = await serve(t);
  const { ws, log, disconnected } = await server.rawPair();
  ws.text('42/never,["ev"]');
  assert.deepEqual(await disconnected, ["forced close", undefined]);
  assert.deepEqual(log, ending("forced close"));
  assert.equal((await ws.closed()).end, "FIN");
});

test("forced server close: the same over long-polling, when no poll is open", async (t) => {
  const server = await serve(t);
  const { polling, log, disconnected } = await server.pollingPair();
  await polling.post('42/never,["ev"]');
  assert.deepEqual(await disconnected, ["forced server close", undefined]);
  assert.deepEqual(log, ending("forced server close"));
  assert.deepEqual((await polling.poll()).packets, ["6", "1"]);
});

test("server shutting down: io.close()", async (t) => {
  const server = await serve(t);
  const { ws, log, disconnected } = await server.rawPair();
  const closing = server.io.close();
  assert.deepEqual(await disconnected, ["server shutting down", undefined]);
  assert.deepEqual(log, ending("server shutting down"));
  assert.equal((await ws.closed()).end, "FIN");
  await closing;
});

test("what the client is told", async (t) => {
  const server = await serve(t, { pingInterval: 200, pingTimeout: 200 });
  const reasons = [];
  const end = async (act) => {
    const pair = await server.pair();
    const gone = once(pair.client, "disconnect");
    act(pair);
    reasons.push((await gone)[0]);
  };
  await end(({ socket }) => socket.disconnect());
  await end(({ socket }) => socket.disconnect(true));
  await end(({ socket }) => socket.conn.close());
  await end(({ client }) => client.disconnect());
  await end(({ client }) => client.io.engine.close());
  await end(({ client }) => (client.io.engine.write = client.io.engine._sendPacket = () => {}));
  assert.deepEqual(reasons, [
    "io server disconnect",
    "io server disconnect",
    "transport close",
    "io client disconnect",
    "forced close",
    "transport close",
  ]);
});

test("during 'disconnecting' the socket still has its rooms, then not", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  socket.join("room");
  const states = [];
  socket.on("disconnecting", () => states.push([socket.connected, socket.rooms.size]));
  const gone = once(socket, "disconnect");
  socket.on("disconnect", () => states.push([socket.connected, socket.rooms.size]));
  client.disconnect();
  await gone;
  assert.deepEqual(states, [
    [true, 2],
    [false, 0],
  ]);
});

test("'disconnecting' and 'disconnect' come once, however often one disconnects", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const seen = [record(socket, "disconnecting"), record(socket, "disconnect")];
  const closed = once(socket.conn, "close");
  socket.disconnect();
  socket.disconnect(true);
  socket.conn.close();
  client.disconnect();
  await closed;
  assert.deepEqual(
    seen.map(({ list }) => list.length),
    [1, 1],
  );
});

test("one may tell the others while disconnecting", async (t) => {
  const server = await serve(t);
  const [leaves, stays] = await server.pairs(2);
  leaves.socket.join("room");
  stays.socket.join("room");
  leaves.socket.on("disconnecting", () => leaves.socket.to("room").emit("left", leaves.socket.id));
  const left = once(stays.client, "left");
  leaves.client.disconnect();
  assert.deepEqual(await left, [leaves.socket.id]);
});

test("events after disconnect() in the same batch are not delivered", async (t) => {
  const server = await serve(t);
  const { ws, socket, disconnected } = await server.rawPair();
  const seen = [];
  socket.on("ev", (n) => {
    seen.push(n);
    if (n === 2) {
      socket.disconnect();
    }
  });
  ws.write(Buffer.concat([1, 2, 3, 4].map((n) => frame({ payload: `42["ev",${n}]` }))));
  await disconnected;
  await server.pair();
  assert.deepEqual(seen, [1, 2]);
});

test("emitting to a socket that is gone does nothing", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const got = record(client, "late");
  const gone = once(client, "disconnect");
  socket.disconnect();
  assert.equal(socket.emit("late"), true);
  assert.equal(server.io.to(socket.id).emit("late"), true);
  await gone;
  assert.equal(got.list.length, 0);
});

test("join after the end does not bring back a room", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const gone = once(socket, "disconnect");
  client.disconnect();
  await gone;
  socket.join("room");
  assert.equal(server.io.sockets.adapter.rooms.size, 0);
});
