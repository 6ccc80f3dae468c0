"use strict";

// What is read of an addon for Linux before it is published: whether it loads where it has to.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const test = require("node:test");
const { readElf } = require("../scripts/release/elf");
const { complaintsAbout, highestGlibc } = require("../scripts/release/glibc");
const { TARGETS, addonOf, hostTarget } = require("../scripts/release/targets");

const MACHINES = { x64: 62, arm64: 183, s390x: 22 };
const ADDRESS = 0x1000;
const HEADERS = 64 + 2 * 56;

const GNU = TARGETS.find(({ name }) => name === "linux-x64-gnu");
const MUSL = TARGETS.find(({ name }) => name === "linux-x64-musl");

/**
 * A shared library that has nothing but what it needs.
 * @param {object} what
 * @param {string[]} [what.needed]
 * @param {Record<string, string[]>} [what.versions] - of symbols, by library
 */
function craft({ cpu = "x64", needed = [], versions = {} }) {
  const texts = Buffer.from(["", ...needed, ...Object.entries(versions).flat(2), ""].join("\0"));
  const textAt = (text) => texts.indexOf(`\0${text}\0`) + 1;
  const records = Buffer.concat(
    Object.entries(versions).map((entry, index, { length }) => record(entry, index + 1 < length)),
  );
  const dynamicSize = 16 * (needed.length + 4);
  const dynamic = Buffer.concat([
    ...needed.map((library) => words(1, textAt(library))),
    words(5, ADDRESS + HEADERS + dynamicSize + records.length),
    ...(records.length === 0 ? [] : [words(0x6ffffffe, ADDRESS + HEADERS + dynamicSize)]),
    words(0x6fffffff, Object.keys(versions).length),
    words(0, 0),
  ]);

  function record([library, names], isFollowed) {
    const head = Buffer.alloc(16);
    head.writeUInt16LE(1, 0);
    head.writeUInt16LE(names.length, 2);
    head.writeUInt32LE(textAt(library), 4);
    head.writeUInt32LE(16, 8);
    head.writeUInt32LE(isFollowed ? 16 * (names.length + 1) : 0, 12);
    return Buffer.concat([
      head,
      ...names.map((name, index) => {
        const entry = Buffer.alloc(16);
        entry.writeUInt32LE(textAt(name), 8);
        entry.writeUInt32LE(index + 1 < names.length ? 16 : 0, 12);
        return entry;
      }),
    ]);
  }

  const body = Buffer.concat([dynamic, Buffer.alloc(dynamicSize - dynamic.length), records, texts]);
  const head = Buffer.alloc(HEADERS);
  head.write("\x7fELF\x02\x01\x01", "latin1");
  head.writeUInt16LE(MACHINES[cpu], 18);
  head.writeBigUInt64LE(64n, 32);
  head.writeUInt16LE(56, 54);
  head.writeUInt16LE(2, 56);
  segment(head, 64, 1, 0, HEADERS + body.length);
  segment(head, 120, 2, HEADERS, dynamic.length);
  return Buffer.concat([head, body]);
}

function segment(bytes, at, type, offset, size) {
  bytes.writeUInt32LE(type, at);
  bytes.writeBigUInt64LE(BigInt(offset), at + 8);
  bytes.writeBigUInt64LE(BigInt(ADDRESS + offset), at + 16);
  bytes.writeBigUInt64LE(BigInt(size), at + 32);
}

function words(...numbers) {
  const bytes = Buffer.alloc(8 * numbers.length);
  numbers.forEach((number, index) => bytes.writeBigUInt64LE(BigInt(number), 8 * index));
  return bytes;
}

test("what a file needs is read from it", () => {
  const what = {
    cpu: "arm64",
    needed: ["libc.so.6", "libm.so.6"],
    versions: { "libc.so.6": ["GLIBC_2.9", "GLIBC_2.17", "GLIBC_2.3.4"], "libm.so.6": ["GLIBC_2.2.5"] },
  };
  const elf = readElf(craft(what));
  assert.deepEqual({ ...elf, versions: Object.fromEntries(elf.versions) }, what);
  assert.equal(highestGlibc(craft(what)), "2.17");
});

test(
  "the addon of this system is read",
  { skip: process.platform !== "linux" && "it is no ELF file" },
  () => {
    const target = hostTarget();
    const elf = readElf(fs.readFileSync(path.join(__dirname, "..", addonOf(target))));
    assert.equal(elf.cpu, process.arch);
    assert.ok(
      elf.needed.some((library) => library.startsWith("libc.")),
      `${elf.needed}`,
    );
  },
);

test("the highest version is found by its numbers", () => {
  const highestOf = (...names) => highestGlibc(craft({ versions: { "libc.so.6": names } }));
  assert.equal(highestOf("GLIBC_2.9", "GLIBC_2.10"), "2.10");
  assert.equal(highestOf("GLIBC_2.3.4", "GLIBC_2.3"), "2.3.4");
  assert.equal(highestOf("GLIBC_2.3", "GLIBC_2.3.4"), "2.3.4");
  assert.equal(highestOf("GLIBC_2.17", "GLIBC_PRIVATE", "GCC_3.4", "GLIBCXX_3.4.21"), "2.17");
  assert.equal(highestOf("GCC_3.4"), undefined);
});

const FITTING = { needed: ["libc.so.6", "libpthread.so.0", "libdl.so.2", "ld-linux-x86-64.so.2"] };
const cases = [
  ["what fits", GNU, { ...FITTING, versions: { "libc.so.6": ["GLIBC_2.17", "GLIBC_2.2.5"] } }, []],
  [
    "a newer glibc",
    GNU,
    { versions: { "libc.so.6": ["GLIBC_2.17", "GLIBC_2.18"] } },
    ["asks for glibc 2.18"],
  ],
  ["a library that may not be there", GNU, { needed: ["libgcc_s.so.1"] }, ["needs libgcc_s.so.1"]],
  ["another architecture", GNU, { cpu: "arm64" }, ["is for arm64"]],
  ["one that there are no packages for", GNU, { cpu: "s390x" }, ["is for another architecture"]],
  ["the other C library", GNU, { needed: ["libc.so"] }, ["needs libc.so"]],
  ["what fits musl", MUSL, { needed: ["libc.so"] }, []],
  ["what fits musl as Alpine links it", MUSL, { needed: ["libc.musl-x86_64.so.1"] }, []],
  [
    "glibc instead of musl",
    MUSL,
    { needed: ["libc.so.6"], versions: { "libc.so.6": ["GLIBC_2.2.5"] } },
    ["needs libc.so.6", "asks for glibc 2.2.5"],
  ],
];

for (const [name, target, what, complaints] of cases) {
  test(`complaints about ${target.name}: ${name}`, () => {
    assert.deepEqual(complaintsAbout(craft(what), target), complaints);
  });
}

test("what is no such file, or not all of one, is refused", () => {
  for (const bytes of ["", "\x7fEL", "MZ\x90\0", "#!/bin/sh\n"]) {
    assert.throws(() => readElf(Buffer.from(bytes, "latin1")), { message: "this is no ELF file" });
  }
  const whole = craft({ needed: ["libc.so.6"], versions: { "libc.so.6": ["GLIBC_2.17"] } });
  const withByte = (at, value) => Buffer.from(whole).fill(value, at, at + 1);
  assert.throws(() => readElf(withByte(4, 1)), /another kind than 64 bits/);
  assert.throws(() => readElf(withByte(5, 2)), /another kind than 64 bits/);
  assert.throws(() => readElf(withByte(HEADERS + 16 + 9, 0xff)), /an address that is not in it/);
  for (let length = 4; length < whole.length; length++) {
    assert.throws(() => readElf(whole.subarray(0, length)), /this ELF file is not whole/, `${length} bytes`);
  }
});
