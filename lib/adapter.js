"use strict";

const { Adapter: InMemoryAdapter } = require("socket.io-adapter");
const { COMPRESS, VOLATILE, TARGET_CONNECTION } = require("./commands");
const { RoomIndex } = require("./room-index");

/** Rooms of up to this many members are named member by member; larger ones are mirrored to the workers. */
const SMALL_ROOM = 8;

/** Stands for all sockets of the namespace among the mirrored rooms. A symbol, as any string may be a room's name. */
const EVERYBODY = Symbol("everybody");

/** Numbers of rooms are unique within an engine, whichever namespace the room is in. */
const kLastRoom = Symbol("lastRoom");

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
 * to the native workers, so that the next broadcast is one command, whatever its size.
 */
class Adapter extends InMemoryAdapter {
  /** @param nsp {Namespace} */
  constructor(nsp) {
    super(nsp);
    this._index = new RoomIndex(this);
    Object.defineProperties(this, MAPS);
    /** The engine that the sockets of this namespace are on. */
    this._engine = undefined;
    /** Whether all sockets are on that engine. Once they are not, broadcasts go socket by socket. */
    this._isNative = true;
    /** Numbers of the mirrored rooms. */
    this._mirrors = new Map();
    /** Ids of the sockets that are in the mirrors of their rooms: those that are connected. */
    this._mirrored = new Set();
  }

  addAll(id, rooms) {
    const index = this._index;
    if (this._mirrors.size === 0) {
      index.add(id, rooms);
      return;
    }
    const added = [...rooms].filter((room) => !index.isIn(id, room));
    index.add(id, rooms);
    const handle = this._handleOf(id);
    // a socket that its middleware still holds back is not reached by broadcasts
    if (handle === -1) return;
    if (this._mirrored.has(id)) {
      this._joinMirrors(handle, added);
    } else {
      this._mirrored.add(id);
      this._join(handle, EVERYBODY);
      this._joinMirrors(handle, index.listRooms(id));
    }
  }

  del(id, room) {
    if (this._mirrored.has(id) && this._index.isIn(id, room)) this._leave(this._numberOf(id), room);
    this._index.remove(id, room);
    this._forgetIfEmpty(room);
  }

  delAll(id) {
    const index = this._index;
    if (!index.has(id)) return;
    if (this._mirrors.size === 0) {
      index.removeAll(id);
      return;
    }
    const rooms = index.listRooms(id);
    if (this._mirrored.delete(id)) {
      const handle = this._numberOf(id);
      this._leave(handle, EVERYBODY);
      for (const room of rooms) this._leave(handle, room);
    }
    index.removeAll(id);
    for (const room of rooms) this._forgetIfEmpty(room);
  }

  socketRooms(id) {
    return this._index.roomsOf(id);
  }

  broadcast(packet, opts) {
    const flags = opts.flags ?? {};
    const engine = this._nativeEngine();
    if (engine === undefined) {
      super.broadcast(packet, opts);
      return;
    }
    const targets = [];
    if (opts.rooms.size === 0) {
      this._addTargets(EVERYBODY, targets);
    } else {
      for (const room of opts.rooms) this._addTargets(room, targets);
    }
    const except = [];
    if (opts.except) for (const room of opts.except) this._addTargets(room, except);
    if (!this._isNative) {
      super.broadcast(packet, opts);
      return;
    }
    packet.nsp = this.nsp.name;
    const packets = this.encoder.encode(packet);
    if (this.nsp._hasOutgoingListeners) {
      this.apply(opts, (socket) => socket.notifyOutgoingListeners(packet));
    }
    if (targets.length === 0) return;
    let bits = flags.compress === false ? 0 : COMPRESS;
    if (flags.volatile) bits |= VOLATILE;
    engine._commands.broadcast(packets, targets, except, bits);
  }

  close() {
    for (const number of this._mirrors.values()) this._engine._commands.dropRoom(number);
    this._mirrors.clear();
    this._mirrored.clear();
    return super.close();
  }

  /** Calls back with every socket that a broadcast would be for. */
  apply(opts, callback) {
    const { rooms } = opts;
    const except = this._idsIn(opts.except ?? []);
    for (const id of rooms.size === 0 ? this._index.ids() : this._idsIn(rooms)) {
      const socket = except.has(id) ? undefined : this.nsp.sockets.get(id);
      if (socket !== undefined) callback(socket);
    }
  }

  /** @private */
  _idsIn(rooms) {
    const ids = new Set();
    for (const room of rooms) for (const id of this._index.members(room) ?? []) ids.add(id);
    return ids;
  }

  /** The engine that can broadcast, unless somebody has to see every single message. @private */
  _nativeEngine() {
    if (this._engine === undefined) {
      for (const id of this._index.ids()) if (this._handleOf(id) !== -1) break;
    }
    return this._isNative && !this._engine?._isWatched() ? this._engine : undefined;
  }

  /** The number of a connected socket's connection, or -1. @private */
  _handleOf(id) {
    const conn = this.nsp.sockets.get(id)?.client.conn;
    if (conn === undefined || conn.readyState === "closed") return -1;
    const handle = conn._handle;
    if (handle === undefined || (this._engine !== undefined && conn.server !== this._engine)) {
      this._isNative = false;
      return -1;
    }
    this._engine ??= conn.server;
    return handle;
  }

  /** The number of a socket's connection, which may be closed already, or -1. @private */
  _numberOf(id) {
    return this.nsp.sockets.get(id)?.client.conn._handle ?? -1;
  }

  /** Adds what a room is to the workers: its number, or its few members. @private */
  _addTargets(room, targets) {
    let number = this._mirrors.get(room);
    if (number === undefined && this._sizeOf(room) > SMALL_ROOM) number = this._mirror(room);
    if (number !== undefined) {
      targets.push(number);
      return;
    }
    const members = this._membersOf(room);
    if (members === undefined) return;
    for (const id of members) {
      const handle = this._handleOf(id);
      if (handle !== -1) targets.push((handle | TARGET_CONNECTION) >>> 0);
    }
  }

  /** @private */
  _sizeOf(room) {
    if (room === EVERYBODY) return this._index.size;
    const members = this._index.members(room);
    return members?.size ?? members?.length ?? 0;
  }

  /** @private */
  _membersOf(room) {
    return room === EVERYBODY ? this._index.ids() : this._index.members(room);
  }

  /** Mirrors a room. The first one makes known which sockets are connected. @private */
  _mirror(room) {
    const engine = this._engine;
    if (this._mirrors.size === 0) {
      this._mirrored.clear();
      for (const id of this._index.ids()) if (this._handleOf(id) !== -1) this._mirrored.add(id);
    }
    const number = (engine[kLastRoom] = (engine[kLastRoom] ?? 0) + 1);
    this._mirrors.set(room, number);
    const handles = [];
    for (const id of this._membersOf(room)) if (this._mirrored.has(id)) handles.push(this._handleOf(id));
    engine._commands.room(number, handles);
    return number;
  }

  /** @private */
  _joinMirrors(handle, rooms) {
    for (const room of rooms) this._join(handle, room);
  }

  /** @private */
  _join(handle, room) {
    const number = this._mirrors.get(room);
    if (number !== undefined) this._engine._commands.join(number, handle);
  }

  /** @private */
  _leave(handle, room) {
    const number = this._mirrors.get(room);
    if (number !== undefined && handle !== -1) this._engine._commands.leave(number, handle);
  }

  /** @private */
  _forgetIfEmpty(room) {
    const number = this._mirrors.get(room);
    if (number !== undefined && !this._index.hasRoom(room)) {
      this._mirrors.delete(room);
      this._engine._commands.dropRoom(number);
    }
  }
}

module.exports = { Adapter };
