"use strict";

const { Stream } = require("./stream");

/**
 * A stream that lives in JavaScript (TLS, a proxy's or a test's `Duplex`): its bytes go to the native engine as they
 * come, and the engine's bytes are written to it, one write at a time.
 */
class Pipe extends Stream {
  /**
   * @param {Bridge} bridge
   * @param {Duplex} socket
   */
  constructor(bridge, socket) {
    super(bridge);
    this._socket = socket;
    this._onWritten = this.confirmWritten.bind(this);
  }

  get socket() {
    return this._socket;
  }

  /** Begins to read. */
  start() {
    const { socket } = this;
    socket.on("data", (data) => this.receive(data));
    socket.on("end", () => this.confirmEnd());
    socket.on("close", () => this.confirmEnd());
    // the stream closes after an error, which is all that matters here
    socket.on("error", noop);
    socket.resume();
  }

  /** Writes bytes of the engine. */
  write(data) {
    this.socket.write(data, this._onWritten);
  }

  /** Stops the reading for a while. */
  pause() {
    this.socket.pause();
  }

  resume() {
    this.socket.resume();
  }

  /** The engine has nothing more to write. */
  end() {
    this.socket.end();
  }

  /** The engine is done with the stream. */
  onReleased() {
    super.onReleased();
    const { socket } = this;
    // what is still being written should arrive; a client that does not read it must not keep the stream for ever
    if (socket.writableLength > 0) {
      socket.end(() => socket.destroy());
      setTimeout(() => socket.destroy(), RELEASE_TIMEOUT).unref();
    } else {
      socket.destroy();
    }
  }
}

/** Milliseconds that a released stream has to get rid of its last bytes. */
const RELEASE_TIMEOUT = 30000;

function noop() {}

module.exports = { Pipe };
