"use strict";

// Most clients read, some never do (WebSockets that are not read, sessions that are never polled again), and some read much
// less than they are sent. Everybody gets broadcasts of 24 KB, and events of its own of 4 KB, or 60 KB if it is slow, 40 times a second. What waits
// for who does not read has to be kept, by either server; the others must not notice, and it must be given back when those
// have gone. With `maxOutboundBuffer`, which stock does not have, they are given up before much waits; with `slowConsumer`, they stay,
// and what is too much of theirs is dropped.

const { setTimeout: delay } = require("node:timers/promises");
const { RawPolling } = require("../__test__/support/raw-polling");
const { eventually } = require("../__test__/support/waiting");
const { LightClient } = require("./support/light-client");
const { now, summary } = require("./support/latencies");
const { memoryKept } = require("./support/memory");

const MB = 1e6;
const READERS = 40;
const DEAF = 6;
const POLLING = 2;
const SATURATED = 2;
const SLOW = DEAF + POLLING + SATURATED;

const EVERYBODY = 24_000;
const OWN = 4_000;
/** The slow ones get more, for the kernel takes up to 6 MB for each before a server has to keep anything. */
const OWN_OF_SLOW = 60_000;
const INTERVAL = 25;
/** So much a client on a saturated link reads, a twentieth of what it is sent: bytes, and how often in ms. */
const TRICKLE = 18_000;
const TRICKLE_INTERVAL = 100;

const LIMIT = 2 * MB;
/** In ms; who does not read is not given up for that. */
const PING_INTERVAL = 600_000;

const POLICIES = ["drop-oldest", "drop-newest", "latest"];

module.exports = {
  name: "slow-consumers",
  shows: "clients that do not read cost what waits for them, and nobody else notices",
  rows: [
    { figure: "waited", label: "not read", unit: "MB" },
    { figure: "gained", label: "memory gained", unit: "MB" },
    { figure: "perByte", label: "of it for a byte not read", unit: "bytes", noWorse: true, noise: 0.2 },
    { figure: "kept", label: "kept after they left", unit: "MB", noWorse: true, noise: 15 },
    { figure: "p50", label: "p50 of the others", unit: "ms", noWorse: true, noise: 5 },
    { figure: "p99", label: "p99 of the others", unit: "ms", noWorse: true, noise: 30 },
    { figure: "loopMax", label: "longest wait of the loop", unit: "ms", noWorse: true, noise: 40 },
    { figure: "boundedGained", label: "memory gained with maxOutboundBuffer", unit: "MB" },
    { figure: "boundedP99", label: "p99 of the others with it", unit: "ms" },
    { figure: "dropped", label: `slow ones of ${SLOW} given up with it` },
    ...POLICIES.flatMap((policy) => [
      { figure: `${policy} gained`, label: `memory gained with slowConsumer, ${policy}`, unit: "MB" },
      { figure: `${policy} p99`, label: "p99 of the others with it", unit: "ms" },
      { figure: `${policy} stayed`, label: `slow ones of ${SLOW} that stayed` },
    ]),
  ],
  scales: {
    short: { seconds: 3.5, looks: 3, limit: 60 },
    normal: { seconds: 12, limit: 120 },
    long: { seconds: 40, limit: 400 },
  },
  run,
  server,
  readers,
  slow,
};

async function run(context) {
  const unlimited = await trial(context, {});
  const { figures, failures } = unlimited;
  if (!context.isStock) {
    const bounded = await trial(context, { maxOutboundBuffer: LIMIT });
    failures.push(...bounded.failures.map((failure) => `with maxOutboundBuffer: ${failure}`));
    figures.boundedGained = bounded.figures.gained;
    figures.boundedP99 = bounded.figures.p99;
    figures.dropped = bounded.dropped;
    if (bounded.dropped !== SLOW || bounded.readersLeft !== READERS) {
      failures.push(
        `with maxOutboundBuffer ${bounded.dropped} of ${SLOW} slow clients were dropped, ` +
          `and ${bounded.readersLeft} of ${READERS} others stayed`,
      );
    }
    // what may wait, once more for its copies, and what a server needs to work with
    const most = (2 * SLOW * LIMIT) / MB + 40;
    if (bounded.figures.gained > most) {
      failures.push(`${Math.round(bounded.figures.gained)} MB in spite of maxOutboundBuffer, above ${most}`);
    }
    for (const policy of POLICIES) {
      const dropping = await trial(context, { slowConsumer: { policy, maxBytes: LIMIT } });
      failures.push(...dropping.failures.map((failure) => `${policy}: ${failure}`));
      figures[`${policy} gained`] = dropping.figures.gained;
      figures[`${policy} p99`] = dropping.figures.p99;
      figures[`${policy} stayed`] = SLOW - dropping.dropped;
      if (dropping.dropped > 0 || dropping.readersLeft !== READERS) {
        failures.push(`${policy}: ${dropping.dropped} of the slow clients were given up`);
      }
      if (dropping.figures.gained > most) {
        failures.push(`${policy}: ${Math.round(dropping.figures.gained)} MB, above ${most}`);
      }
    }
  }
  return { figures, failures };
}

async function trial({ serve, start, scale }, options) {
  const server = await serve("server", {}, { server: { pingInterval: PING_INTERVAL, ...options } });
  const { port } = server;
  const reading = start("readers", { port });
  const notReading = start("slow", { port });
  await Promise.all([reading.message("ready"), notReading.message("ready")]);
  await eventually(async () => (await server.ask("slow")) === SLOW, "the slow ones are known");
  await server.ask("gc");
  await server.usage();
  server.resetPeak();
  const before = server.totals().rss;

  await server.ask("begin");
  await delay(scale.seconds * 1000);
  if (options.maxOutboundBuffer) {
    const isDone = async () => (await server.ask("dropped")) === SLOW;
    // the failure is told below
    await eventually(isDone, "the slow ones are dropped", scale.seconds * 2000).catch(() => {});
  }
  const { sent, dropped, sockets } = await server.ask("end");
  const gained = server.totals().peakRss - before;
  const { loopMax } = await server.usage();
  const { latencies, faults } = await reading.ask("received", { sent });
  const { read } = await notReading.ask("read");

  await notReading.ask("leave");
  await notReading.kill();
  await eventually(async () => (await server.ask("count")) === READERS, "the slow ones have gone", 30_000);
  const isBounded = options.maxOutboundBuffer || options.slowConsumer;
  const kept = isBounded ? 0 : await memoryKept(server, before, scale.looks);
  await Promise.all([reading.kill(), server.kill()]);
  const waited = SLOW * sent * (EVERYBODY + OWN_OF_SLOW) - read;
  return {
    dropped,
    readersLeft: sockets - SLOW + dropped,
    failures: faults,
    figures: {
      waited: waited / MB,
      gained: gained / MB,
      perByte: gained / waited,
      kept: kept / MB,
      p50: latencies.p50,
      p99: latencies.p99,
      loopMax,
    },
  };
}

function server({ io, answers }) {
  let dropped = 0;
  let sent = 0;
  let timer;
  io.engine.on("slow_consumer", (_conn, _bytes, outcome) => (dropped += outcome === "close" ? 1 : 0));
  const everybodys = "x".repeat(EVERYBODY);
  const own = "y".repeat(OWN);
  const ownOfSlow = "z".repeat(OWN_OF_SLOW);
  const isSlow = new Set();
  io.on("connection", (socket) => socket.on("slow", () => isSlow.add(socket)));
  answers.slow = () => isSlow.size;
  answers.begin = () => {
    timer = setInterval(() => {
      sent++;
      io.emit("all", sent, now(), everybodys);
      for (const socket of io.of("/").sockets.values()) {
        socket.emit("own", sent, now(), isSlow.has(socket) ? ownOfSlow : own);
      }
    }, INTERVAL);
  };
  answers.end = () => {
    clearInterval(timer);
    return { sent, dropped, sockets: io.of("/").sockets.size };
  };
  answers.dropped = () => dropped;
  answers.count = () => io.of("/").sockets.size;
}

/** Those who read, and see to it that everything comes, in order. */
async function readers({ args, answers, tell }) {
  const clients = await LightClient.connectMany(READERS, args.port);
  const latencies = [];
  const faults = [];
  const last = clients.map(() => 0);
  clients.forEach((client, index) => {
    client.onMessage = (payload) => {
      // each number twice: to everybody, then its own
      const [, name, number, sentAt] = /^42\["(all|own)",(\d+),([\d.]+),/.exec(
        payload.toString("latin1", 0, 60),
      );
      latencies.push(now() - Number(sentAt));
      const place = 2 * Number(number) - (name === "all" ? 1 : 0);
      if (place !== last[index] + 1 && faults.length < 3) {
        faults.push(`reader ${index} got message ${place} behind ${last[index]}`);
      }
      last[index] = place;
    };
    client.onEnd = (end) => faults.push(`reader ${index} was disconnected: ${end}`);
  });
  answers.received = async ({ sent }) => {
    const isComplete = () => last.every((place) => place === 2 * sent);
    await eventually(isComplete, "the rest").catch(() => {
      const missing = last.filter((place) => place !== 2 * sent).length;
      faults.push(`${missing} readers have not got all of ${2 * sent} messages`);
    });
    return { latencies: summary(latencies), faults };
  };
  tell("ready");
}

/** Those who do not read, or not as much as they are sent. */
async function slow({ args, answers, tell }) {
  const connect = (count) => LightClient.connectMany(count, args.port);
  const [deaf, saturated] = await Promise.all([connect(DEAF), connect(SATURATED)]);
  const polling = [];
  for (let i = 0; i < POLLING; i++) polling.push(await RawPolling.connect({ port: args.port }));
  for (const client of polling) await client.post('42["slow"]');
  for (const client of [...deaf, ...saturated]) {
    client.send('42["slow"]');
    client.pause();
  }
  setInterval(() => saturated.forEach(({ socket }) => readSome(socket, TRICKLE)), TRICKLE_INTERVAL);
  answers.read = () => ({
    read: saturated.reduce((sum, { socket }) => sum + socket.bytesRead, 0),
  });
  // one that was dropped is answered with an error
  answers.leave = () => Promise.all(polling.map((client) => client.post("1")));
  tell("ready");
}

/** Reads about so many bytes, and then no more. */
function readSome(socket, bytes) {
  const end = socket.bytesRead + bytes;
  socket.on("data", function onData() {
    if (socket.bytesRead < end) return;
    socket.pause();
    socket.removeListener("data", onData);
  });
  socket.resume();
}
