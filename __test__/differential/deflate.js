"use strict";

// permessage-deflate: what is negotiated, what is compressed, what is refused. Compressed bytes may differ, what they say
// may not.

const zlib = require("node:zlib");
const { frame, RawWebSocket, CONTINUATION, PING } = require("../support/raw-websocket");

const flush = { finishFlush: zlib.constants.Z_SYNC_FLUSH };
const OFFER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

const deflated = (data) => zlib.deflateRawSync(data, flush).subarray(0, -4);
const inflated = (data) => zlib.inflateRawSync(Buffer.concat([data, Buffer.from([0, 0, 0xff, 0xff])]), flush);

const OFFERS = [
  "permessage-deflate",
  "permessage-deflate; client_max_window_bits",
  "permessage-deflate; client_max_window_bits=10",
  "permessage-deflate; server_max_window_bits=10",
  "permessage-deflate; server_no_context_takeover",
  "permessage-deflate; client_no_context_takeover",
  OFFER,
  "permessage-deflate; server_max_window_bits=12, permessage-deflate",
  "x-other, permessage-deflate",
  "x-other",
  "permessage-deflate; server_max_window_bits=7",
  "permessage-deflate; server_max_window_bits=16",
  "permessage-deflate; server_max_window_bits",
  "permessage-deflate; client_max_window_bits=x",
  "permessage-deflate; unknown_parameter",
  "permessage-deflate; __proto__=1; constructor",
  "constructor, __proto__, toString; hasOwnProperty",
  "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
  "permessage-deflate; server_no_context_takeover=1",
  'permessage-deflate; server_max_window_bits="11"',
  "permessage-deflate; client_max_window_bits= 9",
  'permessage-deflate; server_max_window_bits="1\\0"',
  "permessage-deflate; server_max_window_bits=1e1",
  "permessage-deflate; server_max_window_bits=010",
  "permessage-deflate ; client_max_window_bits",
  "permessage-deflate,",
  ", ,;;=",
  '"',
  `${"permessage-deflate,".repeat(300)}permessage-deflate`,
];

const SETTINGS = [
  true,
  {},
  { serverNoContextTakeover: true },
  { clientNoContextTakeover: true },
  { serverMaxWindowBits: 10 },
  { clientMaxWindowBits: 10 },
  { serverMaxWindowBits: true },
  { serverMaxWindowBits: false },
  { clientMaxWindowBits: false },
  { clientMaxWindowBits: true },
  { serverNoContextTakeover: false },
];

/**
 * What comes of an offer. Whether the packet that opens the session is compressed is not compared: stock compresses
 * whatever it may where contexts are kept, here packets of the engine are left as they are.
 */
async function negotiate(stage, offer) {
  const headers = { "Sec-WebSocket-Extensions": offer };
  const ws = await RawWebSocket.upgrade(stage.server, { headers });
  stage.log("client", ws.statusText, ws.headerLines);
  if (ws.status !== 101) {
    await ws.ended();
    stage.log("client", "body", ws.body);
    return;
  }
  await ws.count(1);
  const [{ rsv, payload }] = ws.frames;
  stage.log("client", "open", (rsv & 4 ? inflated(payload) : payload).toString());
}

/** A client that shows compressed messages as they are meant. */
class InflatingWebSocket extends RawWebSocket {
  onFrame(received) {
    const payload = received.rsv & 4 ? inflated(received.payload) : received.payload;
    super.onFrame({ ...received, payload });
  }
}

const compressing = (name, run, perMessageDeflate = {}, options = {}) => ({
  name,
  options: { perMessageDeflate, ...options },
  async run(stage) {
    stage.watchSockets();
    // its frames are logged as they are meant, below
    const ws = stage.server.keep(
      await InflatingWebSocket.connect(stage.server, { headers: { "Sec-WebSocket-Extensions": OFFER } }),
    );
    stage.watch("conn", stage.io.engine.clients[ws.sid], "close");
    const seen = ws.frames.length;
    await run(ws, stage, stage.io.of("/").sockets.get(ws.id));
    for (const { rsv, opcode, fin, payload } of ws.frames.slice(seen)) {
      stage.log("client", "frame", fin, rsv, opcode, opcode === 1 ? payload.toString() : payload);
    }
  },
});

const refused = (name, bytes, options) =>
  compressing(
    name,
    async (ws, stage) => {
      ws.write(bytes);
      await stage.until("conn", "close");
      await ws.closed();
    },
    true,
    options,
  );

const broken = (message) =>
  `"transport error" Error(Error: ${message}){type: "TransportError", description: undefined}`;

const ended = (how) => ["connection", `disconnecting ${how}`, `disconnect ${how}`];

module.exports = [
  ...OFFERS.map((offer) => ({
    name: `the offer ${offer.slice(0, 80)}`,
    options: { perMessageDeflate: true },
    run: (stage) => negotiate(stage, offer),
  })),
  ...SETTINGS.flatMap((perMessageDeflate) =>
    OFFERS.slice(0, 5).map((offer) => ({
      name: `the setting ${JSON.stringify(perMessageDeflate)} and the offer ${offer}`,
      options: { perMessageDeflate },
      run: (stage) => negotiate(stage, offer),
    })),
  ),
  compressing("a compressed message, and one in fragments", async (ws, stage) => {
    ws.frame({ payload: deflated('42["ev","aé語😀"]'), rsv: 4 });
    await stage.until("server", "event ev");
    const bytes = deflated(`42["long","${"abc".repeat(1000)}"]`);
    ws.write(
      Buffer.concat([
        frame({ payload: bytes.subarray(0, 5), rsv: 4, fin: false }),
        frame({ opcode: CONTINUATION, payload: bytes.subarray(5) }),
      ]),
    );
    await stage.until("server", "event long");
    ws.text('42["plain"]');
    await stage.until("server", "event plain");
  }),
  compressing("which messages are compressed", async (ws, stage, socket) => {
    for (const length of [10, 1000, 1015, 1016, 1017, 1100, 5000]) {
      socket.emit("x".repeat(length));
      await ws.count(ws.messages.length + 1);
    }
    socket.emit("bin", Buffer.alloc(3000, 1));
    await ws.count(ws.messages.length + 2);
  }),
  compressing(
    "a threshold of 100",
    async (ws, stage, socket) => {
      socket.emit("a".repeat(95));
      await ws.count(3);
      stage.io.emit("b".repeat(96));
      await ws.count(4);
    },
    { threshold: 100 },
  ),
  compressing(
    "a bomb of exactly the limit, and of a byte more",
    async (ws, stage) => {
      ws.frame({ payload: deflated("6".padEnd(1000, "x")), rsv: 4 });
      ws.frame({ payload: deflated('42["alive"]'), rsv: 4 });
      await stage.until("server", "event alive");
      ws.frame({ payload: deflated("6".padEnd(1001, "x")), rsv: 4 });
      await stage.until("conn", "close");
      await ws.closed();
    },
    true,
    { maxHttpBufferSize: 1000 },
  ),
  refused("a bomb", frame({ payload: deflated(Buffer.alloc(200_000, "6")), rsv: 4 }), {
    maxHttpBufferSize: 1000,
  }),
  {
    ...refused("garbage", frame({ payload: Buffer.from("ffffffff00", "hex"), rsv: 4 })),
    differs: {
      why: "the words are those of zlib, which does not say them here",
      logs: {
        conn: {
          stock: [`close ${broken("invalid block type")}`],
          ours: [`close ${broken("invalid compressed data")}`],
        },
        server: {
          stock: ended(broken("invalid block type")),
          ours: ended(broken("invalid compressed data")),
        },
      },
    },
  },
  refused("RSV1 on a ping", frame({ opcode: PING, rsv: 4 })),
  refused(
    "RSV1 on a continuation",
    Buffer.concat([
      frame({ payload: "6", fin: false }),
      frame({ opcode: CONTINUATION, payload: "6", rsv: 4 }),
    ]),
  ),
  refused("RSV2", frame({ payload: "6", rsv: 2 })),
  refused(
    "compressed text that is not UTF-8",
    frame({ payload: deflated(Buffer.from([0x34, 0xc3, 0x28])), rsv: 4 }),
  ),
];
