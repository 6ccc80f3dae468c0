"use strict";

const { AsyncResource } = require("async_hooks");
const { maxHeaderSize } = require("http");
const { closedRoads, isOrdinaryServer, listeningHandle } = require("./internals");

/** Milliseconds: of shorter time limits, it could be told that they begin to count a second late. */
const SHORTEST_LIMIT = 10000;

/** Where the connections of an HTTP server come in, before it has them. */
class Entrance {
  /**
   * @param {http.Server} httpServer
   * @param {object} keeper - who looks at the connections: `isOpen()`, `defer(handle, defers)`,
   *   `receive(handle, entrance)`, `closeAll()`, `closeIdle()` and `onListeners()`
   */
  constructor(httpServer, keeper) {
    this.httpServer = httpServer;
    this.keeper = keeper;
    /** The handle whose connections come here. */
    this._listening = undefined;
    /** The asynchronous context of whoever has the server listen, which is also that of its requests. */
    this._context = undefined;
    /** What Node does with a connection. */
    this._onConnection = undefined;
    /** Whether connections wait in the kernel until they have said something. */
    this._defers = false;
    /** Whether connections do not come here any more. */
    this._isClosed = false;
    /** Takes back what has been done to the server. */
    this._undo = [];
  }

  /** Connections do not come here any more. */
  close() {
    for (const undo of this._undo) undo();
    this._isClosed = true;
    const listening = this._listening;
    if (listening === undefined) return;
    this._defer(false);
    // others may have put something in front of it, which goes on
    if (listening.onconnection === this._guard) listening.onconnection = this._onConnection;
  }

  /** Whether connections come here. */
  get isWatched() {
    return !this._isClosed && this._listening !== undefined && this.httpServer.listening;
  }

  /** Has accepted connections come here first. */
  watch() {
    const listening = listeningHandle(this.httpServer);
    // a server that is attached to while it begins to listen says so afterwards
    if (listening === undefined || listening === this._listening) return;
    this._listening = listening;
    const entrance = this;
    const { keeper } = this;
    const { onconnection } = listening;
    this._onConnection = onconnection;
    this._guard = listening.onconnection = function (...args) {
      const [error, handle] = args;
      entrance._context ??= new AsyncResource("SOCKEYE_ARRIVALS");
      const isOpen = !entrance._isClosed && !error && handle?.fd >= 0 && keeper.isOpen();
      if (!entrance._isClosed) entrance._defer(isOpen);
      if (!isOpen || !keeper.receive(handle, entrance)) {
        onconnection.apply(this, args);
      }
    };
    this._defers = false;
    this._defer(keeper.isOpen());
  }

  /** Has Node do with a connection what it would have done without us. */
  handOver(handle) {
    this.run(this._onConnection, this._listening, undefined, handle);
  }

  /** Calls a function where requests of the server are handled. */
  run(act, that, ...args) {
    // connections that were kept may come before any that has arrived here
    (this._context ??= new AsyncResource("SOCKEYE_ARRIVALS")).runInAsyncScope(act, that, ...args);
  }

  /**
   * Has connections wait in the kernel until they have said something, or not. What they begin with can be told at once
   * then, and most of those that are Node's go to Node without a detour.
   */
  _defer(defers) {
    if (defers === this._defers || !(this._listening.fd >= 0)) return;
    this._defers = defers;
    this.keeper.defer(this._listening, defers);
  }
}

/**
 * Why an HTTP server can have no entrance.
 * @param {http.Server} httpServer
 * @returns {string|undefined}
 */
function whyWithoutEntrance(httpServer) {
  return (
    closedRoads().entrance ??
    (isOrdinaryServer(httpServer) ? undefined : "the HTTP server is no plain http.Server or https.Server")
  );
}

/**
 * Makes the entrance of an HTTP server, if it can be done so that nobody could tell.
 * @param {http.Server} httpServer
 * @param {object} keeper - see `Entrance`
 * @returns {Entrance|undefined}
 */
function openEntrance(httpServer, keeper) {
  if (whyWithoutEntrance(httpServer) !== undefined) return undefined;
  const entrance = new Entrance(httpServer, keeper);
  const onListener = (event) => SEEN_BY.has(event) && keeper.onListeners();
  const onListening = () => entrance.watch();
  entrance._undo.push(
    precede(httpServer, "closeAllConnections", () => keeper.closeAll()),
    precede(httpServer, "closeIdleConnections", () => keeper.closeIdle()),
    () => httpServer.removeListener("newListener", onListener).removeListener("listening", onListening),
  );
  // whoever begins to listen for these wants to see what has come past them so far
  httpServer.on("newListener", onListener);
  httpServer.on("listening", onListening);
  if (httpServer.listening) entrance.watch();
  return entrance;
}

/** What an HTTP server emits that connections and requests can be seen by. */
const SEEN_BY = new Set(["connection", "request", "secureConnection", "upgrade"]);

/**
 * Has something be done before a method of an HTTP server.
 * @returns {function()} takes that back, unless others have put something in front of it
 */
function precede(httpServer, name, act) {
  const before = Object.getOwnPropertyDescriptor(httpServer, name);
  const method = httpServer[name];
  function preceded(...args) {
    act();
    return method.apply(this, args);
  }
  Object.defineProperty(httpServer, name, { configurable: true, writable: true, value: preceded });
  return () => {
    if (httpServer[name] !== preceded) return;
    if (before === undefined) delete httpServer[name];
    else Object.defineProperty(httpServer, name, before);
  };
}

/**
 * On what connections an HTTP server has an opinion that it does not state when there is an upgrade.
 * @param {http.Server} httpServer
 * @param {{ bytes: number, headers: number }} most - what a request may have at the most
 * @returns {string|undefined} the property that it has it by, undefined: on none
 */
function opinionOf(httpServer, most) {
  if (httpServer.maxConnections != null) return "maxConnections";
  if (httpServer.blockList != null) return "blockList";
  if (httpServer.pauseOnConnect) return "pauseOnConnect";
  if (httpServer.keepAlive) return "keepAlive";
  if (httpServer.joinDuplicateHeaders) return "joinDuplicateHeaders";
  if (!((httpServer.maxHeaderSize ?? maxHeaderSize) >= most.bytes)) return "maxHeaderSize";
  if (httpServer.maxHeadersCount > 0 && httpServer.maxHeadersCount < most.headers) return "maxHeadersCount";
  if (httpServer.timeout > 0) return "timeout";
  if (isShort(httpServer.headersTimeout)) return "headersTimeout";
  if (isShort(httpServer.requestTimeout)) return "requestTimeout";
  return undefined;
}

/**
 * How an HTTP server keeps connections between two requests.
 * @param {http.Server} httpServer
 * @returns {{ keepAlive: number, announced: number }|undefined} milliseconds, and the seconds that clients are told;
 *   undefined if it does so in an unusual way
 */
function keepAliveOf(httpServer) {
  const { keepAliveTimeout, keepAliveTimeoutBuffer = 0, maxRequestsPerSocket } = httpServer;
  if (!(keepAliveTimeout >= 1000) || maxRequestsPerSocket > 0) return undefined;
  return {
    keepAlive: keepAliveTimeout + keepAliveTimeoutBuffer,
    announced: Math.floor(keepAliveTimeout / 1000),
  };
}

/** Whether there is a time limit, and a short one. */
function isShort(limit) {
  return limit > 0 && limit < SHORTEST_LIMIT;
}

module.exports = { keepAliveOf, openEntrance, opinionOf, precede, whyWithoutEntrance };
