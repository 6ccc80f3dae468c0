"use strict";

const { readBroadcast, textOfBroadcasts } = require("./familiar");
const { RoomMirror, setMirror, mirrorOf } = require("./room-mirror");
const { watch, unwatch } = require("./watch");

/**
 * Keeps the workers' mirror of rooms that somebody else's adapter keeps, and delivers its broadcasts to the sockets of this
 * server natively. The adapter's class is left alone.
 *
 * Adapters of other packages (Redis, Postgres, cluster) extend the class of socket.io-adapter. All of them end a broadcast
 * in `apply(opts, callback)`, to be called back with every recipient, as do all the other methods that concern many
 * sockets.
 */
class AdapterFollower extends RoomMirror {
  /**
   * @param {import("../api/namespace").Namespace} nsp
   * @param {object} adapter
   * @param {string} text - of the callback that is a broadcast's
   */
  constructor(nsp, adapter, text) {
    super(nsp, new RoomMaps(adapter));
    this._adapter = adapter;
    this._text = text;
    this._apply = adapter.apply;
    setMirror(adapter, this);
    Object.defineProperty(adapter, "apply", {
      value: (opts, callback) => this._onApply(opts, callback),
      configurable: true,
      writable: true,
    });
  }

  _onApply(opts, callback) {
    const aim = String(callback) === this._text ? this.aim(opts) : undefined;
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
  // our own has a mirror by now: looking at its Maps would fill them
  if (mirrorOf(adapter) !== undefined) return;
  const text = textOfBroadcasts(adapter);
  if (text !== undefined) new AdapterFollower(nsp, adapter, text);
}

module.exports = { follow };
