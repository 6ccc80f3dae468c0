"use strict";

// Frames that break the rules, and what becomes of who sends them.

const {
  CLOSE,
  CONTINUATION,
  BINARY,
  PING,
  PONG,
  TEXT,
  closePayload,
  frame,
} = require("../../support/raw-websocket");
const { frames, fragmented } = require("../../support/ws-stage");

const close = (code, reason) => frame({ opcode: CLOSE, payload: closePayload(code, reason) });
const text = (...bytes) => frame({ payload: Buffer.from(bytes) });

/** The head of a frame with a length of 64 bits. */
const huge = (high, low) => {
  const header = Buffer.alloc(14);
  header[0] = 0x82;
  header[1] = 0xff;
  header.writeUInt32BE(high, 2);
  header.writeUInt32BE(low, 6);
  return header;
};

/** What breaks a rule, and maybe the options of the server. */
const VIOLATIONS = {
  "RSV1 without compression": [frame({ rsv: 4, payload: "x" })],
  RSV2: [frame({ rsv: 2, payload: "x" })],
  RSV3: [frame({ rsv: 1, payload: "x" })],
  "all RSV bits": [frame({ rsv: 7, payload: "x" })],
  "RSV1 on a ping": [frame({ opcode: PING, rsv: 4 })],
  "RSV2 on a close frame": [frame({ opcode: CLOSE, rsv: 2 })],
  ...Object.fromEntries(
    [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => [
      `opcode ${opcode}`,
      [frame({ opcode, payload: "x" })],
    ]),
  ),
  "a text without a mask": [frame({ payload: "x", masked: false })],
  "an empty text without a mask": [frame({ masked: false })],
  "a ping without a mask": [frame({ opcode: PING, masked: false })],
  "a close frame without a mask": [frame({ opcode: CLOSE, masked: false })],
  "a large text without a mask": [frame({ payload: "x".repeat(1000), masked: false })],
  "a ping in fragments": [frame({ opcode: PING, fin: false })],
  "a pong in fragments": [frame({ opcode: PONG, fin: false })],
  "a close frame in fragments": [frame({ opcode: CLOSE, fin: false })],
  "a ping of 126 bytes": [frame({ opcode: PING, payload: "x".repeat(126) })],
  "a pong of 126 bytes": [frame({ opcode: PONG, payload: "x".repeat(126) })],
  "a ping of 70,000 bytes": [frame({ opcode: PING, payload: "x".repeat(70_000) })],
  "a close frame of 126 bytes": [close(1000, "x".repeat(124))],
  "a close frame of one byte": [frame({ opcode: CLOSE, payload: "x" })],
  "a continuation of nothing": [frame({ opcode: CONTINUATION, payload: "x" })],
  "a last continuation of nothing": [frame({ opcode: CONTINUATION, fin: false })],
  "a continuation after the end": [
    Buffer.concat([fragmented(TEXT, ["a", "b"]), frame({ opcode: CONTINUATION, payload: "c" })]),
  ],
  "a text inside a text": [frames({ payload: "a", fin: false }, { payload: "b" })],
  "bytes inside a text": [frames({ payload: "a", fin: false }, { opcode: BINARY, payload: "b" })],
  "bytes inside of bytes": [frames({ opcode: BINARY, fin: false }, { opcode: BINARY, fin: false })],
  "RSV1 on a continuation": [frames({ payload: "a", fin: false }, { opcode: CONTINUATION, rsv: 4 })],
  "a text that isn't UTF-8": [text(0xc3, 0x28)],
  "a text with a lone continuation": [text(0x61, 0x80)],
  "a text with a surrogate": [text(0xed, 0xa0, 0x80)],
  "a text with a letter too large": [text(0xf4, 0x90, 0x80, 0x80)],
  "a text with an overlong letter": [text(0xc0, 0xaf)],
  "a text that ends inside of a letter": [text(0xe6, 0x96)],
  "a long text that isn't UTF-8": [
    frame({ payload: Buffer.concat([Buffer.alloc(5000, "x"), Buffer.from([0xff])]) }),
  ],
  "a text in fragments that isn't UTF-8": [fragmented(TEXT, ["ok", Buffer.from([0xff]), "ok"])],
  "a text of half letters that never meet": [
    fragmented(TEXT, [Buffer.from([0xe6]), "x", Buffer.from([0x96, 0x87])]),
  ],
  "a close reason that isn't UTF-8": [close(1000, Buffer.from([0xc3, 0x28]))],
  ...Object.fromEntries(
    [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535].map((code) => [
      `close code ${code}`,
      [close(code)],
    ]),
  ),
  "close code 1005 with a reason": [close(1005, "why")],
  "a length of 2^63": [huge(0x80000000, 0)],
  "a length of 2^53": [huge(0x200000, 0)],
  "a length of 2^53 - 1": [huge(0x1fffff, 0xffffffff)],
  "a length of 2^32": [huge(1, 0)],
  "a length beyond the usual maxPayload": [huge(0, 100 * 1024 * 1024 + 1)],
  "a message over maxPayload": [frame({ payload: "x".repeat(11) }), { maxPayload: 10 }],
  "only the head of a message over maxPayload": [frame({ length: 1000 }), { maxPayload: 999 }],
  "fragments over maxPayload": [fragmented(TEXT, ["12345", "67890", "1"]), { maxPayload: 10 }],
  "a fragment over maxPayload": [fragmented(BINARY, ["12345678901", "1"]), { maxPayload: 10 }],
  "fragments over maxFragments": [fragmented(TEXT, ["1", "2", "3", "4"]), { maxFragments: 3 }],
  "empty fragments over maxFragments": [fragmented(TEXT, ["", "", "", ""]), { maxFragments: 3 }],
  "a violation behind messages": [
    frames(
      { payload: "one" },
      { opcode: PING, payload: "two" },
      { payload: "x", rsv: 2 },
      { payload: "late" },
    ),
  ],
  "two violations": [frames({ opcode: 3 }, { rsv: 2 })],
  "a violation and a goodbye": [frames({ opcode: 3 }, { opcode: CLOSE, payload: closePayload(1000) })],
  garbage: [Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n")],
};

/** What is not forbidden. */
const ALLOWED = {
  "a message of maxPayload": [frame({ payload: "x".repeat(10) }), { maxPayload: 10 }],
  "fragments of maxPayload": [fragmented(TEXT, ["12345", "67890"]), { maxPayload: 10 }],
  "two messages of maxPayload": [
    frames({ payload: "x".repeat(10) }, { payload: "y".repeat(10) }),
    { maxPayload: 10 },
  ],
  "a ping of more than maxPayload": [frame({ opcode: PING, payload: "x".repeat(20) }), { maxPayload: 10 }],
  "any message when maxPayload is 0": [frame({ payload: "x".repeat(1000) }), { maxPayload: 0 }],
  "maxFragments fragments": [fragmented(TEXT, ["1", "2", "3"]), { maxFragments: 3 }],
  "fragments when maxFragments is 0": [fragmented(TEXT, Array(50).fill("a")), { maxFragments: 0 }],
  "twice maxFragments fragments": [
    Buffer.concat([fragmented(TEXT, ["1", "2", "3"]), fragmented(TEXT, ["4", "5", "6"])]),
    { maxFragments: 3 },
  ],
  "letters cut by fragments": [
    fragmented(TEXT, [Buffer.from([0xe6]), Buffer.from([0x96]), Buffer.from([0x87])]),
  ],
  "a text of noncharacters": [text(0xef, 0xbf, 0xbf, 0xf4, 0x8f, 0xbf, 0xbf)],
  "a text that isn't UTF-8, skipUTF8Validation": [text(0xc3, 0x28), { skipUTF8Validation: true }],
  "a text in fragments that isn't UTF-8, skipUTF8Validation": [
    fragmented(TEXT, ["a", Buffer.from([0xff]), "b"]),
    { skipUTF8Validation: true },
  ],
  "all close codes are fine": [close(1014, "fine")],
  "a close reason that isn't UTF-8, skipUTF8Validation": [
    close(1000, Buffer.from([0xc3, 0x28])),
    { skipUTF8Validation: true },
  ],
};

const details = (stage, socket) =>
  socket.on("error", (error) => {
    stage.log("details", error.constructor.name, error instanceof RangeError, Object.keys(error), error.code);
    stage.log("details", error.stack.split("\n")[0]);
  });

module.exports = [
  ...Object.entries(VIOLATIONS).map(([name, [bytes, options]]) => ({
    name,
    async run(stage) {
      const { wss, socket, raw } = await stage.rawPair(options);
      details(stage, socket);
      raw.write(bytes);
      await raw.ended();
      await stage.until("server", "close in");
      stage.log("server", "clients", wss.clients.size);
    },
  })),
  ...Object.entries(VIOLATIONS)
    .filter(([name, [bytes]]) => bytes.length < 30 && !/behind|two|goodbye|garbage/.test(name))
    .filter((_, i) => i % 4 === 0)
    .map(([name, [bytes, options]]) => ({
      name: `${name}, byte by byte`,
      async run(stage) {
        const { raw } = await stage.rawPair(options);
        // behind the violation nobody may listen any more
        raw.socket.on("error", () => {});
        for (let i = 0; i < bytes.length && raw.end === null && raw.closeFrame === null; i++) {
          raw.write(bytes.subarray(i, i + 1));
          await stage.turns(2);
        }
        await raw.ended();
        await stage.until("server", "close in");
      },
    })),
  ...Object.entries(ALLOWED).map(([name, [bytes, options]]) => ({
    name: `allowed: ${name}`,
    async run(stage) {
      const { raw } = await stage.rawPair(options);
      raw.write(bytes);
      if (/close/.test(name)) {
        await raw.over();
      } else {
        await raw.settled();
        raw.close();
        await raw.over();
      }
      await stage.until("server", "close in");
    },
  })),
  {
    name: "a violation is nobody else's business",
    async run(stage) {
      const { wss, client } = await stage.pair();
      const raw = await stage.handshake("bad");
      await stage.eventually(() => wss.clients.size === 2, "two clients");
      const bad = [...wss.clients][1];
      const closed = stage.once(bad, "close");
      raw.frame({ opcode: 3 });
      await raw.ended();
      await closed;
      client.send("still fine");
      await stage.until("server", "message");
      stage.log("server", "clients", wss.clients.size);
      client.close();
      await stage.over("client");
      await stage.until("server", "close in", 2);
    },
  },
  {
    name: "a violation without a listener of error",
    isolated: true,
    async run(stage) {
      process.on("uncaughtException", (error) => stage.log("process", "uncaught", error));
      const wss = await stage.serve();
      wss.on("connection", (socket) => socket.on("close", (code) => stage.log("server", "close", code)));
      const raw = await stage.handshake("bad");
      raw.frame({ opcode: 3 });
      await raw.over();
      await stage.until("server", "close");
      await stage.until("process", "uncaught");
      const good = stage.client("good");
      await stage.once(good, "open");
      good.close();
      await stage.over("good");
    },
  },
  {
    name: "states, when a rule is broken",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.on("error", () => {
        stage.attempt("server", "send", () =>
          socket.send("x", (error) => stage.log("callback", "sent", error)),
        );
        stage.attempt("server", "close", () => socket.close(4000));
      });
      raw.frame({ rsv: 2 });
      await raw.ended();
      await stage.until("server", "close in");
      await stage.until("callback", "sent");
    },
  },
  {
    name: "terminate() in the listener of error",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.on("error", () => socket.terminate());
      raw.frame({ rsv: 2 });
      await raw.ended();
      await stage.until("server", "close in");
    },
  },
  {
    name: "a rule broken after close()",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.close(4000, "enough");
      await stage.until("client", "frame");
      raw.frame({ rsv: 2 });
      await raw.ended();
      await stage.until("server", "close in");
    },
  },
  {
    name: "a violation right behind the handshake",
    async run(stage) {
      await stage.serve();
      stage.watchSockets();
      const raw = await stage.handshake("client", { head: frames({ payload: "fine" }, { opcode: 3 }) });
      await raw.ended();
      await stage.until("server", "close in");
    },
  },
  {
    name: "sixty pings at once",
    async run(stage) {
      const { raw } = await stage.rawPair();
      raw.write(frames(...Array.from({ length: 60 }, (_, i) => ({ opcode: PING, payload: String(i) }))));
      await stage.until("client: pongs", 60);
      raw.close();
      await raw.over();
      await stage.until("server", "close in");
    },
  },
  {
    name: "two hundred pings at once, maxPendingAutoPongs 0",
    async run(stage) {
      const { raw } = await stage.rawPair({ maxPendingAutoPongs: 0 });
      raw.write(frames(...Array.from({ length: 200 }, (_, i) => ({ opcode: PING, payload: String(i) }))));
      await stage.until("client: pongs", 200);
      raw.close();
      await raw.over();
      await stage.until("server", "close in");
    },
  },
];
