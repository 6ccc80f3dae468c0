"use strict";

// permessage-deflate: what is negotiated, and messages both ways.

const zlib = require("node:zlib");
const { BINARY, CONTINUATION, PING, TEXT, frame } = require("../../support/raw-websocket");

const PMD = "permessage-deflate";
const EXTENSIONS = "Sec-WebSocket-Extensions";

const OFFERS = [
  undefined,
  PMD,
  "PERMESSAGE-DEFLATE",
  `  ${PMD}  `,
  `${PMD};`,
  `${PMD}; client_max_window_bits`,
  `${PMD};client_max_window_bits;server_no_context_takeover`,
  ...[7, 8, 9, 12, 15, 16].map((bits) => `${PMD}; client_max_window_bits=${bits}`),
  ...[7, 8, 9, 12, 15, 16].map((bits) => `${PMD}; server_max_window_bits=${bits}`),
  `${PMD}; server_max_window_bits`,
  `${PMD}; server_max_window_bits=abc`,
  `${PMD}; server_max_window_bits="10"`,
  `${PMD}; server_max_window_bits="1\\0"`,
  `${PMD}; server_max_window_bits=010`,
  `${PMD}; server_no_context_takeover`,
  `${PMD}; server_no_context_takeover=true`,
  `${PMD}; client_no_context_takeover`,
  `${PMD}; client_no_context_takeover; server_no_context_takeover; client_max_window_bits=10`,
  `${PMD}; server_max_window_bits=10; server_max_window_bits=10`,
  `${PMD}; unknown`,
  `${PMD}; unknown, ${PMD}`,
  `${PMD}, ${PMD}; client_max_window_bits`,
  `${PMD}; server_max_window_bits=9, ${PMD}`,
  `x-other, ${PMD}`,
  `x-other; a=1; b="two", ${PMD}; client_max_window_bits`,
  "x-other",
  `x-other; ${PMD}`,
  `${PMD},`,
  `,${PMD}`,
  "",
  ";",
  `${PMD}; =5`,
  `${PMD}; a="`,
  `${PMD}; server_max_window_bits = 10`,
];

const OPTIONS = {
  true: true,
  serverNoContextTakeover: { serverNoContextTakeover: true },
  "serverNoContextTakeover: false": { serverNoContextTakeover: false },
  clientNoContextTakeover: { clientNoContextTakeover: true },
  "serverMaxWindowBits 10": { serverMaxWindowBits: 10 },
  "serverMaxWindowBits: false": { serverMaxWindowBits: false },
  "clientMaxWindowBits 10": { clientMaxWindowBits: 10 },
  "clientMaxWindowBits: false": { clientMaxWindowBits: false },
  "clientMaxWindowBits: true": { clientMaxWindowBits: true },
  all: {
    serverNoContextTakeover: true,
    clientNoContextTakeover: true,
    serverMaxWindowBits: 11,
    clientMaxWindowBits: 12,
  },
};

/** Settings of both sides, with which messages go to and fro. */
const TRIPS = {
  true: [true, undefined],
  "threshold 0": [{ threshold: 0 }, { threshold: 0 }],
  "threshold 100,000": [{ threshold: 100_000 }, undefined],
  "no context of either": [
    { serverNoContextTakeover: true, clientNoContextTakeover: true, threshold: 0 },
    true,
  ],
  "no context, a threshold of 100": [{ serverNoContextTakeover: true, threshold: 100 }, true],
  "small windows": [{ serverMaxWindowBits: 9, clientMaxWindowBits: 9 }, { clientMaxWindowBits: 15 }],
  "settings of zlib": [
    {
      zlibDeflateOptions: { level: 9, memLevel: 9, chunkSize: 1024 },
      zlibInflateOptions: { chunkSize: 10 * 1024 },
    },
    true,
  ],
  "no compression by zlib": [{ zlibDeflateOptions: { level: 0 } }, true],
  "concurrencyLimit 1": [{ concurrencyLimit: 1 }, true],
  "offered by the client only": [false, true],
  "offered by the server only": [true, false],
};

const MESSAGES = [
  "short",
  "",
  "the same again and again ".repeat(200),
  Buffer.alloc(0),
  Buffer.from([1, 2, 3]),
  Buffer.alloc(70_000, "abcdefg"),
  "Füße, 文字, 🦀 ".repeat(3000),
  "the same again and again ".repeat(200),
];

const deflated = (data, { fin = true } = {}) => {
  const bytes = zlib.deflateRawSync(data, { finishFlush: zlib.constants.Z_SYNC_FLUSH });
  return fin ? bytes.subarray(0, -4) : bytes;
};

const compressed = (opcode, data) => frame({ opcode, rsv: 4, payload: deflated(data) });

const COMPRESSED = { [EXTENSIONS]: `${PMD}; client_no_context_takeover` };

/** Bytes of a raw client that has agreed upon compression. */
const BYTES = {
  "a compressed text": [compressed(TEXT, "hello")],
  "compressed bytes": [compressed(BINARY, Buffer.from([1, 2, 3]))],
  "a compressed empty text": [frame({ rsv: 4, payload: Buffer.from([0]) })],
  "a compressed text without any byte": [frame({ rsv: 4 })],
  "a text that is not compressed": [frame({ payload: "plain" })],
  "compressed and not, in turn": [
    Buffer.concat([compressed(TEXT, "one"), frame({ payload: "two" }), compressed(TEXT, "three")]),
  ],
  "fragments that are compressed": [
    (() => {
      const bytes = deflated("in several pieces ".repeat(10));
      return Buffer.concat([
        frame({ rsv: 4, payload: bytes.subarray(0, 5), fin: false }),
        frame({ opcode: PING, payload: "between" }),
        frame({ opcode: CONTINUATION, payload: bytes.subarray(5, 6), fin: false }),
        frame({ opcode: CONTINUATION, fin: false }),
        frame({ opcode: CONTINUATION, payload: bytes.subarray(6) }),
      ]);
    })(),
  ],
  "two blocks in one message": [
    frame({ rsv: 4, payload: Buffer.concat([deflated("one ", { fin: false }), deflated("two")]) }),
  ],
  "a final block": [
    frame({ rsv: 4, payload: Buffer.concat([zlib.deflateRawSync("the end"), Buffer.from([0])]) }),
  ],
  "corrupt data": [frame({ rsv: 4, payload: Buffer.from([0xff, 0xff, 0xff, 0xff]) })],
  "corrupt data behind messages": [
    Buffer.concat([compressed(TEXT, "fine"), frame({ rsv: 4, payload: Buffer.from([0x06, 0xff, 0xff]) })]),
  ],
  "RSV1 on a continuation": [
    Buffer.concat([
      frame({ rsv: 4, payload: deflated("a", { fin: false }), fin: false }),
      frame({ rsv: 4, opcode: CONTINUATION, payload: deflated("b") }),
    ]),
  ],
  "RSV1 on a ping": [frame({ rsv: 4, opcode: PING })],
  "RSV2 beside RSV1": [frame({ rsv: 6, payload: deflated("a") })],
  "a compressed text that isn't UTF-8": [compressed(TEXT, Buffer.from([0xc3, 0x28]))],
  "what is larger than maxPayload when it is inflated": [
    compressed(TEXT, "x".repeat(2000)),
    { maxPayload: 1000 },
  ],
  "what is maxPayload when it is inflated": [compressed(TEXT, "x".repeat(1000)), { maxPayload: 1000 }],
  "a bomb": [compressed(BINARY, Buffer.alloc(20_000_000)), { maxPayload: 1_000_000 }],
  "fragments that are larger than maxPayload when inflated": [
    Buffer.concat([
      frame({ rsv: 4, payload: deflated("x".repeat(600), { fin: false }), fin: false }),
      frame({ opcode: CONTINUATION, payload: deflated("x".repeat(600)) }),
    ]),
    { maxPayload: 1000 },
  ],
};

async function negotiate(stage, actor, offer) {
  const raw = await stage.handshake(actor, { headers: { [EXTENSIONS]: offer } });
  if (raw.status === 101) {
    raw.close();
    await raw.ended();
  }
}

module.exports = [
  ...OFFERS.map((offer) => ({
    name: `an offer: ${offer}`,
    async run(stage) {
      const wss = await stage.serve({ perMessageDeflate: true });
      wss.on("connection", (socket) => stage.log("server", "extensions", socket.extensions));
      await negotiate(stage, "client", offer);
    },
  })),
  ...Object.entries(OPTIONS)
    .slice(1)
    .map(([name, perMessageDeflate]) => ({
      name: `the same offers, ${name}`,
      async run(stage) {
        const wss = await stage.serve({ perMessageDeflate });
        wss.on("connection", (socket, req) => {
          stage.log("server", req.headers["sec-websocket-extensions"], socket.extensions);
        });
        for (const offer of OFFERS) {
          await negotiate(stage, `offer ${offer}`, offer);
        }
      },
    })),
  ...Object.entries(OPTIONS).map(([name, perMessageDeflate]) => ({
    name: `a client of ws, ${name}`,
    async run(stage) {
      const { socket, client } = await stage.pair({ perMessageDeflate });
      stage.log("server", "extensions", socket.extensions);
      stage.log("client", "extensions", client.extensions);
      client.send("x".repeat(5000));
      await stage.until("server", "message");
      client.close();
      await stage.over();
    },
  })),
  ...Object.entries(TRIPS).map(([name, [ofServer, ofClient]]) => ({
    name: `messages to and fro, ${name}`,
    async run(stage) {
      const { socket, client } = await stage.pair(
        { perMessageDeflate: ofServer },
        { perMessageDeflate: ofClient },
      );
      stage.log("server", "extensions", socket.extensions);
      socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
      for (const message of MESSAGES) {
        client.send(message);
      }
      await stage.until("client", "message", MESSAGES.length);
      for (const message of MESSAGES) {
        socket.send(message, { compress: false });
        socket.send(message, { compress: true });
      }
      await stage.until("client", "message", 3 * MESSAGES.length);
      socket.close(1000, "enough");
      await stage.over();
    },
  })),
  ...Object.entries(BYTES).map(([name, [bytes, options]]) => ({
    name: `from a raw client: ${name}`,
    async run(stage) {
      // in which words corrupt data is complained of is zlib's affair
      stage.events.hide(/Error\(invalid .*\)\{/, "Error(invalid …){");
      const { socket, raw } = await stage.rawPair(
        { perMessageDeflate: true, ...options },
        { headers: COMPRESSED },
      );
      raw.write(bytes);
      // an answer to this comes when all was read, unless the connection is over by then
      raw.write(frame({ payload: "end" }));
      await Promise.race([stage.until("server", 'message "end"'), raw.ended()]);
      if (raw.end === null && raw.closeFrame === null) {
        socket.close();
        await raw.closed();
      }
      await stage.until("server", "close in");
    },
  })),
  {
    name: "callbacks and the order of what is compressed and not",
    async run(stage) {
      const { socket, client } = await stage.pair({ perMessageDeflate: { threshold: 0 } });
      for (let i = 0; i < 10; i++) {
        socket.send(`n ${i} `.repeat(i % 3 ? 1 : 1000), { compress: i % 2 === 0 }, (error) => {
          stage.log("callbacks", i, error ?? "fine");
        });
      }
      socket.close(1000, "last");
      await stage.over();
      stage.log("client", "state", client.readyState);
    },
  },
  {
    name: "fragments that are sent compressed",
    async run(stage) {
      const { socket } = await stage.pair({ perMessageDeflate: { threshold: 0 } });
      socket.send("one ".repeat(500), { fin: false });
      socket.send("two ".repeat(500), { fin: false });
      socket.send("three", { fin: true });
      socket.send(Buffer.from("whole"));
      socket.close();
      await stage.over();
    },
  },
  {
    name: "which messages are compressed, without context and with a threshold",
    async run(stage) {
      const { socket, raw } = await stage.rawPair(
        { perMessageDeflate: { threshold: 10, serverNoContextTakeover: true } },
        { headers: { [EXTENSIONS]: PMD } },
      );
      socket.send("123456789");
      socket.send("1234567890");
      socket.send("1234567890", { compress: false });
      socket.send("12345", { compress: true });
      await stage.until("client", "frame", 4);
      stage.events.actors.get("client").list.length = 0;
      for (const { rsv, payload } of raw.frames) {
        const inflated = rsv
          ? zlib.inflateRawSync(Buffer.concat([payload, Buffer.from([0, 0, 0xff, 0xff])]), {
              finishFlush: zlib.constants.Z_SYNC_FLUSH,
            })
          : payload;
        stage.log("inflated", rsv, inflated.toString());
      }
      socket.close();
      await raw.closed();
      await stage.until("server", "close in");
    },
  },
  {
    name: "terminate() while messages are compressed",
    async run(stage) {
      const { socket } = await stage.pair({ perMessageDeflate: { threshold: 0 } });
      socket.terminate();
      await stage.over();
      socket.send("x".repeat(10_000), (error) => stage.log("server", "sent", error));
      await stage.until("server", "sent");
    },
  },
  ...[
    { serverMaxWindowBits: 7 },
    { threshold: -1 },
    { concurrencyLimit: 0 },
    { zlibDeflateOptions: { level: 99 } },
  ].map((perMessageDeflate) => ({
    name: `a strange option, ${JSON.stringify(perMessageDeflate)}`,
    run(stage) {
      stage.attempt(
        "server",
        "made",
        () => Object.keys(stage.make({ noServer: true, perMessageDeflate }).options).length,
      );
    },
  })),
];
