"use strict";

// Drives a server with the stock client in place of the load generator, with the same flags and the same report. Much of
// what is measured is the client here, as in an application.

const fs = require("node:fs");
const { once } = require("node:events");
const { parseArgs } = require("node:util");
const { io } = require("socket.io-client");
const { median } = require("./measures");
const { cpuBetween, look } = require("./server-process");

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
    cpuPerOperation: cpuBetween(before, after) / measured.length,
    mainThreadPerOperation: cpuBetween(before, after, [values.pid]) / measured.length,
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

/** A look at the server, and when that was. */
function usage() {
  return { at: performance.now(), ...look(values.pid) };
}

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}
