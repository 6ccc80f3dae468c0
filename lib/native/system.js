"use strict";

/** The system that this process runs on, as far as the choice of an addon depends on it. */

/** What ends the names of targets on platforms that have, or could have, more than one C library. */
const LIBRARIES = { linux: ["gnu", "musl"], win32: ["msvc"] };

const MUSL = "musl";

/**
 * The targets whose addons could fit this process, the more usual one first: `linux-x64-gnu`.
 * @returns {string[]} at least one
 */
function candidates() {
  const { platform, arch } = process;
  const libraries = LIBRARIES[platform] ?? [];
  if (libraries.length === 0) return [`${platform}-${arch}`];
  return libraries.map((library) => `${platform}-${arch}-${library}`);
}

/**
 * The C library that this process runs with, in words. To ask takes a quarter of the time of loading this package.
 * @returns {string} `glibc 2.36`, `musl`, or that it is not known
 */
function findLibrary() {
  const { header, sharedObjects } = readReport();
  if (header?.glibcVersionRuntime !== undefined) return `glibc ${header.glibcVersionRuntime}`;
  return sharedObjects?.some((file) => /\/(ld-musl-|libc\.musl-)/.test(file)) ? MUSL : "an unknown C library";
}

function usesMusl() {
  return findLibrary() === MUSL;
}

/** The one of the candidates that goes by the C library of this process. */
function ownTarget() {
  const targets = candidates();
  return targets.length > 1 && usesMusl() ? targets[1] : targets[0];
}

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

/** @returns {string} `linux-x64 with glibc 2.36 and Node 20.20.2` */
function describeSystem() {
  const { platform, arch } = process;
  const system = `${platform}-${arch} with`;
  return platform === "linux"
    ? `${system} ${findLibrary()} and ${describeRuntime()}`
    : `${system} ${describeRuntime()}`;
}

function describeRuntime() {
  const { bun, deno, node } = process.versions;
  if (bun) return `Bun ${bun}`;
  return deno ? `Deno ${deno}` : `Node ${node}`;
}

module.exports = { candidates, findLibrary, usesMusl, ownTarget, describeSystem, describeRuntime };
