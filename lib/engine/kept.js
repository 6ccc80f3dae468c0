"use strict";

const createDebug = require("debug");
const { Arrival } = require("./arrival");
const { isBetweenRequests, suspend, watchForNext } = require("../node/kept");

const debug = createDebug("engine");

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
    if (this._row < this._rest) return;
    watchForNext(this.socket.parser);
    res.on("close", () => this._onAnswered(req, isOurs));
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

/** The `Kept` of a `net.Socket`, if it has one. */
function keptOf(socket) {
  return socket[kKept];
}

module.exports = { Kept, keptOf };
