"use strict";

// `npm run fuzz`: has libFuzzer look for inputs that break what the engine promises, see fuzz/src/lib.rs. It wants a nightly
// toolchain of Rust, and cargo-fuzz.
//
//   npm run fuzz                           every target, half an hour each
//   npm run fuzz -- frames --minutes 5     one of them, for five minutes
//   npm run fuzz -- frames --keep          and keeps what it has found worth keeping, minimised, in fuzz/seeds
//
// Runs of half an hour or more are noted in fuzz/results.json. Exit code 1: something has crashed.

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { parseArgs } = require("node:util");
const { describe, readClosing } = require("./fuzz/closing");
const { pack, unpack } = require("./fuzz/seeds");
const { ensureInstalled, root, run } = require("./support");

const folder = path.join(root, "fuzz");
const RESULTS = path.join(folder, "results.json");

/** The longest inputs of a target, in bytes. */
const LENGTHS = {
  frames: 8192,
  inflate: 4096,
  operations: 2048,
  payloads: 1024,
  request_heads: 2048,
  socket_io_headers: 1024,
  worker: 4096,
};

/** Runs that are shorter say little. */
const WORTH_NOTING = 30;

/** Apart from what other toolchains build. What libFuzzer says of a target is there too. */
const BUILDS = path.join(root, "target", "fuzz");
const BUILD = ["-O", "--target-dir", BUILDS];

/** Runs one target. @returns {boolean} whether nothing has crashed */
function fuzz(target, minutes, keeps) {
  const corpus = path.join(folder, "corpus", target);
  unpack(target, corpus);
  const args = [
    `-max_total_time=${Math.round(minutes * 60)}`,
    `-max_len=${LENGTHS[target]}`,
    "-rss_limit_mb=2048",
    // on a machine that has much else to do
    "-timeout=60",
    "-report_slow_units=60",
    "-print_final_stats=1",
  ];
  // a file, since a pipe that a process of Node's shares with libFuzzer does not block: what it has no room for would be lost
  const log = path.join(BUILDS, `${target}.log`);
  const output = fs.openSync(log, "w");
  spawnSync("cargo", ["+nightly", "fuzz", "run", ...BUILD, target, corpus, "--", ...args], {
    cwd: root,
    stdio: ["ignore", "inherit", output],
  });
  fs.closeSync(output);
  const said = fs.readFileSync(log, "utf8");
  let closing;
  try {
    closing = readClosing(said);
  } catch (err) {
    console.error(`${said.slice(-4000)}\n${target}: ${err.message}`);
    return false;
  }
  if (closing.crashes.length > 0) console.error(said.slice(Math.max(0, said.indexOf("panicked at") - 200)));
  console.log(describe(target, closing));
  if (closing.seconds >= WORTH_NOTING * 60) note(target, closing);
  if (keeps && closing.crashes.length === 0) {
    if (!run("cargo", ["+nightly", "fuzz", "cmin", ...BUILD, target, corpus])) return false;
    console.log(`${target}: ${pack(target, corpus)} inputs in fuzz/seeds`);
  }
  return closing.crashes.length === 0;
}

/** Writes down how a run has gone. */
function note(target, { executions, perSecond, edges, seconds }) {
  const all = fs.existsSync(RESULTS) ? JSON.parse(fs.readFileSync(RESULTS, "utf8")) : {};
  all[target] = {
    minutes: Math.floor(seconds / 60),
    executions,
    perSecond,
    edges,
    date: new Date().toISOString().slice(0, 10),
    rustc: spawnSync("rustc", ["+nightly", "--version"], { encoding: "utf8" }).stdout.trim(),
  };
  const sorted = Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
  fs.writeFileSync(RESULTS, `${JSON.stringify(sorted, null, 2)}\n`);
}

function main() {
  const { values, positionals } = parseArgs({
    options: { minutes: { type: "string", default: "30" }, keep: { type: "boolean", default: false } },
    allowPositionals: true,
  });
  const minutes = Number(values.minutes);
  const targets = positionals.length > 0 ? positionals : Object.keys(LENGTHS);
  const unknown = targets.filter((target) => !Object.hasOwn(LENGTHS, target));
  if (unknown.length > 0 || !(minutes > 0)) {
    console.error(
      `npm run fuzz -- TARGET… --minutes N, with targets out of ${Object.keys(LENGTHS).join(", ")}`,
    );
    return false;
  }
  // some targets compare with what the JavaScript half makes of the same bytes
  ensureInstalled();
  if (!run(process.execPath, [path.join(__dirname, "build.js"), "--if-needed"])) return false;
  if (!run("cargo", ["+nightly", "fuzz", "build", ...BUILD])) return false;
  // each of them, whatever becomes of the one before
  return targets.map((target) => fuzz(target, minutes, values.keep)).every(Boolean);
}

if (require.main === module) process.exit(main() ? 0 : 1);

module.exports = { LENGTHS, note };
