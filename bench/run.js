"use strict";

// `npm run bench`: this package and its peers by turns, the same load on the same application.
//
//   npm run bench                        everything, five rounds: about an hour
//   npm run bench -- --only roads        each way of connecting, with stock clients: about ten minutes
//   npm run bench -- --quick             the most telling scenarios, one short round: about two minutes
//   npm run bench -- --only echo         the scenarios whose names contain the word, or the one of this name
//   npm run bench -- --peers ws,bun      against these only
//   npm run bench -- --rounds 3 --secs 1 so many rounds, so many seconds for each run
//   npm run bench -- --clients 50        so many clients, in place of what the scenarios say
//   npm run bench -- --save DIRECTORY    where results.json and results.svg go
//
// Scenarios of several nodes need a Redis: that of REDIS_URL, or of this machine.
//
// Prints medians, and in brackets the median of the ratios ours ÷ theirs of each round. bench/results.json keeps them,
// bench/results.svg and the tables of the README and of docs/performance.md show them. A run for a look, that is one with
// --quick, --secs, --clients or --peers, is saved in target/bench instead, and in no document.
// Absolute figures depend on the machine and its mood; ratios of runs made one after the other are what counts.

const path = require("node:path");
const { parseArgs } = require("node:util");
const { canRun, ensureInstalled, root, run } = require("../scripts/support");
const chart = require("./chart");
const crates = require("./crates");
const documents = require("./documents");
const { ours, peers } = require("./peers");
const results = require("./results");
const scenarios = require("./scenarios");
const table = require("./table");
const trial = require("./trial");

const TIMING = { secs: 3, warm: 1 };
const QUICK_TIMING = { secs: 0.8, warm: 0.3 };

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});

async function main() {
  const options = readOptions(process.argv.slice(2));
  prepare();
  progress("building the load generator");
  await crates.build("loadgen");
  const installed = await install(options);
  const measured = [];
  for (const scenario of options.scenarios) {
    const present = options.peers.filter(({ name }) => installed.has(name) && scenario.peers.includes(name));
    const servers = [ours, ...present];
    const runs = await takeTurns(scenario, servers, options);
    const names = servers.map(({ name }) => name);
    measured.push(results.summarise(scenario, names, runs));
    console.log(`${table(measured.at(-1))}\n`);
    save(measured, options);
  }
  console.log(`${measured.at(-1).machine}; medians of ${options.rounds} paired rounds, in ${options.save}`);
}

function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      quick: { type: "boolean", default: false },
      rounds: { type: "string" },
      secs: { type: "string" },
      clients: { type: "string" },
      only: { type: "string", default: "" },
      peers: { type: "string" },
      save: { type: "string" },
    },
  });
  const timing = values.quick ? QUICK_TIMING : TIMING;
  const secs = positive("secs", values.secs ?? timing.secs);
  const wanted = values.peers?.toLowerCase().split(",");
  const isOfficial = !(values.quick || wanted || values.secs || values.clients);
  const options = {
    rounds: Math.ceil(positive("rounds", values.rounds ?? (values.quick ? 1 : 5))),
    timing: { secs, warm: timing.warm },
    load: values.clients ? { clients: Math.ceil(positive("clients", values.clients)) } : {},
    peers: peers.filter(({ name }) => !wanted || wanted.includes(name.toLowerCase())),
    scenarios: scenariosNamed(values.only).filter(({ quick }) => quick || !values.quick),
    save: values.save ?? (isOfficial ? __dirname : path.join(root, "target", "bench")),
  };
  if (wanted && options.peers.length < wanted.length) {
    throw new Error(`the peers are ${peers.map(({ name }) => name).join(", ")}`);
  }
  if (options.scenarios.length === 0) {
    throw new Error(`the scenarios are ${scenarios.map(({ name }) => name).join("; ")}`);
  }
  return options;
}

function positive(name, value) {
  if (!(Number(value) > 0)) {
    throw new Error(`--${name} ${value} is no positive number`);
  }
  return Number(value);
}

/** The scenario of a name, those of a group, or all whose names contain it. */
function scenariosNamed(name) {
  const exact = scenarios.filter((scenario) => scenario.name === name || scenario.group === name);
  return exact.length > 0 ? exact : scenarios.filter((scenario) => scenario.name.includes(name));
}

/** This package must be installed and built; stock comes with its development. */
function prepare() {
  if (process.platform !== "linux") {
    throw new Error("the benchmark reads /proc and waits with epoll, so it needs Linux");
  }
  ensureInstalled();
  if (!run(process.execPath, [path.join(root, "scripts", "build.js"), "--if-needed"]) || !canRun("cargo")) {
    throw new Error("the benchmark needs this package built, and Rust");
  }
}

/** Installs the peers that take part, each when it is first needed; returns the names of those that are there. */
async function install({ peers, scenarios }) {
  const installed = new Set();
  for (const peer of peers.filter(({ name }) =>
    scenarios.some((scenario) => scenario.peers.includes(name)),
  )) {
    try {
      if (peer.install) {
        progress(`installing ${peer.name}`);
        await peer.install();
      }
      peer.command();
      installed.add(peer.name);
    } catch (error) {
      console.error(`without ${peer.name}, which cannot be installed: ${error.message}`);
    }
  }
  return installed;
}

/** The runs of each server, one a round. Who comes first changes from round to round. */
async function takeTurns(scenario, servers, { rounds, timing, load }) {
  const changed = { ...scenario, load: { ...scenario.load, ...load } };
  const runs = Object.fromEntries(servers.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++) {
    const first = round % servers.length;
    for (const server of [...servers.slice(first), ...servers.slice(0, first)]) {
      progress(`${scenario.name}, round ${round + 1} of ${rounds}: ${server.name}`);
      try {
        runs[server.name].push({ measured: await trial(server, changed, timing) });
      } catch (error) {
        runs[server.name].push({ failure: error.message });
        progress(`${server.name} failed: ${error.message}`);
      }
    }
  }
  return runs;
}

function save(measured, options) {
  const order = scenarios.map(({ name }) => name);
  const all = results.save(options.save, measured, order);
  chart.write(path.join(options.save, "results.svg"), all);
  if (options.save === __dirname) {
    documents.write(all);
  }
}

function progress(sentence) {
  process.stderr.write(`${sentence}\n`);
}
