"use strict";

const { Adapter: InMemoryAdapter } = require("socket.io-adapter");
const { RoomMirror, setMirror, mirrorOf } = require("./room-mirror");
const { watch, unwatch } = require("./watch");

/**
 * Adapters of other packages (Redis, Postgres, cluster) extend the class of socket.io-adapter, of which there may be
 * several copies in an application. All of them end a broadcast in `apply(opts, callback)`, to be called back with every
 * recipient, as do all the other methods that concern many sockets. A function whose text is one of these two, and which
 * is given what it refers to by the other, can only do the same as the one that is known here.
 */
const APPLY = String(InMemoryAdapter.prototype.apply);
const CALLBACK = String(callbackOfBroadcast());

/**
 * Keeps the workers' mirror of rooms that somebody else's adapter keeps, and delivers its broadcasts to the sockets of this
 * server natively. The adapter's class is left alone.
 */
class AdapterFollower extends RoomMirror {
  /**
   * @param {import("../api/namespace").Namespace} nsp
   * @param {object} adapter - one that passes `isFamiliar()`
   */
  constructor(nsp, adapter) {
    super(nsp, new RoomMaps(adapter));
    this._adapter = adapter;
    this._apply = adapter.apply;
    setMirror(adapter, this);
    Object.defineProperty(adapter, "apply", {
      value: (opts, callback) => this._onApply(opts, callback),
      configurable: true,
      writable: true,
    });
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
    this.broadcast(packets, aim, { rooms: opts.rooms, except: opts.except, flags });
  }
}

/** The Maps of an adapter, to be read like a `RoomIndex`. */
class RoomMaps {
  constructor(adapter) {
    this._adapter = adapter;
  }

  get everybody() {
    return this._adapter.sids;
  }

  has(id) {
    return this._adapter.sids.has(id);
  }

  isMember(id, room) {
    return !!this._adapter.rooms.get(room)?.has(id);
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

  watchIds(watcher) {
    return watch(this._adapter.sids, watcher);
  }

  unwatchIds({ collection }) {
    unwatch(collection);
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

module.exports = { follow };

/** Whether what an adapter does with rooms is what socket.io-adapter does with them. */
function isFamiliar(adapter) {
  return (
    // our own has a mirror by now: looking at its Maps would fill them
    mirrorOf(adapter) === undefined &&
    typeof adapter.apply === "function" &&
    String(adapter.apply) === APPLY &&
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
