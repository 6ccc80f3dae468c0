"use strict";

const createDebug = require("debug");
const { Admission, Announcement, PollingAdmission } = require("./admission");
const { preflightAnswer } = require("./cors");
const { openWithId, protocolOf } = require("./handshake");
const { TlsTerms } = require("../native/binding");
const codes = require("../native/codes");
const { isIndifferent, keepAliveOf, openEntrance } = require("../node/entrance");
const { countIn, countOut, debug: roads, isTlsServer, uncount, whyUnshown } = require("../node/internals");
const { giveRequest, giveSocket, introduce, isTouched, openSocket } = require("../node/shown");
const { isBetweenRequests, suspend } = require("../node/kept");
const { attachSession, expectSession } = require("../node/secure-socket");
const { Stream } = require("../node/stream");
const { handshakeError } = require("../node/tls-errors");
const { TlsFacts, TlsTermsOf } = require("../node/tls-terms");
const { warnOnce } = require("../node/warning");
const { areConnectionsSeen, areUpgradesSeen, isShowable, isUnanswered } = require("./observers");
const { ShownRequest, ShownUpgrade } = require("./shown");

// taken before anybody can replace it by a fake timer
const { setImmediate } = require("timers");

const debug = createDebug("engine");

// What clients begin with is looked at before Node's HTTP server comes to it. An ordinary request for one becomes a
// session without any of Node's objects for connections and requests, which cost more to make than all the rest; they
// are made if somebody asks for them. That is done only where the application cannot tell the difference; every other
// connection is handed to Node as it was accepted, with all its bytes unread.

/** What a connection begins with; else, the number of the session that its request names. */
const { FOREIGN, POLL, UNKNOWN, WEBSOCKET } = codes.beginnings;

/** The level of compression that zlib takes by itself. */
const DEFAULT_LEVEL = 6;

/** Of a request that the native engine looks at. */
const MOST = { bytes: codes.requests.LONGEST_REQUEST, headers: codes.requests.MOST_HEADERS };

/**
 * Looks at the connections of an HTTP server before it does, as far as that is possible.
 * @param {Server} server
 * @param {http.Server} httpServer
 * @param {string} path - what the requests that concern us begin with
 * @returns {Entrance|undefined} nothing if it is not possible
 */
function watchArrivals(server, httpServer, path) {
  // where TLS is Node's, so are the connections
  if (isTlsServer(httpServer) && (!server.opts.nativeTls || TlsTerms === undefined)) return undefined;
  const keeper = new Arrivals(server, httpServer, path);
  const entrance = openEntrance(httpServer, keeper);
  if (entrance === undefined) return undefined;
  keeper.entrance = entrance;
  server._road.keepers.push(keeper);
  return entrance;
}

/** Who looks at the connections of an HTTP server. */
class Arrivals {
  constructor(server, httpServer, path) {
    this.server = server;
    this.httpServer = httpServer;
    this.path = path;
    /** On what terms workers speak TLS to them; undefined if they do not come by it. */
    this.tls = isTlsServer(httpServer) ? new TlsTermsOf(httpServer, TlsTerms) : undefined;
    /** How many there were over TLS that workers had, and why the others were left to Node. */
    this.tlsRoads = { native: 0, node: {} };
    /** By which they come. */
    this.entrance = undefined;
    /** Requests about which the application has not made up its mind at once. */
    this._pending = [];
  }

  /** Whether the application could not tell if a connection never came to Node's HTTP server. */
  isOpen() {
    const { server, httpServer } = this;
    return (
      !server._isClosed &&
      !server.ws._isClosed &&
      !server._handsUpgradesOver() &&
      isShowable(server, httpServer) &&
      ((!this.showsUpgrades() && !areConnectionsSeen(httpServer)) || whyUnshown() === undefined) &&
      !server.opts.initialPacket &&
      server.opts.transports.includes("websocket") &&
      isIndifferent(httpServer, MOST) &&
      (this.tls === undefined || this.tls.current !== undefined)
    );
  }

  /** Whether the application gets to see upgrade requests. */
  showsUpgrades() {
    return this.server._showsRequests() || areUpgradesSeen(this.httpServer);
  }

  /**
   * On what terms clients may poll past the HTTP server.
   * @returns {object|undefined} see `RoadTerms` in src/bridge/engine.rs; undefined: the application could tell the
   *   difference
   */
  terms() {
    const { server, httpServer, path } = this;
    const { opts } = server;
    const keepAlive = keepAliveOf(httpServer);
    if (
      !this.isOpen() ||
      keepAlive === undefined ||
      !opts.transports.includes("polling") ||
      server._isWatched() ||
      server._showsAnswers() ||
      !isUnanswered(server, httpServer)
    ) {
      return undefined;
    }
    const { httpCompression, maxHttpBufferSize } = opts;
    return {
      path,
      ...keepAlive,
      compressFrom: httpCompression ? (httpCompression.threshold ?? 0) : Infinity,
      level: httpCompression ? levelOf(httpCompression) : undefined,
      maxBody: maxHttpBufferSize,
      hasCors: server._plainCors !== undefined,
      shows: server._showsAllRequests(),
    };
  }

  /** Somebody begins to listen for what an HTTP server tells of connections and requests. */
  onListeners() {
    this.server._road.close();
  }

  /** Has connections wait until they have said something, or not. */
  defer(listening, defers) {
    this.server._bridge.native.deferAccept(listening.fd, defers);
  }

  /**
   * Has the native engine look at a connection.
   * @param {TCP} handle - Node's handle for it
   * @param {Entrance} entrance - by which it has come
   * @returns {boolean} whether it does
   */
  receive(handle, entrance) {
    const { httpServer } = this;
    const beginning = this.tls === undefined ? this._lookAt(handle) : this._lookAtHello(handle);
    if (beginning === FOREIGN) return false;
    const arrival = new Arrival(this, handle, entrance);
    countIn(httpServer);
    try {
      if (areConnectionsSeen(httpServer)) arrival.introduce();
    } finally {
      if (!arrival.begin(beginning >= 0 ? beginning : undefined)) arrival._giveToNode(false);
    }
    return true;
  }

  /** What a connection begins with, if it may be a worker's. */
  _lookAt(handle) {
    const { _bridge, _road: road } = this.server;
    let beginning = FOREIGN;
    try {
      beginning = _bridge.native.lookAt(handle.fd, this.path);
    } catch (error) {
      onFailure(error);
    }
    if (beginning === WEBSOCKET || beginning === FOREIGN) return beginning;
    road.check();
    return !road.isOpen && (beginning === POLL || beginning >= 0) ? FOREIGN : beginning;
  }

  /** The same for one over TLS. */
  _lookAtHello(handle) {
    const why = this.tls.current?.lookAt(handle.fd) ?? null;
    if (why === null) return UNKNOWN;
    this.onLeft(why);
    return FOREIGN;
  }

  /** A connection over TLS is left to Node. */
  onLeft(why) {
    const { node } = this.tlsRoads;
    node[why] = (node[why] ?? 0) + 1;
    roads("TLS with a client is left to Node, because %s", why);
  }

  /** A connection over TLS is a worker's. */
  onSecured() {
    this.tlsRoads.native++;
    roads("TLS with a client is spoken by a worker");
  }

  /**
   * A request has come to the HTTP server. If its connection is one over which clients poll, the next may be a worker's.
   * @param {IncomingMessage} req
   * @param {ServerResponse} res
   * @param {boolean} isOurs - whether it is for the path
   */
  onServed(req, res, isOurs) {
    if (this.tls !== undefined) return;
    const { socket } = req;
    let kept = socket[kKept];
    if (kept === undefined) {
      if (!isOurs || !this.server._road.isOpen) return;
      kept = new Kept(this, socket);
    }
    if (res.shouldKeepAlive) kept.onRequest(req, res, isOurs);
  }

  /** Has a worker tell of the end of a connection if the application takes its time over a request of it. */
  watchShown(attempt) {
    if (this._pending.push(attempt) === 1) setImmediate(watchPending, this);
  }

  /** Closes the connections that Node does not have. */
  closeAll() {
    for (const arrival of this._all()) arrival.close();
  }

  /** Closes those of them between whose requests nothing is under way. */
  closeIdle() {
    const { commands } = this.server._bridge;
    for (const arrival of this._all()) commands.hangUp(arrival.id, true);
  }

  _all() {
    const { items } = this.server._bridge.streams;
    return items.filter((stream) => stream instanceof Arrival && stream.arrivals === this);
  }
}

/** A connection is left to Node that need not be. */
function onFailure(error) {
  debug("an accepted connection is left to Node: %s", error);
  warnOnce("SOCKEYE_ARRIVALS", "accepted connections are left to Node's HTTP server", error);
}

function watchPending(arrivals) {
  const pending = arrivals._pending;
  arrivals._pending = [];
  for (const { arrival, isPending } of pending) {
    if (isPending && !arrival.isGone) arrival.bridge.commands.watchShown(arrival.id);
  }
}

/** An accepted connection of which it is not known yet what it begins with. */
class Arrival extends Stream {
  constructor(arrivals, handle, entrance) {
    super(arrivals.server._bridge);
    this.arrivals = arrivals;
    /** Node's handle, until it is closed, or others have it. */
    this._handle = handle;
    this._entrance = entrance;
    /** The `net.Socket`, if somebody has asked for it. */
    this._socket = undefined;
    /** What requests that were read from it remember of it. */
    this._origin = undefined;
    /** The last request that the application was shown: see `ShownRequest`. */
    this._shown = undefined;
    /** Whether those who listen for connections have been told of it. */
    this._isKnown = false;
    /** What is known of the TLS session over it, once that is established. */
    this._facts = undefined;
    /** What goes on when a worker has left the TLS session: a function of that, or of nothing if there is none. */
    this._onSession = undefined;
  }

  /** Whether the connection is closed, or others have it. */
  get isGone() {
    return this._handle === undefined || this._socket?.destroyed === true;
  }

  /** Whether there is a `net.Socket`. */
  get hasSocket() {
    return this._socket !== undefined;
  }

  /** @override */
  get socket() {
    if (this._socket === undefined && this._handle !== undefined) {
      const socket = openSocket(this.arrivals.httpServer, this._handle, this._facts);
      socket.on("error", noop);
      socket.on("close", () => this._onSocketClose());
      this._socket = socket;
    }
    return this._socket;
  }

  /** What is known of the TLS session over it: see `TlsFacts`. */
  factsOf(word, host) {
    if (this._facts === undefined) {
      this._facts = new TlsFacts(word, host, this.arrivals.tls.certificate);
      this.arrivals.onSecured();
    }
    return this._facts;
  }

  /** What is to be remembered of it, however many requests come over it. */
  originOf(announcement) {
    return (this._origin ??= announcement.makeOrigin());
  }

  /**
   * A worker has recognised a request: see `Announcement`.
   * @param {string} text
   * @param {number} ports
   * @param {number} lengths
   * @param {number} security
   * @param {string} method
   * @param {boolean} offersExtensions
   */
  onRequest(text, ports, lengths, security, method, offersExtensions) {
    if (this._handle === undefined) return;
    const { server, path } = this.arrivals;
    const announcement = new Announcement(this, method, text, ports, lengths, security);
    void announcement.facts;
    const { transport, sid } = announcement._query;
    const isNodes =
      this._isTouched() ||
      !announcement.url.startsWith(path) ||
      (offersExtensions && server.opts.perMessageDeflate);
    if (isNodes) {
      server._bridge.commands.decline(this.id);
    } else if (method === "OPTIONS") {
      this._answerPreflight(announcement);
    } else if (transport === "polling" && (sid || server._showsRequests())) {
      this._show(new ShownRequest(announcement));
    } else if (transport === "polling") {
      this._openPolling(new PollingAdmission(announcement));
    } else if (this.arrivals.showsUpgrades()) {
      this._show(new ShownUpgrade(announcement));
    } else if (sid) {
      this._upgrade(server.clients[sid], new Admission(announcement));
    } else {
      this._openWebSocket(new Admission(announcement));
    }
  }

  /** Tells those who listen for connections of it. */
  introduce() {
    const { socket, arrivals } = this;
    this._isKnown = true;
    introduce(arrivals.httpServer, socket);
  }

  /**
   * Has a worker look at it first.
   * @param {number} [connection] - the session that it names
   * @returns {boolean} whether one does
   */
  begin(connection) {
    if (this._isTouched()) return false;
    let isReceived = false;
    try {
      this.register(connection);
      isReceived = this.hand(this.arrivals.tls?.current);
    } catch (error) {
      onFailure(error);
    }
    if (!isReceived) this.bridge.releaseStream(this.id);
    return isReceived;
  }

  /** Whether somebody who listens for connections does more than to keep it. */
  _isTouched() {
    return this._isKnown && isTouched(this._socket);
  }

  /**
   * Has its worker look at it.
   * @param {TlsTerms} [terms] - on which it is to speak TLS first
   * @param {TlsSession} [session] - with which it is to go on
   * @returns {boolean} whether that worked
   */
  hand(terms, session) {
    return this.bridge.native.receive(this.id, this._handle.fd, false, terms, session);
  }

  /** Asks the application about a request. */
  _show(attempt) {
    this._shown = attempt;
    this._entrance.run(attempt.begin, attempt);
    if (attempt.isPending) this.arrivals.watchShown(attempt);
  }

  /** A request that the application was shown is answered. */
  forget(attempt) {
    if (this._shown === attempt) this._shown = undefined;
  }

  _openWebSocket(admission) {
    const { server } = this.arrivals;
    // whether Node's way would lead to a session without further ado
    if ((protocolOf(admission.announcement) === 4 || server.opts.allowEIO3) && this.arrivals.isOpen()) {
      openWithId(server, admission, server.generateId());
    } else {
      server._bridge.commands.decline(this.id);
    }
  }

  _answerPreflight({ rawRequest }) {
    const { server } = this.arrivals;
    server._road.check();
    const mayAnswer = server._road.isOpen && server._plainCors !== undefined && !server._showsAllRequests();
    const answer = mayAnswer ? preflightAnswer(server, rawRequest) : undefined;
    if (answer !== undefined) server._bridge.commands.answerPreflight(this.id, answer);
    else server._bridge.commands.decline(this.id);
  }

  _openPolling(admission) {
    const { server } = this.arrivals;
    server._road.check();
    if (server._road.isOpen) openWithId(server, admission, server.generateId());
    else server._bridge.commands.decline(this.id);
  }

  _upgrade(conn, admission) {
    const { server } = this.arrivals;
    const isAllowed =
      conn !== undefined && conn._canUpgrade() && conn.protocol === protocolOf(admission.announcement);
    if (isAllowed && this.arrivals.isOpen()) admission.join(conn);
    else server._bridge.commands.decline(this.id);
  }

  /**
   * What it asks for concerns a session that is on another worker.
   * @param {number} connection
   * @param {TlsSession|undefined} session - over it, if it comes by TLS
   */
  moveTo(connection, session) {
    const { bridge, id } = this;
    if (this._handle === undefined) {
      this._onSession?.(session);
    } else {
      this.register(connection);
      let isReceived = false;
      try {
        isReceived = this.hand(undefined, session);
      } catch (error) {
        debug("a connection is left to Node: %s", error);
      }
      if (!isReceived) {
        bridge.releaseStream(this.id);
        this.onReleased({ isUnanswered: false, served: 0, isCut: false, isSpoilt: false, session });
      }
    }
    bridge.releaseStream(id);
  }

  /**
   * A worker has it no more.
   * @param {object} past
   * @param {boolean} past.isUnanswered - there is a request of which it has told, and nobody has answered that
   * @param {number} past.served - how many others it has answered
   * @param {boolean} past.isCut - the connection has failed
   * @param {boolean} past.isSpoilt - nobody can go on with it
   * @param {TlsSession|undefined} past.session - over it, if it comes by TLS
   */
  onReleased({ isUnanswered, served, isCut, isSpoilt, session }) {
    if (this._handle === undefined) {
      this._onSession?.(session);
    } else if (isSpoilt) {
      this._drop();
    } else {
      if (served > 0 && this.arrivals.tls === undefined) this._keep(served);
      if (isUnanswered && this._shown !== undefined) {
        this._shown.onUnserved();
        this._onSession?.(session);
      } else {
        this._giveToNode(isCut, session);
      }
    }
  }

  /** Node need not have it for ever. */
  _keep(served) {
    const kept = new Kept(this.arrivals, this.socket);
    kept.arrival = this;
    kept.onReturned(this, served);
  }

  /**
   * It is Node's, with all that is unread.
   * @param {boolean} isCut - the connection has failed
   * @param {TlsSession} [session] - over it, if there is one
   */
  _giveToNode(isCut, session) {
    const { httpServer, tls } = this.arrivals;
    if (session !== undefined) {
      this.factsOf(session.word, session.host);
      void this.socket;
    } else if (tls !== undefined) {
      this.arrivals.onLeft("of what comes first");
    }
    // Node would take what it reads together with the failure for all that was to come
    const bytes = isCut && tls === undefined ? this._takeUnread() : undefined;
    const { _handle: handle, _socket: socket } = this;
    this._handle = undefined;
    this._origin?.end();
    if (socket !== undefined) {
      if (session !== undefined) attachSession(socket, session);
      this._entrance.run(this._give, this, httpServer, socket, bytes);
    } else {
      uncount(httpServer);
      this._entrance.handOver(handle);
    }
  }

  /** It is Node's from the request on that the application was shown. */
  giveRequest(req, res) {
    const { httpServer } = this.arrivals;
    const bytes = this._takeBytes();
    const socket = this._endWithSocket();
    const give = this._give.bind(this);
    this._entrance.run(giveRequest, undefined, httpServer, socket, req, res, bytes, give);
  }

  /** Has the HTTP server go on with the socket. */
  _give(httpServer, socket, bytes) {
    socket.removeListener("error", noop);
    giveSocket(httpServer, socket, this._isKnown);
    if (bytes !== undefined) socket.emit("data", bytes);
  }

  /** It is that of an upgrade request which somebody else answers. */
  takeSocket() {
    if (this.isGone) return this._socket;
    this._takeBytes();
    const socket = this._endWithSocket();
    socket.read(0);
    return socket;
  }

  /** Takes the request from it that the application was shown; undefined: it is left with what is still to come. */
  _takeBytes() {
    if (this._facts !== undefined) return undefined;
    return this.bridge.native.takeRequest(this._handle.fd) ?? undefined;
  }

  /** Takes from it what nobody has read. */
  _takeUnread() {
    const bytes = this.bridge.native.takeUnread(this._handle.fd) ?? undefined;
    // which need somewhere to go
    if (bytes !== undefined) void this.socket;
    return bytes;
  }

  /** A worker has no more to do with it, but Node has. */
  _endWithSocket() {
    const { socket } = this;
    this._handle = undefined;
    this._origin?.end();
    // its TLS session has yet to come, with the request once more
    if (this._facts !== undefined) {
      expectSession(socket);
      this._onSession = (session) => attachSession(socket, session, withoutHead);
    }
    this.bridge.commands.decline(this.id);
    return socket;
  }

  /** It is that of a WebSocket: Node's handle is of no use any more. */
  leaveTo(taken) {
    const { _handle: handle, _socket: socket } = this;
    this._handle = undefined;
    if (socket !== undefined) taken.adopt(socket);
    else handle.close();
  }

  /**
   * It is over.
   * @param {number} refusal - why a TLS handshake has failed: see `handshakeError`; 0: that is not it
   */
  onHungUp(refusal) {
    if (this._handle === undefined) {
      this._onSession?.(undefined);
    } else if (refusal === 0) {
      this._drop();
    } else {
      const { httpServer } = this.arrivals;
      this._facts = new TlsFacts(0, "", undefined);
      const { socket } = this;
      this._drop();
      this._entrance.run(httpServer.emit, httpServer, "tlsClientError", handshakeError(refusal), socket);
    }
  }

  /** The application closes all connections. */
  close() {
    if (this._handle === undefined) return;
    if (this._shown?.isPending) {
      this._shown.onUnserved();
      this._socket.destroy();
    } else {
      this.bridge.commands.hangUp(this.id, false);
      this._drop();
    }
  }

  _drop() {
    const { _handle: handle, _socket: socket } = this;
    this._handle = undefined;
    this._origin?.end();
    if (socket !== undefined) {
      socket.destroy();
    } else {
      handle.close();
      countOut(this.arrivals.httpServer);
    }
  }

  /** The application has destroyed the socket. */
  _onSocketClose() {
    if (this._handle === undefined) return;
    this._handle = undefined;
    this._origin?.end();
    this.bridge.commands.hangUp(this.id, false);
  }
}

/**
 * A connection that Node's HTTP server has answered requests of, and whose next one is waited for. Node goes on with its
 * socket and its parser if that is not a worker's.
 */
class KeptArrival extends Arrival {
  /** @param {Kept} kept - the connection */
  constructor(kept) {
    const { arrivals, socket } = kept;
    super(arrivals, socket._handle, arrivals.entrance);
    this._socket = socket;
    this._kept = kept;
    this._resume = undefined;
  }

  /** @override */
  get socket() {
    return this._socket;
  }

  /** @override */
  originOf(announcement) {
    const origin = super.originOf(announcement);
    // it outlives this, with all that has been seen of it
    void origin.socket;
    return origin;
  }

  /** @override */
  hand() {
    this._resume ??= suspend(this._socket);
    return this.bridge.native.receive(this.id, this._handle.fd, true, undefined, undefined);
  }

  /** @override */
  onReleased(past) {
    this._kept.onReturned(this, past.served);
    super.onReleased({ ...past, served: 0 });
  }

  /** @override */
  _give(_httpServer, socket, bytes) {
    this._resume();
    if (bytes !== undefined) socket.emit("data", bytes);
  }

  /** @override */
  _endWithSocket() {
    this._kept.onReturned(this, 0);
    return super._endWithSocket();
  }
}

/** Of a `net.Socket`: its `Kept`. */
const kKept = Symbol("kept");

/**
 * Requests that a worker has to answer while it has a connection, so that it was worth it: to hand it over and back costs
 * as much as is saved with two.
 */
const WORTH_IT = 3;

/** Requests in a row for which a connection that was not worth it is left to Node at the most. */
const LONGEST_REST = 64;

/** A connection of Node's HTTP server over which requests of an engine have come: see `Arrivals.onServed`. */
class Kept {
  constructor(arrivals, socket) {
    this.arrivals = arrivals;
    this.socket = socket;
    /** While a worker waits for its next request. */
    this.arrival = undefined;
    /** How many requests of the engine have come to Node since the last one that was none. */
    this._row = 0;
    /** How many of them it takes until a worker waits for the next request. */
    this._rest = 1;
    socket[kKept] = this;
    socket.on("close", () => this.arrival?._onSocketClose());
  }

  /** A request has come to the HTTP server. */
  onRequest(req, res, isOurs) {
    this._row = isOurs ? this._row + 1 : 0;
    if (this._row >= this._rest) res.on("close", () => this._onAnswered(req, isOurs));
  }

  /** It is answered. */
  _onAnswered(req, isOurs) {
    const { arrivals, socket } = this;
    const { server, httpServer } = arrivals;
    if (this.arrival !== undefined || !isBetweenRequests(httpServer, socket)) return;
    server._road.check();
    if (!server._road.isOpen || server._road.isPointless) return;
    const conn = isOurs ? server.clients[req._query.sid] : undefined;
    // there is nothing in it for the workers if its session is not on their road
    if (conn === undefined ? isOurs && !server._road.admits(req) : !conn._polling?.isTravelling) return;
    const arrival = new KeptArrival(this);
    arrival.register(conn?._handle);
    let isReceived = false;
    try {
      isReceived = arrival.hand();
    } catch (error) {
      debug("a connection stays with Node: %s", error);
    }
    if (isReceived) {
      this.arrival = arrival;
    } else {
      server._bridge.releaseStream(arrival.id);
      arrival._giveToNode(false);
    }
  }

  /** Node has it again. `served`: how many requests a worker has answered meanwhile. */
  onReturned(arrival, served) {
    if (this.arrival !== arrival) return;
    this.arrival = undefined;
    this._row = 0;
    this._rest = served >= WORTH_IT ? 0 : Math.min(Math.max(2 * this._rest, 1), LONGEST_REST);
  }
}

/** What follows the head of a request. */
function withoutHead(bytes) {
  return bytes.subarray(bytes.indexOf(END_OF_HEAD) + END_OF_HEAD.length);
}

const END_OF_HEAD = "\r\n\r\n";

/** The level of compression that the option `httpCompression` asks for; undefined: it takes Node's zlib to do what it says. */
function levelOf(options) {
  for (const name in options) if (name !== "threshold" && name !== "level") return undefined;
  const { level = -1 } = options;
  if (!Number.isInteger(level) || level < -1 || level > 9) return undefined;
  return level === -1 ? DEFAULT_LEVEL : level;
}

function noop() {}

module.exports = { watchArrivals };
