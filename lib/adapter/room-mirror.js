"use strict";

const { COMPRESS, VOLATILE, TARGET_CONNECTION } = require("../native/commands");
const { watch, unwatch } = require("./watch");

/** Rooms of up to this many members are named member by member; larger ones are mirrored to the workers. */
const SMALL_ROOM = 8;

/** Stands for all sockets of the namespace among the mirrored rooms. A symbol, as any string may be a room's name. */
const EVERYBODY = Symbol("everybody");

/** Where an adapter has its mirror. */
const kMirror = Symbol("mirror");

/**
 * What the native workers know of an adapter's rooms. A room that has been broadcast to is mirrored to them, so that the
 * next broadcast is one command, whatever the room's size.
 *
 * What is mirrored is the very Sets that a broadcast goes by: they are watched, so that there is no other way of changing
 * a room than one that the workers hear of. The namespace tells who is behind an id, and from when until when.
 */
class RoomMirror {
  /**
   * @param {import("../api/namespace").Namespace} nsp
   * @param {import("./room-index").RoomIndex} index - the truth about rooms, or anything with the same ways to read it
   */
  constructor(nsp, index) {
    this._nsp = nsp;
    this._index = index;
    /** The engine whose workers are told; known from the first socket on. */
    this._engine = undefined;
    /** The mirrored rooms by name. */
    this._rooms = new Map();
    /** Those that are in any of them, by id: under which number, and in how many. */
    this._members = new Map();
    /**
     * Ids of sockets that broadcasts are written to one by one: those on another engine, and those that share their
     * connection with another socket of this namespace, since a worker writes once to a connection.
     */
    this._apart = new Set();
    for (const socket of nsp.sockets.values()) this.onConnect(socket);
  }

  /**
   * The namespace has just put a socket in its list: broadcasts to its id are for this one from now on. The id may have
   * been another socket's until now, if that session was recovered more than once.
   *
   * @param {import("../api/socket").Socket} socket
   */
  onConnect(socket) {
    const { id } = socket;
    this._expel(id);
    this._apart.delete(id);
    if (this._isApart(socket)) {
      this._apart.add(id);
    } else if (this._rooms.size !== 0 && this._index.has(id)) {
      // it has joined rooms while its middleware held it back
      this._forEachMirrored(id, (room) => this._enter(room, id));
    }
  }

  /**
   * The namespace has just removed the socket of this id from its list.
   *
   * @param {string} id
   */
  onRemove(id) {
    this._expel(id);
    this._apart.delete(id);
  }

  /**
   * What a broadcast is for, as the workers name it.
   *
   * @param {object} opts - of the adapter's method
   * @returns {{ targets: number[], except: number[] }|undefined} undefined if it has to go socket by socket
   */
  aim(opts) {
    // nobody is here, or somebody has to see every single message
    if (this._engine === undefined || this._engine._isWatched()) return undefined;
    const targets = [];
    if (opts.rooms.size === 0) {
      this._addTargets(EVERYBODY, targets);
    } else {
      for (const room of opts.rooms) this._addTargets(room, targets);
    }
    const except = [];
    if (opts.except) for (const room of opts.except) this._addTargets(room, except);
    return { targets, except };
  }

  /**
   * Sends what a parser has made of a packet to whom `aim()` has found, and to those apart.
   *
   * @param {Array<string|Buffer>} packets
   * @param {{ targets: number[], except: number[] }} aim
   * @param {object} opts - of the adapter's method
   */
  broadcast(packets, { targets, except }, opts) {
    const { flags } = opts;
    if (targets.length !== 0) {
      let bits = flags?.compress === false ? 0 : COMPRESS;
      if (flags?.volatile) bits |= VOLATILE;
      this._engine._bridge.commands.broadcast(packets, targets, except, bits);
    }
    if (this._apart.size !== 0) this._writeApart(packets, opts);
  }

  /** Forgets all rooms; what is broadcast later begins anew. */
  clear() {
    for (const [name, room] of this._rooms) this._drop(name, room);
    this._members.clear();
  }

  /** Adds what a room is to the workers: its number, or its few members. */
  _addTargets(name, targets) {
    let room = this._rooms.get(name);
    if (room !== undefined && !room.isCurrent(this._collectionOf(name))) {
      // the Maps were changed by hand
      this.clear();
      room = undefined;
    }
    if (room === undefined && this._sizeOf(name) > SMALL_ROOM) room = this._mirror(name);
    if (room !== undefined) {
      targets.push(room.number);
      return;
    }
    const ids = this._idsIn(name);
    if (ids === undefined) return;
    for (const id of ids) {
      const handle = this._handleOf(id);
      if (handle !== -1) targets.push((handle | TARGET_CONNECTION) >>> 0);
    }
  }

  /** The number of a connected socket's connection, or -1 if it cannot be reached by it. */
  _handleOf(id) {
    const conn = this._nsp.sockets.get(id)?.client.conn;
    if (conn === undefined || conn.readyState === "closed" || conn.server !== this._engine) return -1;
    return this._apart.size !== 0 && this._apart.has(id) ? -1 : conn._handle;
  }

  _collectionOf(name) {
    return name === EVERYBODY ? this._index.everybody : this._index.members(name);
  }

  _sizeOf(name) {
    const collection = this._collectionOf(name);
    return collection?.size ?? collection?.length ?? 0;
  }

  _idsIn(name) {
    return name === EVERYBODY ? this._index.ids() : this._index.members(name);
  }

  /** Mirrors a room. @returns {MirroredRoom|undefined} undefined if it cannot be watched */
  _mirror(name) {
    const collection = this._collectionOf(name);
    const engine = this._engine;
    const room = new MirroredRoom(this, name, collection);
    if (name === EVERYBODY ? !this._index.watchIds(room) : !watch(collection, room)) return undefined;
    room.number = engine._bridge.rooms.add(room);
    this._rooms.set(name, room);
    const handles = [];
    for (const id of this._idsIn(name)) {
      const member = this._memberOf(id);
      if (member === undefined) continue;
      member.rooms++;
      handles.push(member.handle);
    }
    engine._bridge.commands.room(room.number, handles);
    return room;
  }

  _drop(name, room) {
    this._rooms.delete(name);
    if (name === EVERYBODY) this._index.unwatchIds(room);
    else unwatch(room.collection);
    this._engine._bridge.rooms.remove(room.number);
    this._engine._bridge.commands.dropRoom(room.number);
  }

  /** The entry of a connected socket, which may have to be made: then it has to be put into a room. */
  _memberOf(id) {
    let member = this._members.get(id);
    if (member === undefined) {
      const handle = this._handleOf(id);
      if (handle === -1) return undefined;
      this._members.set(id, (member = new Member(handle)));
    }
    return member;
  }

  /** An id has come into a room. If nobody is behind it yet, `onConnect()` follows. */
  _enter(room, id) {
    const member = this._memberOf(id);
    if (member === undefined) return;
    member.rooms++;
    this._engine._bridge.commands.join(room.number, member.handle);
  }

  /** An id has left a room. */
  _exit(room, id) {
    const member = this._members.get(id);
    if (member === undefined) return;
    this._engine._bridge.commands.leave(room.number, member.handle);
    if (--member.rooms === 0) this._members.delete(id);
  }

  /** Takes whoever is behind an id out of all rooms: its connection's number is about to be another's. */
  _expel(id) {
    const member = this._members.get(id);
    if (member === undefined) return;
    this._forEachMirrored(id, (room) => this._exit(room, id));
    // the list of its rooms was changed by hand, and it is in some that are no longer listed
    if (member.rooms !== 0) this.clear();
  }

  /** Calls back with the mirrored rooms that an id is in. */
  _forEachMirrored(id, callback) {
    const everybody = this._rooms.get(EVERYBODY);
    if (everybody !== undefined && this._index.has(id)) callback(everybody);
    for (const name of this._index.listRooms(id)) {
      const room = this._rooms.get(name);
      if (room !== undefined && room.collection.has(id)) callback(room);
    }
  }

  /** Whether broadcasts have to be written to a socket that has just connected apart from the others. */
  _isApart(socket) {
    const { client, nsp } = socket;
    const { conn } = client;
    if (conn._handle === undefined) return true;
    if (conn.server !== this._engine) {
      if (this._engine !== undefined && nsp.sockets.size > 1) return true;
      this.clear();
      this._apart.clear();
      this._engine = conn.server;
    }
    for (const other of client._listSockets()) if (other !== socket && other.nsp === nsp) return true;
    return false;
  }

  _writeApart(packets, { rooms, except, flags }) {
    const index = this._index;
    const opts = { preEncoded: true, volatile: flags?.volatile, compress: flags?.compress };
    for (const id of this._apart) {
      const isMeant = rooms.size === 0 ? index.has(id) : isInAny(index, id, rooms);
      if (isMeant && !(except && isInAny(index, id, except))) {
        this._nsp.sockets.get(id)?.client.writeToEngine(packets, opts);
      }
    }
  }
}

/** A room as the workers know it. */
class MirroredRoom {
  /**
   * @param {RoomMirror} mirror
   * @param {any} name
   * @param {{size: number}} collection - who is in it
   */
  constructor(mirror, name, collection) {
    this.mirror = mirror;
    this.name = name;
    /** The number by which the workers know it; -1 before it has one. */
    this.number = -1;
    this.collection = collection;
    this.size = collection.size;
  }

  /** Whether all that has happened to the room of this name was told. */
  isCurrent(collection) {
    return collection === this.collection && collection.size === this.size;
  }

  added(id) {
    this.size++;
    this.mirror._enter(this, id);
  }

  removed(id) {
    this.size--;
    this.mirror._exit(this, id);
    if (this.size === 0) this.mirror._drop(this.name, this);
  }

  cleared() {
    this.mirror.clear();
  }
}

/** A connection that is in mirrored rooms. */
class Member {
  constructor(handle) {
    this.handle = handle;
    this.rooms = 0;
  }
}

/**
 * Makes a mirror that of an adapter.
 *
 * @param {object} adapter
 * @param {RoomMirror} mirror
 */
function setMirror(adapter, mirror) {
  Object.defineProperty(adapter, kMirror, { value: mirror });
}

/**
 * The mirror of an adapter's rooms.
 *
 * @param {object} adapter
 * @returns {RoomMirror|undefined} undefined if the adapter broadcasts socket by socket
 */
function mirrorOf(adapter) {
  return adapter[kMirror];
}

module.exports = { RoomMirror, setMirror, mirrorOf };

function isInAny(index, id, rooms) {
  for (const room of rooms) if (index.isMember(id, room)) return true;
  return false;
}
