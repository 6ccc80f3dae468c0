"use strict";

const { randomBytes } = require("crypto");
const createDebug = require("debug");
const { acceptKey } = require("../binding.js");
const { negotiate } = require("./deflate");
const { Conn, revisionOf } = require("./conn");
const { parseQuery } = require("./query");
const { isTaken, takeOver } = require("./takeover");
const { acceptUpgrade } = require("./ws-engine");

const debug = createDebug("engine");

const errors = {
  UNKNOWN_TRANSPORT: 0,
  UNKNOWN_SID: 1,
  BAD_HANDSHAKE_METHOD: 2,
  BAD_REQUEST: 3,
  FORBIDDEN: 4,
  UNSUPPORTED_PROTOCOL_VERSION: 5,
};

const errorMessages = {
  0: "Transport unknown",
  1: "Session ID unknown",
  2: "Bad handshake method",
  3: "Bad request",
  4: "Forbidden",
  5: "Unsupported protocol version",
};

/** A Close frame without a status (RFC 6455 section 5.5.1). */
const CLOSE_FRAME = Buffer.from([0x88, 0x00]);

/** Milliseconds that a client has to hang up after a Close frame. */
const HANGUP_TIMEOUT = 30000;

/** RFC 6455 section 4.1: 16 bytes in base64. */
const KEY = /^[+/0-9A-Za-z]{22}==$/;

/** RFC 7230 section 3.2.6: a token, and what may stand around it in a list. */
const TOKEN_LIST = /^[\t ]*[!#$%&'*+\-.^_`|~0-9A-Za-z]+[\t ]*$/;

/** Bytes that may not stand in a header's value: control characters other than the tab, and DEL. */
const INVALID_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/** Random bytes are drawn for many ids at once: a call to the generator costs more than the bytes. */
const ID_BYTES = 15;
const POOLED_IDS = 128;
let pool = Buffer.alloc(0);
let poolAt = 0;

/**
 * Makes an id of 120 random bits.
 * @returns {string} 20 characters of URL-safe base64
 */
function generateId() {
  if (poolAt === pool.length) {
    pool = randomBytes(ID_BYTES * POOLED_IDS);
    poolAt = 0;
  }
  poolAt += ID_BYTES;
  return pool.base64urlSlice(poolAt - ID_BYTES, poolAt);
}

/**
 * Handles a request of a client: a handshake, or a GET or POST of a session.
 * @param server {Server}
 * @param req {IncomingMessage}
 * @param res {ServerResponse}
 */
function handleRequest(server, req, res) {
  debug('handling "%s" http request "%s"', req.method, req.url);
  prepare(server, req);
  req.res = res;
  check(server, req, res, false, (code, context) => {
    if (code !== undefined) {
      reportError(server, req, code, context);
      refuse(res, code, context);
    } else if (req._query.sid) {
      server.clients[req._query.sid].transport.onRequest(req);
    } else {
      openSession(
        server,
        req,
        (refusal) => refuse(res, refusal),
        (id) => {
          const conn = new Conn(id, server, req, "polling", protocolOf(req));
          conn._openPolling(req);
          return conn;
        },
      );
    }
  });
}

/**
 * Handles an upgrade request of a client: a handshake, or a WebSocket for a session that polls.
 * @param server {Server}
 * @param req {IncomingMessage}
 * @param socket {Duplex}
 * @param head {Buffer}
 */
function handleUpgrade(server, req, socket, head) {
  prepare(server, req);
  const res = new UpgradeResponse(req, socket);
  check(server, req, res, true, (code, context) => {
    if (code !== undefined) {
      reportError(server, req, code, context);
      refuseUpgrade(socket, code, context);
      return;
    }
    // some middlewares add their headers when this is called
    res.writeHead();
    if (server.opts.wsEngine) {
      acceptUpgrade(server, req, socket, head, res.headers, (accepted) => onUpgrade(server, req, accepted));
      return;
    }
    const answer = switchProtocols(server, req, socket, res);
    if (answer !== undefined) onUpgrade(server, req, new Upgrade(server, req, socket, head, answer));
  });
}

/** A WebSocket handshake in which nothing was wrong. */
class Upgrade {
  constructor(server, req, socket, head, answer) {
    this.server = server;
    this.req = req;
    this.socket = socket;
    this.head = head;
    this.response = answer.response;
    this.deflate = answer.deflate;
  }

  /** There will be no session. */
  close() {
    endWith(this.socket, Buffer.concat([Buffer.from(this.response), CLOSE_FRAME]));
  }

  /** Answers the request without a session. */
  answer() {
    this.socket.write(this.response);
  }

  /**
   * Makes it the WebSocket of a session.
   * @param conn {Conn}
   * @param give {function(number, number, string, Buffer)} gets the stream's number, the descriptor (-1: none), the
   *   answer to the request, what has already been read, and what was agreed on for permessage-deflate
   * @returns {boolean} whether that worked
   */
  take(conn, give) {
    const { server, req, socket, head, response, deflate } = this;
    return takeOver(server, conn, req, socket, head, (stream, fd, rest) =>
      give(stream, fd, response, rest, deflate),
    );
  }
}

/** Finds the session for a WebSocket. */
function onUpgrade(server, req, upgrade) {
  if (req._query.transport !== "websocket") {
    upgrade.close();
  } else if (req._query.sid) {
    upgradeSession(server, req, upgrade);
  } else {
    const refuseOpen = (refusal) => {
      upgrade.answer();
      refuseUpgrade(upgrade.socket, refusal);
    };
    openSession(server, req, refuseOpen, (id) => openWebSocket(server, req, upgrade, id));
  }
}

function openWebSocket(server, req, upgrade, id) {
  const conn = new Conn(id, server, req, "websocket", protocolOf(req));
  const opened = upgrade.take(conn, (stream, fd, response, rest, deflate) => {
    const initial = server._initialText();
    server._native.openWebsocket(
      conn._handle,
      revisionOf(req),
      stream,
      fd,
      response,
      rest,
      deflate,
      id,
      initial,
    );
  });
  return opened ? conn : undefined;
}

function upgradeSession(server, req, upgrade) {
  const conn = server.clients[req._query.sid];
  if (conn === undefined || conn.upgrading || conn.upgraded || conn.transport.name !== "polling") {
    debug("the session cannot be upgraded (any more)");
    upgrade.close();
    return;
  }
  debug("upgrading existing transport");
  conn._beginUpgrade();
  const begun = upgrade.take(conn, (stream, fd, response, rest, deflate) => {
    server._native.upgrade(conn._handle, stream, fd, response, rest, deflate);
  });
  if (!begun) conn._onUpgradeFailed();
}

function prepare(server, req) {
  server.prepare(req);
  if (server.prepare !== prepareRequest) seen.add(req);
}

/** Parses the query, unless somebody (connect, a test) has done so. */
function prepareRequest(req) {
  req._query ??= parseQuery(req.url);
}

/** Runs the middlewares and the checks; `callback` gets an error code and its context, or nothing. */
function check(server, req, res, upgrade, callback) {
  runMiddlewares(server, req, res, (err) => {
    if (err) {
      callback(errors.BAD_REQUEST, { name: "MIDDLEWARE_FAILURE" });
    } else {
      verify(server, req, upgrade, callback);
    }
  });
}

function runMiddlewares(server, req, res, callback) {
  const { middlewares } = server;
  if (middlewares.length === 0) return callback();
  seen.add(req);
  let at = 0;
  const next = (err) => {
    if (err || at === middlewares.length) return callback(err);
    middlewares[at++](req, res, next);
  };
  next();
}

function verify(server, req, upgrade, callback) {
  const { transport, sid } = req._query;
  if (!server.opts.transports.includes(transport) || transport === "webtransport") {
    debug('unknown transport "%s"', transport);
    return callback(errors.UNKNOWN_TRANSPORT, { transport });
  }
  const origin = headerOf(req, "origin");
  if (origin !== undefined && INVALID_VALUE.test(origin)) {
    req.headers.origin = null;
    debug("origin header invalid");
    return callback(errors.BAD_REQUEST, { name: "INVALID_ORIGIN", origin });
  }
  return sid
    ? verifySession(server, req, upgrade, callback)
    : verifyHandshake(server, req, upgrade, callback);
}

/** Checks a request that names a session. */
function verifySession(server, req, upgrade, callback) {
  const { transport, sid } = req._query;
  if (!Object.hasOwn(server.clients, sid)) {
    debug('unknown sid "%s"', sid);
    return callback(errors.UNKNOWN_SID, { sid });
  }
  const conn = server.clients[sid];
  const previousTransport = conn.transport.name;
  if (!upgrade && previousTransport !== transport) {
    debug("bad request: unexpected transport without upgrade");
    return callback(errors.BAD_REQUEST, { name: "TRANSPORT_MISMATCH", transport, previousTransport });
  }
  const protocol = protocolOf(req);
  if (conn.protocol !== protocol) {
    debug("bad request: unexpected protocol version during upgrade");
    const context = { name: "PROTOCOL_MISMATCH", protocol, previousProtocol: conn.protocol };
    return callback(errors.BAD_REQUEST, context);
  }
  callback();
}

/** Checks a request that wants a new session. */
function verifyHandshake(server, req, upgrade, callback) {
  if (req.method !== "GET") {
    return callback(errors.BAD_HANDSHAKE_METHOD, { method: req.method });
  }
  if (req._query.transport === "websocket" && !upgrade) {
    debug("invalid transport upgrade");
    return callback(errors.BAD_REQUEST, { name: "TRANSPORT_HANDSHAKE_ERROR" });
  }
  if (!server.opts.allowRequest) return callback();
  seen.add(req);
  server.opts.allowRequest(req, (message, success) => {
    if (success) callback();
    else callback(errors.FORBIDDEN, { message });
  });
}

/** The revision of the protocol that a client speaks. */
function protocolOf(req) {
  return req._query.EIO === "4" ? 4 : 3;
}

/**
 * Gives a new session its id, opens it and announces it.
 * @param refuseWith {function(number)} answers the client with an error code
 * @param open {function(string): Conn|undefined}
 */
function openSession(server, req, refuseWith, open) {
  const protocol = protocolOf(req);
  if (protocol === 3 && !server.opts.allowEIO3) {
    debug("unsupported protocol version");
    const code = errors.UNSUPPORTED_PROTOCOL_VERSION;
    reportError(server, req, code, { protocol });
    refuseWith(code);
    return;
  }
  const fail = (error) => {
    debug("error while generating an id");
    reportError(server, req, errors.BAD_REQUEST, { name: "ID_GENERATION_ERROR", error });
    refuseWith(errors.BAD_REQUEST);
  };
  const proceed = (id) => {
    debug('handshaking client "%s"', id);
    const conn = open(id);
    if (conn !== undefined) server.emit("connection", conn);
  };
  let id;
  try {
    id = server.generateId(req);
  } catch (error) {
    return fail(error);
  }
  if (typeof id?.then === "function") {
    Promise.resolve(id).then((value) => process.nextTick(proceed, value), fail);
  } else {
    proceed(id);
  }
}

/**
 * Checks the WebSocket part of an upgrade request (RFC 6455 section 4.2.1).
 * @returns {{ response: string, deflate: number }|undefined} the answer that switches protocols, and what was agreed on
 *   for permessage-deflate; nothing if the request has been refused
 */
function switchProtocols(server, req, socket, res) {
  const upgrade = headerOf(req, "upgrade");
  const version = Number(headerOf(req, "sec-websocket-version"));
  const key = headerOf(req, "sec-websocket-key");
  const protocols = headerOf(req, "sec-websocket-protocol");
  if (req.method !== "GET") return abortHandshake(socket, 405, "Method Not Allowed", "Invalid HTTP method");
  const bad = (message, more) => abortHandshake(socket, 400, "Bad Request", message, more);
  if (upgrade === undefined || upgrade.toLowerCase() !== "websocket") {
    return bad("Invalid Upgrade header");
  }
  if (key === undefined || !KEY.test(key)) return bad("Missing or invalid Sec-WebSocket-Key header");
  if (version !== 13 && version !== 8) {
    return bad("Missing or invalid Sec-WebSocket-Version header", "Sec-WebSocket-Version: 13, 8\r\n");
  }
  let protocol;
  if (protocols !== undefined) {
    const names = protocols.split(",");
    const trimmed = names.map((name) => name.trim());
    if (!names.every((name) => TOKEN_LIST.test(name)) || new Set(trimmed).size !== names.length) {
      return bad("Invalid Sec-WebSocket-Protocol header");
    }
    [protocol] = trimmed;
  }
  let agreement;
  if (server.opts.perMessageDeflate) {
    try {
      agreement = negotiate(headerOf(req, "sec-websocket-extensions"), server.opts.perMessageDeflate);
    } catch {
      return bad("Invalid or unacceptable Sec-WebSocket-Extensions header");
    }
  }
  if (!socket.readable || !socket.writable) {
    socket.destroy();
    return undefined;
  }
  if (isTaken(socket)) {
    throw new Error("handleUpgrade() was called more than once with the same socket");
  }
  const lines = [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${acceptKey(key)}`,
  ];
  if (protocol) lines.push(`Sec-WebSocket-Protocol: ${protocol}`);
  if (agreement) lines.push(`Sec-WebSocket-Extensions: ${agreement.response}`);
  announceHeaders(server, res.headers, req);
  for (const name of Object.keys(res.headers)) lines.push(`${name}: ${res.headers[name]}`);
  server.ws?.emit("headers", lines, req);
  return { response: lines.join("\r\n") + "\r\n\r\n", deflate: agreement?.agreed ?? 0 };
}

/** Lets the application see, and add to, the headers of the answer to an upgrade request. */
function announceHeaders(server, headers, req) {
  if (!req._query.sid) server.emit("initial_headers", headers, req);
  server.emit("headers", headers, req);
}

/**
 * A header of a request. Looked up among the raw ones, because making `req.headers` costs more than the whole handshake
 * in memory, and most applications never look at it.
 */
function headerOf(req, name) {
  const { rawHeaders } = req;
  // a middleware, or whoever has made the request, may have changed what there is
  if (seen.has(req) || !Array.isArray(rawHeaders) || rawHeaders.length === 0) return req.headers[name];
  let value;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const candidate = rawHeaders[i];
    if (candidate.length === name.length && candidate.toLowerCase() === name) {
      // what several headers of one name mean is Node's business
      if (value !== undefined) return req.headers[name];
      value = rawHeaders[i + 1];
    }
  }
  return value;
}

/** Requests that code of the application has had in its hands, and whose headers it may have changed. */
const seen = new WeakSet();

/** Refuses a WebSocket handshake. */
function abortHandshake(socket, status, statusText, message, headers = "") {
  socket.on("error", noop);
  socket.once("finish", socket.destroy);
  socket.end(
    `HTTP/1.1 ${status} ${statusText}\r\nConnection: close\r\nContent-Type: text/html\r\n` +
      `Content-Length: ${Buffer.byteLength(message)}\r\n${headers}\r\n${message}`,
  );
  return undefined;
}

/** Ends a connection with these bytes, and waits for the client to hang up too. */
function endWith(socket, bytes) {
  socket.on("error", noop);
  socket.resume();
  socket.end(bytes);
  setTimeout(() => socket.destroy(), HANGUP_TIMEOUT).unref();
}

function reportError(server, req, code, context) {
  server.emit("connection_error", { req, code, message: errorMessages[code], context });
}

/** Answers a request with an error. */
function refuse(res, code, context) {
  res.writeHead(code === errors.FORBIDDEN ? 403 : 400, { "Content-Type": "application/json" });
  res.end(JSON.stringify({ code, message: context?.message || errorMessages[code] }));
}

/** Answers an upgrade request with an error. */
function refuseUpgrade(socket, code, context) {
  socket.on("error", noop);
  if (socket.writable) {
    const message = context?.message || errorMessages[code];
    socket.write(
      "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-type: text/html\r\n" +
        `Content-Length: ${Buffer.byteLength(message)}\r\n\r\n${message}`,
    );
  }
  socket.destroy();
}

/** As much of a `ServerResponse` as middlewares need of the answer to an upgrade request. */
class UpgradeResponse {
  constructor(req, socket) {
    this.req = req;
    this.socket = socket;
    this.headers = {};
  }

  setHeader(name, value) {
    this.headers[name] = value;
  }

  getHeader(name) {
    return this.headers[name];
  }

  removeHeader(name) {
    delete this.headers[name];
  }

  write() {}

  writeHead() {}

  /** A middleware that answers by itself refuses the upgrade. */
  end() {
    this.socket.destroy();
  }
}

function noop() {}

module.exports = {
  announceHeaders,
  errors,
  errorMessages,
  generateId,
  handleRequest,
  handleUpgrade,
  prepareRequest,
};
