"use strict";

/**
 * A stream that lives in JavaScript (TLS, a proxy's or a test's `Duplex`): its bytes go to the native engine as they
 * come, and the engine's bytes are written to it, one write at a time.
 */
class Pipe {
  /**
   * @param server {Server}
   * @param socket {Duplex}
   */
  constructor(server, socket) {
    this.server = server;
    this.socket = socket;
    this.id = -1;
    this._onWritten = this._onWritten.bind(this);
  }

  /** Begins to read. */
  start() {
    const { socket } = this;
    socket.on("data", (data) => this._onData(data));
    socket.on("end", () => this._onEnd());
    socket.on("close", () => this._onEnd());
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
    this.id = -1;
    const { socket } = this;
    // what is still being written should arrive; a client that does not read it must not keep the stream for ever
    if (socket.writableLength > 0) {
      socket.end(() => socket.destroy());
      setTimeout(() => socket.destroy(), RELEASE_TIMEOUT).unref();
    } else {
      socket.destroy();
    }
  }

  _onData(data) {
    if (this.id === -1) return;
    this.server._commands.flush();
    const isBehind = this.server._native.pipeData(this.id, data);
    if (isBehind) this.server._pausePipe(this);
  }

  _onWritten() {
    if (this.id !== -1) this.server._commands.pipeWritten(this.id);
  }

  _onEnd() {
    if (this.id !== -1) this.server._commands.pipeEnd(this.id);
  }
}

/** Milliseconds that a released stream has to get rid of its last bytes. */
const RELEASE_TIMEOUT = 30000;

function noop() {}

module.exports = { Pipe };
