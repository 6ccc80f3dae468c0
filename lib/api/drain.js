"use strict";

/**
 * How a server takes leave of its clients, so that they go on at other servers: no new sessions, and those that there are
 * are closed at a rate, each when it owes nobody an acknowledgement.
 */

const { inspect } = require("node:util");
const { limited } = require("../engine/conn");

/** Milliseconds between two looks. */
const INTERVAL = 50;

const DEFAULTS = { timeout: 30_000, patience: 5_000 };

/** Sessions a second that are closed at least, if the caller does not say. */
const SLOWEST = 100;

class Drain {
  /**
   * @param {import("./server").Server} io
   * @param {object} [options] - see `DrainOptions` in index.d.ts
   * @throws {TypeError} when one is not what it has to be
   */
  constructor(io, options = {}) {
    this.io = io;
    const { timeout, patience, rate, onProgress } = { ...DEFAULTS, ...options };
    for (const [name, value] of Object.entries({ timeout, patience })) {
      if (!(value >= 0))
        throw new TypeError(`drain(): ${name} is ${inspect(value)}, not a number of milliseconds`);
    }
    if (rate !== undefined && !(rate > 0)) {
      throw new TypeError(`drain(): rate is ${inspect(rate)}, not a positive number of sessions a second`);
    }
    this.timeout = timeout;
    this.patience = patience;
    this.rate = rate;
    this.onProgress = onProgress;
    /** Sessions that have yet to be closed. */
    this._queue = [];
    /** Those whose turn has come: until when they may still owe something. */
    this._leaving = new Map();
    this._total = 0;
    this._closed = 0;
    this._forced = 0;
    /** What adapters do to keep sessions. */
    this._kept = [];
  }

  /** @returns {Promise<object>} see `DrainProgress` in index.d.ts */
  async run() {
    const { io, timeout } = this;
    const begun = performance.now();
    const elapsed = () => performance.now() - begun;
    io.engine?._refuseSessions?.();
    this._queue = connsOf(io);
    this._total = this._queue.length;
    const rate = this.rate ?? Math.max(SLOWEST, this._total / (timeout / 2000));
    for (;;) {
      this._release(Math.ceil((rate * (elapsed() + INTERVAL)) / 1000));
      this._look();
      this.onProgress?.(this._progress());
      if (this._isDone() || elapsed() >= timeout) break;
      await new Promise((resolve) => setTimeout(resolve, INTERVAL));
      // a handshake may have been under way
      if (this._queue.length === 0) this._admit(connsOf(io));
    }
    for (const conn of [...this._queue, ...this._leaving.keys(), ...connsOf(io)]) this._close(conn, true);
    this._queue = [];
    await Promise.allSettled(this._kept);
    const progress = this._progress();
    this.onProgress?.(progress);
    return progress;
  }

  /** Those have their turn that come first, until so many have had it. */
  _release(count) {
    const due = performance.now() + this.patience;
    while (this._queue.length > 0 && this._total - this._queue.length < count) {
      this._leaving.set(this._queue.shift(), due);
    }
  }

  _admit(conns) {
    const fresh = conns.filter((conn) => conn.readyState === "open" && !this._leaving.has(conn));
    this._total += fresh.length;
    for (const conn of fresh) this._leaving.set(conn, performance.now() + this.patience);
  }

  /** Closes the sessions whose turn has come that owe nothing any more, or have taken too long. */
  _look() {
    for (const [conn, due] of this._leaving) {
      const isLate = performance.now() >= due;
      if (conn.readyState !== "open" || isLate || !isOwing(conn)) this._close(conn, isLate && isOwing(conn));
    }
  }

  _close(conn, isForced) {
    this._leaving.delete(conn);
    if (conn.readyState !== "open") {
      if (!isForced) this._closed++;
      return;
    }
    this._closed++;
    if (isForced) this._forced++;
    const why = limited("drain", "the server is drained");
    for (const socket of socketsOf(conn)) this._kept.push(socket._onclose("server shutting down", why));
    conn.close();
  }

  /** Whether everything that was said has left, too. */
  _isDone() {
    const { engine } = this.io;
    const areClosed = this._queue.length === 0 && this._leaving.size === 0;
    return areClosed && (engine?._bridge === undefined || engine._bridge.isIdle);
  }

  _progress() {
    const { _total: total, _closed: closed, _forced: forced } = this;
    return { total, closed, forced, remaining: this._queue.length + this._leaving.size };
  }
}

/** The open sessions of a server, those too that have joined no namespace. */
function connsOf(io) {
  const conns = new Set();
  for (const nsp of io._nsps.values()) for (const { conn } of nsp.sockets.values()) conns.add(conn);
  for (const conn of Object.values(io.engine?.clients ?? {})) conns.add(conn);
  return [...conns].filter(({ readyState }) => readyState === "open");
}

function socketsOf(conn) {
  return (conn._client ?? conn._holder)?._listSockets() ?? [];
}

/** Whether a client, or this side, waits for an acknowledgement. */
function isOwing(conn) {
  return socketsOf(conn).some((socket) => socket._unanswered > 0 || socket._acks?.size > 0);
}

module.exports = { Drain };
