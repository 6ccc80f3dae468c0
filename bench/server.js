"use strict";

// `node server.js PACKAGE`: the application on stock, or on this package. Servers with the same REDIS_KEY in their
// environment are nodes of one cluster.

const { createServer } = require("node:http");
const application = require("./application");
const { Server } = require(process.argv[2]);

const httpServer = createServer();
const io = new Server(httpServer, {
  pingInterval: Number(process.env.PING_INTERVAL),
  pingTimeout: 60000,
  perMessageDeflate: process.env.DEFLATE === "1",
  serveClient: false,
  adapter: process.env.REDIS_KEY && redisAdapter(process.env.REDIS_KEY),
});

application(io);
httpServer.listen(0, "127.0.0.1", () => console.log(httpServer.address().port));

function redisAdapter(key) {
  const { Redis } = require("ioredis");
  const { createAdapter } = require("@socket.io/redis-adapter");
  const publisher = new Redis(process.env.REDIS_URL || "redis://127.0.0.1:6379");
  const subscriber = publisher.duplicate();
  for (const client of [publisher, subscriber]) {
    client.on("error", (error) => {
      throw error;
    });
  }
  return createAdapter(publisher, subscriber, { key });
}
