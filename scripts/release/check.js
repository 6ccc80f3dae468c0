"use strict";

// Compiles for targets that Linux cannot link for, or run what it links, as far as types go.

const { Unavailable } = require("./cache");
const { TARGETS } = require("./targets");
const { cargo, obtainRust, obtainZig, requireCargo } = require("./toolchains");

/**
 * Checks the crate for a target, with warnings as errors.
 * @param {import("./targets").Target} target
 * @returns {{ passed: boolean } | { skipped: string }} a sentence that says what is missing on this machine
 */
function checkTypes({ rust: triple }) {
  let how;
  try {
    requireCargo();
    how = { zig: obtainZig(), rust: obtainRust(triple), flags: ["-Dwarnings"] };
  } catch (error) {
    if (error instanceof Unavailable) return { skipped: error.message };
    throw error;
  }
  try {
    cargo("check", triple, how);
    return { passed: true };
  } catch (error) {
    console.error(error.message);
    return { passed: false };
  }
}

/** The targets whose addons cannot be tried out on Linux. */
const CHECKED = TARGETS.filter(({ os }) => os !== "linux");

module.exports = { CHECKED, checkTypes };
