"use strict";

const debug = require("debug")("socket.io:parent-namespace");
const { Adapter } = require("../adapter/adapter");
const { Namespace } = require("./namespace");

let count = 0;

/**
 * Stands for all the namespaces whose names match a regular expression or please a function. They are created when the
 * first client asks for them, and take over the middleware and the connection listeners of their parent.
 *
 * @example
 * const rooms = io.of(/^\/room-\d+$/);
 *
 * rooms.on("connection", (socket) => {
 *   socket.nsp.emit("hello", "you in " + socket.nsp.name);
 * });
 * rooms.emit("hello", "you in any of the rooms");
 *
 * @public
 */
class ParentNamespace extends Namespace {
  /**
   * @private
   * @param {import("./server").Server} server
   */
  constructor(server) {
    super(server, "/_" + count++);
    this.children = new Set();
  }

  /** @private */
  _initAdapter() {
    this.adapter = new ParentAdapter(this);
  }

  /**
   * Emits to all the sockets of all the child namespaces.
   *
   * @public
   * @param {string} ev
   * @param {...any} args
   * @returns {true}
   * @throws {Error} if the name of the event is reserved
   */
  emit(ev, ...args) {
    for (const child of this.children) {
      child.emit(ev, ...args);
    }
    return true;
  }

  /**
   * Sets what becomes of events for clients that do not read, in all the child namespaces; see `Namespace.slowConsumer()`.
   *
   * @public
   * @param {object|null} options
   * @returns {this}
   * @throws {TypeError} if they are none
   */
  slowConsumer(options) {
    super.slowConsumer(options);
    for (const child of this.children) child.slowConsumer(options);
    return this;
  }

  /**
   * Creates a child namespace.
   *
   * @private
   * @param {string} name
   * @returns {Namespace}
   */
  createChild(name) {
    debug("creating the child namespace %s", name);
    const { server } = this;
    const child = new Namespace(server, name);
    for (const fn of this._fns) {
      child.use(fn);
    }
    for (const event of ["connect", "connection"]) {
      for (const listener of this.listeners(event)) {
        child.on(event, listener);
      }
    }
    child._rule = this._rule;
    this.children.add(child);
    if (server._opts.cleanupEmptyChildNamespaces) {
      this._closeWhenEmpty(child);
    }
    server._nsps.set(name, child);
    server.sockets.emitReserved("new_namespace", child);
    return child;
  }

  /**
   * Gives a child up once its last socket has gone.
   *
   * @private
   */
  _closeWhenEmpty(child) {
    const remove = child._remove;
    child._remove = (socket) => {
      remove.call(child, socket);
      if (child.sockets.size === 0) {
        debug("closing the child namespace %s", child.name);
        child.adapter.close();
        this.server._nsps.delete(child.name);
        this.children.delete(child);
      }
    };
  }

  /**
   * Not supported: which children there are differs from server to server of a cluster.
   *
   * @public
   * @throws {Error} always
   */
  fetchSockets() {
    throw new Error("fetchSockets() is not supported on parent namespaces");
  }
}

/** Passes broadcasts on to the children; there are no sockets here. */
class ParentAdapter extends Adapter {
  broadcast(packet, opts) {
    for (const child of this.nsp.children) {
      child.adapter.broadcast(packet, opts);
    }
  }
}

module.exports = { ParentNamespace };
