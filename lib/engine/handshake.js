"use strict";

const { EventEmitter } = require("events");
const createDebug = require("debug");
const { refusals } = require("./channels");
const { Conn } = require("./conn");
const { addressBehind } = require("./limits");
const { runMiddlewares } = require("./middleware");
const { parseQuery } = require("./query");
const { hasHeaders } = require("../node/request");
const { wasShown } = require("../node/shown");

const debug = createDebug("engine");

const errors = {
  UNKNOWN_TRANSPORT: 0,
  UNKNOWN_SID: 1,
  BAD_HANDSHAKE_METHOD: 2,
  BAD_REQUEST: 3,
  FORBIDDEN: 4,
  UNSUPPORTED_PROTOCOL_VERSION: 5,
  SHUTTING_DOWN: 6,
  TOO_MANY_SESSIONS: 7,
};

const errorMessages = {
  0: "Transport unknown",
  1: "Session ID unknown",
  2: "Bad handshake method",
  3: "Bad request",
  4: "Forbidden",
  5: "Unsupported protocol version",
  6: "Server shutting down",
  7: "Too many sessions",
};

/** How a request is answered that another server had better have: by when clients may try again, in seconds. */
const RETRY_AFTER = 1;

/** Bytes that may not stand in a header's value: control characters other than the tab, and DEL. */
const INVALID_VALUE = /[^\t\x20-\x7e\x80-\xff]/;

/**
 * Handles a request of a client: a handshake, or a GET or POST of a session.
 * @param {Server} server
 * @param {IncomingMessage} req
 * @param {ServerResponse} res
 */
function handleRequest(server, req, res) {
  if (wasShown(req)) return;
  debug('handling "%s" http request "%s"', req.method, req.url);
  prepare(server, req);
  req.res = res;
  check(server, req, new RequestAttempt(server, req, res));
}

/** A request on its way through the checks to a session. Upgrade requests have `UpgradeAttempt`. */
class RequestAttempt {
  constructor(server, req, res) {
    this.server = server;
    this.req = req;
    this._res = res;
  }

  get res() {
    return this._res;
  }

  get isUpgrade() {
    return false;
  }

  /**
   * The checks are done.
   * @param {{ code: number, context: object }|undefined} refusal - what is wrong with the request, if anything is
   */
  proceed(refusal) {
    const { server, req, res } = this;
    if (refusal !== undefined) {
      reportError(server, req, refusal.code, refusal.context);
      refuse(res, refusal.code, refusal.context);
    } else if (req._query.sid) {
      this._pass(server.clients[req._query.sid].transport);
    } else {
      openSession(server, req, this);
    }
  }

  /** Hands the request to its session. A POST waits for one that arrived before it, and may find the session ended. */
  _pass(transport) {
    const { server, req } = this;
    const earlier = req.method === "POST" ? transport.answerUnderWay : undefined;
    if (earlier === undefined) {
      transport.onRequest(req);
    } else {
      earlier.once("close", () => this.proceed(findFault(server, req, false)));
    }
  }

  /** Opens a session. */
  open(id) {
    const { req, server } = this;
    const conn = new Conn(id, server, req, "polling", protocolOf(req), undefined, server._road.admits(req));
    return conn._openPolling(req) ? conn : undefined;
  }

  /** There will be no session: says so to the client. */
  refuse(code) {
    refuse(this.res, code);
  }

  /** Errors of the connection are nobody's concern. */
  bearErrors() {
    this.req.socket.on("error", noop);
  }
}

function prepare(server, req) {
  server.prepare(req);
  if (server.prepare !== prepareRequest) seen.add(req);
}

/** Parses the query, unless somebody (connect, a test) has done so. */
function prepareRequest(req) {
  req._query ??= parseQuery(req.url);
}

/**
 * Runs the middlewares and the checks.
 * @param {Server} server
 * @param {IncomingMessage} req
 * @param {RequestAttempt|UpgradeAttempt} attempt - whose `proceed(refusal)` is called
 */
function check(server, req, attempt) {
  if (server.middlewares.length === 0) {
    verify(server, req, attempt);
    return;
  }
  seen.add(req);
  runMiddlewares(server.middlewares, req, attempt.res).then(
    () => verify(server, req, attempt),
    (error) => {
      debug("a middleware has refused the request: %s", error);
      attempt.proceed({ code: errors.BAD_REQUEST, context: { name: "MIDDLEWARE_FAILURE" } });
    },
  );
}

function verify(server, req, attempt) {
  const { sid } = req._query;
  const refusal = findFault(server, req, attempt.isUpgrade);
  if (refusal !== undefined || sid || !server.opts.allowRequest) {
    attempt.proceed(refusal);
    return;
  }
  seen.add(req);
  let isDecided = false;
  server.opts.allowRequest(req, (message, success) => {
    // a second decision would be about a request that has been answered
    if (isDecided) return;
    isDecided = true;
    attempt.proceed(success ? undefined : { code: errors.FORBIDDEN, context: { message } });
  });
}

/** @returns {{ code: number, context: object }|undefined} what is wrong with a request */
function findFault(server, req, isUpgrade) {
  const { transport, sid } = req._query;
  if (!server.opts.transports.includes(transport) || transport === "webtransport") {
    debug('unknown transport "%s"', transport);
    return { code: errors.UNKNOWN_TRANSPORT, context: { transport } };
  }
  const origin = headerOf(req, "Origin");
  if (origin !== undefined && INVALID_VALUE.test(origin)) {
    req.headers.origin = null;
    debug("origin header invalid");
    return { code: errors.BAD_REQUEST, context: { name: "INVALID_ORIGIN", origin } };
  }
  if (sid) return findSessionFault(server, req, isUpgrade);
  if (server._isDraining) return { code: errors.SHUTTING_DOWN, context: {} };
  return findHandshakeFault(req, isUpgrade) ?? findObstacle(server, req);
}

/** Checks a request that names a session. */
function findSessionFault(server, req, isUpgrade) {
  const { transport, sid } = req._query;
  if (!Object.hasOwn(server.clients, sid)) {
    debug('unknown sid "%s"', sid);
    return { code: errors.UNKNOWN_SID, context: { sid } };
  }
  const conn = server.clients[sid];
  const previousTransport = conn.transport.name;
  if (!isUpgrade && previousTransport !== transport) {
    debug("bad request: unexpected transport without upgrade");
    const context = { name: "TRANSPORT_MISMATCH", transport, previousTransport };
    return { code: errors.BAD_REQUEST, context };
  }
  const protocol = protocolOf(req);
  if (conn.protocol !== protocol) {
    debug("bad request: unexpected protocol version during upgrade");
    const context = { name: "PROTOCOL_MISMATCH", protocol, previousProtocol: conn.protocol };
    return { code: errors.BAD_REQUEST, context };
  }
  return undefined;
}

/** Checks a request that wants a new session. */
function findHandshakeFault(req, isUpgrade) {
  if (req.method !== "GET") {
    return { code: errors.BAD_HANDSHAKE_METHOD, context: { method: req.method } };
  }
  if (req._query.transport === "websocket" && !isUpgrade) {
    debug("invalid transport upgrade");
    return { code: errors.BAD_REQUEST, context: { name: "TRANSPORT_HANDSHAKE_ERROR" } };
  }
  return undefined;
}

/** Whether the server has no room for another session. */
function findObstacle(server, req) {
  if (server._isDraining) return { code: errors.SHUTTING_DOWN, context: {} };
  if (server._gate === undefined) return undefined;
  const address = addressOf(server, req);
  return tooMany(server._gate.obstacle(address), address);
}

/** What a limit that is against another session comes to. */
function tooMany(limit, address) {
  return limit === undefined ? undefined : { code: errors.TOO_MANY_SESSIONS, context: { limit, address } };
}

/** Whom a request comes from, behind the proxies that are trusted. */
function addressOf(server, req) {
  return addressBehind(server._limits.proxies, req.socket.remoteAddress, (name) => headerOf(req, name));
}

/** The revision of the protocol that a client speaks. */
function protocolOf(req) {
  return req._query.EIO === "4" ? 4 : 3;
}

/**
 * Gives a new session its id, opens it and announces it.
 * @param {Server} server
 * @param {IncomingMessage} req
 * @param {RequestAttempt|UpgradeAttempt} attempt
 */
function openSession(server, req, attempt) {
  const protocol = protocolOf(req);
  if (protocol === 3 && !server.opts.allowEIO3) {
    debug("unsupported protocol version");
    const code = errors.UNSUPPORTED_PROTOCOL_VERSION;
    reportError(server, req, code, { protocol });
    attempt.refuse(code);
    return;
  }
  let id;
  try {
    id = server.generateId(req);
  } catch (error) {
    failToOpen(server, req, attempt, error);
    return;
  }
  if (typeof id?.then === "function") {
    // nobody else may hear of its errors meanwhile
    attempt.bearErrors();
    Promise.resolve(id).then(
      (value) => process.nextTick(openWithId, server, attempt, value),
      (error) => failToOpen(server, req, attempt, error),
    );
  } else if (attempt.isOverheard) {
    // those who are told of the request after us come first
    attempt.bearErrors();
    process.nextTick(openWithId, server, attempt, id);
  } else {
    openWithId(server, attempt, id);
  }
}

function openWithId(server, attempt, id) {
  const { req } = attempt;
  const { _gate: gate } = server;
  // who comes past Node's HTTP server has been let in
  let { address } = attempt;
  if (req !== undefined) {
    if (gate !== undefined) address = addressOf(server, req);
    // which may have come up while the application made up its mind
    const obstacle = server._isDraining
      ? { code: errors.SHUTTING_DOWN, context: {} }
      : tooMany(gate?.enter(address), address);
    if (obstacle !== undefined) {
      reportError(server, req, obstacle.code, obstacle.context);
      attempt.refuse(obstacle.code);
      return;
    }
  }
  if (debug.enabled) debug('handshaking client "%s"', id);
  // a number, say, is one on the wire as well
  let conn;
  try {
    conn = attempt.open(typeof id === "string" ? id : String(id));
  } finally {
    if (conn === undefined) gate?.undo(address);
  }
  if (conn === undefined) return;
  gate?.own(conn, address);
  server.emit("connection", conn);
}

function failToOpen(server, req, attempt, error) {
  debug("error while generating an id");
  reportError(server, req, errors.BAD_REQUEST, { name: "ID_GENERATION_ERROR", error });
  attempt.refuse(errors.BAD_REQUEST);
}

/** Whether the application may want to see, and add to, the headers of answers. */
function isAnnounced(server) {
  return (
    server.emit !== EventEmitter.prototype.emit ||
    server.listenerCount("headers") !== 0 ||
    server.listenerCount("initial_headers") !== 0
  );
}

/** Lets the application see, and add to, the headers of the answer to an upgrade request. */
function announceHeaders(server, headers, req) {
  if (!req._query?.sid) server.emit("initial_headers", headers, req);
  server.emit("headers", headers, req);
}

/**
 * A header of a request. Looked up among the raw ones, because making `req.headers` costs more than the whole handshake
 * in memory, and most applications never look at it.
 */
function headerOf(req, name) {
  const { rawHeaders } = req;
  // a middleware, or whoever has made the request, may have changed what there is
  if ((seen.has(req) && hasHeaders(req)) || !Array.isArray(rawHeaders) || rawHeaders.length === 0) {
    return req.headers[name.toLowerCase()];
  }
  let value;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const candidate = rawHeaders[i];
    if (
      candidate.length === name.length &&
      (candidate === name || candidate.toLowerCase() === name.toLowerCase())
    ) {
      // what several headers of one name mean is Node's business
      if (value !== undefined) return req.headers[name.toLowerCase()];
      value = rawHeaders[i + 1];
    }
  }
  return value;
}

/** Requests that code of the application has had in its hands, and whose headers it may have changed. */
const seen = new WeakSet();

function reportError(server, req, code, context) {
  const message = errorMessages[code];
  server._counts.refusals.add(message);
  if (refusals.hasSubscribers) refusals.publish({ engine: server, req, code, message, context });
  const error = { req, code, message, context };
  // beyond what stock tells, and not in the way of who compares
  Object.defineProperty(error, "address", { configurable: true, get: () => addressOf(server, req) });
  server.emit("connection_error", error);
}

/** Status codes that are not 400. */
const STATUS = { [errors.FORBIDDEN]: 403, [errors.SHUTTING_DOWN]: 503, [errors.TOO_MANY_SESSIONS]: 429 };

/** Answers a request with an error, unless a middleware has answered it before it failed. */
function refuse(res, code, context) {
  if (res.headersSent) {
    if (!res.writableEnded) res.end();
    return;
  }
  if (code === errors.SHUTTING_DOWN || code === errors.TOO_MANY_SESSIONS) {
    res.setHeader("Retry-After", RETRY_AFTER);
    // of HTTP/2, a connection has other streams
    if (res.stream === undefined) res.setHeader("Connection", "close");
  }
  res.writeHead(STATUS[code] ?? 400, { "Content-Type": "application/json" });
  res.end(bodyOf(code, context));
}

/** What an answer says of an error. */
function bodyOf(code, context) {
  return JSON.stringify({ code, message: context?.message || errorMessages[code] });
}

function noop() {}

module.exports = {
  RETRY_AFTER,
  RequestAttempt,
  STATUS,
  announceHeaders,
  bodyOf,
  check,
  errors,
  errorMessages,
  findFault,
  handleRequest,
  headerOf,
  isAnnounced,
  openSession,
  openWithId,
  prepare,
  prepareRequest,
  protocolOf,
  reportError,
};
