"use strict";

// `npm run stress`: whether this package keeps its promises under stress, and whether stock does, by turns on the same
// machine. Each program is one file of this folder, which says what it shows.
//
//   npm run stress                            all programs
//   npm run stress -- life nothing-lost       these
//   npm run stress -- --short                 a look: all of them in about two minutes
//   npm run stress -- --long                  the long way: hours
//   npm run stress -- --only ours             without stock; --only stock without ours
//   npm run stress -- --rounds 3              so often by turns; what is compared are medians
//   npm run stress -- --workers 4             so many native threads
//   npm run stress -- --variant tls           for programs that have several forms
//   npm run stress -- --minutes 60            for programs that go on for as long as one likes
//   npm run stress -- --seed 7                the same accidents again
//   npm run stress -- --verbose               all figures of programs that have very many
//   npm run stress -- --write                 keeps the figures, and shows them in docs/reliability.md
//
// The exit code is 1 if ours has broken a promise, or has been worse than stock where it must not be. What stock breaks
// is said too.

const { parseArgs } = require("node:util");
const { ensureInstalled, root, run: runCommand } = require("../scripts/support");
const path = require("node:path");
const programs = require("./programs");
const report = require("./report");
const results = require("./results");
const trial = require("./trial");

const OURS = { name: "sockeye.io", package: root };
const STOCK = { name: "socket.io", package: "socket.io" };

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});

async function main() {
  const options = readOptions(process.argv.slice(2));
  prepare();
  const measured = [];
  for (const program of options.programs) {
    console.log(`${program.name}: ${program.shows}`);
    const runs = await takeTurns(program, options);
    measured.push(results.summarise(program, runs, options));
    console.log(`${report.verdict(measured.at(-1))}\n`);
  }
  if (options.write) {
    results.write(measured);
  }
  // nothing that a program may have left open keeps this process
  process.exit(measured.every(({ broken }) => broken.length === 0) ? 0 : 1);
}

function readOptions(args) {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      short: { type: "boolean", default: false },
      long: { type: "boolean", default: false },
      rounds: { type: "string", default: "1" },
      workers: { type: "string" },
      only: { type: "string" },
      variant: { type: "string" },
      minutes: { type: "string" },
      seed: { type: "string", default: "1" },
      verbose: { type: "boolean", default: false },
      write: { type: "boolean", default: false },
    },
  });
  const unknown = positionals.filter((name) => !programs.some((program) => program.name === name));
  if (unknown.length > 0) {
    throw new Error(
      `no program ${unknown.join(", ")}: there are ${programs.map(({ name }) => name).join(", ")}`,
    );
  }
  if (![undefined, "ours", "stock"].includes(values.only)) {
    throw new Error("--only is ours or stock");
  }
  const chosen = programs.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  for (const { name, variants = [] } of chosen) {
    if (values.variant && !variants.includes(values.variant)) {
      throw new Error(
        `${name} has ${variants.length > 0 ? `the variants ${variants.join(", ")}` : "no variants"}`,
      );
    }
  }
  return {
    programs: chosen,
    targets: [OURS, STOCK].filter(
      (target) => values.only === undefined || (target === OURS) === (values.only === "ours"),
    ),
    scale: values.long ? "long" : values.short ? "short" : "normal",
    rounds: number("rounds", values.rounds),
    workers: number("workers", values.workers),
    minutes: number("minutes", values.minutes),
    seed: number("seed", values.seed),
    variant: values.variant,
    verbose: values.verbose,
    write: values.write,
  };
}

function number(name, text) {
  if (text !== undefined && !(Number(text) > 0)) {
    throw new Error(`--${name} ${text} is no positive number`);
  }
  return text === undefined ? undefined : Number(text);
}

/** This package must be installed and built; stock comes with its development. */
function prepare() {
  if (process.platform !== "linux") {
    throw new Error("the programs read /proc, so they need Linux");
  }
  ensureInstalled();
  if (!runCommand(process.execPath, [path.join(root, "scripts", "build.js"), "--if-needed"])) {
    throw new Error("this package is not built");
  }
}

/** The runs of each target, one a round. Who comes first changes from round to round. */
async function takeTurns(program, options) {
  const runs = Object.fromEntries(options.targets.map(({ name }) => [name, []]));
  for (let round = 0; round < options.rounds; round++) {
    const order = round % 2 === 0 ? options.targets : [...options.targets].reverse();
    for (const target of order) {
      const result = await trial(program, target, options);
      runs[target.name].push(result);
      console.log(report.line(program, target, result, options));
    }
  }
  return runs;
}
