"use strict";

// A cluster of node:cluster with sticky sessions, as the documentation of @socket.io/sticky has it: run by
// adapter-node-cluster.test.js.

const cluster = require("node:cluster");
const http = require("node:http");
const { setupMaster, setupWorker } = require("@socket.io/sticky");
const { createAdapter, setupPrimary } = require("@socket.io/cluster-adapter");

const WORKERS = 4;

if (cluster.isPrimary) {
  runPrimary();
} else {
  runWorker();
}

function runPrimary() {
  // binary data between the workers
  cluster.setupPrimary({ serialization: "advanced" });
  const httpServer = http.createServer();
  setupMaster(httpServer, { loadBalancingMethod: "round-robin" });
  setupPrimary();
  let ready = 0;
  cluster.on("message", (worker, message) => {
    if (message !== "ready" || ++ready < WORKERS) return;
    httpServer.listen(0, "127.0.0.1", () => process.send({ port: httpServer.address().port }));
  });
  for (let i = 0; i < WORKERS; i++) cluster.fork();
  process.on("message", ({ pid, signal }) => process.kill(pid, signal));
}

function runWorker() {
  const { sio } = require("./target");
  const io = new sio.Server(http.createServer(), {
    adapter: createAdapter({ heartbeatInterval: 300, heartbeatTimeout: 1000 }),
    // node:cluster loses what a client sends while its connection changes hands: it has to try again
    connectTimeout: 1000,
  });
  setupWorker(io);
  io.on("pid", (ack) => ack(process.pid));
  io.on("connection", (socket) => {
    // functions of the test, as text
    socket.on("run", async (source, args, ack) => ack(await (0, eval)(`(${source})`)(io, socket, ...args)));
  });
  process.send("ready");
}
