"use strict";

const { Server } = require("sockeye.io"); // the one line: with "socket.io" here, the same chat runs on stock
const { createChat } = require("./app");

const port = process.env.PORT || 3000;
const chat = createChat({ Server, password: process.env.CHAT_PASSWORD });

chat.httpServer.on("error", (error) => {
  if (error.code !== "EADDRINUSE") {
    throw error;
  }
  console.error(`Port ${port} is in use. Choose another one: PORT=3001 npm start`);
  process.exit(1);
});
chat.httpServer.listen(port, () => {
  console.log(`The chat is served on http://localhost:${chat.httpServer.address().port}`);
});

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => chat.io.close());
}
