"use strict";

const createDebug = require("debug");
const { Conn, revisionOf } = require("./conn");
const { openWithId, protocolOf } = require("./handshake");
const codes = require("../native/codes");
const { parseQuery } = require("./query");
const { isIndifferent, openEntrance } = require("../node/entrance");
const { countIn, countOut, uncount } = require("../node/internals");
const { Stream } = require("../node/stream");
const { TakenSocket } = require("../node/taken-socket");
const { warnOnce } = require("../node/warning");
const { isUnobserved } = require("./observers");
const { linesOf } = require("./upgrade-response");

const debug = createDebug("engine");

// What clients begin with is looked at before Node's HTTP server comes to it. An ordinary upgrade request becomes a
// session without any of Node's objects for connections and requests, which cost more to make than all the rest; they
// are made if somebody asks for them. That is done only where the application cannot tell the difference; every other
// connection is handed to Node as it was accepted, with all its bytes unread.

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
  return openEntrance(httpServer, new Arrivals(server, httpServer, path));
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

  /** Has connections wait until they have said something, or not. */
  defer(listening, defers) {
    this.server._bridge.native.deferAccept(listening.fd, defers);
  }

  /** Whether it is clear that a connection does not begin with a request that concerns us. */
  isForeign(handle) {
    try {
      return this.server._bridge.native.isForeign(handle.fd, this.path);
    } catch (error) {
      debug("an accepted connection is left to Node: %s", error);
      return true;
    }
  }

  /**
   * Has the native engine look at a connection.
   * @param {TCP} handle - Node's handle for it
   * @param {function(TCP)} handOver - what Node would do with it
   * @returns {boolean} whether it does
   */
  receive(handle, handOver) {
    const { server, httpServer } = this;
    const arrival = new Arrival(this, handle, handOver);
    arrival.register();
    let isReceived = false;
    try {
      isReceived = server._bridge.native.receive(arrival.id, handle.fd);
    } catch (error) {
      debug("an accepted connection is left to Node: %s", error);
      warnOnce("SOCKEYE_ARRIVALS", "accepted connections are left to Node's HTTP server", error);
    }
    if (isReceived) countIn(httpServer);
    else server._bridge.releaseStream(arrival.id);
    return isReceived;
  }

  /** Closes the connections of which it is not known yet what they begin with. */
  closeAll() {
    for (const stream of this.server._bridge.streams.items) {
      if (stream instanceof Arrival && stream.arrivals === this) stream.close();
    }
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
    if (this._isOrdinary(req) && !(offersExtensions && server.opts.perMessageDeflate)) {
      openWithId(server, new Admission(this, req, text, ports, lengths), server.generateId());
    } else {
      server._bridge.commands.decline(this.id);
    }
  }

  /** Whether Node's way would lead to a session without further ado. */
  _isOrdinary(req) {
    const { arrivals } = this;
    const { transport, sid } = req._query;
    return (
      req.url.startsWith(arrivals.path) &&
      transport === "websocket" &&
      !sid &&
      (protocolOf(req) === 4 || arrivals.server.opts.allowEIO3) &&
      arrivals.isOpen()
    );
  }

  /** It is Node's. */
  onReleased() {
    if (this._handle === undefined) return;
    uncount(this.arrivals.httpServer);
    this._handOver(this._handle);
  }

  /** It belongs to a session: Node's handle is of no use any more. */
  leave() {
    this._handle.close();
    this._handle = undefined;
  }

  /** The application closes all connections. */
  close() {
    if (this._handle === undefined) return;
    const { server, httpServer } = this.arrivals;
    this.leave();
    server._bridge.commands.decline(this.id);
    countOut(httpServer);
  }
}

/** An arrival on its way to a session. */
class Admission {
  constructor(arrival, req, text, ports, lengths) {
    this.arrival = arrival;
    this.req = req;
    this.text = text;
    this.ports = ports;
    this.lengths = lengths;
  }

  /** Opens a session. */
  open(sid) {
    const { arrival, req, text, ports, lengths } = this;
    const local = lengths & 0xffff;
    const rest = local + (lengths >>> 16);
    const { server, httpServer } = arrival.arrivals;
    const conn = new Conn(sid, server, undefined, "websocket", protocolOf(req), arrival.id);
    conn.remoteAddress = text.slice(0, local);
    conn._rawRequest = text.slice(rest);
    const taken = new TakenSocket(server._bridge, httpServer, undefined);
    taken.id = arrival.id;
    taken.remember(conn.remoteAddress, ports & 0xffff, text.slice(local, rest), ports >>> 16);
    conn._stream = taken;
    server._bridge.streams.replace(arrival.id, taken);
    const headers = server._plainCors === undefined ? "" : corsHeaders(server, conn._rawRequest);
    server._bridge.commands.admit(conn._handle, arrival.id, revisionOf(req), sid, headers);
    arrival.leave();
    return conn;
  }
}

/** What the option `cors` adds to the answer to an upgrade request. */
function corsHeaders(server, lines) {
  const origin = headerIn(lines.split("\n"), "origin");
  const answer = new CorsAnswer();
  server._plainCors({ method: "GET", headers: origin === undefined ? {} : { origin } }, answer, noop);
  return linesOf(answer.headers)
    .map((line) => `\r\n${line}`)
    .join("");
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

/** The first header of a name, of which Node takes no other. */
function headerIn(lines, name) {
  for (let i = 0; i + 1 < lines.length; i += 2) {
    if (lines[i].toLowerCase() === name) return lines[i + 1];
  }
  return undefined;
}

function noop() {}

module.exports = { watchArrivals };
