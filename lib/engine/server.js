"use strict";

const { EventEmitter } = require("events");
const { createServer } = require("http");
const createDebug = require("debug");
const { switchingProtocols } = require("../native/binding");
const { closedRoads } = require("../node/internals");
const { watchArrivals, whyUnwatched } = require("./arrivals");
const { attachments, limits: limitsReached, slowConsumers } = require("./channels");
const { Listened } = require("./listened");
const { SessionCounts, metricsOf } = require("./metrics");
const { Road } = require("./road");
const { Bridge } = require("../native/bridge");
const handshake = require("./handshake");
const { Traces } = require("./trace");
const { Polling } = require("./transports/polling");
const { generateId: makeId } = require("./random-id");
const { Gate, gateOptions } = require("./gate");
const { limitsOf } = require("./limits");
const { isShown } = require("./shown");
const {
  DEFLATE_THRESHOLD,
  boundOf,
  deflateSettings,
  outboundOptions,
  rateOptions,
  refuseOption,
  workersOf,
} = require("./options");
const { handleUpgrade, onWebSocket } = require("./upgrade");
const { kEngine } = require("./observers");
const { acceptSession } = require("./transports/webtransport");
const { createWebSocketServer } = require("./transports/ws-engine");

const debug = createDebug("engine");

const DEFAULTS = {
  pingTimeout: 20000,
  pingInterval: 25000,
  upgradeTimeout: 10000,
  maxHttpBufferSize: 1e6,
  maxBufferedChunks: 10000,
  httpRequestBodyTimeout: 30000,
  maxOutboundBuffer: Infinity,
  maxOutboundTotal: Infinity,
  maxSessionAge: Infinity,
  maxIdleTime: Infinity,
  transports: ["polling", "websocket"],
  allowUpgrades: true,
  httpCompression: { threshold: 1024 },
  cors: false,
  allowEIO3: false,
  nativeTls: true,
};

const COOKIE_DEFAULTS = { name: "io", path: "/", httpOnly: true, sameSite: "lax" };

/** Of a listener for requests: who looks at the connections before Node's HTTP server. */
const kArrivals = Symbol("arrivals");

/** The options that have to be numbers: milliseconds, bytes, and a count. */
const NUMBERS = [
  "pingInterval",
  "pingTimeout",
  "upgradeTimeout",
  "maxHttpBufferSize",
  "maxBufferedChunks",
  "httpRequestBodyTimeout",
];

/** The value of such an option: environment variables are text, and what is not given may be given as undefined. */
function numberOf(opts, name) {
  const value = Number(opts[name] ?? DEFAULTS[name]);
  if (Number.isNaN(value)) refuseOption(opts, name, "a number");
  return value;
}

/**
 * An Engine.IO server whose sessions live in native worker threads.
 *
 * Emits `connection` (a `Conn`), `connection_error` ({ req, code, message, context }), `initial_headers` and `headers`
 * (headers, request), `flush` and `drain` (conn), `slow_consumer` (conn, bytes that wait for it, "close" or "drop"), `limit` (conn, the name of the
 * limit that it has come to).
 */
class Server extends EventEmitter {
  /**
   * @param {object} opts - Engine.IO's options, and `workers`: the number of native threads (1 to 31)
   * @throws {TypeError} when `workers` is not such a number, `maxOutboundBuffer` not a positive one, or when what has to be a
   *   number is none
   */
  constructor(opts = {}) {
    super();
    this.middlewares = [];
    this.clients = {};
    this.clientsCount = 0;
    this.opts = Object.assign({}, DEFAULTS, opts);
    if (opts.cookie) this.opts.cookie = Object.assign({}, COOKIE_DEFAULTS, opts.cookie);
    if (opts.perMessageDeflate) {
      this.opts.perMessageDeflate = Object.assign({ threshold: DEFLATE_THRESHOLD }, opts.perMessageDeflate);
    }
    /** The middleware of the option `cors`, if it shows the application no requests. */
    this._plainCors = undefined;
    const { cors } = this.opts;
    if (cors) {
      this.use(require("cors")(cors));
      if (typeof cors !== "function" && typeof cors.origin !== "function")
        this._plainCors = this.middlewares[0];
    }
    this.opts.nativeTls ??= DEFAULTS.nativeTls;
    for (const name of NUMBERS) this.opts[name] = numberOf(this.opts, name);
    const { pingInterval, pingTimeout, upgradeTimeout, maxHttpBufferSize } = this.opts;
    const limits = JSON.stringify({ pingInterval, pingTimeout, maxPayload: maxHttpBufferSize });
    const workers = workersOf(this.opts);
    const outbound = outboundOptions(this.opts);
    /** What clients may do, at the most. */
    this._limits = limitsOf(this.opts.limits ?? undefined, !!opts.parsePackets);
    const gate = gateOptions(this._limits);
    const time = "a positive number of milliseconds";
    const maxSessionAge = boundOf(this.opts, "maxSessionAge", time);
    const maxIdleTime = boundOf(this.opts, "maxIdleTime", time);
    this._bridge = new Bridge(this, {
      workers,
      pingInterval,
      pingTimeout,
      upgradeTimeout,
      // for WebSockets, 0 is no limit
      maxPayload: maxHttpBufferSize || Infinity,
      limits: limits.slice(1, -1),
      parsePackets: !!opts.parsePackets,
      ...outbound,
      ...rateOptions(this._limits),
      maxSessionAge,
      idleTimeout: maxIdleTime,
      deflate: deflateSettings(this.opts.perMessageDeflate),
      gate,
    });
    /** Who decides whether there may be another session, if anything is against that. */
    this._gate = gate === undefined ? undefined : new Gate(this);
    this._isClosed = false;
    /** Whether new sessions are refused, because the server is going to be closed. */
    this._isDraining = false;
    /** Whether HTTP servers that it was attached to go on without it. */
    this._isDetached = false;
    this._counts = new SessionCounts();
    /** What has happened to each connection, if somebody wants to know. */
    this._traces = this.opts.trace ? new Traces(this.opts.trace) : undefined;
    /** By which clients poll past their HTTP servers. */
    this._road = new Road(this);
    this._areAnswersShown = false;
    /** Where connections come in before their HTTP servers have them. */
    this._entrances = [];
    /** All HTTP servers that it is attached to. */
    this._httpServers = [];
    /** How many connections were pumped through JavaScript, by what that was because of. */
    this._pumped = {};
    this.ws = undefined;
    this.init();
    /** How many sessions there are of which somebody listens to what they send. */
    this._watchedConns = 0;
    /** Those that hold packets back until the ones before have left, because somebody listens to that. */
    this._holding = new Set();
    /** Bytes of these from which on they are a worker's to judge. */
    this._holdLimit = Math.min(outbound.maxOutbound, outbound.slowBytes, outbound.maxOutboundTotal);
  }

  /**
   * Makes `ws`, which stands for the WebSockets of the engine.
   * @protected
   */
  init() {
    if (!this.opts.transports.includes("websocket")) return;
    this.ws?.close();
    this.ws = createWebSocketServer(this.opts, handshake.announceHeaders.bind(undefined, this));
  }

  /**
   * The path that requests must begin with.
   * @protected
   */
  _computePath(options) {
    const path = (options.path || "/engine.io").replace(/\/$/, "");
    return options.addTrailingSlash === false ? path : path + "/";
  }

  /**
   * The transports that a client of the given transport may upgrade to.
   * @param {string} transport
   * @returns {string[]}
   */
  upgrades(transport) {
    const { allowUpgrades, transports } = this.opts;
    if (!allowUpgrades || transport !== "polling") return [];
    return Polling.upgradesTo.filter((name) => transports.includes(name));
  }

  /**
   * Adds a middleware that sees every request of Engine.IO, upgrades included.
   * @param {function(IncomingMessage, ServerResponse, function(Error=))} fn
   */
  use(fn) {
    this.middlewares.push(fn);
    this._road?.check();
  }

  /**
   * Makes the id of a new session; may be replaced, also by a function that returns a promise.
   * @param {IncomingMessage} _req
   * @returns {string|Promise<string>} an id that nobody can guess
   */
  generateId(_req) {
    return makeId();
  }

  /**
   * Who speaks TLS with the clients of the servers that this is attached to.
   * @returns {{ native: number, node: Object<string, number>, obstacle: string|undefined }} how many connections the workers
   *   have had so far; how many were left to Node, by what that was because of; and why all of them are now, if they are
   */
  tlsRoads() {
    const keepers = this._road.keepers.filter(({ tls }) => tls !== undefined);
    const node = {};
    let native = 0;
    for (const { tlsRoads } of keepers) {
      native += tlsRoads.native;
      for (const why in tlsRoads.node) node[why] = (node[why] ?? 0) + tlsRoads.node[why];
    }
    // of whom nobody here has heard
    if (this._gate !== undefined) native += this._gate.refused().secure;
    const obstacle = this.opts.nativeTls
      ? keepers.map(({ tls }) => tls.why()).find((why) => why !== undefined)
      : "the option nativeTls turns it off";
    return { native, node, obstacle };
  }

  /**
   * What was counted since this was made, and how things are now: see `EngineMetrics` in types/metrics.d.ts.
   * @returns {object}
   */
  metrics() {
    return metricsOf(this);
  }

  /**
   * Handles a request that is Engine.IO's.
   * @param {IncomingMessage} req
   * @param {ServerResponse} res
   */
  handleRequest(req, res) {
    handshake.handleRequest(this, req, res);
  }

  /**
   * Handles an upgrade request that is Engine.IO's.
   * @param {IncomingMessage} req
   * @param {Duplex} socket
   * @param {Buffer} head - what came behind the request
   */
  handleUpgrade(req, socket, head) {
    handleUpgrade(this, req, socket, head);
  }

  /**
   * Makes a WebSocket that `ws.handleUpgrade()` has made the WebSocket of a session.
   * @param {IncomingMessage} req - the upgrade request
   * @param {Duplex} socket
   * @param {WebSocket} websocket
   */
  onWebSocket(req, socket, websocket) {
    onWebSocket(this, req, socket, websocket);
  }

  /**
   * Takes a WebTransport session that an HTTP/3 server has accepted. Middlewares see requests, of which there is none
   * here: while there is any, the session is closed.
   * @param {object} session
   * @returns {Promise<void>} fulfilled when it has been decided what becomes of the session
   */
  onWebTransportSession(session) {
    return acceptSession(this, session);
  }

  /**
   * Takes the requests of an HTTP server that are Engine.IO's; its other listeners go on getting the rest.
   * @param {http.Server} server
   * @param {object} options - path, addTrailingSlash, destroyUpgrade, destroyUpgradeTimeout (milliseconds)
   */
  attach(server, options = {}) {
    const path = this._computePath(options);
    this._httpServers.push(server);
    if (attachments.hasSubscribers) attachments.publish({ engine: this, httpServer: server, path });
    const others = server.listeners("request").slice();
    server.removeAllListeners("request");
    server.on("close", this.close.bind(this));
    server.on("listening", () => {
      if (this._isDetached) return;
      if (this.opts.wsEngine) this.init();
      else this.ws?._reopen?.();
    });
    const onRequest = (req, res) => {
      const isOurs = !this._isDetached && req.url.startsWith(path);
      onRequest[kArrivals]?.onServed(req, res, isOurs);
      if (isOurs) {
        debug('intercepting request for path "%s"', path);
        this.handleRequest(req, res);
      } else {
        for (const listener of others) listener.call(server, req, res);
      }
    };
    onRequest[kEngine] = this;
    server.on("request", onRequest);
    if (!this.opts.transports.includes("websocket")) return;
    const onUpgrade = (req, socket, head) => {
      if (req.url.startsWith(path)) {
        if (!isShown(req)) this.handleUpgrade(req, socket, head);
      } else if (options.destroyUpgrade !== false) {
        // Node leaves an upgrade alone once there is a listener, so somebody has to end those that nobody takes, and to
        // hear of their errors until then
        socket.on("error", noop);
        setTimeout(endUnanswered, options.destroyUpgradeTimeout || 1000, socket);
      }
    };
    onUpgrade[kEngine] = this;
    server.on("upgrade", onUpgrade);
    // now that it is as the first connection will find it: it may listen already
    const entrance = watchArrivals(this, server, path);
    if (entrance === undefined) return;
    this._entrances.push(entrance);
    onRequest[kArrivals] = entrance.keeper;
  }

  /**
   * Closes all sessions.
   * @returns {Server}
   */
  close() {
    debug("closing all open clients");
    for (const sid of Object.keys(this.clients)) this.clients[sid].close(true);
    this.ws?.close();
    this._isClosed = true;
    this._gate?.close();
    this._onRest();
    return this;
  }

  /**
   * What has happened to the connections that have ended last, with the option `trace`.
   * @returns {{ address: string, steps: object[] }[]} the last one first; see `Step` in trace.js
   */
  traces() {
    return this._traces?.ended() ?? [];
  }

  /** Keeps what happens to connections from now on, as with the option `trace`. @private */
  _startTraces() {
    this._traces ??= new Traces(true);
  }

  /** Refuses new sessions from now on: those that there are go on. @private */
  _refuseSessions() {
    this._isDraining = true;
    this._road.check();
  }

  /** Leaves the HTTP servers to their other listeners. @private */
  _detach() {
    this._isDetached = true;
    for (const server of this._httpServers) {
      for (const listener of server.listeners("upgrade")) {
        if (listener[kEngine] === this) server.removeListener("upgrade", listener);
      }
    }
  }

  /** Whether somebody listens to every single message that is sent. @private */
  _isWatched() {
    const events = this._events;
    if (this._watchedConns !== 0 || events.flush !== undefined || events.drain !== undefined) return true;
    // what has been held back for those who listened comes before what is not any more
    if (this._holding.size !== 0) for (const conn of this._holding) conn._release();
    return false;
  }

  /** The message that follows the handshake of a session at once: a string or a Buffer, if there is one. @private */
  _initialMessage() {
    const { initialPacket } = this.opts;
    if (!initialPacket) return undefined;
    if (initialPacket instanceof ArrayBuffer) return Buffer.from(initialPacket);
    if (!ArrayBuffer.isView(initialPacket)) return String(initialPacket);
    return Buffer.from(initialPacket.buffer, initialPacket.byteOffset, initialPacket.byteLength);
  }

  /** Whether the application gets to see the answers to requests of clients that poll. @private */
  _showsAnswers() {
    return (
      this._areAnswersShown ||
      this.handleRequest !== handleRequest ||
      this.listenerCount("headers") !== 0 ||
      this.listenerCount("initial_headers") !== 0
    );
  }

  /** Whether upgrade requests are handled by the application, or their answers are as a whole. @private */
  _handsUpgradesOver() {
    return this.handleUpgrade !== handleUpgradeRequest || this.ws.listenerCount("headers") !== 0;
  }

  /** Whether the application gets to see all requests of a session. @private */
  _showsAllRequests() {
    const { middlewares } = this;
    return (
      middlewares.length > 1 ||
      middlewares[0] !== this._plainCors ||
      this.prepare !== handshake.prepareRequest
    );
  }

  /** Somebody listens for the headers of answers. @private */
  _showAnswers() {
    this._areAnswersShown = true;
    this._road.check();
  }

  /** Listeners have come or gone. @private */
  _onListeners() {
    this._road?.check();
  }

  /** Whether the application gets to see requests for new sessions, or for WebSockets. @private */
  _showsRequests() {
    return (
      this._showsAllRequests() ||
      this._handsUpgradesOver() ||
      Boolean(this.opts.allowRequest) ||
      this.listenerCount("headers") !== 0 ||
      this.listenerCount("initial_headers") !== 0 ||
      this.generateId !== generateId
    );
  }

  /**
   * Which ways the connections take at present, and why a shorter one is off: for tests, and for whoever looks into what
   * is slow. What there is to say of single connections is told by `debug`, as "sockeye:roads".
   * @private
   * @returns {{ off: object, entrances: number, streams: object, polling: number, servers: object[], pumped: object, shows: boolean,
   *   watched: boolean,
   *   gate: object|undefined }} `off`: reasons by the names of roads, see lib/node/internals.js; `entrances`: HTTP servers whose
   *   connections are looked at before they have them; `streams`: how many there are, by the names of their classes;
   *   `servers`: of each HTTP server, why clients over WebSockets, and those that poll, come to it, if they do; `pumped`:
   *   reasons, and how often they held; `shows`: whether the application sees requests; `watched`: whether it sees every message;
   *   `gate`: why workers do not refuse clients by themselves, and how many they have, by the names of limits, if there are any
   */
  _roads() {
    const reasons = Object.entries(closedRoads()).filter(([, why]) => why !== undefined);
    const streams = {};
    for (const stream of this._bridge.streams.items) {
      if (stream === undefined) continue;
      const { name } = stream.constructor;
      streams[name] = (streams[name] ?? 0) + 1;
    }
    return {
      off: Object.fromEntries(reasons),
      entrances: this._entrances.filter(({ isWatched }) => isWatched).length,
      streams,
      polling: Object.values(this.clients).filter(({ transport }) => transport.name === "polling").length,
      servers: this._httpServers.map((httpServer) => this._obstaclesAt(httpServer)),
      pumped: { ...this._pumped },
      shows: this.ws !== undefined && this._showsRequests(),
      watched: this._isWatched(),
      gate: this._gate && { why: this._gate.whyLeft(), refused: this._gate.refused().limits },
    };
  }

  /** @private */
  _obstaclesAt(httpServer) {
    const keeper = this._road.keepers.find((it) => it.httpServer === httpServer);
    if (keeper !== undefined) return { websocket: keeper.obstacle(), polling: keeper.pollingObstacle() };
    const why = whyUnwatched(this, httpServer);
    return { websocket: why, polling: why };
  }

  /** Registers a connection under a free number, on the worker of a stream if it has one. @private */
  _register(conn, stream) {
    this._isClosed = false;
    const id = this._bridge.conns.add(conn, stream);
    this.clients[conn.id] = conn;
    this.clientsCount++;
    return id;
  }

  /** @private */
  _unregister(conn) {
    // another session may have been given the same id by a generateId() of the application
    if (this.clients[conn.id] === conn) delete this.clients[conn.id];
    this.clientsCount--;
    this._gate?.leave(conn);
  }

  /** More waits for a client than is allowed: it is given up, or events are dropped for it from now on. @private */
  _onSlowConsumer(conn, bytes, isKept) {
    if (!isKept) this._counts.slowConsumers++;
    const outcome = isKept ? "drop" : "close";
    this._traces?.note(conn, "slow consumer", { bytes, outcome });
    if (slowConsumers.hasSubscribers) slowConsumers.publish({ engine: this, conn, bytes, outcome });
    this.emit("slow_consumer", conn, bytes, outcome);
  }

  /** A session has come to a limit. @private */
  _onLimit(conn, limit) {
    this._counts.limits.add(limit);
    this._traces?.note(conn, "limit", { limit });
    if (limitsReached.hasSubscribers) limitsReached.publish({ engine: this, conn, limit });
    this.emit("limit", conn, limit);
  }

  /** Ends the threads of a closed server when the last client has hung up. A new client starts them again. @private */
  _onRest() {
    if (this._isClosed && this._bridge.isIdle) this._bridge.native.stop();
  }
}

const { generateId, handleRequest, handleUpgrade: handleUpgradeRequest } = Server.prototype;

// also an EventEmitter, which tells of its listeners
Object.setPrototypeOf(Server.prototype, Listened);

/** What answers an upgrade request with a given Sec-WebSocket-Key (RFC 6455 section 4.2.2). */
Server.prototype._switchingProtocols = switchingProtocols;

/** Gets a request ready to be looked at: parses its query. */
Server.prototype.prepare = handshake.prepareRequest;

Server.errors = handshake.errors;
Server.errorMessages = handshake.errorMessages;

/** Ends an upgrade that nobody has answered. */
function endUnanswered(socket) {
  if (socket.writable && socket.bytesWritten <= 0) {
    socket.end();
  }
}

function noop() {}

/**
 * Makes an engine for an HTTP server.
 * @param {http.Server} server
 * @param {object} options - see `Server` and `Server.attach`
 * @returns {Server}
 */
function attach(server, options) {
  const engine = new Server(options);
  engine.attach(server, options);
  return engine;
}

/**
 * Makes an engine with an HTTP server of its own, which answers everything else with 501.
 * @param {number} port
 * @param {object} options - see `Server`
 * @param {function()} callback - called when the HTTP server listens
 * @returns {Server} with the HTTP server as `httpServer`
 */
function listen(port, options, callback) {
  if (typeof options === "function") {
    callback = options;
    options = {};
  }
  const server = createServer((_req, res) => {
    res.writeHead(501);
    res.end("Not Implemented");
  });
  const engine = attach(server, options);
  engine.httpServer = server;
  server.listen(port, callback);
  return engine;
}

module.exports = { Server, attach, listen };
