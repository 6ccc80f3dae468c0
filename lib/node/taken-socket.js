"use strict";

const { adapt, countOut, detach, makeSocket } = require("./internals");
const { Stream } = require("./stream");

const kStream = Symbol("stream");

/** Bytes of what switches protocols, at the least. */
const SHORTEST_ANSWER = 129;

/**
 * A `net.Socket` whose descriptor the engine has.
 *
 * Node's objects for the connection and its request are most of what an idle client would cost in memory. Where nobody
 * can have seen them they are dropped, and made again from what is remembered of them when somebody asks.
 */
class TakenSocket extends Stream {
  /**
   * @param {Bridge} bridge
   * @param {http.Server} httpServer - whose connection it is
   * @param {net.Socket} [socket]
   */
  constructor(bridge, httpServer, socket) {
    super(bridge);
    /** The `net.Socket`, unless it was dropped or never made. */
    this._socket = socket;
    this._httpServer = httpServer;
    this._remoteAddress = undefined;
    this._remotePort = 0;
    this._localAddress = undefined;
    this._localPort = 0;
    this._facts = undefined;
  }

  /**
   * What a `net.Socket` asks of its handle.
   * @param {string} remoteAddress - of the peer
   * @param {number} remotePort - alike
   * @param {string} localAddress - ours
   * @param {number} localPort - alike
   * @param {TlsFacts|undefined} facts - what is known of the TLS session over it, if there is one
   */
  remember(remoteAddress, remotePort, localAddress, localPort, facts) {
    this._facts = facts;
    this._remoteAddress = remoteAddress;
    this._remotePort = remotePort;
    this._localAddress = sameAsBefore(localAddress);
    this._localPort = localPort;
  }

  /** Whether somebody may have the `net.Socket`. */
  get hasSocket() {
    return this._socket !== undefined;
  }

  /** The `net.Socket` of the connection. */
  get socket() {
    return (this._socket ??= this._remakeSocket());
  }

  /**
   * Lets go of Node's handle.
   * @param {boolean} isDropped - whether the socket goes too: nobody has seen it
   */
  start(isDropped) {
    const socket = this._socket;
    const { bytesRead } = socket;
    detach(socket);
    if (isDropped) {
      this._socket = undefined;
    } else {
      watchSocket(socket);
      setBytesRead(socket, bytesRead);
    }
  }

  /**
   * Has had Node's socket for a connection that Node has not read from.
   * @param {net.Socket} socket
   */
  adopt(socket) {
    markTaken(socket, this);
    this._socket = socket;
    // without a handle, it knows only what it has been asked for before
    void socket.remoteAddress;
    void socket.localAddress;
    detach(socket);
    watchSocket(socket);
  }

  /** The engine has nothing more to say: whoever writes to the socket hears that this is done. */
  finish() {
    this._isFinished = true;
    this._socket?.end();
  }

  /** The engine has closed its descriptor. */
  onReleased() {
    super.onReleased();
    if (this._socket !== undefined) {
      this._socket.destroy();
    } else if (this._httpServer !== undefined) {
      countOut(this._httpServer);
    }
  }

  /** @private */
  _remakeSocket() {
    const peer = { address: this._remoteAddress, port: this._remotePort };
    const local = { address: this._localAddress, port: this._localPort };
    const isOver = this.id === -1;
    const socket = makeSocket(this._httpServer, peer, local, !isOver, this._facts);
    markTaken(socket, this);
    watchSocket(socket);
    if (isOver) {
      socket.destroy();
      // as one that has ended before
      if (this._isFinished) socket._writableState.finished = true;
    }
    return socket;
  }
}

/** Whether the engine has said its last. */
TakenSocket.prototype._isFinished = false;

/**
 * The connection over which a request came that a worker has answered: it may have others, and may be gone, but for what
 * is remembered of it.
 */
class Origin {
  /**
   * @param {http.Server} httpServer - whose connection it is
   * @param {string} remoteAddress - of the peer
   * @param {number} remotePort - alike
   * @param {string} localAddress - ours
   * @param {number} localPort - alike
   * @param {TlsFacts|undefined} facts - what is known of the TLS session over it, if there is one
   */
  constructor(httpServer, remoteAddress, remotePort, localAddress, localPort, facts) {
    this._httpServer = httpServer;
    this._facts = facts;
    this._remoteAddress = remoteAddress;
    this._remotePort = remotePort;
    this._localAddress = sameAsBefore(localAddress);
    this._localPort = localPort;
    /** The stream that it is, with a `socket`; undefined once it is closed. */
    this.stream = undefined;
    this._socket = undefined;
  }

  /** The `net.Socket` of the connection, or one that tells of it. */
  get socket() {
    this._socket ??= this.stream?.socket;
    if (this._socket === undefined) {
      const peer = { address: this._remoteAddress, port: this._remotePort };
      const local = { address: this._localAddress, port: this._localPort };
      this._socket = makeSocket(this._httpServer, peer, local, false, this._facts);
      this._socket.on("error", noop);
      this._socket.destroy();
    }
    return this._socket;
  }

  /** It is closed. */
  end() {
    this.stream = undefined;
  }
}

/** Notes that a socket has been given to an engine. */
function markTaken(socket, stream) {
  socket[kStream] = stream;
}

/** Whether a socket has been given to an engine. */
function isTaken(socket) {
  return socket[kStream] !== undefined;
}

let lastAddress;

/** The same text for connections to the same address. */
function sameAsBefore(address) {
  if (address !== lastAddress) lastAddress = address;
  return lastAddress;
}

/** Follows a socket that the application can get hold of. */
function watchSocket(socket) {
  // there are those who end what nobody seems to have answered
  const value = socket.bytesWritten + SHORTEST_ANSWER;
  Object.defineProperty(socket, "bytesWritten", { value, configurable: true, writable: true });
  adapt(socket, endOfSocket);
  socket.on("error", noop);
  socket.on("close", onSocketClose);
}

/**
 * Says how much Node has read of a connection. What has come since then is read by the workers.
 * @param {net.Socket} socket
 * @param {number} value
 */
function setBytesRead(socket, value) {
  Object.defineProperty(socket, "bytesRead", { value, configurable: true, writable: true });
}

/** The application has ended the socket: what has been said is written, and the client hears that nothing follows. */
function endOfSocket(callback) {
  const stream = this[kStream];
  if (!stream._isFinished) stream.confirmEnd();
  callback();
}

/** The application destroyed the socket, or the engine is done with it. */
function onSocketClose() {
  this[kStream].confirmEnd();
}

function noop() {}

module.exports = { Origin, TakenSocket, isTaken, markTaken, setBytesRead };
