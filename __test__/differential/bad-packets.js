"use strict";

// Engine.IO and Socket.IO packets that make no sense, and what becomes of the session.

const { caughtEarlier, goneBy } = require("../support/differential");
const { frame, BINARY } = require("../support/raw-websocket");

const LONG = "1".repeat(100_000);
const RESERVED = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/** Messages behind CONNECT that end the session. */
const ENDING = [
  // Engine.IO
  ...["", "9", "x", "7", " 4", "\u00004", "😀", "2", "2probe"],
  // Socket.IO: types
  ...["4", "47", "48", "49", "4x", "4-", "4😀"],
  // payloads
  ...["42{}", "42[]", '42["a"', "42[", "42null", '42"text"', "42true", "42[null]", "42[true]", "42[{}]"],
  ...['42[{"toString":"foo"}]', '42[["a"]]', '42["a"]x', "42\u0000", '42["a",]', "42-1[]", "421.5[]"],
  ...["40[]", "40null", '40"x"', "401", "41{}", "41[]", "431{}", "431null", "43{}", "44[]", "44null", "441"],
  ...RESERVED.map((name) => `42["${name}"]`),
  // attachments
  ...["45-", "45", "45[]", "450-", "45-1-", "451.5-", "45x-", "451", "46-", "46x-[]", "45 1-[]", "451e0-[]"],
  ...['451-{"a":1}', '451-["disconnect"]', '451-[{"toString":"foo"}]', '451-[["a"]]', "451-[null]"],
  ...["4511-[]", '4511-["a"]', '45999999999-["a"]', '4611-[""]'],
  // linear time
  ...[`45${LONG}`, `42/${LONG}`],
  // not now
  ...[
    "40",
    '40{"a":1}',
    '42/chat,["ev"]',
    '42/nope,["ev"]',
    "41/chat,",
    "43/chat,1[]",
    '44{"message":"x"}',
    "44",
  ],
  ...['42/,["ev"]x', "42/chat", "42,"],
];

const HARMLESS = [
  // Engine.IO
  ...["0", "0{}", "1", "3", "3probe", "5", "6", "6x"],
  // Socket.IO
  ...[
    "42",
    "42[1]",
    "42[0]",
    "42[-1.5]",
    '42[""]',
    '42["error","x"]',
    '42["__proto__",{"__proto__":{"x":1}}]',
  ],
  ...['42["constructor"]', '42["toString","hasOwnProperty"]', '42 ["white"]', '42["a" , 1 ]', '42/,["root"]'],
  ...["4399[]", "430[1]", '43["no id"]', "43", "43/,5[]", '42["\\ud800"]', '42["\u2028"]', '42["a"]\n'],
  ...[
    '42["e",1e400]',
    '42["e",-0]',
    '42["e",1234567890123456789]',
    '42["e",{"a":1,"a":2}]',
    '42["e",{"2":1,"1":2}]',
  ],
  `42${LONG}`,
  `43${LONG}`,
  `42["deep",${"[".repeat(450_000)}${"]".repeat(450_000)}]`,
];

/** Ids of acks that are asked for, and come back. */
const ACK_IDS = ["0", "7", "00", "9007199254740993", "123456789012345678901234567890", "1".repeat(310)];

const text = (payload) => frame({ payload });
const binary = (...bytes) => frame({ opcode: BINARY, payload: Buffer.from(bytes) });

const short = (text) => JSON.stringify(text.length > 60 ? `${text.slice(0, 30)}…` : text);

async function end(stage, ws) {
  await stage.until("conn", "close");
  await ws.closed();
}

async function joined(stage) {
  stage.watchSockets();
  stage.io.of("/chat");
  const ws = await stage.join("client");
  stage.watch("conn", stage.io.engine.clients[ws.sid], "error", "close");
  return ws;
}

/** A row whose session ends. Its frames arrive together. */
const ending = (name, ...frames) => ({
  name,
  async run(stage) {
    const ws = await joined(stage);
    ws.write(Buffer.concat(frames));
    await end(stage, ws);
  },
});

/** A row after which the session goes on. */
const harmless = (name, ...frames) => ({
  name,
  options: { maxHttpBufferSize: 1e7 },
  async run(stage) {
    const ws = await joined(stage);
    ws.write(Buffer.concat([...frames, text('42["last"]')]));
    await stage.until("server", "event last");
  },
});

const ANNOUNCEMENT = text('451-["ev",{"_placeholder":true,"num":0}]');

/** What a raw client logs until it has joined. */
const HANDSHAKE = [
  "HTTP/1.1 101 Switching Protocols",
  "  Upgrade: websocket",
  "  Connection: Upgrade",
  "  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
  '816b "0{\\"sid\\":\\"<id 1>\\",\\"upgrades\\":[],\\"pingInterval\\":25000,\\"pingTimeout\\":20000,\\"maxPayload\\":1000000}"',
  '8120 "40{\\"sid\\":\\"<id 2>\\"}"',
];

const ZEROS = Array(16_385).fill(0);

module.exports = [
  ...ENDING.map((packet) => ending(`${short(packet)} ends the session`, text(packet))),
  ...HARMLESS.map((packet) => harmless(`${short(packet)} is harmless`, text(packet))),
  ...ACK_IDS.map((id) => ({
    name: `ack id ${short(id)}`,
    async run(stage) {
      stage.io.on("connection", (socket) => socket.on("ask", (answer) => answer(1)));
      const ws = await stage.join("client");
      ws.text(`42${id}["ask"]`);
      await ws.count(3);
    },
  })),
  ending("text while attachments are missing", ANNOUNCEMENT, text('42["ev"]')),
  ending("an announcement while attachments are missing", text('452-["ev"]'), binary(1), ANNOUNCEMENT),
  ending("a megabyte of digits, then text while the attachment is missing", text(`451-${LONG}`), text("42")),
  ending("binary data that nobody announced", binary(1)),
  ending("empty binary data that nobody announced", binary()),
  {
    ...ending("one attachment too many", ANNOUNCEMENT, binary(1), binary(2)),
    differs: caughtEarlier("ev <Buffer 01>", [
      "error Error(got binary data when not reconstructing a packet)",
      ...goneBy("forced close"),
    ]),
  },
  ...['"splice"', '"length"', '"__proto__"', "-1", "1", "null", "1.5", '"0"', "1e9", "[0]"].map((num) =>
    ending(`a placeholder with num ${num}`, text(`451-["ev",{"_placeholder":true,"num":${num}}]`), binary(1)),
  ),
  ending("a placeholder without num", text('451-["ev",{"_placeholder":true}]'), binary(1)),
  harmless(
    "a placeholder that is not true",
    text('451-["ev",{"_placeholder":1,"num":9},{"_placeholder":true,"num":0}]'),
    binary(1),
  ),
  harmless(
    "an attachment used twice, another not at all",
    text('452-["ev",{"_placeholder":true,"num":1},{"_placeholder":true,"num":1}]'),
    binary(1),
    binary(2),
  ),
  harmless("a placeholder in a packet without attachments", text('42["ev",{"_placeholder":true,"num":0}]')),
  harmless(
    "placeholders deep inside, and under __proto__",
    text('451-["ev",{"a":[{"b":{"_placeholder":true,"num":0}}],"__proto__":{"_placeholder":true,"num":0}}]'),
    binary(1),
  ),
  harmless("empty attachments", text('452-["ev",{"_placeholder":true,"num":0}]'), binary(), binary()),
  harmless("an event without data that announces attachments", text("451-"), binary(1)),
  harmless(
    "ten attachments",
    text(`4510-["ev",${Array.from({ length: 10 }, (_, num) => `{"_placeholder":true,"num":${num}}`)}]`),
    ...Array.from({ length: 10 }, (_, i) => binary(i)),
  ),
  harmless("a binary ack that nobody asked for", text('461-99[{"_placeholder":true,"num":0}]'), binary(1)),
  ...['42["ev"]', "41", "430[]", '44{"message":"x"}', "4x", "42{}", "4", "451-[]", "9", "2"].map(
    (packet) => ({
      name: `${packet} before CONNECT`,
      async run(stage) {
        const ws = await stage.ws("client");
        stage.watch("conn", stage.io.engine.clients[ws.sid], "error", "close");
        ws.text(packet);
        if (packet === "451-[]") {
          ws.binary(Buffer.from([1]));
        }
        await end(stage, ws);
      },
    }),
  ),
  ...["/nope", "/__proto__", "/constructor", "/чат", "/a?b=c", "/a b", `/${"x".repeat(1000)}`].map((nsp) => ({
    name: `CONNECT to the unknown namespace ${short(nsp)}`,
    async run(stage) {
      const ws = await stage.ws("client");
      for (const [i, packet] of [`40${nsp},`, `40${nsp}`, `40${nsp},{"a":1}`, "40"].entries()) {
        ws.text(packet);
        await ws.count(i + 2);
      }
    },
  })),
  {
    name: "CONNECT with hostile auth",
    async run(stage) {
      stage.io.on("connection", ({ handshake }) => {
        stage.log("server", "auth", Object.keys(handshake.auth), {}.polluted);
      });
      const ws = await stage.ws("client");
      ws.text('40{"__proto__":{"polluted":1},"pid":{},"offset":[]}');
      await ws.count(2);
    },
  },
  {
    name: "no CONNECT in time",
    options: { connectTimeout: 20 },
    async run(stage) {
      stage.io.engine.on("connection", (conn) => stage.watch("conn", conn, "close"));
      const ws = await stage.ws("client");
      await end(stage, ws);
    },
  },
  {
    ...ending(
      "bad packets, and good ones between them",
      ...['42["one"]', "42{}", '42["two"]', "9", '42["three"]'].map(text),
    ),
    differs: caughtEarlier("one", ["error Error(invalid payload)", ...goneBy("forced close")]),
  },
  {
    name: "an event with 16,385 arguments",
    async run(stage) {
      const ws = await joined(stage);
      ws.text(`42["ev",${ZEROS}]`);
      await (stage.isStock ? stage.until("server", "event ev") : end(stage, ws));
    },
    differs: {
      why: "an event with more than 16,384 arguments is refused, since calling a function with very many overflows the stack",
      logs: {
        conn: { stock: undefined, ours: ['close "forced close" undefined'] },
        client: { stock: HANDSHAKE, ours: [...HANDSHAKE, "8800 <Buffer >", 'end "FIN"'] },
        server: {
          stock: ["connection", `event ev ${ZEROS.join(" ")}`],
          ours: ["connection", "error Error(invalid payload)", ...goneBy("forced close")],
        },
      },
    },
  },
  ...[
    ["a packet of Engine.IO", "9", null],
    ["a frame", { payload: "6", rsv: 1 }, 1002],
  ].map(([what, broken, code]) => ({
    name: `a namespace that does not exist, and behind it ${what} that is malformed`,
    async run(stage) {
      const { ws, closed } = await stage.server.rawSession();
      const wish = { payload: "40/nope," };
      ws.write(Buffer.concat([wish, typeof broken === "string" ? { payload: broken } : broken].map(frame)));
      stage.log("conn", "close", (await closed)[0]);
      stage.log("client", "close frame", (await ws.closed()).code, ...ws.messages.slice(1));
    },
    differs: {
      why: "the thread that reads ends the session before JavaScript hears of what came in front of the fault",
      logs: {
        client: {
          stock: [`close frame ${code} "44/nope,{\\"message\\":\\"Invalid namespace\\"}"`],
          ours: [`close frame ${code}`],
        },
      },
    },
  })),
];
