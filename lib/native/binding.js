"use strict";

/** The native addon. This is the one place that loads it. */

const fs = require("fs");
const path = require("path");

const ROOT = path.join(__dirname, "..", "..");

/**
 * How to load the addons that there are builds of. Literally, so that bundlers and tracers of files see what is needed.
 * An addon lies beside package.json.
 */
const LOADERS = {
  "darwin-arm64": () => require("../../sockeye.darwin-arm64.node"),
  "darwin-x64": () => require("../../sockeye.darwin-x64.node"),
  "linux-arm64-gnu": () => require("../../sockeye.linux-arm64-gnu.node"),
  "linux-arm64-musl": () => require("../../sockeye.linux-arm64-musl.node"),
  "linux-x64-gnu": () => require("../../sockeye.linux-x64-gnu.node"),
  "linux-x64-musl": () => require("../../sockeye.linux-x64-musl.node"),
  "win32-arm64-msvc": () => require("../../sockeye.win32-arm64-msvc.node"),
  "win32-x64-msvc": () => require("../../sockeye.win32-x64-msvc.node"),
};

/** What ends the names of platforms that have more than one C library. */
const LIBRARIES = { linux: ["gnu", "musl"], win32: ["msvc"] };

/** @throws {Error} with `code` "ERR_SOCKEYE_ADDON" and `cause` when there is no addon that can be loaded */
function load() {
  const override = process.env.NAPI_RS_NATIVE_LIBRARY_PATH;
  const target = override ? undefined : findTarget();
  try {
    if (override) return require(override);
    // whoever builds it for a platform of their own finds it as well
    return LOADERS[target] === undefined ? require(`../../${fileOf(target)}`) : LOADERS[target]();
  } catch (cause) {
    throw explain(override ?? fileOf(target), cause);
  }
}

function fileOf(target) {
  return `sockeye.${target}.node`;
}

/** What this process needs an addon for. */
function findTarget() {
  const { platform, arch } = process;
  const system = `${platform}-${arch}`;
  const libraries = LIBRARIES[platform] ?? [];
  if (libraries.length === 0) return system;
  const targets = libraries.map((library) => `${system}-${library}`);
  // to ask which C library it is takes a quarter of the time of loading this package
  const present = targets.filter((target) => fs.existsSync(path.join(ROOT, fileOf(target))));
  if (present.length === 1) return present[0];
  return targets.length === 1 || findLibrary() !== MUSL ? targets[0] : targets[1];
}

/** The C library that this process runs with, in words. */
function findLibrary() {
  const { header, sharedObjects } = readReport();
  if (header?.glibcVersionRuntime !== undefined) return `glibc ${header.glibcVersionRuntime}`;
  return sharedObjects?.some((file) => /\/(ld-musl-|libc\.musl-)/.test(file)) ? MUSL : "an unknown C library";
}

const MUSL = "musl";

function readReport() {
  const { report } = process;
  if (typeof report?.getReport !== "function") return {};
  // resolving the addresses of open sockets may take seconds
  const { excludeNetwork } = report;
  report.excludeNetwork = true;
  try {
    return report.getReport();
  } finally {
    report.excludeNetwork = excludeNetwork;
  }
}

/**
 * Says what was found, what is missing, why that probably is, and what to do.
 * @param {string} expected - the file
 * @param {Error} cause
 * @returns {Error}
 */
function explain(expected, cause) {
  const { reason, remedy } = diagnose(expected, cause);
  const error = new Error(
    `sockeye.io cannot load its native addon ${expected} on ${describeSystem()}: ${reason}. ${remedy}.`,
    { cause },
  );
  error.code = "ERR_SOCKEYE_ADDON";
  return error;
}

function describeSystem() {
  const { platform, arch, versions } = process;
  const runtime = versions.bun
    ? `Bun ${versions.bun}`
    : versions.deno
      ? `Deno ${versions.deno}`
      : `Node ${versions.node}`;
  if (platform !== "linux") return `${platform}-${arch} with ${runtime}`;
  return `${platform}-${arch} with ${findLibrary()} and ${runtime}`;
}

function diagnose(expected, { code, message }) {
  if (code === "ERR_DLOPEN_DISABLED") {
    return process.permission === undefined
      ? { reason: "addons are turned off (--no-addons)", remedy: "Leave that option out" }
      : { reason: "the permission model does not allow addons", remedy: "Add the option --allow-addons" };
  }
  if (code === "MODULE_NOT_FOUND") return diagnoseMissing();
  const [first] = message.split("\n");
  if (/GLIBC_[\d.]+/.test(message)) {
    const [needed] = /GLIBC_[\d.]+/.exec(message);
    return {
      reason: `it needs a newer C library (${needed.replace("_", " ")})`,
      remedy: `Use a newer system, or build the addon on this one: ${BUILD}`,
    };
  }
  if (/ELF|Mach-O|architecture|Win32|relocating|ld-musl|ld-linux|libc\.musl/i.test(message)) {
    return {
      reason: `it was built for another system (${first})`,
      remedy: REINSTALL,
    };
  }
  return { reason: first, remedy: REINSTALL };
}

const REINSTALL =
  "Install the package on the system that it is to run on (npm ci), not on another to be copied";

const BUILD = "npm run build in a clone of its repository";

function diagnoseMissing() {
  const present = addonsPresent();
  if (present.length !== 0) {
    return {
      reason: `it is not there, there is ${present.join(", ")} for another system`,
      remedy: REINSTALL,
    };
  }
  if (fs.existsSync(path.join(ROOT, "Cargo.toml"))) {
    return {
      reason: "it is not there, nor is any other: it has not been built",
      remedy: "Run npm run build",
    };
  }
  return {
    reason:
      "it is not there, nor is any other: there may be no build for this system, or it was not installed",
    remedy: `Install the package again, without leaving optional dependencies out, or build the addon: ${BUILD}`,
  };
}

/** The addons beside package.json, as far as the folder can be read. */
function addonsPresent() {
  try {
    return fs.readdirSync(ROOT).filter((file) => /^sockeye\..*\.node$/.test(file));
  } catch {
    return [];
  }
}

module.exports = load();
