"use strict";

const { Listened } = require("../listened");

/** Events of a transport that are its session's: they are passed on while somebody listens. */
const RELAYED = ["packet", "drain"];

/**
 * How the packets of a session travel, as applications see it: `socket.conn.transport`. The work is done by the native
 * engine; this tells of it, and lets it be ended.
 *
 * Emits `packet`, `drain`, `error` (if somebody listens) and `close`, and those that poll `headers` (headers, request).
 */
class Transport {
  /** @param {Conn} conn - */
  constructor(conn) {
    this.conn = conn;
    /** Whether the session has left this transport, or was never moved to it. */
    this.discarded = false;
    this._isClosed = false;
    this._isClosing = false;
    /** Packets that wait for those before them to leave, while somebody listens to what is sent; see `Conn._flushHeld`. */
    this.waiting = [];
    /** Their bytes. */
    this.held = 0;
    /** Whether packets that somebody was told of have not left yet. */
    this.isSending = false;
    this._opts = undefined;
  }

  /** The engine's options, as far as they concern transports. */
  get opts() {
    return (this._opts ??= optionsOf(this.conn.server.opts));
  }

  /** The id of the session. */
  get sid() {
    return this.conn.id;
  }

  /** The revision of Engine.IO that the client speaks. */
  get protocol() {
    return this.conn.protocol;
  }

  /** Whether buffers can be sent as they are: the client's first request may ask for base64. */
  get supportsBinary() {
    return !this.conn.request?._query?.b64;
  }

  /** "open", "closing" or "closed". */
  get readyState() {
    if (this._isClosed) return "closed";
    return this._isClosing ? "closing" : this.conn.readyState;
  }

  /** Packets that wait, as far as they do so here. */
  get writeBuffer() {
    return this.waiting;
  }

  /** Listeners have come or gone: what the session emits is passed on while somebody listens. @private */
  _onListeners() {
    if (this._events === undefined || this._isClosed) return;
    for (const event of RELAYED) {
      const isRelayed = this._relays?.[event] !== undefined;
      if (isRelayed === (this._events[event] !== undefined)) continue;
      if (isRelayed) {
        this.conn.removeListener(event, this._relays[event]);
        this._relays[event] = undefined;
      } else {
        this._relays ??= {};
        this._relays[event] = (...args) => {
          if (this.conn.transport === this) this.emit(event, ...args);
        };
        this.conn.on(event, this._relays[event]);
      }
    }
  }

  /**
   * Sends messages, past everything that the session does with them.
   * @param {Array<{type: string, data: any, options: object}>} packets - of type "message"; other packets are the engine's
   */
  send(packets) {
    for (const { type, data, options } of packets) {
      if (type === "message") this.conn._sendUnseen(data, options);
    }
  }

  /** Has the transport end at once when it is closed, whether or not the client can be told. */
  discard() {
    this.discarded = true;
  }

  /**
   * Closes the transport, which ends its session.
   * @param {function()} callback - called when that has happened
   */
  close(callback) {
    if (this._isClosing || this.readyState !== "open") return;
    this._isClosing = true;
    if (typeof callback === "function") this.once("close", callback);
    this.conn._closeTransport(this);
  }

  /** Nothing of the session is passed on any more. */
  _stopRelaying() {
    for (const event of RELAYED) {
      const relay = this._relays?.[event];
      if (relay !== undefined) this.conn.removeListener(event, relay);
    }
    this._relays = undefined;
  }

  /** The session has ended, or goes on without this transport. @private */
  _end(error) {
    if (this._isClosed) return;
    this._isClosed = true;
    this._stopRelaying();
    if (error !== undefined && this.listenerCount("error") !== 0) this.emit("error", error);
    this.emit("close");
  }
}

// not by "extends": an emitter that nobody has listened to needs nothing of its own
Object.setPrototypeOf(Transport.prototype, Listened);

/** The listeners at the session that pass its events on, by name, once there were any. */
Transport.prototype._relays = undefined;

function optionsOf(opts) {
  const { perMessageDeflate, maxHttpBufferSize, maxBufferedChunks, httpCompression, httpRequestBodyTimeout } =
    opts;
  return { perMessageDeflate, maxHttpBufferSize, maxBufferedChunks, httpCompression, httpRequestBodyTimeout };
}

/** The transports that a session can move to from this one. */
Transport.upgradesTo = [];

module.exports = { Transport };
