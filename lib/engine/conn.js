"use strict";

const createDebug = require("debug");
const codes = require("../native/codes");
const { WAITING, RECEIVED, SENT, ROUND_TRIP, SINCE, HEARTBEAT, BEHIND } = require("../native/figures");
const { VOLATILE, COMPRESS, NOTIFY, toMessage, wholeText } = require("../native/commands");
const { callApart } = require("../native/event-queue");
const { detach } = require("../native/text");
const { TEXT, forEachFrame } = require("./transports/frame");
const { corsLines, originIn } = require("./cors");
const { nameOfRate } = require("./limits");
const { Listened } = require("./listened");
const { replaceable } = require("./replaceable");
const { PACKET_NAMES, Polling, TravellingPolling } = require("./transports/polling");
const { parseQuery } = require("./query");
const { lengthOf, remakeRequest } = require("../node/request");
const { setBytesRead } = require("../node/taken-socket");
const { reportRefusal } = require("./takeover");
const { WebSocket } = require("./transports/websocket");

const debug = createDebug("engine:socket");

/** Bits that ask for an event at each packet received, or sent, that is not a message. */
const { WATCH_RECEIVED, WATCH_SENT } = codes.flags;

/** Limits that a session may come to. */
const { EXPIRY, AGE, PACKETS, BYTES } = codes.limits;

/** A third one, for this side only: somebody listens to messages. */
const WATCH_MESSAGES = 4;

/** Stands among the callbacks for "what somebody was told of has left". */
const DRAINED = Symbol("drained");

/** Of a callback: what is called instead when the session ends before. */
const kFailed = Symbol("failed");

/** The flags of a packet that waits. */
const kFlags = Symbol("flags");

/** The request that the session began with, as an own property: applications replace and delete it. */
const REQUEST = {
  configurable: true,
  enumerable: true,
  get() {
    if (this._request === undefined && this._rawRequest !== undefined) {
      const isPolling = this._origin !== undefined;
      const { socket } = isPolling ? this._origin : this._stream;
      const request = remakeRequest(this._rawRequest, socket, !isPolling);
      request._query = parseQuery(request.url);
      if (!isPolling) request.websocket = this.transport.socket;
      // what Node has not read itself
      if (socket.bytesRead === 0) setBytesRead(socket, lengthOf(request));
      this._request = request;
      this._rawRequest = undefined;
    }
    return this._request;
  },
  set(request) {
    // what sockets tell of the request is read when it is first asked for
    this._client?._keepHandshakes();
    this._request = request;
    this._rawRequest = undefined;
  },
};

/**
 * An Engine.IO session, as applications see it: `socket.conn`. The session itself lives in a native worker.
 *
 * Emits `packet`, `packetCreate`, `data`, `message`, `heartbeat`, `upgrading`, `upgrade`, `flush`, `drain` and
 * `close` (reason, description).
 */
class Conn {
  /**
   * @param {string} id - the session id
   * @param {Server} server
   * @param {IncomingMessage|null} req - the request that the session begins with; WebTransport knows none
   * @param {string} transport - "polling", "websocket" or "webtransport"
   * @param {number} protocol - the revision of the protocol that the client speaks, 3 or 4
   * @param {number|undefined} stream - a byte stream whose worker the session must be on
   * @param {boolean} travels - whether its requests may come past Node's HTTP server
   */
  constructor(id, server, req, transport, protocol, stream, travels = stream !== undefined) {
    this.id = id;
    this.server = server;
    /** The request that the session began with; undefined once it was dropped, to be made again from `_rawRequest`. */
    this._request = req;
    this._rawRequest = undefined;
    Object.defineProperty(this, "request", REQUEST);
    this.protocol = protocol;
    this.remoteAddress = req?.socket.remoteAddress;
    this.upgrading = false;
    this.upgraded = false;
    this._readyState = "open";
    this._handle = server._register(this, stream);
    server._counts.connects.add(transport);
    server._traces?.note(this, "opened", { transport, protocol });
    /** The Socket.IO client that messages go to directly. */
    this._client = null;
    /** The byte stream of the WebSocket that was opened last. */
    this._stream = undefined;
    /** What is known of the connection of the first request, if that came past Node's HTTP server and did not become ours. */
    this._origin = undefined;
    this._polling = transport === "polling" ? makePolling(this, req, travels) : undefined;
    this._transport = undefined;
    this._callbacks = undefined;
    this._watched = 0;
  }

  /** "open", "closing" or "closed". */
  get readyState() {
    return this._readyState;
  }

  set readyState(state) {
    if (debug.enabled) debug("readyState updated from %s to %s", this._readyState, state);
    this._readyState = state;
  }

  /** The transport in use: see `Transport`. */
  get transport() {
    return this._polling ?? (this._transport ??= new WebSocket(this));
  }

  /** The name of that, without making it. @private */
  get _transportName() {
    return this._polling !== undefined ? "polling" : (this._transport?.name ?? "websocket");
  }

  /**
   * Packets that wait for a GET of the client, or behind others for which its WebSocket has had no room. What the latter have
   * in them the worker keeps to itself, unless somebody listens to what is sent.
   */
  get writeBuffer() {
    return this.transport.writeBuffer;
  }

  /** How many packets wait in the worker behind others that the WebSocket has had no room for. @private */
  get _packetsBehind() {
    return this._readyState === "closed" ? 0 : this._figure(BEHIND);
  }

  /** Callbacks of messages that have not left; two lists, of which the first is all that is needed here. */
  get packetsFn() {
    return this._callbacks?.filter((callback) => callback !== DRAINED && !(kFailed in callback)) ?? [];
  }

  get sentCallbackFn() {
    return [];
  }

  /**
   * Bytes that wait because the client has not read what was sent before, as of the last write; or, while it polls, for its
   * next GET. What was sent in this turn of the event loop may not be known yet: see `flushed()`.
   */
  get bufferedAmount() {
    return this._readyState === "closed" ? 0 : this._figure(WAITING);
  }

  /** Bytes that the client has sent: of WebSockets with frames, of POSTs their bodies. */
  get bytesRead() {
    return this._figure(RECEIVED);
  }

  /** Bytes that the client was sent: of WebSockets with frames, of the answers to GETs their bodies. */
  get bytesWritten() {
    return this._figure(SENT);
  }

  /** Milliseconds that the last ping took to be answered; `undefined` before the first. */
  get roundTripTime() {
    return this._figure(ROUND_TRIP) || undefined;
  }

  /** When the client's last heartbeat came, in milliseconds since 1970; `undefined` before the first. */
  get lastHeartbeatAt() {
    return this._figure(HEARTBEAT) || undefined;
  }

  /**
   * The status with which the client has closed its WebSocket (RFC 6455 section 7.1.5): 1005 is a Close frame without one, 1006
   * a connection that broke off without such a frame. `undefined` if the client has not, or not over a WebSocket.
   */
  get closeCode() {
    return this._closeCode || undefined;
  }

  /** When the session began, in milliseconds since 1970; `undefined` before the worker has it. */
  get connectedAt() {
    return this._figure(SINCE) || undefined;
  }

  /** The Socket.IO client, however messages go to it. @private */
  get _owner() {
    return this._client ?? this._holder;
  }

  /** Has the worker tell of a time, in milliseconds since 1970: see `Client._onExpiry()`. @private */
  _expireAt(time) {
    if (this._readyState === "closed") return;
    this.server._bridge.commands.expire(this._handle, Math.ceil(time - Date.now()));
  }

  /** Sets what holds for events of a namespace while its client does not read: see `ruleOf()`. @private */
  _setRule(namespace, rule) {
    if (this._readyState === "closed") return;
    this.server._holdLimit = Math.min(this.server._holdLimit, rule.maxBytes);
    this.server._bridge.commands.slowConsumer(this._handle, namespace, rule);
  }

  /** The session has come to one of its limits. @private */
  _onLimit(limit, pause, isTold) {
    if (this._readyState !== "open") return;
    if (limit === PACKETS || limit === BYTES) return this._onTraffic(limit, pause, isTold);
    const client = this._owner;
    const { maxSessionAge, maxIdleTime } = this.server.opts;
    if (limit === EXPIRY) {
      client?._onExpiry();
    } else if (limit === AGE) {
      // its client comes back with another one
      this.server._onLimit(this, "maxSessionAge");
      this._close(false, limited("maxSessionAge", `the session is older than ${maxSessionAge} ms`));
    } else {
      this.server._onLimit(this, "maxIdleTime");
      const why = limited("maxIdleTime", `there has been no message for ${maxIdleTime} ms`);
      if (client) client._disconnect(why);
      else this._close(false, why);
    }
  }

  /**
   * The client sends more than it may: nothing is read of it for so many milliseconds. Where JavaScript reads, the worker tells
   * when that is over, with 0.
   */
  _onTraffic(limit, pause, isTold) {
    const { server } = this;
    const name = nameOfRate(limit);
    if (!isTold) server._onLimit(this, name);
    if (server._limits.action === "close") {
      this._why = limited(name, `the client has sent more than limits.${name} allows`);
    } else if (this._stream?.isPumped) {
      if (pause > 0) this._stream.holdUp();
      else if (isTold) this._stream.letGo();
    }
  }

  /** What the client sends is not limited any more, see the option `limits`. */
  exempt() {
    if (this._readyState !== "closed") this.server._bridge.commands.exempt(this._handle);
  }

  /**
   * What has happened to it, with the option `trace`: how it began, and the last things.
   * @returns {import("./trace").Step[]}
   */
  trace() {
    return this.server._traces?.of(this) ?? [];
  }

  /** What the worker knows of the session: until everybody has heard of its end, its place is not another's. @private */
  _figure(figure) {
    const { conns, figures } = this.server._bridge;
    return conns.get(this._handle) === this ? figures.read(this._handle, figure) : 0;
  }

  /**
   * Waits until all that was sent has been handed to the network: whoever sends much, and waits in between, piles up nothing.
   * @returns {Promise<void>} rejected if the session ends before
   */
  flushed() {
    return new Promise((resolve, reject) => {
      if (this._readyState !== "open") return reject(endedError());
      this._tellOf(this._release());
      const callback = () => resolve();
      callback[kFailed] = () => reject(endedError());
      (this._callbacks ??= []).push(callback);
      this.server._bridge.commands.tellSent(this._handle);
    });
  }

  /**
   * Sends a message.
   * @param {string|Buffer|ArrayBuffer|ArrayBufferView} data
   * @param {object} options - compress (default true), volatile
   * @param {function(Transport)} callback - called when the message has left
   * @returns {Conn}
   */
  send(data, options, callback) {
    if (typeof options === "function") {
      callback = options;
      options = undefined;
    }
    if (this._readyState !== "open") return this;
    let flags = flagsOf(options);
    if (typeof callback === "function") {
      flags |= NOTIFY;
      (this._callbacks ??= []).push(callback);
    }
    const frame = options?.wsPreEncodedFrame;
    if (frame !== undefined && this._polling === undefined && !this.server.opts.perMessageDeflate) {
      data = messageOf(frame);
    }
    data = toMessage(data);
    this._write(typeof data === "string" ? wholeText(data) : data, flags, options);
    return this;
  }

  /** The same as `send`. */
  write(data, options, callback) {
    return this.send(data, options, callback);
  }

  /**
   * Closes the session.
   * @param {boolean} discard - whether to end it even if the client cannot be told
   */
  close(discard) {
    this._close(discard);
  }

  /** The same, with what more there is to say. @private */
  _close(discard, description) {
    if (this._readyState === "closed" || (this._readyState === "closing" && !discard)) return;
    // over polling, the client has to be waited for if no GET is at hand: the worker tells
    const isAtOnce = !!discard || this._polling === undefined || this._polling.canAnswer;
    this.readyState = "closing";
    this._polling?.abortPost();
    if (!discard) this._tellOf(this._release());
    this.server._bridge.commands.close(this._handle, isAtOnce);
    if (isAtOnce) this._end("forced close", description);
    else if (description !== undefined) this._why = description;
  }

  /**
   * Ends the session, as if its transport had failed.
   * @param {Error} err
   */
  onError(err) {
    this.onClose("transport error", err);
  }

  /**
   * Ends the session for a reason of the caller's.
   * @param {string} reason
   * @param {any} description - what more there is to say
   */
  onClose(reason, description) {
    if (this._readyState === "closed") return;
    this._polling?.keepWaiting();
    this.readyState = "closed";
    this.server._bridge.commands.drop(this._handle);
    this._polling?.abandon();
    this._finish(reason, description);
  }

  /** Listeners have come or gone: the worker reports what somebody listens to. @private */
  _onListeners() {
    const events = this._events;
    if (events === undefined || this._readyState === "closed") return;
    let watched = 0;
    if (events.heartbeat !== undefined || events.packet !== undefined) watched |= WATCH_RECEIVED;
    if (events.packet !== undefined || events.data !== undefined || events.message !== undefined) {
      watched |= WATCH_MESSAGES;
    }
    if (events.packetCreate !== undefined || events.flush !== undefined || events.drain !== undefined) {
      watched |= WATCH_SENT;
    }
    this._watch(watched);
  }

  /** @private */
  _watch(watched) {
    const before = this._watched;
    if (watched === before) return;
    const { server } = this;
    this._watched = watched;
    server._watchedConns += ((watched & WATCH_SENT) - (before & WATCH_SENT)) / WATCH_SENT;
    server._road.check();
    const reported = watched & ~WATCH_MESSAGES;
    if (this._readyState === "closed" || reported === (before & ~WATCH_MESSAGES)) return;
    server._bridge.commands.watch(this._handle, reported);
    // what the client sends from now on is to be seen
    server._bridge.commands.flush();
  }

  /** Makes messages go to a Socket.IO client without the detour over events. @private */
  _bindClient(client) {
    this._client = client;
  }

  /** Whether it is known here what waits for a GET. @private */
  get _keepsAccounts() {
    return this._polling !== undefined && !this._polling.isTravelling;
  }

  /** Sends a message; if it is text, it does not end with half a character. @private */
  _write(data, flags, options) {
    if (this._keepsAccounts || this.server._isWatched()) {
      this._writeObserved(data, flags, options);
    } else if (typeof data === "string") {
      this.server._bridge.commands.send(this._handle, data, flags);
    } else {
      this.server._bridge.commands.sendBuffer(this._handle, data, flags);
    }
  }

  /**
   * Sends what a parser has made of a Socket.IO packet: one message after the other, or none if it is volatile.
   * @private
   */
  _writePackets(packets, opts) {
    if (this._readyState !== "open") return;
    let flags = flagsOf(opts);
    if (!Array.isArray(packets)) {
      const message = toMessage(packets);
      this._write(typeof message === "string" ? wholeText(message) : message, flags);
    } else if (this._keepsAccounts || this.server._isWatched()) {
      if (opts.volatile && !this.transport.writable) return;
      // the worker could drop some packets of several, and not the others
      if (packets.length > 1) flags &= ~VOLATILE;
      for (const packet of packets) this._writeObserved(toMessage(packet), flags, opts);
    } else if (opts.volatile && packets.length > 1 && this._polling !== undefined) {
      if (this.transport.writable) {
        this.server._bridge.commands.sendPackets(this._handle, packets, flags & ~VOLATILE);
      }
    } else if (opts.preEncoded) {
      // an adapter hands the same array to all recipients of a broadcast
      this.server._bridge.commands.sendShared(this._handle, packets, flags);
    } else {
      this.server._bridge.commands.sendPackets(this._handle, packets, flags);
    }
  }

  /** Sends a packet that is one text, as `_writePackets()` does; it does not end with half a character. @private */
  _writeText(text, opts) {
    if (this._keepsAccounts || this.server._isWatched()) {
      this._writePackets([text], opts);
    } else {
      this.server._bridge.commands.send(this._handle, text, flagsOf(opts));
    }
  }

  /** Sends a message while somebody may listen to what is sent. @private */
  _writeObserved(data, flags, options = {}) {
    options.compress = (flags & COMPRESS) !== 0;
    const packet = { type: "message", options, data };
    this.emit("packetCreate", packet);
    if (this._polling === undefined) {
      this._writeHeld(packet, flags);
      return;
    }
    const leaves = this._polling.writable;
    this._submit(packet.data, flags);
    if (leaves) {
      this._polling.isAnswered = true;
      this._emitFlush([packet]);
    } else {
      this._polling.waiting.push(packet);
    }
  }

  /** Sends a packet over the WebSocket, when those before it have left. @private */
  _writeHeld(packet, flags) {
    const { transport, server } = this;
    packet[kFlags] = flags;
    transport.waiting.push(packet);
    if (!transport.isSending) {
      this._flushHeld();
      return;
    }
    server._holding.add(this);
    transport.held += packet.data.byteLength ?? packet.data.length;
    // what is too much is for the worker to decide
    if (transport.held > server._holdLimit) this._release();
  }

  /** Sends the packets that wait, and tells whoever listens. They have left when the worker says so. @private */
  _flushHeld() {
    const packets = this._release();
    if (packets.length !== 0) this.transport.isSending = true;
    this._tellOf(packets);
  }

  /** @private */
  _tellOf(packets) {
    if (packets.length !== 0) this._emitFlush(packets);
  }

  /** Hands the packets that wait over. The last one asks to be told of. @private */
  _release() {
    const { _transport: transport } = this;
    if (this._polling !== undefined || transport === undefined || transport.waiting.length === 0) return [];
    const packets = transport.waiting;
    transport.waiting = [];
    transport.held = 0;
    this.server._holding.delete(this);
    for (const packet of packets) this._submit(packet.data, packet[kFlags]);
    (this._callbacks ??= []).push(DRAINED);
    this.server._bridge.commands.tellSent(this._handle);
    return packets;
  }

  /** Sends a message that nobody is told of. @private */
  _sendUnseen(data, options) {
    if (this._readyState !== "open") return;
    this._submit(toMessage(data), flagsOf(options));
  }

  /** Hands a message of any kind over. @private */
  _submit(data, flags) {
    const { commands } = this.server._bridge;
    if (typeof data === "string") commands.send(this._handle, wholeText(data), flags);
    else commands.sendBuffer(this._handle, data, flags);
  }

  /** Tells whoever listens that packets have left. @private */
  _emitFlush(packets) {
    this.emit("flush", packets);
    this.server.emit("flush", this, packets);
    this.emit("drain");
    this.server.emit("drain", this);
  }

  /** A Socket.IO packet whose header the worker has read. @private */
  _onPacket(text, start, end, body, type, namespace, id) {
    if (this._readyState !== "open") return;
    if ((this._watched & WATCH_MESSAGES) !== 0) {
      callApart(this._emitMessage, this, detach(text.slice(start, end)), () =>
        this._client?._onText(type, namespace, id, text.slice(body, end)),
      );
    } else {
      this._client?._onText(type, namespace, id, text.slice(body, end));
    }
  }

  /** A message that is not a Socket.IO packet of the usual form. @private */
  _onMessage(data) {
    if (this._readyState !== "open") return;
    // a packet that is nothing but its type has no data
    if (data === "") data = undefined;
    if ((this._watched & WATCH_MESSAGES) !== 0) {
      if (typeof data === "string") data = detach(data);
      this._emitMessage(data, () => this._client?._onRaw(data));
    } else {
      this._client?._onRaw(data);
    }
  }

  /** Tells whoever listens of a message; the client comes when its own listener would. @private */
  _emitMessage(data, tellClient) {
    this.emit("packet", data === undefined ? { type: "message" } : { type: "message", data });
    tellClient();
    this.emit("data", data);
    this.emit("message", data);
  }

  /** A packet other than a message was received or sent, and somebody may listen. @private */
  _onControl(digit, data, sent) {
    if (this._readyState !== "open") return;
    const packet = { type: PACKET_NAMES[digit] };
    if (data !== "") packet.data = data;
    if (sent) {
      packet.options = { compress: true };
      this.emit("packetCreate", packet);
      this._emitFlush([packet]);
    } else {
      this.emit("packet", packet);
      if (packet.type === (this.protocol === 3 ? "ping" : "pong")) this.emit("heartbeat");
    }
  }

  /** @private */
  _onSent() {
    const callback = this._callbacks?.shift();
    if (callback !== DRAINED) {
      callback?.(this.transport);
    } else if (!this._callbacks.includes(DRAINED)) {
      this._transport.isSending = false;
      this._flushHeld();
    }
  }

  /** @returns {boolean} whether there are the threads that it takes @private */
  _openPolling(req) {
    const { server } = this;
    this._polling.open(req);
    server._bridge.commands.flush();
    const initial = server._initialMessage();
    try {
      server._bridge.native.openPolling(
        this._handle,
        revisionOf(req),
        this.id,
        server.upgrades("polling"),
        initial,
        this._polling.isTravelling ? travellerOf(server, req) : undefined,
      );
    } catch (error) {
      reportRefusal(error);
      this._polling.refuse();
      this._polling = undefined;
      this._abandon();
      return false;
    }
    return true;
  }

  /** Whether another transport may take over. @private */
  _canUpgrade() {
    return !this.upgrading && !this.upgraded && this.transport.name === "polling";
  }

  /** A WebSocket wants to take over. @private */
  _beginUpgrade() {
    debug('might upgrade socket transport from "polling" to "websocket"');
    this.upgrading = true;
  }

  /** The WebSocket has been probed. @private */
  _onUpgrading() {
    if (this._readyState !== "open") return;
    this._polling.probe = this._stream.transport ?? new WebSocket(this);
    this.emit("upgrading", this._polling.probe);
  }

  /** The WebSocket has taken over. @private */
  _onUpgraded() {
    this.upgrading = false;
    if (this._readyState === "closed") return;
    this.upgraded = true;
    this.server._counts.upgrades++;
    this.server._traces?.note(this, "upgraded");
    const polling = this._polling;
    polling.retire();
    this._polling = undefined;
    this._transport = polling.probe ?? this._stream.transport;
    polling.discard();
    polling._end();
    this.emit("upgrade", this.transport);
    if (polling.waiting.length !== 0) this._emitFlush(polling.waiting);
  }

  /** The WebSocket did not take over. @private */
  _onUpgradeFailed() {
    debug("client did not complete upgrade");
    this.server._traces?.note(this, "upgrade failed");
    this.upgrading = false;
    this._endProbe();
  }

  /** @private */
  _endProbe() {
    const probe = this._polling?.probe;
    if (probe === undefined) return;
    this._polling.probe = undefined;
    probe.discard();
    probe._end();
  }

  /** The application closes a transport. @private */
  _closeTransport(transport) {
    // the transport that probes ends with its session only: see src/protocol/session/upgrade.rs
    if (transport !== this.transport) return;
    const isTold = this._polling?.canAnswer === true;
    const isAtOnce = transport.discarded || this._polling === undefined || isTold;
    this.server._bridge.commands.close(this._handle, isAtOnce);
    if (isTold) this._end("transport close");
  }

  /** The session has ended in the worker. @private */
  _onNativeClose(reason, message, closeCode) {
    if (closeCode !== 0) this._closeCode = closeCode;
    let description;
    if (reason === "parse error" && this._readyState === "open") {
      this.emit("packet", { type: "error", data: "parser error" });
    }
    if (reason === "transport error") {
      description = message === "invalid heartbeat direction" ? new Error(message) : transportError(message);
      if (this._why !== undefined) Object.assign(description, this._why);
    }
    description ??= this._why;
    if (reason === "forced close" && this.transport._isClosing) reason = "transport close";
    this._end(reason, description);
  }

  /** A fault that was found on this side ends the session. @private */
  _fail(message) {
    this.onError(transportError(message));
  }

  /** The session never began: its connection could not be taken over. @private */
  _abandon() {
    const { server } = this;
    if (this._polling !== undefined) return;
    this._readyState = "closed";
    server._unregister(this);
    server._bridge.conns.remove(this._handle);
  }

  /** @private */
  _end(reason, description) {
    if (this._readyState === "closed") return;
    this.readyState = "closed";
    this._finish(reason, description);
  }

  /** Tells of the end. @private */
  _finish(reason, description) {
    const callbacks = this._callbacks;
    this._callbacks = undefined;
    callbacks?.forEach((callback) => callback[kFailed]?.());
    this._watch(0);
    this.server._unregister(this);
    this.server._counts.disconnects.add(reason);
    this._client?.onclose(reason, description);
    this.server._traces?.end(this, reason, description);
    this._endProbe();
    // its end is to be read
    this._stream?.letGo();
    this.server._holding.delete(this);
    // listeners may want to see what has not been sent
    const transport = this._polling ?? this._transport;
    if (transport !== undefined && transport.writeBuffer.length !== 0) process.nextTick(forget, transport);
    transport?._end(reason === "transport error" ? description : undefined);
    this.emit("close", reason, description);
  }
}

// applications may keep something of their own under such a name
for (const name of [
  "bufferedAmount",
  "bytesRead",
  "bytesWritten",
  "roundTripTime",
  "lastHeartbeatAt",
  "closeCode",
  "connectedAt",
]) {
  replaceable(Conn.prototype, name);
}

/** The Socket.IO client where messages do not go to it directly, as with a custom parser. */
Conn.prototype._holder = undefined;

/** As of `closeCode`; 0 if there is none. */
Conn.prototype._closeCode = 0;

/** What there is to say of its end, if that is under way. */
Conn.prototype._why = undefined;

// not by "extends": an emitter that nobody has listened to needs nothing of its own
Object.setPrototypeOf(Conn.prototype, Listened);

/** What the workers have to know of a session whose requests may come past Node's HTTP server. */
function travellerOf(server, req) {
  const origin = originIn(req.rawHeaders);
  return { origin, cors: corsLines(server, origin) };
}

function makePolling(conn, req, travels) {
  return travels ? new TravellingPolling(conn) : new Polling(conn, req);
}

/** What applications get as the description of a "transport error". */
function transportError(message) {
  const error = new Error(message);
  error.type = "TransportError";
  error.description = undefined;
  return error;
}

/** What there is to say of the end of a session that has come to a limit. */
function limited(limit, description) {
  return { description, context: { limit } };
}

function endedError() {
  return new Error("the session has ended");
}

function flagsOf(options) {
  return (options?.compress === false ? 0 : COMPRESS) | (options?.volatile ? VOLATILE : 0);
}

/**
 * The message in a WebSocket frame that an adapter has made for all recipients of a broadcast.
 * @param {Buffer[]} frame - the parts of an unmasked frame
 * @returns {string|Buffer}
 */
function messageOf(frame) {
  let message;
  forEachFrame(Buffer.concat(frame), (opcode, payload) => {
    // a text begins with the type of the packet
    message = opcode === TEXT ? payload.toString("utf8", 1) : payload;
  });
  return message;
}

function forget(transport) {
  transport.waiting = [];
}

/** Is added to a revision if the client wants binary data as base64. */
const BASE64 = 8;

/** The revision of the protocol as the native engine wants it. */
function revisionOf(req) {
  const revision = req._query.EIO === "4" ? 4 : 3;
  return req._query.b64 ? revision + BASE64 : revision;
}

module.exports = { Conn, limited, revisionOf };
