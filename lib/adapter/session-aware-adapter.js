"use strict";

const { Adapter } = require("./adapter");

/** The type of EVENT packets. */
const EVENT = 2;

/** Milliseconds between two looks at what has expired. */
const SWEEP_INTERVAL = 60000;

let lastOffset = 0;

/** An offset that no other packet of this process has. */
function nextOffset() {
  lastOffset = Math.max(lastOffset + 1, Date.now() * 1000);
  return lastOffset.toString(36);
}

/**
 * The adapter of a single server with connection state recovery: it remembers sessions that have lost their
 * connection, and what was broadcast meanwhile.
 */
class SessionAwareAdapter extends Adapter {
  /** @param {Namespace} nsp - of a server with the option `connectionStateRecovery` */
  constructor(nsp) {
    super(nsp);
    this.maxDisconnectionDuration = nsp.server.opts.connectionStateRecovery.maxDisconnectionDuration;
    this.sessions = new Map();
    /** What was sent, oldest first: { id, opts, data, emittedAt }. */
    this.packets = [];
    this._sweeper = setInterval(() => this._sweep(), SWEEP_INTERVAL);
    this._sweeper.unref();
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
    const last = this.packets.findIndex((packet) => packet.id === offset);
    if (last === -1) return null;
    const missedPackets = [];
    for (const { opts, data } of this.packets.slice(last + 1)) {
      if (isFor(session.rooms, opts)) missedPackets.push(data);
    }
    return Promise.resolve({ ...session, missedPackets });
  }

  broadcast(packet, opts) {
    // an acknowledgement could not be given after a reconnection, and volatile packets are not worth one
    if (packet.type === EVENT && packet.id === undefined && opts.flags?.volatile === undefined) {
      const id = nextOffset();
      // clients take the last argument for the offset
      packet.data.push(id);
      this.packets.push({ id, opts, data: packet.data, emittedAt: Date.now() });
    }
    super.broadcast(packet, opts);
  }

  _sweep() {
    const threshold = Date.now() - this.maxDisconnectionDuration;
    for (const [pid, session] of this.sessions) {
      if (session.disconnectedAt < threshold) this.sessions.delete(pid);
    }
    const fresh = this.packets.findIndex((packet) => packet.emittedAt >= threshold);
    this.packets.splice(0, fresh === -1 ? this.packets.length : fresh);
  }
}

/** Whether a broadcast was meant for a socket in these rooms. */
function isFor(rooms, { rooms: targets, except }) {
  const included = targets.size === 0 || rooms.some((room) => targets.has(room));
  return included && !rooms.some((room) => except.has(room));
}

module.exports = { SessionAwareAdapter };
