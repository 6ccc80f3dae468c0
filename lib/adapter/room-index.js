"use strict";

const { EventEmitter } = require("events");
const { watch } = require("./watch");

const { emit } = EventEmitter.prototype;

/**
 * Which sockets are in which rooms, as the two Maps that adapters show: `rooms` (room to ids) and `sids` (id to rooms).
 *
 * Every socket is in a room of its own, and many are in no other; two Sets and two entries for each of these would be a
 * large part of what an idle client costs. So a loner is no more than an id in a list, until it joins another room or
 * somebody looks at the Maps themselves: from then on, all of it is in them.
 */
class RoomIndex {
  /** @param {Adapter} adapter - emits `create-room`, `join-room`, `leave-room` and `delete-room` */
  constructor(adapter) {
    this._adapter = adapter;
    this._rooms = new Map();
    this._sids = new Map();
    /** Ids of the sockets that are in no room but their own; undefined once the Maps have been looked at. */
    this._loners = new Set();
    /** Is told which sockets come and go, see `watchIds()`. */
    this._watcher = undefined;
  }

  get rooms() {
    this._materialize();
    return this._rooms;
  }

  set rooms(rooms) {
    this._materialize();
    this._rooms = rooms;
  }

  get sids() {
    this._materialize();
    return this._sids;
  }

  set sids(sids) {
    this._materialize();
    this._sids = sids;
    watch(sids, this);
    this._watcher?.replaced();
  }

  /** The number of sockets. */
  get size() {
    return this._sids.size + (this._loners?.size ?? 0);
  }

  /** Whether a socket is in any room. */
  has(id) {
    return this._isLoner(id) || this._sids.has(id);
  }

  /** Whether a broadcast to a room is for a socket. */
  isMember(id, room) {
    return this._isLoner(id) ? id === room : !!this._rooms.get(room)?.has(id);
  }

  /** What has the size and the identity of the whole. */
  get everybody() {
    return this;
  }

  /** Whether there are sockets of which the Maps do not have anything. */
  get hasLoners() {
    return this._loners !== undefined && this._loners.size !== 0;
  }

  /** Ids of all sockets. @returns {Iterable<string>} */
  ids() {
    return this.hasLoners ? this._inOrder() : this._sids.keys();
  }

  /** Ids of the sockets in a room. @returns {Set<string>|string[]|undefined} */
  members(room) {
    return this._isLoner(room) ? [room] : this._rooms.get(room);
  }

  /** The rooms of a socket, as they are now. @returns {Iterable<string>} */
  listRooms(id) {
    return this._isLoner(id) ? [id] : (this._sids.get(id) ?? []);
  }

  /** The rooms of a socket, as they are and will be. @returns {Set<string>|undefined} */
  roomsOf(id) {
    return this._sids.get(id) ?? (this._isLoner(id) ? this._settle(id) : undefined);
  }

  /**
   * Has somebody told of every socket that comes and goes.
   *
   * @param {{added: (id: string) => void, removed: (id: string) => void, replaced: () => void}} watcher
   * @returns {boolean} that this is possible
   */
  watchIds(watcher) {
    this._watcher = watcher;
    return true;
  }

  unwatchIds() {
    this._watcher = undefined;
  }

  /** A socket has come, also by way of the Map. */
  added(id) {
    this._watcher?.added(id);
  }

  /** A socket has gone, also by way of the Map. */
  removed(id) {
    this._watcher?.removed(id);
  }

  /** Adds a socket to rooms. */
  add(id, rooms) {
    let joined = this._sids.get(id);
    if (joined === undefined) {
      if (rooms.size === 1 && rooms.has(id) && this._staysLoner(id)) return;
      joined = this._enter(id);
    }
    for (const room of rooms) this._addMember(room, id, joined);
  }

  /** Adds a socket to a room. */
  addTo(id, room) {
    let joined = this._sids.get(id);
    if (joined === undefined) {
      if (room === id && this._staysLoner(id)) return;
      joined = this._enter(id);
    }
    this._addMember(room, id, joined);
  }

  /** Removes a socket from a room. */
  remove(id, room) {
    let joined = this._sids.get(id);
    if (joined === undefined && this._isLoner(id)) {
      if (room !== id) return;
      joined = this._settle(id);
    }
    joined?.delete(room);
    this._removeMember(room, id);
  }

  /** Removes a socket from all its rooms. */
  removeAll(id) {
    if (this._isLoner(id)) {
      if (isUnheard(this._adapter)) {
        this._loners.delete(id);
        this.removed(id);
        return;
      }
      this._settle(id);
    }
    const rooms = this._sids.get(id);
    if (rooms === undefined) return;
    for (const room of rooms) this._removeMember(room, id);
    if (this._sids.delete(id) && this._loners !== undefined) this.removed(id);
  }

  _addMember(room, id, joined) {
    joined.add(room);
    let members = this._rooms.get(room);
    if (members === undefined) {
      if (this._isLoner(room)) {
        this._settle(room);
        members = this._rooms.get(room);
      } else {
        this._rooms.set(room, (members = new Set()));
        if (!isUnheard(this._adapter)) this._adapter.emit("create-room", room);
      }
    }
    const { size } = members;
    members.add(id);
    if (members.size !== size && !isUnheard(this._adapter)) this._adapter.emit("join-room", room, id);
  }

  _removeMember(room, id) {
    const members = this._rooms.get(room);
    if (members === undefined) return;
    const isHeard = !isUnheard(this._adapter);
    if (members.delete(id) && isHeard) this._adapter.emit("leave-room", room, id);
    if (members.size === 0 && this._rooms.delete(room) && isHeard) this._adapter.emit("delete-room", room);
  }

  _isLoner(id) {
    return this._loners !== undefined && this._loners.has(id);
  }

  /** Whether an id that is in no Map, and is to be in the room of its own, need not be in one. */
  _staysLoner(id) {
    if (this._loners === undefined) return false;
    if (this._loners.has(id)) return true;
    if (this._rooms.has(id) || !isUnheard(this._adapter)) return false;
    this._loners.add(id);
    this.added(id);
    return true;
  }

  /** Gives an id that has none a Set of its rooms. */
  _enter(id) {
    if (this._isLoner(id)) return this._settle(id);
    const joined = new Set();
    this._sids.set(id, joined);
    // once others have the Map, it tells itself
    if (this._loners !== undefined) this.added(id);
    return joined;
  }

  /** Enters a loner in the Maps. @returns {Set<string>} its rooms */
  _settle(id) {
    const joined = new Set([id]);
    this._loners.delete(id);
    this._sids.set(id, joined);
    this._rooms.set(id, new Set([id]));
    return joined;
  }

  /** Enters all loners in the Maps, in the order in which the sockets have connected. */
  _materialize() {
    if (this._loners === undefined) return;
    const sids = new Map();
    const rooms = new Map();
    for (const id of this._inOrder()) {
      sids.set(id, this._sids.get(id) ?? new Set([id]));
      if (this._isLoner(id)) rooms.set(id, new Set([id]));
      else if (this._rooms.has(id)) rooms.set(id, this._rooms.get(id));
    }
    for (const [room, members] of this._rooms) rooms.set(room, members);
    this._loners = undefined;
    this._sids = sids;
    this._rooms = rooms;
    watch(sids, this);
  }

  /** Ids of all sockets, in the order in which they have connected. */
  _inOrder() {
    const ids = new Set();
    for (const id of this._adapter.nsp.sockets.keys()) if (this.has(id)) ids.add(id);
    for (const id of this._sids.keys()) ids.add(id);
    for (const id of this._loners) ids.add(id);
    return ids;
  }
}

/** Whether nobody listens to what happens to rooms. */
function isUnheard(adapter) {
  return adapter._eventsCount === 0 && adapter.emit === emit;
}

module.exports = { RoomIndex };
