"use strict";

// What `npm test`, `npm run lint` and `npm run test:nodes` share: running checks one after the other, and their summary.
// A check that fails does not keep the next from running.

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { ensureInstalled, root, run } = require("./support");
const { summarise } = require("./summary");
const { Tally, tallyOfCargo } = require("./tally");

const FILE_TIMEOUT = 10 * 60_000;
const CRATES = [".", "fuzz", "bench/loadgen", "bench/peers/floor", "bench/peers/socketioxide"].map(
  (directory) => path.join(root, directory, "Cargo.toml"),
);

/** The crate that fuzzes, without the programs for which it takes another toolchain: its targets, and their seeds. */
const FUZZ = [
  ...["--manifest-path", path.join(root, "fuzz", "Cargo.toml")],
  ...["--target-dir", path.join(root, "target")],
  ...["--no-default-features", "--lib", "--tests"],
];

/** What is tested over other streams, with several workers, and on other systems as well: see __test__/support/harness.js. */
const CORE = [
  "acks",
  "bad-input-frames",
  "bad-input-packets",
  "bad-input-polling",
  "binary",
  "close",
  "conn",
  "connection",
  "cors",
  "disconnect",
  "engine-events",
  "events",
  "flags",
  "hazard-socket-release",
  "heartbeat",
  "large-broadcast",
  "large-messages",
  "legacy-clients",
  "middleware",
  "namespaces",
  "order",
  "packet",
  "per-message-deflate",
  "polling",
  "recovery",
  "robustness",
  "room-mirror",
  "rooms",
  "several-servers",
  "text",
  "upgrade",
  "utility-methods",
];

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-test-"));
process.on("exit", () => fs.rmSync(scratch, { recursive: true, force: true }));

const results = [];

/**
 * Runs one check under a heading and remembers how it went.
 * @param {string} name
 * @param {function(): boolean|object} body - returns whether it has passed, or that and more of a `Result`
 * @returns {boolean} whether it has passed
 */
function check(name, body) {
  console.log(`\n=== ${name} ${"=".repeat(Math.max(3, 72 - name.length))}\n`);
  const startedAt = performance.now();
  const outcome = body();
  const result = typeof outcome === "object" ? outcome : { passed: outcome };
  results.push({ name, ...result, seconds: (performance.now() - startedAt) / 1000 });
  return result.passed;
}

/**
 * Installs and builds.
 * @returns {boolean} whether that worked; nothing else means anything without it
 */
function prepare() {
  check("dependencies", () => (ensureInstalled(), true));
  return check("build", () => run(process.execPath, [path.join(__dirname, "build.js")]));
}

/** Formats, lints and types. */
function lint() {
  check("prettier", () => runPackage("prettier", "bin/prettier.cjs", ["--check", "."]));
  check("eslint", () => runPackage("eslint", "bin/eslint.js", ["."]));
  check("rustfmt", () =>
    CRATES.every((manifest) => run("cargo", ["fmt", "--check", "--manifest-path", manifest])),
  );
  check("clippy", () =>
    [["--all-targets"], ["--all-targets", "--all-features"], FUZZ].every((args) =>
      run("cargo", ["clippy", ...args, "--", "-D", "warnings"]),
    ),
  );
  check("types", () =>
    // of those in deep/, stock's types are asked the same
    ["tsconfig.json", "esm/tsconfig.json", "deep/tsconfig.json", "deep/tsconfig.stock.json"].every(
      (project) => runPackage("typescript", "bin/tsc", ["--noEmit", "-p", `__test__/types/${project}`]),
    ),
  );
}

function runPackage(name, bin, args) {
  return run(process.execPath, [path.join(root, "node_modules", name, bin), ...args]);
}

/** The tests of the crate, and the seeds of what is fuzzed. */
function checkCargo() {
  checkCrate("cargo test", []);
  checkCrate("seeds of fuzzing", FUZZ);
}

function checkCrate(name, args) {
  check(name, () => {
    const stdio = ["inherit", "pipe", "inherit"];
    const { status, stdout, error } = spawnSync("cargo", ["test", ...args, "--", "--quiet"], {
      cwd: root,
      stdio,
      encoding: "utf8",
      maxBuffer: Infinity,
    });
    process.stdout.write(stdout ?? `cargo: ${error.message}\n`);
    return { passed: status === 0, runner: "cargo", tally: tallyOfCargo(stdout ?? "") };
  });
}

/**
 * Files of tests.
 * @param {string} name - of the check
 * @param {string[]} files
 * @param {object} [how]
 * @param {number} [how.concurrency] - how many files at a time
 * @param {string} [how.stream] - see `SIO_STREAM` in __test__/support/harness.js
 * @param {string} [how.node] - the Node that runs them, this one unless given
 * @param {object} [how.env] - more of the environment
 */
function checkNode(
  name,
  files,
  { concurrency = 2, stream = process.env.SIO_STREAM ?? "http", node = process.execPath, env } = {},
) {
  if (files.length === 0) return;
  const counts = path.join(scratch, String(results.length));
  const args = [
    "--test",
    `--test-concurrency=${concurrency}`,
    `--test-timeout=${FILE_TIMEOUT}`,
    `--test-reporter=${path.join(__dirname, "reporter.js")}`,
    "--test-reporter-destination=stdout",
    `--test-reporter=${path.join(__dirname, "tally-reporter.js")}`,
    `--test-reporter-destination=${counts}`,
    ...files,
  ];
  check(name, () => {
    const passed = run(node, args, { env: { ...process.env, SIO_STREAM: stream, ...env } });
    return { passed, runner: "node", tally: readTally(counts) };
  });
}

/** What the runner has counted; nothing, if it has not come to its end. */
function readTally(file) {
  try {
    return new Tally().merge(JSON.parse(fs.readFileSync(file, "utf8")));
  } catch {
    return undefined;
  }
}

/** All files of tests, or those whose names contain one of the words. */
function testFiles(words = []) {
  return fs
    .readdirSync(path.join(root, "__test__"))
    .filter((file) => file.endsWith(".test.js"))
    .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
    .sort()
    .map((file) => path.join("__test__", file));
}

/** Those of files of tests that show whether the package works as a whole. */
function coreOf(files) {
  return files.filter((file) => CORE.includes(path.basename(file, ".test.js")));
}

/** Whether the tests of a file need the machine for themselves. */
function isSerial(file) {
  return file.endsWith(".serial.test.js");
}

/**
 * Prints the summary.
 * @returns {boolean} whether all checks have passed
 */
function summary() {
  console.log(`\n=== summary ${"=".repeat(65)}\n`);
  console.log(summarise(results).join("\n"));
  return results.every(({ passed }) => passed);
}

/** Prints the summary and ends the process: 0 if all checks have passed, else 1. */
function finish() {
  process.exit(summary() ? 0 : 1);
}

module.exports = {
  check,
  checkCargo,
  checkNode,
  coreOf,
  finish,
  isSerial,
  lint,
  prepare,
  summary,
  testFiles,
};
