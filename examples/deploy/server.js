"use strict";

// A server as it is run in production: it says whether it lives and whether it wants clients, tells what it costs, and goes
// in peace. In its environment, besides PORT:
//   DRAIN_DELAY   ms between the signal to end and the first client that is sent away, in which load balancers find out
//   DRAIN_TIME    ms over which clients are sent away, so that not all of them come to the other nodes at once

const { createServer } = require("node:http");
const { performance } = require("node:perf_hooks");
const { setTimeout } = require("node:timers/promises");
const { Server } = require("sockeye.io");

const { PORT = 3000, DRAIN_DELAY = 5_000, DRAIN_TIME = 10_000 } = process.env;

let isReady = false;

const httpServer = createServer((req, res) => {
  if (req.url === "/healthz") res.end("alive\n");
  else if (req.url === "/readyz") res.writeHead(isReady ? 200 : 503).end();
  else if (req.url === "/metrics") res.end(metrics());
  else res.writeHead(404).end();
});

const io = new Server(httpServer, {
  maxOutboundBuffer: 16 * 1024 * 1024,
  maxHttpBufferSize: 100_000,
});

io.on("connection", (socket) => {
  socket.on("echo", (value, reply) => reply(value));
  socket.on("who are you", (reply) =>
    reply({ pid: process.pid, for: socket.handshake.headers["x-forwarded-for"] }),
  );
});

const counts = { warnings: 0, slowConsumers: 0, refused: [0, 0, 0, 0, 0, 0, 0] };
process.on("warning", () => counts.warnings++);
io.engine.on("slow_consumer", () => counts.slowConsumers++);
io.engine.on("connection_error", ({ code }) => counts.refused[code]++);

let lastLook = performance.eventLoopUtilization();

/** In the text format that Prometheus reads. */
function metrics() {
  const look = performance.eventLoopUtilization();
  const { utilization } = performance.eventLoopUtilization(look, lastLook);
  lastLook = look;
  const lines = [
    `sockeye_clients ${io.engine.clientsCount}`,
    `sockeye_event_loop_utilization ${utilization}`,
    `process_resident_memory_bytes ${process.memoryUsage.rss()}`,
    `process_cpu_seconds_total ${(process.cpuUsage().user + process.cpuUsage().system) / 1e6}`,
    `sockeye_warnings_total ${counts.warnings}`,
    `sockeye_slow_consumers_total ${counts.slowConsumers}`,
    ...counts.refused.map((count, code) => `sockeye_refused_total{code="${code}"} ${count}`),
  ];
  return `${lines.join("\n")}\n`;
}

httpServer.listen(Number(PORT), () => {
  isReady = true;
  // pm2 with wait_ready
  process.send?.("ready");
});

let isEnding = false;

/** Leaves the load balancer, sends the clients away a few at a time, then ends. */
async function end() {
  if (isEnding) return;
  isEnding = true;
  isReady = false;
  await setTimeout(Number(DRAIN_DELAY));
  await io.drain({ rate: io.engine.clientsCount / (DRAIN_TIME / 1000) || 1, timeout: 2 * DRAIN_TIME });
  await io.close();
  process.exit();
}

process.on("SIGTERM", end);
process.on("SIGINT", end);
