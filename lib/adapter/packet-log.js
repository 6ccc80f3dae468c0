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

  /** The entries, in a list of their own. */
  list() {
    return this._entries.slice(this._first);
  }

  /** @param {Entry} entry - */
  push(entry) {
    this._entries.push(entry);
    if (this.maxBytes !== Infinity) {
      const size = ENTRY + sizeOf(entry.data);
      this._sizes.push(size);
      this.bytes += size;
    }
    while (this.length > this.maxPackets || this.bytes > this.maxBytes) this._forgetFirst();
  }

  /**
   * What came after an entry.
   * @param {any} offset - what a client says
   * @returns {Entry[]|undefined} `undefined` when nobody knows any more
   */
  after(offset) {
    if (typeof offset !== "string") return undefined;
    if (offset === this._lastGone) return this.list();
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
    const last = this._entries.findLastIndex((entry) => entry !== undefined && entry.emittedAt < time);
    if (last < this._first) return;
    while (this._first <= last) this._forgetFirst();
    this._lastGone = undefined;
    this._compact(0);
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

/** What a value takes in memory, in bytes, about. It was encoded: there is no circle in it. */
function sizeOf(value) {
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
  let size = 32;
  if (Array.isArray(value)) for (const item of value) size += 8 + sizeOf(item);
  else for (const key of Object.keys(value)) size += 16 + sizeOf(value[key]);
  return size;
}

module.exports = { PacketLog };
