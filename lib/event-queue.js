"use strict";

/**
 * Events that have come in wait here until the packets that came with them are dealt with; then their listeners are
 * called. So a DISCONNECT right behind an event is seen first, and the event ignored, and what a listener does to its
 * socket cannot get between the packets that are being read.
 *
 * All events of a batch share one tick, since a tick each would cost as much as all the rest of their journey in
 * JavaScript. What a tick each would also bring is kept: a listener that throws does not take along the events behind it,
 * and one that enters an asynchronous context (`AsyncLocalStorage#enterWith()`) does not leave it to the next, which may
 * well be about another user.
 */

const { AsyncLocalStorage, AsyncResource } = require("node:async_hooks");
const { EventEmitter } = require("node:events");
const debug = require("debug")("socket.io:socket");

/** Flat, for the sake of speed: socket, event and error in turn. */
const STRIDE = 3;
let waiting = [];

/**
 * Has the listeners of an event called in the next tick.
 *
 * @private
 * @param {import("./socket").Socket} socket
 * @param {any[]} event - the name and the arguments
 * @param {Error} [err] - from a middleware: the event is dropped, and this is emitted as "error"
 */
function enqueue(socket, event, err) {
  if (waiting.length === 0) {
    process.nextTick(drain);
  }
  waiting.push(socket, event, err);
}

module.exports = { enqueue };

function drain() {
  const events = waiting;
  waiting = [];
  if (events.length === STRIDE) {
    // the context of this tick is nobody else's
    callListeners(events[0], events[1], events[2]);
    return;
  }
  const cursor = { at: 0 };
  try {
    if (isContextOnResource) {
      callInRecordedScope(events, cursor);
    } else {
      callInScopes(events, cursor);
    }
  } finally {
    if (cursor.at < events.length) {
      // a listener has thrown: the rest has the next tick, which may be waited for by others already
      if (waiting.length === 0) {
        process.nextTick(drain);
      }
      waiting = events.slice(cursor.at).concat(waiting);
    }
  }
}

/** With the context in a register: leaving a scope is enough to be rid of what has been entered in it. */
function callInScopes(events, cursor) {
  const scope = new AsyncResource(SCOPE_TYPE);
  while (cursor.at < events.length) {
    const i = cursor.at;
    cursor.at += STRIDE;
    scope.runInAsyncScope(callListeners, undefined, events[i], events[i + 1], events[i + 2]);
  }
}

/** With the context on the resource: one scope for all, and what a listener has entered is put back. */
function callInRecordedScope(events, cursor) {
  const scope = new RecordedScope();
  scope.run(() => {
    while (cursor.at < events.length) {
      const i = cursor.at;
      cursor.at += STRIDE;
      callListeners(events[i], events[i + 1], events[i + 2]);
      if (scope.overwritten.size !== 0) {
        scope.restore();
      }
    }
  });
}

const SCOPE_TYPE = "SOCKET_IO_EVENTS";

/** A scope that notices when a context is entered. */
class RecordedScope extends AsyncResource {
  constructor() {
    super(SCOPE_TYPE);
    /** The properties that have been changed, as they were. */
    this.overwritten = new Map();
  }

  run(fn) {
    this.runInAsyncScope.call(new Proxy(this, RECORDER), fn);
  }

  restore() {
    for (const [key, value] of this.overwritten) {
      this[key] = value;
    }
    this.overwritten.clear();
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

/** Where Node keeps the current context: in properties of the resource being executed, or (from 24 on) in a register. */
const isContextOnResource = findWhereContextIs();

function findWhereContextIs() {
  const storage = new AsyncLocalStorage();
  const scope = new RecordedScope();
  scope.run(() => storage.run(true, () => {}));
  storage.disable();
  return scope.overwritten.size !== 0;
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
