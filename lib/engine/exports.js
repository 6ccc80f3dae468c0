"use strict";

const parser = require("engine.io-parser");
const { Conn } = require("./conn");
const { Server, attach, listen } = require("./server");
const { Polling } = require("./transports/polling");
const { Transport } = require("./transports/transport");
const { WebSocket } = require("./transports/websocket");
const { WebTransport } = require("./transports/webtransport");

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
