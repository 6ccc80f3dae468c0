"use strict";

const { Arrival, onFailure } = require("./arrival");
const { Kept, keptOf } = require("./kept");
const { areConnectionsSeen, areUpgradesSeen, whyAnswersSeen, whyUnshowable } = require("./observers");
const { TlsTerms } = require("../native/binding");
const codes = require("../native/codes");
const { keepAliveOf, openEntrance, opinionOf, whyWithoutEntrance } = require("../node/entrance");
const { countIn, debug: roads, isTlsServer, whyUnshown } = require("../node/internals");
const { TlsTermsOf } = require("../node/tls-terms");

// taken before anybody can replace it by a fake timer
const { setImmediate } = require("timers");

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
  if (whyUnwatched(server, httpServer) !== undefined) return undefined;
  const keeper = new Arrivals(server, httpServer, path);
  const entrance = openEntrance(httpServer, keeper);
  if (entrance === undefined) return undefined;
  keeper.entrance = entrance;
  server._road.keepers.push(keeper);
  return entrance;
}

/**
 * Why the connections of an HTTP server are never looked at.
 * @param {Server} server
 * @param {http.Server} httpServer
 * @returns {string|undefined}
 */
function whyUnwatched({ opts }, httpServer) {
  if (opts.wsEngine) return "the option wsEngine brings WebSockets along";
  if (!opts.transports.includes("websocket")) return "the option transports leaves WebSockets out";
  return whyNotTls(opts, httpServer) ?? whyWithoutEntrance(httpServer);
}

/** Why workers do not speak the TLS of an HTTP server. */
function whyNotTls({ nativeTls }, httpServer) {
  if (!isTlsServer(httpServer)) return undefined;
  // where TLS is Node's, so are the connections
  if (!nativeTls) return "the option nativeTls leaves TLS to Node";
  return TlsTerms === undefined ? "the addon has been built without TLS" : undefined;
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
    return this.obstacle() === undefined;
  }

  /**
   * Why all connections come to Node's HTTP server.
   * @returns {string|undefined} undefined: the application could not tell if they did not
   */
  obstacle() {
    const { server, httpServer } = this;
    if (server._isClosed || server.ws._isClosed) return "the engine is closed";
    if (server._isDraining) return "the server is drained";
    if (server._handsUpgradesOver()) return "the application handles upgrade requests, or their answers";
    const isShown = this.showsUpgrades() || areConnectionsSeen(httpServer);
    return (
      whyUnshowable(server, httpServer) ?? (isShown ? whyUnshown() : undefined) ?? this._findPeculiarity()
    );
  }

  /** What of the options workers do not know. */
  _findPeculiarity() {
    if (this.server.opts.initialPacket) return "there is the option initialPacket";
    return this._findOpinion();
  }

  /** What of the HTTP server's options workers do not know. */
  _findOpinion() {
    const { httpServer, tls } = this;
    const opinion = opinionOf(httpServer, MOST);
    if (opinion !== undefined) return `the HTTP server has ${opinion} set`;
    // which makes them if need be
    if (tls !== undefined && tls.current === undefined) return tls.why();
    return undefined;
  }

  /** Whether the application gets to see upgrade requests. */
  showsUpgrades() {
    return this.server._showsRequests() || areUpgradesSeen(this.httpServer);
  }

  /**
   * Why clients that poll come to Node's HTTP server.
   * @returns {string|undefined} undefined: the application could not tell if they did not
   */
  pollingObstacle() {
    const { server, httpServer } = this;
    const obstacle = this.obstacle();
    if (obstacle !== undefined) return obstacle;
    if (keepAliveOf(httpServer) === undefined) {
      return "the HTTP server has a keepAliveTimeout below a second, or maxRequestsPerSocket";
    }
    if (!server.opts.transports.includes("polling")) return "the option transports leaves polling out";
    if (server._isWatched()) return "somebody listens for packetCreate, flush or drain";
    if (server._showsAnswers()) return "the application sees the headers of answers, or handles requests";
    return whyAnswersSeen(server, httpServer);
  }

  /**
   * On what terms clients may poll past the HTTP server.
   * @returns {object|undefined} see `RoadTerms` in src/bridge/engine.rs; undefined: see `pollingObstacle()`
   */
  terms() {
    if (this.pollingObstacle() !== undefined) return undefined;
    const { server, httpServer, path } = this;
    const { opts } = server;
    const keepAlive = keepAliveOf(httpServer);
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
    const { httpServer, server } = this;
    server._gate?.check(this);
    // there are some, or it would not be open
    const terms = this.tls?.current;
    const beginning = terms === undefined ? this._lookAt(handle) : this._lookAtHello(handle, terms);
    if (beginning === FOREIGN) return false;
    const arrival = this._makeArrival(handle, entrance);
    countIn(httpServer);
    try {
      if (areConnectionsSeen(httpServer)) arrival.introduce();
    } finally {
      if (!arrival.begin(beginning >= 0 ? beginning : undefined, terms)) arrival._giveToNode(false);
    }
    return true;
  }

  _makeArrival(handle, entrance) {
    return new Arrival(this, handle, entrance);
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
  _lookAtHello(handle, terms) {
    this.server._bridge.noteGreeting();
    try {
      const why = terms.lookAt(handle.fd);
      if (why === null) return UNKNOWN;
      this.onLeft(why);
    } catch (error) {
      onFailure(error);
    }
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
    let kept = keptOf(socket);
    if (kept === undefined) {
      if (!isOurs || !this.server._road.isOpen) return;
      kept = new Kept(this, socket);
    }
    if (res.shouldKeepAlive) kept.onRequest(req, res, isOurs);
  }

  /**
   * Node has a connection of which a worker has answered requests: it need not have it for ever.
   * @param {Arrival} arrival
   * @param {number} served - how many
   */
  keep(arrival, served) {
    const kept = new Kept(this, arrival.socket);
    kept.arrival = arrival;
    kept.onReturned(arrival, served);
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

function watchPending(arrivals) {
  const pending = arrivals._pending;
  arrivals._pending = [];
  for (const { arrival, isPending } of pending) {
    if (isPending && !arrival.isGone) arrival.bridge.commands.watchShown(arrival.id);
  }
}

/** The level of compression that the option `httpCompression` asks for; undefined: it takes Node's zlib to do what it says. */
function levelOf(options) {
  for (const name in options) if (name !== "threshold" && name !== "level") return undefined;
  const { level = -1 } = options;
  if (!Number.isInteger(level) || level < -1 || level > 9) return undefined;
  return level === -1 ? DEFAULT_LEVEL : level;
}

module.exports = { Arrivals, watchArrivals, whyNotTls, whyUnwatched };
