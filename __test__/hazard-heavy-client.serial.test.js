"use strict";

// A client sends large messages faster than the application takes them: what others send does not stand behind all of them.

const test = require("node:test");
const assert = require("node:assert/strict");
const { setTimeout: delay } = require("node:timers/promises");
const { PING, RawWebSocket, frame } = require("./support/harness");
const { startChild } = require("./support/child");

const MESSAGES = 12;
const SIZE = 500_000;
const BLOCKED_MS = 1500;

test("messages of another client are handled between those of one that has sent many", async (t) => {
  const child = startChild(t, async ({ sio, listen, send, block, inbox }) => {
    const httpServer = await listen();
    const io = new sio.Server(httpServer);
    const order = [];
    io.on("connection", (socket) => {
      socket.on("heavy", (number) => order.push(number));
      socket.on("light", () => order.push("light"));
      socket.on("last", (ack) => ack(order));
    });
    inbox.on("block", ({ ms }) => {
      send("blocking");
      // the message above has to leave first
      setImmediate(() => block(ms));
    });
    send("listening", { port: httpServer.address().port });
  });
  const { port } = await child.message("listening");
  const target = { port, secure: false, keep: (ws) => (t.after(() => ws.destroy()), ws) };
  const heavy = await RawWebSocket.connect(target);
  const light = await RawWebSocket.connect(target);
  child.send("block", { ms: BLOCKED_MS });
  await child.message("blocking");
  const filler = "x".repeat(SIZE);
  for (let number = 0; number < MESSAGES; number++) heavy.text(`42["heavy",${number},"${filler}"]`);
  // answered when all of them have been read, which is not to be before the application has gone on
  heavy.frame({ opcode: PING });
  const isRead = heavy.changes.until(() => heavy.frames.some(({ opcode }) => opcode === 10));
  await Promise.race([isRead, delay(BLOCKED_MS / 3)]);
  light.write(frame({ payload: '42["light"]' }));
  heavy.text('420["last"]');
  const order = JSON.parse((await heavy.next()).slice(3))[0];
  assert.deepEqual(
    order.filter((one) => one !== "light"),
    Array.from({ length: MESSAGES }, (_, number) => number),
  );
  const before = order.indexOf("light");
  assert.ok(before >= 0 && before <= 3, `it stood behind ${before} of ${MESSAGES}`);
});
