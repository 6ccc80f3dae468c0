"use strict";

// What `sockeye.io/ws` exports: what ws does, of which servers and their WebSockets are ours.

const ws = require("ws");
const { WebSocketServer } = require("./server");
const { WebSocket } = require("./websocket");

const { Receiver, Sender, PerMessageDeflate, createWebSocketStream, extension, subprotocol } = ws;

Object.assign(WebSocket, {
  createWebSocketStream,
  extension,
  PerMessageDeflate,
  Receiver,
  Sender,
  Server: WebSocketServer,
  subprotocol,
  WebSocket,
  WebSocketServer,
});

module.exports = WebSocket;
