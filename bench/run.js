"use strict";

// `npm run bench`: this package against socket.io, by turns, the same application and load for both.
//
//   npm run bench                     five rounds, about eight minutes
//   npm run bench -- --rounds 1       a look
//   npm run bench -- --only echo      the scenarios whose names contain the word
//
// Prints the medians of both and of the ratio of each pair of runs, and writes them to bench/results.json. Absolute
// figures depend on the machine and its mood; ratios of runs made one after the other are what counts.

const { execFileSync, fork, spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const root = path.join(__dirname, "..");
const TARGETS = { "socket.io": "socket.io", "sockeye.io": root };

const SCENARIOS = [
  { name: "echo, 100 clients, 4 in flight", args: "--scenario echo --n 100 --inflight 4 --secs 4" },
  { name: "echo, 100 clients, 1 in flight", args: "--scenario echo --n 100 --inflight 1 --secs 4" },
  { name: "broadcast to 1,000, 2 in flight", args: "--scenario broadcast --n 1000 --inflight 2 --secs 4" },
  { name: "broadcast to 1,000, 8 in flight", args: "--scenario broadcast --n 1000 --inflight 8 --secs 4" },
  { name: "5,000 idle connections", args: "--scenario idle --n 5000 --idle 4", idle: true },
];

/** What is read off the load generator's report: name, unit, and whether more is better. */
const MEASURES = {
  ops_per_s: ["operations", "/s", true],
  server_cpu_us_per_op: ["CPU per operation", "µs", false],
  main_us_per_op: ["of it, JavaScript thread", "µs", false],
  p50_us: ["median latency", "µs", false],
  connect_per_s: ["connects", "/s", true],
  connect_main_us: ["JavaScript thread per connect", "µs", false],
  rss_per_conn_kib: ["memory per connection", "KiB", false],
};

const IDLE_MEASURES = ["connect_per_s", "connect_main_us", "rss_per_conn_kib"];
const LOAD_MEASURES = ["ops_per_s", "server_cpu_us_per_op", "main_us_per_op", "p50_us"];

main();

async function main() {
  const options = parseArguments(process.argv.slice(2));
  const loadgen = buildLoadGenerator();
  const results = [];
  for (const scenario of SCENARIOS.filter(({ name }) => name.includes(options.only))) {
    const runs = Object.fromEntries(Object.keys(TARGETS).map((target) => [target, []]));
    for (let round = 1; round <= options.rounds; round++) {
      for (const target of Object.keys(TARGETS)) {
        process.stderr.write(`${scenario.name}: ${target}, round ${round} of ${options.rounds}\n`);
        runs[target].push(await measure(TARGETS[target], loadgen, scenario.args));
      }
    }
    results.push(summarise(scenario, runs));
    print(results.at(-1));
  }
  const machine = `${os.cpus()[0].model}, ${os.cpus().length} cores, Node ${process.version}, ${os.type()} ${os.release()}`;
  console.log(`\n${machine}; medians of ${options.rounds} paired rounds`);
  fs.writeFileSync(
    path.join(__dirname, "results.json"),
    JSON.stringify({ machine, rounds: options.rounds, results }, undefined, 2) + "\n",
  );
}

function parseArguments(args) {
  const options = { rounds: 5, only: "" };
  while (args.length > 0) {
    const [flag, value] = args.splice(0, 2);
    if (flag === "--rounds" && Number(value) > 0) options.rounds = Number(value);
    else if (flag === "--only" && value !== undefined) options.only = value;
    else throw new Error(`unknown or incomplete argument: ${flag}`);
  }
  return options;
}

/** Builds the load generator outside the tree and returns its path. */
function buildLoadGenerator() {
  const target = path.join(os.tmpdir(), "sockeye-loadgen");
  const manifest = path.join(__dirname, "loadgen", "Cargo.toml");
  const { status } = spawnSync(
    "cargo",
    ["build", "--release", "--locked", "--manifest-path", manifest, "--target-dir", target],
    { stdio: "inherit" },
  );
  if (status !== 0) throw new Error("the load generator cannot be built");
  return path.join(target, "release", "loadgen");
}

/** Starts a server, drives it, and returns the load generator's report. */
async function measure(target, loadgen, args) {
  const server = fork(path.join(__dirname, "server.js"), [target], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  try {
    const port = await new Promise((resolve, reject) => {
      server.once("message", resolve);
      server.once("exit", (code) => reject(new Error(`the server ended with code ${code}`)));
    });
    const report = execFileSync(loadgen, ["--port", port, "--pid", server.pid, ...args.split(" ")], {
      encoding: "utf8",
      timeout: 300_000,
    });
    return JSON.parse(report);
  } finally {
    server.removeAllListeners("exit");
    server.kill();
  }
}

function summarise(scenario, runs) {
  const [theirs, ours] = Object.values(runs);
  const names = scenario.idle ? IDLE_MEASURES : LOAD_MEASURES;
  const measures = names.map((name) => ({
    name,
    theirs: median(theirs.map((run) => run[name])),
    ours: median(ours.map((run) => run[name])),
    ratio: median(ours.map((run, round) => run[name] / theirs[round][name])),
  }));
  return { scenario: scenario.name, measures };
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function print({ scenario, measures }) {
  console.log(`\n${scenario}`);
  for (const { name, theirs, ours, ratio } of measures) {
    const [label, unit, moreIsBetter] = MEASURES[name];
    const factor = moreIsBetter ? `${ratio.toFixed(2)} times` : `1/${(1 / ratio).toFixed(2)}`;
    console.log(
      `  ${label.padEnd(30)} socket.io ${format(theirs)} ${unit}, sockeye.io ${format(ours)} ${unit}: ${factor}`,
    );
  }
}

function format(value) {
  return value >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}
