"use strict";

// What has to be true of the packages of a release before anybody is given them.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { execute } = require("../processes");
const { addonOf } = require("./targets");

const BIN = path.join(__dirname, "node_modules", ".bin");

/** The most that a tarball may weigh, in bytes: what an installation has to wait for. */
const LIMITS = { main: 480_000, platform: 1_300_000 };

/** What there is in the package of a target beside its addon. */
const PLATFORM_FILES = ["LICENSE", "NOTICES.md", "README.md", "package.json"];

/** @param {import("./assemble").Package} entry */
function inspectSize({ name, size, target }) {
  const limit = target === undefined ? LIMITS.main : LIMITS.platform;
  assert.ok(size <= limit, `${name} weighs ${size} bytes, more than ${limit}`);
}

/** Nothing runs when a package is installed, and what is needed is in it. */
function inspectContents({ folder, files, target }) {
  const manifest = JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8"));
  assert.equal(manifest.scripts, undefined);
  if (target !== undefined) {
    assert.deepEqual(files, [...PLATFORM_FILES, addonOf(target)].sort());
    assert.equal(manifest.main, addonOf(target));
    return;
  }
  for (const [name, version] of Object.entries(manifest.optionalDependencies)) {
    assert.equal(version, manifest.version, name);
  }
  assert.deepEqual(
    files.filter((file) => file.endsWith(".node")),
    [],
  );
}

/** What publint and "Are the types wrong?" find. */
async function inspectManifest({ folder, tarball, target }) {
  await execute(path.join(BIN, "publint"), ["--strict", folder]);
  // a package of a target has no types, nor needs any
  if (target === undefined) await execute(path.join(BIN, "attw"), [tarball]);
}

module.exports = { LIMITS, inspectContents, inspectManifest, inspectSize };
