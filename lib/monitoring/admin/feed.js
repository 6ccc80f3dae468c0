"use strict";

const { connectionOf, showData, showSocket } = require("./shown-socket");
const { isWatchable, originalOf, watchData } = require("./watched-data");

/**
 * Tells admins, in development mode, of all that happens to sockets and rooms while it is on. For that it listens to every
 * socket, which costs what `onAny` and `onAnyOutgoing` cost.
 */
class Feed {
  /**
   * @param {import("../../api/server").Server} io
   * @param {import("../../api/namespace").Namespace} adminNamespace - whose events are not told
   * @param {object} options
   * @param {(event: string, ...args: any[]) => void} options.tell - the admins
   * @param {() => boolean} options.isShared - whether admins of other processes look at our sockets
   */
  constructor(io, adminNamespace, { tell, isShared }) {
    this._io = io;
    this.adminNamespace = adminNamespace;
    this.tell = tell;
    this.isShared = isShared;
    this._namespaces = new Map();
    this._onNamespace = (nsp) => this._watch(nsp);
    io.on("new_namespace", this._onNamespace);
    this.refresh();
  }

  /** Listens to what there is: namespaces come and go, and get other adapters. */
  refresh() {
    for (const [nsp, watch] of this._namespaces) {
      if (this._io._nsps.get(nsp.name) === nsp && nsp.adapter === watch.adapter) continue;
      watch.end();
      this._namespaces.delete(nsp);
    }
    for (const nsp of this._io._nsps.values()) this._watch(nsp);
  }

  _watch(nsp) {
    if (!this._namespaces.has(nsp)) this._namespaces.set(nsp, new NamespaceFeed(this, nsp));
  }

  /** Everything is as it was before. */
  end() {
    this._io.off("new_namespace", this._onNamespace);
    for (const watch of this._namespaces.values()) watch.end();
    this._namespaces.clear();
  }
}

/** What happens in a namespace. */
class NamespaceFeed {
  constructor(feed, nsp) {
    const { name, adapter } = nsp;
    const { tell } = feed;
    this._feed = feed;
    this._nsp = nsp;
    this.adapter = adapter;
    this._sockets = new Map();
    this._onConnection = (socket) => {
      this._watch(socket);
      tell("socket_connected", showSocket(socket, name), new Date());
    };
    this._onJoin = (room, id) => tell("room_joined", name, room, id, new Date());
    // a socket that disconnects leaves its rooms first, and is told of first
    this._onLeave = (room, id) => process.nextTick(() => tell("room_left", name, room, id, new Date()));
    nsp.prependListener("connection", this._onConnection);
    adapter.on("join-room", this._onJoin);
    adapter.on("leave-room", this._onLeave);
    for (const socket of nsp.sockets.values()) this._watch(socket);
  }

  _watch(socket) {
    if (!this._sockets.has(socket)) {
      this._sockets.set(socket, new SocketFeed(this._feed, socket, () => this._sockets.delete(socket)));
    }
  }

  end() {
    this._nsp.off("connection", this._onConnection);
    this.adapter.off("join-room", this._onJoin);
    this.adapter.off("leave-room", this._onLeave);
    for (const watch of this._sockets.values()) watch.end();
    this._sockets.clear();
  }
}

/** What happens to a socket. */
class SocketFeed {
  constructor({ tell, isShared, adminNamespace }, socket, onGone) {
    const { id, conn } = socket;
    const nsp = socket.nsp.name;
    const tellOfData = () => tell("socket_updated", { id, nsp, data: showData(socket.data) });
    this._socket = socket;
    this._isShared = isShared;
    this._noteConnection();
    this._data = isWatchable(socket.data) ? watchData(socket.data, tellOfData) : undefined;
    if (this._data !== undefined) socket.data = this._data;

    this._onUpgrade = ({ name }) => {
      this._noteConnection();
      tell("socket_updated", { id, nsp, transport: name });
    };
    // adapters may keep it, or send it elsewhere
    this._onDisconnecting = () => this._restoreData();
    this._onDisconnect = (reason) => {
      tell("socket_disconnected", nsp, id, reason, new Date());
      onGone();
      this.end();
    };
    conn.on("upgrade", this._onUpgrade);
    socket.on("disconnecting", this._onDisconnecting);
    socket.on("disconnect", this._onDisconnect);

    if (socket.nsp === adminNamespace) return;
    this._onReceived = (...args) => {
      const hasAck = typeof args.at(-1) === "function";
      tell("event_received", nsp, id, hasAck ? args.slice(0, -1) : args, new Date());
    };
    this._onSent = (...args) => tell("event_sent", nsp, id, args, new Date());
    socket.onAny(this._onReceived);
    socket.onAnyOutgoing(this._onSent);
  }

  /** Other processes find what they show of the connection in the data. */
  _noteConnection() {
    const data = originalOf(this._socket.data);
    if (this._isShared() && isWatchable(data) && Object.isExtensible(data)) {
      data._admin = connectionOf(this._socket);
    }
  }

  _restoreData() {
    if (this._data !== undefined && this._socket.data === this._data) {
      this._socket.data = originalOf(this._data);
    }
  }

  end() {
    const socket = this._socket;
    this._restoreData();
    socket.conn.off("upgrade", this._onUpgrade);
    socket.off("disconnecting", this._onDisconnecting);
    socket.off("disconnect", this._onDisconnect);
    if (this._onReceived === undefined) return;
    socket.offAny(this._onReceived);
    socket.offAnyOutgoing(this._onSent);
  }
}

module.exports = { Feed };
