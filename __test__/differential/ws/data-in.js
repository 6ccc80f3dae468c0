"use strict";

// What clients send: messages whole and in pieces, pings and pongs.

const { BINARY, CONTINUATION, PING, PONG, TEXT, frame } = require("../../support/raw-websocket");
const { frames, fragmented } = require("../../support/ws-stage");

const LETTERS = "Füße, 文字, 🦀 ";

const PAYLOADS = {
  "an empty text": [TEXT, ""],
  "a text": [TEXT, "hello"],
  "a text of other letters": [TEXT, LETTERS],
  "a text with a zero": [TEXT, "a\0b"],
  "a text of 125 bytes": [TEXT, "x".repeat(125)],
  "a text of 126 bytes": [TEXT, "x".repeat(126)],
  "a text of 65,535 bytes": [TEXT, "x".repeat(65_535)],
  "a text of 65,536 bytes": [TEXT, "x".repeat(65_536)],
  "a text of 70,000 bytes": [TEXT, LETTERS.repeat(3000)],
  "a text of 300,000 bytes": [TEXT, "0123456789".repeat(30_000)],
  "no bytes": [BINARY, ""],
  "one byte": [BINARY, Buffer.from([0])],
  "bytes that are no text": [BINARY, Buffer.from([0xff, 0xfe, 0xc3, 0x28])],
  "70,000 bytes": [BINARY, Buffer.alloc(70_000, "abcdefg")],
  "300,000 bytes": [BINARY, Buffer.alloc(300_000, "abcdefg")],
};

const TYPES = ["nodebuffer", "arraybuffer", "fragments", "blob"];

const cut = (payload, size) => {
  const bytes = Buffer.from(payload);
  const pieces = [];
  for (let i = 0; i < bytes.length; i += size) {
    pieces.push(bytes.subarray(i, i + size));
  }
  return pieces;
};

const between = (pieces, ...others) =>
  Buffer.concat(pieces.flatMap((piece, i) => [piece, others[i % others.length]]));

const part = (opcode, payload, fin = false) => frame({ opcode, payload, fin });

/** Bytes that are no more than a few messages. */
const STREAMS = {
  "a text in fragments of one byte": fragmented(TEXT, cut(LETTERS, 1)),
  "a text in fragments of three bytes": fragmented(TEXT, cut(LETTERS, 3)),
  "bytes in fragments of two": fragmented(BINARY, cut(Buffer.from([1, 2, 3, 4, 5]), 2)),
  "a text in empty fragments only": fragmented(TEXT, ["", "", ""]),
  "bytes in empty fragments only": fragmented(BINARY, ["", ""]),
  "empty fragments first and last": fragmented(TEXT, ["", "a", "", "b", ""]),
  "a hundred fragments": fragmented(TEXT, Array(100).fill("ab")),
  "a large message in large fragments": fragmented(BINARY, cut(Buffer.alloc(200_000, "xyz"), 70_000)),
  "pings between fragments": between(
    [part(TEXT, "a"), part(CONTINUATION, "b"), part(CONTINUATION, "c", true)],
    frame({ opcode: PING, payload: "1" }),
  ),
  "pongs and empty pings between fragments": between(
    [part(BINARY, "a"), part(CONTINUATION, ""), part(CONTINUATION, "c", true)],
    frame({ opcode: PONG, payload: "p" }),
    frame({ opcode: PING }),
  ),
  "several messages at once": frames(
    { payload: "1" },
    { opcode: BINARY, payload: "2" },
    { payload: "" },
    { opcode: PING, payload: "3" },
    { opcode: PONG, payload: "4" },
    { payload: "5" },
  ),
  "a fragmented message among others": Buffer.concat([
    frame({ payload: "before" }),
    fragmented(TEXT, ["in ", "between"]),
    frame({ opcode: BINARY, payload: "after" }),
  ]),
  "lengths in more bytes than needed": Buffer.concat([
    // 5 as 16 bits and as 64 bits, with a mask of zeros
    Buffer.from([0x81, 0xfe, 0, 5, 0, 0, 0, 0]),
    Buffer.from("short"),
    Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0]),
    Buffer.from("again"),
  ]),
  "a ping of 125 bytes": frame({ opcode: PING, payload: "x".repeat(125) }),
  "a pong that nobody asked for": frame({ opcode: PONG, payload: "unasked" }),
  "fifty messages": frames(...Array.from({ length: 50 }, (_, i) => ({ payload: `n ${i}` }))),
};

async function goodbye(stage, raw) {
  await raw.settled();
  raw.close();
  await raw.over();
  await stage.until("server", "close in");
}

module.exports = [
  ...Object.entries(PAYLOADS).map(([name, [opcode, payload]]) => ({
    name: `${name}, echoed`,
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.on("message", (data, isBinary) => {
        stage.log("server", "type", data.constructor.name, data.length);
        socket.send(data, { binary: isBinary });
      });
      raw.frame({ opcode, payload });
      await raw.count(1);
      await goodbye(stage, raw);
    },
  })),
  ...Object.entries(STREAMS).map(([name, bytes]) => ({
    name,
    async run(stage) {
      const { raw } = await stage.rawPair();
      raw.write(bytes);
      await goodbye(stage, raw);
    },
  })),
  ...Object.entries(STREAMS)
    .filter(([, bytes]) => bytes.length < 130)
    .map(([name, bytes]) => ({
      name: `${name}, byte by byte`,
      async run(stage) {
        const { raw } = await stage.rawPair();
        await raw.drip(bytes);
        await goodbye(stage, raw);
      },
    })),
  ...[2, 5, 7].map((size) => ({
    name: `all of these, ${size} bytes at a time`,
    async run(stage) {
      const { raw } = await stage.rawPair();
      await raw.drip(Buffer.concat(Object.values(STREAMS).filter((bytes) => bytes.length < 130)), size);
      await goodbye(stage, raw);
    },
  })),
  ...TYPES.map((type) => ({
    name: `binaryType ${type}`,
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.binaryType = type;
      stage.log("server", socket.binaryType);
      socket.on("message", (data) => stage.log("server", "type", data.constructor.name));
      raw.write(
        Buffer.concat([
          frame({ payload: "text" }),
          frame({ opcode: BINARY, payload: "binary" }),
          frame({ opcode: BINARY }),
          fragmented(BINARY, ["in", "", "three"]),
          fragmented(TEXT, ["in", "two"]),
          frame({ opcode: BINARY, payload: Buffer.alloc(70_000, 7) }),
        ]),
      );
      await goodbye(stage, raw);
    },
  })),
  {
    name: "binaryType fragments: each of them",
    differs: {
      why: "the worker puts a message together",
      logs: {
        server: {
          stock: fragmentsLog("[<Buffer 6f6e65>, <Buffer 74776f>, <Buffer 7468726565>]"),
          ours: fragmentsLog("[<Buffer 6f6e6574776f7468726565>]"),
        },
      },
    },
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.binaryType = "fragments";
      socket.on("message", (data) => stage.log("server", "fragments", data));
      raw.write(fragmented(BINARY, ["one", "two", "", "three"]));
      raw.write(frame({ opcode: BINARY, payload: "whole" }));
      raw.write(frame({ opcode: BINARY }));
      await goodbye(stage, raw);
    },
  },
  {
    name: "binaryType blob: what is in it",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.binaryType = "blob";
      const blob = new Promise((resolve) => socket.once("message", resolve));
      raw.write(fragmented(BINARY, ["one", "two"]));
      stage.log("server", "blob", (await blob).size, (await blob).type, await (await blob).text());
      await goodbye(stage, raw);
    },
  },
  {
    name: "binaryType changed between messages",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      let n = 0;
      socket.on("message", (data) => {
        stage.log("server", "type", data.constructor.name);
        socket.binaryType = TYPES[++n % TYPES.length];
      });
      for (let i = 0; i < 5; i++) {
        raw.binary(`message ${i}`);
        await raw.settled();
      }
      await goodbye(stage, raw);
    },
  },
  {
    name: "binaryType of a kind that there is none",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      for (const type of ["text", "", undefined, null, "NodeBuffer", 1, "arraybuffer", "Blob"]) {
        stage.attempt("server", "set", () => (socket.binaryType = type));
        stage.log("server", "is", socket.binaryType);
      }
      await goodbye(stage, raw);
    },
  },
  {
    name: "a message is the listener's own",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      const kept = [];
      socket.on("message", (data) => kept.push(data));
      for (const payload of ["first", "second", "third"]) {
        raw.binary(payload);
        await raw.settled();
      }
      kept[0].fill("x");
      stage.log("server", "kept", kept);
      await goodbye(stage, raw);
    },
  },
  {
    name: "autoPong: false",
    async run(stage) {
      const { socket, raw } = await stage.rawPair({ autoPong: false });
      socket.on("ping", (data) => socket.pong(`my own ${data}`));
      raw.write(frames({ opcode: PING, payload: "a" }, { opcode: PING }, { payload: "end" }));
      await stage.until("server", "message");
      raw.close();
      await raw.over();
      await stage.until("server", "close in");
    },
  },
  {
    name: "a listener of pings, and the answers of the server",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.on("ping", (data) => {
        if (data.length < 3) socket.send(`pinged ${data}`);
      });
      raw.write(frames({ opcode: PING, payload: "a" }, { opcode: PING, payload: "b" }));
      await raw.count(2);
      await goodbye(stage, raw);
    },
  },
  {
    name: "a client of ws that pings and is pinged",
    async run(stage) {
      const { socket, client } = await stage.pair();
      client.ping("from the client");
      await stage.until("client", "pong");
      socket.ping("from the server");
      await stage.until("server", "pong");
      client.pong("for nothing");
      await stage.until("server", "pong", 2);
      client.close();
      await stage.over();
    },
  },
  {
    name: "a client of ws with autoPong: false",
    async run(stage) {
      const { socket, client } = await stage.pair({}, { autoPong: false });
      socket.ping("one");
      await stage.until("client", "ping");
      client.pong("late");
      await stage.until("server", "pong");
      client.close();
      await stage.over();
    },
  },
  {
    name: "thousands of messages of a client of ws, all in order",
    async run(stage) {
      const { socket, client } = await stage.pair();
      socket.removeAllListeners("message");
      let expected = 0;
      const all = new Promise((resolve) => {
        socket.on("message", (data) => {
          if (Number(data) !== expected++) stage.log("server", "out of order", Number(data));
          if (expected === 5000) resolve();
        });
      });
      for (let i = 0; i < 5000; i++) {
        client.send(i);
      }
      await stage.within(all, "all messages");
      stage.log("server", "messages", expected);
      client.close();
      await stage.over();
    },
  },
  {
    name: "messages right behind the handshake",
    async run(stage) {
      await stage.serve();
      stage.watchSockets();
      const head = frames({ payload: "1" }, { opcode: BINARY, payload: "2" }, { opcode: PING, payload: "3" });
      const raw = await stage.handshake("client", { head });
      await goodbye(stage, raw);
    },
  },
  {
    name: "half a message behind the handshake",
    async run(stage) {
      await stage.serve();
      stage.watchSockets();
      const bytes = frames({ payload: "the whole message" });
      const raw = await stage.handshake("client", { head: bytes.subarray(0, 9) });
      raw.write(bytes.subarray(9));
      await goodbye(stage, raw);
    },
  },
  {
    name: "a goodbye right behind the handshake",
    async run(stage) {
      await stage.serve();
      stage.watchSockets();
      const head = frames({ payload: "hello" }, { opcode: 8, payload: Buffer.from([3, 0xe9]) });
      const raw = await stage.handshake("client", { head });
      await raw.over();
      await stage.until("server", "close in");
    },
  },
];

/** What a server logs of messages with `binaryType` fragments, the first of which came like this. */
function fragmentsLog(first) {
  return [
    "connection /",
    'message ["fragments", <Buffer 6f6e6574776f7468726565>] true',
    `fragments ${first}`,
    'message ["fragments", <Buffer 77686f6c65>] true',
    "fragments [<Buffer 77686f6c65>]",
    'message ["no fragments", <Buffer >] true',
    "fragments []",
    "close in 3: 1000 <Buffer >",
  ];
}
