"use strict";

// WebSocket frames, valid and not, and what answers them.

const {
  frame,
  closePayload,
  CONTINUATION,
  TEXT,
  BINARY,
  CLOSE,
  PING,
  PONG,
} = require("../support/raw-websocket");

const LIMIT = 1000;

const fragments = (...payloads) =>
  Buffer.concat(
    payloads.map((payload, i) =>
      frame({ opcode: i === 0 ? TEXT : CONTINUATION, payload, fin: i === payloads.length - 1 }),
    ),
  );

/** The header of a frame, without the key of its mask. */
const header = (length) => frame({ length }).subarray(0, -4);

const close = (code, reason) => frame({ opcode: CLOSE, payload: closePayload(code, reason) });

const ENDING = [
  ["RSV1 without compression", frame({ payload: "6", rsv: 4 })],
  ["RSV2", frame({ payload: "6", rsv: 2 })],
  ["RSV3", frame({ payload: "6", rsv: 1 })],
  ["RSV1 on a ping", frame({ opcode: PING, rsv: 4 })],
  ["no mask", frame({ payload: "6", masked: false })],
  ["no mask on a ping", frame({ opcode: PING, masked: false })],
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => [`opcode ${opcode}`, frame({ opcode })]),
  ["a continuation of nothing", frame({ opcode: CONTINUATION, payload: "6" })],
  ["a continuation after the end", Buffer.concat([fragments("6", "6"), frame({ opcode: CONTINUATION })])],
  ["a text inside a text", Buffer.concat([frame({ payload: "6", fin: false }), frame({ payload: "6" })])],
  ["binary inside a text", Buffer.concat([frame({ payload: "6", fin: false }), frame({ opcode: BINARY })])],
  ["a ping of 126 bytes", frame({ opcode: PING, payload: "x".repeat(126) })],
  ["a pong of 126 bytes", frame({ opcode: PONG, payload: "x".repeat(126) })],
  ["a close frame of 126 bytes", close(1000, "x".repeat(124))],
  ["a ping in fragments", frame({ opcode: PING, fin: false })],
  ["a close frame in fragments", frame({ opcode: CLOSE, fin: false })],
  ["a close frame of one byte", frame({ opcode: CLOSE, payload: "x" })],
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535].map((code) => [
    `close code ${code}`,
    close(code),
  ]),
  ...[1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999].map((code) => [
    `close code ${code}`,
    close(code, "why"),
  ]),
  ["an empty close frame", frame({ opcode: CLOSE })],
  ["a close reason in other letters", close(1000, "прощай")],
  ["what follows a close frame", Buffer.concat([close(1000), frame({ payload: '42["late"]' })])],
  ["a text that is not UTF-8", frame({ payload: Buffer.from([0x34, 0xc3, 0x28]) })],
  ["a text that ends inside a character", frame({ payload: Buffer.from([0x36, 0xe8, 0xaa]) })],
  ["an overlong encoding", frame({ payload: Buffer.from([0x36, 0xc0, 0x80]) })],
  ["a surrogate in UTF-8", frame({ payload: Buffer.from([0x36, 0xed, 0xa0, 0x80]) })],
  ["a code point over U+10FFFF", frame({ payload: Buffer.from([0x36, 0xf4, 0x90, 0x80, 0x80]) })],
  ["fragments that are not UTF-8", fragments("6", Buffer.from([0xc3]), Buffer.from([0x28]))],
  [
    "a close reason that is not UTF-8",
    frame({ opcode: CLOSE, payload: Buffer.concat([closePayload(1000), Buffer.from([0xff])]) }),
  ],
  ["a text over the limit", frame({ payload: "6".repeat(LIMIT + 1) })],
  ["binary data over the limit", frame({ opcode: BINARY, payload: "6".repeat(LIMIT + 1) })],
  ["fragments whose sum is over the limit", fragments("6".repeat(600), "6".repeat(401))],
  ["a header that claims one byte too much", header(LIMIT + 1)],
  ["a header that claims 2^31 bytes", header(2n ** 31n)],
  ["a header that claims 2^53 bytes", header(2n ** 53n)],
  ["a header that claims 2^63 bytes", header(2n ** 63n)],
  ["a header that claims 2^64 - 1 bytes", header(2n ** 64n - 1n)],
  ...["", "x"].map((payload) => [
    `16,385 fragments of ${payload.length} bytes`,
    Buffer.concat([
      frame({ payload: "6", fin: false }),
      ...Array(16_384).fill(frame({ opcode: CONTINUATION, payload, fin: false })),
    ]),
    { maxHttpBufferSize: 1e6 },
  ]),
  [
    "events before a broken frame",
    Buffer.concat([1, 2, 3].map((n) => frame({ payload: `42["n",${n}]` })).concat(frame({ opcode: 3 }))),
  ],
];

const HARMLESS = [
  ["a ping", frame({ opcode: PING, payload: "hello" })],
  ["an empty ping", frame({ opcode: PING })],
  ["a ping of 125 bytes", frame({ opcode: PING, payload: "x".repeat(125) })],
  ["a pong that nobody asked for", frame({ opcode: PONG, payload: "x" })],
  ["a length of 16 bits without need", Buffer.from([0x81, 0x80 | 126, 0, 1, 0, 0, 0, 0, 0x36])],
  ["a length of 64 bits without need", Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0x36])],
  ["exactly the limit", frame({ payload: `6${"x".repeat(LIMIT - 1)}` })],
  ["exactly the limit in fragments", fragments("6".repeat(400), "6".repeat(600))],
  [
    "empty fragments, and pings between fragments",
    Buffer.concat([
      frame({ payload: "", fin: false }),
      frame({ opcode: CONTINUATION, payload: '42["e', fin: false }),
      frame({ opcode: PING, payload: "p" }),
      frame({ opcode: CONTINUATION, payload: "", fin: false }),
      frame({ opcode: PONG }),
      frame({ opcode: CONTINUATION, payload: 'v",1]' }),
    ]),
  ],
  [
    "a character split over fragments",
    fragments('42["ev","', Buffer.from([0xe8, 0xaa]), Buffer.from([0x9e]), '"]'),
  ],
  ["many small messages at once", Buffer.concat(Array(100).fill(frame({ payload: '42["ev"]' })))],
];

module.exports = [
  ...ENDING.map(([name, bytes, options]) => ({
    name,
    options: { maxHttpBufferSize: LIMIT, ...options },
    async run(stage) {
      stage.watchSockets();
      const ws = await stage.join("client");
      stage.watch("conn", stage.io.engine.clients[ws.sid], "packet", "close");
      ws.write(bytes);
      await stage.until("conn", "close");
      await ws.closed();
    },
  })),
  ...HARMLESS.map(([name, bytes]) => ({
    name: `harmless: ${name}`,
    options: { maxHttpBufferSize: LIMIT },
    async run(stage) {
      stage.watchSockets();
      const ws = await stage.join("client");
      stage.watch("conn", stage.io.engine.clients[ws.sid], "packet", "close");
      ws.write(bytes);
      ws.text('42["last"]');
      await stage.until("server", "event last");
      await ws.settled();
    },
  })),
  {
    name: "one byte at a time",
    async run(stage) {
      stage.watchSockets();
      const ws = await stage.join("client");
      for (const byte of Buffer.concat([frame({ payload: '42["slow",1]' }), close(1000)])) {
        await new Promise((resolve) => ws.socket.write(Buffer.from([byte]), resolve));
      }
      await stage.until("server", "disconnect ");
      await ws.closed();
    },
  },
  {
    name: "the end of TCP inside a frame",
    async run(stage) {
      stage.watchSockets();
      const ws = await stage.join("client");
      ws.write(frame({ payload: '42["ev"]' }).subarray(0, 5));
      ws.socket.end();
      await stage.until("server", "disconnect ");
    },
  },
  {
    name: "the end of TCP without a close frame",
    async run(stage) {
      stage.watchSockets();
      const ws = await stage.join("client");
      ws.socket.end();
      await stage.until("server", "disconnect ");
    },
  },
  {
    name: "a reset",
    async run(stage) {
      stage.watchSockets();
      const ws = await stage.join("client");
      ws.reset();
      await stage.until("server", "disconnect ");
    },
  },
  {
    name: "a broken frame before CONNECT",
    async run(stage) {
      const ws = await stage.ws("client");
      stage.watch("conn", stage.io.engine.clients[ws.sid], "error", "close");
      ws.frame({ opcode: 3 });
      await stage.until("conn", "close");
      await ws.closed();
    },
  },
  ...[125, 126, 65_535, 65_536].map((length) => ({
    name: `a message of ${length} bytes from the server`,
    async run(stage) {
      const ws = await stage.join("client");
      const text = "x".repeat(length - '42[""]'.length);
      stage.io.emit(text);
      await ws.count(3);
    },
  })),
];
