"use strict";

// What other libraries make of the metrics of a server.

const test = require("node:test");
const assert = require("node:assert/strict");
const { Registry, Gauge, register: defaultRegistry } = require("prom-client");
const {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} = require("@opentelemetry/sdk-metrics");
const { serve, sio, isStock, RawWebSocket } = require("./support/harness");

const OURS = { skip: isStock && "stock has no metrics" };

const prometheus = isStock ? undefined : require("sockeye.io/prometheus");
const opentelemetry = isStock ? undefined : require("sockeye.io/opentelemetry");

/** A server with a client, of which three pongs have come. */
async function busyServer(t) {
  const server = await serve(t, { workers: 2, pingInterval: 20 });
  const ws = await RawWebSocket.connect(server);
  for (let pings = 0; pings < 3;) {
    if ((await ws.next()) !== "2") continue;
    ws.text("3");
    pings++;
  }
  const { io } = server;
  io.emit("news");
  const packets = [];
  while (packets.at(-1) !== '42["news"]') packets.push(await ws.next());
  return server;
}

/** The value of a line in Prometheus' format. */
function valueOf(text, name) {
  const line = text.split("\n").find((it) => it.startsWith(`${name} `));
  assert.ok(line !== undefined, `${name} is in\n${text}`);
  return Number(line.slice(name.length + 1));
}

test("a registry of prom-client has the metrics", OURS, async (t) => {
  const { io } = await busyServer(t);
  const registry = new Registry();
  prometheus.register(io, { registry, labels: { node: "a" } });
  const text = await registry.metrics();
  const { engine, sockets } = io.metrics();
  assert.equal(
    valueOf(text, 'socket_io_sockets{namespace="/",node="a"}'.replace(/\{.*/, '{node="a",namespace="/"}')),
    1,
  );
  assert.equal(valueOf(text, 'socket_io_socket_connects_total{node="a"}'), sockets.connects);
  assert.equal(valueOf(text, 'socket_io_sessions{node="a",transport="websocket"}'), 1);
  assert.equal(valueOf(text, 'socket_io_sessions{node="a",transport="polling"}'), 0);
  assert.equal(valueOf(text, 'socket_io_broadcasts_total{node="a",road="native"}'), 1);
  assert.equal(valueOf(text, 'socket_io_deliveries_total{node="a"}'), 1);
  assert.equal(valueOf(text, 'socket_io_recoveries_total{node="a",outcome="recovered"}'), 0);
  assert.ok(valueOf(text, 'socket_io_traffic_bytes_total{node="a",direction="sent"}') <= engine.bytes.sent);
  assert.match(text, /^# TYPE socket_io_packets_total counter$/m);
  assert.match(text, /^# TYPE socket_io_round_trip_seconds histogram$/m);
  assert.match(text, /^# HELP socket_io_waiting_bytes Bytes that wait for clients$/m);
});

test("a histogram's buckets include those below", OURS, async (t) => {
  const { io } = await busyServer(t);
  const registry = new Registry();
  prometheus.register(io, { registry });
  const text = await registry.metrics();
  const buckets = [...text.matchAll(/^socket_io_round_trip_seconds_bucket\{le="(.*?)"\} (\d+)$/gm)];
  assert.equal(buckets.length, io.metrics().engine.heartbeats.roundTrips.counts.length);
  assert.equal(buckets.at(-1)[1], "+Inf");
  assert.equal(Number(buckets[0][1]), 64e-6);
  const counts = buckets.map(([, , count]) => Number(count));
  assert.deepEqual(counts, counts.toSorted?.((a, b) => a - b) ?? [...counts].sort((a, b) => a - b));
  assert.ok(counts.at(-1) >= 3);
  assert.equal(valueOf(text, "socket_io_round_trip_seconds_count"), counts.at(-1));
  const sum = valueOf(text, "socket_io_round_trip_seconds_sum");
  assert.ok(sum > 0 && sum < 60, `${sum} s`);
  assert.match(text, /^socket_io_worker_turn_seconds_count\{worker="1"\} \d+$/m);
});

test("without a registry it is the default one, and metrics can be taken out again", OURS, async (t) => {
  const server = await serve(t, {});
  const unregister = prometheus.register(server.io, { prefix: "chat_" });
  t.after(() => defaultRegistry.clear());
  assert.match(await defaultRegistry.metrics(), /^chat_sessions\{transport="websocket"\} 0$/m);
  defaultRegistry.resetMetrics();
  unregister();
  assert.equal(await defaultRegistry.metrics(), "\n");
});

test("names that are taken are an error, and leave the registry as it was", OURS, async (t) => {
  const server = await serve(t, {});
  const registry = new Registry();
  new Gauge({ name: "socket_io_sessions", help: "another's", registers: [registry] });
  assert.throws(() => prometheus.register(server.io, { registry }), /socket_io_sessions/);
  assert.deepEqual(
    registry.getMetricsAsArray().map(({ name }) => name),
    ["socket_io_sessions"],
  );
});

test("a server without an engine has what there is", OURS, async (t) => {
  const io = new sio.Server();
  t.after(() => io.close());
  const registry = new Registry();
  prometheus.register(io, { registry });
  const text = await registry.metrics();
  assert.equal(valueOf(text, 'socket_io_sockets{namespace="/"}'), 0);
  assert.doesNotMatch(text, /^socket_io_sessions\{/m);
});

test("stock's classes have nothing to tell", OURS, async () => {
  const registry = new Registry();
  prometheus.register({}, { registry });
  assert.doesNotMatch(await registry.metrics(), /^[^#\n]/m);
});

test("OpenTelemetry observes the metrics", OURS, async (t) => {
  const { io } = await busyServer(t);
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ readers: [reader] });
  t.after(() => provider.shutdown());
  const end = opentelemetry.register(io, { meter: provider.getMeter("test"), attributes: { node: "a" } });
  const collect = async () => {
    exporter.reset();
    await reader.forceFlush();
    const scopes = exporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics);
    return new Map(scopes.flatMap(({ metrics }) => metrics).map((it) => [it.descriptor.name, it]));
  };
  const metrics = await collect();
  const sessions = metrics.get("socket.io.sessions").dataPoints;
  assert.deepEqual(
    sessions.map(({ attributes, value }) => [attributes.node, attributes.transport, value]),
    [
      ["a", "polling", 0],
      ["a", "websocket", 1],
      ["a", "webtransport", 0],
    ],
  );
  const trips = metrics.get("socket.io.round_trip.count");
  assert.ok(trips.isMonotonic && trips.dataPoints[0].value >= 3);
  assert.equal(metrics.get("socket.io.round_trip.sum").descriptor.unit, "s");
  assert.equal(metrics.get("socket.io.traffic").descriptor.unit, "By");
  end();
  const observed = t.mock.method(io, "metrics");
  await collect();
  assert.equal(observed.mock.callCount(), 0);
});
