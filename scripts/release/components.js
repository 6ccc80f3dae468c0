"use strict";

// What of others is in what is published: the crates that an addon is made of, and the packages that are in the bundles of
// the client.

const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { root } = require("../support");

/** The packages whose code is in the client bundles, as their source maps have it. */
const BUNDLED = [
  "socket.io-client",
  "engine.io-client",
  "engine.io-parser",
  "socket.io-parser",
  "@socket.io/component-emitter",
  "debug",
  "ms",
  "socket.io-msgpack-parser",
  "notepack.io",
  "component-emitter",
];

/**
 * @typedef {object} Component
 * @property {"cargo"|"npm"} ecosystem
 * @property {string} name
 * @property {string} version
 * @property {string} license - an SPDX expression
 * @property {string} directory - where its sources are
 * @property {string} [checksum] - the SHA-256 of what was downloaded, in hexadecimal digits
 * @property {string[]} [dependencies] - `name@version` of those that it needs
 */

/**
 * The crates that are compiled into the addon of a target; none that only run while it is built.
 * @param {string} [triple] - Rust's name of the target; those of all targets unless given
 * @returns {Component[]} ordered by name
 */
function cratesOf(triple) {
  const filter = triple === undefined ? [] : ["--filter-platform", triple];
  const args = ["metadata", "--locked", "--format-version", "1", ...filter];
  const options = { cwd: root, encoding: "utf8", maxBuffer: Infinity, stdio: ["ignore", "pipe", "pipe"] };
  const { packages, resolve } = JSON.parse(execFileSync("cargo", args, options));
  const packageOf = new Map(packages.map((entry) => [entry.id, entry]));
  const nodeOf = new Map(resolve.nodes.map((node) => [node.id, node]));
  const runsInBuilds = (id) => packageOf.get(id).targets.some(({ kind }) => kind.includes("proc-macro"));
  const linked = ({ deps }) =>
    deps
      .filter(({ dep_kinds }) => dep_kinds.some(({ kind }) => kind === null))
      .map(({ pkg }) => pkg)
      .filter((id) => !runsInBuilds(id));

  const found = new Set();
  const waiting = linked(nodeOf.get(resolve.root));
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (found.has(id)) continue;
    found.add(id);
    waiting.push(...linked(nodeOf.get(id)));
  }
  const checksums = readChecksums();
  const keyOf = ({ name, version }) => `${name}@${version}`;
  return [...found]
    .map((id) => packageOf.get(id))
    .map((entry) => ({
      ecosystem: "cargo",
      name: entry.name,
      version: entry.version,
      license: entry.license.replace("/", " OR "),
      directory: path.dirname(entry.manifest_path),
      checksum: checksums.get(keyOf(entry)),
      dependencies: linked(nodeOf.get(entry.id)).map((id) => keyOf(packageOf.get(id))),
    }))
    .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

/** What Cargo.lock says of what is downloaded: SHA-256 by `name@version`. */
function readChecksums() {
  const lock = fs.readFileSync(path.join(root, "Cargo.lock"), "utf8");
  const entries = lock.matchAll(
    /^name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "([0-9a-f]+)"$/gm,
  );
  return new Map(Array.from(entries, ([, name, version, checksum]) => [`${name}@${version}`, checksum]));
}

/** @returns {Component[]} the packages in the client bundles */
function bundledPackages() {
  return BUNDLED.map((name) => {
    const directory = path.join(root, "node_modules", name);
    const { version, license } = JSON.parse(fs.readFileSync(path.join(directory, "package.json"), "utf8"));
    return { ecosystem: "npm", name, version, license, directory };
  });
}

module.exports = { BUNDLED, cratesOf, bundledPackages };
