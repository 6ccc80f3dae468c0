"use strict";

// One client sends heavy messages as fast as they are taken from it, of one kind after the other, while 50 others send an
// event, wait for the answer, rest for 20 ms, and so on. Then a large room gets deflated broadcasts meanwhile. What the others
// wait for is to be no more than what one heavy message takes, and no more than with stock.

const crypto = require("node:crypto");
const zlib = require("node:zlib");
const { setTimeout: delay } = require("node:timers/promises");
const { BINARY, TEXT, frame } = require("../__test__/support/raw-websocket");
const bystanders = require("./support/bystanders");
const { LightClient } = require("./support/light-client");

const OTHERS = 50;
/** Ms between an answer and the next event. */
const REST = 20;
/** Ms before figures are taken. */
const WARM_UP = 200;

const TINY = 5000;
const KEYS = 80_000;
const DEPTH = 200_000;

/** In ms: pings are compressed too, and those who do not see them would be dropped. */
const PING_INTERVAL = 600_000;

/** Of the room. */
const BROADCAST = 2000;
const BROADCASTS_A_SECOND = 2;

/** What the heavy client writes again and again: bytes, and what they are for the application. */
const KINDS = {
  "1 MB of text": () => text(`42["heavy","${"x".repeat(950_000)}"]`),
  "deep JSON": () => text(`42["heavy",${"[".repeat(DEPTH)}${"]".repeat(DEPTH)}]`),
  "80,000 keys": () => text(`42["heavy",{${Array.from({ length: KEYS }, (_, i) => `"k${i}":1`).join(",")}}]`),
  "1 MB, deflated": () =>
    frame({
      rsv: 4,
      payload: zlib
        .deflateRawSync(`42["heavy","${crypto.randomBytes(470_000).toString("hex")}"]`, {
          finishFlush: zlib.constants.Z_SYNC_FLUSH,
        })
        .subarray(0, -4),
    }),
  "thousands of tiny ones": () => Buffer.concat(Array(TINY).fill(text('42["tiny"]'))),
  attachments: () =>
    Buffer.concat([
      text('452-["heavy",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'),
      ...Array(2).fill(frame({ opcode: BINARY, payload: Buffer.alloc(250_000, 1) })),
    ]),
};

function text(payload) {
  return frame({ opcode: TEXT, payload });
}

const compared = (figure, label, noise, unit = "ms") => ({ figure, label, unit, noWorse: true, noise });
const detail = (row) => ({ ...row, isDetail: true });

module.exports = {
  name: "fairness",
  shows: "one client's heavy messages, and a large room's broadcasts, do not hold up the others",
  rows: [
    { figure: "alone p99", label: "p99 of an echo, alone", unit: "ms" },
    compared("worst p50", "median beside a heavy client, at worst", 10),
    compared("worst p99", "p99 beside it, at worst", 50),
    compared("worst loop", "longest wait of the loop, at worst", 50),
    compared("room p50", "median beside deflated broadcasts", 10),
    compared("room p99", "p99 beside them", 50),
    compared("room loop", "longest wait of the loop", 50),
    ...Object.keys(KINDS).flatMap((kind) => [
      detail(compared(`${kind} p50`, `${kind}: median`, 10)),
      detail(compared(`${kind} p99`, `${kind}: p99`, 50)),
      detail(compared(`${kind} loop`, `${kind}: longest wait of the loop`, 50)),
      detail({ figure: `${kind} taken`, label: `${kind}: taken`, unit: "MB/s", moreIsBetter: true }),
    ]),
  ],
  scales: {
    short: { seconds: 0.5, room: 200, limit: 60 },
    normal: { seconds: 4, room: 2000, limit: 180 },
    long: { seconds: 20, room: 5000, limit: 600 },
  },
  run,
  server,
  heavy,
  room,
  bystanders,
};

async function run({ serve, start, scale }) {
  const server = await serve(
    "server",
    {},
    { server: { perMessageDeflate: true, pingInterval: PING_INTERVAL } },
  );
  const { port } = server;
  const others = start("bystanders", { port, clients: OTHERS, pause: REST });
  await others.message("ready");
  const figures = {};
  const failures = [];

  async function measure(name) {
    await delay(WARM_UP);
    await others.ask("echoes");
    await server.usage();
    await delay(scale.seconds * 1000);
    const { p50, p99, count } = await others.ask("echoes");
    figures[`${name} p50`] = p50;
    figures[`${name} p99`] = p99;
    figures[`${name} loop`] = (await server.usage()).loopMax;
    if (count < OTHERS) failures.push(`${name}: ${count} answers for ${OTHERS} clients`);
  }

  await measure("alone");
  for (const kind of Object.keys(KINDS)) {
    const client = start("heavy", { port, kind });
    const { size } = await client.message("ready");
    await server.ask("taken");
    const begin = performance.now();
    await measure(kind);
    const taken = (await server.ask("taken")) / (kind.includes("tiny") ? TINY : 1);
    figures[`${kind} taken`] = (taken * size) / 1e3 / (performance.now() - begin);
    if (taken === 0) failures.push(`${kind}: none was taken`);
    await client.kill();
    // what it has sent is out of the way
    await others.ask("served");
    await others.ask("served");
  }
  const members = start("room", { port, clients: scale.room });
  await members.message("ready", 60_000);
  await server.ask("broadcast");
  await measure("room");
  const { sent } = await server.ask("rest");
  const { missing } = await members.ask("missing", { sent }, 30_000);
  if (missing > 0) failures.push(`${missing} members of the room have not got all ${sent} broadcasts`);
  await others.ask("served");

  for (const figure of ["p50", "p99", "loop"]) {
    figures[`worst ${figure}`] = Math.max(...Object.keys(KINDS).map((kind) => figures[`${kind} ${figure}`]));
  }
  return { figures, failures };
}

function server({ io, answers }) {
  let taken = 0;
  let sent = 0;
  let timer;
  io.on("connection", (socket) => {
    socket.on("echo", (number, reply) => reply(number));
    socket.on("heavy", () => taken++);
    socket.on("tiny", () => taken++);
    if (socket.handshake.headers["sec-websocket-extensions"]) socket.join("room");
  });
  /** those since it was last asked */
  answers.taken = () => {
    const count = taken;
    taken = 0;
    return count;
  };
  answers.broadcast = () => {
    // words, that is something to compress
    const words = Array.from({ length: BROADCAST / 8 }, (_, i) =>
      (i * 2654435761).toString(36).slice(-7),
    ).join(" ");
    timer = setInterval(() => io.to("room").emit("news", ++sent, words), 1000 / BROADCASTS_A_SECOND);
  };
  answers.rest = () => {
    clearInterval(timer);
    return { sent };
  };
}

/** Who writes as fast as it is read. */
async function heavy({ args, tell }) {
  const bytes = KINDS[args.kind]();
  const client = await LightClient.connect(args.port, { deflate: true });
  client.onEnd = (end) => {
    throw new Error(`the heavy client's connection has ended: ${end}`);
  };
  const write = () => {
    // the turn in between is for the server's pings
    if (client.socket.write(bytes)) setImmediate(write);
    else client.socket.once("drain", () => setImmediate(write));
  };
  tell("ready", { size: bytes.length });
  write();
}

/** The members of the room: those who take compressed messages. */
async function room({ args, answers, tell }) {
  const clients = await LightClient.connectMany(args.clients, args.port, { deflate: true });
  const counts = new Map();
  for (const client of clients) {
    counts.set(client, 0);
    client.onMessage = (_, isCompressed) => {
      if (!isCompressed) throw new Error("a broadcast was not deflated");
      counts.set(client, counts.get(client) + 1);
    };
  }
  answers.missing = async ({ sent }) => {
    const missing = () => [...counts.values()].filter((count) => count !== sent).length;
    const end = performance.now() + 20_000;
    while (missing() > 0 && performance.now() < end) await delay(50);
    return { missing: missing() };
  };
  tell("ready");
}
