"use strict";

const debug = require("debug")("socket.io:socket");
const { BroadcastOperator, NO_ROOMS, mayAddRooms, sendTo } = require("./broadcast-operator");
const { Adapter } = require("../adapter/adapter");
const { disconnections } = require("../engine/channels");
const { applyApart, enqueue } = require("../native/event-queue");
const { limited } = require("../engine/conn");
const { expireAt, expiryOf, forgetExpiry } = require("./expiry");
const { runInTurn } = require("./middleware");
const { PacketType, RESERVED_EVENTS, encodeText, hasBinary } = require("./packet");
const { forgetRule, setRule } = require("./slow-consumer");
const { generateId } = require("../engine/random-id");
const { StrictEventEmitter } = require("./typed-events");

/** The method that is known to do for each of several rooms what it does for one. */
const { addAll } = Adapter.prototype;

/** With connection state recovery, the session is kept when it was not the application that ended it. */
const RECOVERABLE_REASONS = new Set([
  "transport error",
  "transport close",
  "forced close",
  "ping timeout",
  "server shutting down",
  "forced server close",
]);

/**
 * What an emitter keeps its listeners in, without a prototype's names. Objects of one class share their shape, so this
 * takes a fifth of the memory of what `EventEmitter` makes of itself: a dictionary each.
 */
function Listeners() {}
Listeners.prototype = Object.create(null);

/** An object like `{}`, without the room that V8 leaves in those for a few properties: most stay empty. */
function Data() {}
Data.prototype = Object.prototype;

/**
 * What is known of the request that opened the connection:
 * `{ headers, time, address, xdomain, secure, issued, url, query, auth }`. An own property, made when it is first asked for.
 */
const HANDSHAKE = {
  configurable: true,
  enumerable: true,
  get() {
    return this._keepHandshake();
  },
  set(value) {
    Object.defineProperty(this, "handshake", {
      value,
      configurable: true,
      enumerable: true,
      writable: true,
    });
  },
};

/**
 * A client in a namespace.
 *
 * There may be very many of these, most of them idle. What few applications use (acks, flags, middleware, the handshake)
 * is therefore made when it is first asked for, behind accessors; its place is declared here so that all
 * sockets keep the same shape and the two journeys stay monomorphic.
 *
 * Both journeys have a short cut: `emit()` encodes and writes without a packet object, `_receiveEvent()` and
 * `_receiveAck()` do without one as well. A socket takes them only as long as nobody has replaced one of the methods
 * on the long way, nor uses a feature that needs it; the long way is where all the features live.
 *
 * @example
 * io.on("connection", (socket) => {
 *   socket.join("lobby");
 *   socket.on("hello", (name, reply) => reply("hello " + name));
 *   socket.on("disconnect", (reason) => console.log(reason));
 * });
 *
 * @public
 */
class Socket extends StrictEventEmitter {
  /**
   * @private
   * @param {import("./namespace").Namespace} nsp
   * @param {import("./client").Client} client
   * @param {object} [auth] - what the client has sent along with its wish to join
   * @param {object} [previousSession] - the session to take over, from `adapter.restoreSession()`
   */
  constructor(nsp, client, auth, previousSession) {
    super();
    this._events = new Listeners();
    this.nsp = nsp;
    /**
     * The server that the socket is connected to.
     *
     * @public
     */
    this.server = nsp.server;
    this.client = client;
    // a later io.adapter() gives the namespace another one, but does not move the sockets
    this.adapter = nsp.adapter;
    this.id = "";
    /** Whether the socket is connected: after the middleware, until the disconnection. */
    this.connected = false;
    this._createdAt = Date.now();
    this._auth = auth;
    this._handshake = undefined;
    /**
     * For the application's own use; `fetchSockets()` carries it to other servers of the cluster.
     *
     * @public
     * @type {any}
     */
    this.data = undefined;
    this._acks = undefined;
    /** Events of the client that want an acknowledgement, and have not got it. */
    this._unanswered = 0;
    this._fns = undefined;
    this._flags = undefined;
    this._anyListeners = undefined;
    this._anyOutgoingListeners = undefined;
    Object.defineProperty(this, "handshake", HANDSHAKE);

    if (previousSession) {
      this._resume(previousSession);
    } else {
      this.data = new Data();
      this._identify();
    }
    if (!client._isDirect) {
      this._keepHandshake();
    }
    // the peer may send an "error" event, which without a listener EventEmitter would throw
    this.on("error", ignore);
  }

  /** @private */
  _identify() {
    const { client, nsp } = this;
    if (client.conn.protocol === 3) {
      this.id = nsp.name === "/" ? client.id : nsp.name + "#" + client.id;
    } else {
      // the id of the Engine.IO session is a secret between client and server, this one is not
      this.id = generateId();
    }
    if (nsp.server._opts.connectionStateRecovery) {
      this.pid = generateId();
      this._ownRoom = undefined;
    }
  }

  /** @private */
  _resume(session) {
    this.id = session.sid;
    this.pid = session.pid;
    this._ownRoom = undefined;
    for (const room of session.rooms) {
      this.join(room);
    }
    this.data = session.data;
    if (session.expiresAt !== undefined) expireAt(this, session.expiresAt);
    for (const data of session.missedPackets) {
      this.packet({ type: PacketType.EVENT, data });
    }
    this.recovered = true;
  }

  /**
   * Builds the handshake if that has not happened: to be called before the request is taken from the connection.
   *
   * @private
   */
  _keepHandshake() {
    if (this._handshake === undefined) {
      this._handshake = this.buildHandshake(this._auth);
      this._auth = undefined;
    }
    return this._handshake;
  }

  /** @private */
  buildHandshake(auth = {}) {
    const { request, _createdAt } = this;
    return {
      headers: request?.headers || {},
      time: String(new Date(_createdAt)),
      address: this.conn.remoteAddress,
      xdomain: !!request?.headers.origin,
      secure: !request || !!request.connection.encrypted,
      issued: _createdAt,
      url: request?.url,
      query: request?._query || {},
      auth,
    };
  }

  /**
   * The callbacks of packets that wait for an acknowledgement, by ack id.
   *
   * @private
   */
  get acks() {
    return (this._acks ??= new Map());
  }

  set acks(acks) {
    this._acks = acks;
  }

  /** @private */
  get fns() {
    return (this._fns ??= []);
  }

  set fns(fns) {
    this._fns = fns;
  }

  /**
   * What has been said about the next packet: volatile, compress, timeout.
   *
   * @private
   */
  get flags() {
    return (this._flags ??= {});
  }

  set flags(flags) {
    this._flags = flags;
  }

  /**
   * Emits to the client.
   *
   * @example
   * socket.emit("hello", "world", { all: ["that", "can", "be"], encoded: Buffer.from([1]) });
   * socket.emit("hello", "world", (answer) => {});
   *
   * @public
   * @param {string} ev
   * @param {...any} args - anything that can be encoded; a function at the end is called with the acknowledgement
   * @returns {true}
   * @throws {Error} if the name of the event is reserved
   */
  emit(...data) {
    if (data.length === 0) {
      data.push(undefined);
    }
    if (RESERVED_EVENTS.has(data[0])) {
      throw new Error(`"${String(data[0])}" is a reserved event name`);
    }
    const { nsp } = this;
    let id;
    const ack = data[data.length - 1];
    if (typeof ack === "function") {
      data.pop();
      id = nsp._ids++;
      if (debug.enabled) {
        debug("emitting a packet with ack id %d", id);
      }
      this.registerAckCallback(id, ack);
    }
    const flags = this._flags;
    this._flags = undefined;
    if (nsp.server.opts.connectionStateRecovery) {
      // only what passes through the adapter is remembered, and sent again upon recovery
      sendTo(this.adapter, eventPacket(data, id), this._roomOfItsOwn(), NO_ROOMS, flags ?? {});
    } else if (this._canWriteDirectly() && this._hasNoOutgoingListeners() && !hasBinary(data)) {
      this.client._send(encodeText(PacketType.EVENT, nsp.name, id, data), flags);
    } else {
      const packet = eventPacket(data, id);
      this.notifyOutgoingListeners(packet);
      this.packet(packet, flags);
    }
    return true;
  }

  /**
   * Emits to the client and waits for the acknowledgement.
   *
   * @example
   * const answer = await socket.timeout(1000).emitWithAck("hello", "world");
   *
   * @public
   * @param {string} ev
   * @param {...any} args
   * @returns {Promise<any>} rejected only if a timeout was set and has passed
   */
  emitWithAck(ev, ...args) {
    const canTimeOut = this._flags?.timeout !== undefined;
    return new Promise((resolve, reject) => {
      args.push(canTimeOut ? (err, answer) => (err ? reject(err) : resolve(answer)) : resolve);
      this.emit(ev, ...args);
    });
  }

  /**
   * Remembers whom to call with an acknowledgement, or with an error if it is late.
   *
   * @private
   */
  registerAckCallback(id, ack) {
    const most = this.conn.server?._limits?.unansweredAcks;
    if (this.acks.size >= most) this._giveUp(most);
    const timeout = this._flags?.timeout;
    if (timeout === undefined) {
      this.acks.set(id, ack);
      return;
    }
    const timer = setTimeout(() => {
      debug("nothing has acknowledged packet %d within %d ms", id, timeout);
      this.acks.delete(id);
      ack.call(this, new Error("operation has timed out"));
    }, timeout);
    this.acks.set(id, (...args) => {
      clearTimeout(timer);
      ack.call(this, null, ...args);
    });
  }

  /**
   * Disconnects a client that owes too many acknowledgements, when what is being said has been said.
   *
   * @private
   */
  _giveUp(most) {
    if (this._isGivenUp) return;
    this._isGivenUp = true;
    const { client, conn } = this;
    conn.server._onLimit(conn, "unansweredAcks");
    const why = limited("unansweredAcks", `the client owes more than ${most} acknowledgements`);
    process.nextTick(() => client._disconnect(why));
  }

  /**
   * Forgets whom to call with an acknowledgement.
   *
   * @private
   */
  _forgetAck(id) {
    this._acks?.delete(id);
  }

  /**
   * Targets rooms, without this socket; see {@link BroadcastOperator#to}.
   *
   * @public
   * @param {string|string[]} room
   * @returns {BroadcastOperator}
   */
  to(room) {
    return this.newBroadcastOperator().to(room);
  }

  /**
   * The same as `to()`.
   *
   * @public
   * @param {string|string[]} room
   * @returns {BroadcastOperator}
   */
  in(room) {
    return this.newBroadcastOperator().in(room);
  }

  /**
   * Leaves out rooms, and this socket; see {@link BroadcastOperator#except}.
   *
   * @public
   * @param {string|string[]} room
   * @returns {BroadcastOperator}
   */
  except(room) {
    return this.newBroadcastOperator().except(room);
  }

  /**
   * Emits a "message" event.
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
   * Sends a packet the long way.
   *
   * @private
   * @param {{type: number, id?: number, data?: any}} packet
   * @param {object} [opts] - volatile, compress
   */
  packet(packet, opts = {}) {
    packet.nsp = this.nsp.name;
    opts.compress = opts.compress !== false;
    this.client._packet(packet, opts);
  }

  /**
   * Joins rooms.
   *
   * @public
   * @param {string|string[]} rooms
   * @returns {Promise<void>|void} a promise if the adapter takes its time
   */
  join(rooms) {
    if (debug.enabled) {
      debug("joining %s", rooms);
    }
    const { adapter } = this;
    if (adapter.addAll === addAll && !Array.isArray(rooms)) {
      adapter._addTo(this.id, rooms);
      return undefined;
    }
    return adapter.addAll(this.id, new Set(Array.isArray(rooms) ? rooms : [rooms]));
  }

  /**
   * Leaves a room.
   *
   * @public
   * @param {string} room
   * @returns {Promise<void>|void} a promise if the adapter takes its time
   */
  leave(room) {
    if (debug.enabled) {
      debug("leaving %s", room);
    }
    return this.adapter.del(this.id, room);
  }

  /** @private */
  leaveAll() {
    this.adapter.delAll(this.id);
  }

  /**
   * Called by the namespace, which has the socket in its list by then: adapters look it up there upon the join.
   *
   * @private
   */
  _onconnect() {
    if (debug.enabled) {
      debug("connected, telling the client");
    }
    this.connected = true;
    this.join(this.id);
    if (this.conn.protocol === 3) {
      this.packet({ type: PacketType.CONNECT });
    } else {
      this.packet({ type: PacketType.CONNECT, data: { sid: this.id, pid: this.pid } });
    }
  }

  /**
   * Takes an event by the short cut.
   *
   * @private
   * @param {any[]|undefined} data - the name and the arguments
   * @param {number} id - the ack id, -1 without
   * @returns {boolean} false if it has to go the long way
   */
  _receiveEvent(data, id) {
    if (
      this._onpacket !== longWay._onpacket ||
      this.onevent !== longWay.onevent ||
      this.dispatch !== longWay.dispatch ||
      this.run !== longWay.run ||
      (this._fns !== undefined && this._fns.length !== 0) ||
      (this._anyListeners !== undefined && this._anyListeners.length !== 0) ||
      debug.enabled
    ) {
      return false;
    }
    const args = data ?? [];
    if (id !== -1) {
      args.push(this.ack(id));
    }
    enqueue(this, args);
    return true;
  }

  /**
   * What has the events of this socket go the long way, or those to it. For whoever looks into what is slow.
   *
   * @private
   * @returns {string[]} in words
   */
  _detours() {
    const detours = Object.keys(longWay).filter((name) => this[name] !== longWay[name]);
    const words = detours.map((name) => `socket.${name}() is replaced`);
    if (this._fns?.length > 0) words.push("socket.use()");
    if (this._anyListeners?.length > 0) words.push("socket.onAny()");
    if (this._anyOutgoingListeners?.length > 0) words.push("socket.onAnyOutgoing()");
    if (debug.enabled) words.push("DEBUG has socket.io:socket");
    return words;
  }

  /**
   * Takes an acknowledgement by the short cut.
   *
   * @private
   * @param {any[]|undefined} data
   * @param {number} id
   * @returns {boolean} false if it has to go the long way
   */
  _receiveAck(data, id) {
    if (this._onpacket !== longWay._onpacket || this.onack !== longWay.onack || debug.enabled) {
      return false;
    }
    const ack = this._acks?.get(id);
    if (typeof ack === "function") {
      applyApart(ack, this, data);
      this._acks.delete(id);
    }
    return true;
  }

  /**
   * Takes a packet the long way.
   *
   * @private
   * @param {{type: number, nsp: string, id?: number, data?: any}} packet
   */
  _onpacket(packet) {
    if (debug.enabled) {
      debug("received %j", packet);
    }
    switch (packet.type) {
      case PacketType.EVENT:
      case PacketType.BINARY_EVENT:
        this.onevent(packet);
        break;
      case PacketType.ACK:
      case PacketType.BINARY_ACK:
        this.onack(packet);
        break;
      case PacketType.DISCONNECT:
        this.ondisconnect();
    }
  }

  /** @private */
  onevent(packet) {
    const args = packet.data || [];
    if (packet.id != null) {
      args.push(this.ack(packet.id));
    }
    callAll(this._anyListeners, this, args);
    this.dispatch(args);
  }

  /**
   * Makes the function that the listener calls to acknowledge. It works once.
   *
   * @private
   * @param {number} id
   * @returns {(...args: any[]) => void}
   */
  ack(id) {
    let isSent = false;
    this._unanswered++;
    return (...args) => {
      if (isSent) {
        return;
      }
      if (debug.enabled) {
        debug("acknowledging with %j", args);
      }
      if (this._canWriteDirectly() && !hasBinary(args)) {
        this.client._send(encodeText(PacketType.ACK, this.nsp.name, id, args));
      } else {
        this.packet({ id, type: PacketType.ACK, data: args });
      }
      isSent = true;
      this._unanswered--;
    };
  }

  /** @private */
  onack(packet) {
    const ack = this._acks?.get(packet.id);
    if (typeof ack !== "function") {
      debug("nothing waits for acknowledgement %s", packet.id);
      return;
    }
    if (debug.enabled) {
      debug("acknowledgement %s came with %j", packet.id, packet.data);
    }
    ack.apply(this, packet.data);
    this.acks.delete(packet.id);
  }

  /** @private */
  ondisconnect() {
    debug("the client leaves the namespace");
    this._onclose("client namespace disconnect");
  }

  /**
   * Emits "error". It can mean three things: a malformed packet has arrived and the connection is about to be closed, a
   * middleware has refused an event, or (not by way of this method) the client has emitted an event of that name.
   *
   * @private
   */
  _onerror(err) {
    this.emitReserved("error", err);
  }

  /**
   * Ends the socket, whatever the cause.
   *
   * @private
   * @param {string} reason
   * @param {any} [description] - details of the transport
   * @returns {Promise<void>|undefined} settled when the adapter has kept the session, if that takes time
   */
  _onclose(reason, description) {
    if (!this.connected) {
      return undefined;
    }
    if (debug.enabled) {
      debug("closing: %s", reason);
    }
    let kept;
    this.emitReserved("disconnecting", reason, description);
    if (
      this.server._opts.connectionStateRecovery &&
      RECOVERABLE_REASONS.has(reason) &&
      this.nsp._hasSessionOf(this)
    ) {
      debug("keeping the session of %s", this.id);
      const expiresAt = expiryOf(this);
      kept = this.adapter.persistSession({
        sid: this.id,
        pid: this.pid,
        rooms: [...this.rooms],
        data: this.data,
        ...(expiresAt !== undefined && { expiresAt }),
      });
    }
    this._cleanup();
    this.client._remove(this);
    this.connected = false;
    this.server._counts.disconnects.add(reason);
    const { conn } = this;
    conn.server?._traces?.note(conn, "left", { namespace: this.nsp.name, reason });
    if (disconnections.hasSubscribers) disconnections.publish({ socket: this, reason, description });
    this.emitReserved("disconnect", reason, description);
    return kept;
  }

  /**
   * Takes the socket out of all rooms and out of the namespace; it cannot join a room again.
   *
   * @private
   */
  _cleanup() {
    forgetExpiry(this);
    forgetRule(this);
    this.client._names?.delete(this.nsp.name);
    if (!this.nsp._hasTwin(this)) {
      this.leaveAll();
    }
    this.nsp._remove(this);
    this.join = ignore;
  }

  /**
   * Tells the client why it may not join.
   *
   * @private
   */
  _error(err) {
    this.packet({ type: PacketType.CONNECT_ERROR, data: err });
  }

  /**
   * Disconnects the socket.
   *
   * @public
   * @param {boolean} [close] - also close the connection, which the client may be using for other namespaces
   * @returns {this}
   */
  disconnect(close = false) {
    if (!this.connected) {
      return this;
    }
    if (close) {
      this.client._disconnect();
    } else {
      this._disconnect();
    }
    return this;
  }

  /**
   * Disconnects the client from the namespace.
   *
   * @private
   * @param {object} [description] - what there is to say of it
   */
  _disconnect(description) {
    if (this.connected) {
      this.packet({ type: PacketType.DISCONNECT });
      this._onclose("server namespace disconnect", description);
    }
  }

  /**
   * Disconnects the client at a time: when its token expires, for instance. The last time that was set counts.
   *
   * @example
   * io.use((socket, next) => {
   *   const { exp } = verify(socket.handshake.auth.token);
   *   socket.expireAt(exp * 1000);
   *   next();
   * });
   *
   * @public
   * @param {Date|number|null} when - a number is milliseconds since 1970; null: not at all
   * @returns {this}
   * @throws {TypeError} if it is no time
   * @throws {Error} if the connection is of an engine that is another package's
   */
  expireAt(when) {
    expireAt(this, when);
    return this;
  }

  /**
   * Sets what becomes of events for this client while it does not read as fast as it is sent to, in place of what its
   * namespace or the option `slowConsumer` say.
   *
   * @example
   * socket.slowConsumer({ policy: "drop-oldest", maxBytes: 1e6 });
   *
   * @public
   * @param {{ policy?: "close"|"drop-oldest"|"drop-newest"|"latest", maxBytes?: number, maxAge?: number }|null} options -
   *   bytes and milliseconds that may wait; null: nothing of its own
   * @returns {this}
   * @throws {TypeError} if they are none
   * @throws {Error} if the connection is of an engine that is another package's
   */
  slowConsumer(options) {
    setRule(this, options);
    return this;
  }

  /**
   * Says whether what is emitted next may be compressed.
   *
   * @public
   * @param {boolean} compress
   * @returns {this}
   */
  compress(compress) {
    this.flags.compress = compress;
    return this;
  }

  /**
   * What is emitted next may be dropped if the client cannot take it at once.
   *
   * @public
   * @type {this}
   */
  get volatile() {
    this.flags.volatile = true;
    return this;
  }

  /**
   * Emits to all the sockets of the namespace but this.
   *
   * @public
   * @type {BroadcastOperator}
   */
  get broadcast() {
    return this.newBroadcastOperator();
  }

  /**
   * Emits to the sockets of this server, without this one.
   *
   * @public
   * @type {BroadcastOperator}
   */
  get local() {
    return this.newBroadcastOperator().local;
  }

  /**
   * Sets how long to wait for the acknowledgement of what is emitted next.
   *
   * @example
   * socket.timeout(1000).emit("hello", (err, answer) => {});
   *
   * @public
   * @param {number} timeout - milliseconds
   * @returns {this}
   */
  timeout(timeout) {
    this.flags.timeout = timeout;
    return this;
  }

  /**
   * Passes an event through the middleware, then on to the listeners.
   *
   * @private
   * @param {any[]} event - the name and the arguments
   */
  dispatch(event) {
    if (debug.enabled) {
      debug("dispatching %j", event);
    }
    this.run(event, (err) => enqueue(this, event, err));
  }

  /**
   * Adds a middleware, run for every event that comes in.
   *
   * @example
   * socket.use(([event, ...args], next) => {
   *   next(isAllowed(event) ? undefined : new Error("not allowed")); // emitted as "error"
   * });
   *
   * @public
   * @param {(event: any[], next: (err?: Error) => void) => void} fn
   * @returns {this}
   */
  use(fn) {
    this.fns.push(fn);
    return this;
  }

  /** @private */
  run(event, fn) {
    if (this._fns === undefined) {
      fn();
    } else {
      runInTurn(this._fns, event, fn);
    }
  }

  /**
   * Whether the socket is not connected.
   *
   * @public
   * @type {boolean}
   */
  get disconnected() {
    return !this.connected;
  }

  /**
   * The request that opened the connection.
   *
   * @public
   * @type {import("node:http").IncomingMessage}
   */
  get request() {
    return this.client.request;
  }

  /**
   * The connection, which the client may be using for other namespaces as well.
   *
   * @example
   * socket.conn.once("upgrade", () => console.log(socket.conn.transport.name)); // "websocket"
   *
   * @public
   */
  get conn() {
    return this.client.conn;
  }

  /**
   * Waits until all that was emitted to the client has been handed to the network. An emitter that waits in between sends as
   * fast as the client reads, and piles up nothing.
   *
   * @example
   * for await (const chunk of file) {
   *   socket.emit("chunk", chunk);
   *   await socket.flushed();
   * }
   *
   * @public
   * @returns {Promise<void>} rejected if the client disconnects before
   */
  flushed() {
    const { conn } = this;
    if (!this.connected) return Promise.reject(disconnectedError());
    // of an engine that is another package's
    const flushed = typeof conn.flushed === "function" ? conn.flushed() : whenDrained(conn);
    return flushed.catch(() => {
      throw disconnectedError();
    });
  }

  /**
   * The rooms that the socket is in, among them the one that has its id for a name.
   *
   * @public
   * @type {Set<string>}
   */
  get rooms() {
    return this.adapter.socketRooms(this.id) || new Set();
  }

  /**
   * Adds a listener for all events that come in, called with the name first and before the other listeners.
   *
   * @public
   * @param {(event: string, ...args: any[]) => void} listener
   * @returns {this}
   */
  onAny(listener) {
    (this._anyListeners ??= []).push(listener);
    return this;
  }

  /**
   * As `onAny()`, in front of those added before.
   *
   * @public
   * @param {(event: string, ...args: any[]) => void} listener
   * @returns {this}
   */
  prependAny(listener) {
    (this._anyListeners ??= []).unshift(listener);
    return this;
  }

  /**
   * Removes a listener added with `onAny()`.
   *
   * @public
   * @param {Function} [listener] - none means all
   * @returns {this}
   */
  offAny(listener) {
    this._anyListeners = without(this._anyListeners, listener);
    return this;
  }

  /**
   * The listeners added with `onAny()`: the list itself, which may be changed.
   *
   * @public
   * @returns {Function[]}
   */
  listenersAny() {
    return this._anyListeners || [];
  }

  /**
   * Adds a listener for all events that go out, emitted or broadcast; acknowledgements are none.
   *
   * @public
   * @param {(event: string, ...args: any[]) => void} listener
   * @returns {this}
   */
  onAnyOutgoing(listener) {
    (this._anyOutgoingListeners ??= []).push(listener);
    this._tellOutgoingListeners();
    return this;
  }

  /**
   * As `onAnyOutgoing()`, in front of those added before.
   *
   * @public
   * @param {(event: string, ...args: any[]) => void} listener
   * @returns {this}
   */
  prependAnyOutgoing(listener) {
    (this._anyOutgoingListeners ??= []).unshift(listener);
    this._tellOutgoingListeners();
    return this;
  }

  /**
   * Removes a listener added with `onAnyOutgoing()`.
   *
   * @public
   * @param {Function} [listener] - none means all
   * @returns {this}
   */
  offAnyOutgoing(listener) {
    this._anyOutgoingListeners = without(this._anyOutgoingListeners, listener);
    this._tellOutgoingListeners();
    return this;
  }

  /**
   * Has the namespace know whether broadcasts are to be told to this socket.
   *
   * @private
   */
  _tellOutgoingListeners() {
    const { _listeningSockets: listening } = this.nsp;
    if (this._hasNoOutgoingListeners()) {
      listening.delete(this);
    } else if (this.join !== ignore) {
      // the namespace still has it
      listening.add(this);
    }
  }

  /**
   * The listeners added with `onAnyOutgoing()`: the list itself, which may be changed.
   *
   * @public
   * @returns {Function[]}
   */
  listenersAnyOutgoing() {
    return this._anyOutgoingListeners || [];
  }

  /**
   * Called by `emit()`, and by adapters for every socket that a broadcast reaches.
   *
   * @private
   */
  notifyOutgoingListeners(packet) {
    callAll(this._anyOutgoingListeners, this, packet.data);
  }

  /** @private */
  newBroadcastOperator() {
    return new BroadcastOperator(this.adapter, NO_ROOMS, new Set([this.id]), this._takeFlags());
  }

  /** Flags hold for one packet. */
  _takeFlags() {
    const flags = this._flags ?? {};
    this._flags = undefined;
    return flags;
  }

  /** A Set of the id, which many packets that are remembered can share. @private */
  _roomOfItsOwn() {
    if (mayAddRooms(this.adapter)) {
      return new Set([this.id]);
    }
    if (this._ownRoom?.has(this.id) !== true) {
      this._ownRoom = new Set([this.id]);
    }
    return this._ownRoom;
  }

  /** @private */
  _canWriteDirectly() {
    return this.packet === longWay.packet && this.client._canWriteDirectly();
  }

  /** @private */
  _hasNoOutgoingListeners() {
    return (
      this.notifyOutgoingListeners === longWay.notifyOutgoingListeners &&
      (this._anyOutgoingListeners === undefined || this._anyOutgoingListeners.length === 0)
    );
  }
}

/**
 * Whether the state of the connection was recovered: the socket has the id, rooms and data of before, and the packets
 * that it has missed were sent. On the prototype, since it is false for nearly all.
 *
 * @public
 * @type {boolean}
 */
Socket.prototype.recovered = false;

/** The methods as they are defined here; a socket on which one of them is another one gets no short cut. */
const { _onpacket, onevent, onack, dispatch, run, packet, notifyOutgoingListeners } = Socket.prototype;
const longWay = { _onpacket, onevent, onack, dispatch, run, packet, notifyOutgoingListeners };

module.exports = { Socket };

function disconnectedError() {
  return new Error("socket has been disconnected");
}

/** The same as `Conn.flushed()` for a connection that is not ours. */
function whenDrained(conn) {
  if (conn.writeBuffer.length === 0 && conn.transport.writable) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const settle = (then) => () => {
      conn.removeListener("drain", onDrain);
      conn.removeListener("close", onClose);
      then();
    };
    const onDrain = settle(resolve);
    const onClose = settle(reject);
    conn.on("drain", onDrain);
    conn.on("close", onClose);
  });
}

function ignore() {}

function eventPacket(data, id) {
  const packet = { type: PacketType.EVENT, data };
  if (id !== undefined) {
    packet.id = id;
  }
  return packet;
}

/** Calls catch-all listeners; those added or removed by one of them do not count. */
function callAll(listeners, socket, args) {
  if (listeners !== undefined && listeners.length !== 0) {
    for (const listener of listeners.slice()) {
      listener.apply(socket, args);
    }
  }
}

/** Removes a listener from its list, or gives an empty list if none is named. */
function without(listeners, listener) {
  if (listeners === undefined || !listener) {
    return listeners && [];
  }
  const at = listeners.indexOf(listener);
  if (at !== -1) {
    listeners.splice(at, 1);
  }
  return listeners;
}
