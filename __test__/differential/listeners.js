"use strict";

// Applications that listen on the HTTP server themselves.

const { once } = require("node:events");
const { promisify } = require("node:util");
const { WebSocket, WebSocketServer } = require("ws");

const PATH = "/socket.io/";

/** What there is to be seen of an upgrade request. */
function describe(stage, { req, socket, head }) {
  const { method, url, httpVersion, upgrade, complete, readable, destroyed, rawHeaders } = req;
  const { "sec-websocket-key": key, ...headers } = req.headers;
  stage.log("server", "request", { method, url, httpVersion, upgrade, complete, readable, destroyed });
  stage.log("server", "headers", headers, key.length, rawHeaders.length);
  stage.log("server", "head", head.length, Buffer.isBuffer(head));
  stage.log("server", "same", req.socket === socket, req.connection === socket);
}

/** What there is to be seen of its connection. */
function describeSocket(stage, { socket }) {
  const { destroyed, readable, writable, readyState, pending, connecting } = socket;
  stage.log("server", "state", { destroyed, readable, writable, readyState, pending, connecting });
  stage.log("server", "bytes", socket.bytesRead > 100, socket.bytesWritten, socket.writableLength);
  stage.log("server", "owner", socket.server === stage.httpServer);
}

function describeAddresses(stage, { socket }) {
  const { remoteAddress, remoteFamily, localAddress, localFamily } = socket;
  stage.log("server", "addresses", { remoteAddress, remoteFamily, localAddress, localFamily });
  stage.log("server", "ports", socket.localPort === stage.port, typeof socket.remotePort);
}

const only = (look) => (stage) => (req, socket, head) => {
  if (req.url.startsWith(PATH)) look(stage, { req, socket, head });
};

/** Listeners for upgrade requests, which come before the engine's or after it. */
const LISTENERS = {
  "that looks at the request": only(describe),
  "that asks for addresses": only(describeAddresses),
  "that listens for errors and the end": only((stage, { socket }) => {
    socket.on("error", () => stage.log("server", "socket error"));
    socket.on("close", () => stage.log("server", "socket close"));
  }),
  "that leaves something at the socket": only((stage, { req, socket }) => {
    if (req.url.includes("sid=")) return;
    socket.isMine = true;
    req.mine = 1;
    stage.io.once("connection", ({ request }) =>
      stage.log("server", "mine", request.mine, request.socket.isMine, request.socket === socket),
    );
  }),
  "that takes the option of the socket": only((stage, { socket }) => {
    stage.log("server", "options", socket.setNoDelay() === socket, socket.setKeepAlive(true) === socket);
  }),
  "that ends what nobody has answered": only((stage, { socket }) => {
    socket.on("error", () => {});
    const checked = new Promise((resolve) => setTimeout(resolve, 200)).then(() => {
      const isUnanswered = socket.writable && socket.bytesWritten <= 0;
      if (isUnanswered) socket.end();
      stage.log("server", "checked", isUnanswered);
    });
    stage.checks = [...(stage.checks ?? []), checked];
  }),
};

/** Those that interfere with the connection. */
const INTERFERING = {
  "that destroys it": only((stage, { socket }) => {
    socket.on("close", () => stage.log("server", "socket close"));
    socket.destroy();
  }),
  "that answers": only((stage, { socket }) => {
    socket.end("HTTP/1.1 402 Mine\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  }),
};

const scenario = (name, listen, place, run) => ({
  name,
  not: { duplex: "such a stream has no addresses and options" },
  async run(stage) {
    const listener = listen(stage);
    const heard = function (...args) {
      stage.log("server", "upgrade", this === stage.httpServer, args.length);
      listener.apply(this, args);
    };
    if (place === "before") stage.httpServer.prependListener("upgrade", heard);
    else stage.httpServer.on("upgrade", heard);
    await run(stage);
    await Promise.all(stage.checks ?? []);
  },
});

/** Whether nobody is connected to an HTTP server. */
async function hasNobody(httpServer) {
  const count = await promisify(httpServer.getConnections).call(httpServer);
  return count === 0;
}

/** A session by a WebSocket, and one that begins with polling. */
async function meet(stage) {
  stage.io.on("connection", () => stage.log("sockets", "connection"));
  stage.io.engine.on("connection", () => stage.log("server", "engine connection"));
  for (const transports of [["websocket"], ["polling", "websocket"]]) {
    const { client, socket } = await stage.pair("client", "/", { transports, forceNew: true });
    if (socket.conn.transport.name === "polling") await once(socket.conn, "upgrade");
    socket.on("echo", (value, reply) => reply(value));
    stage.log("client", "echo", await client.emitWithAck("echo", "é"));
    await new Promise((resolve) => setTimeout(resolve, 50));
    stage.log("client", "echo", await client.emitWithAck("echo", "later"));
    const gone = once(socket, "disconnect");
    client.disconnect();
    await gone;
    await stage.eventually(() => hasNobody(stage.httpServer), "the end of the connections");
  }
}

async function meetNobody(stage) {
  const ws = await stage.upgrade("ws");
  await ws.closed();
}

module.exports = [
  ...["before", "after"].flatMap((place) => [
    ...Object.entries(LISTENERS).map(([name, listen]) =>
      scenario(`a listener for upgrades ${name}, ${place} the engine`, listen, place, meet),
    ),
  ]),
  scenario(
    "a listener for upgrades that looks at the socket, before the engine",
    only(describeSocket),
    "before",
    meet,
  ),
  ...Object.entries(INTERFERING).map(([name, listen]) =>
    scenario(`a listener for upgrades ${name}, before the engine`, listen, "before", meetNobody),
  ),
  {
    name: "upgrade requests are told in the order of the listeners",
    async run(stage) {
      const { httpServer, io } = stage;
      const listener = (name) => (req) => stage.log("server", name, req.url.length > 0);
      httpServer.on("upgrade", listener("after"));
      httpServer.once("upgrade", listener("after, once"));
      httpServer.prependListener("upgrade", listener("before"));
      httpServer.prependOnceListener("upgrade", listener("before, once"));
      const leaving = (req) => {
        stage.log("server", "leaving", req.method);
        httpServer.off("upgrade", leaving);
      };
      httpServer.on("upgrade", leaving);
      io.engine.use((req, res, next) => {
        stage.log("server", "middleware");
        next();
      });
      io.engine.generateId = ((count) => (req) => {
        stage.log("server", "generateId", req.method);
        return `own-${count++}`;
      })(0);
      io.engine.on("connection", () => stage.log("server", "connection"));
      for (const actor of ["first", "second"]) await stage.ws(actor);
    },
  },
  {
    name: "without middlewares, the session comes after all that listen for upgrades",
    async run(stage) {
      const { httpServer, io } = stage;
      httpServer.on("upgrade", () => stage.log("server", "upgrade"));
      io.engine.on("connection", () => stage.log("server", "connection"));
      io.engine.on("initial_headers", (headers) => {
        stage.log("server", "initial_headers");
        headers["X-Mine"] = "1";
      });
      await stage.ws("ws");
    },
  },
  {
    name: "a decision about an upgrade that others hear of",
    options: ({ log }) => ({
      allowRequest(req, decide) {
        log("server", "allowRequest");
        setTimeout(decide, 5, null, req.headers["x-allow"] === "1");
      },
    }),
    async run(stage) {
      const { httpServer } = stage;
      let isTouched = false;
      httpServer.on("upgrade", (req, socket) => {
        stage.log("server", "upgrade");
        if (isTouched) setTimeout(() => socket.on("close", () => stage.log("server", "close")), 1);
      });
      for (isTouched of [false, true]) {
        for (const allow of ["1", "0"]) {
          const ws = await stage.upgrade("ws", { headers: { "X-Allow": allow } });
          if (ws.status === 101) ws.frame({ opcode: 8 });
          await ws.closed();
          if (isTouched) await stage.until("server", "close", allow === "1" ? 1 : 2);
        }
      }
    },
  },
  {
    name: "a WebSocket server of the application's beside the engine",
    async run(stage) {
      const { httpServer } = stage;
      const wss = new WebSocketServer({ noServer: true });
      stage.atEnd(() => wss.close());
      httpServer.on("upgrade", (req, socket, head) => {
        if (req.url !== "/mine") return;
        wss.handleUpgrade(req, socket, head, (ws) => {
          stage.log("server", "mine");
          ws.on("message", (message) => ws.send(`mine ${message}`));
          ws.on("close", (code) => stage.log("server", "mine close", code));
        });
      });
      await meet(stage);
      const ws = new WebSocket(`${stage.server.url.replace("http", "ws")}/mine`, {
        rejectUnauthorized: false,
      });
      await once(ws, "open");
      ws.send("hello");
      const [message] = await once(ws, "message");
      stage.log("mine", String(message));
      ws.close(1000);
      await stage.until("server", "mine close");
      await meet(stage);
    },
  },
  {
    name: "a WebSocket server of the application's that takes all upgrade requests first",
    options: { destroyUpgrade: false },
    async run(stage) {
      const { httpServer, io } = stage;
      const wss = new WebSocketServer({ noServer: true });
      stage.atEnd(() => wss.close());
      const listeners = httpServer.listeners("upgrade");
      httpServer.removeAllListeners("upgrade");
      httpServer.on("upgrade", (req, socket, head) => {
        if (req.headers["x-mine"] === undefined) {
          for (const listener of listeners) listener.call(httpServer, req, socket, head);
        } else {
          wss.handleUpgrade(req, socket, head, (ws) => ws.send("mine"));
        }
      });
      io.engine.on("connection", () => stage.log("server", "connection"));
      await stage.ws("ws");
      const mine = await stage.upgrade("mine", { headers: { "X-Mine": "1" } });
      stage.log("mine", await mine.next());
    },
  },
  {
    name: "a WebSocket server of the application's that takes some of the engine's upgrade requests",
    async run(stage) {
      const { httpServer, io } = stage;
      const wss = new WebSocketServer({ noServer: true });
      stage.atEnd(() => wss.close());
      const { handleUpgrade } = io.engine;
      httpServer.prependListener("upgrade", (req, socket, head) => {
        if (req.headers["x-mine"] === undefined) return;
        req.url = "/mine";
        wss.handleUpgrade(req, socket, head, (ws) => ws.send("mine"));
      });
      stage.log("server", typeof handleUpgrade);
      io.engine.on("connection", () => stage.log("server", "connection"));
      await stage.ws("ws");
      const mine = await stage.upgrade("mine", { headers: { "X-Mine": "1" } });
      stage.log("mine", await mine.next());
      mine.text("hello");
      mine.frame({ opcode: 8 });
      await mine.closed();
      await stage.ws("ws");
    },
  },
  {
    name: "the listener of the engine is taken away, and put back",
    async run(stage) {
      const { httpServer } = stage;
      const [listener] = httpServer.listeners("upgrade");
      const mine = (req, socket) => {
        httpServer.removeAllListeners("upgrade");
        httpServer.on("upgrade", listener);
        stage.log("server", "mine");
        socket.end("HTTP/1.1 299 Mine\r\n\r\n");
      };
      httpServer.removeAllListeners("upgrade");
      httpServer.on("upgrade", mine);
      const ws = await stage.upgrade("mine");
      await ws.closed();
      await stage.ws("ws");
    },
  },
];
