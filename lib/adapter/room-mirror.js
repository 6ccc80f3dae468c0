"use strict";

const { COMPRESS, VOLATILE, TARGET_CONNECTION } = require("../native/commands");
const { watch, unwatch } = require("./watch");

/** Rooms of up to this many members are named member by member; larger ones are mirrored to the workers. */
const SMALL_ROOM = 8;

/** Stands for all sockets of the namespace among the mirrored rooms. A symbol, as any string may be a room's name. */
const EVERYBODY = Symbol("everybody");

/** The number of no connection. */
const NOBODY = -1;

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
    /** What the server counts; a namespace of somebody's own making may have none. */
    this._counts = nsp.server?._counts;
    this._index = index;
    /** The engine whose workers are told; known from the first socket on. */
    this._engine = undefined;
    /** The mirrored rooms by name. */
    this._rooms = new Map();
    /**
     * Whoever is in any of them, by id: on which connection, and in how many. Sockets that are in none any more stay here
     * while they are connected, since many that leave one enter another.
     */
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
    if (this._isApart(socket)) this._apart.add(id);
    else this._apart.delete(id);
    this._move(id, this._handleOf(id));
  }

  /**
   * The namespace has just removed the socket of this id from its list.
   *
   * @param {string} id
   */
  onRemove(id) {
    this._apart.delete(id);
    this._move(id, NOBODY);
  }

  /**
   * What a broadcast is for, as the workers name it.
   *
   * @param {object} opts - of the adapter's method
   * @returns {{ targets: number[], except: number[] }|undefined} undefined if it has to go socket by socket
   */
  aim(opts) {
    if (!this._reachesWorkers()) {
      const why = this._engine === undefined ? "nobody was connected" : "somebody listens to what is sent";
      this._counts?.broadcasts.add(why);
      return undefined;
    }
    const targets = [];
    const except = [];
    const isCurrent =
      (opts.rooms.size === 0 ? this._addTarget(EVERYBODY, targets) : this._addTargets(opts.rooms, targets)) &&
      (!opts.except || this._addTargets(opts.except, except));
    if (!isCurrent) {
      // the Maps were changed by hand
      this.clear();
      return this.aim(opts);
    }
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
    this._counts?.broadcasts.add("native");
    if (targets.length !== 0) {
      let bits = flags?.compress === false ? 0 : COMPRESS;
      if (flags?.volatile) bits |= VOLATILE;
      const { commands } = this._engine._bridge;
      if (targets.length === 1 && targets[0] >= TARGET_CONNECTION && except.length === 0) {
        // the other workers need not hear of it
        this._noteDelivery();
        commands.sendPackets(targets[0] - TARGET_CONNECTION, packets, bits);
      } else {
        commands.broadcast(packets, targets, except, bits);
      }
    }
    if (this._apart.size !== 0) this._writeApart(packets, opts);
  }

  /** Forgets all rooms; what is broadcast later begins anew. */
  clear() {
    for (const [name, room] of this._rooms) this._drop(name, room);
    this._members.clear();
  }

  /** Whether all that is written to sockets is written by workers. */
  get isNative() {
    return this._apart.size === 0 && this._reachesWorkers();
  }

  /** False if nobody is here, or somebody has to see every single message. */
  _reachesWorkers() {
    return this._engine !== undefined && !this._engine._isWatched();
  }

  /** Adds what rooms are to the workers. @returns {boolean} false if what they know is no longer true */
  _addTargets(names, targets) {
    for (const name of names) if (!this._addTarget(name, targets)) return false;
    return true;
  }

  /** Adds what a room is to the workers: its number, or its few members. @returns {boolean} as `_addTargets()` */
  _addTarget(name, targets) {
    let room = this._rooms.get(name);
    if (room !== undefined && !room.isCurrent(this._collectionOf(name))) return false;
    if (room === undefined && this._sizeOf(name) > SMALL_ROOM) room = this._mirror(name);
    if (room !== undefined) {
      targets.push(room.number);
      return true;
    }
    for (const id of this._idsIn(name) ?? []) {
      const handle = this._handleOf(id);
      if (handle !== NOBODY) targets.push((handle | TARGET_CONNECTION) >>> 0);
    }
    return true;
  }

  /** The number of a connected socket's connection, if it is to be reached by that. */
  _handleOf(id) {
    const conn = this._nsp.sockets.get(id)?.client.conn;
    if (conn === undefined || conn.readyState === "closed" || conn.server !== this._engine) return NOBODY;
    return this._apart.size !== 0 && this._apart.has(id) ? NOBODY : conn._handle;
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
      const handle = this._count(id);
      if (handle !== NOBODY) handles.push(handle);
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

  /** Notes that an id is in one more of the rooms. @returns {number} of the connection */
  _count(id) {
    let member = this._members.get(id);
    if (member === undefined) this._members.set(id, (member = new Member()));
    if (member.rooms++ === 0) member.handle = this._handleOf(id);
    return member.handle;
  }

  /** An id has come into a room. */
  _enter(room, id) {
    const handle = this._count(id);
    if (handle !== NOBODY) this._engine._bridge.commands.join(room.number, handle);
  }

  /** An id has left a room. */
  _exit(room, id) {
    const member = this._members.get(id);
    // somebody has got it in past the Set's own methods; its size tells
    if (member === undefined) return;
    member.rooms--;
    if (member.handle !== NOBODY) this._engine._bridge.commands.leave(room.number, member.handle);
    else if (member.rooms === 0) this._members.delete(id);
  }

  /** Another connection, or nobody, is behind an id from now on. The number of the one until now may become another's. */
  _move(id, handle) {
    const member = this._members.get(id);
    if (member === undefined) return;
    const { commands } = this._engine._bridge;
    let count = 0;
    for (const room of this._mirroredRoomsOf(id)) {
      if (member.handle !== NOBODY) commands.leave(room.number, member.handle);
      if (handle !== NOBODY) commands.join(room.number, handle);
      count++;
    }
    member.handle = handle;
    if (handle === NOBODY && member.rooms === 0) this._members.delete(id);
    // the list of its rooms was changed by hand: it is in others as well
    if (count !== member.rooms) this.clear();
  }

  /** The mirrored rooms that an id is in, as far as they are listed. */
  _mirroredRoomsOf(id) {
    const found = [];
    const everybody = this._rooms.get(EVERYBODY);
    if (everybody !== undefined && this._index.has(id)) found.push(everybody);
    for (const name of this._index.listRooms(id)) {
      const room = this._rooms.get(name);
      if (room !== undefined && room.collection.has(id)) found.push(room);
    }
    return found;
  }

  /** Whether broadcasts have to be written to a socket that has just connected apart from the others. */
  _isApart(socket) {
    const { client, nsp } = socket;
    const { conn } = client;
    if (conn._handle === undefined) return true;
    if (conn.server !== this._engine) {
      if (this._engine !== undefined && nsp.sockets.size > 1) return true;
      this.clear();
      this._engine = conn.server;
    }
    for (const other of client._listSockets()) if (other !== socket && other.nsp === nsp) return true;
    return false;
  }

  /** Counts a message of a broadcast that is written to one client by itself. */
  _noteDelivery() {
    if (this._counts !== undefined) this._counts.deliveries++;
  }

  _writeApart(packets, { rooms, except, flags }) {
    const index = this._index;
    const opts = { preEncoded: true, volatile: flags?.volatile, compress: flags?.compress };
    for (const id of this._apart) {
      const isMeant = rooms.size === 0 ? index.has(id) : isInAny(index, id, rooms);
      if (isMeant && !(except && isInAny(index, id, except))) {
        this._noteDelivery();
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

  replaced() {
    this.mirror.clear();
  }
}

/** An id that is, or was, in mirrored rooms. */
class Member {
  constructor() {
    /** The number of the connection behind it, or NOBODY; as long as it is in any. */
    this.handle = NOBODY;
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
