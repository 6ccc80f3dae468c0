"use strict";

const { inspect } = require("util");

/** Things that are told of one connection, and connections that have ended of which they are kept, by default. */
const DEFAULTS = { events: 32, connections: 100 };

/**
 * What has happened to each connection, on demand: the option `trace`. The last things of each are kept, and those of the
 * connections that have ended last.
 *
 * @typedef {object} Step
 * @property {number} at - milliseconds since 1970
 * @property {string} event - what has happened
 * @property {object} [details] - what more there is to say, as JSON has it
 */
class Traces {
  /**
   * @param {true|{ events?: number, connections?: number }} options - how many things of a connection are kept, and of how many
   *   connections that have ended
   * @throws {TypeError} when one of them is no positive integer
   */
  constructor(options) {
    const { events, connections } = { ...DEFAULTS, ...(options === true ? undefined : options) };
    for (const [name, value] of Object.entries({ events, connections })) {
      if (!Number.isInteger(value) || value < 1) {
        throw new TypeError(`trace.${name} is ${inspect(value)}, not a positive integer`);
      }
    }
    this._events = events;
    this._connections = connections;
    this._traces = new WeakMap();
    this._ended = [];
  }

  /**
   * Notes what has happened to a connection.
   * @param {import("./conn").Conn} conn
   * @param {string} event
   * @param {object} [details]
   */
  note(conn, event, details) {
    const steps = this._stepsOf(conn);
    if (steps.length === this._events) steps.splice(1, 1);
    steps.push({ at: Date.now(), event, ...(details && { details }) });
  }

  /** The connection has ended, for a reason that may have a description: its trace is kept for a while. */
  end(conn, reason, description) {
    const { closeCode, roundTripTime, lastHeartbeatAt } = conn;
    this.note(conn, "closed", { reason, ...explain(description), closeCode, roundTripTime, lastHeartbeatAt });
    this._ended.push({ address: conn.remoteAddress, steps: this.of(conn) });
    if (this._ended.length > this._connections) this._ended.shift();
  }

  /** @returns {Step[]} what has happened to a connection: how it began, and the last things */
  of(conn) {
    return [...this._stepsOf(conn)];
  }

  /** @returns {{ address: string, steps: Step[] }[]} of the connections that have ended, the last one first */
  ended() {
    return [...this._ended].reverse();
  }

  _stepsOf(conn) {
    let steps = this._traces.get(conn);
    if (steps === undefined) this._traces.set(conn, (steps = []));
    return steps;
  }
}

/** What can be told of a description of an end, as JSON has it. */
function explain(description) {
  if (description === undefined || description === null) return undefined;
  if (description instanceof Error) return { message: description.message };
  if (typeof description === "string") return { message: description };
  const { description: message, context } = description;
  return { message, limit: context?.limit };
}

module.exports = { Traces };
