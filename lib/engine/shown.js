"use strict";

const { Conn, revisionOf } = require("./conn");
const { admit, admitPolling } = require("./admission");
const { areUpgradesSeen } = require("./observers");
const { RequestAttempt, check, findFault, prepare, protocolOf } = require("./handshake");
const { UpgradeAttempt } = require("./upgrade");
const { UpgradeResponse, followSocket } = require("./upgrade-response");
const {
  changeHolder,
  finishRequest,
  hasOwnSocket,
  isTouched,
  headersAlone,
  lazily,
  makeAnswer,
  makeRequest,
} = require("../node/shown");

// Requests that a worker has recognised, and that the application gets to see. Their bytes stay where they are until it has
// made up its mind. If it lets a request pass, a worker answers it, and Node's objects for the connection need not be. For
// everything else, JavaScript takes the request, and goes on as if it had come from Node's HTTP server.

/** What becomes of a request that is shown. */
const PENDING = 0; // the application makes up its mind
const PASSED = 1; // a worker has it
const TAKEN = 2; // JavaScript has it

/** A request of a client that polls. */
class ShownRequest extends RequestAttempt {
  /** @param {Announcement} announcement - of the request */
  constructor(announcement) {
    super(announcement.arrival.arrivals.server, undefined, undefined);
    this.announcement = announcement;
    this.arrival = announcement.arrival;
    this.state = PENDING;
    this.origin = this.arrival.originOf(announcement);
    this.req = makeRequest(announcement.method, announcement.rawRequest, this.origin, this);
    this.req.upgrade = false;
  }

  /** @override */
  get res() {
    return (this._res ??= makeAnswer(this.req));
  }

  /** Whether it is not known what becomes of it. */
  get isPending() {
    return this.state === PENDING;
  }

  /** Asks the application. */
  begin() {
    ask(this);
    // Node's parser gets to the end of a request when those who see it first have returned
    this.req.complete = true;
  }

  /** @override */
  proceed(refusal) {
    const { arrival, req, server } = this;
    const isForSession = Boolean(req._query.sid);
    const headers = refusal === undefined && isForSession && this._canPass() ? this._headers() : undefined;
    if (headers !== undefined) {
      this.state = PASSED;
      server._road.onShown(true);
      server._bridge.commands.pass(arrival.id, headers);
      if (req.method === "POST") server.clients[req._query.sid]._polling.passed = this;
      return;
    }
    if (isForSession && refusal === undefined) server._road.onShown(false);
    if (refusal !== undefined || isForSession) this.take();
    super.proceed(refusal);
  }

  /** @override */
  open(id) {
    const { announcement, origin, req, server } = this;
    const headers = this._canPass() ? this._headers() : undefined;
    if (headers === undefined || (server.opts.cookie && /^set-cookie:/im.test(headers))) {
      this.take();
      return super.open(id);
    }
    this.state = PASSED;
    const conn = admitPolling(announcement, id, origin, headers);
    conn.remoteAddress = remoteAddressOf(this);
    conn._request = req;
    conn._rawRequest = undefined;
    req.res = null;
    finishRequest(req);
    this.arrival.forget(this);
    return conn;
  }

  /** @override */
  refuse(code) {
    this.take();
    super.refuse(code);
  }

  /** @override */
  bearErrors() {
    if (this.state === TAKEN) super.bearErrors();
  }

  /** A worker has answered it. */
  onAnswered() {
    if (this.state === PASSED) this.arrival.forget(this);
  }

  /** The application does more than to let it pass. */
  onUse() {
    if (this.state === PENDING) this.take();
  }

  /** A worker cannot answer it, or the client has hung up. */
  onUnserved() {
    const isPassed = this.state === PASSED;
    this.take();
    // what is wrong with it may have become so since it was checked
    if (isPassed) super.proceed(findFault(this.server, this.req, false));
  }

  /** From here on, it is as if Node's HTTP server had brought it. */
  take() {
    if (this.state === TAKEN) return;
    this.state = TAKEN;
    if (!this.arrival.isGone) this.arrival.giveRequest(this.req, this.res);
  }

  _canPass() {
    const { _road: road } = this.server;
    if (this.state !== PENDING || this.arrival.isGone) return false;
    road.check();
    return road.isOpen;
  }

  _headers() {
    return headersAlone(this.req, this._res);
  }
}

/** A request for a WebSocket. */
class ShownUpgrade extends UpgradeAttempt {
  /** @param {Announcement} announcement - of the request */
  constructor(announcement) {
    super(announcement.arrival.arrivals.server, undefined, undefined, Buffer.alloc(0));
    this.announcement = announcement;
    this.arrival = announcement.arrival;
    this.state = PENDING;
    this.req = makeRequest(announcement.method, announcement.rawRequest, this.arrival);
    this.req.upgrade = true;
    finishRequest(this.req);
    /** The `Sec-WebSocket-Key`, while the answer lacks what is made of it. */
    this._key = undefined;
    /** Whether it is the engine's turn among those who listen for upgrade requests, or was. */
    this._isHeard = false;
  }

  /**
   * Whoever answers by it has taken the request.
   * @override
   */
  get socket() {
    if (this.state !== TAKEN) {
      this.state = TAKEN;
      this._socket = this.arrival.takeSocket();
      if (this._res !== undefined) followSocket(this._res, this._socket);
    }
    return this._socket;
  }

  /** @override */
  get res() {
    return (this._res ??= new UpgradeResponse(this.req, this));
  }

  /** Whether it is not known what becomes of it. */
  get isPending() {
    return this.state === PENDING;
  }

  /** @override */
  get isOverheard() {
    return areUpgradesSeen(this.arrival.arrivals.httpServer);
  }

  /** Asks the application, and tells whoever listens for upgrade requests. */
  begin() {
    const { arrival, head, req } = this;
    const { httpServer } = arrival.arrivals;
    if (!areUpgradesSeen(httpServer)) return ask(this);
    req[kAttempt] = this;
    try {
      httpServer.emit("upgrade", req, req.socket, head);
    } finally {
      req[kAttempt] = undefined;
      // somebody has kept it from the engine
      if (!this._isHeard) void this.socket;
    }
  }

  /** It is the engine's turn among those who listen. */
  onHeard() {
    this._isHeard = true;
    if (this._isTouched()) void this.socket;
    ask(this);
  }

  /** @override */
  isOpen() {
    return this.state === TAKEN ? super.isOpen() : true;
  }

  /** @override */
  beginAnswer(key) {
    // the worker has made it
    this._key = key;
    return "";
  }

  /** @override */
  bearErrors() {
    if (this.state === TAKEN) super.bearErrors();
  }

  /** @override */
  refuse(code) {
    this._completeAnswer();
    super.refuse(code);
  }

  /** @override */
  close() {
    this._completeAnswer();
    super.close();
  }

  /** @override */
  open(id) {
    const { arrival, req, server } = this;
    if (!this._canPass()) {
      this._completeAnswer();
      return super.open(id);
    }
    const conn = new Conn(id, server, undefined, "websocket", protocolOf(req), arrival.id);
    conn.remoteAddress = remoteAddressOf(this);
    conn._request = req;
    this._pass(conn, id);
    req[kConn] = conn;
    Object.defineProperty(req, "websocket", WEBSOCKET);
    return conn;
  }

  /** @override */
  upgradeSession(conn) {
    if (!this._canPass() || conn === undefined || !conn._canUpgrade()) {
      this._completeAnswer();
      super.upgradeSession(conn);
      return;
    }
    conn._beginUpgrade();
    this._pass(conn, "");
  }

  /** The client has hung up. */
  onUnserved() {
    void this.socket;
  }

  /** Whether the worker may switch protocols. */
  _canPass() {
    const { req, arrival } = this;
    if (this.state !== PENDING || arrival.isGone || req._eventsCount > 0 || this._isTouched()) return false;
    return arrival.arrivals.isOpen();
  }

  /** Whether a listener has done something to the socket. */
  _isTouched() {
    return this._isHeard && isTouched(this.arrival.socket);
  }

  /** The worker switches protocols. */
  _pass(conn, sid) {
    const { announcement, arrival, req } = this;
    // whoever listens wants to hear of the end of the WebSocket
    if (this._res?._eventsCount > 0) followSocket(this._res, arrival.socket);
    const headers = this.response.slice(0, -"\r\n\r\n".length);
    this.state = PASSED;
    changeHolder(req, admit(announcement, conn, revisionOf(req), sid, headers));
  }

  /** JavaScript answers, and has to begin as the worker would have done. */
  _completeAnswer() {
    if (this._key === undefined) return;
    this.response = super.beginAnswer(this._key) + this.response;
    this._key = undefined;
  }
}

/** Has the application, and the checks, decide about a request. */
function ask(attempt) {
  const { server, req } = attempt;
  prepare(server, req);
  check(server, req, attempt);
}

/** Of a request: the attempt, while those who listen for upgrade requests are told of it. */
const kAttempt = Symbol("attempt");

/** Whether a worker has brought an upgrade request that an engine hears of. It goes on then. */
function isShown(req) {
  const attempt = req[kAttempt];
  req[kAttempt] = undefined;
  attempt?.onHeard();
  return attempt !== undefined;
}

const kConn = Symbol("conn");

/** The WebSocket that a session has begun with, as applications find it at its request. */
const WEBSOCKET = lazily("websocket", (req) => req[kConn].transport.socket);

/** The address of the client, as the application finds it at the request. */
function remoteAddressOf({ announcement, arrival, req }) {
  return arrival.hasSocket || hasOwnSocket(req) ? req.socket.remoteAddress : announcement.remoteAddress;
}

module.exports = { ShownRequest, ShownUpgrade, isShown };
