"use strict";

// `npm run stress`: what runs the programs, and the short forms of those that can show something in seconds.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const test = require("node:test");
const echo = require("./fixtures/stress/echo");
const report = require("../stress/report");
const results = require("../stress/results");
const trial = require("../stress/trial");

const skip = process.platform === "linux" ? false : "the programs need Linux";

const OURS = { name: "sockeye.io", package: path.join(__dirname, "..") };
const STOCK = { name: "socket.io", package: "socket.io" };
const SHORT = { scale: "short", rounds: 1, seed: 1 };

/** The processes that this one has started. */
const children = () => fs.readFileSync(`/proc/self/task/${process.pid}/children`, "utf8").trim();

async function runBoth(program, options) {
  const runs = {};
  for (const target of [OURS, STOCK]) runs[target.name] = [await trial(program, target, options)];
  assert.equal(children(), "");
  return { runs, result: results.summarise(program, runs, options) };
}

test("a program runs on both servers, and its figures are compared", { skip }, async () => {
  const { runs, result } = await runBoth(echo, SHORT);
  for (const [{ figures, failures }] of Object.values(runs)) {
    assert.deepEqual(failures, []);
    assert.equal(figures.echoes, 3);
    for (const name of ["cpu", "rss", "peakRss", "descriptors", "threads", "heap"]) {
      assert.ok(figures[name] > 0, `${name} ${figures[name]}`);
    }
    assert.ok(figures.loopMax >= 0);
  }
  assert.deepEqual(result.broken, []);
  assert.equal(report.verdict(result), "  kept. Ours ÷ stock: echoes 1.00 ×, time 1.00 ×.");
  assert.match(
    report.line(echo, OURS, runs[OURS.name][0]),
    /^ {2}sockeye\.io echoes 3 · time 100 ms · \d s$/,
  );
});

test("a broken promise is told, and so is what is worse than stock's", { skip }, async () => {
  const broken = await runBoth(echo, { ...SHORT, variant: "breaks" });
  assert.deepEqual(broken.result.broken, ["an echo is missing"]);
  assert.deepEqual(broken.result.stockBroken, []);
  assert.match(report.verdict(broken.result), /NOT kept: ours breaks one promise.*an echo is missing$/s);
  const slow = await runBoth(echo, { ...SHORT, variant: "slow" });
  assert.deepEqual(slow.result.broken, ["time is worse than stock's: 200 ms, not 100 ms"]);
});

for (const [variant, expected] of [
  ["hangs", /did not come to its end: .*nothing within 3000 ms/],
  ["throws", /did not come to its end: .*no such luck/],
]) {
  test(`a program that ${variant} leaves nothing behind`, { skip }, async () => {
    const { failures, figures } = await trial(echo, OURS, { ...SHORT, variant });
    assert.match(failures[0], expected);
    assert.deepEqual(figures, {});
    assert.equal(children(), "");
  });
}

test("docs/reliability.md has the results that are kept", () => {
  const text = fs.readFileSync(results.DOCUMENT, "utf8");
  assert.match(text, /<!-- stress: /);
  assert.equal(text, results.fill(text, results.load()));
});
