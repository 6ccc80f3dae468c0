"use strict";

const { Transport } = require("./transport");

/** A session's WebSocket, which lives in a native worker. */
class WebSocket extends Transport {
  constructor(conn) {
    super(conn);
    this._socket = undefined;
    /** As many packets as wait in the worker. */
    this._unseen = undefined;
  }

  get name() {
    return "websocket";
  }

  /** Whether an upgrade request is what begins it. */
  get handlesUpgrades() {
    return true;
  }

  /** Whether a message that is sent now leaves at once, as far as is known here: the client may have fallen behind. */
  get writable() {
    return this.readyState === "open" && !this.isSending && this.unread === 0;
  }

  /** Bytes that the worker has not been able to write, because the client has not read what was sent before. */
  get unread() {
    return this.conn.bufferedAmount;
  }

  /** @override */
  get writeBuffer() {
    // while somebody listens to what is sent, it waits here
    if (this.isSending || this.waiting.length !== 0) return this.waiting;
    const count = this.conn._packetsBehind;
    if (count === 0) return this.waiting;
    const list = (this._unseen ??= []);
    while (list.length < count) list.push(UNSEEN);
    list.length = count;
    return list;
  }

  /** What applications look at below the transport: as much of `ws`'s WebSocket as there is. */
  get socket() {
    return this.conn._stream?.websocket ?? (this._socket ??= new SocketView(this));
  }
}

/** A packet of which only the worker knows more. */
const UNSEEN = Object.freeze({ type: "message", data: undefined, options: Object.freeze({}) });

/** The values of a WebSocket's `readyState`, as browsers number them. */
const READY_STATES = { opening: 0, open: 1, closing: 2, closed: 3 };

class SocketView {
  constructor(transport) {
    this._transport = transport;
  }

  /** Bytes that wait for the client to read what was sent before. */
  get bufferedAmount() {
    return this._transport.unread;
  }

  /** The connection below. */
  get _socket() {
    return this._transport.conn._stream?.socket;
  }

  get readyState() {
    return READY_STATES[this._transport.readyState];
  }

  /** Closes the WebSocket, and with it the session. */
  close() {
    this._transport.close();
  }

  /** Cuts the connection. */
  terminate() {
    this._socket?.destroy();
  }
}

module.exports = { WebSocket };
