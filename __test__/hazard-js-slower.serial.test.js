"use strict";

// JavaScript falls behind what clients send: memory stays bounded, and nothing is lost.

const test = require("node:test");
const assert = require("node:assert/strict");
const { RawWebSocket, frame, within } = require("./support/harness");
const { startChild } = require("./support/child");

const MB = 1024 * 1024;
const BLOCKED_MS = 10_000;
const CLIENTS = 1000;
const MESSAGES = 300;
const SIZE = 1000;

/** All that the clients send is about 300 MB; a server that took it in would be larger than this. */
const MAX_GROWTH = 120 * MB;

async function server({ sio, listen, send, block, inbox }) {
  const httpServer = await listen();
  const io = new sio.Server(httpServer);
  let total = 0;
  let outOfOrder = 0;
  io.on("connection", (socket) => {
    let expected = 0;
    socket.on("n", (n) => {
      if (n !== expected++) {
        outOfOrder++;
      }
      total++;
    });
    socket.on("last", (ack) => ack(expected));
  });
  inbox.on("block", ({ ms }) => {
    send("blocking");
    // the message above has to leave first
    setImmediate(() => {
      block(ms);
      send("unblocked", { total });
    });
  });
  inbox.on("result", () => send("result", { total, outOfOrder }));
  send("listening", { port: httpServer.address().port });
}

/** Many clients in a process of their own, which write as fast as the server takes it. */
async function flood(ws, messages, size) {
  const filler = "x".repeat(size);
  for (let n = 0; n < messages;) {
    const batch = [];
    for (let i = 0; i < 50 && n < messages; i++, n++) {
      batch.push(frame({ payload: `42["n",${n},"${filler}"]` }));
    }
    if (!ws.socket.write(Buffer.concat(batch))) {
      await new Promise((resolve) => ws.socket.once("drain", resolve));
    }
  }
  ws.text('420["last"]');
}

test("a blocked event loop under a flood: bounded memory, nothing lost, order kept", async (t) => {
  const child = startChild(t, server);
  const { port } = await child.message("listening");
  const target = { port, secure: false, keep: (ws) => (t.after(() => ws.destroy()), ws) };
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => RawWebSocket.connect(target)));
  const before = child.residentMemory();
  let peak = before;
  const sampler = setInterval(() => (peak = Math.max(peak, child.residentMemory())), 20);
  t.after(() => clearInterval(sampler));
  child.send("block", { ms: BLOCKED_MS });
  await child.message("blocking");
  const floods = clients.map((ws) => flood(ws, MESSAGES, SIZE));
  const { total } = await child.message("unblocked", 2 * BLOCKED_MS);
  const whileBlocked = peak - before;
  assert.ok(total < CLIENTS * MESSAGES, "the flood outlasted the blockade");
  assert.ok(whileBlocked < MAX_GROWTH, `${Math.round(whileBlocked / MB)} MB more while blocked`);
  await within(Promise.all(floods), "all is written", 20_000);
  const answers = await within(Promise.all(clients.map((ws) => ws.next(20_000))), "all is answered", 20_000);
  assert.deepEqual(
    answers,
    clients.map(() => `430[${MESSAGES}]`),
  );
  const { total: received, outOfOrder } = await child.ask("result");
  assert.deepEqual([received, outOfOrder], [CLIENTS * MESSAGES, 0]);
  clearInterval(sampler);
  const growth = peak - before;
  assert.ok(growth < MAX_GROWTH, `${Math.round(growth / MB)} MB more at the peak`);
});
