"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const test = require("node:test");
const { INSTRUMENTS, NEST } = require("./fixtures/alias-app/frameworks");
const { MINUTES, packInto, install, execute, versionOf } = require("./support/tarball");

const APP = path.join(__dirname, "fixtures", "alias-app");

test("installed under the name socket.io", { timeout: 8 * MINUTES }, async (t) => {
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-alias-"));
  t.after(() => fs.rmSync(scratch, { recursive: true, force: true }));
  const tarball = await packInto(scratch);
  const stock = await makeProject(path.join(scratch, "stock"), versionOf("socket.io"));
  const ours = await makeProject(path.join(scratch, "ours"), `file:${tarball}`);

  await t.test("it is the only copy, also where a framework wants an exact version", () => {
    assert.deepEqual(copiesOf(stock), ["node_modules/socket.io: socket.io"]);
    assert.deepEqual(copiesOf(ours), ["node_modules/socket.io: sockeye.io"]);
    const wanted = readJson(path.join(ours, "node_modules", "@nestjs", "platform-socket.io", "package.json"));
    assert.match(wanted.dependencies["socket.io"], /^\d/);
  });

  await t.test("what can be required is what stock lets be required, and no file of dist", async () => {
    const names = [
      "",
      "/package.json",
      "/dist/socket.js",
      "/dist/socket",
      "/lib/socket.js",
      "/client-dist/x",
    ];
    const script = `
      const outcome = (name) => { try { return typeof require("socket.io" + name); } catch (e) { return e.code; } };
      console.log(JSON.stringify(${JSON.stringify(names)}.map(outcome)));`;
    const [expected, actual] = await runBoth((cwd) => node(cwd, ["--eval", script]));
    assert.deepEqual(actual, expected);
    assert.equal(actual[2], "ERR_PACKAGE_PATH_NOT_EXPORTED");
  });

  await t.test("a gateway of NestJS works as with stock", async () => {
    const [expected, actual] = await runBoth((cwd) => node(cwd, ["nest.js"]));
    assert.deepEqual(actual, expected);
    assert.equal(actual.isOurs, true);
    assert.equal(actual.doubled, 42);
    assert.equal(actual.posted.length, 2);
    assert.equal(actual.failed[0].message, "not like this");
    assert.equal(actual.crashed[0].message, "Internal server error");
  });

  await t.test("OpenTelemetry's instrumentation sees what it sees of stock", async () => {
    const [expected, actual] = await runBoth((cwd) => node(cwd, ["tracing.js"]));
    assert.deepEqual(actual.heard, ["told: what", "announced: what"]);
    assert.deepEqual(
      actual.spans.map(({ name }) => name),
      ["receive /", "receive /", "send /", "send /"],
    );
    assert.deepEqual(actual, expected);
  });

  await t.test("the Admin UI sees, and does, what it sees and does with stock", async () => {
    const [expected, actual] = await runBoth((cwd) => node(cwd, ["admin.js"]));
    assert.deepEqual(actual, expected);
    assert.equal(actual.isIn, true);
    assert.equal(actual.reason, "io server disconnect");
    const names = actual.events.map(([event]) => event);
    for (const event of [
      "socket_connected",
      "socket_updated",
      "room_joined",
      "event_received",
      "event_sent",
    ]) {
      assert.ok(names.includes(event), `${event} among ${names}`);
    }
  });

  /** Runs the same in both projects. */
  async function runBoth(run) {
    return [await run(stock), await run(ours)];
  }
});

/** An application with these frameworks, for all of which `socket.io` is the given package. */
async function makeProject(directory, version) {
  fs.cpSync(APP, directory, { recursive: true });
  const dependencies = {
    ...NEST,
    ...INSTRUMENTS,
    "socket.io": version,
    "socket.io-client": versionOf("socket.io-client"),
  };
  const manifest = { name: "app", private: true, dependencies, overrides: { "socket.io": "$socket.io" } };
  fs.writeFileSync(path.join(directory, "package.json"), JSON.stringify(manifest));
  await install(directory);
  return directory;
}

async function node(cwd, args) {
  const { stdout } = await execute(process.execPath, args, { cwd, timeout: MINUTES });
  return JSON.parse(stdout);
}

/** Where in a project there are packages in directories named socket.io, and what they are called themselves. */
function copiesOf(project) {
  return fs
    .readdirSync(project, { recursive: true })
    .filter((entry) => /(^|[\\/])node_modules[\\/]socket\.io$/.test(entry))
    .map(
      (entry) =>
        `${entry.replaceAll("\\", "/")}: ${readJson(path.join(project, entry, "package.json")).name}`,
    )
    .sort();
}

function readJson(file) {
  return JSON.parse(fs.readFileSync(file, "utf8"));
}
