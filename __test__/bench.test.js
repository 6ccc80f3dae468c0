"use strict";

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const test = require("node:test");
const documents = require("../bench/documents");
const results = require("../bench/results");
const { eventually, within } = require("./support/waiting");

const BENCH = path.join(__dirname, "..", "bench");
const SCENARIO = "echo, 1 client";
const MEASURES = ["operationsPerSecond", "cpuPerOperation", "mainThreadPerOperation", "p50", "p99"];

/** What each way to a server is measured by. */
const ROAD = ["cpuPerConnect", "memoryPerConnection", "cpuPerEcho", "cpuPerDelivery"];
const ROADS = [
  ["default client", ROAD],
  ["polling only", ROAD],
  ["WebSocket only", ROAD],
  ["default client, with middleware", ROAD],
  ["WebSocket only, with middleware", ROAD],
  ["default client over TLS", ROAD],
  ["WebSocket only over TLS", ROAD],
  ["requests of the application, a connection each", ["cpuPerOperation"]],
  ["requests of the application, keep-alive", ["cpuPerOperation"]],
  ["requests of the application over TLS, a connection each", ["cpuPerOperation"]],
  ["requests of the application over TLS, keep-alive", ["cpuPerOperation"]],
  ["polling, 50 clients", ["operationsPerCpuSecond", ...MEASURES]],
  ["connect storm, 3,000 clients", MEASURES],
];

/** The load generator may have to be built, and what it needs fetched. */
const MINUTES = 60_000;

const skip = process.platform === "linux" ? false : "the benchmark needs Linux";

test("the benchmark runs, and saves results and a chart", { skip, timeout: 8 * MINUTES }, async (t) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-bench-"));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  const flags = ["--only", SCENARIO, "--peers", "socket.io", "--rounds", "1", "--secs", "0.3"];
  const bench = start(t, [...flags, "--save", directory]);
  const [code] = await once(bench, "close");
  assert.equal(code, 0, bench.said);

  const { scenarios } = JSON.parse(fs.readFileSync(path.join(directory, "results.json"), "utf8"));
  assert.deepEqual(
    scenarios.map(({ name, rounds }) => [name, rounds]),
    [[SCENARIO, 1]],
  );
  const { "sockeye.io": ours, "socket.io": stock, ...others } = scenarios[0].servers;
  assert.deepEqual(others, {});
  for (const { medians, failures } of [ours, stock]) {
    assert.deepEqual(failures, []);
    assert.deepEqual(Object.keys(medians), MEASURES);
    assert.ok(Object.values(medians).every(isPositive), JSON.stringify(medians));
  }
  assert.equal(ours.ratios, undefined);
  assert.deepEqual(Object.keys(stock.ratios), MEASURES);
  for (const [name, ratio] of Object.entries(stock.ratios)) {
    assert.ok(
      Math.abs(ratio / (ours.medians[name] / stock.medians[name]) - 1) < 1e-4,
      `the ratio of ${name}`,
    );
  }

  const chart = fs.readFileSync(path.join(directory, "results.svg"), "utf8");
  assert.match(chart, /^<svg .*<text class="title"[^>]*>echo, 1 client<.*<\/svg>\n$/s);
  assert.equal(chart.match(/<rect /g).length, 2);
});

test("every way to a server is measured", { skip, timeout: 8 * MINUTES }, async (t) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-bench-"));
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }));
  const flags = [
    "--only",
    "roads",
    "--peers",
    "socket.io",
    "--rounds",
    "1",
    "--secs",
    "0.2",
    "--clients",
    "40",
  ];
  const bench = start(t, [...flags, "--save", directory]);
  const [code] = await once(bench, "close");
  assert.equal(code, 0, bench.said);

  const measured = results.load(directory);
  assert.deepEqual(
    measured.map(({ name }) => name),
    ROADS.map(([name]) => name),
  );
  for (const [index, [name, measures]] of ROADS.entries()) {
    for (const [server, { medians, failures }] of Object.entries(measured[index].servers)) {
      assert.deepEqual(failures, [], `${name}: ${server}`);
      for (const measure of measures) {
        assert.ok(isPositive(medians[measure]), `${name}: ${server}: ${measure}: ${medians[measure]}`);
      }
    }
  }
  assert.deepEqual(Object.keys(measured[0].servers), ["sockeye.io", "socket.io"]);

  const [readme] = documents.DOCUMENTS;
  const [, table] = /<!-- bench: roads -->(.*?)<!-- \/bench -->/s.exec(
    documents.fill(fs.readFileSync(readme, "utf8"), measured),
  );
  const cells = table.match(/\d+ % \([\d.,]+ : [\d.,]+ (µs|KiB)\)/g);
  assert.equal(cells.length, 7 * 4 + 4, table);
});

test("the documents have the results that are kept", () => {
  const kept = results.load(BENCH);
  for (const file of documents.DOCUMENTS) {
    const text = fs.readFileSync(file, "utf8");
    assert.match(text, /<!-- bench: /);
    assert.equal(text, documents.fill(text, kept));
  }
});

test("what rooms take of memory is measured", { skip, timeout: MINUTES }, async (t) => {
  const capacity = spawn(
    process.execPath,
    [path.join(BENCH, "capacity.js"), "--clients", "50", "--rooms", "40"],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  t.after(() => capacity.kill());
  const lines = capacity.stdout.setEncoding("utf8").toArray();
  assert.deepEqual(await within(once(capacity, "close"), "the end", MINUTES), [0, null]);
  const figures = (await lines).join("").match(/: -?\d+ \(a client in no room: -?\d+\)$/gm);
  assert.equal(figures?.length, 4);
});

test("a server that fails is told from one that was measured", { skip }, async () => {
  const trial = require("../bench/trial");
  const contender = {
    name: "broken",
    hasJsThread: true,
    command: () => ({ command: process.execPath, args: ["-e", "throw new Error('no such luck')"] }),
  };
  const scenario = { name: "any", load: {}, peers: [], measures: [] };
  await assert.rejects(trial(contender, scenario, { secs: 1, warm: 1 }), /the server ended.*no such luck/s);
});

test("an interrupted benchmark leaves no process behind", { skip, timeout: 8 * MINUTES }, async (t) => {
  const bench = start(t, ["--only", SCENARIO, "--peers", "socket.io", "--secs", "60"]);
  await eventually(() => childrenOf(bench.pid).length === 2, "a server and the load generator", 6 * MINUTES);
  const children = childrenOf(bench.pid);
  bench.kill("SIGINT");
  assert.deepEqual(await within(once(bench, "close"), "the end of the benchmark"), [130, null]);
  await eventually(() => !children.some(isRunning), "the end of its children");
});

function start(t, flags) {
  const bench = spawn(process.execPath, [path.join(BENCH, "run.js"), ...flags], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.after(() => bench.kill());
  bench.said = "";
  for (const stream of [bench.stdout, bench.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => (bench.said += text));
  }
  return bench;
}

function isPositive(value) {
  return Number.isFinite(value) && value > 0;
}

/** The processes that a process measures with: neither npm nor cargo is among them. */
function childrenOf(pid) {
  const text = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
  const names = /server\.js|\bloadgen --/;
  const children = text.split(" ").filter(Boolean);
  return children.filter((child) => names.test(commandOf(child)));
}

function commandOf(pid) {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return "";
  }
}

/** A zombie has no command any more. */
function isRunning(pid) {
  return commandOf(pid) !== "";
}
