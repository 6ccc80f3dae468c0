"use strict";

// Two machines on one, as it were: two ports with two processes each, joined by the Redis of REDIS_URL, or of this machine.

const { fork } = require("node:child_process");
const path = require("node:path");

const firstPort = Number(process.env.PORT || 3000);
const ports = firstPort === 0 ? [0, 0] : [firstPort, firstPort + 1];

const machines = ports.map((port) =>
  fork(path.join(__dirname, "machine.js"), {
    env: { REDIS_URL: "redis://127.0.0.1:6379", WORKERS: "2", ...process.env, PORT: String(port) },
  }),
);

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    for (const machine of machines) {
      machine.kill("SIGTERM");
    }
  });
}
