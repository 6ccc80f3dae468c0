"use strict";

/** The application that is measured, the same on every server that has Socket.IO's API. */
module.exports = function application(io) {
  io.on("connection", (socket) => {
    socket.on("echo", (data) => socket.emit("echo", data));
    socket.on("echo-binary", (data) => socket.emit("echo-binary", data));
    socket.on("store", (data, reply) => reply(data.length));
    socket.on("fetch", (size, reply) => reply(attachmentOf(size)));
    socket.on("ack", (data, reply) => reply(data));
    socket.on("broadcast", (data) => io.emit("news", data));
    socket.on("broadcast-except", (data) => io.except("muted").emit("news", data));
    // each answer is the next question
    socket.on("question", function ask(data) {
      socket.emit("question", data, ask);
    });
    socket.on("join and leave", (room, times, reply) => {
      for (let time = 0; time < times; time++) {
        socket.join(room);
        socket.leave(room);
      }
      reply();
    });
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

let attachment = Buffer.alloc(0);

function attachmentOf(size) {
  if (attachment.length !== size) {
    attachment = Buffer.alloc(size, "attachment");
  }
  return attachment;
}
