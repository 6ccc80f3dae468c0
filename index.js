"use strict";

const { fromStock } = require("./lib/fallback/stock");

// the one place at which it is decided whose engine it is, but for files that are loaded by themselves
const { Server } = fromStock("./dist/index.js") ?? require("./lib/api/server");
// by way of files that are found where those of socket.io are, since that is where tracers hook into these classes
const { Namespace } = require("./dist/namespace");
const { Socket } = require("./dist/socket");
require("./dist/broadcast-operator");
require("./dist/client");
require("./dist/parent-namespace");

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
