"use strict";

const parser = require("engine.io-parser");
const { Conn } = require("./lib/engine/conn");
const { Server, attach, listen } = require("./lib/engine/server");
const { Polling } = require("./lib/engine/transports/polling");
const { Transport } = require("./lib/engine/transports/transport");
const { WebSocket } = require("./lib/engine/transports/websocket");
const { WebTransport } = require("./lib/engine/transports/webtransport");

/** The server for uWebSockets.js, which has no place here. */
class uServer {
  /** @throws {Error} always */
  constructor() {
    throw new Error(
      "uServer is not supported: give a Server to an HTTP server of Node, its connections are native",
    );
  }
}

module.exports = {
  Server,
  uServer,
  Socket: Conn,
  Transport,
  transports: { polling: Polling, websocket: WebSocket, webtransport: WebTransport },
  parser,
  protocol: parser.protocol,
  listen,
  attach,
};
