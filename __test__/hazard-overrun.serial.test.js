"use strict";

// An application that broadcasts without a pause, faster than anybody could deliver.

const test = require("node:test");
const assert = require("node:assert/strict");
const { once } = require("node:events");
const { RawWebSocket } = require("./support/harness");
const { startChild } = require("./support/child");

const MB = 1024 * 1024;
const CLIENTS = 300;

/** Starts a server that broadcasts for some seconds when it is told so. */
async function startServer(t, options) {
  const child = startChild(
    t,
    async ({ sio, listen, send, inbox, args }) => {
      const httpServer = await listen();
      const io = new sio.Server(httpServer, args);
      io.on("connection", (socket) => socket.on("echo", (ack) => ack()));
      inbox.on("overrun", ({ seconds, volatile }) => {
        const end = performance.now() + seconds * 1000;
        const text = "x".repeat(200);
        const operator = volatile ? io.volatile : io;
        let sent = 0;
        (function broadcast() {
          operator.emit("n", sent++, text);
          if (performance.now() < end) setImmediate(broadcast);
          else send("overrun", { sent });
        })();
      });
      inbox.on("count", () => send("count", { clients: io.engine.clientsCount }));
      send("listening", { port: httpServer.address().port });
    },
    options,
  );
  const { port } = await child.message("listening");
  const target = { port, secure: false, keep: (ws) => (t.after(() => ws.destroy()), ws) };
  return { child, target };
}

/** Clients that read all they are sent, and look at none of it. */
async function crowd(target, count) {
  const clients = await Promise.all(Array.from({ length: count }, () => RawWebSocket.connect(target)));
  for (const { socket } of clients) {
    socket.removeAllListeners("data");
    socket.resume();
  }
  return clients;
}

for (const volatile of [false, true]) {
  test(`${volatile ? "volatile " : ""}broadcasts take a bounded amount of memory, and leave none behind`, async (t) => {
    const { child, target } = await startServer(t, { pingInterval: 600_000 });
    const peaks = [];
    const rests = [];
    for (let round = 0; round < 2; round++) {
      const clients = await crowd(target, CLIENTS);
      const before = child.residentMemory();
      await child.ask("overrun", { seconds: 3, volatile });
      peaks.push((child.peakMemory() - before) / MB);
      await Promise.all(clients.map(({ socket }) => (socket.destroy(), once(socket, "close"))));
      while ((await child.ask("count")).clients > 0);
      // memory is given back after a while
      const end = performance.now() + 10_000;
      while (child.residentMemory() - before > 40 * MB && performance.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      rests.push((child.residentMemory() - before) / MB);
    }
    assert.ok(Math.max(...peaks) < 120, `up to ${peaks.map(Math.round)} MB`);
    assert.ok(Math.max(...rests) < 40, `${rests.map(Math.round)} MB are left`);
  });
}

test("a client is served while the application broadcasts to others", async (t) => {
  const { child, target } = await startServer(t, {});
  await crowd(target, CLIENTS);
  const ws = await RawWebSocket.connect(target);
  ws.text('421["echo"]');
  assert.equal(await ws.next(), "431[]");
  child.send("overrun", { seconds: 3 });
  const waits = [];
  const end = performance.now() + 3000;
  while (performance.now() < end) {
    const asked = performance.now();
    ws.text('421["echo"]');
    while ((await ws.next()) !== "431[]");
    waits.push(performance.now() - asked);
  }
  waits.sort((a, b) => a - b);
  const median = waits[waits.length >> 1];
  assert.ok(median < 500, `${Math.round(median)} ms, of ${waits.length}`);
  await child.message("overrun");
});
