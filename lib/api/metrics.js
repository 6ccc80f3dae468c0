"use strict";

const { SessionAwareAdapter } = require("../adapter/session-aware-adapter");
const { Tally } = require("../engine/tally");

/** What a server counts of Socket.IO; its engine counts what is below. */
class SocketCounts {
  constructor() {
    /** Sockets that have joined a namespace. */
    this.connects = 0;
    /** Sockets that have left one, by reason. */
    this.disconnects = new Tally();
    /** Clients that came back and named a session: those that have got it back, and others. */
    this.recoveries = new Tally();
    /** Broadcasts, by how they went. */
    this.broadcasts = new Tally();
    /** Messages of broadcasts, by client that they were for, that workers were given as messages for one. */
    this.deliveries = 0;
  }
}

/**
 * What a server has counted since it was made, and how things are now.
 *
 * @param {import("./server").Server} server
 * @returns {object} see `Metrics` in types/metrics.d.ts
 */
function metricsOf(server) {
  const { _counts: counts, _nsps: namespaces } = server;
  // an engine that was bound may be another package's
  const engine = server.engine?.metrics?.();
  const { recovered = 0, failed = 0 } = counts.recoveries.read();
  return {
    sockets: { connects: counts.connects, disconnects: counts.disconnects.read() },
    recovery: { recovered, failed, ...keptOf(namespaces) },
    namespaces: Object.fromEntries([...namespaces.values()].map((nsp) => [nsp.name, nsp.sockets.size])),
    broadcasts: {
      roads: counts.broadcasts.read(),
      deliveries: counts.deliveries + (engine?.deliveries ?? 0),
    },
    engine,
  };
}

/** What adapters keep for clients that may come back, where that is in this process. */
function keptOf(namespaces) {
  const kept = { sessions: 0, packets: 0 };
  for (const { adapter } of namespaces.values()) {
    if (!(adapter instanceof SessionAwareAdapter)) continue;
    kept.sessions += adapter.sessions.size;
    kept.packets += adapter.packetCount;
  }
  return kept;
}

module.exports = { SocketCounts, metricsOf };
