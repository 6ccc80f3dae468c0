"use strict";

const { Duplex } = require("node:stream");

/**
 * A stream that hands bytes to and from a socket and has no descriptor of its own, as proxies and sticky load
 * balancers pass to `httpServer.emit("connection", stream)`.
 */
class SocketDuplex extends Duplex {
  /** @param {import("node:net").Socket} socket */
  constructor(socket) {
    super({ allowHalfOpen: true });
    this.inner = socket;
    this.remoteAddress = socket.remoteAddress;
    socket.on("data", (chunk) => {
      if (!this.push(chunk)) {
        socket.pause();
      }
    });
    socket.on("end", () => this.push(null));
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.destroy());
  }

  _read() {
    this.inner.resume();
  }

  _write(chunk, encoding, callback) {
    this.inner.write(chunk, encoding, callback);
  }

  _final(callback) {
    this.inner.end(callback);
  }

  _destroy(error, callback) {
    this.inner.destroy();
    callback(error);
  }
}

module.exports = { SocketDuplex };
