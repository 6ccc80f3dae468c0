"use strict";

const { errorMessages, errors } = require("./handshake");
const { Tally } = require("./tally");

/** Bounds of what waits for a client, in bytes. */
const SIZES = [1, 4, 16, 64, 256, 1024, 4096, 16_384].map((kibibytes) => kibibytes * 1024);

/** What an engine counts on the JavaScript thread: how sessions begin and end. The workers count what goes over them. */
class SessionCounts {
  constructor() {
    /** Sessions that have begun, by the transport that they began with. */
    this.connects = new Tally();
    /** Sessions that have ended, by reason. */
    this.disconnects = new Tally();
    /** Sessions that were ended for a limit, by its name. */
    this.limits = new Tally();
    /** Requests that were refused, by message. */
    this.refusals = new Tally();
    /** Sessions that went on over a WebSocket. */
    this.upgrades = 0;
    /** Clients that were given up because they did not read what waited for them. */
    this.slowConsumers = 0;
  }
}

/**
 * What an engine and its workers have counted since it was made, and how things are now.
 *
 * @param {import("./server").Server} engine
 * @returns {object} see `EngineMetrics` in types/metrics.d.ts
 */
function metricsOf(engine) {
  const { _counts: counts, _bridge: bridge } = engine;
  const flow = flowOf(bridge);
  return {
    sessions: {
      ...openSessions(engine),
      connects: counts.connects.read(),
      upgrades: counts.upgrades,
      disconnects: counts.disconnects.read(),
      refusals: refusalsOf(engine),
      limits: counts.limits.read(),
    },
    ...flow,
    dropped: { ...flow.dropped, slowConsumers: counts.slowConsumers },
  };
}

/**
 * What workers have counted of what goes over their connections, and how things are now.
 * @param {Bridge} bridge
 * @returns {object} the members of `EngineMetrics` from `packets` on
 */
function flowOf(bridge) {
  const { workers, backlog, waits, waiting } = bridge.native.metrics();
  const clients = sortInto(SIZES, waiting);
  const total = (name) => workers.reduce((sum, worker) => sum + worker[name], 0);
  return {
    packets: { received: total("packetsReceived"), sent: total("packetsSent") },
    bytes: { received: total("bytesReceived"), sent: total("bytesSent") },
    heartbeats: { pings: total("pings"), roundTrips: sumOf(workers.map(({ roundTrips }) => roundTrips)) },
    waiting: {
      bytes: clients.sum,
      largest: waiting.reduce((largest, bytes) => Math.max(largest, bytes), 0),
      clients,
    },
    dropped: {
      volatile: total("volatileDropped"),
      events: total("eventsDropped"),
      messages: total("packetsRefused"),
    },
    deliveries: total("deliveries"),
    events: { waiting: backlog, waits },
    workers: workers.map(({ turns, commands }) => ({ turns, commands })),
  };
}

/** Requests that were refused, here and by workers, by message. */
function refusalsOf({ _counts: counts, _gate: gate }) {
  const refusals = counts.refusals.read();
  if (gate === undefined) return refusals;
  const message = errorMessages[errors.TOO_MANY_SESSIONS];
  const count = Object.values(gate.refused().limits).reduce((sum, count) => sum + count, 0);
  if (count > 0) refusals[message] = (refusals[message] ?? 0) + count;
  return refusals;
}

/** How many sessions there are, by transport; and of those over WebSockets, whose bytes are a worker's, or go through JavaScript. */
function openSessions(engine) {
  const open = { polling: 0, websocket: 0, webtransport: 0 };
  const roads = { native: 0, pumped: 0 };
  for (const conn of engine._bridge.conns.items) {
    if (conn?._readyState !== "open") continue;
    const name = conn._transportName;
    open[name]++;
    if (name === "polling") continue;
    if (conn._stream?.isPumped) roads.pumped++;
    else roads.native++;
  }
  return { open, roads };
}

/** One histogram of several with the same bounds. */
function sumOf(histograms) {
  const [first] = histograms;
  return {
    bounds: first.bounds,
    counts: first.counts.map((_, bucket) => histograms.reduce((sum, { counts }) => sum + counts[bucket], 0)),
    sum: histograms.reduce((total, { sum }) => total + sum, 0),
  };
}

/** A histogram of numbers. */
function sortInto(bounds, numbers) {
  const counts = Array(bounds.length + 1).fill(0);
  let sum = 0;
  for (const number of numbers) {
    const bucket = bounds.findIndex((bound) => number <= bound);
    counts[bucket === -1 ? bounds.length : bucket]++;
    sum += number;
  }
  return { bounds, counts, sum };
}

module.exports = { SessionCounts, flowOf, metricsOf };
