"use strict";

// What `npm test` says: a line for each file, failures in full, and the counts at the end.

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const path = require("node:path");
const test = require("node:test");
const { summarise } = require("../scripts/summary");
const { Tally, tallyOfCargo } = require("../scripts/tally");

const ROOT = path.join(__dirname, "..");
const FOLDER = path.join("__test__", "fixtures", "reporter");

/** Runs files of the fixture's folder with one of our reporters; resolves with what it says. */
async function report(reporter, ...files) {
  const env = { ...process.env };
  // a child of node:test would report as a test file
  delete env.NODE_TEST_CONTEXT;
  const args = [
    "--test",
    "--test-concurrency=3",
    `--test-reporter=./scripts/${reporter}.js`,
    ...files.map((file) => path.join(FOLDER, file)),
  ];
  const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (data) => (output += data));
  const [code] = await once(child, "close");
  return { code, output };
}

test("a file that passes is one line, and the runner's own counts follow", async () => {
  const { code, output } = await report("reporter", "passing.js");
  assert.equal(code, 0);
  const [line, ...rest] = output.split("\n");
  assert.match(line, /^ok {6}__test__\/fixtures\/reporter\/passing\.js: 1 passed, 1 skipped, \d+\.\d s$/);
  assert.match(
    rest.join("\n"),
    /^\n# tests 2\n# suites 0\n# pass 1\n# fail 0\n# cancelled 0\n# skipped 1\n# todo 0\n# duration_ms/,
  );
  assert.ok(!output.includes("nobody has to read this"));
});

test("failures are shown in full, with what the file has printed", async () => {
  const { code, output } = await report("reporter", "failing.js", "passing.js");
  assert.equal(code, 1);
  assert.match(
    output,
    /^FAILED {2}__test__\/fixtures\/reporter\/failing\.js: 1 passed, 2 failed, 1 skipped, /m,
  );
  assert.match(output, /✖ of which one is wrong.*\n {4}AssertionError \[ERR_ASSERTION\]/);
  assert.match(output, /^ {4}- {3}is: 2$/m);
  assert.match(output, /at .*failing\.js:8:/);
  assert.match(output, /✖ has parts.*\n {4}see above/);
  assert.match(output, /what it has printed:\n {4}this explains it/);
  assert.match(output, /^ok {6}__test__\/fixtures\/reporter\/passing\.js: 1 passed/m);
  assert.match(output, /^# fail 2$/m);
});

test("files that run at the same time are told apart", async () => {
  const { output } = await report("reporter", "begins-first.js", "failing.js", "passing.js");
  const lines = output.split("\n").filter((line) => /^(ok|FAILED) /.test(line));
  assert.deepEqual(
    lines.map((line) => line.replace(/, \d+\.\d s$/, "")),
    [
      "ok      __test__/fixtures/reporter/begins-first.js: 2 passed",
      "FAILED  __test__/fixtures/reporter/failing.js: 1 passed, 2 failed, 1 skipped",
      "ok      __test__/fixtures/reporter/passing.js: 1 passed, 1 skipped",
    ],
  );
});

test("a file that does not load has failed", async () => {
  const { code, output } = await report("reporter", "broken.js");
  assert.equal(code, 1);
  assert.match(output, /^FAILED {2}__test__\/fixtures\/reporter\/broken\.js: 0 passed, 1 failed/m);
  assert.match(output, /Error: this file does not load/);
});

test("the counts are those of the runner", async () => {
  const { output } = await report("tally-reporter", "passing.js", "failing.js", "broken.js");
  const { failures, ...counts } = JSON.parse(output);
  assert.deepEqual(counts, {
    passed: 2,
    failed: 3,
    skipped: 2,
    reasons: { "only elsewhere": 1, "to do: when there is time": 1 },
  });
  assert.deepEqual(failures.sort(), [
    "broken.js",
    "failing.js: has parts",
    "failing.js: of which one is wrong",
  ]);
});

test("what cargo test prints is counted over all of its binaries", () => {
  const tally = tallyOfCargo(
    [
      "running 3 tests",
      "---- session::tests::ends stdout ----",
      "test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s",
      "test result: ok. 250 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s",
    ].join("\n"),
  );
  assert.equal(tally.passed, 251);
  assert.deepEqual(tally.failures, ["session::tests::ends"]);
  assert.deepEqual(tally.reasons, { "ignored by cargo test": 1 });
});

/** A tally of a run. */
function tallyOf({ passed = 0, failures = [], reasons = {} }) {
  return new Tally().merge({ passed, failed: failures.length, failures, reasons });
}

test("the last line has the counts of all, and what was skipped is grouped by its reason", () => {
  const lines = summarise([
    { name: "build", passed: true, seconds: 4.56 },
    { name: "cargo test", passed: true, seconds: 50, runner: "cargo", tally: tallyOf({ passed: 250 }) },
    {
      name: "node --test",
      passed: true,
      seconds: 70,
      runner: "node",
      tally: tallyOf({ passed: 5000, reasons: { "no descriptor": 2, "the same": 12 } }),
    },
    {
      name: "node --test, over TLS",
      passed: true,
      seconds: 10,
      runner: "node",
      tally: tallyOf({ passed: 1000, reasons: { "the same": 1 } }),
    },
  ]);
  assert.deepEqual(lines, [
    "passed  build                     4.6 s",
    "passed  cargo test               50.0 s  250 passed, 0 failed",
    "passed  node --test              70.0 s  5000 passed, 0 failed, 14 skipped",
    "passed  node --test, over TLS    10.0 s  1000 passed, 0 failed, 1 skipped",
    "",
    "skipped:",
    "  13 × the same",
    "   2 × no descriptor",
    "",
    "cargo  250 executed, 250 passed, 0 failed",
    "node   6000 executed, 6000 passed, 0 failed, 15 skipped",
    "time   2 min 15 s",
    "6250 passed, 0 failed, 15 skipped",
  ]);
});

test("nothing that has failed is missing from the last line", () => {
  const failures = Array.from({ length: 60 }, (_, i) => `file.test.js: test ${i}`);
  const lines = summarise([
    { name: "clippy", passed: false, seconds: 1 },
    { name: "cargo test", passed: false, seconds: 1, runner: "cargo", tally: tallyOf({}) },
    { name: "node --test", passed: false, seconds: 1, runner: "node", tally: undefined },
    {
      name: "node --test, over TLS",
      passed: false,
      seconds: 1,
      runner: "node",
      tally: tallyOf({ passed: 7, failures }),
    },
  ]);
  assert.equal(lines.at(-1), "7 passed, 63 failed");
  const listed = lines.slice(lines.indexOf("failed:") + 1, lines.indexOf("", lines.indexOf("failed:")));
  assert.deepEqual(listed.slice(0, 4), [
    "  clippy",
    "  cargo test",
    "  node --test",
    "  file.test.js: test 0",
  ]);
  assert.equal(listed.at(-1), "  … and 13 more, see above");
});

test("where there are no tests, the checks are counted", () => {
  const lines = summarise([
    { name: "prettier", passed: true, seconds: 1 },
    { name: "eslint", passed: false, seconds: 1 },
    { name: "types", passed: true, seconds: 1 },
  ]);
  assert.equal(lines.at(-1), "2 passed, 1 failed");
});

test("minutes are whole", () => {
  const lines = summarise([{ name: "x", passed: true, seconds: 119.7 }]);
  assert.deepEqual(lines.slice(-2), ["time   2 min 0 s", "1 passed, 0 failed"]);
});
