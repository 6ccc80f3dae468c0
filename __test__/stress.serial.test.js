"use strict";

// `npm run stress`: what runs the programs, and the short forms of those that can show something in seconds.

const assert = require("node:assert/strict");
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const test = require("node:test");
const echo = require("./fixtures/stress/echo");
const life = require("../stress/life");
const nothingLost = require("../stress/nothing-lost");
const { redisBinary } = require("./support/brokers");
const { Ledger } = require("../stress/support/ledger");
const { Random } = require("../scripts/random");
const { fit } = require("../stress/support/slope");
const programs = require("../stress/programs");
const report = require("../stress/report");
const results = require("../stress/results");
const trial = require("../stress/trial");

const skip = process.platform === "linux" ? false : "the programs need Linux";

const OURS = { name: "sockeye.io", package: path.join(__dirname, "..") };
const STOCK = { name: "socket.io", package: "socket.io" };
const SHORT = { scale: "short", rounds: 1, seed: 1 };

/** What else can be said of the figures of a program, on whatever machine. */
const PROMISES = {
  "slow-consumers"({ waited, gained, boundedGained, dropped, ...others }) {
    assert.equal(dropped, 10);
    for (const policy of ["drop-oldest", "drop-newest", "latest"])
      assert.equal(others[`${policy} stayed`], 10);
    // what is not read waits once, and less of it with a limit
    assert.ok(waited > 50 && gained < waited + 60, `${gained} MB for ${waited} MB`);
    assert.ok(boundedGained < gained, `${boundedGained} MB, ${gained} without a limit`);
  },
  overrun({ broadcastsPeak, singlesPeak, broadcastsRate, singlesRate }) {
    assert.ok(Math.max(broadcastsPeak, singlesPeak) < 200, `${broadcastsPeak} MB, ${singlesPeak} MB`);
    assert.ok(Math.min(broadcastsRate, singlesRate) > 0);
  },
  fairness(figures) {
    const taken = Object.keys(figures).filter((name) => name.endsWith(" taken"));
    assert.equal(taken.length, 6);
    for (const name of taken) assert.ok(figures[name] > 0, name);
  },
  hostile({ attacks, kept, gained }) {
    assert.equal(attacks, 18);
    assert.ok(gained < 150 && kept < 150, `${gained} MB at worst, ${kept} MB kept`);
  },
  flood(figures) {
    assert.ok(figures["unlimited handled"] > 5000);
    for (const action of ["pause", "drop"]) assert.ok(figures[`${action} handled`] > 500, action);
    assert.equal(figures["close handled"], 0);
  },
};

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

test("what is noise is not worse, and one of many figures is shown only if it is asked for", () => {
  const row = { label: "wait", unit: "ms", noWorse: true };
  const program = {
    name: "p",
    rows: [
      { ...row, figure: "a", noise: 5 },
      { ...row, figure: "b", label: "rate", moreIsBetter: true, noise: 5, isDetail: true },
    ],
  };
  const run = (a, b) => [{ figures: { a, b }, failures: [], seconds: 1 }];
  const brokenBy = (ours, stock) =>
    results.summarise(program, { [OURS.name]: run(...ours), [STOCK.name]: run(...stock) }, SHORT).broken;
  assert.deepEqual(brokenBy([15.9, 85.1], [10, 100]), []);
  assert.deepEqual(brokenBy([16.1, 84.9], [10, 100]), [
    "wait is worse than stock's: 16.1 ms, not 10 ms",
    "rate is worse than stock's: 84.9 ms, not 100 ms",
  ]);
  const both = { [OURS.name]: run(10, 88), [STOCK.name]: run(10, 100) };
  assert.equal(
    report.verdict(results.summarise(program, both, SHORT)),
    "  kept. Ours ÷ stock: wait 1.00 ×. At worst of 1 in detail: rate 0.88 ×.",
  );
  const [one] = run(1, 2);
  assert.equal(report.line(program, OURS, one), "  sockeye.io wait 1 ms · 1 s");
  assert.equal(
    report.line(program, OURS, one, { verbose: true }),
    "  sockeye.io wait 1 ms · rate 2 ms · 1 s",
  );
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

test("a ledger tells what was lost, doubled and misordered", () => {
  const wrong = ({ lost, doubled, misordered }) => ({ lost, doubled, misordered });
  function ledger(isGapless, ...entries) {
    const one = new Ledger("stream", { isGapless });
    for (const entry of entries) one.note(...entry);
    return one;
  }
  const a = (...numbers) => numbers.map((number) => ["a", number]);
  const none = { lost: 0, doubled: 0, misordered: 0 };
  assert.deepEqual(wrong(ledger(true, ...a(1, 2, 3))), none);
  assert.deepEqual(wrong(ledger(true, ...a(1, 2, 5))), { ...none, lost: 2 });
  assert.deepEqual(wrong(ledger(true, ...a(1, 2, 2, 3))), { ...none, doubled: 1 });
  assert.deepEqual(wrong(ledger(true, ...a(1, 3, 2, 4))), { ...none, misordered: 1 });
  assert.deepEqual(wrong(ledger(true, ...a(1, 3, 2, 2))), { ...none, misordered: 1, doubled: 1 });
  // in another session: messages between them may be missed, but none may come again
  assert.deepEqual(wrong(ledger(true, ...a(1, 2), ["b", 9], ["b", 10])), none);
  assert.deepEqual(wrong(ledger(true, ...a(1, 2), ["b", 2])), { ...none, doubled: 1 });
  assert.deepEqual(wrong(ledger(true, ...a(1, 2), ["b", 9], ["b", 11])), { ...none, lost: 1 });
  // what the last session has left on its way
  assert.deepEqual(wrong(ledger(false, ...a(1, 2), ["b", 4], ["a", 3], ["b", 5])), none);
  // the end
  const late = ledger(true, ...a(1, 2));
  late.settle(4);
  assert.deepEqual(wrong(late), { ...none, lost: 2 });
  const acked = ledger(false, ...a(1, 4, 5));
  acked.settle(7, new Set([2, 7]));
  assert.deepEqual(wrong(acked), { ...none, lost: 2 });
  assert.deepEqual(acked.examples, [
    "stream, lost: 3 of 7 was acked and has not come",
    "stream, lost: 6 of 7 was acked and has not come",
  ]);
});

test("a line is found in what rises, and how sure it is", () => {
  const exact = fit([1, 2, 3, 4].map((x) => [x, 5 + 2 * x]));
  assert.deepEqual(exact, { slope: 2, error: 0, mean: 10 });
  const random = new Random(1);
  const noise = Array.from({ length: 100 }, (_, x) => [x, 100 + random.next()]);
  const flat = fit(noise);
  assert.ok(Math.abs(flat.slope) < 3 * flat.error, `${flat.slope} ± ${flat.error}`);
  const rising = fit(noise.map(([x, y]) => [x, y + x / 10]));
  assert.ok(rising.slope - 3 * rising.error > 0.05, `${rising.slope} ± ${rising.error}`);
});

/** Without accidents, so that what the checkers find is what the server was told to do wrong. */
const calm = { ...nothingLost, scales: { short: { clients: 40, seconds: 1.5, life: 1e8, limit: 60 } } };

for (const [sabotage, expected] of Object.entries({
  drop: /^1 of \d+ events lost \(room 3 0 to 3, lost: 31 came behind 29\)$/,
  forget: /^1 of \d+ events lost \(up from 7, lost: 20 of \d+ was acked and has not come\)$/,
  double: /^1 of \d+ events doubled \(own 7 0 to 7, doubled: 30 came again\)$/,
  misorder: /^\d+ of \d+ events misordered \(room 3 0 to \d+, misordered: 30 came behind 31/,
  misdirect: /^1 of \d+ events misdirected/,
})) {
  test(`nothing-lost notices a server that does: ${sabotage}`, { skip }, async () => {
    const { failures } = await trial(calm, OURS, { ...SHORT, variant: `plain,${sabotage}` });
    assert.match(failures.at(-1) ?? "nothing", expected);
    // who did not get what went to somebody else has lost it
    assert.equal(failures.length, sabotage === "misdirect" ? 2 : 1, failures.join("\n"));
  });
}

test("nothing-lost: nothing is lost", { skip }, async () => {
  const { failures, figures } = await trial(nothingLost, OURS, SHORT);
  assert.deepEqual(failures, []);
  assert.ok(figures.events > 5000, `${figures.events} events`);
  assert.ok(figures.accidents > 50, `${figures.accidents} accidents`);
  assert.ok(figures.recovered > 20, `${figures.recovered} recovered sessions`);
});

const withoutBalancer = spawnSync("haproxy", ["-v"]).error !== undefined || redisBinary() === undefined;
const inCluster = { skip: skip || (withoutBalancer && "HAProxy or Redis is missing") };

test("rolling-restart: nothing is lost that was acknowledged", inCluster, async () => {
  const program = programs.find(({ name }) => name === "rolling-restart");
  const { failures, figures } = await trial(program, OURS, SHORT);
  assert.deepEqual(failures, []);
  assert.ok(figures.events > 200, `${figures.events} events`);
  assert.ok(figures.gapMax > 0, "clients have come to the other node");
  assert.equal(figures.twice, 0);
  assert.equal(children(), "");
});

test("rolling-restart notices a node that acknowledges what it does not handle", inCluster, async () => {
  const program = programs.find(({ name }) => name === "rolling-restart");
  const { failures } = await trial(program, OURS, { ...SHORT, variant: "forget" });
  assert.match(failures[0] ?? "nothing", /^1 of \d+ acknowledged events were lost: 7:1$/);
});

test("life: who is connected hears of the end, and nothing is left behind", { skip }, async () => {
  const { failures, figures } = await trial(life, OURS, SHORT);
  assert.deepEqual(failures, []);
  assert.equal(figures.kept, 6);
  assert.equal(children(), "");
});

// What they demand is kept: nothing is lost or out of order, nobody is dropped who should not be, memory is bounded. How fast it
// went is not asked for.
for (const name of ["slow-consumers", "overrun", "fairness", "hostile", "flood"]) {
  test(`${name} in short`, { skip }, async () => {
    const program = programs.find((one) => one.name === name);
    const { figures, failures } = await trial(program, OURS, SHORT);
    assert.deepEqual(failures, []);
    PROMISES[name](figures);
    assert.equal(children(), "");
  });
}

test("docs/reliability.md has the results that are kept", () => {
  const text = fs.readFileSync(results.DOCUMENT, "utf8");
  assert.match(text, /<!-- stress: /);
  assert.equal(text, results.fill(text, results.load()));
});
