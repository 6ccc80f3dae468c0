"use strict";

// The short form of the Autobahn testsuite: see stress/autobahn/run.js.

const assert = require("node:assert/strict");
const { spawnSync } = require("node:child_process");
const path = require("node:path");
const test = require("node:test");
const { columnOf, count, totalOf } = require("../stress/autobahn/run");

const RUN = path.join(__dirname, "..", "stress", "autobahn", "run.js");

/** The exit code that says that it cannot be run here. */
const UNAVAILABLE = 2;

test("a server does as RFC 6455 and RFC 7692 say, strictly", (t) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [RUN, "--short"], { encoding: "utf8" });
  if (status === UNAVAILABLE) {
    t.skip(stderr.trim().split("\n").at(-1));
    return;
  }
  assert.equal(status, 0, `${stdout}\n${stderr}`);
  assert.match(stdout, /\| {2}\| all \| 252 \| 249 \| 3 \| 0 \| 0 \|/);
});

test("a case has passed if neither its messages nor its close handshake have failed", () => {
  const cases = {
    "1.1.1": { behavior: "OK", behaviorClose: "OK" },
    "1.1.2": { behavior: "OK", behaviorClose: "UNCLEAN" },
    "1.1.3": { behavior: "NON-STRICT", behaviorClose: "OK" },
    "7.1.1": { behavior: "INFORMATIONAL", behaviorClose: "INFORMATIONAL" },
    "7.1.2": { behavior: "OK", behaviorClose: "FAILED BY CLIENT" },
  };
  assert.deepEqual(Object.values(cases).map(columnOf), [
    "ok",
    "failed",
    "nonStrict",
    "informational",
    "failed",
  ]);
  const { cases: all, ok, informational, nonStrict, failed } = totalOf(count(cases));
  assert.deepEqual([all, ok, informational, nonStrict, failed], [5, 1, 1, 1, 2]);
});
