"use strict";

const { Transport } = require("./transport");

/** A session's WebSocket, which lives in a native worker. */
class WebSocket extends Transport {
  constructor(conn) {
    super(conn);
    this._socket = undefined;
  }

  get name() {
    return "websocket";
  }

  /** Whether an upgrade request is what begins it. */
  get handlesUpgrades() {
    return true;
  }

  /** Whether a message that is sent now leaves at once, as far as is known here. */
  get writable() {
    return this.readyState === "open";
  }

  /** What applications look at below the transport: as much of `ws`'s WebSocket as there is. */
  get socket() {
    return this.conn._stream?.websocket ?? (this._socket ??= new SocketView(this));
  }
}

/** The values of a WebSocket's `readyState`, as browsers number them. */
const READY_STATES = { opening: 0, open: 1, closing: 2, closed: 3 };

class SocketView {
  constructor(transport) {
    this._transport = transport;
    /** What waits to be written does so in a worker. */
    this.bufferedAmount = 0;
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
