"use strict";

const debug = require("debug")("socket.io-admin");
const { Adapter } = require("socket.io-adapter");
const { judgeOf } = require("./authentication");
const { FEATURES, obey } = require("./commands");
const { Feed } = require("./feed");
const { showSocket } = require("./shown-socket");
const { Statistics } = require("./statistics");
const { InMemoryStore, RedisStore } = require("./stores");

/** Milliseconds between two statistics. */
const INTERVAL = 2000;

/**
 * Lets admins look at a server by the page of `@socket.io/admin-ui`, which connects to a namespace for them. While nobody
 * does, it costs nothing; afterwards, in production mode, next to nothing.
 *
 * @example
 * const { instrument } = require("sockeye.io/admin-ui");
 *
 * instrument(io, { auth: { type: "basic", username: "admin", password: process.env.ADMIN_HASH }, mode: "production" });
 *
 * @param {import("../../api/server").Server} io
 * @param {object} options
 * @param {false|{ type: "basic", username: string, password: string }} options.auth - who may connect; the password is a hash
 *   that bcrypt has made
 * @param {string} [options.namespaceName] - by default "/admin"
 * @param {boolean} [options.readonly] - whether admins may only look
 * @param {string} [options.serverId] - by default the name of the machine
 * @param {object} [options.store] - of the sessions of admins, by default in memory
 * @param {"development"|"production"} [options.mode] - whether admins see every socket, room and event; by default as the
 *   environment variable NODE_ENV says, else "development"
 * @throws {TypeError} if it is not said who may connect, or an option is not what it has to be
 * @throws {Error} if bcryptjs is needed, and not installed
 */
function instrument(io, options = {}) {
  new Administration(io, options);
}

/** What there is for the admins of a server. */
class Administration {
  constructor(io, options) {
    const {
      namespaceName = "/admin",
      auth,
      store = new InMemoryStore(),
      readonly = false,
      serverId,
    } = options;
    const { mode = process.env.NODE_ENV || "development" } = options;
    const isAllowed = judgeOf(auth, store);
    this._io = io;
    this._isReadonly = readonly;
    this._isDevelopment = mode === "development";
    this._statistics = new Statistics(io, serverId);
    this._namespace = io.of(namespaceName);
    /** Whether admins are told anything, and what has to happen for that happens. */
    this._isOn = false;
    this._feed = undefined;
    this._timer = undefined;
    this._hasListened = false;

    this._namespace.use((socket, next) => this._admit(socket, next, isAllowed));
    this._namespace.on("connection", (socket) => this._onAdmin(socket));
    if (this._isObserved()) this._begin();
    // the adapter may be another one by then
    else this._startTimer();
  }

  async _admit(socket, next, isAllowed) {
    let allowed = false;
    try {
      allowed = await isAllowed(socket);
    } catch (error) {
      debug("an admin cannot be judged: %s", error);
    }
    if (allowed !== true) {
      next(new Error("invalid credentials"));
      return;
    }
    // so that the admin hears of itself, as of everybody
    this._begin();
    next();
  }

  async _onAdmin(admin) {
    // who is recovered was not admitted by us
    this._begin();
    admin.on("disconnect", () => {
      if (!this._isObserved()) this._end();
    });
    const supportedFeatures = this._isReadonly ? [] : [...FEATURES];
    supportedFeatures.push("AGGREGATED_EVENTS");
    if (this._isDevelopment) supportedFeatures.push("ALL_EVENTS");
    if (!this._isReadonly) obey(this._io, admin);
    admin.emit("config", { supportedFeatures });
    admin.emit("server_stats", this._statistics.present());
    if (!this._isDevelopment) return;
    try {
      admin.emit("all_sockets", await showAllSockets(this._io));
    } catch (error) {
      debug("an admin cannot be told of the sockets: %s", error);
    }
  }

  /** Whether there may be an admin, at another server of the cluster if need be. */
  _isObserved() {
    return this._namespace.sockets.size !== 0 || (isShared(this._namespace.adapter) && !this._isClosed());
  }

  /** Whether the server has been closed: what its adapter writes to may be, too. */
  _isClosed() {
    const isListening = this._io.httpServer?.listening === true;
    this._hasListened ||= isListening;
    return this._hasListened && !isListening;
  }

  _begin() {
    if (this._isOn) return;
    debug("admins are told what happens");
    this._isOn = true;
    this._statistics.begin();
    if (this._isDevelopment) {
      this._feed = new Feed(this._io, this._namespace, {
        tell: (event, ...args) => this._tell(event, ...args),
        isShared: () => isShared(this._namespace.adapter),
      });
    }
    this._startTimer();
  }

  _end() {
    if (!this._isOn) return;
    debug("nobody is told any more");
    this._isOn = false;
    this._feed?.end();
    this._feed = undefined;
    this._stopTimer();
  }

  _startTimer() {
    this._timer ??= setInterval(() => this._onInterval(), INTERVAL).unref();
  }

  _stopTimer() {
    clearInterval(this._timer);
    this._timer = undefined;
  }

  _onInterval() {
    if (!this._isObserved()) {
      this._end();
      this._stopTimer();
      return;
    }
    this._begin();
    this._feed?.refresh();
    this._tell("server_stats", this._statistics.next());
  }

  /** What cannot be told is no error of the application, in whose calls it may come up. */
  _tell(event, ...args) {
    if (!this._isOn || !this._isObserved()) return;
    try {
      this._namespace.emit(event, ...args);
    } catch (error) {
      debug("%s cannot be told: %s", event, error);
    }
  }
}

/** Whether an adapter has what is emitted reach other servers as well. */
function isShared(adapter) {
  return adapter.serverSideEmit !== Adapter.prototype.serverSideEmit;
}

/** All sockets of all namespaces, of the whole cluster if it answers. */
async function showAllSockets(io) {
  const shown = Array.from(io._nsps.values(), async (nsp) => {
    const sockets = await nsp.fetchSockets().catch((error) => {
      debug("the other servers do not tell their sockets: %s", error);
      return [...nsp.sockets.values()];
    });
    return sockets.map((socket) => showSocket(socket, nsp.name));
  });
  return (await Promise.all(shown)).flat();
}

module.exports = { instrument, InMemoryStore, RedisStore };
