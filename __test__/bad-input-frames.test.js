"use strict";

// WebSocket frames that break the protocol, and the close code that answers them.

const test = require("node:test");
const assert = require("node:assert/strict");
const {
  serve,
  fileScope,
  once,
  bystander,
  frame,
  closePayload,
  RawWebSocket,
  CONTINUATION,
  TEXT,
  BINARY,
  CLOSE,
  PING,
  PONG,
  isStock,
} = require("./support/harness");

const LIMIT = 1000;

const file = fileScope(test);
let server;
let stillServed;

test.before(async () => {
  server = await serve(file, { maxHttpBufferSize: LIMIT });
  stillServed = await bystander(server);
});

test.afterEach(() => stillServed());

/** Sends `bytes` on a fresh connection and asserts how it ends. */
async function assertClosed(bytes, code, on = server) {
  const { ws, log, disconnected } = await on.rawPair();
  ws.write(bytes);
  const [reason, description] = await disconnected;
  assert.equal(reason, "transport error");
  assert.ok(description instanceof Error);
  assert.deepEqual(log, ["disconnecting: transport error", "disconnect: transport error"]);
  const closed = await ws.closed();
  assert.deepEqual([closed.code, closed.reason], [code, ""]);
}

/** A text of several fragments. */
function fragments(...payloads) {
  return Buffer.concat(
    payloads.map((payload, i) =>
      frame({ opcode: i === 0 ? TEXT : CONTINUATION, payload, fin: i === payloads.length - 1 }),
    ),
  );
}

const INVALID_UTF8 = Buffer.from([0x34, 0xc3, 0x28]);

const ROWS = [
  // the header
  ["RSV1 without compression", frame({ payload: "6", rsv: 4 }), 1002],
  ["RSV2", frame({ payload: "6", rsv: 2 }), 1002],
  ["RSV3", frame({ payload: "6", rsv: 1 }), 1002],
  ["no mask", frame({ payload: "6", masked: false }), 1002],
  ["no mask on a ping", frame({ opcode: PING, masked: false }), 1002],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => [`opcode ${opcode}`, frame({ opcode }), 1002]),
  // fragments
  ["a continuation of nothing", frame({ opcode: CONTINUATION, payload: "6" }), 1002],
  [
    "a continuation after the end",
    Buffer.concat([fragments("6", "6"), frame({ opcode: CONTINUATION })]),
    1002,
  ],
  [
    "a text inside a text",
    Buffer.concat([frame({ payload: "6", fin: false }), frame({ payload: "6" })]),
    1002,
  ],
  [
    "a binary message inside a text",
    Buffer.concat([frame({ payload: "6", fin: false }), frame({ opcode: BINARY })]),
    1002,
  ],
  // control frames
  ["a ping of 126 bytes", frame({ opcode: PING, payload: "x".repeat(126) }), 1002],
  ["a pong of 126 bytes", frame({ opcode: PONG, payload: "x".repeat(126) }), 1002],
  [
    "a close frame of 126 bytes",
    frame({ opcode: CLOSE, payload: closePayload(1000, "x".repeat(124)) }),
    1002,
  ],
  ["a ping in fragments", frame({ opcode: PING, fin: false }), 1002],
  ["a close frame in fragments", frame({ opcode: CLOSE, fin: false }), 1002],
  ["a close frame of one byte", frame({ opcode: CLOSE, payload: "x" }), 1002],
  ...[0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535].map((code) => [
    `close code ${code}`,
    frame({ opcode: CLOSE, payload: closePayload(code) }),
    1002,
  ]),
  // UTF-8
  ["a text that is not UTF-8", frame({ payload: INVALID_UTF8 }), 1007],
  ["a text that ends inside a character", frame({ payload: Buffer.from([0x36, 0xe8, 0xaa]) }), 1007],
  ["an overlong encoding", frame({ payload: Buffer.from([0x36, 0xc0, 0x80]) }), 1007],
  ["a surrogate in UTF-8", frame({ payload: Buffer.from([0x36, 0xed, 0xa0, 0x80]) }), 1007],
  ["a code point over U+10FFFF", frame({ payload: Buffer.from([0x36, 0xf4, 0x90, 0x80, 0x80]) }), 1007],
  ["fragments that are not UTF-8", fragments("6", Buffer.from([0xc3]), Buffer.from([0x28])), 1007],
  [
    "a close reason that is not UTF-8",
    frame({
      opcode: CLOSE,
      payload: Buffer.concat([closePayload(1000), Buffer.from([0xff])]),
    }),
    1007,
  ],
  // sizes
  ["a text over the limit", frame({ payload: "6".repeat(LIMIT + 1) }), 1009],
  ["a binary message over the limit", frame({ opcode: BINARY, payload: "6".repeat(LIMIT + 1) }), 1009],
  ["fragments whose sum is over the limit", fragments("6".repeat(600), "6".repeat(401)), 1009],
  ["a header alone that claims one byte too much", header(LIMIT + 1), 1009],
  ["a header alone that claims 2^31 bytes", header(2n ** 31n), 1009],
  ["a header alone that claims 2^53 bytes", header(2n ** 53n), 1009],
  ["a header alone that claims 2^63 bytes", header(2n ** 63n), 1009],
  ["a header alone that claims 2^64 - 1 bytes", header(2n ** 64n - 1n), 1009],
];

/** The header of a frame without its mask and payload. */
function header(length) {
  const bytes = frame({ length });
  return bytes.subarray(0, bytes.length - 4);
}

for (const [name, bytes, code] of ROWS) {
  test(`${name}: ${code}`, () => assertClosed(bytes, code));
}

test("a message of many fragments: 1008 above 16,384", async (t) => {
  const large = await serve(t);
  const piece = (opcode, fin, payload) => frame({ opcode, fin, payload });
  for (const payload of ["6", ""]) {
    const middle = piece(CONTINUATION, false, payload);
    const bytes = Buffer.concat([piece(TEXT, false, "6"), ...Array(16_384).fill(middle)]);
    await assertClosed(bytes, 1008, large);
  }
  // 16,384 fragments are fine
  const { ws, conn } = await large.rawSession();
  const packet = once(conn, "packet");
  const middle = piece(CONTINUATION, false, "x");
  ws.write(
    Buffer.concat([piece(TEXT, false, "6"), ...Array(16_382).fill(middle), piece(CONTINUATION, true, "x")]),
  );
  assert.equal((await packet)[0].data.length, 16_383);
});

test("exactly the limit is accepted, as one frame and as fragments", async () => {
  const { ws, conn } = await server.rawSession();
  for (const bytes of [
    frame({ payload: `6${"x".repeat(LIMIT - 1)}` }),
    fragments("6", "x".repeat(500), "x".repeat(LIMIT - 501)),
  ]) {
    const packet = once(conn, "packet");
    ws.write(bytes);
    assert.equal((await packet)[0].data.length, LIMIT - 1);
  }
});

for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999]) {
  test(`close code ${code} is valid and echoed`, async () => {
    const { ws, disconnected } = await server.rawPair();
    ws.frame({ opcode: CLOSE, payload: closePayload(code, "é") });
    assert.equal((await disconnected)[0], "transport close");
    const closed = await ws.closed();
    assert.deepEqual([closed.code, closed.reason], [code, "é"]);
  });
}

test("an empty close frame is answered with an empty one", async () => {
  const { ws, disconnected } = await server.rawPair();
  ws.frame({ opcode: CLOSE });
  assert.equal((await disconnected)[0], "transport close");
  assert.deepEqual(await ws.closed(), { code: null, reason: "", end: "FIN" });
});

// ws looks at a text when it is complete
test("a text that cannot become UTF-8 any more is not waited for: 1007", { skip: isStock }, async () => {
  const piece = (payload, opcode = TEXT) => frame({ opcode, payload: Buffer.from(payload), fin: false });
  await assertClosed(piece(INVALID_UTF8), 1007);
  // a character may come in pieces, but not this one
  await assertClosed(Buffer.concat([piece([0x36, 0xe8]), piece([0xaa, 0x28], CONTINUATION)]), 1007);
  // the beginning of a frame
  const whole = frame({ payload: Buffer.concat([INVALID_UTF8, Buffer.alloc(100)]) });
  await assertClosed(whole.subarray(0, whole.length - 100), 1007);
});

for (const [name, last, code, skip] of [
  // ws reports it in another tick, before which the event is answered
  ["a violation", frame({ opcode: 3 }), 1002, isStock],
  ["a close frame", frame({ opcode: CLOSE, payload: closePayload(1000) }), 1000, false],
]) {
  test(`${name} that comes together with an event is answered before the event is`, { skip }, async () => {
    const { ws, socket, disconnected } = await server.rawPair();
    socket.on("ev", (answer) => answer("late"));
    ws.write(Buffer.concat([frame({ payload: '421["ev"]' }), last]));
    await disconnected;
    const closed = await ws.closed();
    assert.equal(closed.code, code);
    assert.deepEqual(ws.messages.slice(ws.taken), []);
  });
}

test("what follows a close frame is ignored", async () => {
  const { ws, socket, log, disconnected } = await server.rawPair();
  const seen = [];
  socket.on("ev", () => seen.push("ev"));
  ws.write(
    Buffer.concat([
      frame({ payload: '42["ev"]' }),
      frame({ opcode: CLOSE, payload: closePayload(1000) }),
      frame({ payload: '42["ev"]' }),
      frame({ opcode: 3 }),
    ]),
  );
  assert.equal((await disconnected)[0], "transport close");
  assert.deepEqual(log, ["disconnecting: transport close", "disconnect: transport close"]);
  assert.deepEqual(seen, ["ev"]);
  assert.equal((await ws.closed()).code, 1000);
});

test("messages before a broken frame in the same segment are delivered", async () => {
  const { ws, socket, disconnected } = await server.rawPair();
  const seen = [];
  socket.on("n", (n) => seen.push(n));
  ws.write(
    Buffer.concat([...[1, 2, 3].map((n) => frame({ payload: `42["n",${n}]` })), frame({ opcode: 3 })]),
  );
  assert.equal((await disconnected)[0], "transport error");
  assert.deepEqual(seen, [1, 2, 3]);
});

test("lengths in a longer form than needed are accepted", async () => {
  const { ws, conn } = await server.rawSession();
  for (const bytes of [
    Buffer.from([0x81, 0x80 | 126, 0, 1, 0, 0, 0, 0, 0x36]),
    Buffer.from([0x81, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0x36]),
  ]) {
    const packet = once(conn, "packet");
    ws.write(bytes);
    assert.deepEqual((await packet)[0].type, "noop");
  }
});

test("empty fragments, and pings between fragments, are fine", async () => {
  const { ws, socket } = await server.rawPair();
  const got = once(socket, "ev");
  ws.write(
    Buffer.concat([
      frame({ payload: "", fin: false }),
      frame({ opcode: CONTINUATION, payload: '42["e', fin: false }),
      frame({ opcode: PING, payload: "p" }),
      frame({ opcode: CONTINUATION, payload: "", fin: false }),
      frame({ opcode: PONG }),
      frame({ opcode: CONTINUATION, payload: 'v",1]' }),
    ]),
  );
  assert.deepEqual(await got, [1]);
});

test("the end of TCP inside a frame is a transport close", async () => {
  const { ws, disconnected } = await server.rawPair();
  ws.write(frame({ payload: '42["ev"]' }).subarray(0, 5));
  ws.socket.end();
  assert.equal((await disconnected)[0], "transport close");
});

test("a protocol error before CONNECT", async () => {
  const { ws, closed } = await server.rawSession();
  ws.frame({ opcode: 3 });
  assert.equal((await closed)[0], "transport error");
  assert.equal((await ws.closed()).code, 1002);
});

test("a protocol error during an upgrade leaves the polling session alone", async () => {
  const { polling, conn } = await server.pollingSession();
  const ws = await RawWebSocket.upgrade(server, { query: `EIO=4&transport=websocket&sid=${polling.sid}` });
  ws.frame({ opcode: 3 });
  assert.equal((await ws.closed()).code, 1002);
  conn.send("alive");
  assert.equal(await polling.next(), "4alive");
});
