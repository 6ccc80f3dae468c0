"use strict";

const { Tally } = require("../engine/tally");

/** What a server counts of Socket.IO; its engine counts what is below. */
class SocketCounts {
  constructor() {
    /** Sockets that have joined a namespace. */
    this.connects = 0;
    /** Sockets that have left one, by reason. */
    this.disconnects = new Tally();
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
  return {
    sockets: { connects: counts.connects, disconnects: counts.disconnects.read() },
    namespaces: Object.fromEntries([...namespaces.values()].map((nsp) => [nsp.name, nsp.sockets.size])),
    broadcasts: {
      roads: counts.broadcasts.read(),
      deliveries: counts.deliveries + (engine?.deliveries ?? 0),
    },
    engine,
  };
}

module.exports = { SocketCounts, metricsOf };
