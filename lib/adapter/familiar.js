"use strict";

/**
 * Recognises the class of socket.io-adapter that the adapters of other packages extend, of which there may be several
 * copies in an application: of other versions, bundled, minified, instrumented. It is recognised by what it does.
 */

const { EventEmitter } = require("events");
const { debug } = require("../node/internals");

/** By these the class is told from others that extend an emitter. */
const METHODS = ["addAll", "del", "delAll", "broadcast", "broadcastWithAck", "apply", "computeExceptSids"];

/** What is known of the classes that were met: the text of the callback of `broadcast()`, or why there is none. */
const known = new WeakMap();

/**
 * The text of the function that an adapter's `broadcast()` ends up handing to `apply()`: whoever hands over that function
 * broadcasts, since nobody else has it.
 * @param {object} adapter
 * @returns {string|undefined} undefined if the adapter is of another kind: it is left alone
 */
function textOfBroadcasts(adapter) {
  const { text, why } = examine(adapter);
  if (text === undefined) debug("broadcasts of %s go socket by socket: %s", nameOf(adapter), why);
  return text;
}

/**
 * Why broadcasts of an adapter go socket by socket.
 * @param {object} adapter - one that is not followed
 * @returns {string|undefined}
 */
function whyUnfamiliar(adapter) {
  return examine(adapter).why;
}

function nameOf(adapter) {
  return adapter?.constructor?.name || "an adapter without a name";
}

function examine(adapter) {
  const base = baseOf(adapter);
  if (base === undefined) return { why: "it does not extend the class of socket.io-adapter" };
  if (adapter.apply !== base.apply) return { why: "it has an apply() of its own" };
  if (!(adapter.rooms instanceof Map && adapter.sids instanceof Map)) return { why: "its rooms are no Maps" };
  if (!known.has(base)) known.set(base, tryOut(base));
  return known.get(base);
}

/** The prototype in an adapter's chain that extends an emitter, if it is of an adapter. */
function baseOf(adapter) {
  for (let at = Object.getPrototypeOf(adapter); at !== null; at = Object.getPrototypeOf(at)) {
    if (Object.getPrototypeOf(at) === EventEmitter.prototype) {
      return METHODS.every((name) => Object.hasOwn(at, name)) ? at : undefined;
    }
  }
  return undefined;
}

/** Finds out what the methods of a class do, without anybody seeing it. */
function tryOut(base) {
  try {
    if (!reachesTheRight(base)) return { why: "its apply() does something else" };
    const callback = callbackOf(base, "broadcast");
    if (!handsOver(callback)) return { why: "its broadcast() does something else" };
    const text = String(callback);
    // of what was compiled before, there may be no text
    if (text === String(callbackOf(base, "broadcastWithAck"))) return { why: "its functions have no text" };
    return { text };
  } catch (error) {
    return { why: `it is of an unknown version (${error.message})` };
  }
}

/** Whether `apply()` calls back with those in the rooms, or all, but for the excepted. */
function reachesTheRight(base) {
  const socket = (id) => ({ id });
  const adapter = Object.assign(Object.create(base), {
    rooms: new Map([
      ["a", new Set([1, 2])],
      ["b", new Set([2, 3, 5])],
      ["c", new Set([3])],
    ]),
    sids: new Map([1, 2, 3, 4, 5].map((id) => [id, new Set()])),
    // the last is in a room, but not in the namespace yet
    nsp: { sockets: new Map([1, 2, 3, 4].map((id) => [id, socket(id)])) },
  });
  const reached = (rooms, except) => {
    const ids = [];
    adapter.apply({ rooms: new Set(rooms), except: except && new Set(except) }, ({ id }) => ids.push(id));
    return ids.join();
  };
  return (
    reached(["a", "b", "none"], []) === "1,2,3" &&
    reached(["a", "b"], ["c"]) === "1,2" &&
    reached([], ["a", "none"]) === "3,4" &&
    reached([], undefined) === "1,2,3,4"
  );
}

const PACKETS = ["2[]"];

/** What a method hands to `apply()`. */
function callbackOf(base, method) {
  let callback;
  const adapter = Object.assign(Object.create(base), {
    nsp: { name: "/", _ids: 0 },
    encoder: { encode: () => PACKETS },
    _encode: () => PACKETS,
    apply: (opts, given) => (callback = given),
  });
  const opts = { rooms: new Set(), except: new Set(), flags: { volatile: true, compress: false } };
  adapter[method]({ type: 2, data: [] }, opts, ignore, ignore);
  return callback;
}

/** Whether a callback does no more than hand the packets to the socket. */
function handsOver(callback) {
  const { packet, packets, flags } = readBroadcast(callback);
  return (
    packet?.nsp === "/" && packets?.[0] === PACKETS[0] && flags.volatile === true && flags.compress === false
  );
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

function ignore() {}

module.exports = { readBroadcast, textOfBroadcasts, whyUnfamiliar };
