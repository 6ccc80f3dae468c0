"use strict";

// The options of the server, as far as they can be seen from outside.

const zlib = require("node:zlib");

const HANDSHAKE = "/socket.io/?EIO=4&transport=polling";
const BUNDLES = [
  "socket.io.js",
  "socket.io.min.js",
  "socket.io.js.map",
  "socket.io.esm.min.js",
  "socket.io.msgpack.min.js",
  "nope.js",
  "socket.io.js?v=1",
];

/** Requests a bundle and logs all but the body and what depends on its bytes. */
async function bundle(stage, path, headers) {
  const answer = await stage.server.request({ path, headers });
  stage.log(
    "request",
    path,
    answer.status,
    answer.rawHeaders.filter((text, i) => !/^(content-length|date)$/i.test(answer.rawHeaders[i - (i % 2)])),
  );
  stage.log("request", "body", answer.bytes.length > 0, answer.headers["content-encoding"]);
  return answer;
}

const handshake = (name, options, query) => ({
  name,
  options,
  async run(stage) {
    await stage.http("polling", { path: `/socket.io/?${query ?? "EIO=4&transport=polling"}` });
    const ws = await stage.upgrade("ws");
    await (ws.status === 101 ? ws.count(1) : ws.closed());
    stage.log("engine", "clients", stage.io.engine.clientsCount);
  },
});

module.exports = [
  handshake("pingInterval, pingTimeout and maxHttpBufferSize in the handshake", {
    pingInterval: 12345,
    pingTimeout: 5000,
    maxHttpBufferSize: 7,
  }),
  handshake("allowUpgrades: false", { allowUpgrades: false }),
  handshake("transports: websocket only", { transports: ["websocket"] }),
  handshake("transports: polling and websocket in another order", { transports: ["websocket", "polling"] }),
  {
    name: "transports: polling only",
    options: { transports: ["polling"] },
    async run(stage) {
      await stage.polling("polling");
      await stage.http("websocket", { path: "/socket.io/?EIO=4&transport=websocket" });
    },
  },
  ...["/socket.io", "/socket.io/", "/own", "/own/", "/a/b", "/"].map((path) => ({
    name: `path: ${path}`,
    options: { path },
    listener: () => (req, res) => res.writeHead(404).end("other"),
    async run(stage) {
      stage.log("server", "path", stage.io.path());
      for (const prefix of ["/socket.io", "/own", "/a/b", ""]) {
        for (const slash of ["/", ""]) {
          await stage.http(`${prefix}${slash}`, { path: `${prefix}${slash}?EIO=4&transport=polling` });
        }
      }
    },
  })),
  {
    name: "addTrailingSlash: false",
    options: { addTrailingSlash: false },
    listener: () => (req, res) => res.writeHead(404).end("other"),
    async run(stage) {
      for (const path of [
        "/socket.io?EIO=4&transport=polling",
        "/socket.io/?EIO=4&transport=polling",
        "/socket.iox?EIO=4&transport=polling",
      ]) {
        await stage.http(path, { path });
      }
    },
  },
  ...BUNDLES.map((file) => ({
    name: `serveClient: ${file}`,
    listener: () => (req, res) => res.writeHead(404).end("other"),
    async run(stage) {
      const answer = await bundle(stage, `/socket.io/${file}`);
      if (answer.headers.etag) {
        await bundle(stage, `/socket.io/${file}`, { "If-None-Match": answer.headers.etag });
        await bundle(stage, `/socket.io/${file}`, { "If-None-Match": '"other"' });
        await bundle(stage, `/socket.io/${file}`, { "Accept-Encoding": "gzip" });
        await bundle(stage, `/socket.io/${file}`, { "Accept-Encoding": "deflate" });
        await bundle(stage, `/socket.io/${file}`, { "Accept-Encoding": "br" });
      }
    },
  })),
  {
    name: "serveClient: false",
    options: { serveClient: false },
    listener: () => (req, res) => res.writeHead(404).end("other"),
    async run(stage) {
      await stage.http("request", { path: "/socket.io/socket.io.js" });
    },
  },
  {
    name: "other requests and upgrades of the HTTP server",
    listener: () => (req, res) => res.writeHead(200, { "X-Own": "1" }).end(`own ${req.url}`),
    async run(stage) {
      stage.httpServer.on("upgrade", (req, socket) => {
        if (req.url.startsWith("/own")) {
          socket.end("HTTP/1.1 200 OK\r\n\r\nown upgrade");
        }
      });
      for (const path of ["/", "/socket.io", "/socket.ioo/", "/SOCKET.IO/"]) {
        await stage.http("request", { path });
      }
      const ws = await stage.upgrade("ws", { path: "/own" });
      await ws.closed();
    },
  },
  {
    name: "allowRequest for polling and WebSockets",
    options: ({ log }) => ({
      allowRequest(req, callback) {
        log("server", "allowRequest", req.method, req.url.includes("sid="), Object.keys(req._query));
        setImmediate(callback, null, req.headers["x-allow"] === "1");
      },
    }),
    async run(stage) {
      const headers = { "X-Allow": "1" };
      const polling = await stage.polling("polling", { headers });
      await polling.post("40");
      const ws = await stage.ws("ws", { headers });
      ws.text("40");
      await ws.count(2);
      await stage.http("refused polling", { path: HANDSHAKE });
      await (await stage.upgrade("refused ws")).closed();
    },
  },
  ...[
    ["the default", undefined, 1500, "gzip"],
    ["the default, below the threshold", undefined, 900, "gzip"],
    ["the default with deflate", undefined, 1500, "deflate"],
    ["the default, and br", undefined, 1500, "br"],
    ["the default, and what is preferred", undefined, 1500, "deflate;q=0.5, gzip;q=0.9"],
    ["the default, and no header", undefined, 1500, undefined],
    ["the default, and identity", undefined, 1500, "identity"],
    ["the default, and anything", undefined, 1500, "*"],
    ["false", false, 1500, "gzip"],
    ["a threshold", { threshold: 10 }, 100, "gzip"],
  ].map(([name, httpCompression, length, encoding]) => ({
    name: `httpCompression: ${name}`,
    options: { httpCompression },
    async run(stage) {
      const polling = await stage.polling("client");
      const conn = stage.io.engine.clients[polling.sid];
      for (const options of [{}, { compress: false }]) {
        conn.send("x".repeat(length), options);
        const headers = encoding && { "Accept-Encoding": encoding };
        const answer = await stage.server.request({ path: polling.url, headers });
        const {
          "content-encoding": used,
          "content-length": size,
          "transfer-encoding": transfer,
        } = answer.headers;
        const decode = { gzip: zlib.gunzipSync, deflate: zlib.inflateSync }[used] ?? ((bytes) => bytes);
        stage.log("client", "poll", used, transfer, used ? undefined : size, decode(answer.bytes).toString());
      }
    },
  })),
  ...[
    true,
    false,
    "hello",
    { name: "sid" },
    { name: "sid", path: "/x", httpOnly: false, sameSite: "strict", secure: true, maxAge: 10 },
    { path: false },
    { name: "a b" },
  ]
    .filter((cookie) => cookie.name !== "a b")
    .map((cookie) => ({
      name: `cookie: ${JSON.stringify(cookie)}`,
      options: { cookie },
      async run(stage) {
        const polling = await stage.polling("polling");
        await polling.post("40");
        await polling.poll();
        await stage.ws("ws");
        stage.log("engine", "cookie", stage.io.engine.opts.cookie);
      },
    })),
  {
    name: "connectTimeout and its method",
    options: { connectTimeout: 15 },
    async run(stage) {
      stage.log("server", "connectTimeout", stage.io.connectTimeout(), stage.io._connectTimeout);
      stage.io.engine.on("connection", (conn) => stage.watch("conn", conn, "close"));
      await (await stage.ws("client")).closed();
      stage.io.connectTimeout(200);
      const joined = await stage.join("joined");
      await new Promise((resolve) => setTimeout(resolve, 250));
      await joined.settled();
    },
  },
  {
    name: "destroyUpgrade: false",
    options: { destroyUpgrade: false, destroyUpgradeTimeout: 10 },
    async run(stage) {
      const { RawConnection, upgradeRequest } = require("../support/raw-websocket");
      const upgrade = stage.once(stage.httpServer, "upgrade");
      const connection = stage.server.keep(new RawConnection(stage.server));
      connection.write(upgradeRequest("/other/"));
      await new Promise((resolve) => setTimeout(resolve, 60));
      stage.log("client", "end", connection.end, connection.received.length);
      // nobody reads from it, and so nobody would find that the client has hung up
      (await upgrade)[1].destroy();
    },
  },
  {
    name: "initialPacket",
    options: { initialPacket: "hello" },
    async run(stage) {
      const ws = await stage.ws("ws");
      await ws.count(2);
      const polling = await stage.polling("polling");
      if (!/hello/.test(polling.answer.body)) {
        await polling.poll();
      }
    },
  },
  {
    name: "an HTTP server with a trailing listener for requests",
    async run(stage) {
      stage.httpServer.on("request", (req) =>
        stage.log("server", "request", req.url.split("&t=")[0].replace(/sid=.*/, "sid")),
      );
      const polling = await stage.joinPolling("polling");
      await polling.post('42["ev"]');
    },
  },
  ...["port", "text", "attach", "listen", "callable", "options only", "nothing"].map((how) => ({
    name: `ways to make a server: ${how}`,
    async run(stage) {
      const { sio } = stage;
      const { httpServer, port } = await stage.listen();
      let io;
      if (how === "attach") {
        io = new sio.Server();
        stage.log("server", "attach", io.attach(httpServer) === io);
      } else if (how === "listen") {
        io = new sio.Server({ pingInterval: 1234 });
        io.listen(httpServer, { pingInterval: 4321, pingTimeout: 77 });
      } else if (how === "callable") {
        io = sio(httpServer, { path: "/socket.io" });
      } else if (how === "options only") {
        io = new sio.Server({ pingTimeout: 99 });
        io.attach(httpServer);
      } else if (how === "nothing") {
        io = new sio.Server();
        stage.log(
          "server",
          "before",
          io.engine,
          io.httpServer,
          io.sockets.name,
          io.of("/").adapter.rooms.size,
        );
        io.emit("to nobody");
        io.attach(httpServer);
      } else {
        // a port of its own: only that it listens, and who made it
        io = new sio.Server(how === "port" ? 0 : undefined);
        if (how === "text") {
          io.listen("0");
        }
        stage.log("server", "httpServer", typeof io.httpServer.listen, io.httpServer.listening);
        await new Promise((resolve) => io.close(resolve));
        httpServer.close();
        return;
      }
      io.on("connection", () => stage.log("server", "connection"));
      const server = stage.adopt(io, port);
      const ws = await stage.join("ws", {}, server);
      await ws.settled();
    },
  })),
  {
    name: "what cannot be attached",
    async run({ sio, log }) {
      for (const [name, value] of Object.entries({ function: () => {}, null: null, text: "x" })) {
        try {
          new sio.Server().attach(value);
          log("server", name, "passes");
        } catch (error) {
          log("server", name, error.constructor.name, /express/.test(error.message));
        }
      }
    },
  },
  {
    name: "two servers with different paths on one HTTP server",
    async run(stage) {
      const second = new stage.sio.Server(stage.httpServer, { path: "/second" });
      second.on("connection", () => stage.log("second", "connection"));
      stage.io.on("connection", () => stage.log("first", "connection"));
      await stage.join("a");
      await stage.join("b", { path: "/second/" });
      await stage.joinPolling("c", { path: "/second/" });
      second.engine.close();
    },
  },
];
