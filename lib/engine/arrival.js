"use strict";

const createDebug = require("debug");
const { Conn, revisionOf } = require("./conn");
const { serialize } = require("cookie");
const { openWithId, protocolOf } = require("./handshake");
const codes = require("../native/codes");
const { parseQuery } = require("./query");
const { isIndifferent, keepAliveOf, openEntrance } = require("../node/entrance");
const { countIn, countOut, uncount } = require("../node/internals");
const { Stream } = require("../node/stream");
const { Origin, TakenSocket } = require("../node/taken-socket");
const { warnOnce } = require("../node/warning");
const { isUnanswered, isUnobserved } = require("./observers");
const { linesOf } = require("./upgrade-response");

const debug = createDebug("engine");

// What clients begin with is looked at before Node's HTTP server comes to it. An ordinary request for one becomes a
// session without any of Node's objects for connections and requests, which cost more to make than all the rest; they
// are made if somebody asks for them. That is done only where the application cannot tell the difference; every other
// connection is handed to Node as it was accepted, with all its bytes unread.

/** What a connection begins with; else, the number of the session that its request names. */
const { FOREIGN, POLL, WEBSOCKET } = codes.beginnings;

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
  const keeper = new Arrivals(server, httpServer, path);
  const entrance = openEntrance(httpServer, keeper);
  if (entrance !== undefined) server._road.keepers.push(keeper);
  return entrance;
}

/** Who looks at the connections of an HTTP server. */
class Arrivals {
  constructor(server, httpServer, path) {
    this.server = server;
    this.httpServer = httpServer;
    this.path = path;
  }

  /** Whether the application could not tell if a connection never came to Node's HTTP server. */
  isOpen() {
    const { server, httpServer } = this;
    return (
      !server._isClosed &&
      !server.ws._isClosed &&
      isUnobserved(server, httpServer) &&
      !server.opts.initialPacket &&
      server.opts.transports.includes("websocket") &&
      isIndifferent(httpServer, MOST)
    );
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
      maxBody: maxHttpBufferSize,
      hasCors: server._plainCors !== undefined,
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
   * @param {function(TCP)} handOver - what Node would do with it
   * @returns {boolean} whether it does
   */
  receive(handle, handOver) {
    const { server, httpServer } = this;
    const { native } = server._bridge;
    let isReceived = false;
    let arrival;
    try {
      const beginning = native.lookAt(handle.fd, this.path);
      if (beginning === FOREIGN) return false;
      if (beginning !== WEBSOCKET) {
        server._road.check();
        if (!server._road.isOpen && (beginning === POLL || beginning >= 0)) return false;
      }
      arrival = new Arrival(this, handle, handOver);
      arrival.register(beginning >= 0 ? beginning : undefined);
      isReceived = native.receive(arrival.id, handle.fd);
    } catch (error) {
      debug("an accepted connection is left to Node: %s", error);
      warnOnce("SOCKEYE_ARRIVALS", "accepted connections are left to Node's HTTP server", error);
    }
    if (isReceived) countIn(httpServer);
    else if (arrival !== undefined) server._bridge.releaseStream(arrival.id);
    return isReceived;
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

/** An accepted connection of which it is not known yet what it begins with. */
class Arrival extends Stream {
  constructor(arrivals, handle, handOver) {
    super(arrivals.server._bridge);
    this.arrivals = arrivals;
    /** Node's handle, until it is closed. */
    this._handle = handle;
    this._handOver = handOver;
    /** The session that began with it, and remembers it. */
    this._origin = undefined;
  }

  /**
   * It begins with an upgrade request.
   * @param {string} text - the addresses of the peer and of ourselves; what the request consists of, see `remakeRequest`
   * @param {number} ports - of the peer, and of ourselves << 16
   * @param {number} lengths - of the addresses alike
   * @param {boolean} offersExtensions
   */
  onRequest(text, ports, lengths, offersExtensions) {
    if (this._handle === undefined) return;
    const { server } = this.arrivals;
    const url = text.slice(text.lastIndexOf("\n") + 1);
    const req = { url, _query: parseQuery(url) };
    const { transport, sid } = req._query;
    if (!url.startsWith(this.arrivals.path) || (offersExtensions && server.opts.perMessageDeflate)) {
      server._bridge.commands.decline(this.id);
    } else if (transport === "polling") {
      this._openPolling(new PollingAdmission(this, req, text, ports, lengths));
    } else if (sid) {
      this._upgrade(server.clients[sid], new UpgradeAdmission(this, req, text, ports, lengths));
    } else {
      this._openWebSocket(new Admission(this, req, text, ports, lengths));
    }
  }

  _openWebSocket(admission) {
    const { server } = this.arrivals;
    // whether Node's way would lead to a session without further ado
    if ((protocolOf(admission.req) === 4 || server.opts.allowEIO3) && this.arrivals.isOpen()) {
      openWithId(server, admission, server.generateId());
    } else {
      server._bridge.commands.decline(this.id);
    }
  }

  _openPolling(admission) {
    const { server } = this.arrivals;
    server._road.check();
    if (server._road.isOpen) openWithId(server, admission, server.generateId());
    else server._bridge.commands.decline(this.id);
  }

  _upgrade(conn, admission) {
    const { server } = this.arrivals;
    const isAllowed = conn !== undefined && conn._canUpgrade() && conn.protocol === protocolOf(admission.req);
    if (isAllowed && this.arrivals.isOpen()) admission.join(conn);
    else server._bridge.commands.decline(this.id);
  }

  /** A request of it was answered, and it is over. */
  onHungUp() {
    if (this._handle === undefined) return;
    this.leave();
    countOut(this.arrivals.httpServer);
  }

  /** What it asks for concerns a session that is on another worker. */
  moveTo(connection) {
    const { bridge, id } = this;
    if (this._handle !== undefined) {
      this.register(connection);
      let isReceived = false;
      try {
        isReceived = bridge.native.receive(this.id, this._handle.fd);
      } catch (error) {
        debug("a connection is left to Node: %s", error);
      }
      if (!isReceived) {
        bridge.releaseStream(this.id);
        this.onReleased();
      }
    }
    bridge.releaseStream(id);
  }

  /** It is Node's. */
  onReleased() {
    if (this._handle === undefined) return;
    this._origin?.end();
    uncount(this.arrivals.httpServer);
    this._handOver(this._handle);
  }

  /** It belongs to a session: Node's handle is of no use any more. */
  leave() {
    this._origin?.end();
    this._handle.close();
    this._handle = undefined;
  }

  /** The application closes all connections. */
  close() {
    if (this._handle === undefined) return;
    const { server, httpServer } = this.arrivals;
    this.leave();
    server._bridge.commands.hangUp(this.id, false);
    countOut(httpServer);
  }
}

/** An arrival on its way to a session: its request, see `Arrival.onRequest`. */
class Admission {
  constructor(arrival, req, text, ports, lengths) {
    this.arrival = arrival;
    this.req = req;
    this.text = text;
    this.ports = ports;
    const local = lengths & 0xffff;
    this.remoteAddress = text.slice(0, local);
    this._localAt = local;
    this._restAt = local + (lengths >>> 16);
  }

  get localAddress() {
    return this.text.slice(this._localAt, this._restAt);
  }

  /** What `remakeRequest` needs. */
  get rawRequest() {
    return this.text.slice(this._restAt);
  }

  /** Opens a session. */
  open(sid) {
    const { server } = this.arrival.arrivals;
    const conn = new Conn(sid, server, undefined, "websocket", protocolOf(this.req), this.arrival.id);
    conn.remoteAddress = this.remoteAddress;
    conn._rawRequest = this.rawRequest;
    this._give(conn, sid);
    return conn;
  }

  /** Makes the connection the WebSocket of a session. `sid`: that of a new one; else an empty text. */
  _give(conn, sid) {
    const { arrival, req, ports } = this;
    const { server, httpServer } = arrival.arrivals;
    const taken = new TakenSocket(server._bridge, httpServer, undefined);
    taken.id = arrival.id;
    taken.remember(this.remoteAddress, ports & 0xffff, this.localAddress, ports >>> 16);
    conn._stream = taken;
    server._bridge.streams.replace(arrival.id, taken);
    const cors = corsHeaders(server, originIn(this.rawRequest)).map((line) => `\r\n${line}`);
    server._bridge.commands.admit(conn._handle, arrival.id, revisionOf(req), sid, cors.join(""));
    arrival.leave();
  }
}

/** An arrival on its way to be the WebSocket of a session that polls. */
class UpgradeAdmission extends Admission {
  join(conn) {
    conn._beginUpgrade();
    this._give(conn, "");
  }
}

/** An arrival on its way to a session that polls. */
class PollingAdmission extends Admission {
  /** @override */
  open(sid) {
    const { arrival, ports, remoteAddress } = this;
    const { server, httpServer } = arrival.arrivals;
    const conn = new Conn(sid, server, undefined, "polling", 4, arrival.id);
    conn.remoteAddress = remoteAddress;
    conn._rawRequest = this.rawRequest;
    conn._origin = new Origin(httpServer, remoteAddress, ports & 0xffff, this.localAddress, ports >>> 16);
    conn._origin.closeConnection = () => arrival.close();
    arrival._origin = conn._origin;
    const { cookie } = server.opts;
    const origin = originIn(this.rawRequest);
    server._bridge.commands.admitPolling(conn._handle, arrival.id, {
      sid,
      origin: origin ?? "",
      upgrades: server.upgrades("polling").join(),
      cookie: cookie ? `Set-Cookie: ${serialize(cookie.name, sid, cookie)}\r\n` : "",
      cors: corsHeaders(server, origin)
        .map((line) => `${line}\r\n`)
        .join(""),
    });
    return conn;
  }
}

/** The lines that the option `cors` adds to an answer. */
function corsHeaders(server, origin) {
  if (server._plainCors === undefined) return [];
  const answer = new CorsAnswer();
  server._plainCors({ method: "GET", headers: origin === undefined ? {} : { origin } }, answer, noop);
  return linesOf(answer.headers);
}

/** As much of a response as the middleware of the option `cors` needs of it. */
class CorsAnswer {
  constructor() {
    this.headers = {};
  }

  getHeader(name) {
    return this.headers[name];
  }

  setHeader(name, value) {
    this.headers[name] = value;
  }
}

/** The first header of the name, of which Node takes no other, in what a request consists of. */
function originIn(rawRequest) {
  const lines = rawRequest.split("\n");
  for (let i = 0; i + 1 < lines.length; i += 2) {
    if (lines[i].toLowerCase() === "origin") return lines[i + 1];
  }
  return undefined;
}

function noop() {}

module.exports = { watchArrivals };
