"use strict";

/**
 * Events that have come in wait here until the packets of the same client that came with them are dealt with; then
 * their listeners are called. So a DISCONNECT right behind an event is seen first and the event ignored, and what a
 * listener does to its socket cannot get between the packets that are being read.
 *
 * A batch of the engine holds the packets of many clients. What a tick for each of them would bring is kept: a listener
 * that throws does not take along the events behind it, and one that enters an asynchronous context
 * (`AsyncLocalStorage#enterWith()`) does not leave it to the next, which may well be about another user. Everything of
 * the application that a batch calls is therefore called from here: by `flush()`, or by way of `callApart()`.
 */

const { AsyncLocalStorage, AsyncResource, executionAsyncResource } = require("node:async_hooks");
const { EventEmitter } = require("node:events");
const debug = require("debug")("socket.io:socket");

/** Flat, for the sake of speed: socket, event, error and context in turn. */
const STRIDE = 4;
let waiting = [];

/** Whether a batch of the engine is being worked through: it flushes the queue where that is due. */
let isInBatch = false;

/** Whether something of the application is being called from here. */
let isApart = false;

/**
 * Has the listeners of an event called when the packets that came with it are dealt with: in the asynchronous context
 * of this call, as on a tick of their own.
 *
 * @private
 * @param {import("../api/socket").Socket} socket
 * @param {any[]} event - the name and the arguments
 * @param {Error} [err] - from a middleware: the event is dropped, and this is emitted as "error"
 */
function enqueue(socket, event, err) {
  if (waiting.length === 0 && !isInBatch) {
    process.nextTick(flush);
  }
  waiting.push(socket, event, err, contextOfCall());
}

/**
 * Calls the listeners of the events that wait. If one throws, the rest waits for the next call, which is seen to.
 *
 * @private
 */
function flush() {
  if (waiting.length === 0) {
    return;
  }
  if (isInBatch || !isContextOnResource) {
    callWaiting();
  } else {
    scope.run(callWaiting);
  }
}

function callWaiting() {
  const events = waiting;
  waiting = [];
  let at = 0;
  isApart = true;
  try {
    while (at < events.length) {
      const i = at;
      at += STRIDE;
      const context = events[i + 3];
      if (context !== undefined) {
        context.runInAsyncScope(callListeners, undefined, events[i], events[i + 1], events[i + 2]);
      } else if (isContextOnResource) {
        callListeners(events[i], events[i + 1], events[i + 2]);
        scope.restore();
      } else {
        scope.runInAsyncScope(callListeners, undefined, events[i], events[i + 1], events[i + 2]);
      }
    }
  } finally {
    isApart = false;
    if (at < events.length) {
      scope.restore();
      // a tick may be waited for by events that came meanwhile
      if (waiting.length === 0 && !isInBatch) {
        process.nextTick(flush);
      }
      waiting = events.slice(at).concat(waiting);
    }
  }
}

/**
 * Works through a batch of the engine, which calls `flush()` wherever the packets of another client begin.
 *
 * @private
 * @param {(subject: any) => void} work
 * @param {any} subject
 */
function runBatch(work, subject) {
  isInBatch = true;
  try {
    if (isContextOnResource) {
      scope.run(work, undefined, subject);
    } else {
      work(subject);
    }
  } finally {
    isInBatch = false;
    // a listener has thrown, or let go of an event that a middleware had held back
    if (waiting.length !== 0) {
      process.nextTick(flush);
    }
  }
}

/**
 * Calls what may call the application on behalf of one client, while others wait for their turn: the asynchronous
 * context that is entered there is left behind it.
 *
 * @private
 * @param {Function} fn
 * @param {any} self - what `this` is for it
 * @param {...any} args
 */
function callApart(fn, self, ...args) {
  applyApart(fn, self, args);
}

/**
 * The same with a list of arguments.
 *
 * @private
 * @param {Function} fn
 * @param {any} self
 * @param {any[]} [args]
 */
function applyApart(fn, self, args = []) {
  if (isApart) {
    fn.apply(self, args);
    return;
  }
  isApart = true;
  try {
    if (!isContextOnResource) {
      scope.runInAsyncScope(fn, self, ...args);
    } else if (isInBatch) {
      fn.apply(self, args);
    } else {
      scope.run(fn, self, ...args);
    }
  } finally {
    isApart = false;
    scope.restore();
  }
}

module.exports = { applyApart, callApart, enqueue, flush, runBatch };

/** A scope that notices when a context is entered, and can leave it. */
class RecordedScope extends AsyncResource {
  constructor() {
    super("SOCKET_IO_EVENTS");
    /** The properties that have been changed, as they were. */
    this.overwritten = new Map();
    this.recorder = new Proxy(this, RECORDER);
  }

  run(fn, self, ...args) {
    this.runInAsyncScope.call(this.recorder, fn, self, ...args);
  }

  restore() {
    if (this.overwritten.size === 0) {
      return;
    }
    for (const [key, value] of this.overwritten) {
      this[key] = value;
    }
    this.overwritten.clear();
  }

  /** Whether the code that runs is in this scope, and in the context that it had at first. */
  isAsBefore() {
    return this.overwritten.size === 0 && executionAsyncResource() === this.recorder;
  }
}

const RECORDER = {
  set(scope, key, value) {
    if (!scope.overwritten.has(key)) {
      scope.overwritten.set(key, scope[key]);
    }
    scope[key] = value;
    return true;
  },
};

const scope = new RecordedScope();

/**
 * Where the runtime keeps the current context: in properties of the resource being executed, or (Node from 24 on, Bun,
 * Deno) somewhere out of reach. The latter two do not even let a Proxy stand for a resource.
 */
const isContextOnResource = findWhereContextIs();

function findWhereContextIs() {
  const storage = new AsyncLocalStorage();
  const probe = new RecordedScope();
  try {
    probe.run(() => storage.run(true, ignore));
  } catch {
    return false;
  } finally {
    storage.disable();
  }
  return probe.overwritten.size !== 0;
}

/** What leads back to the present context; undefined if it is the one in which listeners are called anyway. */
function contextOfCall() {
  if (isInBatch && (!isApart || (isContextOnResource && scope.isAsBefore()))) {
    return undefined;
  }
  return new AsyncResource("SOCKET_IO_EVENT");
}

function callListeners(socket, event, err) {
  if (err) {
    socket._onerror(err);
  } else if (socket.connected) {
    // not socket.emit(), which goes to the client
    EventEmitter.prototype.emit.apply(socket, event);
  } else {
    debug("ignoring an event, the socket was disconnected before");
  }
}

function ignore() {}
