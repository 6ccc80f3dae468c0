"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { serve, once, record, frame, CONTINUATION } = require("./support/harness");

const MEGABYTE = 1024 * 1024;
const OPTIONS = { maxHttpBufferSize: 8 * MEGABYTE };

for (const transport of ["websocket", "polling"]) {
  test(`1 MB of text over ${transport}, both ways`, async (t) => {
    const server = await serve(t, OPTIONS);
    const { client, socket } = await server.pair("/", { transports: [transport] });
    const text = "aé語😀".repeat(MEGABYTE / 10);
    socket.on("up", (value, ack) => ack(value));
    assert.ok((await client.timeout(10_000).emitWithAck("up", text)) === text);
    const down = once(client, "down");
    server.io.emit("down", text);
    assert.ok((await down)[0] === text);
  });

  test(`1 MB of binary data over ${transport}, both ways`, async (t) => {
    const server = await serve(t, OPTIONS);
    const { client, socket } = await server.pair("/", { transports: [transport] });
    const data = Buffer.alloc(MEGABYTE);
    for (let i = 0; i < data.length; i += 4) {
      data.writeUInt32LE((i * 2654435761) >>> 0, i);
    }
    socket.on("up", (value, ack) => ack(value));
    assert.ok(data.equals(await client.timeout(10_000).emitWithAck("up", data)));
    const down = once(client, "down");
    server.io.emit("down", data);
    assert.ok(data.equals((await down)[0]));
  });
}

test("exactly maxHttpBufferSize over WebSocket is accepted", async (t) => {
  const server = await serve(t, { maxHttpBufferSize: 1000 });
  const { ws, socket } = await server.rawPair();
  const got = once(socket, "ev");
  const filler = 1000 - '42["ev",""]'.length;
  ws.text(`42["ev","${"x".repeat(filler)}"]`);
  assert.equal((await got)[0].length, filler);
});

test("large messages between small ones keep their place", async (t) => {
  const server = await serve(t, OPTIONS);
  const { client, socket } = await server.pair();
  const up = record(socket, "ev");
  const down = record(client, "ev");
  const large = "x".repeat(300_000);
  const expected = [];
  for (let i = 0; i < 30; i++) {
    const value = i % 3 === 1 ? `${i}${large}` : i;
    expected.push([value]);
    client.emit("ev", value);
    socket.emit("ev", value);
  }
  await Promise.all([up.until(30), down.until(30)]);
  assert.deepEqual(up.list, expected);
  assert.deepEqual(down.list, expected);
});

test("a large broadcast reaches every client whole", async (t) => {
  const server = await serve(t);
  const pairs = await server.pairs(10);
  const text = "broadcast ".repeat(50_000);
  const got = Promise.all(pairs.map(({ client }) => once(client, "ev")));
  server.io.emit("ev", text);
  for (const [value] of await got) {
    assert.ok(value === text);
  }
});

test("a message in 1,000 fragments", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  const text = "fragment ".repeat(1000);
  const bytes = Buffer.from(`42["ev","${text}"]`);
  const size = Math.ceil(bytes.length / 1000);
  const frames = [];
  for (let start = 0; start < bytes.length; start += size) {
    frames.push(
      frame({
        opcode: start === 0 ? 1 : CONTINUATION,
        payload: bytes.subarray(start, start + size),
        fin: start + size >= bytes.length,
      }),
    );
  }
  const got = once(socket, "ev");
  ws.write(Buffer.concat(frames));
  assert.deepEqual(await got, [text]);
});

test("a client that reads slowly gets a large message whole", async (t) => {
  const server = await serve(t, OPTIONS);
  const { ws, socket } = await server.rawPair();
  ws.socket.pause();
  const text = "x".repeat(6 * MEGABYTE);
  socket.emit("ev", text);
  socket.emit("last");
  await new Promise(setImmediate);
  ws.socket.resume();
  assert.ok((await ws.next()) === `42["ev","${text}"]`);
  assert.equal(await ws.next(), '42["last"]');
});

test("what the server sends is not limited by maxHttpBufferSize", async (t) => {
  const server = await serve(t, { maxHttpBufferSize: 1000 });
  const { client, socket } = await server.pair();
  const got = once(client, "ev");
  socket.emit("ev", "x".repeat(5000));
  assert.equal((await got)[0].length, 5000);
});
