"use strict";

const { OutgoingMessage, ServerResponse } = require("http");
const { settle } = require("../node/shown");

/** The connection of a request, which may have to be made first. */
const SOCKET = {
  configurable: true,
  enumerable: true,
  get() {
    return this.req.socket;
  },
  set() {},
};

/**
 * The answer to an upgrade request, as middlewares see it: what they set of headers goes out with the 101 that opens
 * the WebSocket. It has nothing else to say, so a middleware that answers by itself ends the connection.
 *
 * Emits `finish` when a middleware answers, and `close` when the connection is closed.
 */
class UpgradeResponse extends ServerResponse {
  /**
   * @param {IncomingMessage} req
   * @param {UpgradeAttempt} attempt - who has the connection, once it is asked for its `socket`
   */
  constructor(req, attempt) {
    super(req);
    this._attempt = attempt;
    this._isSent = false;
    // not by assignSocket(), which is how Node would come to write an answer of its own
    Object.defineProperty(this, "socket", SOCKET);
  }

  // the constructor of Node's sets it
  get socket() {
    return this.req.socket;
  }

  set socket(_socket) {}

  /** Whether the 101 is on its way, or a middleware has answered. */
  get headersSent() {
    return this._isSent;
  }

  /** Some middlewares add their headers when this is called. */
  writeHead(statusCode, statusMessage, headers) {
    if (typeof statusMessage !== "string") {
      headers = statusMessage;
      statusMessage = undefined;
    }
    if (statusCode !== undefined) this.statusCode = statusCode;
    if (statusMessage !== undefined) this.statusMessage = statusMessage;
    if (Array.isArray(headers)) {
      for (let i = 0; i + 1 < headers.length; i += 2) this.appendHeader(headers[i], headers[i + 1]);
    } else if (headers) {
      for (const name of Object.keys(headers)) this.setHeader(name, headers[name]);
    }
    return this;
  }

  flushHeaders() {}

  destroy(error) {
    tellSocket(this, this.socket);
    return super.destroy(error);
  }

  setTimeout(...args) {
    tellSocket(this, this.socket);
    return super.setTimeout(...args);
  }

  write(_chunk, encoding, callback) {
    if (typeof encoding === "function") callback = encoding;
    if (typeof callback === "function") process.nextTick(callback);
    return true;
  }

  end(chunk, encoding, callback) {
    if (typeof chunk === "function") callback = chunk;
    else if (typeof encoding === "function") callback = encoding;
    if (this.finished) {
      if (typeof callback === "function") process.nextTick(callback);
      return this;
    }
    if (typeof callback === "function") this.once("finish", callback);
    this._isSent = true;
    this.finished = true;
    this.emit("finish");
    this._attempt.socket.destroy();
    return this;
  }
}

// middlewares may give a response another prototype

/** The connection of an answer to an upgrade request is this one. */
function followSocket(res, socket) {
  settle(res, "socket", socket);
  tellSocket(res, socket);
  socket.once("close", emitClose.bind(undefined, res));
}

/** Where Node keeps the socket of a response to itself, behind an accessor: since Node 22. */
const kept = Object.getOwnPropertyDescriptor(OutgoingMessage.prototype, "socket");

function tellSocket(res, socket) {
  kept?.set.call(res, socket);
}

/**
 * The checks of an upgrade request are done: the 101 follows.
 * @param {UpgradeResponse} res
 * @returns {object} the headers that were set, by their names as they were given
 */
function completeResponse(res) {
  res.writeHead(101, "Switching Protocols");
  res._isSent = true;
  const headers = {};
  for (const name of res.getRawHeaderNames()) headers[name] = res.getHeader(name);
  return headers;
}

function emitClose(res) {
  res.destroyed = true;
  res.emit("close");
}

/**
 * Headers as lines of an answer. Cookies are the one thing that cannot be put together into one line.
 * @param {object} headers
 * @returns {string[]}
 */
function linesOf(headers) {
  return Object.keys(headers).flatMap((name) => {
    const value = headers[name];
    if (Array.isArray(value) && name.toLowerCase() === "set-cookie") {
      return value.map((cookie) => `${name}: ${cookie}`);
    }
    return `${name}: ${value}`;
  });
}

module.exports = { UpgradeResponse, completeResponse, followSocket, linesOf };
