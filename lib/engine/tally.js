"use strict";

/** Names that are told apart. Some come from the application: there may be any number of them. */
const MOST_NAMES = 64;

/** How often there was what, by name. */
class Tally {
  constructor() {
    this._counts = new Map();
  }

  /**
   * Counts one more.
   * @param {string} name
   */
  add(name) {
    const counts = this._counts;
    const count = counts.get(name);
    if (count !== undefined || counts.size < MOST_NAMES) counts.set(name, (count ?? 0) + 1);
    else counts.set("other", (counts.get("other") ?? 0) + 1);
  }

  /** @returns {Object<string, number>} */
  read() {
    return Object.fromEntries(this._counts);
  }
}

module.exports = { Tally };
