"use strict";

/** `sockeye.io compare`: what a client, an echo and a broadcast cost on this machine, here and with stock socket.io. */

const os = require("os");
const path = require("path");
const { version } = require("../../package.json");
const { findStock } = require("../fallback/stock");
const { describeRuntime } = require("../native/system");
const { Child } = require("./children");
const { format, paint, table } = require("./text");

const MANIFEST = path.join(__dirname, "..", "..", "package.json");

/** What is put off until clients have connected, in ms. */
const SETTLING = 500;

/** The part of a stage for which it is warmed up first. */
const WARM_UP = 0.25;

/** What is measured: how it is called, and whether more of it is better. */
const MEASURES = {
  cpuPerConnect: { label: "CPU for a connect, µs", moreIsBetter: false },
  memoryPerClient: { label: "memory of a client, KiB", moreIsBetter: false },
  cpuPerEcho: { label: "CPU for an echo, µs", moreIsBetter: false },
  cpuPerDelivery: { label: "CPU for a delivery, µs", moreIsBetter: false },
  connectsPerSecond: { label: "connects per second", moreIsBetter: true },
  echoesPerSecond: { label: "echoes per second", moreIsBetter: true },
  echoLatency: { label: "median time of an echo, µs", moreIsBetter: false },
  deliveriesPerSecond: { label: "deliveries per second", moreIsBetter: true },
};

const NO_STOCK =
  "Stock socket.io is not installed here; to compare with it: npm install --no-save socket.io@4";

/**
 * Measures, and prints what came of it.
 * @param {{ json?: boolean, rounds: number, seconds: number, clients: number }} options
 * @returns {Promise<boolean>} whether it could be measured
 */
async function compare(options) {
  const contenders = findContenders();
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  // children are ended with this process, if it ends in an orderly way
  for (const signal of signals) process.on(signal, () => process.exit(1));
  try {
    for (let round = 0; round < options.rounds; round++) {
      // neither is always the one that comes first
      const order = round % 2 === 0 ? contenders : [...contenders].reverse();
      for (const contender of order) {
        tellProgress(options, round, contender);
        contender.rounds.push(await measure(contender, options));
      }
    }
  } catch (error) {
    tellProgress(options);
    return giveUp(options, error);
  }
  tellProgress(options);
  const report = summarize(contenders, options);
  console.log(options.json ? JSON.stringify(report, null, 2) : linesOf(report).join("\n"));
  return true;
}

function findContenders() {
  const ours = { name: "sockeye.io", version, manifest: MANIFEST, rounds: [] };
  const { fit } = findStock([path.resolve("package.json"), __filename]);
  if (fit === undefined) return [ours];
  const stock = {
    name: "socket.io",
    version: fit.version,
    manifest: path.join(fit.root, "package.json"),
    rounds: [],
  };
  return [ours, stock];
}

function giveUp({ json }, { message }) {
  if (json) console.log(JSON.stringify({ command: "compare", version, error: message }, null, 2));
  else console.error(`sockeye.io: it could not be measured: ${message}\nTry sockeye.io doctor.`);
  return false;
}

/** What is being done, on a line that is written again and again. */
function tellProgress({ json, rounds }, round, contender) {
  if (json || !process.stderr.isTTY) return;
  process.stderr.write("\r\x1b[K");
  if (contender !== undefined) process.stderr.write(`round ${round + 1} of ${rounds}: ${contender.name} …`);
}

/** One round of one server, which is started for it. */
async function measure({ manifest }, { clients: count, seconds }) {
  const { DEBUG, ...rest } = process.env;
  void DEBUG;
  const env = { ...rest, SOCKEYE_NATIVE: "1" };
  const server = new Child(path.join(__dirname, "compare-server.js"), {
    args: [manifest],
    execArgv: ["--expose-gc"],
    env,
  });
  const load = new Child(path.join(__dirname, "compare-load.js"), { env });
  try {
    const port = await server.ask("listen");
    const started = await server.ask("usage", { collects: true });
    const connecting = await load.ask("connect", { port, count }, 60_000);
    await passed(SETTLING);
    const connected = await server.ask("usage");
    const settled = await server.ask("usage", { collects: true });
    const echoes = await measureStage(server, load, "echo", seconds);
    const deliveries = await measureStage(server, load, "broadcast", seconds);
    return {
      cpuPerConnect: (connected.cpu - started.cpu) / count,
      memoryPerClient: (settled.memory - started.memory) / count,
      cpuPerEcho: echoes.cpu,
      cpuPerDelivery: deliveries.cpu,
      connectsPerSecond: count / connecting,
      echoesPerSecond: echoes.rate,
      echoLatency: echoes.median,
      deliveriesPerSecond: deliveries.rate,
    };
  } finally {
    await Promise.all([server.end(), load.end()]);
  }
}

/** What an operation of a stage costs the server, in µs, and how many there are in a second. */
async function measureStage(server, load, name, seconds) {
  const patience = seconds * 1000 + 60_000;
  await load.ask(name, { seconds: seconds * WARM_UP }, patience);
  const before = await server.ask("usage");
  const { operations, seconds: taken, median } = await load.ask(name, { seconds }, patience);
  const after = await server.ask("usage");
  return { cpu: (after.cpu - before.cpu) / operations, rate: operations / taken, median };
}

/** What is printed as JSON: see docs/command.md. */
function summarize(contenders, { rounds, seconds, clients }) {
  const results = contenders.map((contender) => ({
    name: contender.name,
    version: contender.version,
    medians: mapMeasures((name) => median(contender.rounds.map((round) => round[name]))),
    rounds: contender.rounds,
  }));
  const [ours, stock] = contenders;
  return {
    command: "compare",
    version,
    machine: {
      cpu: os.cpus()[0]?.model ?? null,
      cores: os.availableParallelism(),
      platform: process.platform,
    },
    runtime: describeRuntime(),
    options: { rounds, seconds, clients },
    results,
    // of each round, since the machine is not the same in all
    ratios: stock
      ? mapMeasures((name) =>
          median(ours.rounds.map((round, index) => round[name] / stock.rounds[index][name])),
        )
      : null,
  };
}

function mapMeasures(valueOf) {
  return Object.fromEntries(Object.keys(MEASURES).map((name) => [name, valueOf(name)]));
}

function linesOf({ results, ratios, options, machine, runtime }) {
  const head = [
    "",
    ...results.map(({ name, version: its }) => `${name} ${its}`),
    ...(ratios ? ["ours ÷ stock"] : []),
  ];
  const rows = Object.entries(MEASURES).map(([name, { label }]) => [
    label,
    ...results.map(({ medians }) => format(medians[name])),
    ...(ratios ? [ratios[name].toFixed(2)] : []),
  ]);
  const lines = table([head, ...rows]);
  const painted = lines.map((line, index) => {
    if (index === 0) return paint("bold", line);
    const [name, { moreIsBetter }] = Object.entries(MEASURES)[index - 1];
    if (ratios === null || ratios[name] === 1) return line;
    return paint(ratios[name] > 1 === moreIsBetter ? "green" : "yellow", line);
  });
  return [
    ...painted,
    "",
    `Medians of ${options.rounds} rounds with ${options.clients} WebSocket clients on this machine, and of the rounds' ratios: ${machine.cores} cores, ${runtime}.`,
    "CPU and memory are the server process's, native threads included; rates and times are the clients' as well, who share the machine.",
    ...(ratios ? [] : [NO_STOCK]),
  ];
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function passed(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

module.exports = { compare };
