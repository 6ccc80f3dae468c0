"use strict";

/**
 * What the application can see of connections and requests. Where that is nothing, Node's objects for them need not be.
 */

const { EventEmitter } = require("events");
const { IncomingMessage } = require("http");
const diagnostics = require("diagnostics_channel");
const { closedRoads, hasOrdinaryAnswers, hasOrdinaryListener } = require("../node/internals");
const { lengthOf } = require("../node/request");

/** Node tells of every accepted socket here. */
const acceptedSockets = diagnostics.channel("net.server.socket");

/** And of every request and its answer here. */
const requests = [
  "http.server.request.start",
  "http.server.response.created",
  "http.server.response.finish",
].map((name) => diagnostics.channel(name));

/** How events are emitted where nobody watches that. */
const { emit } = EventEmitter.prototype;

/** The engine whose listener for requests, or for upgrade requests, a function is. */
const kEngine = Symbol("engine");

/** Whether the application gets to see connections and requests only where the engine shows them. */
function isUnobserved(server, httpServer) {
  return (
    whyUnshowable(server, httpServer) === undefined &&
    !areConnectionsSeen(httpServer) &&
    isOnlyListener(httpServer, server, "upgrade")
  );
}

/**
 * By what the application could see connections and requests, but for its listeners for connections and for upgrade requests,
 * whom the engine can show them.
 * @returns {string|undefined}
 */
function whyUnshowable(server, httpServer) {
  if (server.emit !== emit) return "io.engine.emit() is replaced";
  if (httpServer.emit !== emit) return "emit() of the HTTP server is replaced";
  if (!hasOrdinaryListener(httpServer)) return "others get the connections of the HTTP server before it does";
  if (!isOnlyEngine(httpServer, server)) return "another Engine.IO server is attached to the HTTP server";
  if (acceptedSockets.hasSubscribers) return "somebody subscribes to the channel net.server.socket";
  return undefined;
}

/** Whether others than Node listen for connections. */
function areConnectionsSeen(httpServer) {
  return httpServer.listenerCount("connection") > 1;
}

/** Whether others than an engine listen for upgrade requests. */
function areUpgradesSeen(httpServer) {
  return httpServer.listenerCount("upgrade") > 1;
}

/** Whether an engine listens for upgrade requests, and no other one does. */
function isOnlyEngine(httpServer, server) {
  const engines = httpServer.listeners("upgrade").filter((listener) => listener[kEngine] !== undefined);
  return engines.length === 1 && engines[0][kEngine] === server;
}

/**
 * By what the application could see the requests of clients that poll, or the answers to them.
 * @returns {string|undefined}
 */
function whyAnswersSeen(server, httpServer) {
  if (!hasOrdinaryAnswers(httpServer)) return "the HTTP server has a ServerResponse of its own";
  if (!isOnlyListener(httpServer, server, "request")) {
    return "others listen for request on the HTTP server, beside the engine";
  }
  const channel = requests.find(({ hasSubscribers }) => hasSubscribers);
  return channel && `somebody subscribes to the channel ${channel.name}`;
}

/** Whether requests come to an engine only. */
function isOnlyListener(httpServer, server, event) {
  const listeners = httpServer.listeners(event);
  return listeners.length === 1 && listeners[0][kEngine] === server;
}

/**
 * Whether nobody but Node can have a reference to the request or the socket.
 */
function isUnseen(server, req, socket, head) {
  const httpServer = socket.server;
  return (
    closedRoads().remaking === undefined &&
    httpServer !== undefined &&
    !server._showsRequests() &&
    isUnobserved(server, httpServer) &&
    Object.getPrototypeOf(req) === IncomingMessage.prototype &&
    req.httpVersion === "1.1" &&
    // an earlier request over the same connection was handled by somebody
    socket.bytesRead <= lengthOf(req) + (head?.length ?? 0)
  );
}

module.exports = {
  areConnectionsSeen,
  areUpgradesSeen,
  isUnseen,
  kEngine,
  whyAnswersSeen,
  whyUnshowable,
};
