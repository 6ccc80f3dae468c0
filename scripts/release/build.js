"use strict";

// Builds the addon of a target on its own system: with the tools of macOS and Windows there, and on Linux with zig, for old C
// libraries, the other architecture, and musl.

const fs = require("node:fs");
const path = require("node:path");
const { Unavailable } = require("./cache");
const { complaintsAbout } = require("./glibc");
const { addonOf } = require("./targets");
const { cargo, obtainRust, obtainZig, requireCargo } = require("./toolchains");

/** Cargo's name for the library of a target, by npm's name of its system. */
const LIBRARIES = { linux: "libsockeye.so", darwin: "libsockeye.dylib", win32: "sockeye.dll" };

/**
 * Builds the addon of a target, stripped.
 * @param {import("./targets").Target} target
 * @param {object} options
 * @param {string} options.into - the folder that it is put into
 * @returns {{ file: string } | { skipped: string }} where it is, or a sentence that says what is missing on this machine
 * @throws {Error} when it does not compile, or would not load where it has to
 */
function build(target, { into }) {
  let how;
  try {
    how = toolsFor(target);
  } catch (error) {
    if (error instanceof Unavailable) return { skipped: error.message };
    throw error;
  }
  const folder = cargo("build", target.rust, { ...how, glibc: target.glibc, ...optionsFor(target) });
  const built = path.join(folder, LIBRARIES[target.os]);
  if (target.os === "linux") {
    const complaints = complaintsAbout(fs.readFileSync(built), target);
    if (complaints.length !== 0) throw new Error(`the addon for ${target.name} ${complaints.join(", ")}`);
  }
  fs.mkdirSync(into, { recursive: true });
  const file = path.join(into, addonOf(target));
  fs.copyFileSync(built, file);
  return { file };
}

function toolsFor({ os, rust }) {
  requireCargo();
  if (os !== process.platform) throw new Unavailable(`linkers for ${os} are used on ${os} only`);
  return os === "linux" ? { zig: obtainZig(), rust: obtainRust(rust) } : { rust: obtainRust(rust) };
}

function optionsFor({ os, libc }) {
  // what loads an addon has its C library already, except on Windows, where Node keeps that to itself
  if (libc === "musl") return { flags: ["-Ctarget-feature=-crt-static"] };
  if (os === "win32") return { flags: ["-Ctarget-feature=+crt-static"] };
  return {};
}

module.exports = { build };
