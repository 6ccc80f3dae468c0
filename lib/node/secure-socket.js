"use strict";

/**
 * Connections whose TLS handshake a worker has done. As far as they are Node's, they are sockets like those of
 * `tls.TLSSocket`, with the same descriptor beneath as ever: what the kernel has is decrypted on its way to the readable
 * side, and what is written encrypted on its way to the kernel.
 */

const net = require("net");
const tls = require("tls");

// taken before anybody can replace it by a fake timer
const { setImmediate } = require("timers");

/** Of what `TlsSession.receive` returns: see src/bridge/tls.rs. */
const MORE = 1 << 31;
const ANSWER = 1 << 30;
const ENDED = 1 << 29;
const LENGTH = ENDED - 1;

const kFacts = Symbol("facts");
const kSession = Symbol("session");
const kHeld = Symbol("held");
const kRead = Symbol("read");
const kWritten = Symbol("written");

class SecureSocket extends net.Socket {
  /**
   * @param {object} options - of `net.Socket`
   * @param {TlsFacts} facts
   */
  constructor(options, facts) {
    super(options);
    this[kFacts] = facts;
    /** The TLS session, while it is this side's. */
    this[kSession] = undefined;
    /** While it is on its way: what is to be done then, in order. */
    this[kHeld] = undefined;
    this[kRead] = 0;
    this[kWritten] = 0;
    this.encrypted = true;
    this.authorized = false;
    this.authorizationError = null;
    this.secureConnecting = false;
    this.servername = facts.servername;
    this.alpnProtocol = facts.alpnProtocol;
    this._secureEstablished = true;
    this.timeout = 0;
    // Node's HTTP parser would have the bytes to itself as they come
    if (this._handle) this._handle._consumed = true;
  }

  get ssl() {
    return this._handle;
  }

  get bytesRead() {
    return this[kRead];
  }

  /** @override */
  get _bytesDispatched() {
    return this[kWritten];
  }

  /** Bytes have come. @override */
  push(chunk, encoding) {
    const { [kSession]: session } = this;
    if (chunk === null || session === undefined) return super.push(chunk, encoding);
    let got;
    try {
      got = session.receive(chunk);
    } catch (error) {
      this._answer();
      this.destroy(Object.assign(error, { code: "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC" }));
      return false;
    }
    return this._take(got, chunk);
  }

  /**
   * Takes what the client has said.
   * @param {number} got - see `TlsSession.receive`
   * @param {Buffer} chunk - in whose place it is
   * @param {function(Buffer): Buffer} [cut] - takes away what has been made known already
   */
  _take(got, chunk, cut) {
    const { [kSession]: session } = this;
    if ((got & ANSWER) !== 0) this._answer();
    const whole = (got & MORE) !== 0 ? session.takePlain() : chunk.subarray(0, got & LENGTH);
    const plain = cut === undefined ? whole : cut(whole);
    let wantsMore = true;
    if (plain.length > 0) {
      this[kRead] += plain.length;
      wantsMore = super.push(plain);
    }
    // what has been read may have a worker go on with the session
    if ((got & ENDED) !== 0 && this[kSession] === session) super.push(null);
    return wantsMore;
  }

  /** Sends what has to be sent because of what has come. */
  _answer() {
    const answer = this[kSession].takeAnswer();
    if (answer !== null && this._handle !== null) super._write(answer, "buffer", noop);
  }

  /** @override */
  _read(size) {
    if (this[kSession] !== undefined || this._handle === null) super._read(size);
  }

  /** @override */
  _write(data, encoding, callback) {
    const { [kSession]: session, _handle: handle } = this;
    if (handle === null) {
      super._write(data, encoding, callback);
      return;
    }
    if (session === undefined) {
      this._hold(() => this._write(data, encoding, callback));
      return;
    }
    const bytes = bytesOf(data, encoding);
    let rest;
    try {
      // the way through Node costs more than all the rest, and is for what the kernel has no room for
      rest = handle.writeQueueSize === 0 ? session.write(handle.fd, bytes) : session.send(bytes);
    } catch (error) {
      callback(error);
      return;
    }
    this[kWritten] += bytes.length;
    if (rest === null) {
      this._unrefTimer();
      // what is said over TLS has never been written at once
      setImmediate(callback);
    } else {
      super._write(rest, "buffer", callback);
    }
  }

  /** @override */
  _writev(chunks, callback) {
    const bytes = chunks.map(({ chunk, encoding }) => bytesOf(chunk, encoding));
    this._write(Buffer.concat(bytes), "buffer", callback);
  }

  /** @override */
  _final(callback) {
    const { [kSession]: session, _handle: handle } = this;
    if (handle === null) {
      super._final(callback);
    } else if (session === undefined) {
      this._hold(() => this._final(callback));
    } else {
      const last = endOf(session);
      if (last === null) super._final(callback);
      else super._write(last, "buffer", () => super._final(callback));
    }
  }

  /** @override */
  _destroy(error, callback) {
    if (this[kHeld] === undefined) super._destroy(error, callback);
    else this._hold(() => super._destroy(error, callback));
  }

  /** Has something be done when the TLS session is there. */
  _hold(act) {
    this[kHeld] ??= [];
    this[kHeld].push(act);
  }

  getPeerCertificate() {
    return this.destroyed ? null : {};
  }

  getPeerX509Certificate() {
    return undefined;
  }

  getCertificate() {
    return !this.destroyed ? (this.getX509Certificate()?.toLegacyObject() ?? {}) : null;
  }

  getX509Certificate() {
    return !this.destroyed ? this[kFacts].certificate : undefined;
  }

  getCipher() {
    return !this.destroyed ? this[kFacts].cipher : null;
  }

  getProtocol() {
    // which is there to be asked when a handshake has failed
    return !this.destroyed || this[kFacts].cipher === undefined ? this[kFacts].protocol : null;
  }

  isSessionReused() {
    return !this.destroyed ? this[kFacts].isReused : null;
  }

  getSession() {
    return undefined;
  }

  getTLSTicket() {
    return undefined;
  }

  getFinished() {
    return undefined;
  }

  getPeerFinished() {
    return undefined;
  }

  getEphemeralKeyInfo() {
    return null;
  }

  getSharedSigalgs() {
    return [];
  }

  setMaxSendFragment() {
    return false;
  }

  disableRenegotiation() {}

  enableTrace() {}

  renegotiate(_options, callback) {
    const error = new Error("a session that a worker has begun is not negotiated again");
    if (callback !== undefined) process.nextTick(callback, error);
    return false;
  }

  /** @throws {Error} always: what it would take is the worker's */
  exportKeyingMaterial() {
    throw new Error("exportKeyingMaterial() is not to be had of native TLS: turn it off by nativeTls: false");
  }
}

// who asks what it is may go by the one or the other
delete SecureSocket.prototype.constructor;
Object.setPrototypeOf(SecureSocket.prototype, tls.TLSSocket.prototype);

/** Whether a socket is one of these. */
function isSecure(socket) {
  return Object.getPrototypeOf(socket) === SecureSocket.prototype;
}

/** What is known of the TLS session of a socket. */
function factsOf(socket) {
  return socket[kFacts];
}

/** The TLS session of a socket, while it is this side's. */
function sessionOf(socket) {
  return socket[kSession];
}

/** A worker is to leave the session of a socket: what is done with it meanwhile has to wait. */
function expectSession(socket) {
  socket[kHeld] ??= [];
}

/**
 * Goes on with a session that a worker has left.
 * @param {SecureSocket} socket
 * @param {TlsSession|undefined} session - undefined: there is none
 * @param {function(Buffer): Buffer} [cut] - takes away what has been made known already of what has come
 */
function attachSession(socket, session, cut) {
  const { [kHeld]: held = [] } = socket;
  socket[kHeld] = undefined;
  if (session === undefined) {
    socket.destroy();
  } else {
    socket[kSession] = session;
    goOn(socket, cut);
  }
  for (const act of held) act();
}

/** Reads what a worker has left to be read. */
function goOn(socket, cut) {
  if (socket.destroyed) return;
  const nothing = Buffer.alloc(0);
  let got;
  try {
    got = socket[kSession].receive(nothing);
  } catch (error) {
    socket.destroy(error);
    return;
  }
  if (socket._take(got, nothing, cut)) socket._read(0);
}

/** Takes the session away from a socket, for a worker to go on with. */
function detachSession(socket) {
  const { [kSession]: session } = socket;
  socket[kSession] = undefined;
  return session;
}

/** What is to be written, as bytes. */
function bytesOf(data, encoding) {
  return typeof data === "string" ? Buffer.from(data, encoding) : data;
}

/** What says that nothing more will be said, if it can be said. */
function endOf(session) {
  try {
    return session.finish();
  } catch {
    return null;
  }
}

function noop() {}

module.exports = { SecureSocket, attachSession, detachSession, expectSession, factsOf, isSecure, sessionOf };
