"use strict";

/** Entries in front that are gone are given back when there are so many of them, and no fewer than are left. */
const GONE = 256;

/** What an entry takes beside its data, in bytes, about. */
const ENTRY = 200;

/**
 * What was broadcast, oldest first, within bounds: the oldest goes when there is too much.
 *
 * @typedef {object} Entry
 * @property {string} id - its offset; entries come in the order of these
 * @property {any[]} data - the arguments of the event
 * @property {number} emittedAt - milliseconds since 1970
 */
class PacketLog {
  /**
   * @param {object} [bounds] -
   * @param {number} [bounds.maxPackets] - how many entries there may be
   * @param {number} [bounds.maxBytes] - what they may take in memory, about: strings count two bytes a character
   */
  constructor({ maxPackets = Infinity, maxBytes = Infinity } = {}) {
    this.maxPackets = maxPackets;
    this.maxBytes = maxBytes;
    /** What the entries take, if that is bounded. */
    this.bytes = 0;
    this._entries = [];
    this._sizes = [];
    this._first = 0;
    /** The offset of the entry that had to make room last: who has got that one has missed nothing that is gone. */
    this._lastGone = undefined;
  }

  get length() {
    return this._entries.length - this._first;
  }

  /** The entries. */
  list() {
    this._compact(0);
    return this._entries;
  }

  /** Other entries in place of all. */
  replace(entries) {
    this._entries = entries;
    this._first = 0;
    this._lastGone = undefined;
    this._sizes = this.maxBytes === Infinity ? [] : entries.map(({ data }) => ENTRY + sizeOf(data));
    this.bytes = this._sizes.reduce((sum, size) => sum + size, 0);
  }

  /** @param {Entry} entry - */
  push(entry) {
    if (this.maxBytes !== Infinity) {
      const size = ENTRY + sizeOf(entry.data);
      this._sizes.push(size);
      this.bytes += size;
    }
    this._entries.push(entry);
    while (this.length > this.maxPackets || this.bytes > this.maxBytes) this._forgetFirst();
  }

  /**
   * What came after an entry.
   * @param {any} offset - what a client says
   * @returns {Entry[]|undefined} `undefined` when nobody knows any more
   */
  after(offset) {
    if (typeof offset !== "string") return undefined;
    if (offset === this._lastGone) return this.list().slice();
    const entries = this._entries;
    let from = this._first;
    let to = entries.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (entries[middle].id < offset) from = middle + 1;
      else to = middle;
    }
    return entries[from]?.id === offset ? entries.slice(from + 1) : undefined;
  }

  /** Forgets what was emitted before a time, in milliseconds since 1970, and all that is older than something that was. */
  forgetBefore(time) {
    this._compact(0);
    const gone = this._entries.findLastIndex(({ emittedAt }) => emittedAt < time) + 1;
    if (gone === 0) return;
    this._entries.splice(0, gone);
    for (const size of this._sizes.splice(0, gone)) this.bytes -= size;
    this._lastGone = undefined;
  }

  _forgetFirst() {
    const at = this._first++;
    this._lastGone = this._entries[at].id;
    this._entries[at] = undefined;
    if (this._sizes.length !== 0) this.bytes -= this._sizes[at];
    this._compact(Math.max(GONE, this.length));
  }

  _compact(most) {
    if (this._first <= most) return;
    this._entries.splice(0, this._first);
    this._sizes.splice(0, this._first);
    this._first = 0;
  }
}

/** What a value takes in memory, in bytes, about; what it has several times, once. */
function sizeOf(value, seen = new Set()) {
  switch (typeof value) {
    case "string":
      return 16 + 2 * value.length;
    case "object":
      break;
    default:
      return 8;
  }
  if (value === null) return 8;
  if (typeof value.byteLength === "number") return 100 + value.byteLength;
  if (seen.has(value)) return 8;
  seen.add(value);
  let size = 32;
  if (Array.isArray(value)) for (const item of value) size += 8 + sizeOf(item, seen);
  else for (const key of Object.keys(value)) size += 16 + sizeOf(value[key], seen);
  return size;
}

module.exports = { PacketLog };
