"use strict";

const { Server } = require("./lib/server");
const { Namespace } = require("./lib/namespace");
const { Socket } = require("./lib/socket");

/**
 * Creates a Socket.IO server: the short form of `new Server(srv, opts)`.
 *
 * @public
 * @param {import("node:http").Server|number|object} [srv] - an HTTP server, a port to listen on, or the options
 * @param {object} [opts] - the options, when the first argument is not them
 * @returns {Server}
 */
function createServer(srv, opts) {
  return new Server(srv, opts);
}

module.exports = createServer;
module.exports.Server = Server;
module.exports.Namespace = Namespace;
module.exports.Socket = Socket;
