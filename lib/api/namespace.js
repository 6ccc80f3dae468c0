"use strict";

const debug = require("debug")("socket.io:namespace");
const { follow } = require("../adapter/adapter-follower");
const { whyUnfamiliar } = require("../adapter/familiar");
const { mirrorOf } = require("../adapter/room-mirror");
const { connections } = require("../engine/channels");
const { ruleOf } = require("../engine/slow-consumer");
const { BroadcastOperator, settleWithResponses } = require("./broadcast-operator");
const { runInTurn } = require("./middleware");
const { applyRule } = require("./slow-consumer");
const { Socket } = require("./socket");
const { StrictEventEmitter } = require("./typed-events");

/** Events that a namespace emits of itself, and that no other server may cause here. */
const RESERVED_EVENTS = new Set(["connect", "connection", "new_namespace"]);

/**
 * A channel of its own over connections that it shares with other namespaces: with its own listeners, rooms, middleware.
 *
 * @example
 * const orders = io.of("/orders");
 *
 * orders.use((socket, next) => next());
 * orders.on("connection", (socket) => {
 *   socket.join("open");
 *   orders.to("open").emit("hello");
 * });
 *
 * @public
 */
class Namespace extends StrictEventEmitter {
  /**
   * @private
   * @param {import("./server").Server} server
   * @param {string} name
   */
  constructor(server, name) {
    super();
    /** The connected sockets by id. */
    this.sockets = new Map();
    /** Sockets whose middleware is still running. */
    this._preConnectSockets = new Map();
    this._fns = [];
    /** The next ack id: one counter for all, so that a broadcast can use one id for all its recipients. */
    this._ids = 0;
    /** The sockets that have listeners for what they send. */
    this._listeningSockets = new Set();
    this.server = server;
    this.name = name;
    /** What holds for its sockets if their clients do not read, if that is something of its own. */
    this._rule = undefined;
    this._initAdapter();
  }

  /**
   * Sets what becomes of events for clients that do not read as fast as they are sent to, in this namespace, in place of
   * the option `slowConsumer`.
   *
   * @example
   * io.of("/prices").slowConsumer({ policy: "latest" });
   *
   * @public
   * @param {{ policy?: "close"|"drop-oldest"|"drop-newest"|"latest", maxBytes?: number, maxAge?: number }|null} options -
   *   bytes and milliseconds that may wait; null: nothing of its own
   * @returns {this}
   * @throws {TypeError} if they are none
   */
  slowConsumer(options) {
    this._rule = options === null ? undefined : ruleOf(options, this.server._outboundLimit);
    for (const socket of this.sockets.values()) applyRule(socket, this._rule);
    return this;
  }

  /**
   * Creates the adapter; once more whenever `io.adapter()` sets another.
   *
   * @private
   */
  _initAdapter() {
    const Adapter = this.server.adapter();
    this.adapter = new Adapter(this);
    follow(this, this.adapter);
    Promise.resolve(this.adapter.init()).catch((err) => {
      debug("the adapter failed to start: %s", err);
    });
  }

  /**
   * Why broadcasts go socket by socket, and events the long way: for whoever looks into what is slow.
   *
   * @private
   * @returns {{ adapter: string, obstacle: string|undefined, sockets: number, detours: Object<string, number> }} `adapter`: its
   *   class; `obstacle`: why it is not followed by native threads; `detours`: of how many sockets, by what that is because of
   */
  _roads() {
    const { adapter, sockets } = this;
    const detours = {};
    for (const socket of sockets.values()) {
      for (const why of socket._detours()) detours[why] = (detours[why] ?? 0) + 1;
    }
    return {
      adapter: adapter.constructor.name,
      obstacle: mirrorOf(adapter) === undefined ? whyUnfamiliar(adapter) : undefined,
      sockets: sockets.size,
      detours,
    };
  }

  /**
   * Whether a broadcast has to be told to any socket, besides being sent.
   *
   * @private
   */
  get _hasOutgoingListeners() {
    return this._listeningSockets.size !== 0;
  }

  /**
   * Adds a middleware, run for every client that wants to join.
   *
   * @example
   * namespace.use((socket, next) => {
   *   next(isWelcome(socket.handshake.auth) ? undefined : new Error("not welcome"));
   * });
   *
   * @public
   * @param {(socket: Socket, next: (err?: Error) => void) => void} fn
   * @returns {this}
   */
  use(fn) {
    this._fns.push(fn);
    return this;
  }

  /**
   * Runs the middleware.
   *
   * @private
   * @param {Socket} socket
   * @param {(err?: Error) => void} fn - called at the end, or on the first error
   */
  run(socket, fn) {
    runInTurn(this._fns, socket, fn);
  }

  /**
   * Lets a client join, if the middleware has nothing against it.
   *
   * @private
   * @param {import("./client").Client} client
   * @param {object} [auth] - the payload of the CONNECT packet
   * @param {(socket: Socket) => void} fn - called when the socket is connected, before any listener
   */
  _add(client, auth, fn) {
    if (debug.enabled) {
      debug("adding a socket to %s", this.name);
    }
    if (
      !this.server.opts.connectionStateRecovery &&
      this._fns.length === 0 &&
      this.run === run &&
      (joining.size === 0 || !joining.has(client))
    ) {
      const socket = new Socket(this, client, auth);
      this._preConnectSockets.set(socket.id, socket);
      process.nextTick(admit, this, socket, fn);
      return undefined;
    }
    return this._addByMiddleware(client, auth, fn);
  }

  /** @private */
  async _addByMiddleware(client, auth, fn) {
    joining.add(client);
    let socket;
    try {
      socket = await this._createSocket(client, auth);
    } finally {
      joining.delete(client);
    }
    this._preConnectSockets.set(socket.id, socket);

    const { connectionStateRecovery } = this.server.opts;
    if (connectionStateRecovery?.skipMiddlewares && socket.recovered && client.conn.readyState === "open") {
      return this._doConnect(socket, fn);
    }
    this.run(socket, (err) => {
      process.nextTick(admit, this, socket, fn, err);
    });
  }

  /**
   * Creates the socket, out of a previous session if the client names one that can be restored.
   *
   * @private
   */
  async _createSocket(client, auth) {
    const { pid, offset } = auth ?? {};
    if (this.server.opts.connectionStateRecovery && typeof pid === "string" && typeof offset === "string") {
      let session;
      try {
        session = await this.adapter.restoreSession(pid, offset);
      } catch (err) {
        debug("the session could not be restored: %s", err);
      }
      // what is over does not go on
      if (session?.expiresAt <= Date.now()) session = undefined;
      this.server._counts.recoveries.add(session ? "recovered" : "failed");
      if (session) {
        debug("restored the session of %s", session.sid);
        return new Socket(this, client, auth, session);
      }
    }
    return new Socket(this, client, auth);
  }

  /**
   * Makes a socket part of the namespace. What the library does of itself comes before any listener: a listener may
   * disconnect the socket, which must then be fully connected.
   *
   * @private
   */
  _doConnect(socket, fn) {
    deleteEntry(this._preConnectSockets, socket);
    this.sockets.set(socket.id, socket);
    this.server._counts.connects++;
    socket.conn.server?._traces?.note(socket.conn, "joined", { namespace: this.name, id: socket.id });
    if (connections.hasSubscribers) connections.publish({ socket });
    mirrorOf(socket.adapter)?.onConnect(socket);
    if (this._rule !== undefined) applyRule(socket, this._rule);
    socket._onconnect();
    if (fn) {
      fn(socket);
    }
    this.emitReserved("connect", socket);
    this.emitReserved("connection", socket);
  }

  /**
   * Called by every socket that goes.
   *
   * @private
   */
  _remove(socket) {
    this._listeningSockets.delete(socket);
    if (deleteEntry(this.sockets, socket)) {
      mirrorOf(socket.adapter)?.onRemove(socket.id);
    } else {
      deleteEntry(this._preConnectSockets, socket);
    }
  }

  /**
   * Whether another socket has the id of this one: its client has recovered the session over another connection before
   * the end of this one was known. The id, its rooms and its session are that one's then.
   *
   * @private
   */
  _hasTwin(socket) {
    const connected = this.sockets.get(socket.id) ?? socket;
    const waiting = this._preConnectSockets.get(socket.id) ?? socket;
    return connected !== socket || waiting !== socket;
  }

  /**
   * Whether a connected socket's session is its own still. It is not when it has a twin, and stays lost when that has gone:
   * the twin has left its rooms and kept the session as it was then.
   *
   * @private
   */
  _hasSessionOf(socket) {
    return this.sockets.get(socket.id) === socket && !this._hasTwin(socket);
  }

  /**
   * Targets rooms; see {@link BroadcastOperator#to}.
   *
   * @public
   * @param {string|string[]} room
   * @returns {BroadcastOperator}
   */
  to(room) {
    return new BroadcastOperator(this.adapter).to(room);
  }

  /**
   * The same as `to()`.
   *
   * @public
   * @param {string|string[]} room
   * @returns {BroadcastOperator}
   */
  in(room) {
    return new BroadcastOperator(this.adapter).in(room);
  }

  /**
   * Leaves rooms out; see {@link BroadcastOperator#except}.
   *
   * @public
   * @param {string|string[]} room
   * @returns {BroadcastOperator}
   */
  except(room) {
    return new BroadcastOperator(this.adapter).except(room);
  }

  /**
   * Emits to all the sockets of the namespace.
   *
   * @public
   * @param {string} ev
   * @param {...any} args - anything that can be encoded; a function at the end receives the acknowledgements
   * @returns {true}
   * @throws {Error} if the name of the event is reserved
   */
  emit(ev, ...args) {
    return new BroadcastOperator(this.adapter).emit(ev, ...args);
  }

  /**
   * Emits a "message" event to all the sockets of the namespace.
   *
   * @public
   * @param {...any} args
   * @returns {this}
   */
  send(...args) {
    this.emit("message", ...args);
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
    this.emit("message", ...args);
    return this;
  }

  /**
   * Emits to this namespace on the other servers of the cluster.
   *
   * @example
   * namespace.on("status?", (cb) => cb("fine"));
   * namespace.serverSideEmit("status?", (err, answers) => {
   *   // one answer per other server; err if one of them did not answer in time
   * });
   *
   * @public
   * @param {string} ev
   * @param {...any} args - without binary data; a function at the end receives the acknowledgements
   * @returns {true}
   * @throws {Error} if the name of the event is reserved
   */
  serverSideEmit(ev, ...args) {
    if (RESERVED_EVENTS.has(ev)) {
      throw new Error(`"${String(ev)}" is a reserved event name`);
    }
    this.adapter.serverSideEmit([ev, ...args]);
    return true;
  }

  /**
   * Emits to this namespace on the other servers of the cluster, and waits for their acknowledgements.
   *
   * @public
   * @param {string} ev
   * @param {...any} args
   * @returns {Promise<any[]>} rejected if some did not come in time; the error's `responses` has the others
   */
  serverSideEmitWithAck(ev, ...args) {
    return new Promise((resolve, reject) => {
      args.push(settleWithResponses(resolve, reject));
      this.serverSideEmit(ev, ...args);
    });
  }

  /**
   * Called by the adapter with what another server has emitted.
   *
   * @private
   * @param {any[]} args
   */
  _onServerSideEmit(args) {
    super.emit(...args);
  }

  /**
   * The ids of all the sockets of the namespace.
   *
   * @public
   * @deprecated `fetchSockets()` does more, `serverSideEmit()` does it cheaper
   * @returns {Promise<Set<string>>}
   */
  allSockets() {
    return new BroadcastOperator(this.adapter).allSockets();
  }

  /**
   * Says whether what is emitted next may be compressed.
   *
   * @public
   * @param {boolean} compress
   * @returns {BroadcastOperator}
   */
  compress(compress) {
    return new BroadcastOperator(this.adapter).compress(compress);
  }

  /**
   * What is emitted next may be dropped for clients that cannot take it at once.
   *
   * @public
   * @type {BroadcastOperator}
   */
  get volatile() {
    return new BroadcastOperator(this.adapter).volatile;
  }

  /**
   * What is emitted next stays on this server.
   *
   * @public
   * @type {BroadcastOperator}
   */
  get local() {
    return new BroadcastOperator(this.adapter).local;
  }

  /**
   * Sets how long to wait for acknowledgements of what is emitted next.
   *
   * @public
   * @param {number} timeout - milliseconds
   * @returns {BroadcastOperator}
   */
  timeout(timeout) {
    return new BroadcastOperator(this.adapter).timeout(timeout);
  }

  /**
   * All the sockets of the namespace, including those on other servers of the cluster.
   *
   * @public
   * @returns {Promise<Array<Socket|import("./broadcast-operator").RemoteSocket>>}
   */
  fetchSockets() {
    return new BroadcastOperator(this.adapter).fetchSockets();
  }

  /**
   * Makes all the sockets of the namespace join rooms.
   *
   * @public
   * @param {string|string[]} room
   */
  socketsJoin(room) {
    return new BroadcastOperator(this.adapter).socketsJoin(room);
  }

  /**
   * Makes all the sockets of the namespace leave rooms.
   *
   * @public
   * @param {string|string[]} room
   */
  socketsLeave(room) {
    return new BroadcastOperator(this.adapter).socketsLeave(room);
  }

  /**
   * Disconnects all the sockets of the namespace.
   *
   * @public
   * @param {boolean} [close] - also close the connections
   */
  disconnectSockets(close = false) {
    return new BroadcastOperator(this.adapter).disconnectSockets(close);
  }
}

/** Clients that are on their way to a middleware: what they join next must not overtake that. */
const joining = new Set();

/** The method as it is defined here; the application may have replaced it. */
const { run } = Namespace.prototype;

module.exports = { Namespace, RESERVED_EVENTS };

/** Removes a socket from a Map by id, unless another one has taken its place. */
function deleteEntry(sockets, socket) {
  return sockets.get(socket.id) === socket && sockets.delete(socket.id);
}

/** The end of the middleware: the socket is connected, or the client told why not. */
function admit(nsp, socket, fn, err) {
  const { conn } = socket;
  if (conn.readyState !== "open") {
    debug("the client has gone while the middleware was running");
    socket._cleanup();
    return;
  }
  if (err) {
    debug("a middleware has turned the client away");
    conn.server?._traces?.note(conn, "refused", { namespace: nsp.name, message: err.message });
    socket._cleanup();
    const { message, data } = err;
    socket._error(conn.protocol === 3 ? data || message : { message, data });
    return;
  }
  nsp._doConnect(socket, fn);
}
