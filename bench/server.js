"use strict";

// `node server.js PACKAGE`: the application on stock, or on this package.

const { createServer } = require("node:http");
const application = require("./application");
const { Server } = require(process.argv[2]);

const httpServer = createServer();
const io = new Server(httpServer, {
  pingInterval: Number(process.env.PING_INTERVAL),
  pingTimeout: 60000,
  perMessageDeflate: process.env.DEFLATE === "1",
  serveClient: false,
});

application(io);
httpServer.listen(0, "127.0.0.1", () => console.log(httpServer.address().port));
