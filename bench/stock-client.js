"use strict";

// Drives a server with the stock client in place of the load generator, with the same flags and the same report. Much of
// what is measured is the client here, as in an application.

const fs = require("node:fs");
const { once } = require("node:events");
const { parseArgs } = require("node:util");
const { io } = require("socket.io-client");
const { median } = require("./measures");

const PATIENCE = 15_000;
const FLAGS = ["scenario", "port", "pid", "clients", "inflight", "secs", "warm"];

const { values } = parseArgs({
  options: Object.fromEntries(FLAGS.map((name) => [name, { type: "string" }])),
});
const text = "x".repeat(32);
let latencies = [];

main();

async function main() {
  const sockets = Array.from({ length: Number(values.clients) }, open);
  await Promise.all(sockets.map(connected));
  sockets.forEach(startEcho);

  await passed(Number(values.warm));
  latencies = [];
  const before = usage();
  await passed(Number(values.secs));
  const after = usage();

  const measured = latencies.sort((a, b) => a - b);
  if (measured.length === 0) {
    fail("nothing was answered while it was measured");
  }
  const elapsed = after.at - before.at;
  const report = {
    operationsPerSecond: (measured.length / elapsed) * 1e3,
    cpuPerOperation: (after.cpu - before.cpu) / measured.length,
    mainThreadPerOperation: (after.main - before.main) / measured.length,
    p50: median(measured) * 1e3,
    p99: measured[Math.floor((measured.length - 1) * 0.99)] * 1e3,
  };
  fs.writeSync(1, JSON.stringify(report) + "\n");
  process.exit();
}

function open() {
  return io(`http://127.0.0.1:${values.port}`, {
    transports: ["websocket"],
    forceNew: true,
    reconnection: false,
  });
}

async function connected(socket) {
  socket.once("connect_error", (error) => fail(`a client cannot connect: ${error.message}`));
  socket.once("disconnect", (reason) => fail(`a client was disconnected: ${reason}`));
  setTimeout(() => socket.connected || fail("not all clients could connect"), PATIENCE).unref();
  await once(socket, "connect");
}

function startEcho(socket) {
  const sent = [];
  socket.on("echo", () => {
    const now = performance.now();
    latencies.push(now - sent.shift());
    sent.push(now);
    socket.emit("echo", text);
  });
  for (let index = 0; index < Number(values.inflight); index++) {
    sent.push(performance.now());
    socket.emit("echo", text);
  }
}

function passed(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

/** The CPU time of the server in µs, and when that was. */
function usage() {
  const tasks = fs.readdirSync(`/proc/${values.pid}/task`);
  const cpu = tasks.map(threadCpu).reduce((sum, microseconds) => sum + microseconds, 0);
  return { at: performance.now(), cpu, main: threadCpu(values.pid) };
}

/** In nanoseconds where the kernel says it so, else in ticks of 10 ms. */
function threadCpu(task) {
  const directory = `/proc/${values.pid}/task/${task}`;
  if (fs.existsSync(`${directory}/schedstat`)) {
    return Number.parseInt(fs.readFileSync(`${directory}/schedstat`, "utf8"), 10) / 1e3;
  }
  const stat = fs.readFileSync(`${directory}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 1e4;
}

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}
