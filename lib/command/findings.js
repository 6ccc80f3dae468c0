"use strict";

/**
 * What `doctor` has found.
 *
 * @typedef {object} Finding
 * @property {string} topic - "system", "addon", "roads", "limits", "packages" or "application"
 * @property {"ok"|"note"|"wrong"} level - a note is about what costs speed, or may surprise; wrong is what does not work
 * @property {string} text
 * @property {string|null} remedy - what to do; null if there is nothing to be done
 */

const { paint } = require("./text");

const MARKS = { ok: ["green", "ok   "], note: ["yellow", "note "], wrong: ["red", "WRONG"] };

class Findings {
  constructor() {
    /** @type {Finding[]} */
    this.list = [];
  }

  ok(topic, text) {
    this.list.push({ topic, level: "ok", text, remedy: null });
  }

  note(topic, text, remedy) {
    this.list.push({ topic, level: "note", text, remedy });
  }

  wrong(topic, text, remedy) {
    this.list.push({ topic, level: "wrong", text, remedy });
  }

  get areWell() {
    return this.list.every(({ level }) => level !== "wrong");
  }

  /** Lines for people: each finding, and what to do about it. */
  lines() {
    return this.list.flatMap(({ topic, level, text, remedy }) => {
      const [colour, mark] = MARKS[level];
      const line = `${paint(colour, mark)}  ${topic.padEnd(11)}  ${text}`;
      return remedy === null ? [line] : [line, `${" ".repeat(20)}→ ${remedy}`];
    });
  }
}

module.exports = { Findings };
