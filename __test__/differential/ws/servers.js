"use strict";

// The life of a WebSocketServer: options, address, listening, errors, close.

const fs = require("node:fs");
const http = require("node:http");
const net = require("node:net");
const os = require("node:os");
const path = require("node:path");
const { stock } = require("../../support/ws-stage");

const made = (name, options) => ({
  name: `new WebSocketServer ${name}`,
  async run(stage) {
    const server = http.createServer();
    for (const one of options(server)) {
      try {
        const wss = stage.make(one);
        stage.log("server", "made", wss.options.noServer, wss.address === undefined);
      } catch (error) {
        stage.log("server", error);
      }
    }
    stage.log("server", "upgrade listeners", server.listenerCount("upgrade"));
  },
});

/** Three ways of having a server. */
const KINDS = {
  "with a port": (stage, options) => stage.serve(options),
  "with a server": async (stage, options) => {
    const server = await stage.listen((req, res) => res.end("plain"));
    return stage.make({ server, ...options });
  },
  "without a server": async (stage, options) => {
    const server = await stage.listen((req, res) => res.end("plain"));
    const wss = stage.make({ noServer: true, ...options });
    server.on("upgrade", (req, socket, head) => {
      wss.handleUpgrade(req, socket, head, (ws) => wss.emit("connection", ws, req));
    });
    return wss;
  },
};

/** A scenario for each of them. */
const each = (name, run) =>
  Object.entries(KINDS).map(([kind, make]) => ({
    name: `${name}, ${kind}`,
    run(stage) {
      // the end of a port is the HTTP server's, which does not wait until the last socket has told of its own
      stage.ending = kind === "with a port" ? "ending" : "server";
      return run(stage, (options) => make(stage, options));
    },
  }));

async function connected(stage, actor, options) {
  const accepted = stage.once(stage.wss, "connection");
  const client = stage.client(actor, options);
  await stage.once(client, "open");
  const [socket] = await accepted;
  return { client, socket };
}

module.exports = [
  made("without options", () => [undefined, null, {}, { path: "/" }]),
  made("with a port that is none", () => [{ port: null }, { port: undefined }]),
  made("with more than one of port, server, noServer", (server) => [
    { port: 0, server },
    { port: 0, noServer: true },
    { server, noServer: true },
    { port: 0, server, noServer: true },
  ]),
  made("with noServer", () => [{ noServer: true }, { noServer: 1 }]),
  made("with ports out of range", () => [{ port: 65536 }, { port: -1 }]),
  {
    name: "WebSocketServer without new",
    run(stage) {
      stage.attempt("server", "called", () => stage.ws.WebSocketServer({ noServer: true }));
    },
  },
  {
    name: "options as they are kept",
    run(stage) {
      const given = { noServer: true, maxPayload: 10, mine: 1 };
      const wss = stage.make(given);
      stage.log("server", "same", wss.options === given, given);
      const { WebSocket, ...rest } = wss.options;
      stage.log("server", "options", rest, typeof WebSocket);
    },
  },
  ...[true, { threshold: 5 }, {}, undefined, null].map((perMessageDeflate) => ({
    name: `perMessageDeflate ${JSON.stringify(perMessageDeflate)} as it is kept`,
    run(stage) {
      stage.log("server", stage.make({ noServer: true, perMessageDeflate }).options.perMessageDeflate);
    },
  })),

  {
    name: "address() with a port",
    async run(stage) {
      const wss = stage.make({ port: 0, host: "127.0.0.1" });
      stage.watchServer();
      await stage.once(wss, "listening");
      const { port, ...rest } = wss.address();
      stage.log("server", "address", rest, typeof port, port > 0);
      wss.close();
      stage.attempt("server", "address while closing", () => wss.address());
      await stage.until("server", "server close");
      stage.attempt("server", "address afterwards", () => wss.address());
    },
  },
  {
    name: "address() with a server",
    async run(stage) {
      const server = http.createServer();
      const wss = stage.make({ server });
      stage.watchServer();
      stage.attempt("server", "address before", () => wss.address());
      await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
      stage.know(server.address().port);
      stage.attempt("server", "address", () => wss.address());
      server.close();
      await stage.once(server, "close");
      stage.attempt("server", "address of a closed server", () => wss.address());
      wss.close();
      stage.attempt("server", "address afterwards", () => wss.address());
      await stage.until("server", "server close");
    },
  },
  {
    name: "address() without a server",
    run(stage) {
      const wss = stage.make({ noServer: true });
      stage.attempt("server", "address", () => wss.address());
    },
  },
  {
    name: "address() of a socket in the file system",
    skip: process.platform === "win32" && "Windows has none",
    async run(stage) {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), "ws-"));
      stage.atEnd(() => fs.rmSync(folder, { recursive: true, force: true }));
      const file = path.join(folder, "socket");
      const server = http.createServer();
      const wss = stage.make({ server });
      stage.watchServer();
      await new Promise((resolve) => server.listen(file, resolve));
      stage.log("server", "is the path", wss.address() === file);
      const client = new stock.WebSocket(`ws+unix://${file}:/some/path?a=1`);
      stage.watch("client", client);
      await stage.once(client, "open");
      client.send("over it");
      await stage.until("server", "message");
      client.close();
      await stage.over();
      server.close();
    },
  },

  {
    name: "a callback that hears of listening",
    async run(stage) {
      await new Promise((resolve) => {
        const wss = stage.make({ port: 0, host: "127.0.0.1" }, (...args) => {
          stage.log("server", "callback", args, wss.address() !== null);
          setImmediate(resolve);
        });
        wss.on("listening", (...args) => stage.log("server", "listening", args));
        stage.log("server", "made", wss.address());
      });
    },
  },
  {
    name: "a callback where nothing listens",
    async run(stage) {
      stage.make({ noServer: true }, () => stage.log("server", "callback"));
      const server = http.createServer();
      const wss = stage.make({ server }, () => stage.log("server", "callback with a server"));
      wss.on("listening", () => stage.log("server", "listening"));
      await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
      await stage.turns();
      stage.log("server", "end");
      server.close();
    },
  },
  {
    name: "a port in use",
    async run(stage) {
      const first = await stage.serve();
      const second = stage.make({ port: first.address().port, host: "127.0.0.1" });
      const [error] = await stage.once(second, "error");
      stage.log("server", "error", error, error.syscall, second.address());
      second.close((error) => stage.log("server", "closed", error));
      await stage.until("server", "closed");
    },
  },
  {
    name: "a port in use, of the server that was given",
    async run(stage) {
      const first = await stage.serve();
      const server = http.createServer();
      stage.make({ server });
      stage.watchServer();
      server.listen(first.address().port, "127.0.0.1");
      await stage.until("server", "server error");
    },
  },
  {
    name: "errors of the server that was given",
    async run(stage) {
      const server = http.createServer();
      const wss = stage.make({ server });
      stage.watchServer();
      stage.log("server", "listeners", ...["error", "upgrade"].map((one) => server.listenerCount(one)));
      stage.log("server", "emit", server.emit("error", new Error("of the application")));
      server.emit("listening");
      wss.close();
      stage.log("server", "listeners", ...["error", "upgrade"].map((one) => server.listenerCount(one)));
      stage.attempt("server", "emit", () => server.emit("error", new Error("unheard")));
      await stage.until("server", "server close");
    },
  },
  {
    name: "the arguments of connection",
    async run(stage) {
      const wss = await stage.serve();
      wss.on("connection", function (...args) {
        const [ws, req] = args;
        stage.log("server", args.length, this === wss, wss.clients.has(ws), wss.clients.size, ws.readyState);
        stage.log("server", req instanceof http.IncomingMessage, req.method, req.url, req.headers["x-mine"]);
        stage.log("server", req.socket.remoteAddress, req.socket.remotePort > 0, req.socket.encrypted);
        stage.log("server", req.complete, req.aborted, req.httpVersion);
      });
      const client = stage.client("client", { path: "/p/q?r=s", headers: { "X-Mine": "yes" } });
      await stage.once(client, "open");
      client.close();
      await stage.over("client");
    },
  },
  {
    name: "the road of a client of stock's over TLS",
    async run(stage) {
      const server = await stage.listen((req, res) => res.end("plain"), { secure: true });
      const wss = stage.make({ server });
      stage.watchServer();
      wss.on("connection", (ws, req) => {
        stage.log("server", "encrypted", req.socket.encrypted, req.socket.authorized);
        ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary }));
      });
      await stage.request("browser", { secure: true });
      const { client } = await connected(stage, "client", { secure: true });
      client.send("secret");
      client.send(Buffer.alloc(100_000, 1));
      await stage.until("client", "message", 2);
      client.close(1000, "enough");
      await stage.over();
    },
  },
  {
    name: "a server that is given, and its other requests",
    async run(stage) {
      const server = await stage.listen((req, res) =>
        res.writeHead(req.url === "/" ? 200 : 404).end(`app ${req.url}`),
      );
      const wss = stage.make({ server, path: "/ws" });
      stage.watchServer();
      await stage.request("browser", { path: "/" });
      await stage.request("browser", { path: "/ws" });
      const { client } = await connected(stage, "client", { path: "/ws" });
      client.send("one");
      await stage.until("server", "message");
      await stage.request("browser", { path: "/again" });
      client.close();
      await stage.over();
      wss.close();
      await stage.until("server", "server close");
      await stage.request("browser", { path: "/after" });
      stage.log("server", "listening", server.listening, server.listenerCount("upgrade"));
      await stage.handshake("late", { path: "/ws" });
    },
  },

  ...each("close() with nobody there", async (stage, make) => {
    const wss = await make();
    stage.watchServer();
    const returned = wss.close((...args) => stage.log(stage.ending, "callback", args));
    stage.log("server", "returned", returned);
    await stage.until(stage.ending, "callback");
  }),
  ...each("close() without a callback", async (stage, make) => {
    const wss = await make();
    stage.watchServer();
    wss.close();
    await stage.until(stage.ending, "server close");
  }),
  ...each("close() twice at once", async (stage, make) => {
    const wss = await make();
    stage.watchServer();
    wss.close((error) => stage.log(stage.ending, "first", error));
    wss.close((error) => stage.log(stage.ending, "second", error));
    await stage.until(stage.ending, "second");
    await stage.turns();
  }),
  ...each("close() of a closed server", async (stage, make) => {
    const wss = await make();
    stage.watchServer();
    wss.close((error) => stage.log(stage.ending, "first", error));
    await stage.until(stage.ending, "first");
    await stage.turns();
    wss.close((error) => stage.log(stage.ending, "second", error));
    await stage.until(stage.ending, "second");
    wss.close();
    await stage.until(stage.ending, "server close", 3);
  }),
  ...each("close() with clients left", async (stage, make) => {
    const wss = await make();
    stage.watchServer();
    const { client, socket } = await connected(stage, "client");
    wss.close((error) => stage.log(stage.ending, "callback", error));
    await stage.turns(10);
    stage.log("server", "clients", wss.clients.size, socket.readyState);
    socket.send("still");
    await stage.until("client", "message");
    client.send("here");
    await stage.until("server", "message");
    client.close(1001, "bye");
    await stage.until(stage.ending, "callback");
    await stage.over();
    stage.log("server", "clients", wss.clients.size);
  }),
  ...each("close() with two clients, closed by the application", async (stage, make) => {
    const wss = await make();
    await connected(stage, "one");
    await connected(stage, "two");
    wss.on("close", () => stage.log(stage.ending, "close"));
    wss.close();
    for (const ws of wss.clients) {
      ws.close(1012, "restart");
    }
    await stage.over("one", "two");
    await stage.until(stage.ending, "close");
  }),
  ...each("close() and terminate()", async (stage, make) => {
    const wss = await make();
    stage.watchServer();
    await connected(stage, "client");
    wss.close(() => stage.log(stage.ending, "callback"));
    for (const ws of wss.clients) {
      ws.terminate();
    }
    await stage.until(stage.ending, "callback");
    await stage.over();
  }),
  ...each("close() without tracking of clients", async (stage, make) => {
    const wss = await make({ clientTracking: false });
    stage.watchServer();
    stage.log("server", "clients", wss.clients);
    const { client, socket } = await connected(stage, "client");
    wss.close((error) => stage.log(stage.ending, "callback", error));
    stage.log("server", "state", socket.readyState);
    client.close();
    await stage.over();
    await stage.until(stage.ending, "callback");
  }),
  ...each("a connection without a request while the server closes", async (stage, make) => {
    const wss = await make();
    stage.watchServer();
    const { client } = await connected(stage, "client");
    const late = net.connect(stage.port, "127.0.0.1");
    await stage.once(late, "connect");
    wss.close();
    client.close();
    await stage.over();
    late.destroy();
    await stage.until(stage.ending, "server close");
  }),
  ...each("close() from a listener of connection", async (stage, make) => {
    const wss = await make();
    stage.watchServer();
    wss.on("connection", (ws) => {
      wss.close(() => stage.log(stage.ending, "callback"));
      ws.close(1001);
    });
    stage.client();
    await stage.over();
    await stage.until(stage.ending, "callback");
  }),
  ...each("clients as they come and go", async (stage, make) => {
    const wss = await make();
    const seen = (what) =>
      stage.log(
        "server",
        what,
        wss.clients.size,
        [...wss.clients].map((one) => one.readyState),
      );
    stage.log("server", "a set", wss.clients instanceof Set);
    const one = await connected(stage, "one");
    seen("one");
    const two = await connected(stage, "two");
    seen("two");
    one.socket.on("close", () => seen("in close"));
    one.client.close();
    await stage.over("one");
    await stage.until("server", "in close");
    seen("one has gone");
    two.socket.terminate();
    await stage.over("two");
    await stage.eventually(() => wss.clients.size === 0, "nobody");
    seen("nobody");
  }),
  {
    name: "a client that is added to the set by hand",
    async run(stage) {
      const wss = await stage.serve();
      const { socket } = await connected(stage, "client");
      const own = { isMine: true, terminate() {} };
      wss.clients.add(own);
      wss.clients.delete(socket);
      stage.log("server", "clients", wss.clients.size);
      socket.close();
      await stage.over("client");
      stage.log("server", "clients", wss.clients.size);
      wss.clients.delete(own);
    },
  },
  {
    name: "several servers in one process",
    async run(stage) {
      const first = await stage.serve();
      stage.watchServer(first, "first");
      await connected(stage, "one");
      const second = await stage.serve();
      stage.watchServer(second, "second");
      const { client } = await connected(stage, "two");
      client.send("to the second");
      await stage.until("second", "message");
      first.clients.forEach((ws) => ws.close(4000));
      await stage.over("first", "one");
      client.close();
      await stage.over("second", "two");
    },
  },
];
