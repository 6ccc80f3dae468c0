"use strict";

// An asynchronous context that a callback of the application enters is about one client. What several clients have sent
// at once reaches JavaScript as one batch, so the next callback in line is often about another.

const { AsyncLocalStorage } = require("node:async_hooks");
const { CLOSE } = require("../support/raw-websocket");

const NAMES = ["a", "b", "c"];

/** Lets the engine's threads read what was sent, and keeps JavaScript from hearing of it one by one. */
function letGather() {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
}

/** Does something for each client, so that the server hears of it in one go. */
function atOnce(clients, act) {
  for (const [i, client] of clients.entries()) act(client, NAMES[i]);
  letGather();
}

/** A storage, and callbacks that log what they find in it and then enter a context of their own. */
class Tracer {
  constructor(stage) {
    this.stage = stage;
    this.storage = new AsyncLocalStorage();
  }

  /** Logs what is found there, and leaves something else. */
  visit(actor, what) {
    this.stage.log(actor, what, this.storage.getStore());
    this.storage.enterWith(`${what} of ${actor}`);
  }

  listen(actor, emitter, ...events) {
    for (const event of events) emitter.on(event, () => this.visit(actor, event));
  }
}

/** Three raw clients with a socket each. */
async function join(stage, options) {
  const clients = [];
  const sockets = [];
  for (let i = 0; i < NAMES.length; i++) {
    const ws = await stage.server.rawPair(options);
    clients.push(ws.ws);
    sockets.push(ws.socket);
  }
  return { clients, sockets };
}

/** Waits until all of them have such a line. */
function untilAll(stage, wanted, count) {
  return Promise.all(NAMES.map((name) => stage.until(name, wanted, count)));
}

/** A scenario in which each of three clients does the same at the same time. */
function road(name, { prepare, act, until, count, not, options, nsp }) {
  return {
    name: `the context entered by ${name}`,
    options,
    not,
    async run(stage) {
      const tracer = new Tracer(stage);
      if (nsp !== undefined) stage.io.of(nsp);
      const { clients, sockets } = await join(stage, { nsp });
      for (const [i, socket] of sockets.entries()) {
        await prepare?.(tracer, NAMES[i], socket, clients[i]);
      }
      atOnce(clients, (ws) => act(ws));
      await untilAll(stage, until, count);
    },
  };
}

const joins = {
  act: (ws) => ws.text("40/n,"),
  until: "connection",
};

/** A scenario in which three clients join a namespace at the same time. */
function joining(name, prepare, until = "connection") {
  return {
    name: `the context entered by ${name}`,
    async run(stage) {
      const tracer = new Tracer(stage);
      const clients = [];
      const names = new Map();
      const nameOf = (socket) => names.get(socket.conn.id);
      prepare(stage, tracer, nameOf);
      for (const actor of NAMES) {
        const ws = await stage.server.rawSession();
        clients.push(ws.ws);
        names.set(ws.ws.sid, actor);
      }
      atOnce(clients, joins.act);
      await untilAll(stage, until);
    },
  };
}

module.exports = [
  road("a listener of an event, and of another one in the same read", {
    prepare: (tracer, actor, socket) => tracer.listen(actor, socket, "first", "second"),
    act: (ws) => {
      ws.texts('42["first"]', '42["second"]');
    },
    until: "second",
  }),
  road("an acknowledgement", {
    prepare: async (tracer, actor, socket, ws) => {
      socket.emit("ask", () => tracer.visit(actor, "first answer"));
      socket.emit("ask", () => tracer.visit(actor, "second answer"));
      tracer.listen(actor, socket, "event");
      const question = await ws.next();
      ws.firstId = Number(/^42(\d+)/.exec(question)[1]);
      await ws.next();
    },
    act: (ws) => {
      ws.text(`43${ws.firstId}[]`);
      ws.text(`43${ws.firstId + 1}[]`);
      ws.text('42["event"]');
    },
    until: "event",
  }),
  road("an acknowledgement with an attachment", {
    prepare: async (tracer, actor, socket, ws) => {
      socket.emit("ask", () => tracer.visit(actor, "answer"));
      tracer.listen(actor, socket, "event");
      const question = await ws.next();
      ws.firstId = Number(/^42(\d+)/.exec(question)[1]);
    },
    act: (ws) => {
      ws.text(`461-${ws.firstId}[{"_placeholder":true,"num":0}]`);
      ws.binary(Buffer.from([1]));
      ws.text('42["event"]');
    },
    until: "event",
  }),
  road("a catch-all listener, which is that of the event's own listeners", {
    prepare: (tracer, actor, socket) => {
      socket.onAny((event) => tracer.visit(actor, `any ${event}`));
      tracer.listen(actor, socket, "first", "second");
    },
    act: (ws) => {
      ws.texts('42["first"]', '42["second"]');
    },
    until: "second",
    count: 2,
  }),
  road("a catch-all listener for what is sent", {
    prepare: (tracer, actor, socket) => {
      socket.onAnyOutgoing(() => tracer.visit(actor, "outgoing"));
      socket.on("first", () => {
        socket.emit("answer");
        tracer.visit(actor, "first");
      });
      tracer.listen(actor, socket, "second");
    },
    act: (ws) => {
      ws.texts('42["first"]', '42["second"]');
    },
    until: "second",
  }),
  road("a middleware of events, which is that of the event's own listeners", {
    prepare: (tracer, actor, socket) => {
      socket.use(([event], next) => {
        tracer.visit(actor, `middleware ${event}`);
        next();
      });
      tracer.listen(actor, socket, "first", "second");
    },
    act: (ws) => {
      ws.texts('42["first"]', '42["second"]');
    },
    until: "second",
    count: 2,
  }),
  road("a middleware of events that runs the rest in it", {
    prepare: (tracer, actor, socket) => {
      socket.use(([event], next) => tracer.storage.run(`${event} of ${actor}`, next));
      tracer.listen(actor, socket, "first", "second");
    },
    act: (ws) => {
      ws.texts('42["first"]', '42["second"]');
    },
    until: "second",
  }),
  road("a middleware of events that runs the rest in it, later", {
    prepare: (tracer, actor, socket) => {
      socket.use(([event], next) => setImmediate(() => tracer.storage.run(`${event} of ${actor}`, next)));
      tracer.listen(actor, socket, "first", "second");
    },
    act: (ws) => {
      ws.texts('42["first"]', '42["second"]');
    },
    until: "second",
  }),
  road("a middleware that refuses an event", {
    prepare: (tracer, actor, socket) => {
      socket.use(([event], next) => {
        tracer.visit(actor, `middleware ${event}`);
        next(new Error("no"));
      });
      tracer.listen(actor, socket, "error");
    },
    act: (ws) => ws.text('42["first"]'),
    until: "error",
  }),
  road("a method of a socket that was replaced", {
    prepare: (tracer, actor, socket) => {
      const { onevent } = socket;
      socket.onevent = function (packet) {
        tracer.visit(actor, "onevent");
        return onevent.call(this, packet);
      };
      tracer.listen(actor, socket, "first");
    },
    act: (ws) => ws.text('42["first"]'),
    until: "first",
  }),
  road("a listener for errors", {
    prepare: (tracer, actor, socket) => tracer.listen(actor, socket, "error"),
    act: (ws) => ws.text("42{}"),
    until: "error",
  }),
  road("listeners for the end, after the client has left the namespace", {
    prepare: (tracer, actor, socket) => tracer.listen(actor, socket, "disconnecting", "disconnect"),
    act: (ws) => ws.text("41"),
    until: "disconnect ",
  }),
  road("listeners for the end, after the client has closed the WebSocket", {
    prepare: (tracer, actor, socket) => tracer.listen(actor, socket, "disconnecting", "disconnect"),
    act: (ws) => ws.frame({ opcode: CLOSE }),
    until: "disconnect ",
  }),
  road("listeners for the end, after the client has hung up", {
    prepare: (tracer, actor, socket) => {
      tracer.listen(actor, socket, "disconnect");
      tracer.listen(actor, socket.conn, "close");
    },
    act: (ws) => ws.socket.destroy(),
    until: "close",
  }),
  ...["packet", "data", "message"].map((event) =>
    road(`a listener of the connection for "${event}"`, {
      prepare: (tracer, actor, socket) => tracer.listen(actor, socket.conn, event),
      act: (ws) => ws.text('42["first"]'),
      until: event,
    }),
  ),
  road('a listener of the connection for "packet" that is no message', {
    prepare: (tracer, actor, socket) => tracer.listen(actor, socket.conn, "packet", "heartbeat"),
    act: (ws) => ws.text("3"),
    until: "heartbeat",
  }),
  road("listeners of the connection for what is sent", {
    prepare: (tracer, actor, socket) => {
      tracer.listen(actor, socket.conn, "packetCreate", "flush", "drain");
      socket.on("first", () => {
        socket.emit("answer");
        tracer.visit(actor, "first");
      });
    },
    act: (ws) => ws.text('42["first"]'),
    until: "first",
  }),
  road("the callback of what a connection has sent", {
    prepare: (tracer, actor, socket) => {
      socket.on("first", () =>
        tracer.storage.exit(() => {
          socket.conn.send("x", {}, () => {
            tracer.stage.log(actor, "sent", typeof tracer.storage.getStore());
            tracer.storage.enterWith({});
          });
        }),
      );
    },
    act: (ws) => ws.text('42["first"]'),
    until: "sent",
  }),
  joining(
    "a middleware of a namespace, which is that of the listeners for connections",
    (stage, tracer, nameOf) => {
      stage.io.of("/n").use((socket, next) => {
        tracer.visit(nameOf(socket), "middleware");
        next();
      });
      stage.io.of("/n").on("connection", (socket) => tracer.visit(nameOf(socket), "connection"));
    },
  ),
  joining("a middleware of a namespace that runs the rest in it", (stage, tracer, nameOf) => {
    stage.io.of("/n").use((socket, next) => tracer.storage.run(nameOf(socket), next));
    stage.io.of("/n").on("connection", (socket) => tracer.visit(nameOf(socket), "connection"));
  }),
  joining("a listener for connections", (stage, tracer, nameOf) => {
    stage.io.of("/n").on("connection", (socket) => tracer.visit(nameOf(socket), "connection"));
  }),
  joining("what decides about a namespace", (stage, tracer, nameOf) => {
    let turn = 0;
    const parent = stage.io.of((name, auth, next) => {
      tracer.visit(NAMES[turn++], "decision");
      next(null, true);
    });
    parent.on("connection", (socket) => tracer.visit(nameOf(socket), "connection"));
  }),
  {
    name: "the context that listeners of the engine enter for the answer to a poll",
    async run(stage) {
      const tracer = new Tracer(stage);
      const sessions = [];
      for (let i = 0; i < NAMES.length; i++) sessions.push(await stage.server.pollingPair());
      const nameOf = (req) => NAMES[sessions.findIndex(({ polling }) => req.url.includes(polling.sid))];
      stage.io.engine.on("headers", (headers, req) => tracer.visit(nameOf(req), "headers"));
      const polls = sessions.map(({ polling }) => polling.poll());
      await stage.eventually(
        () => sessions.every(({ socket }) => socket.conn.transport.writable),
        "they poll",
      );
      for (const { socket } of sessions) tracer.storage.exit(() => socket.emit("event"));
      letGather();
      await Promise.all(polls);
    },
  },
  {
    name: "the context that a listener enters when no namespace is joined in time",
    options: { connectTimeout: 100 },
    async run(stage) {
      const tracer = new Tracer(stage);
      for (const actor of NAMES) {
        const { conn } = await stage.server.rawSession();
        tracer.listen(actor, conn, "close");
      }
      letGather();
      letGather();
      letGather();
      await untilAll(stage, "close");
    },
  },
  {
    name: "the context in which the server was made",
    async run(stage) {
      const storage = new AsyncLocalStorage();
      const server = await storage.run("made here", () => stage.serve());
      const { client, socket } = await server.pair();
      socket.on("question", (answer) => {
        stage.log("server", "question", storage.getStore());
        answer();
      });
      socket.on("disconnect", () => stage.log("server", "disconnect", storage.getStore()));
      await client.emitWithAck("question");
      client.on("question", (answer) => answer());
      socket.emit("question", () => stage.log("server", "answer", storage.getStore()));
      await stage.until("server", "answer");
      client.disconnect();
      await stage.until("server", "disconnect");
    },
    differs: {
      why: "with stock, only callbacks over TLS have the context in which the server began to listen",
      streams: ["https"],
      logs: {
        server: {
          stock: ['question "made here"', 'answer "made here"', 'disconnect "made here"'],
          ours: ["question undefined", "answer undefined", "disconnect undefined"],
        },
      },
    },
  },
];
