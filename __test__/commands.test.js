"use strict";

// What a batch of commands consists of where it crosses. That it is read as it was written is for `npm run fuzz -- operations`.

const test = require("node:test");
const assert = require("node:assert/strict");
const { Commands } = require("../lib/native/commands");
const { operations, words } = require("../lib/native/codes");

const { SEND, EXPIRE } = operations;
const { HAS_BUFFERS, NO_TEXT, NEVER } = words;

/** Commands for workers, the batches that have crossed, and which workers each was for. */
function gather(workers = 1) {
  const batches = [];
  const masks = [];
  const commands = new Commands(
    {
      submit: (list, length, places, text, buffers, mask) => {
        batches.push({ words: [...list.slice(0, length + places)], text, buffers });
        masks.push(mask);
      },
    },
    workers,
  );
  // whoever holds it flushes it
  commands.held = true;
  return { commands, batches, masks };
}

test("the places of buffers follow the operations, from the first batch on", () => {
  const { commands, batches } = gather();
  const [one, two] = [Buffer.from("one"), Buffer.from("two")];
  for (let round = 0; round < 2; round++) {
    commands.sendBuffer(1, one, 0);
    commands.sendBuffer(2, two, 0);
    commands.sendBuffer(3, one, 0);
    commands.flush();
  }
  const send = (id) => [SEND | HAS_BUFFERS, id, NO_TEXT, 1];
  const expected = { words: [...send(1), ...send(2), ...send(3), 0, 1, 0], text: "", buffers: [one, two] };
  assert.deepEqual(batches, [expected, expected]);
});

test("a time to be told of fits a word", () => {
  const { commands, batches } = gather();
  for (const time of [-5, 0, 12, 2 ** 40, Infinity]) commands.expire(7, time);
  commands.flush();
  const expire = (time) => [EXPIRE, 7, time];
  assert.deepEqual(batches[0].words, [0, 0, 12, NEVER - 1, NEVER].flatMap(expire));
});

test("only the workers wake up that a batch is for", () => {
  const { commands, masks } = gather(4);
  commands.sendBuffer(1, Buffer.from("one"), 0);
  commands.flush();
  commands.expire(2, 12);
  commands.sendBuffer(7, Buffer.from("three"), 0);
  commands.flush();
  commands.dropRoom(1);
  commands.flush();
  assert.deepEqual(masks, [0b0010, 0b1100, -1]);
});

test("a batch with much text crosses at once, before V8 has much to copy", () => {
  const { commands, batches } = gather();
  const text = "x".repeat(1000);
  for (let i = 0; i < 100; i++) commands.send(1, text, 0);
  assert.notEqual(batches.length, 0);
  commands.flush();
  const lengths = batches.map((batch) => batch.text.length);
  assert.ok(Math.max(...lengths) < 40_000, `${lengths}`);
  assert.equal(batches.map((batch) => batch.text).join(""), text.repeat(100));
  assert.deepEqual(
    batches.flatMap((batch) => batch.words),
    Array.from({ length: 100 }, () => [SEND, 1, text.length]).flat(),
  );
});
