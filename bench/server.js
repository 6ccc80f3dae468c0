"use strict";

// The application that is measured: the same for every server, which is named by the first argument.

const { createServer } = require("node:http");
const { Server } = require(process.argv[2]);

const http = createServer();
const io = new Server(http, {
  pingInterval: 25000,
  pingTimeout: 60000,
  serveClient: false,
  transports: ["websocket"],
});

io.on("connection", (socket) => {
  socket.on("echo", (data) => socket.emit("echo", data));
  socket.on("ack", (data, reply) => reply(data));
  socket.on("bc", (data) => io.emit("b", data));
  socket.on("join", (room) => socket.join(room));
  socket.on("rb", (room, data) => io.to(room).emit("b", data));
});

http.listen(0, "127.0.0.1", () => process.send(http.address().port));
