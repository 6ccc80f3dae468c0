"use strict";

// The application listens for upgrade requests itself, in front of the engine or behind it: who hears of what, in which
// order, and what becomes of the WebSocket.

const { WebSocketServer } = require("ws");

/** What listeners do with the requests of the engine. */
const DEEDS = {
  nothing() {},
  "asking for an address": (_req, socket, log) => log("server", socket.remoteAddress),
  "listening for errors": (_req, socket) => socket.on("error", () => {}),
  "listening for the end": (_req, socket, log) => socket.on("close", () => log("socket", "closed")),
  "looking at everything": (req, socket, log) => {
    const { destroyed, writable, readable, bytesRead, bytesWritten, pending, timeout } = socket;
    log("server", { destroyed, writable, readable, bytesWritten, pending, timeout }, bytesRead > 0);
    log("server", req.socket === socket, socket.server.listening, req.headers["sec-websocket-version"]);
  },
  "turning delays off": (_req, socket) => socket.setNoDelay?.(true).setKeepAlive(true, 1000),
  "an answer of its own": (_req, socket) =>
    socket.end("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
  "destroying it": (_req, socket) => socket.destroy(),
  "a time limit": (_req, socket, log) => socket.setTimeout?.(60_000, () => log("server", "timeout")),
  "a header": (req) => {
    req.headers.added = "yes";
  },
  "another URL": (req) => {
    req.url = req.url.replace("EIO=4", "EIO=4&added=1");
  },
};

/** Deeds of a listener behind the engine: what the engine has written by then is a race with stock's own writes. */
const HARMLESS = [
  "nothing",
  "asking for an address",
  "listening for errors",
  "listening for the end",
  "turning delays off",
  "a header",
];

function follow(stage) {
  const { io, log } = stage;
  io.engine.on("connection_error", ({ code, message }) => log("server", "connection_error", code, message));
  io.on("connection", (socket) => {
    const { query, headers, address } = socket.handshake;
    log("server", "connection", query.added, headers.added, address);
    socket.on("event", (value, reply) => reply(value));
    socket.on("disconnect", (reason) => log("server", "disconnect", reason));
  });
}

/** A WebSocket from its request to its end. */
async function play(stage, options) {
  const ws = await stage.upgrade("ws", options);
  if (ws.status !== 101) {
    await ws.closed();
    return;
  }
  await ws.count(1);
  ws.text("40");
  await ws.count(2);
  ws.text('421["event","é"]');
  await ws.count(3);
  ws.frame({ opcode: 8 });
  await ws.closed();
  await stage.until("server", "disconnect");
}

module.exports = [
  ...Object.entries(DEEDS).map(([name, deed]) => ({
    name: `a listener for upgrade requests in front of the engine's: ${name}`,
    async run(stage) {
      follow(stage);
      stage.httpServer.prependListener("upgrade", (req, socket, head) => {
        stage.log("server", "upgrade", req.method, req.upgrade, head.length);
        deed(req, socket, stage.log);
      });
      await play(stage);
      if (name === "listening for the end") await stage.until("socket", "closed");
    },
  })),
  ...HARMLESS.map((name) => ({
    name: `a listener for upgrade requests behind the engine's: ${name}`,
    async run(stage) {
      follow(stage);
      stage.httpServer.on("upgrade", (req, socket, head) => {
        stage.log("server", "upgrade", req.method, req.upgrade, head.length);
        DEEDS[name](req, socket, stage.log);
      });
      await play(stage);
      if (name === "listening for the end") await stage.until("socket", "closed");
    },
  })),
  {
    name: "listeners for upgrade requests, and the checks of the engine",
    options: { allowRequest: (req, done) => setImmediate(done, null, !req.url.includes("no=1")) },
    async run(stage) {
      follow(stage);
      stage.httpServer.prependListener("upgrade", (req) => stage.log("server", "first", req.url.length));
      stage.httpServer.on("upgrade", (req) => stage.log("server", "last", req.url.length));
      await play(stage);
      await play(stage, { query: "EIO=4&transport=websocket&no=1" });
    },
  },
  {
    name: "a listener for upgrade requests, and one that nobody answers",
    not: { duplex: "stock goes by bytesWritten, which such a stream does not have" },
    async run(stage) {
      follow(stage);
      stage.httpServer.on("upgrade", ({ url }) => stage.log("server", "upgrade", url.split("?")[0]));
      await stage.upgrade("other path", { path: "/other" }).then((ws) => ws.closed());
    },
  },
  {
    name: "another WebSocket server beside the engine",
    async run(stage) {
      follow(stage);
      const others = new WebSocketServer({ noServer: true });
      others.on("connection", (webSocket) => webSocket.send("other"));
      stage.httpServer.on("upgrade", (req, socket, head) => {
        stage.log("server", "upgrade", req.url.split("?")[0]);
        if (!req.url.startsWith("/other")) return;
        others.handleUpgrade(req, socket, head, (webSocket) => others.emit("connection", webSocket, req));
      });
      const { client } = await stage.pair("client");
      if (client.io.engine.transport.name !== "websocket") await stage.once(client.io.engine, "upgrade");
      stage.log("client", await client.emitWithAck("event", 1));
      const other = await stage.upgrade("other", { path: "/other" });
      await other.count(1);
      other.frame({ opcode: 8 });
      await other.closed();
      client.disconnect();
      await stage.until("server", "disconnect");
    },
  },
];
