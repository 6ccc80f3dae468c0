"use strict";

// What `sockeye.io compare` measures, in a process of its own with --expose-gc: the application, on this package, or on that in
// the folder of a package.json.

const { createServer } = require("http");
const { createRequire } = require("module");
const { answer } = require("./children");

const [, , manifest] = process.argv;
const { Server } = createRequire(manifest)("./");

const httpServer = createServer();
const io = new Server(httpServer, { serveClient: false });

io.on("connection", (socket) => {
  socket.on("echo", (data) => socket.emit("echo", data));
  socket.on("broadcast", (data) => io.emit("news", data));
});

answer({
  listen: () =>
    new Promise((resolve, reject) => {
      httpServer.on("error", reject);
      httpServer.listen(0, "127.0.0.1", () => resolve(httpServer.address().port));
    }),
  // of all threads
  usage: ({ collects }) => {
    if (collects) globalThis.gc();
    const { user, system } = process.cpuUsage();
    return { cpu: user + system, memory: process.memoryUsage.rss() / 1024 };
  },
});
