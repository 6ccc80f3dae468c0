"use strict";

// Middleware of namespaces, of sockets and of the engine.

const { AsyncLocalStorage } = require("node:async_hooks");

const failure = (message, properties) => Object.assign(new Error(message), properties);

const POLLING = "/socket.io/?EIO=4&transport=polling";

/** What the middleware of an engine may come to, other than to `next()` once. */
const OUTCOMES = {
  "one that throws": () => {
    throw new Error("no");
  },
  "one that rejects": async () => {
    throw new Error("no");
  },
  "one that rejects later": async () => {
    await new Promise(setImmediate);
    throw new Error("no");
  },
  "one that rejects with nothing": () => Promise.reject(),
  "a thenable that fails": () => ({ then: (_, reject) => reject(new Error("no")) }),
  "an error that is text": (req, res, next) => next("no"),
  "an error that is none": (req, res, next) => next(0),
  "next twice": (req, res, next) => {
    next();
    next();
  },
  "next twice, later": (req, res, next) => {
    setImmediate(next);
    setImmediate(next);
  },
  "next, then an error": (req, res, next) => {
    next();
    next(new Error("too late"));
  },
  "an error, then next": (req, res, next) => {
    next(new Error("no"));
    next();
  },
  "next, then a throw": (req, res, next) => {
    next();
    throw new Error("too late");
  },
  "next, then a rejection": async (req, res, next) => {
    next();
    throw new Error("too late");
  },
  "next, then a rejection later": async (req, res, next) => {
    next();
    await new Promise(setImmediate);
    throw new Error("too late");
  },
  "an answer, then an error": (req, res, next) => {
    res.writeHead(418, { "X-Own": "1" });
    res.end("short and stout");
    next(new Error("no"));
  },
  "an answer, then a throw": (req, res) => {
    res.writeHead(418, { "X-Own": "1" });
    res.end("short and stout");
    throw new Error("no");
  },
  "an answer, then an error later": (req, res, next) => {
    res.writeHead(418, { "X-Own": "1" });
    res.end("short and stout");
    setImmediate(next, new Error("no"));
  },
  "headers, then an error": (req, res, next) => {
    res.setHeader("X-Own", "1");
    next(new Error("no"));
  },
  "an error when the client has gone": (req, res, next) => {
    req.socket.destroy();
    next(new Error("no"));
  },
};

module.exports = [
  {
    name: "in turn, synchronous and not",
    async run(stage) {
      for (const [i, wait] of [
        process.nextTick,
        setImmediate,
        (next) => next(),
        (next) => setTimeout(next, 1),
      ].entries()) {
        stage.io.use((socket, next) => {
          stage.log("server", "use", i, socket.connected, socket.rooms.size, socket.nsp.name);
          wait(next);
        });
      }
      stage.io.on("connection", (socket) =>
        stage.log("server", "connection", socket.connected, socket.rooms.size),
      );
      await stage.pair("client");
    },
  },
  ...[
    failure("plain"),
    failure("with data", { data: { code: 1, list: [] } }),
    failure("with binary data", { data: "text" }),
    failure(""),
    "a string",
    { message: "an object" },
  ].map((error) => ({
    name: `refusing with ${error.message ?? error}`,
    async run(stage) {
      stage.io.use((socket, next) => next(error));
      stage.io.use((socket, next) => {
        stage.log("server", "not reached");
        next();
      });
      stage.watchSockets();
      const ws = await stage.ws("raw");
      ws.text("40");
      await ws.count(2);
      ws.text("40");
      await ws.count(3);
      stage.log("server", "sockets", stage.io.of("/").sockets.size, stage.io.of("/").adapter.rooms.size);
    },
  })),
  {
    name: "refusing one namespace and not the other",
    async run(stage) {
      stage.io.of("/closed").use((socket, next) => next(new Error("closed")));
      stage.io.of("/open").use((socket, next) => next());
      const ws = await stage.ws("raw");
      for (const [i, packet] of ["40/closed,", "40/open,", "40/closed,", '42/open,["ev"]'].entries()) {
        ws.text(packet);
        await ws.count(Math.min(i + 2, 4));
      }
      await ws.settled();
    },
  },
  {
    name: "the client goes while the middleware waits",
    async run(stage) {
      let go;
      stage.io.use((socket, next) => (go = next));
      stage.watchSockets();
      stage.io.engine.on("connection", (conn) => stage.watch("conn", conn, "close"));
      const ws = await stage.ws("raw");
      ws.text("40");
      await stage.eventually(() => go, "the middleware");
      ws.frame({ opcode: 8 });
      await ws.closed();
      await stage.until("conn", "close");
      go();
      await new Promise(setImmediate);
      stage.log(
        "server",
        "sockets",
        stage.io.of("/").sockets.size,
        stage.io.of("/").adapter.rooms.size,
        stage.io.of("/").adapter.sids.size,
      );
    },
  },
  {
    name: "next called twice",
    async run(stage) {
      let error;
      stage.io.use((socket, next) => {
        next();
        try {
          next();
        } catch (thrown) {
          error = thrown;
        }
      });
      stage.io.on("connection", () => stage.log("server", "connection"));
      const ws = await stage.ws("raw");
      ws.text("40");
      await ws.count(2);
      await ws.settled();
      stage.log("server", "error", error);
    },
  },
  {
    name: "events sent while the middleware waits",
    async run(stage) {
      let go;
      stage.io.use((socket, next) => (go = next));
      stage.watchSockets();
      stage.io.engine.on("connection", (conn) => stage.watch("conn", conn, "close"));
      const ws = await stage.ws("raw");
      ws.text("40");
      await stage.eventually(() => go, "the middleware");
      ws.text('42["early"]');
      await stage.until("conn", "close");
      await ws.closed();
    },
  },
  {
    name: "of a socket: passing, changing, refusing",
    async run(stage) {
      stage.io.on("connection", (socket) => {
        socket.use((event, next) => {
          stage.log(
            "server",
            "first",
            event.filter((part) => typeof part !== "function"),
          );
          event[1] = `${event[1]}!`;
          next();
        });
        socket.use(([name], next) => {
          if (name === "bad") {
            next(failure("refused", { data: 1 }));
          } else {
            setImmediate(next);
          }
        });
        socket.on("error", (error) => stage.log("server", "error", error));
        for (const name of ["good", "bad"]) {
          socket.on(name, (...args) => {
            stage.log("server", name, ...args.filter((part) => typeof part !== "function"));
            args.at(-1)?.call?.(null, "answered");
          });
        }
      });
      const { client } = await stage.pair("client");
      client.emit("good", "a");
      await stage.until("server", 'good "a!"');
      client.emit("bad", "b");
      await stage.until("server", "error");
      client.emit("good", "c", (answer) => stage.log("client", "ack", answer));
      await stage.until("client", "ack");
    },
  },
  {
    name: "of a socket that leaves meanwhile",
    async run(stage) {
      let go;
      stage.io.on("connection", (socket) => {
        socket.use((event, next) => (go = next));
        socket.on("ev", () => stage.log("server", "ev"));
        stage.watch("server", socket, "disconnect");
      });
      const { client } = await stage.pair("client");
      client.emit("ev");
      await stage.eventually(() => go, "the middleware");
      client.disconnect();
      await stage.until("server", "disconnect ");
      go();
      await new Promise(setImmediate);
    },
  },
  {
    name: "of the engine: what it sees of requests",
    async run(stage) {
      stage.io.engine.use((req, res, next) => {
        stage.log(
          "engine",
          "first",
          req.method,
          Object.keys(req._query),
          typeof res.setHeader,
          typeof res.writeHead,
          typeof res.end,
        );
        req.mark = "seen";
        next();
      });
      stage.io.engine.use((req, res, next) => {
        stage.log("engine", "second", req.mark);
        setImmediate(next);
      });
      stage.io.on("connection", ({ request }) => stage.log("server", "mark", request.mark));
      const polling = await stage.joinPolling("polling");
      await polling.post('42["ev"]');
      await stage.join("ws");
    },
  },
  {
    name: "of the engine: headers that it sets",
    async run(stage) {
      stage.io.engine.use((req, res, next) => {
        res.setHeader("X-First", "1");
        res.setHeader("x-list", ["a", "b"]);
        res.setHeader("X-Removed", "1");
        res.removeHeader("X-Removed");
        next();
      });
      const polling = await stage.joinPolling("polling");
      await polling.post('42["ev"]');
      await stage.join("ws");
      await stage.http("refused", { path: "/socket.io/?EIO=4&transport=nope" });
    },
  },
  {
    name: "of the engine: an error",
    async run(stage) {
      stage.io.engine.use((req, res, next) => next(new Error("no")));
      stage.io.engine.on("connection_error", ({ code, message, context }) => {
        stage.log("engine", "connection_error", code, message, context);
      });
      await stage.http("polling", { path: "/socket.io/?EIO=4&transport=polling" });
      const ws = await stage.upgrade("ws");
      await ws.closed();
    },
  },
  {
    name: "of the engine: an answer of its own",
    async run(stage) {
      stage.io.engine.use((req, res) => {
        res.writeHead(418, { "X-Own": "1" });
        res.end("short and stout");
      });
      await stage.http("polling", { path: "/socket.io/?EIO=4&transport=polling" });
    },
  },
  ...Object.entries(OUTCOMES).flatMap(([name, middleware]) =>
    ["polling", "websocket"].map((transport) => ({
      name: `of the engine: ${name}, ${transport}`,
      async run(stage) {
        watchEngine(stage);
        stage.io.engine.use((req, res, next) => {
          stage.log("engine", "first");
          return middleware(req, res, next);
        });
        stage.io.engine.use((req, res, next) => {
          stage.log("engine", "second");
          next();
        });
        if (transport === "polling") {
          await stage.http("client", { path: POLLING }).catch(({ code }) => stage.log("client", code));
          await new Promise(setImmediate);
          return;
        }
        const ws = await stage.upgrade("client");
        if (ws.status === 101) {
          await ws.count(1);
          await ws.settled();
        } else {
          await ws.closed();
        }
      },
    })),
  ),
  {
    name: "of the engine: half an answer, then an error",
    async run(stage) {
      watchEngine(stage);
      stage.io.engine.use((req, res, next) => {
        res.writeHead(418, { "X-Own": "1" });
        res.write("short and ");
        next(new Error("no"));
      });
      await stage.http("client", { path: POLLING });
    },
  },
  {
    name: "of the engine: one that is added while another decides",
    async run(stage) {
      watchEngine(stage);
      stage.io.engine.use((req, res, next) => {
        stage.log("engine", "first");
        stage.io.engine.use((req, res, next) => {
          stage.log("engine", "added");
          next();
        });
        next();
      });
      await stage.http("client", { path: POLLING });
    },
  },
  {
    name: "of the engine: a request for an open session that it refuses",
    async run(stage) {
      watchEngine(stage);
      let isRefused = false;
      stage.io.engine.use((req, res, next) => {
        if (isRefused) throw new Error("no");
        next();
      });
      const polling = await stage.joinPolling("client");
      isRefused = true;
      await polling.post('42["ev"]');
      isRefused = false;
      await polling.post('42["ev"]');
    },
  },
  {
    name: "of the engine: the context that it enters",
    async run(stage) {
      const storage = new AsyncLocalStorage();
      stage.io.engine.use((req, res, next) => storage.run("of the first", next));
      stage.io.engine.use((req, res, next) => {
        stage.log("engine", "second", storage.getStore());
        next();
      });
      stage.io.engine.on("connection", () => stage.log("engine", "connection", storage.getStore()));
      await stage.http("client", { path: POLLING });
      await stage.ws("ws");
    },
  },
  ...["polling", "websocket"].map((transport) => ({
    name: `of the engine: when the answer is over, ${transport}`,
    async run(stage) {
      stage.io.engine.use((req, res, next) => {
        stage.log("engine", typeof res.on, typeof res.once, typeof res.emit, res.socket === req.socket);
        if (req._query.sid === undefined) stage.watch("response", res, "finish", "close");
        next();
      });
      if (transport === "polling") {
        await stage.http("client", { path: POLLING });
        await stage.until("response", "close");
        return;
      }
      const ws = await stage.ws("client");
      await ws.settled();
      stage.log("response", "so far");
      ws.frame({ opcode: 8 });
      await ws.closed();
      await stage.until("response", "close");
    },
  })),
  {
    name: "of the engine: a WebSocket that it answers by itself",
    async run(stage) {
      watchEngine(stage);
      stage.io.engine.use((req, res) => {
        stage.watch("response", res, "finish", "close");
        res.writeHead(418);
        res.write("short and ");
        res.end("stout");
        stage.log("response", "ended");
      });
      const ws = await stage.upgrade("client");
      await ws.closed();
      await stage.until("response", "close");
    },
  },
  {
    name: "of the engine: one that waits for the head of the answer to add to it",
    async run(stage) {
      stage.io.engine.use((req, res, next) => {
        const { writeHead } = res;
        res.writeHead = function (...args) {
          this.setHeader("X-Late", "1");
          return writeHead.apply(this, args);
        };
        next();
      });
      await stage.http("client", { path: POLLING });
      await stage.ws("ws");
    },
  },
];

function watchEngine(stage) {
  stage.io.engine.on("connection", () => stage.log("engine", "connection"));
  stage.io.engine.on("connection_error", ({ code, message, context }) => {
    stage.log("engine", "connection_error", code, message, context);
  });
}
