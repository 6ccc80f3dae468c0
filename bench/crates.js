"use strict";

// What of the benchmark is written in Rust: crates of their own, built into target/bench when they are first needed.

const path = require("node:path");
const children = require("./children");

const target = path.join(__dirname, "..", "target", "bench");

/**
 * Builds a crate.
 *
 * @param {string} directory within bench/
 */
async function build(directory) {
  const manifest = path.join(__dirname, directory, "Cargo.toml");
  await children.run({
    command: "cargo",
    args: ["build", "--release", "--locked", "--manifest-path", manifest, "--target-dir", target],
  });
}

/** The path of a program that has been built. */
function program(name) {
  return path.join(target, "release", name);
}

module.exports = { build, program };
