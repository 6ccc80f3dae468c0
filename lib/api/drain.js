"use strict";

/**
 * How a server takes leave of its clients, so that they go on at other servers: no new sessions, and those that there are
 * are closed at a rate, each when it owes nobody an acknowledgement.
 */

const { setTimeout: delay } = require("node:timers/promises");
const { inspect } = require("node:util");
const { limited } = require("../engine/conn");

/** Milliseconds between two looks. */
const INTERVAL = 50;

const DEFAULTS = { timeout: 30_000, patience: 5_000 };

/** Milliseconds that adapters have at least to keep the sessions that were closed last. */
const KEEPING = 1000;

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
    this.timeout = numberOf(options, "timeout");
    this.patience = numberOf(options, "patience");
    const { rate, onProgress } = options;
    if (rate !== undefined && !(typeof rate === "number" && rate > 0)) {
      throw new TypeError(`drain(): rate is ${inspect(rate)}, not a positive number of sessions a second`);
    }
    this.rate = rate;
    this.onProgress = onProgress;
    /** Sessions in the order in which they are closed, and how many have had their turn. */
    this._queue = [];
    this._next = 0;
    /** Those whose turn has come: until when they may still owe something. */
    this._leaving = new Map();
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
    for (const engine of io._engines) engine._refuseSessions?.();
    this._queue = connsOf(io);
    const rate = this.rate ?? Math.max(SLOWEST, this._queue.length / (timeout / 2000));
    for (;;) {
      this._release(Math.ceil((rate * (elapsed() + INTERVAL)) / 1000));
      this._look();
      this._tell();
      if (this._isDone() || elapsed() >= timeout) break;
      await delay(INTERVAL);
      // a handshake may have been under way
      if (this._next === this._queue.length) this._admit();
    }
    this._admit();
    this._release(Infinity);
    for (const conn of [...this._leaving.keys()]) this._close(conn, true);
    await within(Promise.all(this._kept), Math.max(timeout - elapsed(), KEEPING));
    this._tell();
    return this._progress();
  }

  /** Those have their turn that come first, until so many have had it. */
  _release(count) {
    const due = performance.now() + this.patience;
    for (; this._next < Math.min(count, this._queue.length); this._next++) {
      this._leaving.set(this._queue[this._next], due);
    }
  }

  /** Sessions that were not there before are closed as well. */
  _admit() {
    const known = new Set(this._queue);
    for (const conn of connsOf(this.io)) if (!known.has(conn)) this._queue.push(conn);
  }

  /** Closes the sessions whose turn has come that owe nothing any more, or have taken too long. */
  _look() {
    for (const [conn, due] of this._leaving) {
      const isOpen = conn.readyState === "open";
      const owes = isOpen && isOwing(conn);
      if (!owes || performance.now() >= due) this._close(conn, owes);
    }
  }

  _close(conn, isForced) {
    this._leaving.delete(conn);
    this._closed++;
    if (conn.readyState !== "open") return;
    if (isForced) this._forced++;
    const why = limited("drain", "the server is drained");
    try {
      for (const socket of socketsOf(conn)) {
        // whoever keeps sessions says itself what went wrong
        this._kept.push(Promise.resolve(socket._onclose("server shutting down", why)).catch(noop));
      }
    } catch (error) {
      throwLater(error);
    } finally {
      conn.close();
    }
  }

  /** Whether everything that was said has left, too. */
  _isDone() {
    if (this._next < this._queue.length || this._leaving.size > 0) return false;
    return [...this.io._engines].every(({ _bridge: bridge }) => bridge === undefined || bridge.isIdle);
  }

  _tell() {
    try {
      this.onProgress?.(this._progress());
    } catch (error) {
      throwLater(error);
    }
  }

  _progress() {
    const { _closed: closed, _forced: forced } = this;
    const total = this._queue.length;
    return { total, closed, forced, remaining: total - closed };
  }
}

/** An option that is milliseconds. */
function numberOf(options, name) {
  const value = options[name] ?? DEFAULTS[name];
  if (!(typeof value === "number" && value >= 0)) {
    throw new TypeError(`drain(): ${name} is ${inspect(value)}, not a number of milliseconds`);
  }
  return value;
}

/** What a listener throws is the application's, as ever, and holds up nobody else. */
function throwLater(error) {
  process.nextTick(() => {
    throw error;
  });
}

/** Waits for a promise, but not for longer than so many milliseconds. */
async function within(promise, milliseconds) {
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, milliseconds)));
  await Promise.race([promise, late]);
  clearTimeout(timer);
}

function noop() {}

/** The open sessions of a server, those too that have joined no namespace. */
function connsOf(io) {
  const conns = new Set();
  for (const nsp of io._nsps.values()) for (const { conn } of nsp.sockets.values()) conns.add(conn);
  for (const { clients } of io._engines) for (const conn of Object.values(clients ?? {})) conns.add(conn);
  return [...conns].filter(({ readyState }) => readyState === "open");
}

function socketsOf(conn) {
  return conn._owner?._listSockets() ?? [];
}

/** Whether a client, or this side, waits for an acknowledgement. */
function isOwing(conn) {
  return socketsOf(conn).some((socket) => socket._unanswered > 0 || socket._acks?.size > 0);
}

module.exports = { Drain };
