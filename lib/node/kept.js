"use strict";

/**
 * Connections of Node's HTTP servers between two requests. Somebody else may read the next ones while the server keeps its
 * socket and its parser as they are, and goes on later as if nothing had been said meanwhile.
 */

const { Socket } = require("net");
const { whyUnkept } = require("./internals");

/** Stands for the answer that a connection is busy with: `closeIdleConnections()` leaves those alone. */
const BUSY = { finished: false };

/** Milliseconds that Nodes add to the time that clients are told of. */
const MOST_ADDED = 1000;

/**
 * Whether a connection waits for its next request, of which nothing has been read, and Node's HTTP server is the only one
 * that could notice who reads it. Its parser must have been watched since its last request.
 * @param {http.Server} httpServer
 * @param {net.Socket} socket
 * @returns {boolean}
 */
function isBetweenRequests(httpServer, socket) {
  const { _handle: handle, parser } = socket;
  return (
    whyUnkept() === undefined &&
    Object.getPrototypeOf(socket) === Socket.prototype &&
    socket.server === httpServer &&
    handle?.fd >= 0 &&
    handle.reading === true &&
    !socket.destroyed &&
    socket.readable &&
    socket.writable &&
    !socket._paused &&
    socket.writableLength === 0 &&
    socket.readableLength === 0 &&
    // all answers have been written
    socket._httpMessage === null &&
    isOnlyWaiting(parser) &&
    hasOwnTimeout(httpServer, socket) &&
    LISTENED.every(([event, most]) => socket.listenerCount(event) <= most)
  );
}

/** How many listeners of an event Node itself has at the most. */
const LISTENED = [
  ["data", 1],
  ["readable", 0],
  ["end", 2],
  ["timeout", 1],
  ["pause", 1],
  ["resume", 1],
];

/** Of a parser: whether a request has begun since the one at which it was watched. */
const kHasBegun = Symbol("hasBegun");

/**
 * Has the parser of a connection remember whether a request begins after the one that has just come to its HTTP server: see
 * `isBetweenRequests`.
 * @param {object} parser - of a socket
 */
function watchForNext(parser) {
  if (parser == null || whyUnkept() !== undefined) return;
  parser[kHasBegun] = false;
  parser[parser.constructor.kOnMessageBegin] = onBegin;
}

/** Called by Node, on the parser, with the first byte of a request. */
function onBegin() {
  this[kHasBegun] = true;
  this[this.constructor.kOnMessageBegin] = null;
}

/** Whether a parser reads by itself, and has come to the end of a request. */
function isOnlyWaiting(parser) {
  if (parser?._consumed !== true || parser[kHasBegun] !== false) return false;
  const { incoming: req } = parser;
  return req === null || (req?.complete === true && !req.upgrade);
}

/** Whether a connection is closed for its silence by nobody but its server. */
function hasOwnTimeout(httpServer, { timeout }) {
  const { keepAliveTimeout, keepAliveTimeoutBuffer = MOST_ADDED } = httpServer;
  return (
    timeout >= keepAliveTimeout &&
    timeout <= keepAliveTimeout + keepAliveTimeoutBuffer &&
    httpServer.listenerCount("timeout") === 0
  );
}

/**
 * Has Node leave a connection alone.
 * @param {net.Socket} socket - see `isBetweenRequests`
 * @returns {function()} has Node go on with it
 */
function suspend(socket) {
  const { _handle: handle, timeout } = socket;
  handle.readStop();
  // whatever anybody does with the socket, two must not read the same bytes
  handle.readStart = noop;
  socket.setTimeout(0);
  socket._httpMessage = BUSY;
  return () => {
    delete handle.readStart;
    if (socket._httpMessage === BUSY) socket._httpMessage = null;
    if (socket._handle !== handle) return;
    socket.setTimeout(timeout);
    if (handle.reading) handle.readStart();
  };
}

function noop() {}

module.exports = { isBetweenRequests, suspend, watchForNext };
