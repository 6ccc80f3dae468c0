"use strict";

const parser = require("engine.io-parser");
const { Conn } = require("./lib/conn");
const { Server, attach, listen } = require("./lib/engine");
const { Polling } = require("./lib/polling");
const { Transport } = require("./lib/transport");
const { WebSocket } = require("./lib/websocket");
const { WebTransport } = require("./lib/webtransport");

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
