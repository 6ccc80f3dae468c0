"use strict";

// What a release needs beside the checkout and is not on the machine: compilers, and systems to try addons on. It comes
// from package registries, is left in a folder that git ignores, and is there as a whole or not at all. Remove the folder
// to get newer ones.

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { root } = require("../support");

const CACHE = path.resolve(process.env.SOCKEYE_TOOLCHAINS ?? path.join(root, ".toolchains"));

/** Something cannot be had on this machine; the message is a sentence that says what, and why. */
class Unavailable extends Error {}

/**
 * A folder of the cache, which is filled unless it is there.
 * @param {string} name
 * @param {function(string): void} fill - gets the folder's path for the time being: nothing in it may name that
 * @returns {string} its path
 * @throws {Unavailable} what `fill` throws
 */
function obtainFolder(name, fill) {
  const home = path.join(CACHE, name);
  if (fs.existsSync(home)) return home;
  const draft = `${home}-${process.pid}`;
  fs.mkdirSync(draft, { recursive: true });
  try {
    fill(draft);
    if (!fs.existsSync(home)) fs.renameSync(draft, home);
  } finally {
    fs.rmSync(draft, { recursive: true, force: true });
  }
  return home;
}

/**
 * Runs a tool that only fetches or unpacks something, quietly.
 * @param {string} what - what cannot be had if it fails: `zig`
 * @param {string} command
 * @param {string[]} args
 * @returns {string} what it has printed
 * @throws {Unavailable} with what it says is wrong
 */
function fetchWith(what, command, args, options = {}) {
  const { error, status, stdout, stderr } = spawnSync(command, args, {
    encoding: "utf8",
    maxBuffer: Infinity,
    ...options,
  });
  if (error?.code === "ENOENT") {
    throw new Unavailable(`${what} cannot be had: there is no \`${command}\` to get it with`);
  }
  if (error) throw new Unavailable(`${what} cannot be had: ${error.message}`);
  if (status !== 0) throw new Unavailable(`${what} cannot be had: ${complaintIn(stderr || stdout)}`);
  return stdout;
}

/** The line with which pip and apt say what is wrong. */
function complaintIn(output) {
  const lines = output.split("\n").filter((line) => line.trim() !== "");
  return lines.find((line) => /^(E:|ERROR:|error:)/.test(line)) ?? lines.at(-1) ?? "nothing is said of why";
}

/** What is on PATH under a name; `undefined` if nothing is. */
function findCommand(name) {
  const file = process.platform === "win32" ? `${name}.exe` : name;
  return (process.env.PATH ?? "")
    .split(path.delimiter)
    .filter((folder) => folder !== "")
    .map((folder) => path.join(folder, file))
    .find((candidate) => fs.existsSync(candidate));
}

module.exports = { CACHE, Unavailable, obtainFolder, fetchWith, findCommand };
