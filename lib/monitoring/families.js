"use strict";

// taken before anybody can replace it by a fake timer
const { setImmediate } = require("timers");

/**
 * What `io.metrics()` says, in the terms of monitoring systems: families of values that differ in their labels, in base
 * units (seconds, bytes).
 *
 * @typedef {object} Family
 * @property {string} name
 * @property {string} help
 * @property {"counter"|"gauge"|"histogram"} type - counters only grow, as do the buckets of histograms
 * @property {string} [unit] - "bytes" or "seconds"
 * @property {(metrics: object) => Sample[]} read
 *
 * @typedef {object} Sample
 * @property {Object<string, string>} labels
 * @property {number} [value] - of counters and gauges
 * @property {{ bounds: number[], counts: number[], sum: number }} [histogram] - each bucket without those below
 */

/** @type {Family[]} */
const SERVER = [
  gauge("sockets", "Sockets, by namespace", ({ namespaces }) => byLabel("namespace", namespaces)),
  counter("socket_connects", "Sockets that have joined a namespace", ({ sockets }) => one(sockets.connects)),
  counter("socket_disconnects", "Sockets that have left a namespace, by reason", ({ sockets }) =>
    byLabel("reason", sockets.disconnects),
  ),
  counter("recoveries", "Clients that came back for a session, by what came of it", ({ recovery }) =>
    byLabel("outcome", { recovered: recovery.recovered, failed: recovery.failed }),
  ),
  gauge("recoverable_sessions", "Sessions that are kept for clients that may come back", ({ recovery }) =>
    one(recovery.sessions),
  ),
  gauge("recoverable_packets", "Packets that are kept for these", ({ recovery }) => one(recovery.packets)),
  counter("broadcasts", "Broadcasts: native, or why they went socket by socket", ({ broadcasts }) =>
    byLabel("road", broadcasts.roads),
  ),
  counter("deliveries", "Clients that native broadcasts were for, in sum", ({ broadcasts }) =>
    one(broadcasts.deliveries),
  ),
];

/** @type {Family[]} */
const ENGINE = [
  gauge("sessions", "Sessions, by transport", ({ sessions }) => byLabel("transport", sessions.open)),
  gauge("session_roads", "Sessions that do not poll, by who reads and writes their bytes", ({ sessions }) =>
    byLabel("road", sessions.roads),
  ),
  counter("session_connects", "Sessions that have begun, by their first transport", ({ sessions }) =>
    byLabel("transport", sessions.connects),
  ),
  counter("session_upgrades", "Sessions that have gone on over a WebSocket", ({ sessions }) =>
    one(sessions.upgrades),
  ),
  counter("session_disconnects", "Sessions that have ended, by reason", ({ sessions }) =>
    byLabel("reason", sessions.disconnects),
  ),
  counter("refusals", "Requests that were refused, by message", ({ sessions }) =>
    byLabel("message", sessions.refusals),
  ),
  counter("limits", "Sessions that were ended for a limit, by its name", ({ sessions }) =>
    byLabel("limit", sessions.limits),
  ),
  counter("packets", "Packets of Engine.IO, by direction", ({ packets }) => byLabel("direction", packets)),
  counter("traffic", "Bytes from clients and to them", ({ bytes }) => byLabel("direction", bytes), "bytes"),
  counter("pings", "Pings that were sent", ({ heartbeats }) => one(heartbeats.pings)),
  histogram("round_trip", "From a ping to its pong", ({ heartbeats }) => [[{}, heartbeats.roundTrips]]),
  gauge("waiting", "Bytes that wait for clients", ({ waiting }) => one(waiting.bytes), "bytes"),
  gauge(
    "waiting_largest",
    "Bytes that wait for the client for which most waits",
    ({ waiting }) => one(waiting.largest),
    "bytes",
  ),
  counter("volatile_dropped", "Volatile messages that were dropped for a client", ({ dropped }) =>
    one(dropped.volatile),
  ),
  counter(
    "messages_dropped",
    "Messages of clients that were dropped, as they sent more than they may",
    ({ dropped }) => one(dropped.messages),
  ),
  counter("events_dropped", "Events that were dropped because their clients did not read", ({ dropped }) =>
    one(dropped.events),
  ),
  counter("slow_consumers", "Clients that were given up, as they did not read", ({ dropped }) =>
    one(dropped.slowConsumers),
  ),
  histogram("events_wait", "How long events have waited for JavaScript", ({ events }) => [
    [{}, events.waits],
  ]),
  gauge("events_waiting", "Events that wait for JavaScript", ({ events }) => one(events.waiting), "bytes"),
  histogram("worker_turn", "Turns of native threads; the sum is what they were busy", ({ workers }) =>
    workers.map(({ turns }, worker) => [{ worker: String(worker) }, turns]),
  ),
  gauge("worker_commands", "Batches of commands that wait for a native thread", ({ workers }) =>
    workers.map(({ commands }, worker) => ({ labels: { worker: String(worker) }, value: commands })),
  ),
];

function counter(name, help, read, unit) {
  return { name, help, type: "counter", unit, read };
}

function gauge(name, help, read, unit) {
  return { name, help, type: "gauge", unit, read };
}

/** A histogram of milliseconds becomes one of seconds. */
function histogram(name, help, read) {
  const inSeconds = ([labels, { bounds, counts, sum }]) => ({
    labels,
    histogram: { bounds: bounds.map((bound) => bound / 1000), counts, sum: sum / 1000 },
  });
  return { name, help, type: "histogram", unit: "seconds", read: (metrics) => read(metrics).map(inSeconds) };
}

function one(value) {
  return [{ labels: {}, value }];
}

function byLabel(label, values) {
  return Object.entries(values).map(([name, value]) => ({ labels: { [label]: name }, value }));
}

/** What there is of a family: stock's classes have no metrics, see `lib/fallback`, nor have engines of other packages. */
function where(part, family) {
  return {
    ...family,
    read(metrics) {
      const own = metrics && part(metrics);
      return own === undefined ? [] : family.read(own);
    },
  };
}

/** @type {Family[]} */
const FAMILIES = [
  ...SERVER.map((family) => where((metrics) => metrics, family)),
  ...ENGINE.map((family) => where(({ engine }) => engine, family)),
];

/**
 * Reads a server's metrics once for all families that are asked for in the same turn of the event loop.
 *
 * @param {import("../api/server").Server} io
 * @returns {() => object|undefined}
 */
function snapshots(io) {
  let latest;
  return () => {
    if (latest === undefined) {
      latest = io.metrics?.();
      setImmediate(() => (latest = undefined));
    }
    return latest;
  };
}

module.exports = { FAMILIES, snapshots };
