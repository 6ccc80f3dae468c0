"use strict";

// What the runs of a scenario come to, and the file that it is kept in.

const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { median } = require("./measures");

const FILE = "results.json";

/**
 * @param {import("./scenarios").Scenario} scenario
 * @param {string[]} servers the first is ours
 * @param {Record<string, ({ measured: Record<string, number> } | { failure: string })[]>} runs by server, one a round
 */
function summarise(scenario, servers, runs) {
  const [ours] = servers;
  return {
    name: scenario.name,
    operation: scenario.operation,
    charts: scenario.charts,
    rounds: runs[ours].length,
    measured: new Date().toISOString().slice(0, 10),
    machine: describeMachine(),
    servers: Object.fromEntries(
      servers.map((server) => [
        server,
        {
          medians: byMeasure(scenario, (name) => valuesOf(runs[server], name)),
          ratios:
            server === ours
              ? undefined
              : byMeasure(scenario, (name) => ratiosOf(runs[ours], runs[server], name)),
          failures: runs[server].flatMap(({ failure }) => failure ?? []),
        },
      ]),
    ),
  };
}

function byMeasure(scenario, read) {
  const found = scenario.measures.map((name) => [name, read(name)]);
  return Object.fromEntries(found.filter(([, values]) => values.length > 0).map(toMedian));
}

function toMedian([name, values]) {
  return [name, Number(median(values).toPrecision(6))];
}

function valuesOf(runs, name) {
  return runs.flatMap(({ measured }) => measured?.[name] ?? []);
}

/** Ours ÷ theirs, round by round. Where the kernel's clock was too coarse for one of them, there is no ratio. */
function ratiosOf(ours, theirs, name) {
  return ours
    .map(({ measured }, round) => measured?.[name] / theirs[round].measured?.[name])
    .filter((ratio) => Number.isFinite(ratio) && ratio > 0);
}

function describeMachine() {
  const [cpu] = os.cpus();
  return `${cpu.model}, ${os.cpus().length} cores, ${os.type()} ${os.release()}, Node ${process.version}`;
}

/** The results that a directory has. */
function load(directory) {
  const file = path.join(directory, FILE);
  return fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, "utf8")).scenarios : [];
}

/** Replaces those of the scenarios that were measured again, and leaves the others; `order` is that of the names. */
function save(directory, measured, order) {
  const kept = load(directory).filter(({ name }) => !measured.some((result) => result.name === name));
  const all = [...kept, ...measured].filter(({ name }) => order.includes(name));
  all.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  fs.mkdirSync(directory, { recursive: true });
  fs.writeFileSync(path.join(directory, FILE), JSON.stringify({ scenarios: all }, undefined, 2) + "\n");
  return all;
}

module.exports = { describeMachine, load, save, summarise };
