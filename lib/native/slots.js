"use strict";

/** Objects by dense numbers; `number % lanes` is the lane (the worker) that the number belongs to. */
class Slots {
  constructor(lanes) {
    this.lanes = lanes;
    this.items = [];
    this.free = Array.from({ length: lanes }, () => []);
    this.next = Array.from({ length: lanes }, (_, lane) => lane);
    this.lane = 0;
    this.size = 0;
  }

  /** Stores an item, in the lane of the number `beside` if there is one, and returns its number. */
  add(item, beside) {
    const lane = beside === undefined ? (this.lane = (this.lane + 1) % this.lanes) : beside % this.lanes;
    let id = this.free[lane].pop();
    if (id === undefined) {
      id = this.next[lane];
      this.next[lane] += this.lanes;
    }
    while (this.items.length <= id) this.items.push(undefined);
    this.items[id] = item;
    this.size++;
    return id;
  }

  /** Forgets an item. `reusable`: whether its number may be given to another. */
  remove(id, reusable = true) {
    this.items[id] = undefined;
    if (reusable) this.free[id % this.lanes].push(id);
    this.size--;
  }
}

module.exports = { Slots };
