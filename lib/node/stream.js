"use strict";

/**
 * A source and sink of bytes that the native engine reads from and writes to: the connection of one client. There are
 * five kinds, and this is all that the engine knows of them.
 *
 * | kind | whose bytes |
 * |---|---|
 * | `Arrival` | a connection that was just accepted: a worker looks at them, nobody has read any |
 * | `TakenSocket` | those of a descriptor that a worker has |
 * | `Pipe` | those of a `Duplex`, which go through JavaScript |
 * | `ForeignStream` | messages of a WebSocket that is not ours, as frames |
 * | `WebTransportStream` | packets of a WebTransport session, as frames |
 *
 * The last three have their bytes written here (`write`, `end`), and can rest (`pause`, `resume`). A worker has nothing
 * to write to an arrival, and writes to a descriptor by itself.
 */
class Stream {
  /** @param {Bridge} bridge - the way to the worker */
  constructor(bridge) {
    this.bridge = bridge;
    /** The number by which the worker knows it; -1 before `register()`, and when the worker is done with it. */
    this.id = -1;
    /** Whether its client sends more than it may: nothing is read of it until its worker says so. */
    this.isHeldUp = false;
  }

  /** Whether its bytes go through JavaScript. */
  get isPumped() {
    return this.write !== Stream.prototype.write;
  }

  /** What applications get as the socket of the connection, if there is one. */
  get socket() {
    return undefined;
  }

  /**
   * Has the engine know the stream.
   * @param {number} [connection] - the one that it is to be on one worker with
   */
  register(connection) {
    this.id = this.bridge.registerStream(this, connection);
  }

  /** Hands over bytes of the client. */
  receive(data) {
    if (this.id !== -1) this.bridge.receive(this, data);
  }

  /** What `write()` was given has been written: the next may come. */
  confirmWritten() {
    if (this.id !== -1) this.bridge.commands.pipeWritten(this.id);
  }

  /** Nothing more comes of the client, or nothing more can be written. */
  confirmEnd() {
    if (this.id !== -1) this.bridge.commands.pipeEnd(this.id);
  }

  /**
   * Writes bytes of the engine; `confirmWritten()` follows.
   * @param {Buffer} _data
   */
  write(_data) {}

  /** The engine has nothing more to write. */
  end() {}

  /** The engine has said its last, and has written it by itself. */
  finish() {}

  /** Stops the reading for a while. */
  pause() {}

  /** Goes on reading. */
  resume() {}

  /** Stops the reading until `letGo()`. */
  holdUp() {
    this.isHeldUp = true;
    this.pause();
  }

  /** Goes on reading, unless it rests for another reason. */
  letGo() {
    if (!this.isHeldUp) return;
    this.isHeldUp = false;
    if (!this.bridge.isResting(this)) this.resume();
  }

  /** The engine is done with the stream: `RELEASED`, the last that is said of it. */
  onReleased() {
    this.id = -1;
  }
}

/** Who wants to hear of its end: has `_onReleased()`. */
Stream.prototype.owner = undefined;

module.exports = { Stream };
