"use strict";

const { SLOT_BITS, GENERATION_BITS } = require("./codes").words;

const SLOT_MASK = (1 << SLOT_BITS) - 1;
const GENERATION = 1 << SLOT_BITS;
const ID_MASK = 2 ** (SLOT_BITS + GENERATION_BITS) - 1;

/** Free slots that a queue has handed out are forgotten when there are this many. */
const FORGOTTEN = 1024;

/**
 * Objects by numbers: see src/protocol/ids.rs for what these are made of. A number that is given up names nobody until
 * its slot has had many other holders, so that what is said of it late finds nobody.
 */
class Slots {
  /** @param {number} lanes - how many workers there are: `slot % lanes` is the one that a number belongs to */
  constructor(lanes) {
    this.lanes = lanes;
    /** By slot; `undefined` for a free one. */
    this.items = [];
    this.size = 0;
    /** By slot: the number of its holder; of a free slot, the number that the next one gets. */
    this._ids = [];
    /** By lane: slots that have been given up, and the first that nobody ever had. */
    this._free = Array.from({ length: lanes }, () => new Queue());
    this._fresh = Array.from({ length: lanes }, (_, lane) => lane);
    this._lane = 0;
  }

  /**
   * Stores an item.
   * @param {object} item
   * @param {number} [beside] - the number whose lane it is to have; by default, they take turns
   * @returns {number} its number
   * @throws {RangeError} when the lane has no free slot
   */
  add(item, beside) {
    const lane = beside === undefined ? this._nextLane() : (beside & SLOT_MASK) % this.lanes;
    const slot = this._free[lane].shift() ?? this._takeFresh(lane);
    this.items[slot] = item;
    this.size++;
    return this._ids[slot];
  }

  /**
   * @param {number} id
   * @returns {object|undefined} what has this number, if anything does
   */
  get(id) {
    const slot = id & SLOT_MASK;
    return this._ids[slot] === id ? this.items[slot] : undefined;
  }

  /**
   * Gives a number to another item.
   * @param {number} id
   * @param {object} item
   */
  replace(id, item) {
    if (this.get(id) !== undefined) this.items[id & SLOT_MASK] = item;
  }

  /**
   * Forgets an item, and gives its number up.
   * @param {number} id
   */
  remove(id) {
    if (this.get(id) === undefined) return;
    const slot = id & SLOT_MASK;
    this.items[slot] = undefined;
    this._ids[slot] = (id + GENERATION) & ID_MASK;
    this._free[slot % this.lanes].push(slot);
    this.size--;
  }

  _nextLane() {
    this._lane = (this._lane + 1) % this.lanes;
    return this._lane;
  }

  /** A slot that nobody ever had. */
  _takeFresh(lane) {
    const slot = this._fresh[lane];
    if (slot > SLOT_MASK) throw new RangeError(`an engine cannot have more than ${SLOT_MASK + 1} of a kind`);
    this._fresh[lane] = slot + this.lanes;
    while (this.items.length <= slot) {
      this._ids.push(this.items.length);
      this.items.push(undefined);
    }
    return slot;
  }
}

/** Numbers, first in, first out: the longer a slot lies idle, the less anybody still speaks of its last holder. */
class Queue {
  constructor() {
    this._list = [];
    this._head = 0;
  }

  push(value) {
    this._list.push(value);
  }

  shift() {
    if (this._head === this._list.length) return undefined;
    const value = this._list[this._head++];
    if (
      this._head === this._list.length ||
      (this._head >= FORGOTTEN && this._head * 2 >= this._list.length)
    ) {
      this._list = this._list.slice(this._head);
      this._head = 0;
    }
    return value;
  }
}

/**
 * @param {number} id - of a connection or a stream
 * @param {number} workers - how many there are
 * @returns {number} the worker that it lives on
 */
function workerOf(id, workers) {
  return (id & SLOT_MASK) % workers;
}

module.exports = { Slots, workerOf };
