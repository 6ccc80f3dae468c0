"use strict";

// What hostile clients can do, one attack after the other (support/attacks.js), while five others send an event, wait for the
// answer, and so on. Of each attack it is told what CPU time of the server it takes for what it costs the attacker, how much
// memory, and how long the others and the event loop wait. In the end the process is alive, and the memory is given back. With
// --short it is every third of them. A variant is one of them alone.

const { setTimeout: delay } = require("node:timers/promises");
const { cpuBetween, look } = require("../bench/server-process");
const attacks = require("./support/attacks");
const bystanders = require("./support/bystanders");
const { memoryKept } = require("./support/memory");

const MB = 1e6;
const OTHERS = 5;
/** Ms between an answer and the next event. */
const REST = 8;
const WARM_UP = 500;
/**
 * Attacks whose connections come to Node. A worker has looked at them first and hands them over, which costs up to so many µs
 * besides, as for every request of the application on a connection of its own (see README.md).
 */
const NODES = /^(a header|a subprotocol|extensions|half heads|requests of|smuggling|upgrades with|1,500)/;
const HAND_OVER = 200;
/** In MB: so much V8 takes for young objects when it thinks fit. */
const YOUNG = 30;

/** Requests that come one behind the other: how long they hold the loop up is how many Node finds when it reads. In ms. */
const ONE_GO = 150;

/** Sessions that nobody goes on with end soon. In ms. */
const OPTIONS = { pingInterval: 2000, pingTimeout: 1500, connectTimeout: 1500, perMessageDeflate: true };
const SESSIONS_END = 4500;

const names = Object.keys(attacks);
const detail = (figure, label, unit, noise) => ({
  figure,
  label,
  unit,
  noWorse: true,
  noise,
  isDetail: true,
});

module.exports = {
  name: "hostile",
  shows:
    "whatever a client sends: the process lives, others are served, and it costs no more than with stock",
  rows: [
    { figure: "attacks", label: "attacks" },
    { figure: "p99", label: "p99 of the others, at worst", unit: "ms" },
    { figure: "loop", label: "longest wait of the loop", unit: "ms" },
    { figure: "gained", label: "memory gained, at worst", unit: "MB" },
    { figure: "kept", label: "memory kept after all", unit: "MB", noWorse: true, noise: 20 },
    ...names.flatMap((name) => {
      const isFlood = attacks[name].unit === "KB";
      const noise = isFlood ? 5 : NODES.test(name) ? HAND_OVER : 100;
      const waits = name === "pipelined requests" ? ONE_GO : 50;
      return [
        detail(`${name} cpu`, `${name}: CPU ${isFlood ? "a KB" : "each"}`, "µs", noise),
        detail(`${name} gained`, `${name}: memory`, "MB", YOUNG),
        detail(`${name} p99`, `${name}: p99 of the others`, "ms", waits),
        detail(`${name} loop`, `${name}: wait of the loop`, "ms", waits),
      ];
    }),
  ],
  scales: {
    short: { ms: 40, every: 3, quiet: 1, limit: 90 },
    normal: { ms: 500, every: 1, quiet: 5, limit: 300 },
    long: { ms: 6000, every: 1, quiet: 5, limit: 900 },
  },
  variants: names,
  run,
  server,
  attacker,
  bystanders,
};

async function run({ serve, start, scale, say, variant }) {
  const server = await serve("server", {}, { server: OPTIONS });
  const others = start("bystanders", { port: server.port, clients: OTHERS, pause: REST });
  const attacker = start("attacker", { port: server.port, ms: scale.ms });
  await Promise.all([others.message("ready"), attacker.message("ready")]);
  const cpuOfEcho = await cpuOfOthers(server, others, scale.quiet);
  await server.ask("gc");
  const atFirst = server.totals().rss;

  const figures = { attacks: 0 };
  const failures = [];
  const chosen = variant ? [variant] : names.filter((_, index) => index % scale.every === 0);
  for (const name of chosen) {
    try {
      const one = await suffer(server, others, attacker, name, cpuOfEcho);
      figures.attacks++;
      for (const [figure, value] of Object.entries(one)) figures[`${name} ${figure}`] = value;
    } catch (error) {
      failures.push(`${name}: ${error.message.split("\n")[0]}`);
      if (server.exited !== null) {
        failures.push(`${name}: the server has ended: ${server.said.stderr.trim().slice(-500)}`);
        return { figures, failures };
      }
      say(failures.at(-1));
    }
  }
  await attacker.kill();
  await delay(SESSIONS_END);
  figures.kept = (await memoryKept(server, atFirst)) / MB;
  const { sockets, clients } = await server.ask("left");
  if (sockets !== OTHERS || clients !== OTHERS) {
    failures.push(`${sockets} sockets and ${clients} sessions are left, not ${OTHERS}`);
  }
  for (const figure of ["p99", "loop", "gained"]) {
    figures[figure] = Math.max(...names.map((name) => figures[`${name} ${figure}`] ?? 0));
  }
  return { figures, failures };
}

/** CPU time of an echo, in µs: the least of several times, for a process that has just begun has other things to do. */
async function cpuOfOthers(server, others, times) {
  let least = Infinity;
  for (let i = 0; i < times; i++) {
    await delay(WARM_UP);
    await others.ask("echoes");
    const before = look(server.pid);
    await delay(WARM_UP);
    const { count } = await others.ask("echoes");
    least = Math.min(least, cpuBetween(before, look(server.pid)) / count);
  }
  return least;
}

/** What one attack does. */
async function suffer(server, others, attacker, name, cpuOfEcho) {
  await server.ask("gc");
  await server.usage();
  await others.ask("echoes");
  server.resetPeak();
  const { rss } = server.totals();
  const before = look(server.pid);
  const units = await attacker.ask("attack", { name }, 60_000);
  const cpu = cpuBetween(before, look(server.pid));
  const gained = server.totals().peakRss - rss;
  const { loopMax } = await server.usage();
  const { p99, count } = await others.ask("echoes");
  await others.ask("served");
  return {
    cpu: Math.max(0, cpu - count * cpuOfEcho) / units,
    gained: gained / MB,
    p99,
    loop: loopMax,
  };
}

function server({ io, answers }) {
  io.on("connection", (socket) => {
    socket.on("echo", (number, reply) => reply(number));
    socket.on("x", () => {});
    socket.on("error", () => {});
  });
  io.of("/known");
  answers.left = () => ({ sockets: io.of("/").sockets.size, clients: io.engine.clientsCount });
}

function attacker({ args, answers, tell }) {
  answers.attack = ({ name }) => attacks[name].run(args);
  tell("ready");
}
