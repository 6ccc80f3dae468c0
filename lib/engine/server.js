"use strict";

const { EventEmitter } = require("events");
const { createServer } = require("http");
const os = require("os");
const createDebug = require("debug");
const { NativeEngine, drainCapacity, switchingProtocols } = require("../../binding.js");
const { watchArrivals } = require("./arrival");
const { Commands } = require("../native/commands");
const events = require("../native/event-queue");
const handshake = require("./handshake");
const { Polling } = require("./transports/polling");
const { generateId: makeId } = require("./random-id");
const { handleUpgrade, onWebSocket } = require("./upgrade");
const { kEngine } = require("../node/takeover");
const { acceptSession } = require("./transports/webtransport");
const { createWebSocketServer } = require("./transports/ws-engine");

const debug = createDebug("engine");

// taken before anybody can replace them by fake timers: the process's life hangs on one, and turns on the other
const { setImmediate, setInterval, clearInterval } = require("timers");

const DEFAULTS = {
  pingTimeout: 20000,
  pingInterval: 25000,
  upgradeTimeout: 10000,
  maxHttpBufferSize: 1e6,
  maxOutboundBuffer: Infinity,
  transports: ["polling", "websocket"],
  allowUpgrades: true,
  httpCompression: { threshold: 1024 },
  cors: false,
  allowEIO3: false,
};

const COOKIE_DEFAULTS = { name: "io", path: "/", httpOnly: true, sameSite: "lax" };

/** Kinds of events; the layout of each is described where it is written, in src/worker/event.rs. */
const PACKET = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSED = 3;
const RELEASED = 4;
const POLL_ANSWER = 5;
const POST_DONE = 6;
const CONTROL = 7;
const UPGRADING = 8;
const UPGRADED = 9;
const UPGRADE_FAILED = 10;
const PIPE_WRITE = 11;
const PIPE_END = 12;
const SENT = 13;
const CHECK_ALIVE = 14;
const POLL_ANSWER_BINARY = 16;
const SLOW_CONSUMER = 17;
const ARRIVED = 18;

const NO_ID = 0xffffffff;

/** Words that one turn of the event loop takes at the most, so that other things get their turn. */
const WORDS_PER_TURN = 8192;

/** Bytes of events that may wait for JavaScript before the workers stop reading sockets. */
const MAX_BACKLOG = 8 * 1024 * 1024;

/**
 * Turns of the event loop after which whatever had arrived from a client has been handed over: its connection is
 * accepted in one, its request read in the next, and the engine may have been woken before either.
 */
const TURNS_TO_ARRIVE = 4;

const LONGEST_TIMER = 2 ** 31 - 1;

/** Bytes from which on a message is compressed, if nothing else is said. */
const DEFLATE_THRESHOLD = 1024;

/** The options that have to be numbers: milliseconds, and bytes. */
const NUMBERS = ["pingInterval", "pingTimeout", "upgradeTimeout", "maxHttpBufferSize"];

/** The value of such an option: environment variables are text, and what is not given may be given as undefined. */
function numberOf(opts, name) {
  const value = Number(opts[name] ?? DEFAULTS[name]);
  if (Number.isNaN(value)) throw new TypeError(`the "${name}" option must be a number`);
  return value;
}

/** What of the option `perMessageDeflate` holds for all connections. */
function deflateSettings(options) {
  if (!options) return undefined;
  const level = options.zlibDeflateOptions?.level;
  return { level: level >= 0 ? level : undefined, threshold: options.threshold };
}

/** One worker for each core that the JavaScript thread leaves, at least one, at most four. */
function defaultWorkers() {
  return Math.min(4, Math.max(1, os.availableParallelism() - 1));
}

/**
 * An Engine.IO server whose sessions live in native worker threads.
 *
 * Emits `connection` (a `Conn`), `connection_error` ({ req, code, message, context }), `initial_headers` and `headers`
 * (headers, request), `flush` and `drain` (conn), `slow_consumer` (conn, bytes that wait for it).
 */
class Server extends EventEmitter {
  /**
   * @param opts {object} Engine.IO's options, and `workers`: the number of native threads (1 to 31)
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
    for (const name of NUMBERS) this.opts[name] = numberOf(this.opts, name);
    const { pingInterval, pingTimeout, upgradeTimeout, maxHttpBufferSize } = this.opts;
    const limits = JSON.stringify({ pingInterval, pingTimeout, maxPayload: maxHttpBufferSize });
    const workers = this.opts.workers ?? defaultWorkers();
    if (!Number.isInteger(workers) || workers < 1 || workers > 31) {
      throw new TypeError('the "workers" option must be an integer from 1 to 31');
    }
    const maxOutbound = this.opts.maxOutboundBuffer ?? Infinity;
    if (!(maxOutbound > 0)) {
      throw new TypeError('the "maxOutboundBuffer" option must be a positive number');
    }
    this._native = new NativeEngine(
      {
        workers,
        pingInterval,
        pingTimeout,
        upgradeTimeout,
        // for WebSockets, 0 is no limit
        maxPayload: maxHttpBufferSize || Infinity,
        limits: limits.slice(1, -1),
        parsePackets: !!opts.parsePackets,
        maxBacklog: MAX_BACKLOG,
        maxOutbound,
        deflate: deflateSettings(this.opts.perMessageDeflate),
      },
      wake.bind(undefined, new WeakRef(this)),
    );
    this._commands = new Commands(this._native, workers);
    this._conns = new Slots(workers);
    this._streams = new Slots(workers);
    this._keepAlive = undefined;
    this._isClosed = false;
    this.ws = undefined;
    this.init();
    /** Whether anybody has ever listened to what one session sends. */
    this._hasPacketListeners = false;
    this._batch = new Batch();
    this._drain = drain.bind(undefined, this);
    this._pausedPipes = new Set();
    this._resumePipes = resumePipes.bind(undefined, this);
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
   * @param transport {string}
   * @returns {string[]}
   */
  upgrades(transport) {
    const { allowUpgrades, transports } = this.opts;
    if (!allowUpgrades || transport !== "polling") return [];
    return Polling.upgradesTo.filter((name) => transports.includes(name));
  }

  /**
   * Adds a middleware that sees every request of Engine.IO, upgrades included.
   * @param fn {function(IncomingMessage, ServerResponse, function(Error=))}
   */
  use(fn) {
    this.middlewares.push(fn);
  }

  /**
   * Makes the id of a new session; may be replaced, also by a function that returns a promise.
   * @param _req {IncomingMessage}
   * @returns {string|Promise<string>} an id that nobody can guess
   */
  generateId(_req) {
    return makeId();
  }

  /**
   * Handles a request that is Engine.IO's.
   * @param req {IncomingMessage}
   * @param res {ServerResponse}
   */
  handleRequest(req, res) {
    handshake.handleRequest(this, req, res);
  }

  /**
   * Handles an upgrade request that is Engine.IO's.
   * @param req {IncomingMessage}
   * @param socket {Duplex}
   * @param head {Buffer} what came behind the request
   */
  handleUpgrade(req, socket, head) {
    handleUpgrade(this, req, socket, head);
  }

  /**
   * Makes a WebSocket that `ws.handleUpgrade()` has made the WebSocket of a session.
   * @param req {IncomingMessage} the upgrade request
   * @param socket {Duplex}
   * @param websocket {WebSocket}
   */
  onWebSocket(req, socket, websocket) {
    onWebSocket(this, req, socket, websocket);
  }

  /**
   * Takes a WebTransport session that an HTTP/3 server has accepted. Middlewares see requests, of which there is none
   * here: while there is any, the session is closed.
   * @param session {object}
   * @returns {Promise<void>} fulfilled when it has been decided what becomes of the session
   */
  onWebTransportSession(session) {
    return acceptSession(this, session);
  }

  /**
   * Takes the requests of an HTTP server that are Engine.IO's; its other listeners go on getting the rest.
   * @param server {http.Server}
   * @param options {object} path, addTrailingSlash, destroyUpgrade, destroyUpgradeTimeout (milliseconds)
   */
  attach(server, options = {}) {
    const path = this._computePath(options);
    const others = server.listeners("request").slice();
    server.removeAllListeners("request");
    server.on("close", this.close.bind(this));
    server.on("listening", () => (this.opts.wsEngine ? this.init() : this.ws?._reopen?.()));
    server.on("request", (req, res) => {
      if (req.url.startsWith(path)) {
        debug('intercepting request for path "%s"', path);
        this.handleRequest(req, res);
      } else {
        for (const listener of others) listener.call(server, req, res);
      }
    });
    if (!this.opts.transports.includes("websocket")) return;
    if (!this.opts.wsEngine) watchArrivals(this, server, path);
    const onUpgrade = (req, socket, head) => {
      if (req.url.startsWith(path)) {
        this.handleUpgrade(req, socket, head);
      } else if (options.destroyUpgrade !== false) {
        // Node leaves an upgrade alone once there is a listener, so somebody has to end those that nobody takes, and to
        // hear of their errors until then
        socket.on("error", noop);
        setTimeout(endUnanswered, options.destroyUpgradeTimeout || 1000, socket);
      }
    };
    onUpgrade[kEngine] = this;
    server.on("upgrade", onUpgrade);
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
    this._restIfClosed();
    return this;
  }

  /** Whether somebody listens to every single message that is sent. @private */
  _isWatched() {
    const events = this._events;
    return this._hasPacketListeners || events.flush !== undefined || events.drain !== undefined;
  }

  /** The message that follows the handshake of a session at once: a string or a Buffer, if there is one. @private */
  _initialMessage() {
    const { initialPacket } = this.opts;
    if (!initialPacket) return undefined;
    if (initialPacket instanceof ArrayBuffer) return Buffer.from(initialPacket);
    if (!ArrayBuffer.isView(initialPacket)) return String(initialPacket);
    return Buffer.from(initialPacket.buffer, initialPacket.byteOffset, initialPacket.byteLength);
  }

  /** Whether the application gets to see the requests of WebSockets. @private */
  _showsRequests() {
    const { _events: events, middlewares, opts } = this;
    return (
      middlewares.length > 1 ||
      middlewares[0] !== this._plainCors ||
      opts.allowRequest !== undefined ||
      events.headers !== undefined ||
      events.initial_headers !== undefined ||
      this.ws.listenerCount("headers") !== 0 ||
      this.generateId !== generateId ||
      this.handleUpgrade !== handleUpgradeRequest ||
      this.prepare !== handshake.prepareRequest
    );
  }

  /** Registers a connection under a free number, on the worker of a stream if it has one. @private */
  _register(conn, stream) {
    this._isClosed = false;
    const id = this._conns.add(conn, stream);
    this.clients[conn.id] = conn;
    this.clientsCount++;
    return id;
  }

  /** @private */
  _unregister(conn) {
    // another session may have been given the same id by a generateId() of the application
    if (this.clients[conn.id] === conn) delete this.clients[conn.id];
    this.clientsCount--;
  }

  /** Registers a byte stream on the worker of a connection. While there are any, the process lives. @private */
  _registerStream(owner, conn) {
    if (this._keepAlive === undefined) {
      this._keepAlive = setInterval(noop, LONGEST_TIMER);
      remember(this);
    }
    return this._streams.add(owner, conn);
  }

  /** @private */
  _releaseStream(id) {
    this._streams.remove(id);
    if (this._streams.size === 0) {
      clearInterval(this._keepAlive);
      this._keepAlive = undefined;
      forget(this);
      this._restIfClosed();
    }
  }

  /** Lets a pipe rest until this side has caught up with what was read. @private */
  _pausePipe(pipe) {
    if (this._pausedPipes.size === 0) setImmediate(this._resumePipes);
    this._pausedPipes.add(pipe);
    pipe.pause();
  }

  /** Ends the threads of a closed server when the last client has hung up. A new client starts them again. @private */
  _restIfClosed() {
    if (this._isClosed && this._conns.size === 0 && this._streams.size === 0) this._native.stop();
  }
}

const { generateId, handleUpgrade: handleUpgradeRequest } = Server.prototype;

/** What answers an upgrade request with a given Sec-WebSocket-Key (RFC 6455 section 4.2.2). */
Server.prototype._switchingProtocols = switchingProtocols;

/** Gets a request ready to be looked at: parses its query. */
Server.prototype.prepare = handshake.prepareRequest;

Server.errors = handshake.errors;
Server.errorMessages = handshake.errorMessages;

/** The servers that have streams. */
const connected = new Set();

/** Milliseconds that the end of the process may be delayed so that what was sent before leaves. */
const SETTLE_TIMEOUT = 200;

// The process listens to this copy of the module only while it has something to do: there may be many copies.

function remember(server) {
  if (connected.size === 0) process.on("exit", settle);
  connected.add(server);
}

function forget(server) {
  connected.delete(server);
  if (connected.size === 0) process.removeListener("exit", settle);
}

function settle() {
  for (const server of connected) {
    server._commands.flush();
    server._native.settle(SETTLE_TIMEOUT);
  }
}

/** Objects by dense numbers; `number % lanes` is the lane (the worker) that the number belongs to. */
class Slots {
  constructor(lanes) {
    this.lanes = lanes;
    this.items = [];
    this.free = Array.from({ length: lanes }, () => []);
    this.next = Array.from({ length: lanes }, (_, lane) => lane);
    this.lane = 0;
    this.size = 0;
  }

  /** Stores an item, in the lane of the number `beside` if there is one, and returns its number. */
  add(item, beside) {
    const lane = beside === undefined ? (this.lane = (this.lane + 1) % this.lanes) : beside % this.lanes;
    let id = this.free[lane].pop();
    if (id === undefined) {
      id = this.next[lane];
      this.next[lane] += this.lanes;
    }
    while (this.items.length <= id) this.items.push(undefined);
    this.items[id] = item;
    this.size++;
    return id;
  }

  /** Forgets an item. `reusable`: whether its number may be given to another. */
  remove(id, reusable = true) {
    this.items[id] = undefined;
    if (reusable) this.free[id % this.lanes].push(id);
    this.size--;
  }
}

/** The batch of events that is being worked through, and how far that has come. */
class Batch {
  constructor() {
    this.words = new Uint32Array(drainCapacity());
    this.bytes = Buffer.from(this.words.buffer);
    this.text = "";
    this.buffers = undefined;
    /** The connection whose packets are being handled. */
    this.subject = -1;
    this.at = 0;
    this.end = 0;
    this.textAt = 0;
    this.bufferAt = 0;
  }

  /** Fetches the next batch. @returns {boolean} whether there was one */
  fetch(native) {
    this.text = native.drain(this.bytes);
    this.at = 2;
    this.end = 2 + this.words[0];
    this.textAt = 0;
    this.bufferAt = 0;
    if (this.words[0] === 0) return false;
    this.buffers = this.words[1] === 0 ? undefined : native.takeBuffers();
    return true;
  }

  takeText(length) {
    const from = this.textAt;
    this.textAt = from + length;
    return this.text.slice(from, this.textAt);
  }

  takeBuffer() {
    return this.buffers[this.bufferAt++];
  }
}

/**
 * Called when events begin to wait. A tick of its own lets exceptions of listeners take Node's usual way. The engine is
 * not held by what it hands out for this: if nobody else holds it, nobody waits for events.
 */
function wake(ref) {
  const server = ref.deref();
  if (server !== undefined) process.nextTick(server._drain);
}

/**
 * Works through the events that wait. A listener that throws ends this call, as it would end the callback of a
 * socket; the rest of the batch is delivered in another tick.
 */
function drain(server) {
  const { _commands: commands } = server;
  let completed = false;
  commands.held = true;
  try {
    events.runBatch(workThrough, server);
    completed = true;
  } finally {
    commands.held = false;
    commands.flush();
    if (!completed) process.nextTick(server._drain);
  }
}

function workThrough(server) {
  const { _native: native, _batch: batch } = server;
  let budget = WORDS_PER_TURN;
  for (;;) {
    while (batch.at < batch.end) dispatch(server, batch);
    events.flush();
    batch.subject = -1;
    if (budget <= 0) {
      setImmediate(server._drain);
      return;
    }
    if (!batch.fetch(native)) return;
    budget -= batch.words[0];
  }
}

/** Handles the next event of a batch. The batch has moved on before any listener of that event is called. */
function dispatch(server, batch) {
  const { words, at } = batch;
  const first = words[at];
  const subject = words[at + 1];
  const kind = first & 0xff;
  if (kind <= CLOSED && (subject !== batch.subject || kind === CLOSED)) {
    // as if each client's packets had been read from its socket by JavaScript: see event-queue.js
    events.flush();
    batch.subject = subject;
  }
  switch (kind) {
    case PACKET: {
      batch.at = at + 5;
      const start = batch.textAt;
      const end = start + words[at + 3];
      batch.textAt = end;
      const conn = server._conns.items[subject];
      if (conn !== undefined) {
        const id = words[at + 2];
        const namespaceLength = first >>> 16;
        conn._onPacket(
          batch.text,
          start,
          end,
          start + words[at + 4],
          (first >>> 8) & 0xff,
          namespaceLength === 0 ? "/" : batch.text.slice(start + 1, start + 1 + namespaceLength),
          id === NO_ID ? -1 : id,
        );
      }
      break;
    }
    case TEXT: {
      batch.at = at + 3;
      const text = batch.takeText(words[at + 2]);
      server._conns.items[subject]?._onMessage(text);
      break;
    }
    case BINARY: {
      batch.at = at + 2;
      const data = batch.takeBuffer();
      server._conns.items[subject]?._onMessage(data);
      break;
    }
    case CLOSED: {
      batch.at = at + 4;
      const reason = batch.takeText(words[at + 2]);
      const description = batch.takeText(words[at + 3]);
      const conn = server._conns.items[subject];
      try {
        conn._onNativeClose(reason, description);
      } finally {
        conn._polling?.settle();
        server._conns.remove(subject, conn._isLeft);
        server._restIfClosed();
      }
      break;
    }
    case RELEASED: {
      batch.at = at + 2;
      const stream = server._streams.items[subject];
      server._releaseStream(subject);
      stream.onReleased();
      break;
    }
    case POLL_ANSWER: {
      batch.at = at + 3;
      const payload = batch.takeText(words[at + 2]);
      server._conns.items[subject]._polling?.answer(payload, (first & 0xff00) !== 0);
      break;
    }
    case POLL_ANSWER_BINARY: {
      batch.at = at + 2;
      const payload = batch.takeBuffer();
      server._conns.items[subject]._polling?.answer(payload, (first & 0xff00) !== 0);
      break;
    }
    case POST_DONE:
      batch.at = at + 2;
      server._conns.items[subject]._polling?.onPosted();
      break;
    case CONTROL: {
      batch.at = at + 3;
      const data = batch.takeText(words[at + 2]);
      const type = String.fromCharCode((first >>> 8) & 0xff);
      server._conns.items[subject]?._onControl(type, data, first >>> 16 !== 0);
      break;
    }
    case UPGRADING:
      batch.at = at + 2;
      server._conns.items[subject]._onUpgrading();
      break;
    case UPGRADED:
      batch.at = at + 2;
      server._conns.items[subject]._onUpgraded();
      break;
    case UPGRADE_FAILED:
      batch.at = at + 2;
      server._conns.items[subject]._onUpgradeFailed();
      break;
    case PIPE_WRITE: {
      batch.at = at + 2;
      const data = batch.takeBuffer();
      server._streams.items[subject].write(data);
      break;
    }
    case PIPE_END:
      batch.at = at + 2;
      server._streams.items[subject].end();
      break;
    case SENT:
      batch.at = at + 2;
      server._conns.items[subject]._onSent();
      break;
    case CHECK_ALIVE:
      batch.at = at + 2;
      afterTurns(TURNS_TO_ARRIVE, () => server._commands.alive(subject));
      break;
    case SLOW_CONSUMER:
      batch.at = at + 3;
      server.emit("slow_consumer", server._conns.items[subject], words[at + 2]);
      break;
    case ARRIVED: {
      batch.at = at + 5;
      events.flush();
      batch.subject = -1;
      const text = detach(batch.takeText(words[at + 4]));
      const ports = words[at + 2];
      const lengths = words[at + 3];
      const offersExtensions = (first & 0xff00) !== 0;
      const arrival = server._streams.items[subject];
      events.callApart(() => arrival.onRequest(text, ports, lengths, offersExtensions));
      break;
    }
    default: {
      batch.at = at + 2;
      process.emitWarning(batch.takeText(subject), "SockeyeWarning");
    }
  }
}

/** A copy of a text in ASCII: V8 would keep the whole text that it is a part of. */
function detach(text) {
  return Buffer.from(text, "latin1").latin1Slice();
}

/** Calls back after some turns of the event loop. */
function afterTurns(count, callback) {
  setImmediate(count === 1 ? callback : afterTurns, count - 1, callback);
}

/** Resumes the pipes that rest, once the worker and the event loop have caught up. */
function resumePipes(server) {
  if (server._native.isBehind()) {
    setImmediate(server._resumePipes);
    return;
  }
  for (const pipe of server._pausedPipes) pipe.resume();
  server._pausedPipes.clear();
}

/** Ends an upgrade that nobody has answered. */
function endUnanswered(socket) {
  if (socket.writable && socket.bytesWritten <= 0) {
    socket.end();
  }
}

function noop() {}

/**
 * Makes an engine for an HTTP server.
 * @param server {http.Server}
 * @param options {object} see `Server` and `Server.attach`
 * @returns {Server}
 */
function attach(server, options) {
  const engine = new Server(options);
  engine.attach(server, options);
  return engine;
}

/**
 * Makes an engine with an HTTP server of its own, which answers everything else with 501.
 * @param port {number}
 * @param options {object} see `Server`
 * @param callback {function()} called when the HTTP server listens
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
