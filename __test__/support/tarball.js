"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { execute, runNpm, withoutNpm } = require("../../scripts/processes");

const ROOT = path.join(__dirname, "..", "..");
const MINUTES = 60_000;

/**
 * Packs the package as it would be published.
 *
 * @param {string} directory
 * @returns {Promise<string>} the path of the tarball, the only one in the directory
 */
async function packInto(directory) {
  await runNpm(["pack", "--pack-destination", directory], { cwd: ROOT, env: withoutNpm(process.env) });
  const [tarball, ...others] = fs.readdirSync(directory).filter((file) => file.endsWith(".tgz"));
  if (tarball === undefined || others.length !== 0) {
    throw new Error(`npm pack has made ${others.length + 1} tarballs, or none`);
  }
  return path.join(directory, tarball);
}

/** Installs packages, or what package.json wants, from the cache as far as they are in there. */
function install(cwd, packages = [], env = withoutNpm(process.env)) {
  return runNpm(["install", "--prefer-offline", "--no-audit", "--no-fund", ...packages], { cwd, env });
}

/** The version of a package among our own dependencies. */
function versionOf(name) {
  return JSON.parse(fs.readFileSync(path.join(ROOT, "node_modules", name, "package.json"), "utf8")).version;
}

module.exports = { ROOT, MINUTES, packInto, install, execute, withoutNpm, versionOf };
