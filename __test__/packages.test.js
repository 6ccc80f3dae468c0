"use strict";

// `npm run packages`, but for the packages: its lock file, and what it says of scenarios that go well and that do not.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const test = require("node:test");
const {
  TRIED,
  folder,
  isBroken,
  lockedVersions,
  play,
  report,
  scenarioNames,
} = require("../scripts/packages");

const [WS, OURS] = TRIED;

/** Plays a function as a scenario on both. */
async function playBoth(t, source, limit) {
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-scenario-"));
  t.after(() => fs.rmSync(scratch, { recursive: true, force: true }));
  const file = path.join(scratch, "scenario.js");
  fs.writeFileSync(file, `exports.play = ${source};\n`);
  return [await play(file, WS, limit), await play(file, OURS, limit)];
}

test("the lock file names no registry, and the versions are pinned", () => {
  const text = fs.readFileSync(path.join(folder, "package-lock.json"), "utf8");
  assert.doesNotMatch(text, /"resolved"|https?:\/\/registry/);
  const { devDependencies } = JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8"));
  assert.deepEqual(lockedVersions(), devDependencies);
});

test("every scenario says of which packages it is, and these are locked", () => {
  const versions = lockedVersions();
  assert.notEqual(scenarioNames().length, 0);
  for (const name of scenarioNames()) {
    const scenario = require(path.join(folder, "scenarios", name));
    assert.equal(typeof scenario.play, "function", name);
    assert.notEqual(scenario.packages.length, 0, name);
    for (const one of scenario.packages) assert.match(versions[one] ?? "", /^\d+\.\d+\.\d+$/, one);
  }
  assert.deepEqual(scenarioNames(["mqtt", "trpc"]), ["mqtt", "trpc"]);
});

test("a scenario that goes well on both", async (t) => {
  const failures = await playBoth(t, async ({ WebSocketServer, WebSocket }) => {
    const wss = new WebSocketServer({ port: 0 });
    wss.on("connection", (ws) => ws.on("message", (data) => ws.send(data)));
    await new Promise((resolve) => wss.on("listening", resolve));
    const client = new WebSocket(`ws://localhost:${wss.address().port}`);
    client.on("open", () => client.send("x"));
    await new Promise((resolve) => client.on("message", resolve));
    client.close();
    await new Promise((resolve) => wss.close(resolve));
  });
  assert.deepEqual(failures, [undefined, undefined]);
  assert.equal(isBroken(failures), false);
  assert.equal(report("any 1.0.0", failures), `any 1.0.0: ok on ${WS}, ok on ${OURS}`);
});

test("one that fails here only is broken, and one that fails on ws too is not", async (t) => {
  const failures = await playBoth(t, async ({ WebSocketServer }) => {
    const wss = new WebSocketServer({ noServer: true });
    await new Promise((resolve) => wss.close(resolve));
    if ("broadcast" in wss) throw new Error("it is another one");
  });
  const [onWs, onOurs] = failures;
  assert.equal(onWs, undefined);
  assert.match(onOurs, /^Error: it is another one\n/);
  assert.equal(isBroken(failures), true);
  const [line, ...details] = report("any 1.0.0", failures).split("\n");
  assert.equal(line, `any 1.0.0: ok on ${WS}, fails on ${OURS}`);
  assert.equal(details[0], "  Error: it is another one");
  assert.equal(isBroken([onOurs, onOurs]), false);
});

test("a scenario that leaves something open is ended, and one that tries nothing has failed", async (t) => {
  const [endless] = await playBoth(t, () => new Promise(() => setInterval(() => {}, 1000)), 1000);
  assert.equal(endless, "It has not ended within 1 s.");
  for (const failure of await playBoth(t, async () => {})) assert.match(failure, /no server has been one of/);
});
