"use strict";

// Namespaces, static and dynamic, and the middleware of both.

const { frame } = require("../support/raw-websocket");

module.exports = [
  {
    name: "several namespaces on one connection, on the wire",
    async run(stage) {
      for (const nsp of ["/", "/chat", "/news"]) {
        stage.watchSockets(stage.io.of(nsp), nsp);
      }
      const ws = await stage.join("raw");
      ws.text('40/chat,{"token":1}');
      await ws.count(3);
      ws.text("40/news,");
      await ws.count(4);
      ws.text('42/chat,["to chat"]');
      ws.text('42/news,["to news"]');
      ws.text('42["to main"]');
      await stage.until("/", "event");
      for (const nsp of ["/", "/chat", "/news"]) {
        stage.io.of(nsp).emit("hello", nsp);
      }
      await ws.count(7);
      ws.text("41/chat,");
      await stage.until("/chat", "disconnect ");
      ws.text('42/news,["again"]');
      await stage.until("/news", "event again");
      ws.text("40/chat,");
      await ws.count(8);
    },
  },
  {
    name: "the clients of several namespaces",
    async run(stage) {
      stage.watchSockets(stage.io.of("/chat"), "chat");
      stage.watchSockets(stage.io, "main");
      const main = stage.client("main client");
      await stage.connected(main);
      const chat = main.io.socket("/chat");
      stage.watch("chat client", chat, "connect", "disconnect");
      await stage.connected(chat);
      const [socket] = stage.io.of("/chat").sockets.values();
      stage.log(
        "server",
        "ids",
        socket.client.sockets.size,
        socket.client.nsps.size,
        socket.id === main.id,
        chat.id === socket.id,
      );
      chat.disconnect();
      await stage.until("chat", "disconnect ");
      main.disconnect();
      await stage.until("main", "disconnect ");
      stage.log("server", "left", stage.io.of("/chat").sockets.size, stage.io.of("/").sockets.size);
    },
  },
  {
    name: "names and what of() returns",
    async run({ io, log }) {
      io.on("new_namespace", ({ name }) => log("server", "new", name));
      log(
        "server",
        "of",
        io.of("chat") === io.of("/chat"),
        io.of("/").name,
        io.of("").name,
        io.of("/a/b").name,
      );
      log("server", "sockets", io.sockets === io.of("/"), [...io._nsps.keys()]);
      log(
        "server",
        "nsp",
        io.of("/chat").server === io,
        io.of("/chat").sockets.size,
        io.of("/chat").adapter.nsp === io.of("/chat"),
      );
      for (const pattern of [/x/g, /x/y]) {
        try {
          io.of(pattern);
          log("server", "passes", String(pattern));
        } catch (error) {
          log("server", String(pattern), error);
        }
      }
      log("server", "dynamic", io.of(/^\/r-\d+$/).name, io.of((name, auth, next) => next(null, false)).name);
    },
  },
  {
    name: "a namespace by a regular expression",
    async run(stage) {
      const parent = stage.io.of(/^\/room-\d+$/);
      stage.io.on("new_namespace", ({ name }) => stage.log("server", "new", name));
      parent.use((socket, next) => {
        stage.log("server", "middleware", socket.nsp.name);
        next();
      });
      parent.on("connection", (socket) =>
        stage.log("server", "connection", socket.nsp.name, socket.nsp === parent),
      );
      const ws = await stage.ws("raw");
      for (const [i, packet] of ["40/room-1,", "40/room-2,", "40/room-x,"].entries()) {
        ws.text(packet);
        await ws.count(i + 2);
      }
      await ws.settled();
      stage.log("server", "names", [...stage.io._nsps.keys()], stage.io.of("/room-7").name);
    },
  },
  {
    name: "a namespace by a function",
    async run(stage) {
      const parent = stage.io.of((name, auth, next) => {
        stage.log("server", "asked", name, auth);
        next(auth.fail ? new Error("no") : null, name.startsWith("/yes"));
      });
      parent.on("connection", ({ nsp }) => stage.log("server", "connection", nsp.name));
      const ws = await stage.ws("raw");
      for (const [i, packet] of [
        '40/yes,{"a":1}',
        "40/no,",
        '40/yes-2,{"fail":true}',
        "40/yes-3,",
      ].entries()) {
        ws.text(packet);
        await ws.count(i + 2);
      }
      parent.emit("to all children", 1);
      parent.to("room").emit("to a room");
      await ws.count(7);
    },
  },
  {
    name: "what a parent does to its children",
    async run(stage) {
      const parent = stage.io.of(/^\/child-/);
      const ws = await stage.ws("raw");
      ws.text("40/child-1,");
      await ws.count(2);
      parent.use((socket, next) => next(new Error("added later")));
      ws.text("40/child-2,");
      await ws.count(3);
      const child = stage.io.of("/child-1");
      const [socket] = child.sockets.values();
      socket.join("r");
      parent.to("r").emit("to a room of the children");
      await ws.count(4);
      for (const method of ["fetchSockets", "allSockets"]) {
        try {
          stage.log("server", method, (await parent[method]()).length);
        } catch (error) {
          stage.log("server", method, error);
        }
      }
    },
  },
  ...[true, false].map((cleanup) => ({
    name: `cleanupEmptyChildNamespaces: ${cleanup}`,
    options: { cleanupEmptyChildNamespaces: cleanup },
    async run(stage) {
      stage.io.of(/^\/child-/).on("connection", (socket) => stage.watch("server", socket, "disconnect"));
      stage.io.on("new_namespace", ({ name }) => stage.log("server", "new", name));
      const ws = await stage.ws("raw");
      ws.text("40/child-1,");
      await ws.count(2);
      ws.text("41/child-1,");
      await stage.until("server", "disconnect ");
      await new Promise(setImmediate);
      stage.log("server", "names", [...stage.io._nsps.keys()]);
      ws.text("40/child-1,");
      await ws.count(3);
      stage.log("server", "names", [...stage.io._nsps.keys()]);
    },
  })),
  {
    name: "events of the server and of the main namespace",
    async run(stage) {
      stage.io.on("connect", () => stage.log("server", "io connect"));
      stage.io.on("connection", () => stage.log("server", "io connection"));
      stage.io.of("/").on("connection", () => stage.log("server", "nsp connection"));
      stage.io.of("/", () => stage.log("server", "of callback"));
      stage.io.once("connection", () => stage.log("server", "once"));
      await stage.pair("a");
      await stage.pair("b");
      stage.log(
        "server",
        "count",
        stage.io.listenerCount("connection"),
        stage.io.of("/").listenerCount("connection"),
        stage.io.eventNames(),
      );
    },
  },
  {
    name: "CONNECT with auth of all kinds",
    async run(stage) {
      stage.io.on("connection", ({ handshake }) => stage.log("server", "auth", handshake.auth));
      for (const [i, auth] of ["", "{}", '{"token":"é"}', '{"a":{"b":[]}}'].entries()) {
        const ws = await stage.ws(`raw ${i}`);
        ws.text(`40${auth}`);
        await ws.count(2);
      }
      const client = stage.client("client", "/", {
        auth: (callback) => callback({ from: "function" }),
        query: { x: "1" },
      });
      await stage.connected(client);
    },
  },
  ...[
    ["/m", "/a"],
    ["/a", "/m"],
    ["/m", "/a", "/b", "/n"],
    ["/none", "/m", "/a"],
    ["/a", "/none", "/m"],
  ].map((names) => ({
    name: `${names.join(", ")} joined at once, of which /m and /n have a middleware`,
    async run(stage) {
      for (const name of ["/m", "/n", "/a", "/b"]) {
        stage.io.of(name).on("connection", (socket) => stage.log("server", "connection", socket.nsp.name));
      }
      for (const name of ["/m", "/n"]) stage.io.of(name).use((socket, next) => next());
      const ws = await stage.ws("ws");
      ws.write(Buffer.concat(names.map((name) => frame({ payload: `40${name},` }))));
      await ws.count(1 + names.length);
    },
  })),
  {
    name: "a namespace joined at once with one whose middleware takes its time",
    async run(stage) {
      stage.io.of("/m").use((socket, next) => setTimeout(next, 20));
      stage.io.of("/a");
      const ws = await stage.ws("ws");
      ws.write(Buffer.concat(["40/m,", "40/a,"].map((payload) => frame({ payload }))));
      await ws.count(3);
    },
  },
];
