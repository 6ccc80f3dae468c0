const { Server } = require("sockeye.io");

const io = new Server(3000, { cors: { origin: "*" }, workers: 1 });

io.on("connection", (socket) => {
  socket.emit("hello", socket.id.length);
  // @ts-expect-error: plain JavaScript is checked as well
  socket.join(1);
});
