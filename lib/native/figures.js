"use strict";

const { figures, words } = require("./codes");

const { SLOT_BITS, FIGURES, FIRST_CHUNK_BITS } = words;

const SLOT_MASK = 2 ** SLOT_BITS - 1;

/**
 * What the workers know of each connection, in memory that they write to and that is read here without asking them: see
 * src/worker/figures.rs, which has the layout.
 */
class Figures {
  /** @param {NativeEngine} native - */
  constructor(native) {
    this.native = native;
    /** By number, what is known of the slots in a chunk; `null` where there is no reading without a call. */
    this._chunks = [];
  }

  /**
   * @param {number} connection
   * @param {number} figure - one of `figures`
   * @returns {number} as of now; 0 while the worker does not have the connection
   */
  read(connection, figure) {
    const place = (connection & SLOT_MASK) + 2 ** FIRST_CHUNK_BITS;
    const bits = 31 - Math.clz32(place);
    const chunk = this._chunk(bits - FIRST_CHUNK_BITS);
    if (chunk === null) return this.native.figure(connection, figure);
    const at = (place - 2 ** bits) * FIGURES;
    // until the worker has the connection, its place is that of one before
    return chunk[at + figures.HOLDER] === connection ? chunk[at + figure] : 0;
  }

  _chunk(number) {
    const chunk = this._chunks[number];
    if (chunk !== undefined) return chunk;
    while (this._chunks.length <= number) this._chunks.push(undefined);
    return (this._chunks[number] = this.native.figures(number) ?? null);
  }
}

module.exports = { Figures, ...figures };
