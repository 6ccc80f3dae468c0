"use strict";

// What there are packages for: the targets of lib/native/addon-failure.js, as npm and as Rust name them.

const { ownTarget } = require("../../lib/native/system");

/**
 * @typedef {object} Target
 * @property {string} name - as the loader and the package name it: `linux-x64-gnu`
 * @property {string} rust - `x86_64-unknown-linux-gnu`
 * @property {string} os - npm's
 * @property {string} cpu - npm's
 * @property {"glibc"|"musl"} [libc] - npm's, on Linux
 * @property {string} [glibc] - the oldest version of glibc that the addon has to load with
 */

/** The glibc of the oldest distributions that Node's own builds run on. */
const GLIBC = "2.17";

/** @type {Target[]} */
const TARGETS = [
  { name: "darwin-arm64", rust: "aarch64-apple-darwin", os: "darwin", cpu: "arm64" },
  { name: "darwin-x64", rust: "x86_64-apple-darwin", os: "darwin", cpu: "x64" },
  linux("arm64", "gnu", { libc: "glibc", glibc: GLIBC }),
  linux("arm64", "musl", { libc: "musl" }),
  linux("x64", "gnu", { libc: "glibc", glibc: GLIBC }),
  linux("x64", "musl", { libc: "musl" }),
  { name: "win32-arm64-msvc", rust: "aarch64-pc-windows-msvc", os: "win32", cpu: "arm64" },
  { name: "win32-x64-msvc", rust: "x86_64-pc-windows-msvc", os: "win32", cpu: "x64" },
];

function linux(cpu, library, more) {
  const architecture = { arm64: "aarch64", x64: "x86_64" }[cpu];
  return {
    name: `linux-${cpu}-${library}`,
    rust: `${architecture}-unknown-linux-${library}`,
    os: "linux",
    cpu,
    ...more,
  };
}

/** The target of the Node that runs this; `undefined` where there is none. */
function hostTarget() {
  const own = ownTarget();
  return TARGETS.find(({ name }) => name === own);
}

/** The name of a target's addon: `sockeye.linux-x64-gnu.node`. */
function addonOf({ name }) {
  return `sockeye.${name}.node`;
}

/** The name of a target's package: `@sockeye.io/linux-x64-gnu`. */
function packageOf({ name }) {
  return `@sockeye.io/${name}`;
}

module.exports = { TARGETS, hostTarget, addonOf, packageOf };
