"use strict";

const { serialize } = require("cookie");
const { Conn, revisionOf } = require("./conn");
const { protocolOf } = require("./handshake");
const { addressBehind } = require("./limits");
const { parseQuery } = require("./query");
const { Origin, TakenSocket } = require("../node/taken-socket");
const { corsHeaders, corsLines, headersIn, originIn } = require("./cors");

/** What a worker tells of a request that it has recognised on a connection: see `Arrival.onRequest`. */
class Announcement {
  /**
   * @param {Arrival} arrival - the connection
   * @param {string} method
   * @param {string} text - the addresses of the peer and of ourselves; what the request consists of, see `fillRequest`
   * @param {number} ports - of the peer, and of ourselves << 16
   * @param {number} lengths - of the addresses, of ours << 8, of the host that is wanted over TLS << 16
   * @param {number} security - see `security_word` in src/worker/event.rs; 0: it does not come over TLS
   */
  constructor(arrival, method, text, ports, lengths, security) {
    this.arrival = arrival;
    this.method = method;
    this.text = text;
    this.ports = ports;
    const local = lengths & 0xff;
    this.remoteAddress = text.slice(0, local);
    this._localAt = local;
    this._hostAt = local + ((lengths >>> 8) & 0xff);
    this._restAt = this._hostAt + (lengths >>> 16);
    this._security = security;
    this.url = text.slice(text.lastIndexOf("\n") + 1);
    this._query = parseQuery(this.url);
  }

  get remotePort() {
    return this.ports & 0xffff;
  }

  get localAddress() {
    return this.text.slice(this._localAt, this._hostAt);
  }

  /** What is known of the TLS session that it has come by; undefined if it has not. */
  get facts() {
    if (this._security === 0) return undefined;
    return this.arrival.factsOf(this._security, this.text.slice(this._hostAt, this._restAt));
  }

  get localPort() {
    return this.ports >>> 16;
  }

  /** Whom it comes from, as far as that is limited. */
  get address() {
    const { _limits: limits } = this.arrival.arrivals.server;
    const header = (name) => headersIn(this.rawRequest.split("\n"), name);
    return addressBehind(limits.proxies, this.remoteAddress, header);
  }

  /** What the request consists of. */
  get rawRequest() {
    return this.text.slice(this._restAt);
  }

  /** What is to be remembered of the connection. */
  makeOrigin() {
    const { remoteAddress, remotePort, localAddress, localPort, facts } = this;
    const origin = new Origin(
      this.arrival.arrivals.httpServer,
      remoteAddress,
      remotePort,
      localAddress,
      localPort,
      facts,
    );
    origin.stream = this.arrival;
    return origin;
  }
}

/**
 * Makes a connection the WebSocket of a session.
 * @param {Announcement} announcement - of its upgrade request
 * @param {Conn} conn
 * @param {number} revision - how the client wants messages: see `Protocol::from_word` in src/protocol/engine_io
 * @param {string} sid - the id of a new session; empty for one that polls, and without Engine.IO
 * @param {string} headers - what the answer has beyond the usual, with a line break in front of each
 * @returns {TakenSocket}
 */
function admit(announcement, conn, revision, sid, headers) {
  const { arrival, remoteAddress, remotePort, localAddress, localPort, facts } = announcement;
  const { server, httpServer } = arrival.arrivals;
  const taken = new TakenSocket(server._bridge, httpServer, undefined);
  taken.id = arrival.id;
  taken.remember(remoteAddress, remotePort, localAddress, localPort, facts);
  conn._stream = taken;
  server._bridge.streams.replace(arrival.id, taken);
  server._bridge.commands.admit(conn._handle, arrival.id, revision, sid, headers);
  arrival.leaveTo(taken);
  return taken;
}

/**
 * Opens a session that polls.
 * @param {Announcement} announcement - of its first request
 * @param {string} sid
 * @param {Origin} origin - its connection
 * @param {string|undefined} headers - what the application adds to the first answer, lines with their ends; undefined: it
 *   does not see requests
 * @returns {Conn}
 */
function admitPolling(announcement, sid, origin, headers) {
  const { arrival, rawRequest, remoteAddress } = announcement;
  const { server } = arrival.arrivals;
  const conn = new Conn(sid, server, undefined, "polling", 4, arrival.id);
  conn.remoteAddress = remoteAddress;
  conn._rawRequest = rawRequest;
  conn._origin = origin;
  const { cookie } = server.opts;
  const page = originIn(rawRequest.split("\n"));
  const cors = corsLines(server, page);
  server._bridge.commands.admitPolling(conn._handle, arrival.id, {
    sid,
    origin: page ?? "",
    upgrades: server.upgrades("polling").join(),
    cookie: cookie ? `Set-Cookie: ${serialize(cookie.name, sid, cookie)}\r\n` : "",
    first: headers ?? cors,
    cors,
  });
  return conn;
}

/** An arrival on its way to a session, of which the application sees nothing but the session. */
class Newcomer {
  /** @param {Announcement} announcement - of its request */
  constructor(announcement) {
    this.announcement = announcement;
    /** Whom it has a place for at the gate, if there is one. */
    this.address = undefined;
  }

  /**
   * Takes a place for it at the gate, unless its worker has done so.
   * @returns {boolean} whether there was one
   */
  enter() {
    const { announcement } = this;
    const { arrival } = announcement;
    const { _gate: gate } = arrival.arrivals.server;
    if (gate === undefined) return true;
    this.address = gate.claim(arrival.id);
    if (this.address !== undefined) return true;
    const { address } = announcement;
    if (gate.enter(address) !== undefined) return false;
    this.address = address;
    return true;
  }
}

/** One that asks for a WebSocket. */
class Admission extends Newcomer {
  /** Opens a session. */
  open(sid) {
    const { announcement } = this;
    const { arrival, remoteAddress, rawRequest } = announcement;
    const { server } = arrival.arrivals;
    const conn = new Conn(sid, server, undefined, "websocket", protocolOf(announcement), arrival.id);
    conn.remoteAddress = remoteAddress;
    conn._rawRequest = rawRequest;
    admit(announcement, conn, revisionOf(announcement), sid, this._headers());
    return conn;
  }

  /** Is the WebSocket of a session that polls. */
  join(conn) {
    conn._beginUpgrade();
    admit(this.announcement, conn, revisionOf(this.announcement), "", this._headers());
  }

  _headers() {
    const { arrival, rawRequest } = this.announcement;
    return corsHeaders(arrival.arrivals.server, originIn(rawRequest.split("\n")))
      .map((line) => `\r\n${line}`)
      .join("");
  }
}

/** One that polls. */
class PollingAdmission extends Newcomer {
  /** Opens the session. */
  open(sid) {
    const { announcement } = this;
    return admitPolling(announcement, sid, announcement.arrival.originOf(announcement), undefined);
  }
}

module.exports = { Admission, Announcement, PollingAdmission, admit, admitPolling };
