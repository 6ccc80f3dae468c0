"use strict";

// Drives a server with the stock client in place of the load generator, with the same flags and the same report. Much of
// the time that is measured is the client's here, as in an application; what an operation costs the server is not.

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

/** So many times a room is joined and left for each request, and so many clients do. */
const TIMES = 1000;
const VISITORS = 4;

/** What clients do, by the name of the scenario. */
const starts = { echo: startEchoes, question: startQuestions, rooms: startVisits, crowd: startCrowd };

let latencies = [];
let operations = 0;

main();

async function main() {
  const sockets = Array.from({ length: Number(values.clients) }, open);
  await Promise.all(sockets.map(connected));
  await starts[values.scenario](sockets);

  await passed(Number(values.warm));
  latencies = [];
  operations = 0;
  const before = usage();
  await passed(Number(values.secs));
  const after = usage();

  const measured = latencies.sort((a, b) => a - b);
  if (measured.length === 0) {
    fail("nothing was answered while it was measured");
  }
  const elapsed = after.at - before.at;
  const report = {
    operationsPerSecond: (operations / elapsed) * 1e3,
    cpuPerOperation: cpuBetween(before, after) / operations,
    mainThreadPerOperation: cpuBetween(before, after, [values.pid]) / operations,
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

/** Each sends messages, and the next one when one has come back. */
function startEchoes(sockets) {
  for (const socket of sockets) {
    const sent = [];
    const send = () => {
      sent.push(performance.now());
      socket.emit("echo", text);
    };
    socket.on("echo", () => {
      count(sent.shift());
      send();
    });
    atOnce(send);
  }
}

/** The server asks each of them, and the next question when one is answered. */
function startQuestions(sockets) {
  for (const socket of sockets) {
    const answered = [];
    socket.on("question", (question, answer) => {
      if (answered.length === Number(values.inflight)) {
        count(answered.shift());
      }
      answered.push(performance.now());
      answer(question);
    });
    atOnce(() => socket.emit("question", text));
  }
}

/** Some have the server put them into a room and out of it, again and again. */
function startVisits(sockets, room = "room") {
  for (const socket of sockets.slice(0, VISITORS)) {
    const visit = async () => {
      for (;;) {
        const begin = performance.now();
        await socket.emitWithAck("join and leave", room, TIMES);
        count(begin, TIMES);
      }
    };
    atOnce(visit);
  }
}

/** The same with a room in which the others are, and to which something has been sent: the native threads know it. */
async function startCrowd(sockets) {
  const others = sockets.slice(VISITORS);
  await Promise.all(others.map((socket) => socket.emitWithAck("join", "crowd")));
  const told = others.map((socket) => once(socket, "news"));
  others[0].emit("to-room", "crowd", text);
  await Promise.all(told);
  startVisits(sockets, "crowd");
}

function atOnce(start) {
  for (let index = 0; index < Number(values.inflight); index++) {
    start();
  }
}

/** Operations are done that have taken from then until now. */
function count(begin, times = 1) {
  latencies.push(performance.now() - begin);
  operations += times;
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
