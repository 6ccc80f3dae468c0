"use strict";

const { flowOf } = require("../engine/metrics");
const { Tally } = require("../engine/tally");

/** What a server of WebSockets counts on the JavaScript thread. */
class WebSocketCounts {
  constructor() {
    /** WebSockets that have been opened. */
    this.connects = 0;
    /** Those that are over, by the status that `close` tells. */
    this.closes = new Tally();
    /** How often one has come to a limit, by its name. */
    this.limits = new Tally();
    /** Clients that were given up because they did not read what waited for them. */
    this.slowConsumers = 0;
  }
}

/**
 * What a server and its workers have counted since it was made, and how things are now.
 * @param {import("./server").WebSocketServer} server
 * @returns {object} see `WebSocketMetrics` in types/metrics.d.ts
 */
function metricsOf({ _bridge: bridge, _counts: counts }) {
  const open = { native: 0, pumped: 0 };
  for (const ws of bridge.conns.items) {
    if (ws?._stream === undefined) continue;
    if (ws._stream.isPumped) open.pumped++;
    else open.native++;
  }
  const flow = flowOf(bridge);
  return {
    webSockets: {
      open,
      connects: counts.connects,
      closes: counts.closes.read(),
      limits: counts.limits.read(),
    },
    ...flow,
    dropped: { ...flow.dropped, slowConsumers: counts.slowConsumers },
  };
}

module.exports = { WebSocketCounts, metricsOf };
