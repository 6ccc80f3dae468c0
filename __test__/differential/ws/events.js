"use strict";

// The EventTarget half of a socket, and what the package exports.

const EventEmitter = require("node:events");
const { CLOSE, closePayload, frame } = require("../../support/raw-websocket");
const { frames, stock } = require("../../support/ws-stage");

const TYPES = ["open", "message", "close", "error"];

async function goodbye(stage, raw) {
  await raw.settled();
  raw.close(1000, "bye");
  await raw.over();
  await stage.until("server", "close in");
}

/** What can be seen of an event. */
function details(stage, socket, event) {
  const keys = [];
  for (const key in event) keys.push(key);
  const { type, target, data, code, reason, wasClean, error, message } = event;
  stage.log(
    "event",
    type,
    event.constructor.name,
    keys,
    target === socket,
    Object.prototype.toString.call(event),
  );
  stage.log("event", { data, code, reason, wasClean, error, message });
}

const withSocket = (name, run) => ({
  name,
  async run(stage) {
    const { socket, raw } = await stage.rawPair();
    await run(stage, socket, raw);
    await goodbye(stage, raw);
  },
});

/** The names of what a prototype has, that are no secret. */
const names = (object) =>
  Object.getOwnPropertyNames(object)
    .filter((name) => !name.startsWith("_"))
    .sort();

const PRIVATE = /^(_.*|completeUpgrade|setSocket|emitClose)$/;

module.exports = [
  withSocket("onmessage, onclose: what the events have", async (stage, socket, raw) => {
    socket.onmessage = (event) => details(stage, socket, event);
    socket.onclose = (event) => details(stage, socket, event);
    raw.write(frames({ payload: "text" }, { opcode: 2, payload: "bytes" }));
  }),
  withSocket("onmessage with an ArrayBuffer", async (stage, socket, raw) => {
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => stage.log("event", typeof data, data.constructor.name);
    raw.write(frames({ payload: "text" }, { opcode: 2, payload: "bytes" }));
  }),
  {
    name: "onerror: what the event has",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.onerror = (event) => details(stage, socket, event);
      socket.onclose = (event) => details(stage, socket, event);
      raw.frame({ rsv: 2 });
      await raw.ended();
      await stage.until("event", "close");
    },
  },
  {
    name: "onclose after terminate()",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.onclose = (event) => details(stage, socket, event);
      socket.terminate();
      await raw.ended();
      await stage.until("event", "close");
    },
  },
  {
    name: "onclose after close()",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.onclose = (event) => details(stage, socket, event);
      socket.close(4000, "why");
      await raw.closed();
      await stage.until("event", "close");
    },
  },
  {
    name: "onclose after an empty close frame",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      socket.onclose = (event) => details(stage, socket, event);
      raw.close(null);
      await raw.over();
      await stage.until("event", "close");
    },
  },
  ...TYPES.map((type) =>
    withSocket(`on${type} set and read`, async (stage, socket) => {
      const property = `on${type}`;
      const before = socket.listenerCount(type);
      const count = () => stage.log("server", "listeners", socket.listenerCount(type) - before);
      const first = () => {};
      const second = () => {};
      stage.log("server", socket[property]);
      count();
      socket[property] = first;
      stage.log("server", socket[property] === first);
      count();
      socket[property] = second;
      stage.log("server", socket[property] === second);
      count();
      for (const value of [null, undefined, 5, "text", { handleEvent() {} }]) {
        socket[property] = first;
        socket[property] = value;
        stage.log("server", socket[property]);
        count();
      }
      socket[property] = first;
      socket.removeEventListener(type, first);
      stage.log("server", socket[property] === first);
      socket.addEventListener(type, first);
      count();
      socket[property] = null;
      count();
      socket.removeEventListener(type, first);
      count();
    }),
  ),
  withSocket("addEventListener: who hears, and in which order", async (stage, socket, raw) => {
    const log = (name) => () => stage.log("order", name);
    socket.on("message", log("on"));
    socket.addEventListener("message", log("addEventListener"));
    socket.onmessage = log("onmessage");
    socket.prependListener("message", log("prepended"));
    socket.once("message", log("once"));
    socket.addEventListener("message", log("addEventListener once"), { once: true });
    raw.text("one");
    raw.text("two");
  }),
  withSocket("addEventListener with an object", async (stage, socket, raw) => {
    const handler = {
      name: "the handler",
      handleEvent(event) {
        stage.log("event", this.name, event.type, event.data, this === handler);
      },
    };
    socket.addEventListener("message", handler);
    socket.addEventListener("message", handler);
    raw.text("one");
    await raw.settled();
    socket.removeEventListener("message", handler);
    raw.text("two");
  }),
  withSocket("addEventListener: `this`", async (stage, socket, raw) => {
    socket.addEventListener("message", function (event) {
      stage.log("event", this === socket, event.target === this, arguments.length);
    });
    raw.text("one");
  }),
  withSocket("addEventListener twice with one listener", async (stage, socket, raw) => {
    const listener = ({ data }) => stage.log("event", data);
    socket.addEventListener("message", listener);
    socket.addEventListener("message", listener);
    socket.addEventListener("message", listener, { once: true });
    stage.log("event", "listeners", socket.listenerCount("message"));
    raw.text("one");
    await raw.settled();
    socket.removeEventListener("message", listener);
    stage.log("event", "listeners", socket.listenerCount("message"));
    raw.text("two");
  }),
  withSocket("addEventListener once, and removed before", async (stage, socket, raw) => {
    const listener = ({ data }) => stage.log("event", data);
    socket.addEventListener("message", listener, { once: true });
    socket.removeEventListener("message", listener);
    stage.log("event", "listeners", socket.listenerCount("message"));
    raw.text("one");
  }),
  withSocket("addEventListener for events that there are none of", async (stage, socket, raw) => {
    for (const type of ["ping", "pong", "upgrade", "x", undefined]) {
      stage.attempt("server", `add ${type}`, () =>
        socket.addEventListener(type, () => stage.log("event", type)),
      );
      stage.log("server", socket.listenerCount(String(type)));
    }
    raw.write(frame({ opcode: 9, payload: "x" }));
  }),
  withSocket("removeEventListener of what is not there", async (stage, socket) => {
    const listener = () => {};
    socket.on("message", listener);
    stage.attempt("server", "remove", () => socket.removeEventListener("message", listener));
    stage.attempt("server", "remove", () => socket.removeEventListener("message", () => {}));
    stage.attempt("server", "remove", () => socket.removeEventListener("x", listener));
    stage.log("server", "listeners", socket.listenerCount("message"));
  }),
  withSocket("listeners of an EventEmitter", async (stage, socket, raw) => {
    stage.log("server", socket instanceof EventEmitter, socket.eventNames().includes("message"));
    const seen = EventEmitter.once(socket, "message");
    raw.text("for once");
    stage.log("server", (await seen)[0].toString(), (await seen).length);
    socket.removeAllListeners("message");
    raw.text("unheard");
    await raw.settled();
    stage.log(
      "server",
      "emitted by hand",
      socket.emit("message", Buffer.from("x"), false),
      socket.emit("own", 1),
    );
    socket.on("own", (...args) => stage.log("server", "own", ...args));
    socket.emit("own", 1, "two");
  }),
  withSocket("properties of the application's own", async (stage, socket, raw) => {
    socket.isAlive = true;
    socket.user = { name: "x" };
    socket.on("message", function () {
      stage.log("server", this === socket, this.isAlive, this.user);
    });
    raw.text("one");
  }),
  withSocket("a message that arrived before there was a listener is lost", async (stage, socket, raw) => {
    socket.removeAllListeners("message");
    raw.text("one");
    await raw.settled();
    socket.on("message", (data) => stage.log("server", "heard", data.toString()));
    raw.text("two");
  }),
  {
    name: "an async iterator of messages",
    async run(stage) {
      const { socket, raw } = await stage.rawPair();
      const stop = new AbortController();
      const read = (async () => {
        try {
          for await (const [data] of EventEmitter.on(socket, "message", { signal: stop.signal })) {
            stage.log("iterator", data.toString());
          }
        } catch (error) {
          stage.log("iterator", error.name);
        }
      })();
      raw.write(frames({ payload: "1" }, { payload: "2" }, { opcode: CLOSE, payload: closePayload(1000) }));
      await raw.over();
      await stage.until("server", "close in");
      stop.abort();
      await read;
    },
  },

  {
    name: "what is exported",
    run(stage) {
      for (const name of Object.keys(stock).sort()) {
        stage.log("exports", name, typeof stage.ws[name]);
      }
      stage.log(
        "exports",
        typeof stage.ws,
        stage.ws.WebSocket === stage.ws,
        stage.ws.Server === stage.ws.WebSocketServer,
      );
      stage.log("exports", stage.ws.WebSocket.name, stage.ws.WebSocketServer.name);
    },
  },
  {
    name: "constants",
    run(stage) {
      const { WebSocket } = stage.ws;
      for (const name of ["CONNECTING", "OPEN", "CLOSING", "CLOSED"]) {
        for (const object of [WebSocket, WebSocket.prototype]) {
          const { value, writable, enumerable, configurable } =
            Object.getOwnPropertyDescriptor(object, name) ?? {};
          stage.log("constants", name, value, writable, enumerable, configurable);
        }
      }
    },
  },
  {
    name: "what has the prototype of a server",
    run(stage) {
      const { WebSocketServer } = stage.ws;
      // there may be more
      for (const name of names(stock.WebSocketServer.prototype).filter((name) => !PRIVATE.test(name))) {
        stage.log("prototype", name, WebSocketServer.prototype[name]?.length);
      }
      stage.log("prototype", WebSocketServer.prototype instanceof EventEmitter, WebSocketServer.length);
    },
  },
  {
    name: "what a server has of its own",
    run(stage) {
      const wss = stage.make({ noServer: true });
      const own = Object.keys(wss).filter((name) => !name.startsWith("_"));
      stage.log("own", own.sort(), wss instanceof EventEmitter, wss.constructor === stage.ws.WebSocketServer);
    },
  },
  withSocket("what a socket of a server has", async (stage, socket) => {
    const inherited = [];
    for (const name in socket) inherited.push(name);
    const emitters = new Set(Object.getOwnPropertyNames(EventEmitter.prototype));
    stage.log("for in", inherited.filter((name) => !PRIVATE.test(name) && !emitters.has(name)).sort());
    stage.log(
      "own",
      Object.keys(socket)
        .filter((name) => !name.startsWith("_"))
        .sort(),
    );
    const { WebSocket } = stage.ws;
    for (const name of names(stock.WebSocket.prototype).filter((name) => !PRIVATE.test(name))) {
      stage.log("prototype", name, name in WebSocket.prototype);
    }
    stage.log(
      "instance",
      socket instanceof WebSocket,
      socket instanceof EventEmitter,
      socket.constructor.name,
    );
    for (const name of ["close", "terminate", "send", "ping", "pong", "pause", "resume"]) {
      stage.log("methods", name, socket[name].length);
    }
  }),
  {
    name: "subprotocol and extension",
    run(stage) {
      const { subprotocol, extension } = stage.ws;
      stage.attempt("parse", "subprotocol", () => subprotocol.parse("a, b"));
      stage.attempt("parse", "subprotocol", () => subprotocol.parse("a,,b"));
      stage.attempt("parse", "extension", () => extension.parse('a; b=1; c="2", d'));
      stage.attempt("parse", "extension", () => extension.parse("a;;"));
      stage.attempt("format", "extension", () => extension.format({ a: [{ b: [1, true] }], c: { d: "e" } }));
    },
  },
  {
    name: "PerMessageDeflate",
    run(stage) {
      const { PerMessageDeflate } = stage.ws;
      stage.log("deflate", PerMessageDeflate.extensionName);
      stage.attempt("deflate", "offer", () => new PerMessageDeflate({ clientMaxWindowBits: 10 }).offer());
    },
  },
  {
    name: "a client of the package",
    async run(stage) {
      const wss = await stage.serve();
      stage.watchSockets();
      const client = new stage.ws.WebSocket(`ws://127.0.0.1:${stage.port}/path`, { headers: { "X-A": "b" } });
      stage.watch("client", client);
      stage.log("client", "state", client.readyState, client.url.endsWith("/path"));
      for (const method of ["send", "ping", "pong"]) {
        stage.attempt("client", method, () => client[method]("x"));
      }
      wss.on("connection", (socket, req) => socket.send(req.headers["x-a"]));
      await stage.until("client", "message");
      client.close(1000, "done");
      await stage.over();
    },
  },
  {
    name: "a client of the package that is closed while it connects",
    async run(stage) {
      await stage.serve();
      const client = new stage.ws.WebSocket(`ws://127.0.0.1:${stage.port}`);
      stage.watch("client", client);
      client.close();
      stage.log("client", "state", client.readyState);
      await stage.over("client");
    },
  },
  {
    name: "a client of the package where nobody listens",
    async run(stage) {
      const wss = await stage.serve();
      wss.close();
      await stage.once(wss, "close");
      const client = new stage.ws.WebSocket(`ws://127.0.0.1:${stage.port}`);
      stage.watch("client", client);
      await stage.over("client");
      client.send("x", (error) => stage.log("client", "sent", error, client.bufferedAmount));
      await stage.until("client", "sent");
    },
  },
  {
    name: "clients with addresses that are none",
    run(stage) {
      for (const url of ["", "x", "ftp://a", "ws://a#b", "ws+unix:", undefined]) {
        stage.attempt("client", String(url), () => new stage.ws.WebSocket(url));
      }
      stage.attempt("client", "protocols", () => new stage.ws.WebSocket("ws://127.0.0.1:1", ["a", "a"]));
    },
  },
];
