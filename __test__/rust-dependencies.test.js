"use strict";

// Crates with published vulnerabilities: none of the versions that have them, and none of the code that we do without.

const test = require("node:test");
const assert = require("node:assert/strict");
const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { TARGETS } = require("../scripts/release/targets");
const { compareVersions } = require("../scripts/upstream");

const root = path.join(__dirname, "..");

/** What a Cargo.lock pins: the versions and the dependencies of each crate, by name. */
function lockedCrates(folder = "") {
  const text = fs.readFileSync(path.join(root, folder, "Cargo.lock"), "utf8");
  const crates = new Map();
  for (const entry of text.split("[[package]]").slice(1)) {
    const name = /^name = "(.+)"$/m.exec(entry)[1];
    const [, version] = /^version = "(.+)"$/m.exec(entry);
    const [, list = ""] = /^dependencies = \[([^\]]*)\]/m.exec(entry) ?? [];
    const dependencies = [...list.matchAll(/"([^" ]+)/g)].map((match) => match[1]);
    crates.set(name, [...(crates.get(name) ?? []), { version, dependencies }]);
  }
  return crates;
}

for (const [name, floor] of [
  ["bytes", "1.11.1"],
  ["tokio", "1.44.2"],
]) {
  test(`${name} is ${floor} or newer`, () => {
    const found = lockedCrates().get(name);
    assert.ok(found?.length > 0);
    for (const { version } of found) {
      assert.ok(compareVersions(version, floor) >= 0, version);
    }
  });
}

test("tungstenite comes without its code for handshakes", () => {
  const crates = lockedCrates();
  const [tungstenite] = crates.get("tungstenite");
  assert.deepEqual(
    tungstenite.dependencies.filter((name) => ["http", "httparse"].includes(name)),
    [],
  );
});

test("licences, sources and duplicates are those that deny.toml allows", (t) => {
  const cargo = (...args) => spawnSync("cargo", ["deny", ...args], { cwd: root, encoding: "utf8" });
  if (cargo("--version").status !== 0) {
    t.skip("cargo-deny is not installed");
    return;
  }
  const { status, stderr } = cargo("--offline", "check", "bans", "licenses", "sources");
  assert.equal(status, 0, stderr);
});

test("deny.toml looks at what addons are built for", () => {
  const [, list] = /^targets = \[([^\]]*)\]/m.exec(fs.readFileSync(path.join(root, "deny.toml"), "utf8"));
  const targets = [...list.matchAll(/"([^"]+)"/g)].map((match) => match[1]);
  assert.deepEqual(targets.sort(), TARGETS.map(({ rust }) => rust).sort());
});

test("what is fuzzed is made of the same versions", () => {
  const versionsOf = (list) => list.map(({ version }) => version);
  const fuzzed = lockedCrates("fuzz");
  let common = 0;
  for (const [name, list] of lockedCrates()) {
    if (!fuzzed.has(name)) continue;
    common++;
    const others = versionsOf(fuzzed.get(name)).filter((version) => !versionsOf(list).includes(version));
    assert.deepEqual(others, [], `${name}: cp Cargo.lock fuzz/ brings them together`);
  }
  assert.ok(common > 50);
});
