"use strict";

/** The application that is measured, the same on every server that has Socket.IO's API. */
module.exports = function application(io) {
  io.on("connection", (socket) => {
    socket.on("echo", (data) => socket.emit("echo", data));
    socket.on("echo-binary", (data) => socket.emit("echo-binary", data));
    socket.on("ack", (data, reply) => reply(data));
    socket.on("broadcast", (data) => io.emit("news", data));
    socket.on("broadcast-except", (data) => io.except("muted").emit("news", data));
    socket.on("join", (room, reply) => {
      socket.join(room);
      reply();
    });
    socket.on("to-room", (room, data) => io.to(room).emit("news", data));
    socket.on("say", (room, text, reply) => {
      socket.to(room).emit("said", text);
      reply();
    });
  });
};
