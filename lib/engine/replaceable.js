"use strict";

/**
 * Lets objects have a property of their own in place of what a getter of their prototype gives: whoever assigns to it must not fail
 * because the name is not free.
 * @param {object} prototype
 * @param {string} name
 */
function replaceable(prototype, name) {
  Object.defineProperty(prototype, name, {
    ...Object.getOwnPropertyDescriptor(prototype, name),
    set(value) {
      Object.defineProperty(this, name, { value, configurable: true, enumerable: true, writable: true });
    },
  });
}

module.exports = { replaceable };
