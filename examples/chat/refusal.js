"use strict";

/** Something that the chat says no to, with a sentence for the person who asked. */
class Refusal extends Error {
  /**
   * @param {string} message
   * @param {string} [code] for the page; reaches it as `error.data.code` when a login is refused
   */
  constructor(message, code) {
    super(message);
    this.name = "Refusal";
    this.data = { code };
  }
}

module.exports = { Refusal };
