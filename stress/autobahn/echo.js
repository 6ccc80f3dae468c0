"use strict";

// The echo server that the Autobahn testsuite examines: messages go back as they came. It prints the port that it listens
// on, and runs until its input ends.

const { WebSocketServer } = require("../../ws");

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: 0,
  // the suite sends messages of 16 MiB, and of 4 MiB in fragments of 64 bytes
  maxPayload: 64 << 20,
  maxFragments: 1 << 20,
  perMessageDeflate: { threshold: 0 },
});

server.on("listening", () => console.log(server.address().port));
server.on("connection", (client) => {
  client.on("message", (data, isBinary) => client.send(data, { binary: isBinary }));
  // what is wrong with what it has sent, most of which is wrong on purpose
  client.on("error", () => {});
});

process.stdin.on("end", () => process.exit()).resume();
