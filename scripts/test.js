"use strict";

// `npm test`: installs, builds, and runs every check there is. A check that fails does not keep the next from
// running; the summary at the end names them all.
//
//   npm test                 everything
//   npm test -- chat pack    only the files of __test__ whose names contain one of the words

const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { ensureInstalled, root, run } = require("./support");

const FILE_TIMEOUT = 10 * 60_000;
const CRATES = [".", "bench/loadgen", "bench/peers/floor", "bench/peers/socketioxide"].map((directory) =>
  path.join(root, directory, "Cargo.toml"),
);

/** What is tested over streams without a plain descriptor as well: see `SIO_STREAM` in __test__/support/harness.js. */
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
  "robustness",
  "rooms",
  "several-servers",
  "text",
  "upgrade",
  "utility-methods",
];

const words = process.argv.slice(2);
const testFiles = fs
  .readdirSync(path.join(root, "__test__"))
  .filter((file) => file.endsWith(".test.js"))
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .sort()
  .map((file) => path.join("__test__", file));
const serialFiles = testFiles.filter((file) => file.endsWith(".serial.test.js"));
const coreFiles = testFiles.filter((file) => CORE.includes(path.basename(file, ".test.js")));
const parallelFiles = testFiles.filter((file) => !serialFiles.includes(file));

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-test-"));
process.on("exit", () => fs.rmSync(scratch, { recursive: true, force: true }));

const results = [];

// Nothing else means anything without these two.
check("dependencies", () => (ensureInstalled(), true));
if (!check("build", () => run(process.execPath, [path.join(__dirname, "build.js")]))) {
  summarise();
}

if (words.length === 0) {
  check("prettier", () => runPackage("prettier", "bin/prettier.cjs", ["--check", "."]));
  check("eslint", () => runPackage("eslint", "bin/eslint.js", ["."]));
  check("rustfmt", () =>
    CRATES.every((manifest) => run("cargo", ["fmt", "--check", "--manifest-path", manifest])),
  );
  check("clippy", () => run("cargo", ["clippy", "--all-targets", "--", "-D", "warnings"]));
  check("types", () =>
    // of those in deep/, stock's types are asked the same
    ["tsconfig.json", "deep/tsconfig.json", "deep/tsconfig.stock.json"].every((project) =>
      runPackage("typescript", "bin/tsc", ["--noEmit", "-p", `__test__/types/${project}`]),
    ),
  );
  check("cargo test", () => run("cargo", ["test"]));
}
if (testFiles.some((file) => file.includes("panics"))) {
  // the test builds it too, but has less time for that
  check("addon that panics", () => run("cargo", ["build", "--lib", "--features", "panics"]));
}
checkNode("node --test", parallelFiles, 2);
checkNode("node --test, over TLS", coreFiles, 2, "https");
checkNode("node --test, over streams without a descriptor", coreFiles, 2, "duplex");
checkNode("node --test, one at a time", serialFiles, 1);
summarise();

/** Runs one check under a heading and remembers how it went. */
function check(name, body) {
  console.log(`\n=== ${name} ${"=".repeat(Math.max(3, 72 - name.length))}\n`);
  const startedAt = performance.now();
  const passed = body();
  results.push({ name, passed, seconds: (performance.now() - startedAt) / 1000 });
  return passed;
}

function runPackage(name, bin, args) {
  return run(process.execPath, [path.join(root, "node_modules", name, bin), ...args]);
}

function checkNode(name, files, concurrency, stream = process.env.SIO_STREAM ?? "http") {
  if (files.length === 0) {
    return;
  }
  const reporters = [
    ["spec", "stdout"],
    [path.join(__dirname, "skipped-reporter.js"), path.join(scratch, `skipped-${concurrency}-${stream}`)],
  ];
  const args = [
    "--test",
    `--test-concurrency=${concurrency}`,
    `--test-timeout=${FILE_TIMEOUT}`,
    ...reporters.flatMap(([reporter, destination]) => [
      `--test-reporter=${reporter}`,
      `--test-reporter-destination=${destination}`,
    ]),
    ...files,
  ];
  check(name, () => run(process.execPath, args, { env: { ...process.env, SIO_STREAM: stream } }));
}

function summarise() {
  const width = Math.max(...results.map(({ name }) => name.length));
  console.log(`\n=== summary ${"=".repeat(65)}\n`);
  for (const { name, passed, seconds } of results) {
    console.log(`${passed ? "passed" : "FAILED"}  ${name.padEnd(width)}  ${seconds.toFixed(1)} s`);
  }
  for (const file of fs.readdirSync(scratch)) {
    process.stdout.write(fs.readFileSync(path.join(scratch, file), "utf8"));
  }
  if (testFiles.length === 0) {
    console.log("FAILED  no test file has such a name");
  }
  process.exit(testFiles.length > 0 && results.every(({ passed }) => passed) ? 0 : 1);
}
