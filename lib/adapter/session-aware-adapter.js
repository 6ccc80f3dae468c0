"use strict";

const { Adapter } = require("./adapter");
const { PacketLog } = require("./packet-log");

/** The type of EVENT packets. */
const EVENT = 2;

/** Milliseconds between two looks at what has expired. */
const SWEEP_INTERVAL = 60000;

/** The numbers that have three digits in base 36. */
const FIRST_NUMBER = 36 ** 2;
const LAST_NUMBER = 36 ** 3 - 1;

let lastTime = 0;
let prefix = "";
let lastNumber = LAST_NUMBER;

/**
 * An offset that no other packet of this process has: the time, and a number among those of that time. They are all of
 * one length, so as texts they are in the order in which they were given out.
 */
function nextOffset() {
  const now = Date.now();
  if (now > lastTime || lastNumber === LAST_NUMBER) {
    lastTime = Math.max(now, lastTime + 1);
    prefix = lastTime.toString(36);
    lastNumber = FIRST_NUMBER - 1;
  }
  return prefix + (++lastNumber).toString(36);
}

/**
 * The adapter of a single server with connection state recovery: it remembers sessions that have lost their
 * connection, and what was broadcast meanwhile.
 */
class SessionAwareAdapter extends Adapter {
  /** @param {Namespace} nsp - of a server with the option `connectionStateRecovery` */
  constructor(nsp) {
    super(nsp);
    const { connectionStateRecovery: options } = nsp.server.opts;
    this.maxDisconnectionDuration = options.maxDisconnectionDuration;
    this.sessions = new Map();
    this._log = new PacketLog(options);
    this._sweeper = setInterval(() => this._sweep(), SWEEP_INTERVAL);
    this._sweeper.unref();
  }

  /** What was sent, oldest first: { id, opts, data, emittedAt }. */
  get packets() {
    return this._log.list();
  }

  set packets(packets) {
    this._log.replace(packets);
  }

  /** How many that are. */
  get packetCount() {
    return this._log.length;
  }

  persistSession(session) {
    session.disconnectedAt = Date.now();
    this.sessions.set(session.pid, session);
  }

  /**
   * @param {string} pid - the private session id that the client was given
   * @param {string} offset - of the last packet that the client has received
   * @returns {Promise<object>|null} the session with its `missedPackets`, or null if it cannot be restored
   */
  restoreSession(pid, offset) {
    const session = this.sessions.get(pid);
    if (session === undefined) return null;
    if (session.disconnectedAt + this.maxDisconnectionDuration < Date.now()) {
      this.sessions.delete(pid);
      return null;
    }
    const packets = this._log.after(offset);
    if (packets === undefined) return null;
    const missed = packets.filter(({ opts }) => isFor(session.rooms, opts));
    return Promise.resolve({ ...session, missedPackets: missed.map(({ data }) => data) });
  }

  broadcast(packet, opts) {
    // an acknowledgement could not be given after a reconnection, and volatile packets are not worth one
    if (packet.type !== EVENT || packet.id !== undefined || opts.flags?.volatile !== undefined) {
      super.broadcast(packet, opts);
      return;
    }
    const id = nextOffset();
    // clients take the last argument for the offset
    packet.data.push(id);
    this._log.push({ id, opts, data: packet.data, emittedAt: Date.now() });
    super.broadcast(packet, opts);
  }

  _sweep() {
    const threshold = Date.now() - this.maxDisconnectionDuration;
    for (const [pid, session] of this.sessions) {
      if (session.disconnectedAt < threshold) this.sessions.delete(pid);
    }
    this._log.forgetBefore(threshold);
  }
}

/** Whether a broadcast was meant for a socket in these rooms. */
function isFor(rooms, { rooms: targets, except }) {
  const included = targets.size === 0 || rooms.some((room) => targets.has(room));
  return included && !rooms.some((room) => except.has(room));
}

module.exports = { SessionAwareAdapter };
