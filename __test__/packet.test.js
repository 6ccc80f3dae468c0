"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const ours = require("../lib/api/packet");
const { requireStock } = require("./support/stock");

const stock = requireStock("socket.io-parser");

const { PacketType, Encoder, Decoder } = ours;
const { CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR } = PacketType;

/** Feeds messages to a decoder; returns the packets that came out, and the message of the error that ended it. */
function decode(messages, parser = ours) {
  const decoder = new parser.Decoder();
  const packets = [];
  decoder.on("decoded", (packet) => packets.push(packet));
  try {
    for (const message of messages) {
      decoder.add(message);
    }
  } catch (err) {
    return { packets, error: err.message };
  }
  return { packets };
}

function encode(packet) {
  return new Encoder().encode(packet);
}

function encodeText(packet) {
  const [text, ...attachments] = encode(packet);
  assert.equal(attachments.length, 0);
  return text;
}

const PAIRS = [
  ["a CONNECT", "0", { type: CONNECT, nsp: "/" }],
  ["a CONNECT with a payload", '0{"token":"x"}', { type: CONNECT, nsp: "/", data: { token: "x" } }],
  ["a CONNECT to a namespace", "0/admin,", { type: CONNECT, nsp: "/admin" }],
  ["a DISCONNECT", "1", { type: DISCONNECT, nsp: "/" }],
  ["a DISCONNECT from a namespace", "1/admin,", { type: DISCONNECT, nsp: "/admin" }],
  ["an event", '2["hello",1]', { type: EVENT, nsp: "/", data: ["hello", 1] }],
  ["an event in a namespace", '2/admin,["hello"]', { type: EVENT, nsp: "/admin", data: ["hello"] }],
  ["an event with an ack id", '212["hello"]', { type: EVENT, nsp: "/", id: 12, data: ["hello"] }],
  ["an ack id of 0", '20["hello"]', { type: EVENT, nsp: "/", id: 0, data: ["hello"] }],
  ["all of it", '2/admin,456["hello",{}]', { type: EVENT, nsp: "/admin", id: 456, data: ["hello", {}] }],
  ["an event with a number for a name", "2[1,2]", { type: EVENT, nsp: "/", data: [1, 2] }],
  ["an acknowledgement", "3/admin,7[]", { type: ACK, nsp: "/admin", id: 7, data: [] }],
  ["a refusal", '4{"message":"no"}', { type: CONNECT_ERROR, nsp: "/", data: { message: "no" } }],
  ["a refusal that is a string", '4"no"', { type: CONNECT_ERROR, nsp: "/", data: "no" }],
];

for (const [name, text, packet] of PAIRS) {
  test(`${name} is encoded`, () => {
    assert.equal(encodeText(packet), text);
  });
  test(`${name} is decoded`, () => {
    assert.deepEqual(decode([text]), { packets: [packet] });
  });
}

const LENIENCIES = [
  ["an event without anything", ["2"], { type: EVENT, nsp: "/" }],
  ["an event with only an ack id", ["21"], { type: EVENT, nsp: "/", id: 1 }],
  ["empty text", [""], { type: CONNECT, nsp: "/" }],
  ["a namespace without a comma", ["0/admin"], { type: CONNECT, nsp: "/admin" }],
  ["a blank for an ack id", ['2 ["a"]'], { type: EVENT, nsp: "/", id: 0, data: ["a"] }],
  ["a blank within an ack id", ['21 2["a"]'], { type: EVENT, nsp: "/", id: NaN, data: ["a"] }],
  ["zeros before an ack id", ['2007["a"]'], { type: EVENT, nsp: "/", id: 7, data: ["a"] }],
  [
    "an ack id beyond all integers",
    ['212345678901234567890["a"]'],
    { type: EVENT, nsp: "/", id: Number("12345678901234567890"), data: ["a"] },
  ],
  [
    "a number of attachments in another notation",
    ['51.0-["a"]', Buffer.of(1)],
    { type: EVENT, nsp: "/", data: ["a"] },
  ],
  [
    "a placeholder between two attachments",
    ['51-["a",{"_placeholder":true,"num":0.5}]', Buffer.of(1)],
    { type: EVENT, nsp: "/", data: ["a", undefined] },
  ],
  ["attachments that nobody refers to", ["51-", Buffer.of(1)], { type: EVENT, nsp: "/", data: undefined }],
];

for (const [name, messages, packet] of LENIENCIES) {
  test(`${name} is let through`, () => {
    assert.deepEqual(decode(messages), { packets: [packet] });
  });
}

const REFUSALS = [
  ["7", "unknown packet type 7"],
  ["x", "unknown packet type NaN"],
  ["2{}", "invalid payload"],
  ["2[]", "invalid payload"],
  ["2[null]", "invalid payload"],
  ['2["a"', "invalid payload"],
  ['2["a"]x', "invalid payload"],
  ['2"a"', "invalid payload"],
  ["2-1[]", "invalid payload"],
  ["0[]", "invalid payload"],
  ["0null", "invalid payload"],
  ["1{}", "invalid payload"],
  ["31{}", "invalid payload"],
  ['4{"message":1', "invalid payload"],
  ["4false", "invalid payload"],
  ["5", "Illegal attachments"],
  ["51", "Illegal attachments"],
  ["5-", "Illegal attachments"],
  ["50-", "Illegal attachments"],
  ["5-1-", "Illegal attachments"],
  ["51.5-", "Illegal attachments"],
  ["5x-", "Illegal attachments"],
  ['511-["a"]', "too many attachments"],
];

for (const [text, error] of REFUSALS) {
  test(`${text} is refused: ${error}`, () => {
    assert.deepEqual(decode([text]), { packets: [], error });
  });
}

for (const name of ours.RESERVED_EVENTS) {
  test(`an event named ${name} is refused`, () => {
    assert.deepEqual(decode([`2["${name}"]`]), { packets: [], error: "invalid payload" });
  });
}

test("an event with more arguments than fit on the stack is refused", () => {
  const few = `2["a"${",1".repeat(10_000)}]`;
  const many = `2["a"${",1".repeat(100_000)}]`;
  assert.equal(decode([few]).packets.length, 1);
  assert.deepEqual(decode([many]), { packets: [], error: "invalid payload" });
});

test("attachments are taken out, in the order in which they are met", () => {
  const bytes = Buffer.of(1);
  const array = new Uint16Array([2]);
  const { buffer } = new Uint8Array([3]);
  const data = ["a", bytes, { deep: [array, { deeper: buffer }], date: new Date(0) }];
  assert.deepEqual(encode({ type: EVENT, nsp: "/", id: 1, data }), [
    '53-1["a",{"_placeholder":true,"num":0},' +
      '{"deep":[{"_placeholder":true,"num":1},{"deeper":{"_placeholder":true,"num":2}}],' +
      '"date":"1970-01-01T00:00:00.000Z"}]',
    bytes,
    array,
    buffer,
  ]);
  assert.equal(data[1], bytes, "the data is left as it was");
});

test("acknowledgements may have attachments", () => {
  const [text, attachment] = encode({ type: ACK, nsp: "/admin", id: 5, data: [Buffer.of(1)] });
  assert.equal(text, '61-/admin,5[{"_placeholder":true,"num":0}]');
  assert.deepEqual(attachment, Buffer.of(1));
});

test("a packet whose attachments somebody else has taken out says how many there are", () => {
  for (const type of [PacketType.BINARY_EVENT, PacketType.BINARY_ACK]) {
    const packet = { type, nsp: "/", id: 7, attachments: 2, data: ["a", { _placeholder: true, num: 1 }] };
    const expected = new stock.Encoder().encode({ ...packet });
    assert.deepEqual(encode(packet), expected);
    assert.equal(expected[0].slice(0, 4), `${type}2-7`);
  }
});

test("attachments are put back", () => {
  const text = '52-["a",{"_placeholder":true,"num":1},{"b":[{"_placeholder":true,"num":0}]}]';
  assert.deepEqual(decode([text, Buffer.of(1), Buffer.of(2)]), {
    packets: [{ type: EVENT, nsp: "/", data: ["a", Buffer.of(2), { b: [Buffer.of(1)] }] }],
  });
});

for (const num of ["1", "-1", '"0"', "null"]) {
  test(`a placeholder for attachment ${num} of one is refused`, () => {
    const text = `51-["a",{"_placeholder":true,"num":${num}}]`;
    assert.equal(decode([text, Buffer.of(1)]).error, "illegal attachments");
  });
}

test("ten attachments are allowed", () => {
  const data = ["a", ...Array.from({ length: 10 }, (_, i) => Buffer.of(i))];
  const packet = { type: EVENT, nsp: "/", data };
  assert.deepEqual(decode(encode(packet)), { packets: [packet] });
});

test("messages out of place are refused", () => {
  const pending = '52-["a",{"_placeholder":true,"num":0}]';
  assert.equal(decode([Buffer.of(1)]).error, "got binary data when not reconstructing a packet");
  assert.equal(decode([pending, '2["a"]']).error, "got plaintext data when reconstructing a packet");
  assert.equal(decode([pending, Buffer.of(1), "2"]).error, "got plaintext data when reconstructing a packet");
  assert.equal(decode([5]).error, "Unknown type: 5");
  assert.match(decode([undefined]).error, /undefined/);
});

test("a decoder that was destroyed waits for no attachments", () => {
  const decoder = new Decoder();
  const packets = [];
  decoder.on("decoded", (packet) => packets.push(packet));
  decoder.add('51-["a"]');
  decoder.destroy();
  decoder.add('2["b"]');
  assert.deepEqual(packets, [{ type: EVENT, nsp: "/", data: ["b"] }]);
});

test("a decoder takes a reviver and a number of attachments", () => {
  const packets = [];
  const decoder = new Decoder((key, value) => (value === 1 ? "one" : value));
  decoder.on("decoded", (packet) => packets.push(packet.data));
  decoder.add('2["a",1]');
  assert.deepEqual(packets, [["a", "one"]]);
  assert.throws(() => new Decoder({ maxAttachments: 1 }).add('52-["a"]'), /too many attachments/);
});

test("an encoder takes a replacer", () => {
  const encoder = new Encoder((key, value) => (value === 1 ? "one" : value));
  assert.deepEqual(encoder.encode({ type: EVENT, nsp: "/", data: ["a", 1] }), ['2["a","one"]']);
});

test("toJSON is honoured, also where it yields binary data", () => {
  const plain = { toJSON: () => ({ x: 1 }) };
  const binary = { toJSON: () => ({ bytes: Buffer.of(1) }) };
  assert.equal(encodeText({ type: EVENT, nsp: "/", data: ["a", plain] }), '2["a",{"x":1}]');
  assert.deepEqual(encode({ type: EVENT, nsp: "/", data: ["a", binary] }), [
    '51-["a",{"bytes":{"_placeholder":true,"num":0}}]',
    Buffer.of(1),
  ]);
});

test("keys that mean something to JavaScript stay ordinary keys", () => {
  const { packets } = decode(['2["a",{"__proto__":{"x":1},"constructor":2}]']);
  assert.deepEqual(Object.keys(packets[0].data[1]), ["__proto__", "constructor"]);
  assert.equal({}.x, undefined);
});

const VALUES = [
  ["plain", "a", 1],
  [],
  [""],
  ["é € 🎉"],
  ['"quoted" \\ \n \u0000 \u2028 \ufeff'],
  ["\ud800", "\udfff\ud800", "a\udc00b"],
  [0, -0, 1.5, -1e21, 1e-7, Number.MAX_SAFE_INTEGER],
  [NaN, Infinity, null, undefined, true, false],
  [() => {}, Symbol("s")],
  [Object("boxed"), Object(1), new Date(0), new Map([[1, 2]]), /x/],
  [Object.create({ inherited: Buffer.of(1) })],
  [Object.assign(Object.create(null), { own: 1 })],
  [[[]], [{}], { a: { b: [] } }],
  [{ toJSON: () => undefined }, { toJSON: 5 }],
];

for (const values of VALUES) {
  test(`values are encoded as JSON.stringify does: ${JSON.stringify(values)}`, () => {
    assert.equal(encodeText({ type: EVENT, nsp: "/", data: values }), "2" + JSON.stringify(values));
  });
}

test("what JSON cannot say is an error", () => {
  assert.throws(() => encode({ type: EVENT, nsp: "/", data: ["a", 1n] }), TypeError);
});

/** Numbers that look random, and are the same every time. */
function* pseudoRandom(seed) {
  for (;;) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    yield seed / 2 ** 32;
  }
}

test("mutilated packets are answered as by socket.io-parser", () => {
  const random = pseudoRandom(1);
  const next = (n) => Math.floor(random.next().value * n);
  const characters = '0123456789-/,[]{}"\\ \n.axe_\u00a0\ud83d';
  const whole = [
    '2["a",1]',
    '2/ns,12["a",{"b":null}]',
    '52-/ns,3["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
    '61-7[{"_placeholder":true,"num":0}]',
    '0/ns?x=1,{"a":1}',
    '4{"message":"m"}',
    "1/ns,",
  ];
  for (let round = 0; round < 20_000; round++) {
    let text = whole[next(whole.length)];
    for (let changes = 1 + next(3); changes > 0; changes--) {
      const at = next(text.length + 1);
      const character = characters[next(characters.length)];
      text = text.slice(0, at) + (next(3) ? character : "") + text.slice(at + next(3));
    }
    const messages = [text, Buffer.of(1), Buffer.of(2)].slice(0, 1 + next(3));
    assert.deepEqual(decode(messages), decode(messages, stock), JSON.stringify(messages));
  }
});
