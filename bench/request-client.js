"use strict";

// Drives a server with requests for what the application itself answers. An operation is a request, with `--keep-alive` on a
// connection that goes on, otherwise on one of its own.

const fs = require("node:fs");
const { once } = require("node:events");
const http = require("node:http");
const https = require("node:https");
const { parseArgs } = require("node:util");
const { cpuBetween, look } = require("./server-process");

const FLAGS = ["port", "pid", "clients", "secs", "warm"];
const { values } = parseArgs({
  options: {
    ...Object.fromEntries(FLAGS.map((name) => [name, { type: "string" }])),
    "keep-alive": { type: "boolean", default: false },
    tls: { type: "boolean", default: false },
  },
});
const clients = Number(values.clients);
const { Agent, get } = values.tls ? https : http;
const agent = values["keep-alive"] && new Agent({ keepAlive: true, maxSockets: clients });
const url = `${values.tls ? "https" : "http"}://127.0.0.1:${values.port}/hello`;

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});

async function main() {
  await requestFor(Number(values.warm));
  const before = look(values.pid);
  const requests = await requestFor(Number(values.secs));
  const after = look(values.pid);
  const report = { cpuPerOperation: cpuBetween(before, after) / requests };
  fs.writeSync(1, JSON.stringify(report) + "\n");
  process.exit();
}

/** Each client sends a request when the one before has been answered; returns how many there were. */
async function requestFor(seconds) {
  const end = performance.now() + seconds * 1000;
  let requests = 0;
  const requestAll = async () => {
    do {
      await request();
      requests++;
    } while (performance.now() < end);
  };
  await Promise.all(Array.from({ length: clients }, requestAll));
  return requests;
}

async function request() {
  const [response] = await once(get(url, { agent, rejectUnauthorized: false }), "response");
  if (response.statusCode !== 200) {
    throw new Error(`the application answers ${response.statusCode}`);
  }
  await once(response.resume(), "end");
}
