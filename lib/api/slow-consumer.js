"use strict";

// What holds for a socket's events if its client does not read: the option of the server, or what its namespace or the
// socket itself have in place of that.

const { NO_RULE, ruleOf } = require("../engine/slow-consumer");

/** The rules of sockets that have their own. */
const own = new WeakMap();

/** The sockets of which the workers have been told a rule. */
const ruled = new WeakSet();

/**
 * Sets the rule of a socket.
 * @param {import("./socket").Socket} socket
 * @param {object|null} options - see `Socket.slowConsumer()`
 * @throws {TypeError} if they are none
 * @throws {Error} if the socket's connection is of an engine that is another package's
 */
function setRule(socket, options) {
  if (options === null) {
    own.delete(socket);
  } else {
    const rule = ruleOf(options, socket.server._outboundLimit);
    if (typeof socket.conn._setRule !== "function") {
      throw new Error("slowConsumer() needs a connection of this package's engine");
    }
    own.set(socket, rule);
  }
  applyRule(socket, socket.nsp._rule);
}

/** Has the rule of a namespace, or the socket's own, hold for a socket. */
function applyRule(socket, ofNamespace) {
  const rule = own.get(socket) ?? ofNamespace;
  if (rule === undefined && !ruled.has(socket)) return;
  ruled.add(socket);
  socket.conn._setRule?.(socket.nsp.name, rule ?? NO_RULE);
}

/** A socket has left its namespace, or will not join it. */
function forgetRule(socket) {
  if (!ruled.delete(socket)) return;
  socket.conn._setRule?.(socket.nsp.name, NO_RULE);
}

module.exports = { applyRule, forgetRule, setRule };
