"use strict";

/**
 * Random numbers that are the same for the same seed: the generator mulberry32.
 *
 * @param {number} seed
 */
class Random {
  constructor(seed) {
    this.state = seed >>> 0;
  }

  /** From 0, included, to 1, excluded. */
  next() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), bits | 61)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  }

  /** From `least` to `most`, both included. */
  integer(least, most) {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  /** Whether something happens that happens with this probability. */
  happens(probability) {
    return this.next() < probability;
  }

  one(list) {
    return list[this.integer(0, list.length - 1)];
  }

  /** A list of the same in an order of chance. */
  shuffle(list) {
    const shuffled = [...list];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = this.integer(0, i);
      [shuffled[i], shuffled[j]] = [shuffled[j], shuffled[i]];
    }
    return shuffled;
  }

  /** The time until what happens by chance, and every so often on average, happens again. */
  wait(mean) {
    return -Math.log(1 - this.next()) * mean;
  }
}

module.exports = { Random };
