"use strict";

// The numbers by which JavaScript and the native workers name connections, streams and rooms. They are used again, and
// whoever gets one must get nothing that was meant for an earlier holder.

const test = require("node:test");
const assert = require("node:assert/strict");
const v8 = require("node:v8");
const vm = require("node:vm");
const { serve, isStock, eventually, once, RawWebSocket } = require("./support/harness");

const OURS = { skip: isStock && "about the inside of this package" };

v8.setFlagsFromString("--expose-gc");
const collectGarbage = vm.runInNewContext("gc");

const LAST = '42["last"';

/** What a client has been sent since it connected, up to a last message. */
async function heardBy({ ws, socket }) {
  socket.emit("last");
  const heard = [];
  for (;;) {
    const message = await ws.next();
    if (message.startsWith(LAST)) return heard;
    heard.push(message);
  }
}

test("what a batch has for nobody any more is passed over", OURS, () => {
  const { Batch, drain } = require("../lib/native/events");
  const { events, words } = require("../lib/native/codes");
  const heard = [];
  const text = '2["late"]2["in time"]';
  const list = [
    ...[events.PACKET | (2 << 8), 1, words.NO_ID, 9, 1],
    ...[events.PACKET | (2 << 8), 2, words.NO_ID, 12, 1],
  ];
  const batches = [
    [list, text],
    [[], ""],
  ];
  const native = {
    drain(bytes) {
      const [next, itsText] = batches.shift();
      const target = new Uint32Array(bytes.buffer);
      target.set([next.length, 0, 0]);
      target.set(next, words.DRAIN_HEAD);
      return itsText;
    },
  };
  const conn = { _onPacket: (all, start, end) => heard.push(all.slice(start, end)) };
  const conns = new Map([[2, conn]]);
  drain({ native, conns, batch: new Batch(), commands: { flush() {} } });
  assert.deepEqual(heard, ['2["in time"]']);
});

/** A client that recovers a lost session. */
async function recover(server, pid, offset) {
  const ws = await RawWebSocket.open(server);
  ws.text(`40${JSON.stringify({ pid, offset })}`);
  const { sid } = JSON.parse((await ws.next()).slice(2));
  return { ws, sid };
}

async function leave(server, ws) {
  const conn = server.io.engine.clients[ws.sid];
  const closed = once(conn, "close");
  ws.reset();
  await closed;
}

test("a client that comes after two that recovered the same session hears nothing of their room", async (t) => {
  const server = await serve(t, { workers: 1, connectionStateRecovery: {} });
  const { io } = server;
  const members = await Promise.all(Array.from({ length: 9 }, () => server.rawPair()));
  for (const { socket } of members) socket.join("team");
  const lost = await server.rawPair();
  lost.socket.join("team");
  io.to("team").emit("first");
  const [, offset] = JSON.parse((await lost.ws.next()).slice(2));
  const { pid } = JSON.parse(lost.ws.messages[1].slice(2));
  await leave(server, lost.ws);

  const [first, second] = [await recover(server, pid, offset), await recover(server, pid, offset)];
  assert.deepEqual([first.sid, second.sid], [lost.ws.id, lost.ws.id]);
  io.to("team").emit("second");
  await leave(server, first.ws);
  await leave(server, second.ws);
  await eventually(() => io.engine.clientsCount === members.length, "the members are left");

  const strangers = await Promise.all(Array.from({ length: 5 }, () => server.rawPair()));
  io.to("team").emit("private");
  for (const stranger of strangers) assert.deepEqual(await heardBy(stranger), []);
});

test("numbers are handed out in lanes, used again late, and never name an earlier holder", OURS, () => {
  const { Slots, workerOf } = require("../lib/native/slots");
  const slots = new Slots(3);
  const names = ["a", "b", "c", "d"];
  const ids = names.map((name) => slots.add(name));
  assert.equal(new Set(ids).size, names.length);
  assert.deepEqual(new Set(ids.map((id) => workerOf(id, 3))), new Set([0, 1, 2]));
  const beside = slots.add("e", ids[1]);
  assert.equal(workerOf(beside, 3), workerOf(ids[1], 3));
  assert.deepEqual(
    ids.map((id) => slots.get(id)),
    names,
  );

  slots.remove(ids[1]);
  slots.remove(beside);
  slots.remove(beside);
  assert.equal(slots.size, 3);
  const [first, second] = [slots.add("f", ids[1]), slots.add("g", ids[1])];
  assert.deepEqual([slots.get(ids[1]), slots.get(beside)], [undefined, undefined]);
  assert.deepEqual([slots.get(first), slots.get(second)], ["f", "g"]);
  // the slot that was given up first is used first
  const mask = 2 ** 21 - 1;
  assert.deepEqual([first & mask, second & mask], [ids[1] & mask, beside & mask]);
  slots.replace(first, "h");
  slots.replace(ids[1], "i");
  assert.deepEqual([slots.get(first), slots.get(ids[1])], ["h", undefined]);
});

test("however many rooms there have been, their numbers do not become those of connections", OURS, () => {
  const { Slots } = require("../lib/native/slots");
  const slots = new Slots(1);
  const recent = [];
  for (let i = 0; i < 100_000; i++) {
    const id = slots.add(i);
    assert.ok(id >= 0 && id < 2 ** 31, `${id}`);
    assert.ok(!recent.includes(id), `${id} is used again at once`);
    recent.push(id);
    if (recent.length > 20) slots.remove(recent.shift());
  }
  assert.ok(slots.items.length <= 22);
});

test("what was handed out long ago takes no memory", OURS, () => {
  const { Slots } = require("../lib/native/slots");
  const slots = new Slots(1);
  const give = (times) => {
    for (let i = 0; i < times; i++) slots.remove(slots.add(i));
  };
  // the first ones have the code compiled, which stays
  give(100_000);
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  give(2_000_000);
  collectGarbage();
  const kept = process.memoryUsage().heapUsed - before;
  assert.ok(kept < 1_000_000, `${kept} bytes`);
  // it is in use
  assert.equal(slots.get(slots.add("last")), "last");
});

test("when all numbers are taken, that is said", OURS, () => {
  const { Slots } = require("../lib/native/slots");
  const slots = new Slots(2);
  for (let i = 0; i < 2 ** 21; i++) slots.add(i);
  assert.throws(() => slots.add("one more"), {
    name: "RangeError",
    message: /cannot have more than 2097152/,
  });
  slots.remove(4);
  assert.equal(slots.get(slots.add("instead", 4)), "instead");
});

test("rooms that come and go reach their own members only", async (t) => {
  const server = await serve(t);
  const { io } = server;
  const members = await Promise.all(Array.from({ length: 9 }, () => server.rawPair()));
  const bystander = await server.rawPair();
  for (let round = 0; round < 3000; round++) {
    const room = `room ${round}`;
    for (const { socket } of members) socket.join(room);
    io.to(room).emit("ev", round);
    for (const { socket } of members) socket.leave(room);
  }
  assert.deepEqual(await heardBy(bystander), []);
  const expected = Array.from({ length: 3000 }, (_, round) => `42["ev",${round}]`);
  for (const member of members) assert.deepEqual(await heardBy(member), expected);
});
