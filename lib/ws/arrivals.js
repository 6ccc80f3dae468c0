"use strict";

// Connections of a server of WebSockets that come to a worker before Node's HTTP server has them: see
// lib/engine/arrivals.js. Where somebody could tell the difference, all of them are Node's.

const { admit, Announcement } = require("../engine/admission");
const { Arrival } = require("../engine/arrival");
const { Arrivals, whyNotTls } = require("../engine/arrivals");
const { areConnectionsSeen, areUpgradesSeen, whyUnshowable } = require("../engine/observers");
const codes = require("../native/codes");
const { openEntrance, whyWithoutEntrance } = require("../node/entrance");
const { changeHolder, finishRequest, makeRequest } = require("../node/shown");

const { FOREIGN } = codes.beginnings;

/** The number that stands for "no Engine.IO": see `Protocol::from_word`. */
const RAW = 0;

/**
 * Looks at the connections of an HTTP server before it does, as far as that is possible.
 * @param {WebSocketServer} server
 * @param {http.Server} httpServer
 * @returns {Entrance|undefined} nothing if it is not possible
 */
function watchArrivals(server, httpServer) {
  const { nativeTls = true } = server.options;
  if ((whyNotTls({ nativeTls }, httpServer) ?? whyWithoutEntrance(httpServer)) !== undefined)
    return undefined;
  const keeper = new RawArrivals(server, httpServer, "");
  keeper.entrance = openEntrance(httpServer, keeper);
  return keeper.entrance;
}

/** Who looks at them. */
class RawArrivals extends Arrivals {
  /** @override */
  obstacle() {
    const { server, httpServer } = this;
    if (areUpgradesSeen(httpServer)) return "others listen for upgrade on the HTTP server";
    if (areConnectionsSeen(httpServer)) return "others listen for connection on the HTTP server";
    return server._findWitness() ?? whyUnshowable(server, httpServer) ?? this._findOpinion();
  }

  /** @override */
  onListeners() {}

  /** @override */
  _makeArrival(handle, entrance) {
    return new RawArrival(this, handle, entrance);
  }

  /** @override */
  _lookAt(handle) {
    try {
      return this.server._bridge.native.lookAt(handle.fd, this.path);
    } catch {
      return FOREIGN;
    }
  }
}

/** An accepted connection of which it is not known yet what it begins with. */
class RawArrival extends Arrival {
  /** @override */
  onRequest(text, ports, lengths, security, method, offersExtensions) {
    if (this._handle === undefined) return;
    const { server } = this.arrivals;
    const announcement = new Announcement(this, method, text, ports, lengths, security);
    void announcement.facts;
    const isNodes =
      this._isTouched() ||
      (offersExtensions && server.options.perMessageDeflate) ||
      !this.arrivals.isOpen() ||
      !server._admit(new RawAdmission(announcement));
    if (isNodes) server._bridge.commands.decline(this.id);
  }
}

/** Such a connection on its way to a WebSocket. */
class RawAdmission {
  /** @param {Announcement} announcement - of its upgrade request */
  constructor(announcement) {
    const { arrival, method, rawRequest } = announcement;
    this._announcement = announcement;
    /** The request. */
    this.req = makeRequest(method, rawRequest, arrival);
    this.req.upgrade = true;
    finishRequest(this.req);
  }

  /** The number of the connection. */
  get stream() {
    return this._announcement.arrival.id;
  }

  /**
   * Has the worker switch protocols.
   * @param {WebSocket} ws
   * @param {string} headers - what the answer has beyond the usual, with a line break in front of each
   */
  pass(ws, headers) {
    changeHolder(this.req, admit(this._announcement, ws, RAW, "", headers));
  }
}

module.exports = { RAW, watchArrivals };
