"use strict";

const { NativeEngine } = require("./binding");
const { Commands } = require("./commands");
const { Batch, drain, wake } = require("./events");
const { Figures } = require("./figures");
const { Slots } = require("./slots");

// taken before anybody can replace them by fake timers: the process's life hangs on one, and turns on the other
const { setImmediate, setInterval, clearInterval } = require("timers");
const { performance } = require("perf_hooks");

/** Bytes of events that may wait for JavaScript before the workers stop reading sockets. */
const MAX_BACKLOG = 8 * 1024 * 1024;

const LONGEST_TIMER = 2 ** 31 - 1;

/** Milliseconds that it may take a client to shake hands: connections over TLS that are silent for longer are Node's. */
const GREETING_TIME = 1000;

/** Milliseconds that the end of the process may be delayed so that what was sent before leaves. */
const SETTLE_TIMEOUT = 200;

/**
 * The way to the native workers and back: commands go out in batches, and events come in. Connections and streams have
 * numbers here, by which both sides name them.
 */
class Bridge {
  /**
   * @param {object} host - the engine: it is asked to rest (`_onRest()`) when something has ended, and told of clients that were given up
   *   because they do not read, or that events are dropped for (`_onSlowConsumer()`)
   * @param {object} options - of `NativeEngine`, but for `maxBacklog`
   */
  constructor(host, options) {
    this.host = host;
    this.native = new NativeEngine(
      { ...options, maxBacklog: MAX_BACKLOG },
      wake.bind(undefined, new WeakRef(this)),
    );
    this.commands = new Commands(this.native, options.workers);
    /** What the workers know of each connection. */
    this.figures = new Figures(this.native);
    /** The connections: see `Conn`. */
    this.conns = new Slots(options.workers);
    /** The streams: see `Stream`. */
    this.streams = new Slots(options.workers);
    /** The rooms that the workers know of: see `RoomMirror`. They are no worker's, so they are all in one lane. */
    this.rooms = new Slots(1);
    this.batch = new Batch();
    this.drain = drain.bind(undefined, this);
    /** When the last connection was accepted whose client has to shake hands before it can say anything. */
    this._greeted = -Infinity;
    this._keepAlive = undefined;
    this._pausedStreams = new Set();
    this._resumeStreams = resumeStreams.bind(undefined, this);
  }

  /** Whether there is neither a connection nor a stream. */
  get isIdle() {
    return this.conns.size === 0 && this.streams.size === 0;
  }

  /**
   * Gives a stream a number, on the worker of a connection if it has one. While there are any, the process lives.
   * @param {Stream} stream
   * @param {number} [connection]
   * @returns {number}
   */
  registerStream(stream, connection) {
    if (this._keepAlive === undefined) {
      this._keepAlive = setInterval(noop, LONGEST_TIMER);
      remember(this);
    }
    return this.streams.add(stream, connection);
  }

  /**
   * Forgets a stream.
   * @param {number} id
   */
  releaseStream(id) {
    this.streams.remove(id);
    if (this.streams.size === 0) {
      clearInterval(this._keepAlive);
      this._keepAlive = undefined;
      forget(this);
      this.host._onRest();
    }
  }

  /**
   * Hands over bytes that a stream in JavaScript has received. It is paused if this side, or the worker, is behind.
   * @param {Stream} stream
   * @param {Buffer} data
   */
  receive(stream, data) {
    this.commands.flush();
    if (this.native.pipeData(stream.id, data)) this._pause(stream);
  }

  /** A client begins to shake hands. */
  noteGreeting() {
    this._greeted = performance.now();
  }

  /** Milliseconds until the last client that has begun to shake hands has had time to do so, and to say something. */
  get greetingTime() {
    return this._greeted + GREETING_TIME - performance.now();
  }

  /** Whether a stream rests until this side has caught up with what was read. */
  isResting(stream) {
    return this._pausedStreams.has(stream);
  }

  /** Lets a stream rest until this side has caught up with what was read. */
  _pause(stream) {
    if (this._pausedStreams.size === 0) setImmediate(this._resumeStreams);
    this._pausedStreams.add(stream);
    stream.pause();
  }
}

/** Resumes the streams that rest, once the worker and the event loop have caught up. */
function resumeStreams(bridge) {
  if (bridge.native.isBehind()) {
    setImmediate(bridge._resumeStreams);
    return;
  }
  for (const stream of bridge._pausedStreams) if (!stream.isHeldUp) stream.resume();
  bridge._pausedStreams.clear();
}

/** The bridges that have streams. */
const busy = new Set();

// The process listens to this copy of the module only while it has something to do: there may be many copies.

function remember(bridge) {
  if (busy.size === 0) process.on("exit", settle);
  busy.add(bridge);
}

function forget(bridge) {
  busy.delete(bridge);
  if (busy.size === 0) process.removeListener("exit", settle);
}

/** The process ends: what has been sent is to leave. */
function settle() {
  for (const { commands, native } of busy) {
    commands.flush();
    native.settle(SETTLE_TIMEOUT);
  }
}

function noop() {}

module.exports = { Bridge };
