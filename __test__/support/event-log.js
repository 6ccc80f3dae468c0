"use strict";

const crypto = require("node:crypto");
const { Recorder } = require("./waiting");

/** A session id or a socket id; the header is the one word of that length that is none. */
const ID = /(?<![\w-])(?!Sec-WebSocket-Accept)[\w-]{20}(?![\w-])/g;
const DATE = /[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [\d:]{8} GMT/g;

const LONGEST = 400;
const DEEPEST = 20;

/**
 * What happened, as lines of text, one list for each actor: orders are promised to everybody who takes part, not between
 * them.
 */
class EventLog {
  constructor() {
    this.actors = new Map();
    this.isOpen = true;
    this.hidden = [];
  }

  /** Leaves out of all lines what is random in a way of its own, or puts something in its place. */
  hide(pattern, replacement = "") {
    this.hidden.push([pattern, replacement]);
  }

  /** The lines of an actor, which can be awaited. */
  of(actor) {
    if (!this.actors.has(actor)) {
      this.actors.set(actor, new Recorder());
    }
    return this.actors.get(actor);
  }

  /** Writes a line: text as it is, other values as {@link print} shows them. */
  add(actor, what, ...values) {
    if (this.isOpen) {
      const head = typeof what === "string" ? what : print(what);
      this.of(actor).push([head, ...values.map((value) => print(value))].join(" "));
    }
  }

  /**
   * Resolves when an actor has a line that contains `text`, or so many lines.
   *
   * @param {string} actor
   * @param {string | number} wanted
   * @param {number} [count] of such lines
   */
  until(actor, wanted, count = 1) {
    if (typeof wanted === "number") {
      return this.of(actor).until(wanted);
    }
    const recorder = this.of(actor);
    return recorder
      .until((lines) => lines.filter((line) => line.includes(wanted)).length >= count)
      .catch((error) => {
        error.message += ` (${actor}: ${wanted})`;
        throw error;
      });
  }

  /**
   * The log without what is random, as a plain object. What happens after that is not part of it.
   *
   * @param {number} port of the server
   * @returns {Record<string, string[]>}
   */
  close(port) {
    this.isOpen = false;
    const names = [...this.actors.keys()].sort();
    return Object.fromEntries(names.map((name) => [name, this.normalise(this.actors.get(name).list, port)]));
  }
  /** Ids are numbered in the order of their appearance, so that it still shows which of them are the same. */
  normalise(lines, port) {
    const ids = new Map();
    const number = (id) => {
      if (!ids.has(id)) {
        ids.set(id, ids.size + 1);
      }
      return `<id ${ids.get(id)}>`;
    };
    return lines.map((line) => {
      const shown = this.hidden.reduce(
        (text, [pattern, replacement]) => text.replace(pattern, replacement),
        line,
      );
      return shown.replace(ID, number).replace(DATE, "<date>").replaceAll(`:${port}`, ":<port>");
    });
  }
}

/** A value as text: what JSON and `instanceof` would tell of it, and nothing of how it is implemented. */
function print(value, depth = 0) {
  if (depth > DEEPEST) {
    return "…";
  }
  const inner = (part) => print(part, depth + 1);
  if (typeof value === "string") {
    return JSON.stringify(abridge(value));
  }
  if (typeof value === "function") {
    return "[function]";
  }
  if (typeof value === "bigint" || typeof value === "symbol") {
    return value.toString();
  }
  if (typeof value !== "object" || value === null) {
    return Object.is(value, -0) ? "-0" : String(value);
  }
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    const bytes = ArrayBuffer.isView(value)
      ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
      : Buffer.from(value);
    return `<${value.constructor.name} ${abridge(bytes.toString("hex"))}>`;
  }
  if (value instanceof Error) {
    const own = { ...value };
    return `${value.name}(${value.message})${Object.keys(own).length ? inner(own) : ""}`;
  }
  if (value instanceof Date) {
    return "[date]";
  }
  if (Array.isArray(value)) {
    return value.length > 100 ? `[${value.length} entries]` : `[${value.map(inner).join(", ")}]`;
  }
  if (value instanceof Set || value instanceof Map) {
    return `${value.constructor.name}${inner([...value])}`;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) {
    return "[instance]";
  }
  const entries = Object.keys(value).map((key) => `${key}: ${inner(value[key])}`);
  return `${prototype === null ? "null " : ""}{${entries.join(", ")}}`;
}

function abridge(text) {
  if (text.length <= LONGEST) {
    return text;
  }
  const hash = crypto.createHash("sha1").update(text).digest("hex");
  return `${text.slice(0, 40)}… ${text.length} characters, ${hash}`;
}

module.exports = { EventLog, print };
