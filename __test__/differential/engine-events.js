"use strict";

// io.engine: its events, its properties, its options.

const HANDSHAKE = "/socket.io/?EIO=4&transport=polling";

function watchHeaders({ io, log }) {
  io.engine.on("initial_headers", (headers, req) => {
    log("engine", "initial_headers", { ...headers }, req.method);
    headers["x-initial"] = "1";
  });
  io.engine.on("headers", (headers, req) => {
    log("engine", "headers", { ...headers }, req.method, typeof req._query.sid);
    headers["X-Each"] = "2";
  });
}

module.exports = [
  {
    name: "initial_headers and headers over polling",
    async run(stage) {
      watchHeaders(stage);
      const polling = await stage.polling("client");
      await polling.post("40");
      await polling.poll();
      await stage.http("refused", { path: `${HANDSHAKE}&sid=x` });
    },
  },
  {
    name: "initial_headers and headers of WebSockets",
    async run(stage) {
      watchHeaders(stage);
      await stage.ws("client");
      await stage.upgrade("refused", { query: "EIO=4&transport=websocket&sid=x" });
    },
  },
  {
    name: "headers of an upgrade",
    async run(stage) {
      watchHeaders(stage);
      const polling = await stage.polling("client");
      const ws = await stage.upgrade("ws", { query: `EIO=4&transport=websocket&sid=${polling.sid}` });
      ws.text("2probe");
      await ws.count(1);
    },
  },
  {
    name: "a list of values for a header",
    async run(stage) {
      stage.io.engine.on("initial_headers", (headers) => {
        headers["set-cookie"] = ["a=1", "b=2"];
      });
      await stage.polling("polling");
    },
  },
  {
    name: "connection, and what it hands over",
    async run(stage) {
      stage.io.engine.on("connection", (...args) => {
        const [conn] = args;
        stage.log("engine", "connection", args.length, conn.readyState, conn.protocol, conn.transport.name);
        stage.log("engine", "known", stage.io.engine.clients[conn.id] === conn, stage.io.engine.clientsCount);
      });
      await stage.polling("polling");
      await stage.ws("ws");
    },
  },
  {
    name: "connection_error of every kind",
    options: {
      allowRequest: (req, callback) => callback(req.headers["x-reason"], !("x-reason" in req.headers)),
    },
    async run(stage) {
      stage.io.engine.on("connection_error", ({ req, code, message, context, ...rest }) => {
        stage.log("engine", "connection_error", req.method, code, message, context, rest);
      });
      const get = (query, options) => stage.http("request", { path: `/socket.io/?${query}`, ...options });
      await get("EIO=4&transport=nope");
      await get("EIO=4&transport=polling&sid=nope");
      await get("EIO=4&transport=polling", { method: "POST" });
      await get("EIO=4&transport=websocket");
      await get("EIO=4&transport=polling", { headers: { "X-Reason": "my reason" } });
      await get("EIO=4&transport=polling", { headers: { "X-Reason": "" } });
      await get("EIO=3&transport=polling");
      const polling = await stage.polling("client");
      await get(`EIO=4&transport=websocket&sid=${polling.sid}`);
      await get(`EIO=3&transport=polling&sid=${polling.sid}`);
      const ws = await stage.upgrade("ws", { headers: { "X-Reason": "not here" } });
      await ws.closed();
    },
  },
  {
    name: "generateId: a string, a promise, and failures",
    async run(stage) {
      stage.io.engine.on("connection_error", ({ code, message, context }) => {
        stage.log("engine", "connection_error", code, message, context);
      });
      const generate = async (actor, generateId) => {
        stage.io.engine.generateId = generateId;
        await stage.http(actor, { path: HANDSHAKE });
        // what a WebSocket is told of a failure depends on which is first: the text, or the end of the stream
        if (!/^fail/.test(actor)) {
          await (await stage.upgrade(`${actor} ws`)).count(1);
        }
      };
      let next = 0;
      await generate("text", () => `id-${next++}`);
      await generate("promise", async () => `id-${next++}`);
      await generate("fails", () => {
        throw new Error("thrown");
      });
      await generate("fails later", () => Promise.reject(new Error("rejected")));
      stage.io.engine.generateId = (req) => `${req.headers["x-id"]}`;
      await stage.http("request", { path: HANDSHAKE, headers: { "X-Id": "from-a-header" } });
    },
  },
  {
    name: "flush and drain of the engine",
    async run(stage) {
      const ws = await stage.ws("client");
      const conn = stage.io.engine.clients[ws.sid];
      for (const event of ["flush", "drain"]) {
        stage.io.engine.on(event, (of, packets) => {
          stage.log(
            "engine",
            event,
            of === conn,
            packets?.map(({ type, data }) => [type, data]),
          );
        });
      }
      conn.send("hello");
      await ws.count(2);
      conn.send(Buffer.from([1]));
      await ws.count(3);
    },
  },
  {
    name: "opts with defaults",
    async run({ io, log }) {
      const {
        path,
        pingTimeout,
        pingInterval,
        upgradeTimeout,
        maxHttpBufferSize,
        transports,
        allowUpgrades,
      } = io.engine.opts;
      log(
        "engine",
        "opts",
        path,
        pingTimeout,
        pingInterval,
        upgradeTimeout,
        maxHttpBufferSize,
        transports,
        allowUpgrades,
      );
      const { perMessageDeflate, httpCompression, cors, allowEIO3, cookie, allowRequest } = io.engine.opts;
      log(
        "engine",
        "opts",
        !!perMessageDeflate,
        httpCompression,
        cors,
        allowEIO3,
        cookie,
        allowRequest,
        typeof wsEngine,
      );
      log(
        "engine",
        "same",
        io.engine === io.eio,
        io.httpServer === io.engine.httpServer,
        io._path,
        io._connectTimeout,
      );
      log("engine", "upgrades", io.engine.upgrades("websocket"));
    },
  },
  {
    name: "engine.close()",
    async run(stage) {
      const ws = await stage.ws("ws");
      const polling = await stage.polling("polling");
      for (const id of [ws.sid, polling.sid]) {
        const actor = id === ws.sid ? "ws conn" : "polling conn";
        stage.watch(actor, stage.io.engine.clients[id], "close");
      }
      stage.log("engine", "close", stage.io.engine.close() === stage.io.engine);
      await ws.closed();
      await stage.until("ws conn", "close");
      await polling.poll();
      await stage.until("polling conn", "close");
      await stage.polling("afterwards");
    },
  },
  {
    name: "handleRequest and handleUpgrade called by others",
    listener: (stage) => (req, res) => {
      if (req.url.startsWith("/elsewhere/")) {
        stage.io.engine.handleRequest(req, res);
      } else {
        res.writeHead(404).end("not found");
      }
    },
    async run(stage) {
      stage.httpServer.on("upgrade", (req, socket, head) => {
        if (req.url.startsWith("/elsewhere/")) {
          stage.io.engine.handleUpgrade(req, socket, head);
        }
      });
      stage.watchSockets();
      const polling = await stage.joinPolling("polling", { path: "/elsewhere/" });
      await polling.post('42["ev"]');
      const ws = await stage.join("ws", { path: "/elsewhere/" });
      ws.text('42["ev"]');
      await stage.until("server", "event ev", 2);
      await stage.http("other", { path: "/other" });
    },
  },
];
