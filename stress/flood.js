"use strict";

// Ten clients send fifty times the events that a client may, while 50 others send an event, wait for the answer, rest for 20 ms, and so on. Without
// limits, which stock does not have, the application's listeners get all of it. With `limits`, which native threads keep, the
// flood is not to cost the JavaScript thread anything that could be measured, whatever comes of it: the client is not read,
// its events are dropped, or it is disconnected. Then somebody asks for fifty times the sessions that may begin: native threads refuse
// those, of which the JavaScript thread has nothing but to accept and to close their connections.

const net = require("node:net");
const { setTimeout: delay } = require("node:timers/promises");
const { TEXT, frame, upgradeRequest } = require("../__test__/support/raw-websocket");
const bystanders = require("./support/bystanders");
const { LightClient } = require("./support/light-client");

const FLOODERS = 10;
const OTHERS = 50;
/** Ms between an answer and the next event. */
const REST = 20;
/** Packets that a client may send in a second, and how many times that the flooders do. */
const RATE = 100;
const TIMES = 50;
/** Ms between two writes of a flooder. */
const INTERVAL = 20;
/** Sessions that may begin in a second, fifty times which are asked for; and for how many seconds that may be saved up: the others want to begin too. */
const HANDSHAKES = 20;
const BURST = 5;

/** Ms before figures are taken: by then, nobody has anything saved up. */
const WARM_UP = 1500;

/** In ms. */
const PING_INTERVAL = 600_000;

const ACTIONS = ["pause", "drop", "close"];

/** By how much of the JavaScript thread's time two runs of the same thing differ, in per cent. */
const NOISE = 5;

module.exports = {
  name: "flood",
  shows: "clients that send fifty times what they may cost the JavaScript thread nothing",
  rows: [
    { figure: "alone busy", label: "JavaScript thread busy without a flood", unit: "%" },
    { figure: "alone p99", label: "p99 of the others", unit: "ms" },
    {
      figure: "unlimited busy",
      label: "busy in a flood, without limits",
      unit: "%",
      noWorse: true,
      noise: NOISE,
    },
    { figure: "unlimited p99", label: "p99 of the others", unit: "ms", noWorse: true, noise: 30 },
    { figure: "unlimited handled", label: "events of the flood handled", unit: "/s", moreIsBetter: true },
    ...ACTIONS.flatMap((action) => [
      { figure: `${action} busy`, label: `busy in a flood, ${action}`, unit: "%" },
      { figure: `${action} p99`, label: "p99 of the others", unit: "ms" },
      { figure: `${action} handled`, label: "events of the flood handled", unit: "/s" },
    ]),
    { figure: "memory", label: "memory gained by pause", unit: "MB" },
    { figure: "handshakes busy", label: "busy in a flood of handshakes, with a limit", unit: "%" },
    { figure: "handshakes p99", label: "p99 of the others", unit: "ms" },
    { figure: "handshakes refused", label: "handshakes of the flood refused", unit: "/s" },
    { figure: "handshakes cost", label: "JavaScript thread's time for each", unit: "µs" },
  ],
  scales: {
    short: { seconds: 1.5, limit: 60 },
    normal: { seconds: 6, limit: 120 },
    long: { seconds: 30, limit: 300 },
  },
  run,
  server,
  flooders,
  knockers,
  bystanders,
};

async function run(context) {
  const figures = {};
  const failures = [];
  const unlimited = await trial(context, undefined);
  figures["alone busy"] = unlimited.alone.busy;
  figures["alone p99"] = unlimited.alone.p99;
  note("unlimited", unlimited);
  if (context.isStock) return { figures, failures };
  for (const action of ACTIONS) {
    const limited = await trial(context, { packetsPerSecond: RATE, action });
    note(action, limited);
    if (action === "pause") figures.memory = limited.gained;
    const { handled, busy } = limited.flood;
    const most = FLOODERS * RATE * 1.3;
    if (action !== "close" && handled > most) {
      failures.push(`${action}: ${Math.round(handled)} events a second were handled, above ${most}`);
    }
    const quiet = limited.alone.busy + (action === "close" ? 2 : 1) * NOISE;
    if (busy > quiet) failures.push(`${action}: busy for ${busy.toFixed(1)} %, above ${quiet.toFixed(1)}`);
    if (limited.left !== (action === "close" ? 0 : FLOODERS)) {
      failures.push(`${action}: ${limited.left} of ${FLOODERS} flooders are connected at the end`);
    }
  }
  const knocked = await trial(context, { handshakesPerSecond: HANDSHAKES, burst: BURST }, "knockers");
  const { busy, p99, refused, brought } = knocked.flood;
  figures["handshakes busy"] = busy;
  figures["handshakes p99"] = p99;
  figures["handshakes refused"] = refused;
  figures["handshakes cost"] = (1e4 * Math.max(0, busy - knocked.alone.busy)) / refused;
  if (refused < HANDSHAKES) failures.push(`${Math.round(refused)} handshakes a second were refused`);
  if (brought > 0)
    failures.push(`${Math.round(brought)} handshakes a second came to JavaScript to be refused`);
  return { figures, failures };

  function note(name, { flood }) {
    figures[`${name} busy`] = flood.busy;
    figures[`${name} p99`] = flood.p99;
    figures[`${name} handled`] = flood.handled;
  }
}

async function trial({ serve, start, scale }, limits, attackers = "flooders") {
  const server = await serve("server", {}, { server: { pingInterval: PING_INTERVAL, limits } });
  const { port } = server;
  const others = start("bystanders", { port, clients: OTHERS, pause: REST });
  const flooding = start(attackers, { port });
  await Promise.all([others.message("ready"), flooding.message("ready")]);

  async function measure() {
    await delay(WARM_UP);
    await others.ask("echoes");
    await server.ask("look");
    await delay(scale.seconds * 1000);
    const [{ p99 }, looked] = await Promise.all([others.ask("echoes"), server.ask("look")]);
    return { p99, ...looked };
  }

  const alone = await measure();
  await server.ask("gc");
  server.resetPeak();
  const before = server.totals().rss;
  await flooding.ask("begin");
  const flood = await measure();
  const gained = (server.totals().peakRss - before) / 1e6;
  await flooding.ask("end");
  const left = (await server.ask("count")) - OTHERS;
  await others.ask("served");
  await Promise.all([flooding.kill(), others.kill(), server.kill()]);
  return { alone, flood, gained, left };
}

function server({ io, answers }) {
  let handled = 0;
  io.on("connection", (socket) => {
    socket.on("echo", (number, reply) => reply(number));
    socket.on("flood", () => handled++);
  });
  let refusals = refusedBy(io.engine);
  let since = performance.now();
  let utilization = performance.eventLoopUtilization();
  /** what the thread has done since it was last asked */
  answers.look = () => {
    const seconds = (performance.now() - since) / 1000;
    const busy = 100 * performance.eventLoopUtilization(utilization).utilization;
    const { workers, all } = refusedBy(io.engine);
    const refused = (all - refusals.all) / seconds;
    const brought = refused - (workers - refusals.workers) / seconds;
    refusals = { workers, all };
    const looked = { busy, handled: handled / seconds, refused, brought };
    since = performance.now();
    utilization = performance.eventLoopUtilization();
    handled = 0;
    return looked;
  };
  answers.count = () => io.of("/").sockets.size;
}

/** How many clients native threads have refused, and how many have been in all. Stock does not count them. */
function refusedBy(engine) {
  const sum = (counts) => Object.values(counts ?? {}).reduce((total, count) => total + count, 0);
  return {
    workers: sum(engine._roads?.().gate?.refused),
    all: sum(engine.metrics?.().sessions.refusals),
  };
}

/** Who asks for too many sessions, and hangs up when answered. */
function knockers({ args, answers, tell }) {
  const request = upgradeRequest("/socket.io/?EIO=4&transport=websocket");
  const knock = () => {
    const socket = net.connect(args.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.on("data", () => socket.destroy());
    socket.write(request);
  };
  let timer;
  answers.begin = () => {
    timer = setInterval(() => {
      for (let n = 0; n < (HANDSHAKES * TIMES * INTERVAL) / 1000; n++) knock();
    }, INTERVAL);
  };
  answers.end = () => clearInterval(timer);
  tell("ready");
}

/** Who sends too much, as far as it is taken. */
async function flooders({ args, answers, tell }) {
  const clients = await LightClient.connectMany(FLOODERS, args.port);
  const bytes = Buffer.concat(
    Array((RATE * TIMES * INTERVAL) / 1000).fill(frame({ opcode: TEXT, payload: '42["flood",1]' })),
  );
  let timer;
  answers.begin = () => {
    timer = setInterval(() => {
      for (const { socket } of clients) if (socket.writable && !socket.writableNeedDrain) socket.write(bytes);
    }, INTERVAL);
  };
  answers.end = () => clearInterval(timer);
  tell("ready");
}
