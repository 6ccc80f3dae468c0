"use strict";

const cluster = require("node:cluster");
const os = require("node:os");

/** What a server tells admins of itself, again and again: how things are, and what has happened since it told last. */
class Statistics {
  /**
   * @param {import("../../api/server").Server} io
   * @param {string} [serverId] - by default the name of the machine, in a process of a cluster with the number of the process
   */
  constructor(io, serverId) {
    const hostname = os.hostname();
    this._io = io;
    this._server = {
      serverId: serverId || (cluster.isWorker ? `${hostname}#${process.pid}` : hostname),
      hostname,
      pid: process.pid,
    };
    /** What was counted when it was told last, by what it is. */
    this._told = new Map();
  }

  /** Nothing that has happened until now is told. */
  begin() {
    this._told = countsOf(this._io.metrics?.());
  }

  /** How things are. */
  present() {
    return this._with(this._io.metrics?.(), []);
  }

  /** How things are, and what has happened. */
  next() {
    const metrics = this._io.metrics?.();
    const counts = countsOf(metrics);
    const events = [];
    const timestamp = Math.floor(Date.now() / 1000) * 1000;
    for (const [key, { type, subType, count }] of counts) {
      const before = this._told.get(key)?.count ?? 0;
      // another engine begins anew
      const more = count < before ? count : count - before;
      if (more > 0) events.push({ timestamp, type, subType, count: more });
    }
    this._told = counts;
    return this._with(metrics, events);
  }

  _with(metrics, aggregatedEvents) {
    const { engine, _nsps: namespaces } = this._io;
    return {
      ...this._server,
      uptime: process.uptime(),
      clientsCount: engine?.clientsCount,
      pollingClientsCount: metrics?.engine?.sessions.open.polling ?? 0,
      aggregatedEvents,
      namespaces: Array.from(namespaces.values(), ({ name, sockets }) => ({
        name,
        socketsCount: sockets.size,
      })),
    };
  }
}

/** What the user interface draws, out of what a server counts. There is nothing to draw of engines that do not count. */
function countsOf(metrics) {
  const counts = new Map();
  const engine = metrics?.engine;
  if (engine === undefined) return counts;
  const count = (type, number, subType) => counts.set(`${type} ${subType}`, { type, subType, count: number });
  const { sessions, packets, bytes, heartbeats } = engine;
  count("rawConnection", sum(Object.values(sessions.connects)));
  for (const [reason, number] of Object.entries(sessions.disconnects))
    count("rawDisconnection", number, reason);
  // those that say nothing are not shown
  count("packetsIn", packets.received - sum(heartbeats.roundTrips.counts));
  count("packetsOut", packets.sent - heartbeats.pings);
  count("bytesIn", bytes.received);
  count("bytesOut", bytes.sent);
  return counts;
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}

module.exports = { Statistics };
