"use strict";

const { WebSocket: ClientWebSocket } = require("ws");
const { BINARY, CLOSE, FIN, TEXT } = require("../engine/transports/frame");
const { WAITING } = require("../native/figures");
const { COMPRESS, NOTIFY } = require("../native/commands");
const { errorOf } = require("./errors");
const { closePayload, payloadOf, sizeOf } = require("./payload");
const { isIterable } = require("./topics");

// taken before anybody can replace it by a fake timer
const { setImmediate } = require("timers");

const { CONNECTING, OPEN, CLOSING, CLOSED } = ClientWebSocket;
const STATES = ["CONNECTING", "OPEN", "CLOSING", "CLOSED"];

/** RFC 6455 section 5.2: opcodes that only WebSockets without Engine.IO have a use for. */
const CONTINUATION = 0;
const PING = 9;
const PONG = 10;

/** RFC 6455 section 7.1.5: the status of a Close frame that has none. */
const NO_STATUS = 1005;

/** RFC 6455 section 5.5: what a control frame may have in it, in bytes. */
const LONGEST_CONTROL = 125;

/** What ws is told of a WebSocket of a server: the rest is ours. */
const OF_SERVER = { autoPong: false };

const EMPTY = Buffer.alloc(0);

/**
 * A WebSocket. Those that are made with an address are clients, and all that they do is ws's own; those of a
 * `WebSocketServer` live in a worker, and have ws's API.
 *
 * Emits `open`, `message` (data, isBinary), `ping` and `pong` (data), `error` (error), `close` (code, reason).
 */
class WebSocket extends ClientWebSocket {
  /**
   * @param {string|URL|null} address - of the server; null: it is a server's
   * @param {string|string[]} [protocols] - subprotocols
   * @param {object} [options] - see ws
   */
  constructor(address, protocols, options) {
    super(address, protocols, address === null ? OF_SERVER : options);
    /** The server, once the connection is a worker's. */
    this._server = undefined;
    /** The number by which the worker knows the connection. */
    this._handle = -1;
    /** The last run of equal messages that it had one of, and what was sent in which turn: see `Commands.sendOften()`. */
    this._run = 0;
    this._turn = 0;
    this._turnBytes = 0;
    this._stream = undefined;
  }

  /**
   * The connection is a worker's from here on.
   * @param {WebSocketServer} server
   * @param {number} [stream] - the number of the connection, if a worker has it
   * @private
   */
  _begin(server, stream) {
    this._server = server;
    this._handle = server._bridge.conns.add(this, stream);
  }

  /** The handshake is done. @private */
  _open() {
    this._readyState = OPEN;
    this.emit("open");
  }

  /** The connection could not be taken over. @private */
  _abandon() {
    this._server._bridge.conns.remove(this._handle);
    this._isEnded = this._isReleased = true;
    this._readyState = CLOSED;
  }

  /** The socket of the connection, as Node would have it. */
  get _socket() {
    return this._stream === undefined ? this._clientSocket : this._stream.socket;
  }

  set _socket(socket) {
    this._clientSocket = socket;
  }

  /**
   * Bytes that wait because the client has not read what was sent before, as of the last write, and those that are sent in this
   * turn of the event loop.
   */
  get bufferedAmount() {
    if (this._server === undefined) return super.bufferedAmount;
    const { commands, conns, figures } = this._server._bridge;
    if (conns.get(this._handle) !== this) return this._unsent;
    return figures.read(this._handle, WAITING) + commands.bytesFor(this) + this._unsent;
  }

  /**
   * Sends a message.
   * @param {string|Buffer|ArrayBuffer|ArrayBufferView|Blob|number|null} data
   * @param {object} [options] - `binary`, `compress` (true), `fin` (true)
   * @param {function(Error=)} [callback] - called when it has been written
   * @throws {Error} while it is connecting; {TypeError} if the data are of another type
   */
  send(data, options, callback) {
    if (this._server === undefined) return super.send(data, options, callback);
    if (typeof options === "function") {
      callback = options;
      options = undefined;
    }
    if (typeof data === "number") data = data.toString();
    if (this._readyState !== OPEN) return this._refuse(data, callback);
    let isText = typeof data === "string";
    let compress = true;
    let fin = true;
    if (options) {
      // what is there as undefined is not what is not there, as with ws
      if ("binary" in options) isText = !options.binary;
      if ("compress" in options) ({ compress } = options);
      if ("fin" in options) ({ fin } = options);
    }
    const payload = payloadOf(data);
    if (payload instanceof Promise || this._blobs !== undefined) {
      const proceed = (bytes) => this._sendPayload(bytes, isText, compress, fin, callback);
      this._sendLater(payload, proceed, callback);
    } else {
      this._sendPayload(payload, isText, compress, fin, callback);
    }
  }

  /** @private */
  _sendPayload(payload, isText, compress, fin, callback) {
    if (!fin || this._isFragmented) {
      this._sendFragment(payload, isText, fin, callback);
      return;
    }
    if (!isText && typeof payload === "string") payload = Buffer.from(payload);
    const flags = (compress ? COMPRESS : 0) | (callback ? NOTIFY : 0);
    if (!this._server._bridge.commands.sendOften(this, payload, isText, flags)) {
      this._sendFrame(FIN | TEXT, payload, callback);
    } else if (callback) {
      (this._callbacks ??= []).push(callback);
    }
  }

  /** Sends one frame of a message in several. @private */
  _sendFragment(payload, isText, isLast, callback) {
    const opcode = this._isFragmented ? CONTINUATION : isText ? TEXT : BINARY;
    this._isFragmented = !isLast;
    this._sendFrame((isLast ? FIN : 0) | opcode, payload, callback);
  }

  /** A Blob has to be read first; what is sent meanwhile comes behind it. @private */
  _sendLater(payload, proceed, callback) {
    const send = (bytes) => {
      if (!this._isEnded && (this._readyState === OPEN || this._isClosingLate)) proceed(bytes);
      else callback?.(new Error("The socket was closed while the blob was being read"));
    };
    const turn = Promise.all([payload, this._blobs]).then(([bytes]) => send(bytes));
    this._blobs = turn;
    const settle = () => {
      if (this._blobs === turn) this._blobs = undefined;
    };
    turn.then(settle, (error) => {
      settle();
      if (callback) callback(error);
      this._fail(error);
    });
  }

  /** @private */
  _sendFrame(first, payload, callback) {
    const { commands } = this._server._bridge;
    commands.frame(this._handle, first, payload);
    if (callback) {
      (this._callbacks ??= []).push(callback);
      commands.tellSent(this._handle);
    }
  }

  /** What is sent when it is too late. @private */
  _refuse(data, callback) {
    if (data) this._unsent += sizeOf(data);
    if (callback) process.nextTick(callback, this._notOpen());
  }

  /** @private */
  _notOpen() {
    const { _readyState: state } = this;
    return new Error(`WebSocket is not open: readyState ${state} (${STATES[state]})`);
  }

  /**
   * Sends a ping.
   * @param {*} [data] - of up to 125 bytes
   * @param {boolean} [mask] - only clients mask what they send
   * @param {function(Error=)} [callback] - called when it has been written
   * @throws {RangeError} if the data are longer
   */
  ping(data, mask, callback) {
    if (this._server === undefined) super.ping(data, mask, callback);
    else this._control(PING, data, mask, callback);
  }

  /**
   * Sends a pong: see `ping()`.
   */
  pong(data, mask, callback) {
    if (this._server === undefined) super.pong(data, mask, callback);
    else this._control(PONG, data, mask, callback);
  }

  /** @private */
  _control(opcode, data, mask, callback) {
    if (typeof data === "function") {
      callback = data;
      data = undefined;
    } else if (typeof mask === "function") {
      callback = mask;
    }
    if (typeof data === "number") data = data.toString();
    if (this._readyState !== OPEN) return this._refuse(data, callback);
    const payload = payloadOf(data);
    const size = payload instanceof Promise ? data.size : sizeOf(payload);
    if (size > LONGEST_CONTROL) {
      throw new RangeError(`The data size must not be greater than ${LONGEST_CONTROL} bytes`);
    }
    const proceed = (bytes) => this._sendFrame(FIN | opcode, bytes, callback);
    if (payload instanceof Promise || this._blobs !== undefined) this._sendLater(payload, proceed, callback);
    else proceed(payload);
  }

  /**
   * Closes the WebSocket.
   * @param {number} [code] - the status (RFC 6455 section 7.4)
   * @param {string|Buffer} [reason] - of up to 123 bytes
   * @throws {TypeError|RangeError} if one may not send that
   */
  close(code, reason) {
    if (this._server === undefined) return super.close(code, reason);
    if (this._readyState !== OPEN) return;
    const payload = closePayload(code, reason);
    const { commands } = this._server._bridge;
    this._readyState = CLOSING;
    if (this._blobs !== undefined) {
      // what was sent before goes first
      this._isClosingLate = true;
      const close = () => {
        this._isClosingLate = false;
        commands.frame(this._handle, FIN | CLOSE, payload);
      };
      this._blobs.then(close, close);
      return;
    }
    this._closeFrameSent = true;
    commands.frame(this._handle, FIN | CLOSE, payload);
  }

  /** Ends the connection at once. */
  terminate() {
    if (this._server === undefined) return super.terminate();
    if (this._readyState === CLOSED) return;
    this._readyState = CLOSING;
    // a paused one hears of its end all the same
    this._isTerminated = true;
    if (this._paused && this._held !== undefined) process.nextTick(deliverHeld, this);
    if (!this._isEnded) this._server._bridge.commands.close(this._handle, true);
    else if (!this._isReleased) this._stream.confirmEnd();
  }

  /** Stops reading. */
  pause() {
    if (this._server === undefined) return super.pause();
    if (this._paused || this._readyState === CLOSED) return;
    this._paused = true;
    this._halt(true);
  }

  /** Goes on reading. */
  resume() {
    if (this._server === undefined) return super.resume();
    if (!this._paused || this._readyState === CLOSED) return;
    this._paused = false;
    this._halt(false);
    if (this._held !== undefined) process.nextTick(deliverHeld, this);
  }

  /** @private */
  _halt(isHalted) {
    if (!this._isEnded) this._server._bridge.commands.halt(this._handle, isHalted);
    this._holdUp();
  }

  /** Has a stream of JavaScript rest while the application, or a limit, wants nothing to be read of it. @private */
  _holdUp() {
    if (!this._stream?.isPumped) return;
    if (this._paused || this._isLimited) this._stream.holdUp();
    else this._stream.letGo();
  }

  /** Whether what has come has to wait for its turn. @private */
  get _waits() {
    return (this._paused && !this._isTerminated) || this._held !== undefined;
  }

  /** Keeps what has come until its turn. @private */
  _hold(method, ...args) {
    if (this._held === undefined) {
      this._held = [];
      if (!this._paused) setImmediate(deliverHeld, this);
    }
    this._held.push([method, args]);
  }

  /** A message has come: a text, or a Buffer. @private */
  _onMessage(data) {
    const isBinary = typeof data !== "string";
    const message = isBinary ? data : Buffer.from(data);
    if (this._waits || !this._server.options.allowSynchronousEvents) {
      this._deliver(this._emitMessage, message, isBinary);
    } else {
      this._emitMessage(message, isBinary);
    }
  }

  /** Delivers what has come, each in a turn of its own if the server is to. @private */
  _deliver(method, ...args) {
    if (this._waits || (!this._server.options.allowSynchronousEvents && this._wasJustCalled())) {
      this._hold(method, ...args);
    } else {
      method.apply(this, args);
    }
  }

  /** Whether something has been delivered in this turn of the event loop, of which there may be one. @private */
  _wasJustCalled() {
    if (this._isCalled) return true;
    this._isCalled = true;
    setImmediate(forgetCall, this);
    return false;
  }

  /** @private */
  _emitMessage(data, isBinary) {
    if (isBinary && this._binaryType !== "nodebuffer") data = inType(data, this._binaryType);
    this.emit("message", data, isBinary);
  }

  /** A frame has come: a control frame, or a text that is not UTF-8. @private */
  _onFrame(opcode, payload) {
    if (opcode === TEXT) this._deliver(this._emitMessage, payload, false);
    else if (opcode === PING) this._deliver(this.emit, "ping", payload);
    else if (opcode === PONG) this._deliver(this.emit, "pong", payload);
    else this._deliver(this._onCloseFrame, payload);
  }

  /** The client has closed the WebSocket. @private */
  _onCloseFrame(payload) {
    this._closeFrameReceived = true;
    this._closeCode = payload.length === 0 ? NO_STATUS : payload.readUInt16BE();
    this._closeMessage = payload.length > 2 ? payload.subarray(2) : EMPTY;
    if (this._closeCode === NO_STATUS) this.close();
    else this.close(this._closeCode, this._closeMessage);
  }

  /** The client has broken the protocol. @private */
  _onViolation(status, description) {
    this._deliver(this._onError, errorOf(description), status);
  }

  /** @private */
  _onError(error, status) {
    this.close(status);
    if (this._errorEmitted) return;
    this._errorEmitted = true;
    this.emit("error", error);
  }

  /** Something of ours has gone wrong. @private */
  _fail(error) {
    if (this._readyState === CLOSED) return;
    this.terminate();
    if (this._errorEmitted) return;
    this._errorEmitted = true;
    this.emit("error", error);
  }

  /** The worker has no connection any more. @private */
  _onNativeClose() {
    this._isEnded = true;
    if (this._readyState === OPEN) this._readyState = CLOSING;
    this._stream?.letGo();
    this._stream?.finish();
    if (this._isReleased) this._deliverEnd();
  }

  /** The stream is over. @private */
  _onReleased() {
    this._isReleased = true;
    if (this._isEnded) this._deliverEnd();
  }

  /** @private */
  _deliverEnd() {
    // who has the socket hears of its end first
    if (this._stream.hasSocket) setImmediate(deliverEnd, this);
    else deliverEnd(this);
  }

  /** @private */
  _finish() {
    const callbacks = this._callbacks;
    this._callbacks = undefined;
    this._readyState = CLOSING;
    // one that throws ends neither the others nor this
    for (const callback of callbacks ?? []) {
      process.nextTick(callback, new Error("The socket was closed before the data was written"));
    }
    this.emitClose();
  }

  /** Emits `close`. */
  emitClose() {
    if (this._server === undefined) return super.emitClose();
    this._readyState = CLOSED;
    this._server._forget(this);
    this.emit("close", this._closeCode, this._closeMessage);
  }

  /** Something that somebody waits for has been written. @private */
  _onSent() {
    this._callbacks?.shift()?.();
  }

  /** The connection has come to a limit of the server's. @private */
  _onLimit(limit, pause, isTold) {
    this._server._onLimit(this, limit, pause, isTold);
  }

  /**
   * Subscribes to a topic: what is published there is sent to this client as well.
   * @param {string} topic
   */
  subscribe(topic) {
    this._server?._topics.subscribe(this, topic);
  }

  /**
   * @param {string} topic
   */
  unsubscribe(topic) {
    this._server?._topics.unsubscribe(this, topic);
  }

  /**
   * Publishes a message to all that have subscribed to a topic, but for this client.
   * @param {string} topic
   * @param {string|Buffer|ArrayBuffer|ArrayBufferView} data
   * @param {object} [options] - `binary`, `compress` (true)
   */
  publish(topic, data, options) {
    const others = options?.except;
    const except = others == null ? this : [this].concat(isIterable(others) ? [...others] : others);
    this._server?.publish(topic, data, { ...options, except });
  }
}

/** Defaults of what most WebSockets never need. */
const REST = {
  _clientSocket: null,
  _unsent: 0,
  _callbacks: undefined,
  _held: undefined,
  _blobs: undefined,
  _isClosingLate: false,
  _isFragmented: false,
  _isEnded: false,
  _isReleased: false,
  _isCalled: false,
  _isTerminated: false,
  /** Whether it has sent more than it may, and rests for that. */
  _isLimited: false,
  /** The topics that it has subscribed to. */
  _subscriptions: undefined,
};

for (const name in REST)
  Object.defineProperty(WebSocket.prototype, name, { value: REST[name], writable: true });
for (const [name, value] of Object.entries({ CONNECTING, OPEN, CLOSING, CLOSED })) {
  for (const target of [WebSocket, WebSocket.prototype]) {
    Object.defineProperty(target, name, { enumerable: true, value });
  }
}
Object.defineProperty(WebSocket.prototype, "bufferedAmount", { enumerable: true });
// there are those who look for them where ws has them
for (const name of [
  "binaryType",
  "extensions",
  "isPaused",
  "protocol",
  "readyState",
  "url",
  "onopen",
  "onerror",
  "onclose",
  "onmessage",
  "addEventListener",
  "removeEventListener",
]) {
  const property = Object.getOwnPropertyDescriptor(ClientWebSocket.prototype, name);
  if (property !== undefined) Object.defineProperty(WebSocket.prototype, name, property);
}

function deliverEnd(ws) {
  // of what is over, nothing can be left unread
  if (ws._paused && !ws._isTerminated) {
    ws._isTerminated = true;
    if (ws._held !== undefined) process.nextTick(deliverHeld, ws);
  }
  if (ws._waits) ws._hold(ws._finish);
  else ws._finish();
}

/** Delivers what was kept, until somebody pauses again; in turns of their own if the server is to. */
function deliverHeld(ws) {
  const held = ws._held;
  const isAtOnce = ws._server.options.allowSynchronousEvents;
  while (held !== undefined && held.length !== 0 && (!ws._paused || ws._isTerminated)) {
    const [method, args] = held.shift();
    if (held.length === 0) ws._held = undefined;
    let isDone = false;
    try {
      method.apply(ws, args);
      isDone = isAtOnce;
    } finally {
      // the next is for another turn, also if a listener has thrown
      if (!isDone && held.length !== 0) setImmediate(deliverHeld, ws);
    }
    if (!isDone) return;
  }
}

function forgetCall(ws) {
  ws._isCalled = false;
}

/** A binary message as the application wants it. */
function inType(data, type) {
  if (type === "fragments") return data.length === 0 ? [] : [data];
  if (type === "blob") return new Blob([data]);
  const { buffer, byteOffset, byteLength } = data;
  return byteLength === buffer.byteLength ? buffer : buffer.slice(byteOffset, byteOffset + byteLength);
}

module.exports = { WebSocket, CONNECTING };
