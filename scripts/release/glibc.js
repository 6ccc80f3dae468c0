"use strict";

// Whether an addon for Linux loads where it has to: it may need nothing but what every Node has with it.

const { readElf } = require("./elf");

/** The C library in its parts, by the name that it has on a target. */
const ALLOWED = {
  glibc: [/^libc\.so\.6$/, /^lib(m|dl|rt)\.so\.[12]$/, /^libm\.so\.6$/, /^libpthread\.so\.0$/, /^ld-linux-/],
  musl: [/^libc\.so$/, /^libc\.musl-\w+\.so\.1$/],
};

/**
 * The highest version of glibc that a file asks for.
 * @param {Buffer} bytes - an ELF file
 * @returns {string|undefined} `2.17`; `undefined` if it asks for none
 * @throws {Error} when it is no ELF file
 */
function highestGlibc(bytes) {
  return highest([...readElf(bytes).versions.values()].flat());
}

/** The highest among names of versions, of which those that are not glibc's do not count. */
function highest(names) {
  return names
    .map((name) => /^GLIBC_(\d+(?:\.\d+)*)$/.exec(name)?.[1])
    .filter((version) => version !== undefined)
    .sort(compareVersions)
    .at(-1);
}

function compareVersions(a, b) {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number));
  const index = left.findIndex((number, i) => number !== right[i]);
  return index === -1 ? left.length - right.length : left[index] - (right[index] ?? -1);
}

/**
 * What keeps an addon from loading everywhere that its target is.
 * @param {Buffer} bytes - an ELF file
 * @param {import("./targets").Target} target
 * @returns {string[]} what it does, each the end of a sentence that it begins: `needs libfoo.so.1`
 * @throws {Error} when it is no ELF file
 */
function complaintsAbout(bytes, { cpu, libc, glibc }) {
  const elf = readElf(bytes);
  const complaints = [];
  if (elf.cpu !== cpu) complaints.push(`is for ${elf.cpu ?? "another architecture"}`);
  for (const library of elf.needed) {
    if (!ALLOWED[libc].some((pattern) => pattern.test(library))) complaints.push(`needs ${library}`);
  }
  const asked = highest([...elf.versions.values()].flat());
  if (asked !== undefined && (glibc === undefined || compareVersions(asked, glibc) > 0)) {
    complaints.push(`asks for glibc ${asked}`);
  }
  return complaints;
}

module.exports = { highestGlibc, complaintsAbout };
