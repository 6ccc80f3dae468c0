"use strict";

const { AsyncResource } = require("async_hooks");
const { IncomingMessage, Server: HttpServer, maxHeaderSize } = require("http");
const createDebug = require("debug");
const { Conn, revisionOf } = require("./conn");
const { openWithId, protocolOf } = require("./handshake");
const codes = require("../native/codes");
const { parseQuery } = require("./query");
const { Stream } = require("../node/stream");
const { TakenSocket, countOut } = require("../node/taken-socket");
const { warnOnce } = require("../node/warning");
const { isUnobserved } = require("./observers");
const { linesOf } = require("./upgrade-response");

// What clients begin with is looked at before Node's HTTP server comes to it. An ordinary upgrade request becomes a
// session without any of Node's objects for connections and requests, which cost more to make than all the rest; they
// are made if somebody asks for them. That is done only where the application cannot tell the difference; every other
// connection is handed to Node as it was accepted, with all its bytes unread.

const debug = createDebug("engine");

const { LONGEST_REQUEST, MOST_HEADERS } = codes.requests;

/** Whether an upgrade request leads to an upgrade, if the application has no opinion and Node asks for one at all. */
const decidesByDefault = String(new HttpServer().shouldUpgradeCallback);

/** Milliseconds: of shorter time limits, it could be told that they begin to count a second late. */
const SHORTEST_LIMIT = 10000;

/**
 * Looks at the connections of an HTTP server before it does, as far as that is possible.
 * @param {Server} server
 * @param {http.Server} httpServer
 * @param {string} path - what the requests that concern us begin with
 */
function watchArrivals(server, httpServer, path) {
  if (process.platform === "win32" || !isOrdinary(httpServer)) return;
  const entrance = new Entrance(server, httpServer, path);
  const { closeAllConnections } = httpServer;
  Object.defineProperty(httpServer, "closeAllConnections", {
    configurable: true,
    writable: true,
    value() {
      entrance.closeAll();
      return closeAllConnections.call(this);
    },
  });
  httpServer.on("listening", () => entrance.watch());
  if (httpServer.listening) entrance.watch();
}

/** Whether a server leaves connections and their requests to Node, up to the upgrade. */
function isOrdinary(httpServer) {
  // others, such as those of TLS and of HTTP/2, do something with a connection before there is a request
  if (Object.getPrototypeOf(httpServer) !== HttpServer.prototype) return false;
  // each server has its own copy of the same function
  return String(httpServer.shouldUpgradeCallback) === decidesByDefault && makesPlainRequests(httpServer);
}

/** Where the connections of an HTTP server come in. */
class Entrance {
  constructor(server, httpServer, path) {
    this.server = server;
    this.httpServer = httpServer;
    this.path = path;
    /** The handle whose connections come here. */
    this._listening = undefined;
  }

  /** Has accepted connections come here first. */
  watch() {
    const listening = this.httpServer._handle;
    // the handles of Unix-domain sockets have no addresses, and those of some cluster modules are none of Node's
    if (typeof listening?.onconnection !== "function" || typeof listening.getsockname !== "function") return;
    // a server that is attached to while it begins to listen says so afterwards
    if (listening === this._listening) return;
    this._listening = listening;
    const entrance = this;
    const { onconnection } = listening;
    let context;
    const handOver = (handle) => context.runInAsyncScope(onconnection, listening, undefined, handle);
    listening.onconnection = function (error, handle) {
      // the asynchronous context of whoever has the server listen, which is also that of its requests
      context ??= new AsyncResource("SOCKEYE_ARRIVALS");
      if (error || !entrance.isOpen() || !entrance.receive(handle, handOver)) {
        onconnection.call(this, error, handle);
      }
    };
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
      httpServer.maxConnections == null &&
      httpServer.blockList == null &&
      !httpServer.pauseOnConnect &&
      !httpServer.keepAlive &&
      !httpServer.joinDuplicateHeaders &&
      (httpServer.maxHeaderSize ?? maxHeaderSize) >= LONGEST_REQUEST &&
      !(httpServer.maxHeadersCount > 0 && httpServer.maxHeadersCount < MOST_HEADERS) &&
      !(httpServer.timeout > 0) &&
      !isShort(httpServer.headersTimeout) &&
      !isShort(httpServer.requestTimeout)
    );
  }

  /**
   * Has the native engine look at a connection.
   * @param {TCP} handle - Node's handle for it
   * @param {function(TCP)} handOver - what Node would do with it
   * @returns {boolean} whether it does
   */
  receive(handle, handOver) {
    const { server, httpServer } = this;
    const { fd } = handle;
    if (!(fd >= 0)) return false;
    const arrival = new Arrival(this, handle, handOver);
    arrival.register();
    let isReceived = false;
    try {
      isReceived = server._bridge.native.receive(arrival.id, fd);
    } catch (error) {
      debug("an accepted connection is left to Node: %s", error);
      warnOnce("SOCKEYE_ARRIVALS", "accepted connections are left to Node's HTTP server", error);
    }
    if (isReceived) httpServer._connections++;
    else server._bridge.releaseStream(arrival.id);
    return isReceived;
  }

  /** Closes the connections of which it is not known yet what they begin with. */
  closeAll() {
    for (const stream of this.server._bridge.streams.items) {
      if (stream instanceof Arrival && stream.entrance === this) stream.close();
    }
  }
}

/** Whether there is a time limit, and a short one. */
function isShort(limit) {
  return limit > 0 && limit < SHORTEST_LIMIT;
}

/** The option `IncomingMessage` of an HTTP server, which Node keeps under a symbol. */
function makesPlainRequests(httpServer) {
  for (const symbol of Object.getOwnPropertySymbols(httpServer)) {
    if (symbol.description === "IncomingMessage") return httpServer[symbol] === IncomingMessage;
  }
  return false;
}

/** An accepted connection of which it is not known yet what it begins with. */
class Arrival extends Stream {
  constructor(entrance, handle, handOver) {
    super(entrance.server._bridge);
    this.entrance = entrance;
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
    const { server } = this.entrance;
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
    const { entrance } = this;
    const { transport, sid } = req._query;
    return (
      req.url.startsWith(entrance.path) &&
      transport === "websocket" &&
      !sid &&
      (protocolOf(req) === 4 || entrance.server.opts.allowEIO3) &&
      entrance.isOpen()
    );
  }

  /** It is Node's. */
  onReleased() {
    if (this._handle === undefined) return;
    this.entrance.httpServer._connections--;
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
    const { server, httpServer } = this.entrance;
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
    const { server, httpServer } = arrival.entrance;
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
