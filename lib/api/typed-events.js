"use strict";

const { EventEmitter } = require("node:events");

/**
 * An emitter whose `emit()` may lead elsewhere, to the clients or to the other servers: what its own listeners are to
 * get goes another way.
 *
 * @public
 */
class StrictEventEmitter extends EventEmitter {
  /**
   * Emits to the listeners on this side.
   *
   * @protected
   * @param {string|symbol} ev
   * @param {...any} args
   * @returns {boolean} whether there were any
   */
  emitReserved(ev, ...args) {
    return super.emit(ev, ...args);
  }

  /**
   * The same, for events that no type describes.
   *
   * @protected
   * @param {string|symbol} ev
   * @param {...any} args
   * @returns {boolean}
   */
  emitUntyped(ev, ...args) {
    return super.emit(ev, ...args);
  }
}

module.exports = { StrictEventEmitter };
