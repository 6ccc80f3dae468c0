"use strict";

// Python's packages, as carriers of binaries: zig, cargo-zigbuild, and Nodes for musl.

const { Unavailable, fetchWith, findCommand } = require("./cache");

/**
 * Unpacks packages into a folder. Nothing of them is run, and nothing is installed on the machine.
 * @param {string} what - what cannot be had without them, in words
 * @param {string[]} requirements - `name==version`
 * @param {string} into
 * @param {string} [platform] - Python's name of another than this one: `musllinux_1_2_x86_64`
 * @throws {Unavailable} when they cannot be had
 */
function unpackPython(what, requirements, into, platform) {
  const python = ["python3", "python"].find(findCommand);
  if (python === undefined) {
    throw new Unavailable(`${what} cannot be had: there is no \`python3\` whose pip would get it`);
  }
  const args = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", into];
  if (platform !== undefined) args.push("--platform", platform);
  fetchWith(what, python, [...args, "--no-deps", "--only-binary=:all:", ...requirements]);
}

module.exports = { unpackPython };
