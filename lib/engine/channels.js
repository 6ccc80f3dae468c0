"use strict";

/**
 * What happens to servers and clients, for whoever looks into what an application does, by Node's `diagnostics_channel`.
 * Nothing is made for a channel that nobody subscribes to.
 */

const { channel } = require("diagnostics_channel");

module.exports = {
  /** An engine is attached to an HTTP server: { engine, httpServer, path }. */
  attachments: channel("sockeye.io:attach"),
  /** A Socket.IO server gets an engine: { io, engine }. */
  bindings: channel("sockeye.io:bind"),
  /** A socket has joined its namespace: { socket }. */
  connections: channel("sockeye.io:connection"),
  /** A socket has left it: { socket, reason, description }. */
  disconnections: channel("sockeye.io:disconnection"),
  /** A session has come to one of its limits, and is ended for it: { engine, conn, limit }. */
  limits: channel("sockeye.io:limit"),
  /** A request is refused: { engine, req, code, message, context }, as of `connection_error`. */
  refusals: channel("sockeye.io:refusal"),
  /** A client did not read what waits for it, and is given up: { engine, conn, bytes }. */
  slowConsumers: channel("sockeye.io:slow-consumer"),
};
