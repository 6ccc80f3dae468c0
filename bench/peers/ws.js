"use strict";

// ws without Socket.IO: what comes is sent back, or to everybody.

// the module to take it from: ws, or what has its API
const { WebSocketServer } = require(process.argv[2] ?? "ws");

const { DEFLATE, MODE } = process.env;

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  perMessageDeflate: DEFLATE === "1" && { threshold: 1024 },
});

server.on("connection", (client) => client.on("message", MODE === "broadcast" ? toAll : back));
server.on("listening", () => console.log(server.address().port));

function back(data, isBinary) {
  this.send(data, { binary: isBinary });
}

function toAll(data, isBinary) {
  for (const client of server.clients) {
    client.send(data, { binary: isBinary });
  }
}
