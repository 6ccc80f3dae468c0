"use strict";

// Reads what an ELF file (64 bits, little-endian) asks of the system that loads it.

const MAGIC = Buffer.from("\x7fELF", "latin1");
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const MACHINES = new Map([
  [62, "x64"],
  [183, "arm64"],
]);

// of program headers
const LOAD = 1;
const DYNAMIC = 2;
// of the dynamic section
const END = 0;
const NEEDED = 1;
const STRINGS = 5;
const VERSIONS_NEEDED = 0x6ffffffe;
const VERSIONS_NEEDED_COUNT = 0x6fffffff;

/**
 * @typedef {object} Elf
 * @property {string} [cpu] - Node's name of the architecture; none if it is another than those that there are targets for
 * @property {string[]} needed - the libraries that it is to be loaded with: `libc.so.6`
 * @property {Map<string, string[]>} versions - the versions of symbols that it asks them for: `GLIBC_2.17`
 */

/**
 * @param {Buffer} bytes
 * @returns {Elf}
 * @throws {Error} when it is no such file, or not all of one
 */
function readElf(bytes) {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw new Error("this is no ELF file");
  try {
    if (bytes.readUInt8(4) !== CLASS_64 || bytes.readUInt8(5) !== LITTLE_ENDIAN) {
      throw new Error("this is an ELF file of another kind than 64 bits, little-endian");
    }
    return readDynamic(bytes);
  } catch (error) {
    if (error.code === "ERR_OUT_OF_RANGE" || error.code === "ERR_BUFFER_OUT_OF_BOUNDS") {
      throw new Error("this ELF file is not whole", { cause: error });
    }
    throw error;
  }
}

function readDynamic(bytes) {
  const segments = readSegments(bytes);
  const entries = readEntries(bytes, segments);
  const valueOf = (tag) => entries.find((entry) => entry.tag === tag)?.value;
  const strings = entries.length === 0 ? 0 : offsetOf(segments, valueOf(STRINGS));
  const textAt = (offset) => readText(bytes, strings + offset);
  const versions = new Map();
  if (valueOf(VERSIONS_NEEDED) !== undefined) {
    const start = offsetOf(segments, valueOf(VERSIONS_NEEDED));
    readVersions(bytes, start, valueOf(VERSIONS_NEEDED_COUNT), textAt, versions);
  }
  return {
    cpu: MACHINES.get(bytes.readUInt16LE(18)),
    needed: entries.filter(({ tag }) => tag === NEEDED).map(({ value }) => textAt(value)),
    versions,
  };
}

function readSegments(bytes) {
  const start = readNumber(bytes, 32);
  const size = bytes.readUInt16LE(54);
  return Array.from({ length: bytes.readUInt16LE(56) }, (_, index) => {
    const at = start + index * size;
    return {
      type: bytes.readUInt32LE(at),
      offset: readNumber(bytes, at + 8),
      address: readNumber(bytes, at + 16),
      size: readNumber(bytes, at + 32),
    };
  });
}

/** The entries of the dynamic section. */
function readEntries(bytes, segments) {
  const dynamic = segments.find(({ type }) => type === DYNAMIC);
  const entries = [];
  if (dynamic === undefined) return entries;
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 16) {
    const entry = { tag: readNumber(bytes, at), value: readNumber(bytes, at + 8) };
    if (entry.tag === END) break;
    entries.push(entry);
  }
  return entries;
}

/** Where in the file an address is. */
function offsetOf(segments, address) {
  const segment = segments.find(
    (each) => each.type === LOAD && address >= each.address && address < each.address + each.size,
  );
  if (segment === undefined) throw new Error("this ELF file names an address that is not in it");
  return address - segment.address + segment.offset;
}

/** Lists of libraries, each with a list of versions; every entry says how far it is to the next. */
function readVersions(bytes, start, count, textAt, versions) {
  for (let left = count, at = start; left > 0; left--, at += bytes.readUInt32LE(at + 12)) {
    const names = [];
    let entry = at + bytes.readUInt32LE(at + 8);
    for (let more = bytes.readUInt16LE(at + 2); more > 0; more--, entry += bytes.readUInt32LE(entry + 12)) {
      names.push(textAt(bytes.readUInt32LE(entry + 8)));
    }
    versions.set(textAt(bytes.readUInt32LE(at + 4)), names);
  }
}

/** An unsigned number of 64 bits; no file has offsets for which that is too much. */
function readNumber(bytes, at) {
  return Number(bytes.readBigUInt64LE(at));
}

function readText(bytes, at) {
  const end = bytes.indexOf(0, at);
  if (at >= bytes.length || end === -1) throw new Error("this ELF file is not whole");
  return bytes.toString("utf8", at, end);
}

module.exports = { readElf };
