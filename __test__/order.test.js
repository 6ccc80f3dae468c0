"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { serve, once, record } = require("./support/harness");

const COUNT = 1000;
const NUMBERS = Array.from({ length: COUNT }, (_, n) => [n]);

for (const transport of ["websocket", "polling"]) {
  test(`1,000 messages in order over ${transport}, both ways at once`, async (t) => {
    const server = await serve(t);
    const { client, socket } = await server.pair("/", { transports: [transport] });
    const up = record(socket, "n");
    const down = record(client, "n");
    for (let n = 0; n < COUNT; n++) {
      client.emit("n", n);
      socket.emit("n", n);
    }
    await Promise.all([up.until(COUNT), down.until(COUNT)]);
    assert.deepEqual(up.list, NUMBERS);
    assert.deepEqual(down.list, NUMBERS);
  });
}

test("1,000 messages spread over ticks stay in order", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const up = record(socket, "n");
  const down = record(client, "n");
  for (let n = 0; n < COUNT; n++) {
    client.emit("n", n);
    socket.emit("n", n);
    if (n % 7 === 0) {
      await new Promise(setImmediate);
    }
  }
  await Promise.all([up.until(COUNT), down.until(COUNT)]);
  assert.deepEqual(up.list, NUMBERS);
  assert.deepEqual(down.list, NUMBERS);
});

test("1,000 broadcasts reach ten clients in order", async (t) => {
  const server = await serve(t);
  const pairs = await server.pairs(10);
  const recorders = pairs.map(({ client }) => record(client, "n"));
  for (let n = 0; n < COUNT; n++) {
    server.io.emit("n", n);
  }
  for (const recorder of recorders) {
    await recorder.until(COUNT);
    assert.deepEqual(recorder.list, NUMBERS);
  }
});

test("events, acks and answers of one client keep the order of sending", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  socket.on("ask", (n, ack) => {
    socket.emit("before", n);
    ack(n);
    server.io.emit("after", n);
  });
  for (let n = 0; n < 100; n++) {
    ws.text(`42${n}["ask",${n}]`);
  }
  for (let n = 0; n < 100; n++) {
    assert.equal(await ws.next(), `42["before",${n}]`);
    assert.equal(await ws.next(), `43${n}[${n}]`);
    assert.equal(await ws.next(), `42["after",${n}]`);
  }
});

test("listeners run to completion before the next event is delivered", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const order = [];
  socket.on("n", (n) => {
    order.push(`${n} starts`);
    process.nextTick(() => order.push(`${n} tick`));
    Promise.resolve().then(() => order.push(`${n} microtask`));
    order.push(`${n} ends`);
  });
  const last = once(socket, "last");
  client.emit("n", 1);
  client.emit("n", 2);
  client.emit("last");
  await last;
  for (const n of [1, 2]) {
    const starts = order.indexOf(`${n} starts`);
    assert.equal(order[starts + 1], `${n} ends`);
    assert.ok(order.includes(`${n} tick`) && order.includes(`${n} microtask`));
  }
  assert.ok(order.indexOf("1 ends") < order.indexOf("2 starts"));
});
