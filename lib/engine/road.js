"use strict";

/**
 * The road of clients that poll past Node's HTTP server: workers answer the requests of sessions that began on it, as
 * long as it is open, and it is open while the application could not tell the difference. Closed, it is Node's: a request
 * that has not been answered comes there as if it had just been sent.
 */
class Road {
  /** @param {Server} server - the engine */
  constructor(server) {
    this.server = server;
    /** Who looks at the connections of its HTTP servers: see `Arrivals`. */
    this.keepers = [];
    this._terms = CLOSED;
    /** How many requests of sessions the application was shown, and did not let pass, since it let one pass. */
    this._taken = 0;
  }

  /** Whether the application answers whatever it is shown by itself. */
  get isPointless() {
    return this._taken >= MOST_TAKEN;
  }

  /** Whether the further requests of a session may come by it of which Node's HTTP server has had the first. */
  admits({ _query }) {
    this.check();
    if (!this.isOpen || this.isPointless) return false;
    return _query.EIO === "4" && _query.j === undefined && _query.b64 === undefined;
  }

  /** The application was shown a request of a session. */
  onShown(isPassed) {
    this._taken = isPassed ? 0 : this._taken + 1;
  }

  /** Whether requests may come by it. */
  get isOpen() {
    return this._terms !== CLOSED;
  }

  /** Opens or closes it, as things are. */
  check() {
    const { keepers, server } = this;
    server._gate?.check();
    const terms = keepers.length === 0 ? CLOSED : keepers[0].terms();
    for (let i = 1; i < keepers.length; i++) {
      if (!isSame(keepers[i].terms(), terms)) {
        this._set(CLOSED);
        return;
      }
    }
    this._set(terms);
  }

  /** Closes it until it is checked again. */
  close() {
    this.server._gate?.close();
    this._set(CLOSED);
  }

  _set(terms) {
    if (isSame(terms, this._terms)) return;
    this._terms = terms;
    this.server._bridge.native.setRoad(terms === CLOSED ? undefined : terms);
  }
}

/** Requests in a row that an application may answer by itself before it is taken to do so always. */
const MOST_TAKEN = 8;

/** What holds while nobody may come. */
const CLOSED = undefined;

function isSame(one, other) {
  if (one === CLOSED || other === CLOSED) return one === other;
  for (const name in one) if (one[name] !== other[name]) return false;
  return true;
}

module.exports = { Road };
