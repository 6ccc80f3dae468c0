"use strict";

/** What is said when there is no addon that can be loaded: one sentence with what was found, the reason, and the remedy. */

const fs = require("fs");
const path = require("path");
const { version } = require("../../package.json");
const { describeSystem } = require("./system");

const ROOT = path.join(__dirname, "..", "..");
const SCOPE = "@sockeye.io";

/** What there are packages for. */
const TARGETS = [
  "darwin-arm64",
  "darwin-x64",
  "linux-arm64-gnu",
  "linux-arm64-musl",
  "linux-x64-gnu",
  "linux-x64-musl",
  "win32-arm64-msvc",
  "win32-x64-msvc",
];

/**
 * Where an addon was looked for: the file that `SOCKEYE_BINDING` names, or what goes by a target (`linux-x64-gnu`).
 * @typedef {{ file: string } | { target: string }} Source
 */

/**
 * Why an addon could not be loaded.
 * @param {Source} source
 * @param {Error} cause
 * @returns {Error} with `code` "ERR_SOCKEYE_ADDON" and `cause`
 */
function explain(source, cause) {
  const { reason, remedy } = isMissing(cause) ? diagnoseMissing(source) : diagnose(cause);
  return failure(source, reason, remedy, cause);
}

/**
 * An addon was loaded, but belongs to another version of this package.
 * @param {Source} source
 * @param {string} [found] - its version; those before 4.8.100 have none
 * @returns {Error} with `code` "ERR_SOCKEYE_ADDON"
 */
function explainVersion(source, found = "unknown") {
  const reason = `it is of version ${found}, while sockeye.io is ${version}`;
  const remedy = isClone()
    ? BUILD_HERE
    : `Install both again, of one version (npm install sockeye.io@${version})`;
  return failure(source, reason, remedy);
}

function failure(source, reason, remedy, cause) {
  const name = source.file ?? `${SCOPE}/${source.target}`;
  const error = new Error(
    `sockeye.io cannot load its native addon ${name} on ${describeSystem()}: ${reason}. ${remedy}.`,
    { cause },
  );
  error.code = "ERR_SOCKEYE_ADDON";
  return error;
}

/** Whether `require` has not found what it was to load. */
function isMissing({ code }) {
  return code === "MODULE_NOT_FOUND" || code === "ERR_MODULE_NOT_FOUND";
}

const REINSTALL =
  "Install the package on the system that it is to run on (npm ci), not on another to be copied";
const BUILD_HERE = "Run npm run build";

function diagnose({ code, message }) {
  if (code === "ERR_DLOPEN_DISABLED") {
    return process.permission === undefined
      ? { reason: "addons are turned off (--no-addons)", remedy: "Leave that option out" }
      : { reason: "the permission model does not allow addons", remedy: "Add the option --allow-addons" };
  }
  const [first] = message.split("\n");
  const glibc = /GLIBC_([\d.]+)/.exec(message);
  if (glibc !== null) {
    return {
      reason: `it needs a newer C library (glibc ${glibc[1]})`,
      remedy: `Use a newer system, or build the addon on this one: ${BUILD_THERE}`,
    };
  }
  if (/ELF|Mach-O|architecture|Win32|relocating|ld-musl|ld-linux|libc\.musl/i.test(message)) {
    return { reason: `it was built for another system (${first})`, remedy: REINSTALL };
  }
  return { reason: first, remedy: REINSTALL };
}

const BUILD_THERE = "npm run build in a clone of its repository, then SOCKEYE_BINDING=/path/to/the/file.node";

function diagnoseMissing({ file, target }) {
  if (file !== undefined) {
    return { reason: "there is no such file", remedy: "Correct SOCKEYE_BINDING, or unset it" };
  }
  if (isClone()) return { reason: "it has not been built", remedy: BUILD_HERE };
  if (!TARGETS.includes(target)) {
    return {
      reason: `there is no build for this system, only for ${TARGETS.join(", ")}`,
      remedy: `Build the addon on this one: ${BUILD_THERE}`,
    };
  }
  const others = installedTargets();
  if (others.length !== 0) {
    return {
      reason: `the package is not installed, there is ${others.join(", ")} for another system`,
      remedy: `${REINSTALL}; where the lock file comes from another system and lacks it, run npm install sockeye.io@${version}`,
    };
  }
  return {
    reason:
      "the package is not installed: optional dependencies were left out (--omit=optional, --no-optional), or the lock file lacks it",
    remedy: `Install it with them (npm install --include=optional sockeye.io@${version})`,
  };
}

function isClone() {
  return fs.existsSync(path.join(ROOT, "Cargo.toml"));
}

/** What is there for other systems: packages in the folders in which `require` looks, and files beside package.json. */
function installedTargets() {
  const folders = require.resolve.paths?.(SCOPE) ?? [];
  const packages = folders.flatMap((folder) => list(path.join(folder, SCOPE)));
  const files = list(ROOT).filter((file) => /^sockeye\..*\.node$/.test(file));
  return [...packages.map((name) => `${SCOPE}/${name}`), ...files];
}

/** The names in a folder, as far as it can be read. */
function list(folder) {
  try {
    return fs.readdirSync(folder);
  } catch {
    return [];
  }
}

module.exports = { TARGETS, explain, explainVersion, isMissing };
