"use strict";

const { Adapter: InMemoryAdapter } = require("socket.io-adapter");
const { RoomMirror, EVERYBODY } = require("./room-mirror");

/** Where an adapter has its follower. */
const kFollower = Symbol("follower");

/**
 * Adapters of other packages (Redis, Postgres, cluster) extend the class of socket.io-adapter, of which there may be
 * several copies in an application. All of them end a broadcast in `apply(opts, callback)`, to be called back with every
 * recipient, as do all the other methods that concern many sockets. A function whose text is one of these two, and which
 * is given what it refers to by the other, can only do the same as the one that is known here.
 */
const APPLY = String(InMemoryAdapter.prototype.apply);
const CALLBACK = String(callbackOfBroadcast());

/**
 * Keeps the workers' mirror of rooms that somebody else's adapter keeps, by the events that it emits and by what the
 * namespace tells, and delivers its broadcasts to the sockets of this server natively. The adapter's class is left alone.
 */
class AdapterFollower extends RoomMirror {
  /**
   * @param nsp {Namespace}
   * @param adapter {object} one that passes `isFamiliar()`
   */
  constructor(nsp, adapter) {
    super(nsp, new RoomMaps(adapter));
    this._adapter = adapter;
    this._apply = adapter.apply;
    this._delAll = adapter.delAll;
    /** How many are in each mirrored room. Whoever changes the Maps without an event is found out by it. */
    this._sizes = new Map();
    define(adapter, kFollower, this);
    define(adapter, "apply", (opts, callback) => this._onApply(opts, callback));
    define(adapter, "delAll", (id) => this._onDelAll(id));
    adapter.on("join-room", (room, id) => this._onJoin(room, id));
    adapter.on("leave-room", (room, id) => this._onLeave(room, id));
    adapter.on("delete-room", (room) => this.forgetIfEmpty(room));
  }

  /** A socket is now one that broadcasts reach. */
  onConnect(id) {
    // usually, it has just joined the room of its own, see _onJoin()
    if (!this.isEmpty && !this._mirrored.has(id) && this._index.has(id)) this.joined(id, []);
  }

  /** A socket is about to be no longer one that broadcasts reach. */
  onRemove(id) {
    if (this.isEmpty) return;
    this.gone(id, this._index.listRooms(id));
    if (this._index.size === 0) this.clear();
  }

  /** @override */
  clear() {
    this._sizes.clear();
    super.clear();
  }

  _onApply(opts, callback) {
    const aim = String(callback) === CALLBACK ? this.aim(opts) : undefined;
    if (aim === undefined) {
      this._apply.call(this._adapter, opts, callback);
      return;
    }
    const { packet, packets, flags } = readBroadcast(callback);
    if (this._nsp._hasOutgoingListeners) {
      this._apply.call(this._adapter, opts, (socket) => socket.notifyOutgoingListeners(packet));
    }
    this.broadcast(packets, aim, flags);
  }

  _onDelAll(id) {
    const result = this._delAll.call(this._adapter, id);
    // who is in no room leaves without an event
    if (!this.isEmpty && !this._index.has(id)) this.gone(id, []);
    return result;
  }

  _onJoin(room, id) {
    if (this.isEmpty) return;
    this._count(room, 1);
    this.joined(id, [room]);
  }

  _onLeave(room, id) {
    if (this.isEmpty) return;
    this._count(room, -1);
    this.left(id, room);
  }

  _count(room, difference) {
    const size = this._sizes.get(room);
    if (size !== undefined) this._sizes.set(room, size + difference);
  }

  /** @override */
  _addTargets(room, targets) {
    const number = this._numbers.get(room);
    if (number !== undefined && room !== EVERYBODY && this._sizes.get(room) !== this._sizeOf(room)) {
      this._drop(room, number);
    }
    super._addTargets(room, targets);
  }

  /** @override */
  _mirror(room) {
    this._sizes.set(room, this._sizeOf(room));
    return super._mirror(room);
  }

  /** @override */
  _drop(room, number) {
    this._sizes.delete(room);
    super._drop(room, number);
  }
}

/** The Maps of an adapter, to be read like a `RoomIndex`. */
class RoomMaps {
  constructor(adapter) {
    this._adapter = adapter;
  }

  get size() {
    return this._adapter.sids.size;
  }

  has(id) {
    return this._adapter.sids.has(id);
  }

  hasRoom(room) {
    return this._adapter.rooms.has(room);
  }

  ids() {
    return this._adapter.sids.keys();
  }

  members(room) {
    return this._adapter.rooms.get(room);
  }

  listRooms(id) {
    return this._adapter.sids.get(id) ?? [];
  }
}

/**
 * Makes broadcasts of an adapter native, if it is of a kind that is known. Any other works as it does, socket by socket.
 *
 * @param {import("../api/namespace").Namespace} nsp
 * @param {object} adapter
 */
function follow(nsp, adapter) {
  if (isFamiliar(adapter)) new AdapterFollower(nsp, adapter);
}

/** @returns {AdapterFollower|undefined} */
function followerOf(adapter) {
  return adapter[kFollower];
}

module.exports = { follow, followerOf };

/** Whether what an adapter does with rooms is what socket.io-adapter does with them. */
function isFamiliar(adapter) {
  return (
    adapter[kFollower] === undefined &&
    typeof adapter.on === "function" &&
    typeof adapter.apply === "function" &&
    String(adapter.apply) === APPLY &&
    // our own has been recognised by now: looking at its Maps would fill them
    adapter.rooms instanceof Map &&
    adapter.sids instanceof Map
  );
}

/** What `broadcast()` of socket.io-adapter hands to `apply()`. */
function callbackOfBroadcast() {
  let callback;
  const adapter = {
    nsp: {},
    _encode: () => [],
    apply: (opts, given) => (callback = given),
  };
  InMemoryAdapter.prototype.broadcast.call(adapter, {}, {});
  return callback;
}

/**
 * What is being broadcast: a socket that is none finds out.
 *
 * @param {Function} callback of `broadcast()`
 * @returns {{ packet: object, packets: Array, flags: { volatile?: boolean, compress?: boolean } }}
 */
function readBroadcast(callback) {
  const broadcast = {};
  callback({
    notifyOutgoingListeners(packet) {
      broadcast.packet = packet;
    },
    client: {
      writeToEngine(packets, flags) {
        broadcast.packets = packets;
        broadcast.flags = flags;
      },
    },
  });
  return broadcast;
}

function define(adapter, name, value) {
  Object.defineProperty(adapter, name, { value, configurable: true, writable: true });
}
