"use strict";

const { EventEmitter } = require("events");

/**
 * The prototype of emitters that nobody has to listen to: as long as nobody does, an instance has nothing of its own for
 * that (`EventEmitter()` is never called). Whenever listeners of an event may have come or gone, whichever way,
 * `_onListeners(event)` is told; without an event, that may be any.
 */
const Listened = Object.create(EventEmitter.prototype);

// once() and prependOnceListener() call two of these
for (const method of [
  "on",
  "addListener",
  "prependListener",
  "off",
  "removeListener",
  "removeAllListeners",
]) {
  const change = EventEmitter.prototype[method];
  Listened[method] = function (...args) {
    change.apply(this, args);
    this._onListeners(args[0]);
    return this;
  };
}

module.exports = { Listened };
