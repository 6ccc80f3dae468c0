"use strict";

// The inputs of fuzz/ that are kept: a file for each target, an input to a line, in base64. libFuzzer wants a folder of files.

const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const { root } = require("../support");

/** Bytes that the inputs of a target may take. */
const MOST = 100_000;

/** A longer input has nothing to say that is worth its place. */
const LONGEST = 3000;

/** The file of a target. */
function seedsOf(target) {
  return path.join(root, "fuzz", "seeds", `${target}.txt`);
}

/** Adds the inputs that are kept to a folder, which is made. */
function unpack(target, folder) {
  fs.mkdirSync(folder, { recursive: true });
  for (const line of fs.readFileSync(seedsOf(target), "utf8").split("\n")) {
    if (line === "") continue;
    const input = Buffer.from(line, "base64");
    fs.writeFileSync(path.join(folder, crypto.createHash("sha1").update(input).digest("hex")), input);
  }
}

/**
 * Keeps what a folder has beside what is kept already: short inputs before long ones, as far as there is room.
 * @returns {number} how many are kept now
 */
function pack(target, folder) {
  const before = fs.readFileSync(seedsOf(target), "utf8").split("\n").filter(Boolean);
  const lines = new Set(before);
  let bytes = before.reduce((sum, line) => sum + line.length, 0);
  const inputs = fs.readdirSync(folder).map((name) => fs.readFileSync(path.join(folder, name)));
  inputs.sort((a, b) => a.length - b.length || a.compare(b));
  for (const input of inputs) {
    const line = input.toString("base64");
    if (input.length === 0 || input.length > LONGEST || lines.has(line)) continue;
    bytes += line.length;
    if (bytes > MOST) break;
    lines.add(line);
  }
  fs.writeFileSync(seedsOf(target), [...lines].map((line) => `${line}\n`).join(""));
  return lines.size;
}

module.exports = { pack, seedsOf, unpack };
