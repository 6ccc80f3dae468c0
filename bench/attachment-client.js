"use strict";

// Drives a server with one stock client and attachments of `--size` bytes, by turns to the server, which says when it has
// one, and back. Much of the time is the client's; what is the server's shows in its CPU time.

const fs = require("node:fs");
const { once } = require("node:events");
const { parseArgs } = require("node:util");
const { io } = require("socket.io-client");
const { median } = require("./measures");
const { cpuBetween, look } = require("./server-process");

const FLAGS = ["port", "pid", "size", "secs", "warm", "transports"];
const PATIENCE = 60_000;
const MB = 1e6;

const { values } = parseArgs({
  options: Object.fromEntries(FLAGS.map((name) => [name, { type: "string" }])),
});
const size = Number(values.size);

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});

async function main() {
  const socket = io(`http://127.0.0.1:${values.port}`, {
    transports: [values.transports],
    reconnection: false,
  });
  socket.once("disconnect", (reason) => {
    console.error(`the client was disconnected: ${reason}`);
    process.exit(1);
  });
  await once(socket, "connect");

  const attachment = Buffer.alloc(size, "attachment");
  const ways = [
    {
      name: "ToServer",
      taken: [],
      cpu: [],
      exchange: () => socket.timeout(PATIENCE).emitWithAck("store", attachment),
    },
    {
      name: "ToClient",
      taken: [],
      cpu: [],
      exchange: async () => (await socket.timeout(PATIENCE).emitWithAck("fetch", size)).length,
    },
  ];
  const end = performance.now() + Number(values.secs) * 1000;
  do {
    for (const way of ways) {
      await measure(way);
    }
  } while (performance.now() < end);

  const report = {};
  for (const { name, taken, cpu } of ways) {
    report[`rate${name}`] = size / MB / (median(taken) / 1000);
    report[`cpu${name}`] = median(cpu) / (size / MB);
  }
  fs.writeSync(1, JSON.stringify(report) + "\n");
  process.exit();
}

async function measure({ exchange, taken, cpu }) {
  const before = look(values.pid);
  const start = performance.now();
  const length = await exchange();
  taken.push(performance.now() - start);
  cpu.push(cpuBetween(before, look(values.pid)));
  if (length !== size) {
    throw new Error(`${length} bytes have arrived of ${size}`);
  }
}
