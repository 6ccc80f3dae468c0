"use strict";

// `node --expose-gc server.js PACKAGE`: the application on stock, or on this package. In its environment:
//   TLS=1            over TLS
//   METRICS=1        asked for its metrics every second, with the figures of every connection, and with traces
//   MIDDLEWARE=1     with allowRequest and a middleware on the engine
//   MAX_MESSAGE=N    bytes that a message of a client may have
//   REDIS_KEY        servers with the same one are nodes of one cluster

const http = require("node:http");
const https = require("node:https");
const { selfSigned } = require("../__test__/support/certificate");
const application = require("./application");
const { Server } = require(process.argv[2]);

const { DEFLATE, MAX_MESSAGE, METRICS, MIDDLEWARE, PING_INTERVAL, REDIS_KEY, TLS } = process.env;

const httpServer = TLS ? https.createServer(selfSigned(), onRequest) : http.createServer(onRequest);
const io = new Server(httpServer, {
  pingInterval: Number(PING_INTERVAL),
  pingTimeout: 60000,
  maxHttpBufferSize: Number(MAX_MESSAGE) || undefined,
  perMessageDeflate: DEFLATE === "1",
  serveClient: false,
  trace: METRICS === "1",
  adapter: REDIS_KEY && redisAdapter(REDIS_KEY),
  allowRequest: MIDDLEWARE ? (request, callback) => callback(null, true) : undefined,
});

if (MIDDLEWARE) {
  io.engine.use((request, response, next) => {
    request.seen = true;
    next();
  });
}
if (METRICS) setInterval(lookAround, 1000);
application(io);
httpServer.listen(0, "127.0.0.1", () => console.log(httpServer.address().port));

/** What somebody who watches a server asks; stock has none of it. */
function lookAround() {
  io.metrics?.();
  for (const { conn } of io.sockets.sockets.values())
    void (conn.bufferedAmount + conn.bytesRead + conn.roundTripTime);
}

/** The application's own requests. */
function onRequest(request, response) {
  if (request.url === "/gc") {
    globalThis.gc();
  }
  response.end("hello");
}

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
