"use strict";

const { inspect } = require("node:util");

/** The members of an option that is an object: each is looked at, and what it may not be is refused. */
class Members {
  /**
   * @param {string} name - of the option
   * @param {object} options - its value
   * @param {string} [allowed] - what that has to be
   * @throws {TypeError} if it is none
   */
  constructor(name, options, allowed = "an object") {
    this._name = name;
    this._options = options;
    if (typeof options !== "object" || options === null) this.refuse("", allowed, options);
  }

  /**
   * A member that is a positive number.
   * @param {string} member
   * @param {string} allowed - what it has to be
   * @param {number} missing - what it is unless it is given
   * @returns {number}
   * @throws {TypeError} if it is none
   */
  positive(member, allowed, missing) {
    const value = Number(this._options[member] ?? missing);
    if (!(value > 0)) this.refuse(`.${member}`, allowed, this._options[member]);
    return value;
  }

  /**
   * A member that is one of some words.
   * @param {string} member
   * @param {Map<string, any>} choices
   * @param {string} missing - what it is unless it is given
   * @returns {string}
   * @throws {TypeError} if it is none of them
   */
  choice(member, choices, missing) {
    const value = this._options[member] ?? missing;
    if (!choices.has(value)) this.refuse(`.${member}`, `one of "${[...choices.keys()].join('", "')}"`, value);
    return value;
  }

  /** @throws {TypeError} always */
  refuse(path, allowed, value) {
    throw new TypeError(`"${this._name}${path}" must be ${allowed}, not ${inspect(value, { depth: 0 })}`);
  }
}

module.exports = { Members };
