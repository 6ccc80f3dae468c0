"use strict";

const createDebug = require("debug");
// Bun has a ws of its own, which lacks this
const { subprotocol = { parse: (header) => [header.split(",", 1)[0].trim()] } } = require("ws");
const { Conn, revisionOf } = require("./conn");
const { negotiate } = require("./transports/deflate");
const {
  RETRY_AFTER,
  announceHeaders,
  check,
  errorMessages,
  errors,
  headerOf,
  isAnnounced,
  openSession,
  prepare,
  protocolOf,
  reportError,
} = require("./handshake");
const { areUpgradesSeen, isUnseen } = require("./observers");
const { answerBefore } = require("../node/internals");
const { isTaken } = require("../node/taken-socket");
const { warnOnce } = require("../node/warning");
const { takeOver } = require("./takeover");
const { abortHandshake, findFault } = require("./websocket-request");
const { UpgradeResponse, completeResponse, followSocket, linesOf } = require("./upgrade-response");
const { ForeignStream, acceptUpgrade } = require("./transports/ws-engine");

const debug = createDebug("engine");

/** A Close frame without a status (RFC 6455 section 5.5.1). */
const CLOSE_FRAME = Buffer.from([0x88, 0x00]);

/** Milliseconds that a client has to hang up after a Close frame. */
const HANGUP_TIMEOUT = 30000;

/**
 * Handles an upgrade request of a client: a handshake, or a WebSocket for a session that polls.
 * @param {Server} server
 * @param {IncomingMessage} req
 * @param {Duplex} socket
 * @param {Buffer} head - what came behind the request
 */
function handleUpgrade(server, req, socket, head) {
  const earlier = answerBefore(req, socket);
  if (earlier !== undefined) {
    debug("an earlier request of the connection is answered first");
    socket.on("error", noop);
    earlier.once("close", () => handleUpgrade(server, req, socket, head));
    return;
  }
  prepare(server, req);
  const attempt = new UpgradeAttempt(server, req, socket, head);
  check(server, req, attempt);
  // nobody else hears of its errors while the application makes up its mind
  if (!attempt.isChecked) socket.on("error", noop);
}

/**
 * Makes a WebSocket of another implementation, which has answered the request, that of a session.
 * @param {Server} server
 * @param {IncomingMessage} req - the upgrade request
 * @param {Duplex} socket
 * @param {WebSocket} webSocket
 */
function onWebSocket(server, req, socket, webSocket) {
  prepare(server, req);
  new UpgradeAttempt(server, req, socket, undefined).adopt(webSocket);
}

/** An upgrade request on its way: through the checks and the WebSocket handshake to a session. */
class UpgradeAttempt {
  constructor(server, req, socket, head) {
    this.server = server;
    this.req = req;
    this._socket = socket;
    this.head = head;
    /** Whether the checks are done. */
    this.isChecked = false;
    this._res = undefined;
    /** The headers that middlewares have set; undefined if there are none. */
    this.headers = undefined;
    /** The answer that switches protocols; none if the WebSocket is `wsEngine`'s, which answers by itself. */
    this.response = "";
    /** What was agreed on for permessage-deflate, as the native engine wants it. */
    this.deflate = 0;
    /** The WebSocket, if it is of another implementation. */
    this.webSocket = undefined;
  }

  get isUpgrade() {
    return true;
  }

  /** The connection, to be answered by. */
  get socket() {
    return this._socket;
  }

  /** Whether others hear of the request too. */
  get isOverheard() {
    const httpServer = this._socket?.server;
    return typeof httpServer?.listenerCount === "function" && areUpgradesSeen(httpServer);
  }

  /** What middlewares see as the response. */
  get res() {
    if (this._res === undefined) {
      this._res = new UpgradeResponse(this.req, this);
      followSocket(this._res, this.socket);
    }
    return this._res;
  }

  /** The checks are done. */
  proceed(refusal) {
    const { server, req } = this;
    this.isChecked = true;
    if (refusal !== undefined) {
      reportError(server, req, refusal.code, refusal.context);
      refuseUpgrade(this.socket, refusal.code, refusal.context);
      return;
    }
    this.headers = this._res === undefined ? undefined : completeResponse(this._res);
    if (server.opts.wsEngine || !this.leadsToSession()) {
      acceptUpgrade(this);
    } else if (switchProtocols(this)) {
      this.joinSession();
    }
  }

  /**
   * Whether there will be a session, as far as is known. If not, the WebSocket has to be closed as properly as it is
   * opened, which is nothing for the native engine to bother with.
   */
  leadsToSession() {
    const { transport, sid } = this.req._query;
    return transport === "websocket" && (!sid || this.server.clients[sid]?._canUpgrade() === true);
  }

  /** A WebSocket of another implementation has answered the request. */
  adopt(webSocket) {
    webSocket.on("error", noop);
    this.req.websocket = this.webSocket = webSocket;
    this.joinSession();
  }

  /** The WebSocket handshake is done: finds the session, or opens one. */
  joinSession() {
    const { transport, sid } = this.req._query;
    if (transport !== "websocket") {
      this.close();
    } else if (sid) {
      this.upgradeSession(this.server.clients[sid]);
    } else {
      openSession(this.server, this.req, this);
    }
  }

  upgradeSession(conn) {
    if (conn === undefined || !conn._canUpgrade()) {
      debug("the session cannot be upgraded (any more)");
      this.close();
      return;
    }
    debug("upgrading existing transport");
    conn._beginUpgrade();
    if (!this._carry(conn)) conn._onUpgradeFailed();
  }

  /**
   * Opens a session.
   * @param {string} id
   * @returns {Conn|undefined} nothing if the connection could not be taken over
   */
  open(id) {
    const { server, req } = this;
    const conn = new Conn(id, server, req, "websocket", protocolOf(req));
    return this._carry(conn) ? conn : undefined;
  }

  /** Makes the connection that of a session. @returns {boolean} whether that worked */
  _carry(conn) {
    if (this.webSocket === undefined) return takeOver(this, conn);
    new ForeignStream(this.server._bridge, conn, this.socket, this.webSocket).start(this);
    return true;
  }

  /**
   * Gives the connection to the native engine.
   * @param {Conn} conn - whom it belongs to
   * @param {number} stream
   * @param {number} fd - the descriptor; -1: none
   * @param {Buffer|undefined} rest - what has already been read behind the request
   * @param {TlsSession|undefined} session - the TLS session over the descriptor, if there is one
   */
  give(conn, stream, fd, rest, session) {
    const { server, req, response, deflate } = this;
    if (conn.upgrading) {
      server._bridge.native.upgrade(
        conn._handle,
        revisionOf(req),
        stream,
        fd,
        response,
        rest,
        deflate,
        session,
      );
    } else {
      const initial = server._initialMessage();
      const { _handle: handle, id } = conn;
      server._bridge.native.openWebsocket(
        handle,
        revisionOf(req),
        stream,
        fd,
        response,
        rest,
        deflate,
        id,
        initial,
        session,
      );
    }
  }

  /**
   * Whether the client can be answered. If not, the connection is destroyed.
   * @throws {Error} when it has been answered
   */
  isOpen() {
    const { socket } = this;
    if (!socket.readable || !socket.writable) {
      socket.destroy();
      return false;
    }
    if (isTaken(socket)) {
      throw new Error("handleUpgrade() was called more than once with the same socket");
    }
    return true;
  }

  /** What the answer begins with that accepts a `Sec-WebSocket-Key`. */
  beginAnswer(key) {
    return this.server._switchingProtocols(key);
  }

  /** Errors of the connection are nobody's concern. */
  bearErrors() {
    this.socket.on("error", noop);
  }

  /** Whether nobody can have seen the request and its connection. */
  isUnseen() {
    return isUnseen(this.server, this.req, this.socket, this.head);
  }

  /** There will be no session: says so to the client. */
  refuse(code) {
    if (this.response !== "") this.socket.write(this.response);
    refuseUpgrade(this.socket, code);
  }

  /** There will be no session: closes the WebSocket. */
  close() {
    if (this.webSocket !== undefined) this.webSocket.close();
    else endWith(this.socket, Buffer.concat([Buffer.from(this.response), CLOSE_FRAME]));
  }
}

/**
 * Checks the WebSocket part of an upgrade request (RFC 6455 section 4.2.1), and prepares the answer.
 * @param {UpgradeAttempt} attempt
 * @returns {boolean} false if the request has been refused
 */
function switchProtocols(attempt) {
  const { server, req } = attempt;
  const fault = findFault(req.method, (name) => headerOf(req, name));
  if (fault !== undefined) return abort(attempt.socket, fault.status, fault.message, fault.headers);
  const key = headerOf(req, "Sec-WebSocket-Key");
  const protocols = headerOf(req, "Sec-WebSocket-Protocol");
  let more = "";
  if (protocols !== undefined) {
    try {
      const [first] = subprotocol.parse(protocols);
      more += `\r\nSec-WebSocket-Protocol: ${first}`;
    } catch (error) {
      debug("the offer of subprotocols is refused: %s", error);
      return abort(attempt.socket, 400, "Invalid Sec-WebSocket-Protocol header");
    }
  }
  if (server.opts.perMessageDeflate) {
    let agreement;
    try {
      agreement = negotiate(headerOf(req, "Sec-WebSocket-Extensions"), server.opts.perMessageDeflate);
    } catch (error) {
      debug("the offer of extensions is refused: %s", error);
      return abort(attempt.socket, 400, "Invalid or unacceptable Sec-WebSocket-Extensions header");
    }
    if (agreement !== undefined) {
      more += `\r\nSec-WebSocket-Extensions: ${agreement.response}`;
      attempt.deflate = agreement.agreed;
    }
  }
  if (!attempt.isOpen()) return false;
  if (server.ws._isClosed) {
    return abort(attempt.socket, 503);
  }
  let response;
  try {
    response = attempt.beginAnswer(key);
  } catch (error) {
    debug("the native engine cannot answer: %s", error);
    warnOnce("SOCKEYE_UPGRADES", "upgrade requests are answered with 500", error);
    return abort(attempt.socket, 500, "The native engine has failed");
  }
  attempt.response = addHeaders(attempt, response + more) + "\r\n\r\n";
  return true;
}

/** Completes the answer with what middlewares and listeners have to add. */
function addHeaders(attempt, response) {
  const { server, req } = attempt;
  if (attempt.headers !== undefined || isAnnounced(server)) {
    const headers = attempt.headers ?? {};
    announceHeaders(server, headers, req);
    for (const line of linesOf(headers)) response += `\r\n${line}`;
  }
  if (server.ws === undefined || server.ws.listenerCount("headers") === 0) return response;
  const lines = response.split("\r\n");
  server.ws.emit("headers", lines, req);
  return lines.join("\r\n");
}

/** Refuses a WebSocket handshake. */
function abort(socket, status, message, headers) {
  socket.on("error", noop);
  return abortHandshake(socket, status, message, headers);
}

/** Ends a connection with these bytes, and waits for the client to hang up too. */
function endWith(socket, bytes) {
  socket.on("error", noop);
  socket.resume();
  socket.end(bytes);
  setTimeout(() => socket.destroy(), HANGUP_TIMEOUT).unref();
}

/** Statuses other than 400, with what belongs to them. */
const STATUS_LINES = {
  [errors.SHUTTING_DOWN]: `503 Service Unavailable\r\nRetry-After: ${RETRY_AFTER}`,
  [errors.TOO_MANY_SESSIONS]: `429 Too Many Requests\r\nRetry-After: ${RETRY_AFTER}`,
};

/** Answers an upgrade request with an error. */
function refuseUpgrade(socket, code, context) {
  socket.on("error", noop);
  if (socket.writable) {
    socket.write(refusalOf(code, context));
  }
  socket.destroy();
}

/** What an upgrade request is answered with that is refused. */
function refusalOf(code, context) {
  const message = context?.message || errorMessages[code];
  const status = STATUS_LINES[code] ?? "400 Bad Request";
  return (
    `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-type: text/html\r\n` +
    `Content-Length: ${Buffer.byteLength(message)}\r\n\r\n${message}`
  );
}

function noop() {}

module.exports = { UpgradeAttempt, handleUpgrade, onWebSocket, refusalOf };
