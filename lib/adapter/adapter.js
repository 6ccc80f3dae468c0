"use strict";

const { Adapter: InMemoryAdapter } = require("socket.io-adapter");
const { RoomIndex } = require("./room-index");
const { RoomMirror, setMirror } = require("./room-mirror");

/** The Maps that every adapter has, as own properties. */
const MAPS = {
  rooms: {
    configurable: true,
    enumerable: true,
    get() {
      return this._index.rooms;
    },
    set(rooms) {
      this._index.rooms = rooms;
    },
  },
  sids: {
    configurable: true,
    enumerable: true,
    get() {
      return this._index.sids;
    },
    set(sids) {
      this._index.sids = sids;
    },
  },
};

/**
 * The adapter of a single server. A `RoomIndex` is the truth about rooms; a room that has been broadcast to is mirrored
 * to the native workers by a `RoomMirror`, so that the next broadcast is one command, whatever its size.
 */
class Adapter extends InMemoryAdapter {
  /** @param {Namespace} nsp */
  constructor(nsp) {
    super(nsp);
    this._index = new RoomIndex(this);
    Object.defineProperties(this, MAPS);
    this._mirror = new RoomMirror(nsp, this._index);
    setMirror(this, this._mirror);
  }

  addAll(id, rooms) {
    this._index.add(id, rooms);
  }

  /** What `addAll()` does for one room. For those who know that nobody has replaced that. @private */
  _addTo(id, room) {
    this._index.addTo(id, room);
  }

  del(id, room) {
    this._index.remove(id, room);
  }

  delAll(id) {
    this._index.removeAll(id);
  }

  socketRooms(id) {
    return this._index.roomsOf(id);
  }

  broadcast(packet, opts) {
    const aim = this._mirror.aim(opts);
    if (aim === undefined) {
      super.broadcast(packet, opts);
      return;
    }
    packet.nsp = this.nsp.name;
    const packets = this.encoder.encode(packet);
    if (this.nsp._hasOutgoingListeners) {
      this.apply(opts, (socket) => socket.notifyOutgoingListeners(packet));
    }
    this._mirror.broadcast(packets, aim, opts);
  }

  close() {
    this._mirror.clear();
    return super.close();
  }

  fetchSockets(opts) {
    const { rooms, except } = opts;
    if (rooms.size !== 1 || except?.size > 0 || this.apply !== apply) return super.fetchSockets(opts);
    // nobody is in a room twice, and nothing of the application runs meanwhile
    const sockets = [];
    const [room] = rooms;
    for (const id of this._index.members(room) ?? []) {
      const socket = this.nsp.sockets.get(id);
      if (socket !== undefined) sockets.push(socket);
    }
    return Promise.resolve(sockets);
  }

  /** Encodes what is sent socket by socket: native threads have no use for the frame that it could be in. @private */
  _encode(packet, opts) {
    return this._mirror.isNative ? this.encoder.encode(packet) : super._encode(packet, opts);
  }

  /** Calls back with every socket that a broadcast would be for; callbacks may change the rooms. */
  apply(opts, callback) {
    const { nsp, _index: index } = this;
    const { rooms } = opts;
    const except = this.computeExceptSids(opts.except);
    if (!rooms.size) {
      this._applyToAll(except, callback);
      return;
    }
    const ids = new Set();
    for (const room of rooms) {
      for (const id of index.members(room) ?? []) {
        if (ids.has(id) || except.has(id)) continue;
        const socket = nsp.sockets.get(id);
        if (socket === undefined) continue;
        callback(socket);
        ids.add(id);
      }
    }
  }

  _applyToAll(except, callback) {
    const { nsp, _index: index } = this;
    if (index.hasLoners) {
      for (const [id, socket] of nsp.sockets) if (!except.has(id) && index.has(id)) callback(socket);
      return;
    }
    for (const id of index.ids()) {
      const socket = except.has(id) ? undefined : nsp.sockets.get(id);
      if (socket !== undefined) callback(socket);
    }
  }

  computeExceptSids(rooms) {
    const ids = new Set();
    if (rooms?.size > 0) {
      for (const room of rooms) for (const id of this._index.members(room) ?? []) ids.add(id);
    }
    return ids;
  }
}

const { apply } = Adapter.prototype;

module.exports = { Adapter };
