"use strict";

// Who may come: what the option `limits` says of new sessions. It is counted in src/worker/gate.rs, for the workers too: where
// the application could not tell the difference, they refuse clients by themselves, of whom JavaScript hears nothing.

const { STATUS_CODES } = require("http");
const { refusals } = require("./channels");
const { corsLines } = require("./cors");
const { RETRY_AFTER, STATUS, bodyOf, errors } = require("./handshake");
const { areConnectionsSeen } = require("./observers");
const { refusalOf } = require("./upgrade");
const { quotas } = require("../native/codes");

/** The names of limits, by their numbers. */
const NAMES = [];
for (const name in quotas) NAMES[quotas[name]] = name;

const CODE = errors.TOO_MANY_SESSIONS;

/**
 * What the native engine is told of the limits for new sessions.
 * @param {object} limits - see `limitsOf()`
 * @returns {object|undefined} see `GateOptions` in src/bridge/engine.rs; undefined: there are none
 */
function gateOptions({ burst, proxies, ...limits }) {
  const { connectionsPerAddress, handshakesPerSecond, handshakesPerSecondPerAddress } = limits;
  if (Math.min(connectionsPerAddress, handshakesPerSecond, handshakesPerSecondPerAddress) === Infinity) {
    return undefined;
  }
  return {
    connectionsEach: connectionsPerAddress,
    handshakes: handshakesPerSecond,
    handshakesEach: handshakesPerSecondPerAddress,
    burst,
    header: proxies?.header,
    trusted: proxies?.networks ?? [],
  };
}

/** Lets sessions in, as far as the limits for addresses and handshakes allow. */
class Gate {
  /** @param {Server} server - the engine */
  constructor(server) {
    this._server = server;
    this._native = server._bridge.native;
    /** The address that each session has a place for. */
    this._addresses = new WeakMap();
    /** What the targets of requests begin with that workers refuse by themselves; undefined: they do not. */
    this._path = undefined;
  }

  /**
   * Which limit is against another session.
   * @param {string} address - see `addressBehind()`
   * @returns {string|undefined} its name
   */
  obstacle(address) {
    return NAMES[this._native.findObstacle(address)];
  }

  /**
   * Takes a place for a session: `own()` or `undo()` is to follow.
   * @param {string} address
   * @returns {string|undefined} the name of the limit that is against it
   */
  enter(address) {
    return NAMES[this._native.enter(address)];
  }

  /**
   * Takes the place that a worker has kept for who comes by a stream, likewise.
   * @param {number} stream
   * @returns {string|undefined} its address
   */
  claim(stream) {
    return this._native.claim(stream) ?? undefined;
  }

  /** Nobody needs the place that a worker may have kept for who comes by a stream. */
  giveBack(stream) {
    this._native.giveBack(stream);
  }

  /** The session has not come about. */
  undo(address) {
    this._native.leave(address, false);
  }

  /** The session has begun. */
  own(conn, address) {
    this._addresses.set(conn, address);
  }

  /** It has ended. */
  leave(conn) {
    const address = this._addresses.get(conn);
    if (address === undefined) return;
    this._addresses.delete(conn);
    this._native.leave(address, true);
  }

  /**
   * How many clients workers have refused.
   * @returns {{ limits: Object<string, number>, secure: number }} by the names of limits; and how many of them over TLS
   */
  refused() {
    const { counts, secure } = this._native.refused();
    return { limits: Object.fromEntries(Object.keys(quotas).map((name, n) => [name, counts[n]])), secure };
  }

  /**
   * Why workers do not refuse clients by themselves.
   * @param {Arrivals} [open] - one of those who look at connections of which it is known that it is open
   * @returns {string|undefined} undefined: they do
   */
  whyLeft(open) {
    const server = this._server;
    const { keepers } = server._road;
    if (keepers.length === 0) return "no connections are looked at before the HTTP server";
    if (server.listenerCount("connection_error") !== 0) return "somebody listens for connection_error";
    if (refusals.hasSubscribers) return `somebody subscribes to the channel ${refusals.name}`;
    for (const keeper of keepers) {
      if (keeper.path !== keepers[0].path) return "HTTP servers have different paths";
      const obstacle = keeper === open ? undefined : keeper.obstacle();
      if (obstacle !== undefined) return obstacle;
      if (keeper.showsUpgrades()) return "the application sees requests for sessions";
      if (areConnectionsSeen(keeper.httpServer)) return "the application sees connections";
    }
    return undefined;
  }

  /** Has workers refuse clients by themselves, or not, as things are. `open`: see `whyLeft()`. */
  check(open) {
    this._set(this.whyLeft(open) === undefined ? this._server._road.keepers[0].path : undefined);
  }

  /** Leaves it to JavaScript until it is checked again. */
  close() {
    this._set(undefined);
  }

  _set(path) {
    if (path === this._path) return;
    this._path = path;
    this._native.setGate(path === undefined ? undefined : this._terms(path));
  }

  /** See `GateTerms` in src/bridge/engine.rs. */
  _terms(path) {
    return { path, websocket: refusalOf(CODE), polling: this._pollingHead(), body: bodyOf(CODE) };
  }

  /** What the answer to a client that polls begins with; undefined: that depends on the client. */
  _pollingHead() {
    const server = this._server;
    const { origin } = server.opts.cors || {};
    if (server._plainCors !== undefined && origin !== undefined && typeof origin !== "string")
      return undefined;
    const status = STATUS[CODE];
    return (
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${corsLines(server, undefined)}` +
      `Retry-After: ${RETRY_AFTER}\r\nConnection: close\r\nContent-Type: application/json\r\n`
    );
  }
}

module.exports = { Gate, gateOptions };
