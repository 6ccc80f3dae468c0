"use strict";

// Events in both directions: values, names, listeners, flags.

const VALUES = {
  strings: ["", "a", "é😀", '\u0000\u2028"\\', "\ud800", "x".repeat(70_000)],
  numbers: [0, -1.5, 1e21, 123456789012, 2 ** 53],
  structures: [null, true, [], [[]], {}, { a: { b: [1, { c: null }] }, "": 1 }],
  "what JSON leaves out": [undefined, NaN, Infinity, () => 1, Symbol("s"), { f() {}, u: undefined, n: NaN }],
  dates: [new Date(0), { toJSON: () => "own" }, { toJSON: (key) => key }],
  "special keys": [JSON.parse('{"__proto__":{"x":1},"constructor":2,"2":0,"1":0}')],
  classes: [new Map([[1, 2]]), new Set([1]), /x/g, new Error("e"), new URL("http://a/"), Object.create(null)],
  "a lone binary value": [Buffer.from([1, 2])],
};

const NAMES = [
  "message",
  "a b",
  "",
  "constructor",
  "hasOwnProperty",
  "__proto__",
  "ping",
  "error",
  "é",
  "toString",
];

const RESERVED = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

module.exports = [
  ...Object.entries(VALUES).map(([name, values]) => ({
    name: `${name} from the server`,
    async run(stage) {
      await stage.join("raw");
      const { client, socket } = await stage.pair("client");
      stage.io.emit("all", ...values);
      socket.emit("one", ...values);
      stage.io.emit("end");
      await stage.until("client", "event end");
      await stage.until("raw", String.raw`[\"end\"]`);
      client.disconnect();
    },
  })),
  ...Object.entries(VALUES).map(([name, values]) => ({
    name: `${name} from the client`,
    async run(stage) {
      stage.watchSockets();
      const { client } = await stage.pair("client");
      client.emit("ev", ...values);
      client.emit("end");
      await stage.until("server", "event end");
    },
  })),
  {
    name: "names of events, both ways",
    async run(stage) {
      stage.watchSockets();
      const { client, socket } = await stage.pair("client");
      for (const name of NAMES) {
        socket.on(name, (...args) => stage.log("listeners", name, ...args));
        client.emit(name, 1);
      }
      client.emit("end");
      await stage.until("server", "event end");
      for (const name of NAMES) {
        socket.emit(name, 2);
        stage.io.emit(name, 3);
      }
      socket.emit("end");
      await stage.until("client", "event end");
    },
  },
  {
    name: "reserved names are refused",
    async run(stage) {
      const { socket } = await stage.pair("client");
      for (const name of RESERVED) {
        for (const [what, emitter] of Object.entries({
          socket,
          io: stage.io,
          to: stage.io.to("r"),
          nsp: stage.io.of("/n"),
        })) {
          try {
            stage.log("server", `${what}.emit(${name})`, emitter.emit(name) === emitter);
          } catch (error) {
            stage.log("server", `${what}.emit(${name}) throws`, error.message);
          }
        }
      }
      socket.emit("end");
      await stage.until("client", "event end");
    },
  },
  {
    name: "what emit and its kin return",
    async run(stage) {
      const { io } = stage;
      const { socket } = await stage.pair("client");
      const same = (value, of) => (value === of ? "this" : (value?.constructor?.name ?? value));
      stage.log(
        "server",
        "socket",
        ...[
          socket.emit("a"),
          socket.send("b"),
          socket.write("c"),
          socket.compress(false),
          socket.volatile,
          socket.broadcast,
          socket.local,
          socket.to("r"),
          socket.in("r"),
          socket.except("r"),
          socket.timeout(10),
          socket.join("r"),
          socket.leave("r"),
          socket.use((e, next) => next()),
          socket.onAny(() => {}),
          socket.offAny(),
          socket.onAnyOutgoing(() => {}),
          socket.offAnyOutgoing(),
          socket.disconnect(),
        ].map((value) => same(value, socket)),
      );
      stage.log(
        "server",
        "io",
        ...[
          io.emit("a"),
          io.send("b"),
          io.write("c"),
          io.compress(false),
          io.volatile,
          io.local,
          io.to("r"),
          io.in("r"),
          io.except("r"),
          io.timeout(10),
          io.use((s, next) => next()),
          io.of("/").emit("x"),
          io.of("/").to("r").emit("x"),
          io.socketsJoin("x"),
          io.socketsLeave("x"),
          io.disconnectSockets(),
          io.serverSideEmit("x"),
          io.path(),
          io.serveClient(),
          io.connectTimeout(),
          io.path("/x"),
          io.serveClient(false),
          io.connectTimeout(1),
        ].map((value) => same(value, io)),
      );
    },
  },
  {
    name: "send and write",
    async run(stage) {
      stage.watchSockets();
      const ws = await stage.join("raw");
      const { client, socket } = await stage.pair("client");
      socket.send("a", 1);
      socket.write("b");
      stage.io.send("c");
      stage.io.write("d");
      stage.io.of("/").to(socket.id).send?.("e");
      client.send("f", 2);
      await stage.until("server", "event message");
      await ws.count(4);
      await stage.until("client", "event message", 4);
    },
  },
  {
    name: "once, off, removeAllListeners, prependListener and several listeners",
    async run(stage) {
      const { client, socket } = await stage.pair("client");
      const log =
        (name) =>
        (...args) =>
          stage.log("server", name, ...args);
      const gone = log("gone");
      socket.on("ev", log("first"));
      socket.once("ev", log("once"));
      socket.on("ev", gone);
      socket.off("ev", gone);
      socket.prependListener("ev", log("in front"));
      socket.addListener("ev", log("last"));
      socket.on("other", log("other"));
      client.emit("ev", 1);
      client.emit("ev", 2);
      client.emit("other", 3);
      await stage.until("server", "other");
      stage.log("server", "count", socket.listenerCount("ev"), socket.eventNames());
      socket.removeAllListeners("ev");
      client.emit("ev", 4);
      client.emit("other", 5);
      await stage.until("server", "other", 2);
    },
  },
  {
    name: "catch-all listeners, in and out, and their order",
    async run(stage) {
      const { client, socket } = await stage.pair("client");
      const log =
        (name) =>
        (...args) =>
          stage.log("server", name, ...args.filter((arg) => typeof arg !== "function"));
      const gone = log("gone");
      socket.on("ev", log("listener"));
      socket.onAny(log("any"));
      socket.prependAny(log("any in front"));
      socket.onAny(gone);
      socket.offAny(gone);
      socket.onAnyOutgoing(log("out"));
      socket.prependAnyOutgoing(log("out in front"));
      stage.log("server", "counts", socket.listenersAny().length, socket.listenersAnyOutgoing().length);
      client.emit("ev", 1, (answer) => stage.log("client", "ack", answer));
      await stage.until("server", "listener 1");
      client.emit("unheard", 2);
      await stage.until("server", 'any "unheard"');
      socket.emit("a", 1);
      socket.volatile.emit("b", 2);
      stage.io.emit("c", 3);
      socket.broadcast.emit("d", 4);
      stage.io.to(socket.id).emit("e", 5);
      socket.emit("f", Buffer.from([1]));
      await stage.until("client", "event f");
      socket.offAny();
      socket.offAnyOutgoing();
      client.emit("ev", 3);
      await stage.until("server", "listener", 2);
    },
  },
  {
    name: "an event between two that are acknowledged",
    async run(stage) {
      const { client, socket } = await stage.pair("client");
      socket.on("ask", (n, answer) => {
        stage.log("server", "ask", n);
        answer(n);
        socket.emit("after", n);
      });
      for (let n = 0; n < 3; n++) {
        client.emit("ask", n, (answer) => stage.log("client", "ack", answer));
      }
      await stage.until("client", "event after 2");
    },
  },
  {
    name: "packets that arrive in one segment",
    async run(stage) {
      const { frame } = require("../support/raw-websocket");
      stage.io.on("connection", (socket) => {
        for (const name of ["a", "b"]) {
          socket.on(name, (n) => {
            stage.log("server", name, n);
            process.nextTick(() => stage.log("server", `tick of ${name}`, n));
            socket.emit("answer", name, n);
          });
        }
        socket.on("disconnect", (reason) => stage.log("server", "disconnect", reason));
      });
      const ws = await stage.join("raw");
      const texts = ['42["a",1]', '42["b",2]', '42["a",3]'];
      ws.write(Buffer.concat(texts.map((payload) => frame({ payload }))));
      await ws.count(5);
      await stage.until("server", 6);
    },
  },
  {
    name: "what comes behind a DISCONNECT, and an event right in front of it",
    async run(stage) {
      const { frame } = require("../support/raw-websocket");
      stage.io.on("connection", (socket) => {
        socket.on("ev", (n) => stage.log("server", "ev", n));
        stage.watch("server", socket, "disconnecting", "disconnect");
      });
      const ws = await stage.join("raw");
      const texts = ['42["ev",1]', "41", '42["ev",2]'];
      ws.write(Buffer.concat(texts.map((payload) => frame({ payload }))));
      await stage.until("server", "disconnect ");
      await ws.settled();
    },
  },
  {
    name: "volatile events to a client that is ready, and none to one that polls elsewhere",
    async run(stage) {
      const ws = await stage.join("raw");
      const polling = await stage.joinPolling("polling");
      stage.io.volatile.emit("lost on polling", 1);
      stage.io.emit("kept", 2);
      await ws.count(4);
      await polling.poll();
    },
  },
  {
    name: "compress, volatile, local and timeout chained",
    async run(stage) {
      const { client, socket } = await stage.pair("client");
      client.on("ask", (answer) => answer("yes"));
      socket.compress(false).volatile.emit("a", 1);
      socket.volatile.compress(true).emit("b", 2);
      stage.io.local.compress(false).volatile.emit("c", 3);
      socket.local.emit("not to itself");
      socket.timeout(5000).emit("ask", (...args) => stage.log("server", "answer", ...args));
      await stage.until("server", "answer");
    },
  },
  {
    name: "an event emitted in the connection handler, and one before CONNECT of the client",
    async run(stage) {
      stage.watchSockets();
      stage.io.on("connection", (socket) => {
        socket.emit("welcome", socket.id.length);
        stage.io.emit("everybody");
        socket.join("room");
        stage.io.to("room").emit("room");
      });
      const client = stage.client("client");
      client.emit("early", 1);
      await stage.until("server", "event early");
      await stage.until("client", "event room");
      const ws = await stage.join("raw");
      await ws.count(5);
      await stage.until("client", "event room", 2);
    },
  },
  {
    name: "patched onevent and emit",
    async run(stage) {
      stage.io.on("connection", (socket) => {
        const { onevent, emit } = socket;
        socket.onevent = function (packet) {
          stage.log("server", "onevent", packet);
          onevent.call(this, packet);
        };
        socket.emit = function (...args) {
          stage.log("server", "emit", ...args);
          return emit.apply(this, args);
        };
        socket.on("ev", (...args) => stage.log("server", "ev", ...args));
      });
      const { client, socket } = await stage.pair("client");
      client.emit("ev", 1);
      await stage.until("server", "ev 1");
      socket.emit("out", 2);
      stage.io.emit("all", 3);
      await stage.until("client", "event all");
    },
  },
  {
    name: "many events keep their order",
    async run(stage) {
      stage.watchSockets();
      const { client, socket } = await stage.pair("client");
      for (let n = 0; n < 200; n++) {
        client.emit("in", n);
        if (n % 2) {
          socket.emit("out", n);
        } else {
          stage.io.emit("out", n);
        }
      }
      await stage.until("server", "event in", 200);
      await stage.until("client", "event out", 200);
    },
  },
];
