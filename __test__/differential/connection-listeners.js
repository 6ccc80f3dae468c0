"use strict";

// The application listens for the connections of the HTTP server, as whoever wants to end them all some day does: what it
// hears, and what becomes of the sockets that it keeps.

const { get, post, sidOf, wire } = require("../support/wire");

/** What listeners do with connections. */
const DEEDS = {
  "keeping them": (socket, { log }) => socket.once("close", () => log("sockets", "close")),
  "looking at them": (socket, { log }) => {
    const { remoteAddress, destroyed, readable, writable, timeout, bytesRead, bytesWritten } = socket;
    log("sockets", { remoteAddress, destroyed, readable, writable, timeout, bytesRead, bytesWritten });
    log("sockets", socket.server?.listening, socket._httpMessage ?? null);
  },
  "turning delays off": (socket) => socket.setNoDelay?.(true).setKeepAlive(true, 1000),
  "a time limit": (socket) => socket.setTimeout?.(60_000),
  "listening for errors": (socket, { log }) => socket.on("error", () => log("sockets", "error")),
  "listening for what comes": (socket, { log }) =>
    socket.once("data", (chunk) => log("sockets", chunk.toString("latin1").split(" ")[0])),
  "destroying the first": (socket, stage) => {
    stage.first ??= socket;
    if (stage.first === socket) socket.destroy();
  },
};

module.exports = [
  ...Object.entries(DEEDS).map(([name, deed]) => ({
    name: `a listener for connections: ${name}`,
    not: { https: "they are told of before they are encrypted" },
    listener: () => (req, res) => res.end(req.url),
    async run(stage) {
      const { io, httpServer, log } = stage;
      io.on("connection", (socket) => {
        log("server", "connection", socket.conn.transport.name);
        socket.on("event", (value, reply) => reply?.(value));
        socket.on("disconnect", (reason) => log("server", "disconnect", reason));
      });
      httpServer.on("connection", (socket) => {
        log("sockets", "connection");
        deed(socket, stage);
      });
      if (name.startsWith("destroying")) {
        await stage.bytes("first", get());
      }
      const ws = await stage.join("ws");
      ws.text('421["event","é"]');
      await ws.count(3);
      ws.frame({ opcode: 8 });
      await ws.closed();
      await stage.until("server", "disconnect");
      // the session ends before its socket
      if (name === "keeping them") await stage.until("sockets", "close");
      const connection = wire(stage.server);
      const ask = async (text) => {
        const answer = await connection.ask(text);
        log("wire", answer.replaceAll(/Date: [^\r]+/g, "").replaceAll(/"sid":"[^"]+"/g, "<sid>"));
        return answer;
      };
      const sid = sidOf(await ask(get()));
      await ask(post(sid, "40"));
      await ask("GET /page HTTP/1.1\r\nHost: here\r\n\r\n");
      await ask(post(sid, '42["event",1]'));
      connection.socket.end();
      log("wire", await connection.ended());
      if (name === "keeping them") await stage.until("sockets", "close", 2);
    },
  })),
  {
    name: "a listener for connections that ends them all",
    not: { https: "they are told of before they are encrypted" },
    async run(stage) {
      const sockets = new Set();
      stage.httpServer.on("connection", (socket) => {
        sockets.add(socket);
        socket.once("close", () => sockets.delete(socket));
      });
      stage.io.on("connection", (socket) =>
        socket.on("disconnect", (reason) => stage.log("server", "disconnect", reason)),
      );
      const ws = await stage.join("ws");
      const polling = wire(stage.server);
      const sid = sidOf(await polling.ask(get()));
      stage.log("polling", (await polling.ask(post(sid, "40"))).split("\r\n")[0]);
      stage.log("server", sockets.size);
      for (const socket of sockets) socket.destroy();
      await ws.ended();
      await polling.ended();
      await stage.until("server", "disconnect");
      await stage.eventually(() => sockets.size === 0, "the end of all sockets");
    },
  },
];
