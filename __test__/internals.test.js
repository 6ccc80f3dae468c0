"use strict";

// What Node does not promise to keep may be missing: then connections take another road, and work all the same. Each
// piece is taken away, or made to do something else, before the package is loaded.

const assert = require("node:assert/strict");
const http = require("node:http");
const net = require("node:net");
const test = require("node:test");
const { startChild } = require("./support/child");
const { isStock } = require("./support/harness");

const skip =
  (isStock && "stock has no roads to choose from") ||
  (process.platform === "win32" && "on Windows, all streams stay in JavaScript");

/** What a process does before it loads the package, and which roads are off then. */
const MISSING = {
  "a request that takes headers of its parser only": {
    doctor({ http }) {
      const { _addHeaderLines: original } = http.IncomingMessage.prototype;
      http.IncomingMessage.prototype._addHeaderLines = function (...args) {
        if (this.socket.parser) original.apply(this, args);
      };
    },
    off: { remaking: "a request does not take _addHeaderLines()" },
  },
  "a request that is given its headers in another way": {
    doctor({ http }) {
      const { _addHeaderLines: original } = http.IncomingMessage.prototype;
      http.IncomingMessage.prototype._addHeaderLines = function (...args) {
        if (!this.socket.parser) throw new TypeError("this._addHeaderLines is not a function");
        original.apply(this, args);
      };
    },
    off: {
      remaking: "the runtime has requests of their own kind (this._addHeaderLines is not a function)",
    },
  },
  "a socket that does not remember the name of its peer": {
    doctor({ net }) {
      const { _getpeername: original } = net.Socket.prototype;
      net.Socket.prototype._getpeername = function () {
        return this._handle ? original.call(this) : {};
      };
    },
    off: { descriptors: "a socket does not remember its _peername" },
  },
  "a socket that asks somebody else for its local name": {
    doctor({ net }) {
      const { _getsockname } = net.Socket.prototype;
      Object.defineProperty(net.Socket.prototype, "_getsockname", { get: () => _getsockname, set() {} });
    },
    off: { descriptors: "a socket does not ask _getsockname()" },
  },
  "a socket whose server counts by itself": {
    doctor({ net }) {
      const { _destroy: original } = net.Socket.prototype;
      net.Socket.prototype._destroy = function (...args) {
        const { _server } = this;
        if (!this._handle) this._server = null;
        original.apply(this, args);
        this._server = _server;
      };
    },
    off: { descriptors: "a socket does not count itself out of its _server" },
  },
  "an HTTP server that counts in another way": {
    doctor({ net }) {
      const counts = new WeakMap();
      Object.defineProperty(net.Server.prototype, "_connections", {
        get() {
          return counts.get(this);
        },
        set(count) {
          counts.set(this, BigInt(count));
        },
      });
    },
    off: { remaking: "an HTTP server has no number of _connections" },
  },
  "an HTTP server that does not show its options": {
    doctor() {
      const { getOwnPropertySymbols } = Object;
      Object.getOwnPropertySymbols = (object) =>
        getOwnPropertySymbols(object).filter(({ description }) => description !== "IncomingMessage");
    },
    off: { entrance: "an HTTP server does not show its IncomingMessage" },
  },
  "a listening handle of another kind": {
    prepare({ handle }) {
      handle.getsockname = undefined;
    },
    off: {},
    entrances: 0,
  },
  "connections that do not come with their handle": {
    prepare({ handle }) {
      const { onconnection: original } = handle;
      let client;
      handle.onconnection = (error) => original.call(handle, error, client);
      return () => {
        const { onconnection } = handle;
        handle.onconnection = (error, accepted) => {
          client = accepted;
          onconnection.call(handle, error, undefined);
        };
      };
    },
    off: {},
    entrances: 1,
  },
  "a socket whose handle has no descriptor": {
    listener(socket) {
      Object.defineProperty(socket._handle, "fd", { value: -1 });
    },
    off: {},
    entrances: 1,
    streams: ["Pipe"],
  },
  "a socket whose handle is of another kind": {
    listener(socket) {
      socket._handle.readStop = undefined;
    },
    off: {},
    entrances: 1,
    streams: ["Pipe"],
  },
};

for (const [name, { doctor, prepare, listener, off, entrances, streams }] of Object.entries(MISSING)) {
  test(name, { skip }, async (t) => {
    const functions = [doctor, prepare, listener].map((fn) => fn && `(${toExpression(fn)})`);
    const child = startChild(t, smoke, functions);
    const seen = await child.message("seen");
    const roads = Object.keys(ROADS).filter((road) => roadOff(off, road));
    assert.deepEqual(seen.roads.off, Object.fromEntries(roads.map((road) => [road, roadOff(off, road)])));
    assert.equal(seen.roads.entrances, entrances ?? (roads.includes("entrance") ? 0 : 1));
    const kinds = streams ?? (roads.includes("descriptors") ? ["Pipe"] : ["TakenSocket"]);
    assert.deepEqual(Object.keys(seen.roads.streams), kinds);
    assert.deepEqual(seen.log, EXPECTED);
    assert.deepEqual(await child.ended(), { code: 0, signal: null }, child.errors);
    assert.equal(child.errors, "");
  });
}

/** The roads, and the one that each of them needs. */
const ROADS = { descriptors: undefined, remaking: "descriptors", entrance: "remaking" };

function roadOff(off, road) {
  return off[road] ?? (ROADS[road] && roadOff(off, ROADS[road]));
}

/** Methods of an object are no expressions by themselves. */
function toExpression(fn) {
  return `{ ${fn} }.${fn.name}`;
}

const EXPECTED = [
  ["echo of 0", "text", { type: "Buffer", data: [0, 255] }],
  ["echo of 1", "text", { type: "Buffer", data: [0, 255] }],
  ["broadcast", ["all", "all"]],
  ["room", ["some", "none"]],
  ["addresses", "127.0.0.1", "127.0.0.1", true, true],
  ["headers", "127.0.0.1", "yes"],
  ["connections", 2],
  ["closed by the client", "client namespace disconnect"],
  ["connections", 1],
  ["closed by the server", "io server disconnect"],
  ["server closed"],
];

/** Runs in the child: connects, echoes, broadcasts and closes, with a client that begins with a WebSocket and one that upgrades. */
async function smoke({ args, http, send, load }) {
  const net = load("node:net");
  const { once } = load("node:events");
  const [doctor, prepare, listener] = args.map((source) => source && (0, eval)(source));
  const { io: connect } = load("socket.io-client");
  const log = [];
  doctor?.({ http, net });
  const { Server } = load("../../index.js");
  const httpServer = http.createServer();
  httpServer.listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  const { port } = httpServer.address();
  const onAttached = prepare?.({ handle: httpServer._handle });
  if (listener) httpServer.on("connection", listener);
  const io = new Server(httpServer);
  onAttached?.();
  io.on("connection", (socket) => socket.on("echo", (...values) => values.pop()(...values)));
  const count = () => new Promise((resolve) => httpServer.getConnections((error, n) => resolve(Number(n))));

  const clients = [];
  for (const transports of [["websocket"], ["polling", "websocket"]]) {
    const agent = new http.Agent();
    const options = { transports, forceNew: true, reconnection: false, agent };
    const client = connect(`http://127.0.0.1:${port}`, { ...options, extraHeaders: { "X-Extra": "yes" } });
    const [socket] = await once(io, "connection");
    if (!client.connected) await once(client, "connect");
    if (transports.length > 1 && !socket.conn.upgraded) await once(socket.conn, "upgrade");
    agent.destroy();
    clients.push({ client, socket });
  }
  for (const [i, { client }] of clients.entries()) {
    const answer = new Promise((resolve) =>
      client.emit("echo", "text", Buffer.from([0, 255]), (...values) => resolve(values)),
    );
    log.push([`echo of ${i}`, ...(await answer)]);
  }
  const [{ client, socket }, other] = clients;
  const heard = () => Promise.all(clients.map((each) => once(each.client, "ev").then(([value]) => value)));
  let all = heard();
  io.emit("ev", "all");
  log.push(["broadcast", await all]);
  socket.join("room");
  all = heard();
  io.to("room").emit("ev", "some");
  other.socket.emit("ev", "none");
  log.push(["room", await all]);
  const { remoteAddress, localAddress, remotePort, localPort } = socket.request.socket;
  log.push(["addresses", remoteAddress, localAddress, remotePort > 0, localPort === port]);
  log.push(["headers", socket.handshake.headers.host.split(":")[0], socket.request.headers["x-extra"]]);
  const roads = io.engine._roads();

  const settle = async (wanted) => {
    while ((await count()) !== wanted) await new Promise(setImmediate);
    log.push(["connections", wanted]);
  };
  await settle(2);
  const gone = once(socket, "disconnect");
  client.disconnect();
  log.push(["closed by the client", (await gone)[0]]);
  await settle(1);
  const left = once(other.client, "disconnect");
  other.socket.disconnect(true);
  log.push(["closed by the server", (await left)[0]]);
  await io.close();
  log.push(["server closed"]);
  send("seen", { roads, log: JSON.parse(JSON.stringify(log)) });
}

test("what is missing is found out piece by piece", () => {
  const { survey } = require("../lib/node/internals");
  const runtime = { platform: "linux", versions: {} };
  const surveyed = (parts) => Object.values(survey({ ...runtime, ...parts }));
  const here = undefined;
  assert.deepEqual(surveyed({}), [here, here, here]);

  const windows = "Windows has no descriptors that could be shared";
  assert.deepEqual(surveyed({ platform: "win32" }), [windows, windows, windows]);
  for (const [name, versions] of [
    ["Bun", { bun: "1" }],
    ["Deno", { deno: "2" }],
  ]) {
    const why = `the sockets of ${name} are not Node's`;
    assert.deepEqual(surveyed({ versions }), [why, why, why]);
  }

  class WithoutFinal extends net.Socket {}
  WithoutFinal.prototype._final = undefined;
  assert.equal(surveyed({ Socket: WithoutFinal })[0], "a socket has no _final()");

  class Broken extends net.Socket {
    constructor() {
      super();
      throw new Error("it takes no options");
    }
  }
  const broken = "the runtime has sockets of their own kind (it takes no options)";
  assert.deepEqual(surveyed({ Socket: Broken }), [broken, broken, broken]);

  class WithoutDrain extends http.Server {}
  WithoutDrain.prototype._emitCloseIfDrained = undefined;
  const drain = "an HTTP server has no _emitCloseIfDrained()";
  assert.deepEqual(surveyed({ HttpServer: WithoutDrain }), [here, drain, drain]);

  class WithListeners extends http.Server {
    constructor() {
      super();
      this.on("connection", () => {});
    }
  }
  const listeners = "an HTTP server has no one listener for connections";
  assert.deepEqual(surveyed({ HttpServer: WithListeners }), [here, here, listeners]);
});

test("what is off is told by debug", { skip }, async (t) => {
  const child = startChild(t, async ({ load, http, listen }) => {
    process.env.DEBUG = "sockeye:roads";
    delete http.IncomingMessage.prototype._addHeaderLines;
    const { Server } = load("../../index.js");
    await new Server(await listen()).close();
  });
  await child.ended();
  assert.match(
    child.errors,
    /sockeye:roads remaking: off, the runtime has requests of their own kind \(.+\)/,
  );
  assert.match(child.errors, /sockeye:roads entrance: off/);
  assert.doesNotMatch(child.errors, /descriptors/);
});
