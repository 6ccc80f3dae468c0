"use strict";

// `npm run fuzz`: what it makes of libFuzzer's output, and that everything that is fuzzed is known everywhere.

const test = require("node:test");
const assert = require("node:assert/strict");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { LENGTHS } = require("../scripts/fuzz");
const { describe, readClosing } = require("../scripts/fuzz/closing");
const { seedsOf, unpack } = require("../scripts/fuzz/seeds");

const folder = path.join(__dirname, "..", "fuzz");

const CLEAN = `INFO: seed corpus: files: 37 min: 5b max: 60b total: 900b rss: 40Mb
#38	INITED cov: 691 ft: 1544 corp: 36/880b exec/s: 0 rss: 47Mb
#16968	REDUCE cov: 1883 ft: 7094 corp: 551/51Kb lim: 2048 exec/s: 771 rss: 469Mb L: 379/2048 MS: 2 InsertRepeatedBytes-EraseBytes-
#182452	DONE   cov: 1904 ft: 7876 corp: 575/52Kb lim: 2389 exec/s: 5068 rss: 462Mb
###### Recommended dictionary. ######
"\\001\\000" # Uses: 2
###### End of recommended dictionary. ######
Done 182452 runs in 1801 second(s)
stat::number_of_executed_units: 182452
stat::average_exec_per_sec:     101
stat::new_units_added:          337
stat::slowest_unit_time_sec:    0
stat::peak_rss_mb:              462
`;

const CRASHED = `#1037	NEW    cov: 4686 ft: 13483 corp: 288/82Kb lim: 400 exec/s: 207 rss: 349Mb L: 400/400 MS: 2 PersAutoDict-
thread '<unnamed>' (23691) panicked at src/lib.rs:1:1:
==1== ERROR: libFuzzer: deadly signal
SUMMARY: libFuzzer: deadly signal
artifact_prefix='fuzz/artifacts/worker/'; Test unit written to fuzz/artifacts/worker/crash-0a64
stat::number_of_executed_units: 1038
stat::average_exec_per_sec:     207
`;

test("the closing lines of a run say what it has come to", () => {
  const closing = readClosing(CLEAN);
  assert.deepEqual(closing, {
    executions: 182_452,
    perSecond: 101,
    edges: 1904,
    corpus: 575,
    seconds: 1801,
    crashes: [],
  });
  assert.equal(
    describe("frames", closing),
    "frames: 182452 executions, 101 a second, 1904 edges, 575 inputs kept, no crash",
  );
});

test("a crash is told with the file of its input", () => {
  const closing = readClosing(CRASHED);
  assert.deepEqual(closing.crashes, ["fuzz/artifacts/worker/crash-0a64"]);
  assert.equal(closing.edges, 4686);
  assert.match(describe("worker", closing), /crashes: fuzz\/artifacts\/worker\/crash-0a64$/);
});

test("a run that has been cut off is not taken for one that has ended", () => {
  assert.throws(() => readClosing(CLEAN.slice(0, CLEAN.indexOf("Done"))), /has not come to its end/);
  assert.throws(() => readClosing("error: could not compile"), /has not come to its end/);
});

test("each target has a program, seeds, and a length", (t) => {
  const names = Object.keys(LENGTHS).sort();
  const library = fs.readFileSync(path.join(folder, "src", "lib.rs"), "utf8");
  const listed = [...library.matchAll(/^ {4}\("(\w+)", \w+::check\),$/gm)].map(([, name]) => name);
  assert.deepEqual(listed, names);
  assert.deepEqual(
    fs.readdirSync(path.join(folder, "targets")).sort(),
    names.map((name) => `${name}.rs`),
  );
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-seeds-"));
  t.after(() => fs.rmSync(scratch, { recursive: true }));
  let bytes = 0;
  for (const name of names) {
    unpack(name, path.join(scratch, name));
    assert.ok(fs.readdirSync(path.join(scratch, name)).length >= 5, name);
    bytes += fs.statSync(seedsOf(name)).size;
  }
  assert.ok(bytes < 1_500_000, `${bytes} bytes of seeds`);
});
