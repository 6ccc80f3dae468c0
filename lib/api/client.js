"use strict";

const debug = require("debug")("socket.io:client");
const { COMPRESS } = require("../native/commands");
const { callApart } = require("../native/event-queue");
const { detach } = require("../native/text");
const { onExpiry } = require("./expiry");
const packets = require("./packet");

const { PacketType, parsePayload } = packets;
const { CONNECT, EVENT, ACK, CONNECT_ERROR } = PacketType;

/**
 * A connection, and the sockets that share it: one per namespace.
 *
 * Packets come in by one of two ways. Any connection emits "data", and the decoder makes packets of it. Of our own one,
 * with the default parser, the workers have read the headers of packets already: it has a method `_bindClient(client)`, and
 * then calls `_onText` with such packets, `_onRaw` with any other message, and `onclose`, without the detour over events.
 *
 * Packets are dealt with one tick after they have arrived, and the listeners of events called one tick later still. The
 * first of the two is counted on whoever calls the entry points, once for a batch of messages; on the other way it is here.
 *
 * @private
 */
class Client {
  /**
   * @param {import("./server").Server} server
   * @param {object} conn - the Engine.IO session, {@link import("../engine/server")}'s or one with the same interface
   */
  constructor(server, conn) {
    this.server = server;
    this.conn = conn;
    this.encoder = server.encoder;
    this.id = conn.id;
    /**
     * The socket, while there is one and nobody has looked at the Maps; then these have it, and this is undefined. Most
     * clients use one namespace, and never have Maps.
     */
    this._onlySocket = undefined;
    this._socketsById = undefined;
    this._socketsByNamespace = undefined;
    /** Sockets that were removed during the current tick: packets for them may follow in the batch, and are ignored. */
    this._departed = undefined;
    this._decoder = undefined;
    /** What the decoder has just completed, on its way out of `_onRaw()`. */
    this._decoded = undefined;
    /** Where the client waits to join its first namespace, see {@link import("./connect-queue")}. */
    this._connectLine = undefined;
    this._isDestroyed = false;
    /** Whether the connection is one of our engine, and whether it calls the entry points, instead of emitting events. */
    this._isNative = typeof conn._bindClient === "function";
    this._isDirect = this._isNative && server._parser === packets;
    this.setup();
  }

  /**
   * The request that opened the connection.
   *
   * @public
   * @type {import("node:http").IncomingMessage}
   */
  get request() {
    return this.conn.request;
  }

  /** The sockets by id. */
  get sockets() {
    this._makeMaps();
    return this._socketsById;
  }

  /** The sockets by the name of their namespace. */
  get nsps() {
    this._makeMaps();
    return this._socketsByNamespace;
  }

  /** Something as long as the client has joined no namespace and is going to be closed for it; otherwise undefined. */
  get connectTimeout() {
    return this._connectLine;
  }

  set connectTimeout(value) {
    if (!value) {
      this._stopConnectTimeout();
    }
  }

  get decoder() {
    if (this._decoder === undefined) {
      this.ondecoded = this.ondecoded.bind(this);
      this._decoder = new this.server._parser.Decoder();
      this._decoder.on("decoded", this.ondecoded);
    }
    return this._decoder;
  }

  setup() {
    const { conn, server } = this;
    if (this._isDirect) {
      conn._bindClient(this);
    } else {
      this.ondata = this.ondata.bind(this);
      this.onerror = this.onerror.bind(this);
      this.onclose = this.onclose.bind(this);
      conn.on("data", this.ondata);
      conn.on("error", this.onerror);
      conn.on("close", this.onclose);
      if (this._isNative) conn._holder = this;
    }
    this._connectLine = server._connectQueue.add(this, server._connectTimeout);
  }

  /**
   * Joins a namespace, which may have to be created.
   *
   * @param {string} name
   * @param {object} [auth] - the payload of the CONNECT packet
   */
  connect(name, auth) {
    if (!this._mayJoin(name)) {
      this._packet({ type: CONNECT_ERROR, nsp: detach(name), data: { message: "Too many namespaces" } });
      return;
    }
    this._names?.add(detach(name));
    if (this.server._nsps.has(name)) {
      this.doConnect(name, auth);
      return;
    }
    auth ??= {};
    name = detach(name);
    this.server._checkNamespace(name, auth, (namespace) => {
      if (namespace) {
        this.doConnect(name, auth);
      } else {
        debug("there is no namespace %s", name);
        this._names?.delete(name);
        this._packet({ type: CONNECT_ERROR, nsp: name, data: { message: "Invalid namespace" } });
      }
    });
  }

  /** Whether the client may join one more namespace. */
  _mayJoin(name) {
    const { server } = this.conn;
    const most = server?._limits?.namespaces ?? Infinity;
    if (most === Infinity) return true;
    this._names ??= new Set();
    if (this._names.size < most || this._names.has(name)) return true;
    server._onLimit(this.conn, "namespaces");
    return false;
  }

  /**
   * Joins a namespace that exists.
   *
   * @param {string} name
   * @param {object} [auth]
   */
  doConnect(name, auth) {
    if (debug.enabled) {
      debug("joining namespace %s", name);
    }
    this.server.of(name)._add(this, auth, (socket) => {
      this._addSocket(socket);
      this._stopConnectTimeout();
    });
  }

  /**
   * Disconnects all the sockets and closes the connection.
   *
   * @param {object} [why] - what there is to say of it
   */
  _disconnect(why) {
    for (const socket of this._listSockets()) {
      if (why === undefined) socket.disconnect();
      else socket._disconnect(why);
    }
    this._forgetSockets();
    this.close();
  }

  /** The time may have come at which sockets are to be disconnected. */
  _onExpiry() {
    onExpiry(this);
  }

  /** Called by every socket that goes. */
  _remove(socket) {
    if (this._onlySocket === socket) {
      this._onlySocket = undefined;
    } else if (this._socketsById?.has(socket.id)) {
      const { nsp } = this._socketsById.get(socket.id);
      this._socketsById.delete(socket.id);
      this._socketsByNamespace.delete(nsp.name);
    } else {
      debug("socket %s is not known here", socket.id);
      return;
    }
    if (this._isDirect && !this._isDestroyed) {
      if (this._departed === undefined) {
        this._departed = [];
        process.nextTick(forgetDeparted, this);
      }
      this._departed.push(socket);
    }
  }

  /** Closes the connection. The sockets are told at once, not when the transport has done its part. */
  close() {
    if (this.conn.readyState === "open") {
      debug("closing the connection");
      this.conn.close();
      this.onclose("forced server close");
    }
  }

  /**
   * Sends a packet.
   *
   * @param {object} packet
   * @param {object} [opts]
   */
  _packet(packet, opts = {}) {
    if (this.conn.readyState !== "open") {
      if (debug.enabled) {
        debug("not sending %j, the connection is not open", packet);
      }
      return;
    }
    // adapters of old hand over what is encoded already
    this.writeToEngine(opts.preEncoded ? packet : this.encoder.encode(packet), opts);
  }

  /**
   * Sends what the encoder has made of a packet. Adapters call this with one array for all the recipients of a broadcast.
   *
   * @param {Array<string|Buffer>|string|Buffer} encodedPackets
   * @param {object} opts
   */
  writeToEngine(encodedPackets, opts) {
    if (this._isNative) {
      this.conn._writePackets(encodedPackets, opts);
      return;
    }
    if (opts.volatile && !this.conn.transport.writable) {
      debug("dropping a volatile packet, the transport is not ready");
      return;
    }
    if (Array.isArray(encodedPackets)) {
      for (const encoded of encodedPackets) {
        this.conn.write(encoded, opts);
      }
    } else {
      this.conn.write(encodedPackets, opts);
    }
  }

  /**
   * Sends text by the short cut. For those who have asked `_canWriteDirectly()` before.
   *
   * @param {string} text - an encoded packet without attachments
   * @param {object} [flags] - volatile, compress
   */
  _send(text, flags) {
    const { conn } = this;
    if (conn.readyState !== "open") {
      if (debug.enabled) {
        debug("not sending %s, the connection is not open", text);
      }
    } else if (!this._isNative) {
      if (flags === undefined) conn.write(text);
      else this.writeToEngine([text], { ...flags, compress: flags.compress !== false });
    } else if (flags === undefined) {
      conn._write(text, COMPRESS);
    } else {
      conn._writeText(text, flags);
    }
  }

  /**
   * Whether the short cut is the same as the long way: the parser is ours, and nobody has replaced a method. What nobody
   * is going to get is not encoded either.
   */
  _canWriteDirectly() {
    return (
      this.conn.readyState === "open" &&
      this.encoder.encode === encode &&
      this.encoder.replacer === undefined &&
      this._packet === longWay._packet &&
      this.writeToEngine === longWay.writeToEngine
    );
  }

  /**
   * Takes a packet without attachments, whose header the engine has parsed.
   *
   * @param {number} type - 0 to 6
   * @param {string} nsp
   * @param {number} id - the ack id, -1 without
   * @param {string} json - "" without
   */
  _onText(type, nsp, id, json) {
    if (this._isDestroyed) {
      return;
    }
    if (this._decoder !== undefined && this._decoder.pending !== undefined) {
      callApart(this._reject, this, new Error("got plaintext data when reconstructing a packet"));
      return;
    }
    let data;
    if (json !== "") {
      try {
        data = parsePayload(type, json);
      } catch (err) {
        callApart(this._reject, this, err);
        return;
      }
    }
    this._deliver(type, nsp, id, data);
  }

  /**
   * Takes a message that the engine has left as it is.
   *
   * @param {string|Buffer|undefined} data - Engine.IO has no empty messages, only messages without data
   */
  _onRaw(data) {
    if (this._isDestroyed) {
      return;
    }
    this.ondata(data);
    const packet = this._decoded;
    if (packet !== undefined) {
      this._decoded = undefined;
      this._receive(packet);
    }
  }

  /** Brings a packet to its socket: by the short cut if possible. */
  _deliver(type, nsp, id, data) {
    const socket = this._socketIn(nsp);
    if (socket !== undefined) {
      if (type === EVENT ? socket._receiveEvent(data, id) : type === ACK && socket._receiveAck(data, id)) {
        return;
      }
    }
    const packet = { type, nsp };
    if (id !== -1) {
      packet.id = id;
    }
    if (data !== undefined) {
      packet.data = data;
    }
    callApart(this._receive, this, packet);
  }

  /** Brings a packet to its socket. What a listener throws is not caught, as opposed to what goes wrong before. */
  _receive(packet) {
    let socket;
    try {
      socket = this._route(packet);
    } catch (err) {
      this._reject(err);
      return;
    }
    socket?._onpacket(packet);
  }

  /** Takes a message from the connection. */
  ondata(data) {
    try {
      this.decoder.add(data);
    } catch (err) {
      this._reject(err);
    }
  }

  /** Takes a packet from the decoder. */
  ondecoded(packet) {
    if (this._isDirect) {
      this._decoded = packet;
      return;
    }
    const socket = this._route(packet);
    if (socket !== undefined) {
      process.nextTick(callOnpacket, socket, packet);
    }
  }

  /**
   * Finds the socket that a packet is for. Looks after the packets that are for none: the wish to join a namespace, and
   * those that a client in its right mind would not send.
   */
  _route(packet) {
    let name = packet.nsp;
    let auth = packet.data;
    if (this.conn.protocol === 3) {
      [name, auth] = parseLegacyNamespace(packet.nsp);
    }
    const socket = this._socketIn(name);
    if (socket === undefined && packet.type === CONNECT) {
      this.connect(name, auth);
      return undefined;
    }
    if (socket === undefined || packet.type === CONNECT || packet.type === CONNECT_ERROR) {
      debug("a packet of type %d makes no sense now", packet.type);
      this.close();
      return undefined;
    }
    return socket;
  }

  /** A packet is malformed, or joining a namespace has failed with an exception. */
  _reject(err) {
    debug("invalid packet: %s", err);
    this.onerror(err);
  }

  /** Called by our connection before its request is replaced: what the sockets say of it stays as it was. */
  _keepHandshakes() {
    for (const socket of this._listSockets()) {
      socket._keepHandshake();
    }
  }

  /** The connection has failed, or the client does not follow the protocol. */
  onerror(err) {
    for (const socket of this._listSockets()) {
      socket._onerror(err);
    }
    this.conn.close();
  }

  /**
   * The connection is closed.
   *
   * @param {string} reason
   * @param {any} [description]
   */
  onclose(reason, description) {
    if (debug.enabled) {
      debug("closed: %s", reason);
    }
    // what the connection may still have to say no longer matters
    this.destroy();
    for (const socket of this._listSockets()) {
      socket._onclose(reason, description);
    }
    this._forgetSockets();
    this._decoder?.destroy();
  }

  /** Stops listening. */
  destroy() {
    this._isDestroyed = true;
    if (!this._isDirect) {
      this.conn.removeListener("data", this.ondata);
      this.conn.removeListener("error", this.onerror);
      this.conn.removeListener("close", this.onclose);
    }
    this._decoder?.removeListener("decoded", this.ondecoded);
    this._stopConnectTimeout();
  }

  /** Called when the client has joined no namespace in time. */
  _onConnectTimeout() {
    debug("no namespace was joined in time");
    this._connectLine = undefined;
    this.close();
  }

  _stopConnectTimeout() {
    if (this._connectLine !== undefined) {
      this._connectLine.deadlines.delete(this);
      this._connectLine = undefined;
    }
  }

  /** The socket in a namespace; also one that has left it during the current tick. */
  _socketIn(name) {
    const only = this._onlySocket;
    if (only !== undefined && only.nsp.name === name) {
      return only;
    }
    return this._socketsByNamespace?.get(name) ?? this._departed?.find((socket) => socket.nsp.name === name);
  }

  _addSocket(socket) {
    if (this._onlySocket === undefined && this._socketsById === undefined) {
      this._onlySocket = socket;
      return;
    }
    this._makeMaps();
    this._socketsById.set(socket.id, socket);
    this._socketsByNamespace.set(socket.nsp.name, socket);
  }

  _makeMaps() {
    if (this._socketsById !== undefined) {
      return;
    }
    this._socketsById = new Map();
    this._socketsByNamespace = new Map();
    const only = this._onlySocket;
    if (only !== undefined) {
      this._onlySocket = undefined;
      this._addSocket(only);
    }
  }

  _listSockets() {
    if (this._socketsById !== undefined) {
      return this._socketsById.values();
    }
    return this._onlySocket === undefined ? [] : [this._onlySocket];
  }

  _forgetSockets() {
    this._onlySocket = undefined;
    this._socketsById?.clear();
  }
}

const { encode } = packets.Encoder.prototype;

/** The methods as they are defined here, see `_canWriteDirectly()`. */
const { _packet, writeToEngine } = Client.prototype;
const longWay = { _packet, writeToEngine };

module.exports = { Client };

function callOnpacket(socket, packet) {
  socket._onpacket(packet);
}

function forgetDeparted(client) {
  client._departed = undefined;
}

/** Before version 5 of the protocol, the payload of a CONNECT packet was the query string of the namespace. */
function parseLegacyNamespace(nsp) {
  const { pathname, searchParams } = new URL(nsp, "https://socket.io");
  const auth = Object.create(null);
  for (const [key, value] of searchParams) {
    auth[key] = value;
  }
  return [pathname, auth];
}
