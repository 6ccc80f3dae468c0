"use strict";

// One port, several processes: the primary deals out the connections, the workers are the chat.
//
//   PORT, WORKERS, CHAT_PASSWORD   3000, 4, none
//   REDIS_URL                      joins this machine with others; without it, its processes talk among themselves

const cluster = require("node:cluster");
const http = require("node:http");
const { setupMaster } = require("@socket.io/sticky");
const { setupPrimary } = require("@socket.io/cluster-adapter");

if (cluster.isPrimary) {
  runPrimary({ port: process.env.PORT || 3000, workers: Number(process.env.WORKERS || 4) });
} else {
  require("./worker");
}

function runPrimary({ port, workers }) {
  cluster.setupPrimary({ exec: __filename, serialization: "advanced" }); // else no binary data between processes
  const httpServer = http.createServer();
  setupMaster(httpServer, { loadBalancingMethod: "least-connection" });
  setupPrimary();

  let isEnding = false;
  let ready = 0;
  cluster.on("message", (worker, message) => {
    if (message === "ready" && ++ready === workers) {
      httpServer.listen(port, () => {
        console.log(`${workers} processes serve the chat on http://localhost:${httpServer.address().port}`);
      });
    }
  });
  cluster.on("exit", (worker) => {
    if (isEnding) {
      if (Object.keys(cluster.workers).length === 0) {
        process.exit(); // connections that no process has taken may still be open
      }
      return;
    }
    if (ready < workers) {
      process.exit(1); // it has said why
    }
    console.log(`Process ${worker.process.pid} has died, another takes its place.`);
    for (const other of Object.values(cluster.workers)) {
      other.send({ gone: worker.process.pid });
    }
    cluster.fork();
  });
  for (let i = 0; i < workers; i++) {
    cluster.fork();
  }

  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.once(signal, () => {
      isEnding = true;
      httpServer.close();
      for (const worker of Object.values(cluster.workers)) {
        worker.send("end");
      }
    });
  }
}
