"use strict";

const debug = require("debug")("socket.io:broadcast-operator");
const { Adapter } = require("../adapter/adapter");
const { SessionAwareAdapter } = require("../adapter/session-aware-adapter");
const { PacketType, RESERVED_EVENTS } = require("./packet");

/**
 * Most broadcasts name no room to leave out, and many no room at all: they share this Set. Adding to it would redirect
 * every one of them, hence the lock. Whoever may want to add is given another one, see `openTo()`.
 */
const NO_ROOMS = new Set();
NO_ROOMS.add = function refuseToAdd() {
  throw new Error("the rooms of a broadcast cannot be changed, copy the Set first");
};

/** The methods that are known not to add to the rooms that they are given. */
const { broadcast } = Adapter.prototype;
const { broadcast: broadcastAndRemember } = SessionAwareAdapter.prototype;

/**
 * Says to whom, and how, something is to be sent. Operators are immutable: every modifier returns a new one, so that any
 * of them can be kept and used again.
 *
 * @public
 */
class BroadcastOperator {
  /**
   * @private
   * @param {import("../adapter/adapter").Adapter} adapter
   * @param {Set<string>} [rooms] - none means everybody
   * @param {Set<string>} [exceptRooms]
   * @param {object} [flags]
   */
  constructor(adapter, rooms = NO_ROOMS, exceptRooms = NO_ROOMS, flags = {}) {
    this.adapter = adapter;
    this.rooms = rooms;
    this.exceptRooms = exceptRooms;
    this.flags = flags;
  }

  /**
   * Adds rooms to send to. A socket that is in several of them gets the packet once.
   *
   * @example
   * io.to("news").to(["sports", "weather"]).emit("headline", "...");
   *
   * @public
   * @param {string|string[]} room
   * @returns {BroadcastOperator}
   */
  to(room) {
    return new BroadcastOperator(this.adapter, union(this.rooms, room), this.exceptRooms, this.flags);
  }

  /**
   * The same as `to()`; reads better in front of `disconnectSockets()` and the like.
   *
   * @public
   * @param {string|string[]} room
   * @returns {BroadcastOperator}
   */
  in(room) {
    return this.to(room);
  }

  /**
   * Adds rooms whose members are left out.
   *
   * @public
   * @param {string|string[]} room
   * @returns {BroadcastOperator}
   */
  except(room) {
    return new BroadcastOperator(this.adapter, this.rooms, union(this.exceptRooms, room), this.flags);
  }

  /**
   * Says whether the packet may be compressed, where the connection has compression at all.
   *
   * @public
   * @param {boolean} compress
   * @returns {BroadcastOperator}
   */
  compress(compress) {
    return withFlag(this, { compress });
  }

  /**
   * The packet may be dropped for clients that cannot take it at once.
   *
   * @public
   * @type {BroadcastOperator}
   */
  get volatile() {
    return withFlag(this, { volatile: true });
  }

  /**
   * The packet stays on this server, and is not passed on to others of the cluster.
   *
   * @public
   * @type {BroadcastOperator}
   */
  get local() {
    return withFlag(this, { local: true });
  }

  /**
   * Sets how long to wait for acknowledgements.
   *
   * @example
   * io.timeout(1000).emit("ready?", (err, answers) => {
   *   // err if some client did not answer in time; answers of those that did
   * });
   *
   * @public
   * @param {number} timeout - milliseconds
   * @returns {BroadcastOperator}
   */
  timeout(timeout) {
    return withFlag(this, { timeout });
  }

  /**
   * Emits to all the clients meant.
   *
   * @public
   * @param {string} ev
   * @param {...any} args - anything that can be encoded; a function at the end receives the acknowledgements
   * @returns {true}
   * @throws {Error} if the name of the event is reserved
   */
  emit(ev, ...args) {
    if (RESERVED_EVENTS.has(ev)) {
      throw new Error(`"${String(ev)}" is a reserved event name`);
    }
    const data = [ev, ...args];
    const packet = { type: PacketType.EVENT, data };
    if (typeof data[data.length - 1] === "function") {
      broadcastWithAck(this, packet, data.pop());
    } else {
      sendTo(this.adapter, packet, this.rooms, this.exceptRooms, this.flags);
    }
    return true;
  }

  /**
   * Emits to all the clients meant, and waits for their acknowledgements.
   *
   * @public
   * @param {string} ev
   * @param {...any} args
   * @returns {Promise<any[]>} rejected if some did not come in time; the error's `responses` has the others
   */
  emitWithAck(ev, ...args) {
    return new Promise((resolve, reject) => {
      args.push(settleWithResponses(resolve, reject));
      this.emit(ev, ...args);
    });
  }

  /**
   * The ids of the sockets meant.
   *
   * @public
   * @deprecated `fetchSockets()` does more, `serverSideEmit()` does it cheaper
   * @returns {Promise<Set<string>>}
   * @throws {Error} on a namespace without adapter
   */
  allSockets() {
    if (!this.adapter) {
      throw new Error(
        "No adapter for this namespace, are you trying to get the list of clients of a dynamic namespace?",
      );
    }
    return this.adapter.sockets(openTo(this.rooms));
  }

  /**
   * The sockets meant: those of this server, and stand-ins for those of other servers of the cluster.
   *
   * @public
   * @returns {Promise<Array<import("./socket").Socket|RemoteSocket>>}
   */
  fetchSockets() {
    return this.adapter.fetchSockets(targets(this)).then((sockets) =>
      // only a socket of this very process has a server
      sockets.map((socket) => (socket.server ? socket : new RemoteSocket(this.adapter, socket))),
    );
  }

  /**
   * Makes the sockets meant join rooms.
   *
   * @public
   * @param {string|string[]} room
   */
  socketsJoin(room) {
    this.adapter.addSockets(targets(this), Array.isArray(room) ? room : [room]);
  }

  /**
   * Makes the sockets meant leave rooms.
   *
   * @public
   * @param {string|string[]} room
   */
  socketsLeave(room) {
    this.adapter.delSockets(targets(this), Array.isArray(room) ? room : [room]);
  }

  /**
   * Disconnects the sockets meant.
   *
   * @public
   * @param {boolean} [close] - also close the connection, which the client may be using for other namespaces
   */
  disconnectSockets(close = false) {
    this.adapter.disconnectSockets(targets(this), close);
  }
}

/**
 * Stands for a socket that may be on another server of the cluster. Has what can be had from afar.
 *
 * @public
 */
class RemoteSocket {
  /**
   * @private
   * @param {import("../adapter/adapter").Adapter} adapter
   * @param {{id: string, handshake: object, rooms: Iterable<string>, data: any}} details
   */
  constructor(adapter, details) {
    this.id = details.id;
    this.handshake = details.handshake;
    this.rooms = new Set(details.rooms);
    this.data = details.data;
    // one recipient: its acknowledgement is handed over as it is, not in a list
    this.operator = new BroadcastOperator(adapter, new Set([this.id]), NO_ROOMS, {
      expectSingleResponse: true,
    });
  }

  /**
   * Sets how long to wait for an acknowledgement.
   *
   * @public
   * @param {number} timeout - milliseconds
   * @returns {BroadcastOperator}
   */
  timeout(timeout) {
    return this.operator.timeout(timeout);
  }

  /**
   * Emits to the client.
   *
   * @public
   * @param {string} ev
   * @param {...any} args
   * @returns {true}
   * @throws {Error} if the name of the event is reserved
   */
  emit(ev, ...args) {
    return this.operator.emit(ev, ...args);
  }

  /**
   * Makes the socket join rooms.
   *
   * @public
   * @param {string|string[]} room
   */
  join(room) {
    return this.operator.socketsJoin(room);
  }

  /**
   * Makes the socket leave rooms.
   *
   * @public
   * @param {string|string[]} room
   */
  leave(room) {
    return this.operator.socketsLeave(room);
  }

  /**
   * Disconnects the socket.
   *
   * @public
   * @param {boolean} [close] - also close the connection
   * @returns {this}
   */
  disconnect(close = false) {
    this.operator.disconnectSockets(close);
    return this;
  }
}

/**
 * Has an adapter broadcast a packet.
 *
 * @param {import("../adapter/adapter").Adapter} adapter
 * @param {object} packet
 * @param {Set<string>} rooms
 * @param {Set<string>} except
 * @param {object} flags
 */
function sendTo(adapter, packet, rooms, except, flags) {
  if (mayAddRooms(adapter)) {
    rooms = openTo(rooms);
    except = openTo(except);
  }
  adapter.broadcast(packet, { rooms, except, flags });
}

/**
 * Whether an adapter may add to the rooms of what it broadcasts.
 *
 * @param {import("../adapter/adapter").Adapter} adapter
 * @returns {boolean}
 */
function mayAddRooms(adapter) {
  return adapter.broadcast !== broadcast && adapter.broadcast !== broadcastAndRemember;
}

/**
 * An acknowledgement callback that settles a promise, and gives the error the answers that did come.
 *
 * @param {Function} resolve
 * @param {Function} reject
 * @returns {(err: Error|null, responses: any) => void}
 */
function settleWithResponses(resolve, reject) {
  return (err, responses) => {
    if (err) {
      err.responses = responses;
      reject(err);
    } else {
      resolve(responses);
    }
  };
}

module.exports = { BroadcastOperator, RemoteSocket, NO_ROOMS, mayAddRooms, sendTo, settleWithResponses };

/** What an adapter's methods take as options. */
function targets(operator) {
  return { rooms: openTo(operator.rooms), except: openTo(operator.exceptRooms), flags: operator.flags };
}

/** The same rooms, as a Set that an adapter may add to. */
function openTo(rooms) {
  return rooms === NO_ROOMS ? new Set() : rooms;
}

function union(rooms, added) {
  const all = rooms.size === 0 ? new Set() : new Set(rooms);
  if (Array.isArray(added)) {
    for (const room of added) {
      all.add(room);
    }
  } else {
    all.add(added);
  }
  return all;
}

function withFlag({ adapter, rooms, exceptRooms, flags }, flag) {
  return new BroadcastOperator(adapter, rooms, exceptRooms, { ...flags, ...flag });
}

/**
 * Sends a packet and calls `ack` once: when every server of the cluster has said how many clients it has asked and so
 * many have answered, or when time is up.
 */
function broadcastWithAck(operator, packet, ack) {
  const { adapter, flags } = operator;
  const responses = [];
  let isTimedOut = false;
  let serversExpected = -1; // not known yet
  let serversHeard = 0;
  let clientsExpected = 0;

  const timer = setTimeout(() => {
    isTimedOut = true;
    debug("not all acknowledgements have arrived in time");
    if (packet.id !== undefined) {
      for (const socket of adapter.nsp.sockets.values()) {
        socket._forgetAck(packet.id);
      }
    }
    ack.call(operator, new Error("operation has timed out"), flags.expectSingleResponse ? null : responses);
  }, flags.timeout);

  function settleIfComplete() {
    if (debug.enabled) {
      debug(
        "acknowledged by %d of %d clients, on %d of %d servers",
        responses.length,
        clientsExpected,
        serversHeard,
        serversExpected,
      );
    }
    if (!isTimedOut && serversHeard === serversExpected && responses.length === clientsExpected) {
      clearTimeout(timer);
      ack.call(operator, null, flags.expectSingleResponse ? responses[0] : responses);
    }
  }

  function onServer(clientCount) {
    clientsExpected += clientCount;
    serversHeard++;
    settleIfComplete();
  }

  function onResponse(response) {
    // the application has the list by then
    if (isTimedOut) {
      return;
    }
    responses.push(response);
    settleIfComplete();
  }

  adapter.broadcastWithAck(packet, targets(operator), onServer, onResponse);
  adapter.serverCount().then((count) => {
    serversExpected = count;
    settleIfComplete();
  });
}
