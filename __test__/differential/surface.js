"use strict";

// What can be reached from outside: exports, classes, methods and how many arguments they take, properties.

const { requireStock } = require("../support/stock");

const EMITTER = Object.getOwnPropertyNames(require("node:events").EventEmitter.prototype);

/** Names that begin with an underscore are nobody's business, but for those that others are known to read. */
const KNOWN = [
  "_nsps",
  "_parser",
  "_opts",
  "_path",
  "_connectTimeout",
  "_ids",
  "_fns",
  "_onpacket",
  "_onclose",
  "_query",
];
const isPublic = (name) => typeof name === "string" && (!name.startsWith("_") || KNOWN.includes(name));

/** All public names of an object and of the classes that it is an instance of, up to EventEmitter. */
function namesOf(object) {
  const names = new Set();
  for (let at = object; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const name of Object.getOwnPropertyNames(at)) {
      if (isPublic(name) && name !== "constructor" && !EMITTER.includes(name)) {
        names.add(name);
      }
    }
  }
  return [...names].sort();
}

/** What an object offers: methods as name/arity, the rest as name: type. */
function shapeOf(object) {
  return Object.fromEntries(
    namesOf(object).map((name) => {
      const value = object[name];
      return [name, typeof value === "function" ? `(${value.length})` : kindOf(value)];
    }),
  );
}

function kindOf(value) {
  if (value === null || value === undefined || typeof value !== "object") {
    return typeof value;
  }
  return [Map, Set, Array].find((type) => value instanceof type)?.name ?? "object";
}

/**
 * Compares what stock has with what is here. Whatever users can call or read has to be there; what is here in addition is
 * no difference that anybody can trip over.
 */
const surface = (name, get, workings = []) => ({
  name,
  not: { https: "the stream makes no difference", duplex: "the stream makes no difference" },
  async run(stage) {
    const objects = await get(stage);
    for (const [actor, object] of Object.entries(objects)) {
      const shape = shapeOf(object);
      for (const name of workings) {
        delete shape[name];
      }
      SHAPES[stage.isStock ? "stock" : "ours"][`${name} ${actor}`] = shape;
      const expected = SHAPES.stock[`${name} ${actor}`];
      // stock is played first
      for (const key of Object.keys(expected)) {
        stage.log(actor, key, shape[key]);
      }
    }
  },
});

/**
 * How stock does its work, private or protected in its types: timers, steps of a handshake, what transports tell their
 * session. The work is done elsewhere here, and whoever called these would be calling into nothing.
 */
const WORKINGS = {
  socket: ["buildHandshake"],
  client: ["connect"],
  engine: ["cleanup", "createTransport", "handshake", "verify"],
  conn: [
    ...[
      "cleanupFn",
      "clearTransport",
      "closeTransport",
      "flush",
      "getAvailableUpgrades",
      "hasRefreshedPingTimeout",
    ],
    ...["onDrain", "onOpen", "onPacket", "pingIntervalTimer", "pingTimeoutTimer", "resetPingTimeout"],
    ...["schedulePing", "sendPacket", "setTransport"],
  ],
  transport: [
    ...[
      "closeTimeout",
      "doClose",
      "doWrite",
      "headers",
      "httpCompression",
      "maxHttpBufferSize",
      "onClose",
      "onData",
    ],
    ...["onError", "onPacket", "onRequest", "parser", "perMessageDeflate", "write"],
  ],
};

const SHAPES = { stock: {}, ours: {} };

module.exports = [
  {
    name: "what the package exports",
    not: { https: "the stream makes no difference", duplex: "the stream makes no difference" },
    run({ sio, log }) {
      log(
        "package",
        "callable",
        typeof sio,
        sio.length,
        Object.keys(sio).sort(),
        sio.Server.name,
        sio.Namespace.name,
        sio.Socket.name,
      );
      log("package", "lengths", sio.Server.length, sio.Namespace.length, sio.Socket.length);
    },
  },
  surface("a server", ({ io }) => ({ server: io })),
  surface("namespaces", ({ io }) => ({
    main: io.of("/"),
    other: io.of("/other"),
    parent: io.of(/^\/dynamic/),
  })),
  surface("a socket", async (stage) => ({ socket: (await stage.pair("client")).socket }), WORKINGS.socket),
  surface(
    "a client",
    async (stage) => ({ client: (await stage.pair("client")).socket.client }),
    WORKINGS.client,
  ),
  surface("operators", async (stage) => {
    const { socket } = await stage.pair("client");
    return {
      io: stage.io.to("r"),
      socket: socket.to("r"),
      broadcast: socket.broadcast,
      timeout: stage.io.timeout(5),
    };
  }),
  surface("an adapter", ({ io }) => ({ adapter: io.of("/").adapter })),
  surface("the engine", ({ io }) => ({ engine: io.engine }), WORKINGS.engine),
  surface(
    "a conn",
    async (stage) => {
      const { socket } = await stage.pair("client");
      const polling = await stage.polling("polling");
      return { websocket: socket.conn, polling: stage.io.engine.clients[polling.sid] };
    },
    WORKINGS.conn,
  ),
  surface(
    "transports",
    async (stage) => {
      const { socket } = await stage.pair("client");
      const polling = await stage.polling("polling");
      return { websocket: socket.conn.transport, polling: stage.io.engine.clients[polling.sid].transport };
    },
    WORKINGS.transport,
  ),
  surface("a handshake", async (stage) => ({ handshake: (await stage.pair("client")).socket.handshake })),
  surface(
    "a remote socket",
    async (stage) => {
      await stage.pair("client");
      const [remote] = await stage.io.fetchSockets();
      return { remote };
    },
    WORKINGS.socket,
  ),
  {
    name: "enumerable names, instanceof and names of classes",
    not: { https: "the stream makes no difference", duplex: "the stream makes no difference" },
    async run(stage) {
      const { io, sio, log } = stage;
      const { socket } = await stage.pair("client");
      const { EventEmitter } = require("node:events");
      // the package brings its own, and stock of another folder as well
      const { Adapter } = (stage.isStock ? requireStock : require)("socket.io-adapter");
      log(
        "instanceof",
        socket instanceof sio.Socket,
        io.of("/") instanceof sio.Namespace,
        io.of(/x/) instanceof sio.Namespace,
        io instanceof sio.Server,
        sio() instanceof sio.Server,
      );
      log(
        "instanceof",
        socket instanceof EventEmitter,
        io instanceof EventEmitter,
        io.of("/") instanceof EventEmitter,
        socket.conn instanceof EventEmitter,
        io.engine instanceof EventEmitter,
        io.of("/").adapter instanceof Adapter,
      );
      log(
        "class",
        socket.constructor.name,
        io.of("/").constructor.name,
        io.of(/x/).constructor.name,
        io.constructor.name,
        io.to("r").constructor.name,
        socket.client.constructor.name,
      );
      log("json", typeof JSON.stringify(socket.handshake), Object.prototype.toString.call(socket));
      log("util", Object.keys(socket.handshake));
    },
  },
  {
    name: "a copy of a socket, and what may be replaced in one",
    async run(stage) {
      const { client, socket } = await stage.pair("client", "/", { auth: { token: "t" } });
      const copy = { ...socket };
      for (const name of ["nsp", "client", "server", "adapter", "id", "connected", "data", "handshake"]) {
        stage.log("copy", name, name in copy, copy[name] === socket[name]);
      }
      stage.log("data", Object.getPrototypeOf(copy.data) === Object.prototype, copy.data);
      copy.data.of = "both";
      stage.log("data", socket.data);
      stage.log("handshake", copy.handshake.auth, Object.keys(copy.handshake));
      for (const name of ["server", "data", "handshake", "adapter"]) {
        const { [name]: before } = socket;
        socket[name] = undefined;
        stage.log("replaced", name, socket[name]);
        socket[name] = before;
      }
      client.on("question", (answer) => answer("still there"));
      stage.log("client", "answer", await socket.emitWithAck("question"));
    },
  },
];
