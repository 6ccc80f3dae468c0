"use strict";

const { EventEmitter } = require("node:events");
const { STATUS_CODES, createServer } = require("node:http");
const { subprotocol } = require("ws");
const { switchingProtocols } = require("../native/binding");
const { nameOfRate } = require("../engine/limits");
const { takeOver } = require("../engine/takeover");
const { negotiate } = require("../engine/transports/deflate");
const { abortHandshake, findFault } = require("../engine/websocket-request");
const { kEngine } = require("../engine/observers");
const { isTaken } = require("../node/taken-socket");
const { RAW, watchArrivals } = require("./arrivals");
const { bridgeOf } = require("./bridge");
const { WebSocketCounts, metricsOf } = require("./metrics");
const { Topics } = require("./topics");
const { WebSocket } = require("./websocket");

/** What there is to say of a server without further options; see ws. */
const DEFAULTS = {
  allowSynchronousEvents: true,
  autoPong: true,
  maxBufferedChunks: 256 * 1024,
  maxFragments: 16 * 1024,
  maxPayload: 100 * 1024 * 1024,
  maxPendingAutoPongs: 60,
  skipUTF8Validation: false,
  perMessageDeflate: false,
  handleProtocols: null,
  clientTracking: true,
  closeTimeout: 30_000,
  verifyClient: null,
  noServer: false,
  backlog: null,
  server: null,
  host: null,
  path: null,
  port: null,
  WebSocket,
};

const RUNNING = 0;
const CLOSING = 1;
const CLOSED = 2;

const DEFLATE = "permessage-deflate";

/**
 * A server of WebSockets, with ws's API, whose connections live in native worker threads.
 *
 * Emits `connection` (WebSocket, request), `headers` (lines, request), `wsClientError` (error, socket, request), `listening`,
 * `error`, `close`; `slow_consumer` (WebSocket, bytes, "close" or "drop"), `limit` (WebSocket, name of the limit).
 */
class WebSocketServer extends EventEmitter {
  /**
   * @param {object} options - ws's, and `workers`, `heartbeat`, `limits`, `slowConsumer`, `maxOutboundBuffer`,
   *   `maxOutboundTotal`
   * @param {function()} [callback] - called when it listens
   * @throws {TypeError} when not one of `port`, `server`, `noServer` is given, or when an option makes no sense
   */
  constructor(options, callback) {
    super();
    options = { ...DEFAULTS, ...options };
    const ways = [options.port != null, Boolean(options.server), Boolean(options.noServer)];
    if (ways.filter(Boolean).length !== 1) {
      throw new TypeError(
        'One and only one of the "port", "server", or "noServer" options must be specified',
      );
    }
    if (options.WebSocket !== WebSocket && !(options.WebSocket?.prototype instanceof WebSocket)) {
      throw new TypeError(
        'The "WebSocket" option must be the WebSocket class of sockeye.io/ws, or one that extends it',
      );
    }
    if (options.perMessageDeflate === true) options.perMessageDeflate = {};
    this.options = options;
    this._state = RUNNING;
    this._server = undefined;
    this._bridge = bridgeOf(this, options);
    this._pumped = {};
    this._counts = new WebSocketCounts();
    this._topics = new Topics(this._bridge);
    if (options.clientTracking) {
      this.clients = new Set();
      this._shouldEmitClose = false;
    }
    if (options.port != null) {
      this._server = createServer(answerWithUpgradeRequired);
      this._server.listen(options.port, options.host, options.backlog, callback);
    } else if (options.server) {
      this._server = options.server;
    }
    if (this._server !== undefined) this._listenTo(this._server);
  }

  /** @private */
  _listenTo(server) {
    const onConnection = this.emit.bind(this, "connection");
    const listeners = {
      listening: this.emit.bind(this, "listening"),
      error: this.emit.bind(this, "error"),
      upgrade: (req, socket, head) => this.handleUpgrade(req, socket, head, onConnection),
    };
    listeners.upgrade[kEngine] = this;
    const entrance = watchArrivals(this, server);
    for (const name in listeners) server.on(name, listeners[name]);
    this._removeListeners = () => {
      for (const name in listeners) server.removeListener(name, listeners[name]);
      entrance?.close();
    };
  }

  /**
   * The address that it listens on, as `net.Server` tells it.
   * @throws {Error} if it has no server
   */
  address() {
    if (this.options.noServer) throw new Error('The server is operating in "noServer" mode');
    return this._server ? this._server.address() : null;
  }

  /**
   * Accepts no more connections. Those that there are stay; `close` is emitted when they are over.
   * @param {function(Error=)} [callback] - called then
   */
  close(callback) {
    if (this._state === CLOSED) {
      if (callback) this.once("close", () => callback(new Error("The server is not running")));
      process.nextTick(emitClose, this);
      return;
    }
    if (callback) this.once("close", callback);
    if (this._state === CLOSING) return;
    this._state = CLOSING;
    const server = this._server;
    if (server) {
      this._removeListeners();
      this._removeListeners = this._server = null;
    }
    this._onRest();
    if (this.options.port != null) server.close(() => emitClose(this));
    else if (this.clients?.size > 0) this._shouldEmitClose = true;
    else process.nextTick(emitClose, this);
  }

  /**
   * Whether a request is for this server; may be replaced.
   * @param {IncomingMessage} req
   * @returns {boolean}
   */
  shouldHandle(req) {
    const { path } = this.options;
    return !path || req.url.split("?", 1)[0] === path;
  }

  /**
   * Answers an upgrade request.
   * @param {IncomingMessage} req
   * @param {Duplex} socket
   * @param {Buffer} head - what came behind the request
   * @param {function(WebSocket, IncomingMessage)} callback - called when the WebSocket is open
   */
  handleUpgrade(req, socket, head, callback) {
    socket.on("error", destroyOnError);
    const { headers } = req;
    const fault = findFault(req.method, (name) => headers[name.toLowerCase()]);
    if (fault !== undefined) return this._refuse(req, socket, fault);
    if (!this.shouldHandle(req)) {
      abortHandshake(socket, 400);
      return;
    }
    const protocols = protocolsIn(headers);
    let agreement;
    if (protocols === undefined) {
      return this._refuse(req, socket, badHeader("Invalid Sec-WebSocket-Protocol header"));
    }
    try {
      const { perMessageDeflate } = this.options;
      if (perMessageDeflate) agreement = negotiate(headers["sec-websocket-extensions"], perMessageDeflate);
    } catch {
      return this._refuse(req, socket, badHeader("Invalid or unacceptable Sec-WebSocket-Extensions header"));
    }
    const proceed = () => {
      this.completeUpgrade(agreement, headers["sec-websocket-key"], protocols, req, socket, head, callback);
    };
    this._verify(req, socket, proceed);
  }

  /** Has the application make up its mind about a request. @private */
  _verify(req, socket, proceed) {
    const { options } = this;
    if (!options.verifyClient) return proceed();
    const { headers } = req;
    const info = {
      origin: headers[Number(headers["sec-websocket-version"]) === 8 ? "sec-websocket-origin" : "origin"],
      secure: Boolean(req.socket.authorized || req.socket.encrypted),
      req,
    };
    if (options.verifyClient.length === 2) {
      options.verifyClient(info, (isVerified, status, message, more) => {
        if (isVerified) proceed();
        else abortHandshake(socket, status || 401, message || undefined, more);
      });
    } else if (options.verifyClient(info)) {
      proceed();
    } else {
      abortHandshake(socket, 401);
    }
  }

  /** Refuses a request that is none for a WebSocket, or has the application do so. @private */
  _refuse(req, socket, { status, message, headers }) {
    if (this.listenerCount("wsClientError") === 0) {
      abortHandshake(socket, status, message, headers);
      return;
    }
    const error = new Error(message);
    Error.captureStackTrace(error, this._refuse);
    this.emit("wsClientError", error, socket, req);
  }

  /**
   * Makes a WebSocket of a connection whose request is in order.
   * @private
   * @throws {Error} if that has happened before
   */
  completeUpgrade(agreement, key, protocols, req, socket, head, callback) {
    // the client has hung up already
    if (!socket.readable || !socket.writable) {
      socket.destroy();
      return;
    }
    if (isTaken(socket)) {
      throw new Error(
        "server.handleUpgrade() was called more than once with the same socket, possibly due to a misconfiguration",
      );
    }
    if (this._state > RUNNING) {
      abortHandshake(socket, 503);
      return;
    }
    const lines = switchingProtocols(key).split("\r\n");
    const ws = new this.options.WebSocket(null, undefined, this.options);
    this._choose(ws, protocols, req, lines);
    if (agreement !== undefined) {
      lines.push(`Sec-WebSocket-Extensions: ${agreement.response}`);
      ws._extensions = { [DEFLATE]: agreement };
    }
    this.emit("headers", lines, req);
    socket.removeListener("error", destroyOnError);
    ws._begin(this);
    if (!takeOver(new Upgrade(this, req, socket, head, `${lines.join("\r\n")}\r\n\r\n`, agreement), ws))
      return;
    this._welcome(ws);
    callback(ws, req);
  }

  /** Chooses a subprotocol, if the client offers some. @private */
  _choose(ws, protocols, req, lines) {
    if (protocols.size === 0) return;
    const { options } = this;
    const [first] = protocols;
    const protocol = options.handleProtocols ? options.handleProtocols(protocols, req) : first;
    if (!protocol) return;
    lines.push(`Sec-WebSocket-Protocol: ${protocol}`);
    ws._protocol = protocol;
  }

  /** A WebSocket is open. @private */
  _welcome(ws) {
    this._counts.connects++;
    ws._stream.owner = ws;
    ws._open();
    this.clients?.add(ws);
    this._topics.enter(ws);
  }

  /**
   * A worker has recognised a request on a connection that never was Node's.
   * @returns {boolean} whether that becomes a WebSocket; if not, it is Node's
   * @private
   */
  _admit(admission) {
    const { req } = admission;
    if (!this.shouldHandle(req)) return false;
    const protocols = protocolsIn(req.headers);
    if (protocols === undefined) return false;
    const ws = new this.options.WebSocket(null, undefined, this.options);
    const lines = [];
    this._choose(ws, protocols, req, lines);
    ws._begin(this, admission.stream);
    admission.pass(ws, lines.map((line) => `\r\n${line}`).join(""));
    this._welcome(ws);
    this.emit("connection", ws, req);
    return true;
  }

  /**
   * By what the application sees more of a request than the WebSocket that comes of it.
   * @returns {string|undefined}
   * @private
   */
  _findWitness() {
    if (this._state !== RUNNING) return "the server is closed";
    if (this.options.verifyClient) return "there is the option verifyClient";
    if (this.listenerCount("headers") !== 0) return "somebody listens for headers";
    const { completeUpgrade, handleUpgrade, shouldHandle } = WebSocketServer.prototype;
    if (this.shouldHandle !== shouldHandle) return "shouldHandle() is replaced";
    if (this.handleUpgrade !== handleUpgrade) return "handleUpgrade() is replaced";
    if (this.completeUpgrade !== completeUpgrade) return "completeUpgrade() is replaced";
    return undefined;
  }

  /**
   * What was counted since this was made, and how things are now: see `WebSocketMetrics` in types/metrics.d.ts.
   * @returns {object}
   */
  metrics() {
    return metricsOf(this);
  }

  /** A WebSocket is over. @private */
  _forget(ws) {
    this._counts.closes.add(ws._closeCode);
    this._topics.leave(ws);
    if (!this.clients?.delete(ws)) return;
    if (this._shouldEmitClose && this.clients.size === 0) process.nextTick(emitClose, this);
  }

  /**
   * Sends a message to all clients, encoded and compressed once.
   * @param {string|Buffer|ArrayBuffer|ArrayBufferView} data
   * @param {object} [options] - `binary`, `compress` (true), `except`: a WebSocket, or some
   */
  broadcast(data, options) {
    this._topics.broadcast(data, options);
  }

  /**
   * The same to those that have subscribed to a topic: see `WebSocket.subscribe()`.
   * @param {string} topic
   * @param {string|Buffer|ArrayBuffer|ArrayBufferView} data
   * @param {object} [options] - as for `broadcast()`
   * @returns {number} how many have subscribed
   */
  publish(topic, data, options) {
    return this._topics.publish(topic, data, options);
  }

  /**
   * How many clients have subscribed to a topic.
   * @param {string} topic
   * @returns {number}
   */
  subscribers(topic) {
    return this._topics.sizeOf(topic);
  }

  /** A client does not read: it is given up, or messages for it are dropped. @private */
  _onSlowConsumer(ws, bytes, isKept) {
    if (!isKept) this._counts.slowConsumers++;
    this.emit("slow_consumer", ws, bytes, isKept ? "drop" : "close");
  }

  /**
   * A client sends more than it may: nothing is read of it for so many milliseconds, unless it is ended. Where JavaScript reads,
   * the worker tells when that is over, with 0.
   * @private
   */
  _onLimit(ws, limit, pause, isTold) {
    ws._isLimited = pause > 0;
    ws._holdUp();
    if (isTold) return;
    const name = nameOfRate(limit);
    this._counts.limits.add(name);
    this.emit("limit", ws, name);
  }

  /** Ends the threads of a closed server when the last client has hung up. @private */
  _onRest() {
    if (this._state !== RUNNING && this._bridge.isIdle) this._bridge.native.stop();
  }
}

/** An accepted upgrade request on its way to a worker: see `takeOver()`. */
class Upgrade {
  constructor(server, req, socket, head, response, agreement) {
    Object.assign(this, { server, req, socket, head, response, deflate: agreement?.agreed ?? 0 });
  }

  give(ws, stream, fd, rest, session) {
    const { native } = this.server._bridge;
    const { deflate } = this;
    // over a stream of JavaScript it is a chunk by itself, as ws's is: there are readers that take it for that
    const isPumped = fd === -1;
    if (isPumped) this.socket.write(this.response);
    const response = isPumped ? "" : this.response;
    native.openWebsocket(ws._handle, RAW, stream, fd, response, rest, deflate, "", undefined, session);
  }

  isUnseen() {
    return false;
  }
}

/**
 * The subprotocols that a client offers.
 * @returns {Set<string>|undefined} undefined if they are malformed
 */
function protocolsIn({ "sec-websocket-protocol": header }) {
  try {
    return header === undefined ? new Set() : subprotocol.parse(header);
  } catch {
    return undefined;
  }
}

function answerWithUpgradeRequired(_req, res) {
  const body = STATUS_CODES[426];
  res.writeHead(426, { "Content-Length": body.length, "Content-Type": "text/plain" });
  res.end(body);
}

function badHeader(message) {
  return { status: 400, message };
}

function emitClose(server) {
  server._state = CLOSED;
  server.emit("close");
}

function destroyOnError() {
  this.destroy();
}

module.exports = { WebSocketServer };
