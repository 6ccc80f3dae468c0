"use strict";

const { EventEmitter } = require("node:events");
const { createServer } = require("node:http");
const { inspect } = require("node:util");
const cors = require("cors");
const debug = require("debug")("socket.io:server");
const { Adapter } = require("../adapter/adapter");
const { Client } = require("./client");
const clientBundle = require("./client-bundle");
const { ConnectQueue } = require("./connect-queue");
const { bindings } = require("../engine/channels");
const { Drain } = require("./drain");
const engine = require("../engine/server");
const { makeStatus } = require("../monitoring/status");
const { Namespace } = require("./namespace");
const { SocketCounts, metricsOf } = require("./metrics");
const { kEngine } = require("../engine/observers");
const { replaceable } = require("../engine/replaceable");
const packets = require("./packet");
const { SessionAwareAdapter } = require("../adapter/session-aware-adapter");
const { ParentNamespace } = require("./parent-namespace");
const { StrictEventEmitter } = require("./typed-events");

/**
 * A Socket.IO server. As an event emitter, it stands for its main namespace "/".
 *
 * @example
 * const io = new Server({ cors: { origin: "https://example.com" } });
 *
 * io.on("connection", (socket) => {
 *   socket.emit("hello", "world");
 * });
 * io.listen(3000);
 *
 * @public
 */
class Server extends StrictEventEmitter {
  /**
   * @param {import("node:http").Server|number|object} [srv] - an HTTP server, a port to listen on, or the options
   * @param {object} [opts] - of Socket.IO and of Engine.IO
   */
  constructor(srv, opts = {}) {
    super();
    if (typeof srv === "object" && srv instanceof Object && !srv.listen) {
      opts = srv;
      srv = undefined;
    }
    this._nsps = new Map();
    this._drain = undefined;
    this._drained = undefined;
    /** What holds of the HTTP servers that it is attached to: those that have gone on without us have nothing here any more. */
    this._attachments = new Set();
    /** The engines that connections come from; `engine` is the last one. */
    this._engines = new Set();
    this._counts = new SocketCounts();
    this.parentNsps = new Map();
    /** Those of `parentNsps` that have a regular expression: `of()` can tell which of them a name belongs to. */
    this.parentNamespacesFromRegExp = new Map();
    /** The clients that have not joined a namespace yet. */
    this._connectQueue = new ConnectQueue();

    this.path(opts.path || "/socket.io");
    this.connectTimeout(opts.connectTimeout || 45000);
    this.serveClient(opts.serveClient !== false);
    this._parser = opts.parser || packets;
    this.encoder = new this._parser.Encoder();
    this.opts = opts;
    if (opts.connectionStateRecovery) {
      opts.connectionStateRecovery = {
        maxDisconnectionDuration: 2 * 60 * 1000,
        skipMiddlewares: true,
        ...opts.connectionStateRecovery,
      };
      checkBounds(opts.connectionStateRecovery);
    }
    opts.cleanupEmptyChildNamespaces = !!opts.cleanupEmptyChildNamespaces;
    this.adapter(opts.adapter || (opts.connectionStateRecovery ? SessionAwareAdapter : Adapter));
    /** The main namespace. */
    this.sockets = this.of("/");

    if (srv || typeof srv === "number") {
      this.attach(srv);
    }
    if (opts.cors) {
      this._corsMiddleware = cors(opts.cors);
    }
  }

  /** @private */
  get _opts() {
    return this.opts;
  }

  /** Bytes that may wait for a client that has a rule of its own for that, if the rule does not say it. @private */
  get _outboundLimit() {
    return Number(this._opts.maxOutboundBuffer ?? Infinity);
  }

  /**
   * Gets or sets whether the client is served to browsers.
   *
   * @public
   * @param {boolean} [v]
   * @returns {boolean|this}
   */
  serveClient(v) {
    if (arguments.length === 0) {
      return this._serveClient;
    }
    this._serveClient = v;
    return this;
  }

  /**
   * Gets or sets the path of the requests that are ours.
   *
   * @public
   * @param {string} [v]
   * @returns {string|this}
   */
  path(v) {
    if (arguments.length === 0) {
      return this._path;
    }
    this._path = v.replace(/\/$/, "");
    return this;
  }

  /**
   * Gets or sets how long a client may stay without joining a namespace.
   *
   * @public
   * @param {number} [v] - milliseconds
   * @returns {number|this}
   */
  connectTimeout(v) {
    if (v === undefined) {
      return this._connectTimeout;
    }
    this._connectTimeout = v;
    return this;
  }

  /**
   * Gets or sets the class of the namespaces' adapters; existing namespaces get a new one.
   *
   * @public
   * @param {Function} [v]
   * @returns {Function|this}
   */
  adapter(v) {
    if (arguments.length === 0) {
      return this._adapter;
    }
    this._adapter = v;
    for (const nsp of this._nsps.values()) {
      nsp._initAdapter();
    }
    return this;
  }

  /**
   * Attaches the server to an HTTP server, or to one made for a port.
   *
   * @public
   * @param {import("node:http").Server|number|string} srv - an HTTP(S) or HTTP/2 server, or a port
   * @param {object} [opts] - of Engine.IO; those given to the constructor prevail
   * @returns {this}
   * @throws {Error} if it is given a request handler, such as an Express application
   * @throws {TypeError} if it is given anything else that is neither a server nor a port
   */
  attach(srv, opts = {}) {
    if (typeof srv === "function") {
      throw new Error(
        "You are trying to attach socket.io to an express request handler function. " +
          "Please pass a http.Server instance.",
      );
    }
    if (isPort(srv)) {
      srv = listenOn(Number(srv));
    }
    if (typeof srv?.listeners !== "function") {
      throw new TypeError(`the server must be an HTTP server or a port, not ${inspect(srv, { depth: 0 })}`);
    }
    Object.assign(opts, this.opts);
    opts.path = opts.path || this._path;
    this.initEngine(srv, opts);
    return this;
  }

  /**
   * The same as `attach()`.
   *
   * @public
   * @param {import("node:http").Server|number|string} srv
   * @param {object} [opts]
   * @returns {this}
   */
  listen(srv, opts = {}) {
    return this.attach(srv, opts);
  }

  /**
   * Not needed: uWebSockets.js would replace a transport that is native already.
   *
   * @public
   * @throws {Error} always
   */
  attachApp(_app, _opts = {}) {
    throw new Error(
      "attachApp() is not supported: the sockets of this server are native already, without uWebSockets.js. " +
        "Use attach() or listen() with an http.Server or a port.",
    );
  }

  /** Emits an event of the server itself, past its main namespace. @protected */
  emitReserved(ev, ...args) {
    return super.emit(ev, ...args);
  }

  /** The same. @protected */
  emitUntyped(ev, ...args) {
    return super.emit(ev, ...args);
  }

  /** @private */
  initEngine(srv, opts) {
    debug("creating the engine");
    // a custom parser gets the messages as they are
    this.eio = engine.attach(srv, { ...opts, parsePackets: this._parser === packets });
    if (this._serveClient) {
      this.attachServe(srv);
    }
    // a new engine takes clients
    this._drain = undefined;
    this.httpServer = srv;
    this.bind(this.eio);
  }

  /**
   * Serves the client, in front of the request listeners that are already there.
   *
   * @private
   * @param {import("node:http").Server} srv
   */
  attachServe(srv) {
    const attachment = this._makeAttachment();
    precedeRequests(srv, (req, res) => {
      const isOurs = this._attachments.has(attachment) && req.url.startsWith(this._path);
      const file = isOurs ? this.extractFilename(req.url) : "";
      if (!clientBundle.isClientFile(file)) return false;
      if (this._corsMiddleware) this._corsMiddleware(req, res, () => this.serve(file, req, res));
      else this.serve(file, req, res);
      return true;
    });
  }

  /** @private */
  _makeAttachment() {
    const attachment = {};
    this._attachments.add(attachment);
    return attachment;
  }

  /** @private */
  extractFilename(url) {
    return url.slice(this._path.length + 1).split("?")[0];
  }

  /** @private */
  serve(filename, req, res) {
    clientBundle.serve(filename, req, res, Server.sendFile);
  }

  /**
   * Sends a file of the client. May be replaced by those who keep the files elsewhere.
   *
   * @param {string} filename
   * @param {import("node:http").IncomingMessage} req
   * @param {import("node:http").ServerResponse} res
   */
  static sendFile(filename, req, res) {
    clientBundle.sendFile(filename, req, res);
  }

  /**
   * Takes connections from an engine.
   *
   * @public
   * @param {object} engine - with the interface of Engine.IO's server
   * @returns {this}
   */
  bind(engine) {
    /** What the connections come from. */
    this.engine = engine;
    this._engines.add(engine);
    if (bindings.hasSubscribers) bindings.publish({ io: this, engine });
    engine.on("connection", this.onconnection.bind(this));
    return this;
  }

  /**
   * Called with every new connection.
   *
   * @private
   * @param {object} conn
   * @returns {this}
   */
  onconnection(conn) {
    if (debug.enabled) {
      debug("new connection %s", conn.id);
    }
    const client = new Client(this, conn);
    if (conn.protocol === 3) {
      // the main namespace used to be joined without being asked for
      client.connect("/");
    }
    return this;
  }

  /**
   * Returns a namespace, which is created if need be.
   *
   * @example
   * io.of("/orders").on("connection", (socket) => {});
   * io.of(/^\/room-\d+$/).on("connection", (socket) => console.log(socket.nsp.name));
   *
   * @public
   * @param {string|RegExp|((name: string, auth: object, next: (err: Error|null, allow: boolean) => void) => void)} name -
   *   a name, or what decides which names are namespaces
   * @param {(socket: import("./socket").Socket) => void} [fn] - called with every socket that connects
   * @returns {Namespace}
   * @throws {Error} if the regular expression keeps state between matches
   */
  of(name, fn) {
    if (typeof name === "function" || name instanceof RegExp) {
      return this._createParent(name, fn);
    }
    if (String(name)[0] !== "/") {
      name = "/" + name;
    }
    let nsp = this._nsps.get(name);
    if (nsp === undefined) {
      for (const [regExp, parent] of this.parentNamespacesFromRegExp) {
        if (regExp.test(name)) {
          debug("%s is a child of %s", name, regExp);
          return parent.createChild(name);
        }
      }
      debug("creating namespace %s", name);
      nsp = new Namespace(this, name);
      this._nsps.set(name, nsp);
      if (name !== "/") {
        this.sockets.emitReserved("new_namespace", nsp);
      }
    }
    if (fn) {
      nsp.on("connect", fn);
    }
    return nsp;
  }

  /** @private */
  _createParent(name, fn) {
    if (name instanceof RegExp && (name.global || name.sticky)) {
      throw new Error("stateful regular expressions are not supported");
    }
    const parent = new ParentNamespace(this);
    debug("creating parent namespace %s", parent.name);
    if (name instanceof RegExp) {
      this.parentNsps.set((nsp, auth, next) => next(null, name.test(nsp)), parent);
      this.parentNamespacesFromRegExp.set(name, parent);
    } else {
      this.parentNsps.set(name, parent);
    }
    if (fn) {
      parent.on("connect", fn);
    }
    return parent;
  }

  /**
   * Asks the parent namespaces, one after the other, for one that does not exist.
   *
   * @private
   * @param {string} name
   * @param {object} auth
   * @param {(nsp: Namespace|false) => void} fn
   */
  _checkNamespace(name, auth, fn) {
    const parents = this.parentNsps.entries();
    const askNext = () => {
      const { done, value } = parents.next();
      if (done) {
        fn(false);
        return;
      }
      const [isAllowed, parent] = value;
      isAllowed(name, auth, (err, allow) => {
        if (err || !allow) {
          askNext();
        } else {
          // it may have been created while the answer was pending
          fn(this._nsps.get(name) ?? parent.createChild(name));
        }
      });
    };
    askNext();
  }

  /**
   * What was counted since the server was made, and how things are now, of this process alone. It asks the native threads
   * nothing, so that it may be called as often as one likes.
   *
   * @example
   * const { sockets, engine } = io.metrics();
   * console.log(engine.sessions.open.websocket, engine.packets.sent, sockets.disconnects);
   *
   * @public
   * @returns {object} see `Metrics` in types/metrics.d.ts
   */
  metrics() {
    return metricsOf(this);
  }

  /**
   * Serves a page that shows what the server does: plots of its metrics, namespaces, rooms, workers, connections.
   *
   * @example
   * io.serveStatus("/status", { auth: { username: "admin", password: process.env.STATUS_PASSWORD } });
   *
   * @public
   * @param {string} path - where; the data of the page is below
   * @param {object} options - `auth`: who may see it, a function that is given the request and returns true or false, or a promise
   *   of that; `{ username, password }`; or `false` for everybody
   * @returns {this}
   * @throws {TypeError} if `auth` is missing, or the path does not begin with a slash
   * @throws {Error} if the server has no HTTP server yet
   */
  serveStatus(path, options) {
    if (typeof path !== "string" || path[0] !== "/") {
      throw new TypeError(`serveStatus() wants a path that begins with a slash, not ${inspect(path)}`);
    }
    const base = path.replace(/\/+$/, "");
    if (base === "" || `${base}/`.startsWith(`${this._path}/`)) {
      throw new TypeError(`serveStatus() wants a path of its own, not ${inspect(path)}`);
    }
    const status = makeStatus(this, options);
    if (this.httpServer === undefined)
      throw new Error("serveStatus() needs an HTTP server: attach one before");
    const attachment = this._makeAttachment();
    precedeRequests(this.httpServer, (req, res) => {
      const [name] = req.url.split("?");
      if (!this._attachments.has(attachment) || !(name === base || name.startsWith(`${base}/`))) return false;
      status.handle(req, res, name.slice(base.length + 1));
      return true;
    });
    return this;
  }

  /**
   * Has the clients go on at other servers: new sessions are refused, and those that there are are closed at a rate, each
   * when nobody waits for an acknowledgement. Clients come back by themselves, and recover their sessions where the adapter
   * has them. The server goes on listening: close it afterwards.
   *
   * @example
   * process.once("SIGTERM", async () => {
   *   await io.drain({ timeout: 20_000 });
   *   await io.close();
   * });
   *
   * @public
   * @param {object} [options] - see `DrainOptions` in index.d.ts
   * @returns {Promise<object>} how many sessions there were, and what came of them; the first call decides
   * @throws {TypeError} if an option is not what it has to be
   */
  drain(options) {
    if (this._drain === undefined) {
      this._drain = new Drain(this, options);
      this._drained = this._drain.run();
    }
    return this._drained;
  }

  /**
   * Whether the server is being drained, or was: it is not ready for new clients.
   *
   * @public
   * @type {boolean}
   */
  get isDraining() {
    return this._drain !== undefined;
  }

  /**
   * Disconnects all clients, and closes the engine and the HTTP server.
   *
   * @public
   * @param {{ keepHttpServer?: boolean }|((err?: Error) => void)} [options] - whether the HTTP server goes on without us;
   *   or the next one
   * @param {(err?: Error) => void} [fn] - called at the end; with an error if the HTTP server was not listening
   * @returns {Promise<void>}
   */
  async close(options, ...callbacks) {
    const fn = [options, ...callbacks].find((one) => typeof one === "function");
    await Promise.allSettled([...this._nsps.values()].map(closeNamespace));
    this.engine?.close();
    this._engines.delete(this.engine);
    if (options?.keepHttpServer) {
      this._attachments.clear();
      this.engine?._detach?.();
      fn?.();
    } else if (this.httpServer) {
      await closeHttpServer(this.httpServer, fn);
    } else if (fn) {
      fn();
    }
  }

  /**
   * Adds a middleware to the main namespace; see {@link Namespace#use}.
   *
   * @public
   * @param {(socket: import("./socket").Socket, next: (err?: Error) => void) => void} fn
   * @returns {this}
   */
  use(fn) {
    this.sockets.use(fn);
    return this;
  }

  /**
   * Emits a "message" event to all the sockets of the main namespace.
   *
   * @public
   * @param {...any} args
   * @returns {this}
   */
  send(...args) {
    this.sockets.emit("message", ...args);
    return this;
  }

  /**
   * The same as `send()`.
   *
   * @public
   * @param {...any} args
   * @returns {this}
   */
  write(...args) {
    this.sockets.emit("message", ...args);
    return this;
  }

  /**
   * Targets rooms of the main namespace; see {@link Namespace#to}.
   *
   * @public
   * @param {string|string[]} room
   * @returns {import("./broadcast-operator").BroadcastOperator}
   */
  to(room) {
    return this.sockets.to(room);
  }

  /**
   * The same as `to()`.
   *
   * @public
   * @param {string|string[]} room
   * @returns {import("./broadcast-operator").BroadcastOperator}
   */
  in(room) {
    return this.sockets.in(room);
  }

  /**
   * Leaves out rooms of the main namespace; see {@link Namespace#except}.
   *
   * @public
   * @param {string|string[]} room
   * @returns {import("./broadcast-operator").BroadcastOperator}
   */
  except(room) {
    return this.sockets.except(room);
  }

  /**
   * Emits to the main namespace on the other servers of the cluster; see {@link Namespace#serverSideEmit}.
   *
   * @public
   * @param {string} ev
   * @param {...any} args
   * @returns {true}
   * @throws {Error} if the name of the event is reserved
   */
  serverSideEmit(ev, ...args) {
    return this.sockets.serverSideEmit(ev, ...args);
  }

  /**
   * As `serverSideEmit()`, and waits for the acknowledgements; see {@link Namespace#serverSideEmitWithAck}.
   *
   * @public
   * @param {string} ev
   * @param {...any} args
   * @returns {Promise<any[]>}
   */
  serverSideEmitWithAck(ev, ...args) {
    return this.sockets.serverSideEmitWithAck(ev, ...args);
  }

  /**
   * The ids of all the sockets of the main namespace.
   *
   * @public
   * @deprecated `fetchSockets()` does more, `serverSideEmit()` does it cheaper
   * @returns {Promise<Set<string>>}
   */
  allSockets() {
    return this.sockets.allSockets();
  }

  /**
   * Says whether what is emitted next may be compressed.
   *
   * @public
   * @param {boolean} compress
   * @returns {import("./broadcast-operator").BroadcastOperator}
   */
  compress(compress) {
    return this.sockets.compress(compress);
  }

  /**
   * What is emitted next may be dropped for clients that cannot take it at once.
   *
   * @public
   * @type {import("./broadcast-operator").BroadcastOperator}
   */
  get volatile() {
    return this.sockets.volatile;
  }

  /**
   * What is emitted next stays on this server.
   *
   * @public
   * @type {import("./broadcast-operator").BroadcastOperator}
   */
  get local() {
    return this.sockets.local;
  }

  /**
   * Sets how long to wait for acknowledgements of what is emitted next.
   *
   * @public
   * @param {number} timeout - milliseconds
   * @returns {import("./broadcast-operator").BroadcastOperator}
   */
  timeout(timeout) {
    return this.sockets.timeout(timeout);
  }

  /**
   * All the sockets of the main namespace, including those on other servers of the cluster.
   *
   * @public
   * @returns {Promise<Array<import("./socket").Socket|import("./broadcast-operator").RemoteSocket>>}
   */
  fetchSockets() {
    return this.sockets.fetchSockets();
  }

  /**
   * Makes all the sockets of the main namespace join rooms.
   *
   * @public
   * @param {string|string[]} room
   */
  socketsJoin(room) {
    return this.sockets.socketsJoin(room);
  }

  /**
   * Makes all the sockets of the main namespace leave rooms.
   *
   * @public
   * @param {string|string[]} room
   */
  socketsLeave(room) {
    return this.sockets.socketsLeave(room);
  }

  /**
   * Disconnects all the sockets of the main namespace.
   *
   * @public
   * @param {boolean} [close] - also close the connections
   */
  disconnectSockets(close = false) {
    return this.sockets.disconnectSockets(close);
  }
}

// listeners on the server are listeners on its main namespace, and what it emits goes to the clients
for (const method of Object.keys(EventEmitter.prototype)) {
  if (typeof EventEmitter.prototype[method] === "function") {
    Server.prototype[method] = function onMainNamespace(...args) {
      return this.sockets[method](...args);
    };
  }
}

module.exports = { Server };

/** Stock takes everything that equals a number: also `true`, for port 1. */
function isPort(value) {
  const type = typeof value;
  return (
    type === "number" || (["string", "boolean", "bigint"].includes(type) && !Number.isNaN(Number(value)))
  );
}

function listenOn(port) {
  debug("creating an HTTP server on port %d", port);
  const srv = createServer(answerNotFound);
  srv.listen(port);
  return srv;
}

replaceable(Server.prototype, "isDraining");

/**
 * Has requests be offered to somebody before the listeners that are there already. Whoever takes one returns true. Requests of the
 * engine are not to be taken: they need not come by here.
 */
function precedeRequests(srv, take) {
  const listeners = srv.listeners("request");
  srv.removeAllListeners("request");
  const onRequest = (req, res) => {
    if (take(req, res)) return;
    for (const listener of listeners) listener.call(srv, req, res);
  };
  if (listeners.length === 1) onRequest[kEngine] = listeners[0][kEngine];
  srv.on("request", onRequest);
}

function answerNotFound(req, res) {
  res.writeHead(404);
  res.end();
}

/** @throws {TypeError} when what bounds the memory of recovery is no positive number */
function checkBounds(recovery) {
  for (const name of ["maxPackets", "maxBytes"]) {
    const bound = recovery[name];
    if (bound !== undefined && !(typeof bound === "number" && bound > 0)) {
      throw new TypeError(`connectionStateRecovery.${name} is ${inspect(bound)}, not a positive number`);
    }
  }
}

async function closeNamespace(nsp) {
  for (const socket of nsp.sockets.values()) {
    socket._onclose("server shutting down");
  }
  await nsp.adapter.close();
}

function closeHttpServer(srv, fn) {
  return new Promise((resolve) => {
    srv.close((err) => {
      if (err) {
        debug("the HTTP server was not listening");
      }
      if (fn) {
        fn(err);
      }
      resolve();
    });
  });
}
