"use strict";

// A server under load, in a process of its own, on the package that it is told: the same few lines for both. What is below
// them measures, and blocks the event loop when told so.

const http = require("node:http");
const { performance } = require("node:perf_hooks");
const { obey, tell } = require("./parent");

const { packageName, serverOptions } = JSON.parse(process.argv[2]);
const { Server } = require(packageName);

const httpServer = http.createServer();
const io = new Server(httpServer, serverOptions);

io.on("connection", (socket) => {
  const { room } = socket.handshake.auth;
  socket.join(room);
  socket.on("say", (message) => io.to(room).emit("said", message));
  socket.on("echo", (message, reply) => reply(message));
});

// --- what is measured

/** ms of the timer that shows how late timers are; `monitorEventLoopDelay` forgets what begins right after its `reset` */
const TICK = 10;

let tickedAt;
let delay = 0;
let memoryBefore = 0;
let last;

/**
 * What has been since the last look.
 *
 * @returns {{ seconds: number, load: number, delay: number, cpu: number, memory: number }} how long that is; how busy the
 *   event loop was, 0 to 1; the longest delay of a timer in ms; the cores that all threads have used; bytes of memory that
 *   have come since before the first client
 */
function measure() {
  const now = look();
  const seconds = (now.at - last.at) / 1000;
  const { utilization: load } = performance.eventLoopUtilization(now.loop, last.loop);
  const cpu = (now.cpu - last.cpu) / 1e6 / seconds;
  const figures = { seconds, load, delay, cpu, memory: process.memoryUsage.rss() - memoryBefore };
  last = now;
  delay = 0;
  return figures;
}

function tick() {
  const now = performance.now();
  delay = Math.max(delay, now - tickedAt - TICK);
  tickedAt = now;
}

function look() {
  const { user, system } = process.cpuUsage();
  return { at: performance.now(), loop: performance.eventLoopUtilization(), cpu: user + system };
}

/** Keeps the JavaScript thread busy, as a long calculation would. */
function block(ms) {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

httpServer.listen(0, "127.0.0.1", () => {
  tickedAt = performance.now();
  setInterval(tick, TICK);
  last = look();
  memoryBefore = process.memoryUsage.rss();
  // after a block, the tick that is late has its turn first
  obey({ measure: () => setTimeout(() => tell("figures", measure()), 0), block });
  tell("ready", { port: httpServer.address().port });
});
