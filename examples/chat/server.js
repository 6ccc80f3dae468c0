"use strict";

const { Server } = require("sockeye.io"); // the one line: with "socket.io" here, the same chat runs on stock
const { createLive } = require("../live/live");
const { createChat } = require("./app");

const port = process.env.PORT || 3000;
const chat = createChat({ Server, password: process.env.CHAT_PASSWORD, livePage: "/live/" });
const live = createLive(chat);

chat.httpServer.on("error", (error) => {
  if (error.code !== "EADDRINUSE") {
    throw error;
  }
  console.error(`Port ${port} is in use. Choose another one: PORT=3001 npm start`);
  process.exit(1);
});
chat.httpServer.listen(port, () => {
  const url = `http://localhost:${chat.httpServer.address().port}`;
  console.log(`The chat is served on ${url}, plots of a server under load on ${url}/live`);
});

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    live.close();
    chat.io.close();
  });
}
