"use strict";

// Where the runtimes come from that the tests need beside the Node that runs them: other Nodes, Bun and Deno. npm has
// their binaries as packages, one for each platform. They are installed once, into a folder that git ignores; remove the
// folder to get newer ones.

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { usesMusl } = require("../lib/native/system");
const { npm, root } = require("./support");

/** The Nodes that people run. */
const NODES = [20, 22, 24, 26];

const CACHE = path.join(root, ".runtimes");

const isMusl = process.platform === "linux" && usesMusl();
const exe = process.platform === "win32" ? ".exe" : "";

/** Of each runtime: the package that has its binary for this platform, and where in it that is. */
const PACKAGES = {
  node: (cpu) => ({
    name: `node-${process.platform === "win32" ? "win" : process.platform}-${cpu}`,
    binary: `bin/node${exe}`,
    hasMusl: false,
  }),
  bun: () => ({
    name: `@oven/bun-${process.platform === "win32" ? "windows" : process.platform}-${process.arch === "arm64" ? "aarch64" : process.arch}${isMusl ? "-musl" : ""}`,
    binary: `bin/bun${exe}`,
    hasMusl: true,
  }),
  deno: () => ({
    name: `@deno/${process.platform}-${process.arch}${process.platform === "linux" ? "-glibc" : ""}`,
    binary: `deno${exe}`,
    hasMusl: false,
  }),
};

/**
 * The binary of a runtime, which is installed unless it is there. Nothing of its package is run for that.
 * @param {"node"|"bun"|"deno"} runtime
 * @param {string|number} [version] - or a part of it, such as 22
 * @param {string} [cpu] - another architecture than this one, as Node names it, of a Node
 * @returns {string} its path
 * @throws {Error} when it cannot be had, with a sentence that says why
 */
function obtain(runtime, version = "latest", cpu = process.arch) {
  const { name, binary, hasMusl } = PACKAGES[runtime](cpu);
  if (isMusl && !hasMusl) throw new Error(`npm has no ${runtime} for this C library`);
  const home = path.join(CACHE, `${name.replace("/", "+")}@${version}`);
  const file = path.join(home, "node_modules", name, binary);
  // npm would refuse what is for another architecture
  if (!fs.existsSync(file)) install(`${name}@${version}`, home, cpu === process.arch ? [] : ["--force"]);
  if (!fs.existsSync(file)) throw new Error(`${name} has no ${binary}`);
  return file;
}

/** Installs a package into a folder, which is there as a whole or not at all. */
function install(specifier, home, more) {
  const draft = `${home}-${process.pid}`;
  fs.mkdirSync(draft, { recursive: true });
  // without a manifest of its own, npm would look for one further up
  fs.writeFileSync(path.join(draft, "package.json"), '{ "private": true }\n');
  try {
    const { command, args, shell } = npm();
    const options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"];
    const { status, stderr } = spawnSync(
      command,
      [...args, "install", "--prefix", draft, ...options, ...more, specifier],
      {
        cwd: draft,
        encoding: "utf8",
        shell,
      },
    );
    if (status !== 0) throw new Error(`${specifier} cannot be installed: ${firstLine(stderr)}`);
    if (!fs.existsSync(home)) fs.renameSync(draft, home);
  } finally {
    fs.rmSync(draft, { recursive: true, force: true });
  }
}

function firstLine(text) {
  return text?.split("\n").find((line) => line.trim() !== "") ?? "npm did not run";
}

/**
 * A Node of a major version: this one, if it is one, else one that is installed.
 * @param {number} major
 * @returns {string} its path
 * @throws {Error} when it cannot be had
 */
function obtainNode(major) {
  return major === ownMajor() ? process.execPath : obtain("node", major);
}

/** How files are run on the runtimes beside Node: the arguments before the file. */
const BESIDE = {
  bun: [],
  // it need not ask for anything, nor write anything down
  deno: ["run", "--allow-all", "--no-lock", "--cached-only"],
};

/**
 * A runtime beside Node.
 * @param {"bun"|"deno"} runtime
 * @returns {{ name: string, command: string, args: string[] }} `bun 1.4.5`, and how a file is run on it
 * @throws {Error} when it cannot be had
 */
function obtainBeside(runtime) {
  const command = obtain(runtime);
  return { name: `${runtime} ${versionOf(command)}`, command, args: BESIDE[runtime] };
}

function ownMajor() {
  return Number(process.versions.node.split(".")[0]);
}

/** What a binary says its version is, such as 22.23.3. */
function versionOf(file) {
  const { stdout } = spawnSync(file, ["--version"], { encoding: "utf8" });
  return /\d+\.\d+\.\d+/.exec(stdout)[0];
}

module.exports = { NODES, obtain, obtainBeside, obtainNode, ownMajor, versionOf };
