"use strict";

// What an application can see of a client that does not read as fast as it is sent to.

const test = require("node:test");
const assert = require("node:assert/strict");
const { serve, isStock, eventually } = require("./support/harness");

const MB = 1024 * 1024;

for (const stream of ["http", "https"]) {
  test(`"drain" and writeBuffer tell that a client does not read, over ${stream}`, async (t) => {
    const server = await serve(t, { pingInterval: 60_000 }, { stream });
    const { ws, socket } = await server.rawPair();
    const { conn } = socket;
    const count = { drain: 0, flush: 0, packets: 0 };
    conn.on("drain", () => count.drain++);
    conn.on("flush", (packets) => {
      count.flush++;
      count.packets += packets.length;
    });
    ws.socket.pause();
    for (let n = 0; n < 50; n++) {
      socket.emit("n", n, "x".repeat(MB));
      await new Promise(setImmediate);
    }
    assert.ok(count.drain <= 30, `${count.drain} times`);
    assert.ok(conn.writeBuffer.length >= 20, `${conn.writeBuffer.length} packets`);
    assert.equal(count.packets + conn.writeBuffer.length, 50);
    assert.equal(conn.transport.writable, false);
    socket.volatile.emit("dropped");
    ws.socket.resume();
    for (let n = 0; n < 50; n++)
      assert.equal((await ws.next()).slice(0, 12), `42["n",${n},"xxxx`.slice(0, 12));
    await eventually(() => conn.transport.writable, "everything has left");
    assert.deepEqual([conn.writeBuffer.length, count.packets], [0, 50]);
    assert.equal(count.drain, count.flush);
    socket.volatile.emit("last");
    assert.equal(await ws.next(), '42["last"]');
  });
}

test("writable and bufferedAmount tell it without a listener", async (t) => {
  const server = await serve(t, { pingInterval: 60_000 }, { stream: "http" });
  const { ws, socket } = await server.rawPair();
  const { transport } = socket.conn;
  ws.socket.pause();
  for (let n = 0; n < 16; n++) socket.emit("n", n, "x".repeat(MB));
  await eventually(() => transport.socket.bufferedAmount > 4 * MB, "bytes wait");
  assert.equal(transport.writable, false);
  ws.socket.resume();
  await ws.count(17);
  await eventually(() => transport.writable && transport.socket.bufferedAmount === 0, "none wait");
});

test("what is held back for a listener leaves in order when nobody listens any more", async (t) => {
  const server = await serve(t, { pingInterval: 60_000 });
  const { ws, socket } = await server.rawPair();
  ws.socket.pause();
  const listener = () => {};
  socket.conn.on("drain", listener);
  for (let n = 0; n < 20; n++) socket.emit("n", n, "x".repeat(MB));
  await new Promise(setImmediate);
  socket.conn.removeListener("drain", listener);
  server.io.emit("n", 20);
  socket.emit("n", 21);
  ws.socket.resume();
  for (let n = 0; n < 22; n++) assert.equal((await ws.next()).slice(6, 12).match(/\d+/)[0], String(n));
});

test("what is held back for a listener leaves before the session is closed", async (t) => {
  const server = await serve(t, { pingInterval: 60_000 });
  const { ws, socket } = await server.rawPair();
  socket.conn.on("drain", () => {});
  for (let n = 0; n < 20; n++) socket.emit("n", n, "x".repeat(MB));
  const sent = [];
  socket.conn.send("callback", () => sent.push("left"));
  socket.conn.close();
  for (let n = 0; n < 20; n++) assert.equal((await ws.next()).slice(6, 12).match(/\d+/)[0], String(n));
  assert.equal(await ws.next(), "4callback");
});

test(
  "the limit of what may wait for a client holds while somebody listens",
  { skip: isStock && "stock has no such option" },
  async (t) => {
    const server = await serve(t, { maxOutboundBuffer: MB, pingInterval: 60_000 });
    const { ws, socket, disconnected } = await server.rawPair();
    socket.conn.on("drain", () => {});
    ws.socket.pause();
    for (let n = 0; n < 40 && socket.connected; n++) {
      socket.emit("n", n, "x".repeat(MB / 2));
      await new Promise(setImmediate);
    }
    assert.equal((await disconnected)[0], "transport error");
  },
);
