"use strict";

const { callApart } = require("../native/event-queue");

/**
 * Closes clients that have connected and then joined no namespace within `connectTimeout`.
 *
 * Nearly every client joins at once, so the only thing that matters is that coming and going cost next to nothing: no
 * timer per client, but one for all that share a delay. Those wait in the order of their deadlines, since they got the
 * same delay one after the other. Should the delay be changed in between, the new one gets a queue of its own.
 */
class ConnectQueue {
  constructor() {
    /** The waiting line of every delay in use. */
    this.lines = new Map();
  }

  /**
   * Starts the delay of a client.
   *
   * @private
   * @param {import("./client").Client} client - `_onConnectTimeout()` is called when it is over
   * @param {number} delay - milliseconds
   */
  add(client, delay) {
    // what a timer cannot wait for, it does not wait for at all
    const ms = delay >= 1 && delay <= MAX_DELAY ? delay : 1;
    let line = this.lines.get(ms);
    if (line === undefined) {
      // a Map, since it keeps the order and lets anybody leave from the middle
      line = { ms, deadlines: new Map(), timer: undefined };
      this.lines.set(ms, line);
    }
    line.deadlines.set(client, performance.now() + ms);
    if (line.timer === undefined) {
      this._arm(line, ms);
    }
    return line;
  }

  /** @private */
  _arm(line, ms) {
    line.timer = setTimeout(expire, Math.ceil(ms), this, line);
    // open connections keep the process alive by themselves
    line.timer.unref();
  }
}

module.exports = { ConnectQueue };

/** The longest delay of a timer. */
const MAX_DELAY = 2 ** 31 - 1;

function expire(queue, line) {
  const { deadlines } = line;
  line.timer = undefined;
  // a timer may be ahead of the clock by the fraction of a millisecond
  const now = performance.now() + 1;
  try {
    for (const [client, deadline] of deadlines) {
      if (deadline > now) {
        break;
      }
      deadlines.delete(client);
      callApart(client._onConnectTimeout, client);
    }
  } finally {
    // also if a listener has thrown
    if (deadlines.size === 0) {
      queue.lines.delete(line.ms);
    } else if (line.timer === undefined) {
      const [next] = deadlines.values();
      queue._arm(line, Math.max(1, next - performance.now()));
    }
  }
}
