"use strict";

const { COMPRESS, VOLATILE, TARGET_CONNECTION } = require("../native/commands");

/** Rooms of up to this many members are named member by member; larger ones are mirrored to the workers. */
const SMALL_ROOM = 8;

/** Stands for all sockets of the namespace among the mirrored rooms. A symbol, as any string may be a room's name. */
const EVERYBODY = Symbol("everybody");

/** Numbers of rooms are unique within an engine, whichever namespace the room is in. */
const kLastRoom = Symbol("lastRoom");

/**
 * What the native workers know of an adapter's rooms. A room that has been broadcast to is mirrored to them, so that the
 * next broadcast is one command, whatever the room's size. Whoever owns the rooms tells of every change.
 */
class RoomMirror {
  /**
   * @param nsp {Namespace}
   * @param index {RoomIndex} the truth about rooms, or anything with the same ways to read it
   */
  constructor(nsp, index) {
    this._nsp = nsp;
    this._index = index;
    /** The engine that the sockets of this namespace are on. */
    this._engine = undefined;
    /** Whether all sockets are on that engine. Once they are not, broadcasts go socket by socket. */
    this._isNative = true;
    /** Numbers of the mirrored rooms. */
    this._numbers = new Map();
    /** Ids of the sockets that are in the mirrors of their rooms: those that are connected. */
    this._mirrored = new Set();
  }

  /** Whether there is nothing to keep up to date. */
  get isEmpty() {
    return this._numbers.size === 0;
  }

  /** A socket has been added to these rooms, and was in none of them before. */
  joined(id, rooms) {
    const handle = this._handleOf(id);
    // a socket that its middleware still holds back is not reached by broadcasts
    if (handle === -1) return;
    if (!this._mirrored.has(id)) {
      this._mirrored.add(id);
      this._join(handle, EVERYBODY);
      rooms = this._index.listRooms(id);
    }
    for (const room of rooms) this._join(handle, room);
  }

  /** A socket is about to be removed from a room, or just was. */
  left(id, room) {
    if (this._mirrored.has(id)) this._leave(this._numberOf(id), room);
  }

  /** A socket is about to be removed from all the rooms that it is in, these. */
  gone(id, rooms) {
    if (!this._mirrored.delete(id)) return;
    const handle = this._numberOf(id);
    this._leave(handle, EVERYBODY);
    for (const room of rooms) this._leave(handle, room);
  }

  /** Forgets a room that is no more. */
  forgetIfEmpty(room) {
    const number = this._numbers.get(room);
    if (number !== undefined && !this._index.hasRoom(room)) this._drop(room, number);
  }

  /**
   * What a broadcast is for, as the workers name it.
   *
   * @param opts {object} of the adapter's method
   * @returns {{ targets: number[], except: number[] }|undefined} undefined if it has to go socket by socket
   */
  aim(opts) {
    if (!this._canBroadcast()) return undefined;
    const targets = [];
    if (opts.rooms.size === 0) {
      this._addTargets(EVERYBODY, targets);
    } else {
      for (const room of opts.rooms) this._addTargets(room, targets);
    }
    const except = [];
    if (opts.except) for (const room of opts.except) this._addTargets(room, except);
    return this._isNative ? { targets, except } : undefined;
  }

  /**
   * Sends what a parser has made of a packet to whom `aim()` has found.
   *
   * @param packets {Array}
   * @param aim {{ targets: number[], except: number[] }}
   * @param flags {object} of the broadcast
   */
  broadcast(packets, { targets, except }, flags) {
    if (targets.length === 0) return;
    let bits = flags?.compress === false ? 0 : COMPRESS;
    if (flags?.volatile) bits |= VOLATILE;
    this._engine._bridge.commands.broadcast(packets, targets, except, bits);
  }

  /** Forgets everything; what is broadcast later begins anew. */
  clear() {
    for (const number of this._numbers.values()) this._engine._bridge.commands.dropRoom(number);
    this._numbers.clear();
    this._mirrored.clear();
  }

  /** Whether all are on one engine of ours, and nobody has to see every single message. */
  _canBroadcast() {
    if (this._engine === undefined) {
      for (const id of this._index.ids()) if (this._handleOf(id) !== -1) break;
    }
    return this._isNative && this._engine !== undefined && !this._engine._isWatched();
  }

  /** The number of a connected socket's connection, or -1. */
  _handleOf(id) {
    const conn = this._nsp.sockets.get(id)?.client.conn;
    if (conn === undefined || conn.readyState === "closed") return -1;
    const handle = conn._handle;
    if (handle === undefined || (this._engine !== undefined && conn.server !== this._engine)) {
      this._isNative = false;
      return -1;
    }
    this._engine ??= conn.server;
    return handle;
  }

  /** The number of a socket's connection, which may be closed already, or -1. */
  _numberOf(id) {
    return this._nsp.sockets.get(id)?.client.conn._handle ?? -1;
  }

  /** Adds what a room is to the workers: its number, or its few members. */
  _addTargets(room, targets) {
    let number = this._numbers.get(room);
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

  _sizeOf(room) {
    if (room === EVERYBODY) return this._index.size;
    const members = this._index.members(room);
    return members?.size ?? members?.length ?? 0;
  }

  _membersOf(room) {
    return room === EVERYBODY ? this._index.ids() : this._index.members(room);
  }

  /** Mirrors a room. The first one makes known which sockets are connected. */
  _mirror(room) {
    const engine = this._engine;
    if (this._numbers.size === 0) {
      this._mirrored.clear();
      for (const id of this._index.ids()) if (this._handleOf(id) !== -1) this._mirrored.add(id);
    }
    const number = (engine[kLastRoom] = (engine[kLastRoom] ?? 0) + 1);
    this._numbers.set(room, number);
    const handles = [];
    for (const id of this._membersOf(room)) {
      const handle = this._mirrored.has(id) ? this._handleOf(id) : -1;
      if (handle !== -1) handles.push(handle);
    }
    engine._bridge.commands.room(number, handles);
    return number;
  }

  _drop(room, number) {
    this._numbers.delete(room);
    this._engine._bridge.commands.dropRoom(number);
  }

  _join(handle, room) {
    const number = this._numbers.get(room);
    if (number !== undefined) this._engine._bridge.commands.join(number, handle);
  }

  _leave(handle, room) {
    const number = this._numbers.get(room);
    if (number !== undefined && handle !== -1) this._engine._bridge.commands.leave(number, handle);
  }
}

module.exports = { RoomMirror, EVERYBODY };
