"use strict";

const assert = require("node:assert/strict");
const http = require("node:http");
const https = require("node:https");
const net = require("node:net");
const { once: onceEvent } = require("node:events");
const { selfSigned } = require("./certificate");
const { SocketDuplex } = require("./duplex");
const { request, startRequest, RawPolling, SEPARATOR } = require("./raw-polling");
const rawWebSocket = require("./raw-websocket");
const { requireStock } = require("./stock");
const { target, sio, isStock } = require("./target");
const waiting = require("./waiting");

const { io: connect, Manager } = requireStock("socket.io-client");
const { within, once } = waiting;
const { RawWebSocket } = rawWebSocket;

/**
 * `SIO_STREAM=https` or `SIO_STREAM=duplex` runs the tests over streams without a plain descriptor, `SIO_STREAM=observed`
 * over connections that Node's HTTP server has first.
 */
const defaultStream = process.env.SIO_STREAM || "http";

/** `SIO_ADAPTER=socket.io-adapter` runs the tests with the `Adapter` of that package, as those of others extend it. */
const defaultAdapter = process.env.SIO_ADAPTER && require(process.env.SIO_ADAPTER).Adapter;

/** `SIO_WORKERS=4` runs the tests with so many native threads, whatever the number of cores. */
const defaultWorkers = process.env.SIO_WORKERS && Number(process.env.SIO_WORKERS);

/** No file takes this long, not even on a busy machine: whoever reaches it hangs. */
const FILE_LIMIT = 300_000;

setTimeout(() => {
  console.error(`${FILE_LIMIT} ms, still open: ${process.getActiveResourcesInfo().join(", ")}`);
  process.exit(1);
}, FILE_LIMIT).unref();

/** What must be closed at the end of a test or of a file. */
const closers = new WeakMap();

/** Closes what was registered, last opened first. */
async function closeAll(scope) {
  const list = closers.get(scope);
  while (list.length) {
    await list.pop()();
  }
}

/**
 * Registers something to be closed at the end.
 *
 * @param {{ after?: Function }} t the test, or the scope of a file
 * @param {() => any} close
 */
function atEnd(t, close) {
  if (!closers.has(t)) {
    closers.set(t, []);
    t.after(() => closeAll(t));
  }
  closers.get(t).push(close);
}

/**
 * A scope for what all tests of a file share, to be given to {@link serve} in place of a test.
 *
 * @param {typeof import("node:test")} test
 */
function fileScope(test) {
  const scope = {};
  closers.set(scope, []);
  test.after(() => closeAll(scope));
  return scope;
}

let certificate;

/** Whether connections are encrypted: by the workers where they can, or by Node ("node-tls"). */
const isTls = (stream) => stream === "https" || stream === "node-tls";

/** An HTTP server of the wanted kind, listening on a free port. */
async function listen(t, stream, requestListener) {
  if (isTls(stream)) {
    certificate ??= selfSigned();
    const httpServer = https.createServer(certificate, requestListener);
    httpServer.listen(0, "127.0.0.1");
    await onceEvent(httpServer, "listening");
    return { httpServer, port: httpServer.address().port };
  }
  const httpServer = http.createServer(requestListener);
  if (stream === "http" || stream === "observed") {
    httpServer.listen(0, "127.0.0.1");
    await onceEvent(httpServer, "listening");
    return { httpServer, port: httpServer.address().port };
  }
  const front = net.createServer({ allowHalfOpen: true, noDelay: true });
  const sockets = new Set();
  front.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    httpServer.emit("connection", new SocketDuplex(socket));
  });
  front.listen(0, "127.0.0.1");
  await onceEvent(front, "listening");
  atEnd(t, () => {
    for (const socket of sockets) {
      socket.destroy();
    }
    return new Promise((resolve) => front.close(resolve));
  });
  return { httpServer, port: front.address().port };
}

/** A running server and everything that a test opens towards it. */
class TestServer {
  constructor(io, httpServer, port, stream) {
    this.io = io;
    this.httpServer = httpServer;
    this.port = port;
    this.stream = stream;
    this.secure = isTls(stream);
    this.url = `${this.secure ? "https" : "http"}://127.0.0.1:${port}`;
    this.kept = new Set();
    this.sockets = new Set();
    if ((stream === "http" || stream === "https") && !isStock) return;
    httpServer.on("connection", (socket) => {
      // whoever listens for more than the end of a connection has Node's HTTP server get it: see lib/engine/arrivals.js
      if (stream === "observed") socket.on("timeout", () => {});
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
    });
  }

  /** Destroys `thing` when the test ends. */
  keep(thing) {
    this.kept.add(thing);
    return thing;
  }

  /**
   * A socket.io-client with a connection of its own that does not reconnect, unless told so.
   *
   * @param {string} [nsp]
   * @param {object} [options] of socket.io-client
   */
  client(nsp = "/", options = {}) {
    const client = connect(this.url + nsp, {
      forceNew: true,
      reconnection: false,
      transports: ["websocket"],
      rejectUnauthorized: false,
      ...options,
    });
    // the manager, since several namespaces may share it
    this.keep({ destroy: () => client.io._close() });
    return client;
  }

  /**
   * Connects a client and resolves with both sides.
   *
   * @returns {Promise<{ client: import("socket.io-client").Socket, socket: any }>}
   */
  async pair(nsp, options) {
    const client = this.client(nsp, options);
    await connected(client);
    const socket = this.io.of(nsp ?? "/").sockets.get(client.id);
    assert.ok(socket, "the server knows the client's id");
    return { client, socket };
  }

  /** Connects `count` clients; see {@link pair}. */
  pairs(count, nsp, options) {
    return Promise.all(Array.from({ length: count }, () => this.pair(nsp, options)));
  }

  /** A plain HTTP request to the server. */
  request(options) {
    return request(this, options);
  }

  /** A request that the test sends, cuts or leaves open itself. */
  startRequest(options) {
    const req = startRequest(this, options);
    req.on("error", () => {});
    this.keep({ destroy: () => req.destroy() });
    return req;
  }

  /** A raw WebSocket session with both sides: `conn` is the engine's. */
  async rawSession(options) {
    const ws = await RawWebSocket.open(this, options);
    const conn = this.io.engine.clients[ws.sid];
    assert.ok(conn, "the engine knows the session");
    return { ws, conn, closed: once(conn, "close") };
  }

  /** A raw WebSocket client that joined a namespace, with both sides and a log of the socket's events. */
  async rawPair(options) {
    const ws = await RawWebSocket.connect(this, options);
    const socket = this.io.of(options?.nsp ?? "/").sockets.get(ws.id);
    assert.ok(socket, "the server knows the client's id");
    return { ws, socket, log: socketLog(socket), disconnected: once(socket, "disconnect") };
  }

  /** As {@link rawSession}, over long-polling. */
  async pollingSession(options) {
    const polling = await RawPolling.open(this, options);
    const conn = this.io.engine.clients[polling.sid];
    assert.ok(conn, "the engine knows the session");
    return { polling, conn, closed: once(conn, "close") };
  }

  /** As {@link rawPair}, over long-polling. */
  async pollingPair(options) {
    const polling = await RawPolling.connect(this, options);
    const socket = this.io.of(options?.nsp ?? "/").sockets.get(polling.id);
    assert.ok(socket, "the server knows the client's id");
    return { polling, socket, log: socketLog(socket), disconnected: once(socket, "disconnect") };
  }

  async close() {
    for (const thing of this.kept) {
      thing.destroy();
    }
    this.kept.clear();
    try {
      await within(this.io.close(), "io.close()");
    } finally {
      for (const socket of this.sockets) {
        socket.destroy();
      }
    }
  }
}

/**
 * Starts a server that is closed, with all its clients, when the test ends.
 *
 * @param {{ after: Function }} t
 * @param {object} [options] of the Socket.IO server
 * @param {{ stream?: "http" | "observed" | "https" | "node-tls" | "duplex", requestListener?: Function, of?: object }} [how] `of` is the package,
 *   if not the one under test
 * @returns {Promise<TestServer>}
 */
async function serve(t, options = {}, { stream = defaultStream, requestListener, of = sio } = {}) {
  const { httpServer, port } = await listen(t, stream, requestListener);
  const nativeTls = stream !== "node-tls";
  const defaults = { adapter: defaultAdapter, workers: defaultWorkers, nativeTls };
  const io = new of.Server(httpServer, { ...defaults, ...options });
  const server = new TestServer(io, httpServer, port, stream);
  atEnd(t, () => server.close());
  return server;
}

/** Wraps a Server that a test made itself, so that it gets the same helpers and is closed at the end. */
function adopt(t, io, port, stream = "http") {
  const server = new TestServer(io, io.httpServer, port, stream);
  atEnd(t, () => server.close());
  return server;
}

/** Resolves when a client is connected, rejects with its connect_error. */
function connected(client) {
  if (client.connected) {
    return Promise.resolve(client);
  }
  return within(
    new Promise((resolve, reject) => {
      client.once("connect", () => resolve(client));
      client.once("connect_error", reject);
    }),
    "client's connect",
  );
}

/** What happens to a server-side socket at its end, as readable lines. */
function socketLog(socket) {
  const log = [];
  socket.on("error", (error) => log.push(`error: ${error?.message ?? error}`));
  socket.on("disconnecting", (reason) => log.push(`disconnecting: ${reason}`));
  socket.on("disconnect", (reason) => log.push(`disconnect: ${reason}`));
  return log;
}

/**
 * A client that is connected all the time while others misbehave.
 *
 * @param {TestServer} server
 * @returns {Promise<() => Promise<void>>} asserts that this client is still served
 */
async function bystander(server) {
  const { client, socket } = await server.pair();
  socket.on("still there?", (value, ack) => ack(value));
  let round = 0;
  return async function stillServed() {
    round++;
    assert.equal(await client.timeout(waiting.LIMIT).emitWithAck("still there?", round), round);
  };
}

module.exports = {
  ...waiting,
  ...rawWebSocket,
  target,
  isStock,
  defaultStream,
  defaultWorkers,
  sio,
  connect,
  Manager,
  SEPARATOR,
  RawPolling,
  SocketDuplex,
  selfSigned,
  atEnd,
  fileScope,
  listen,
  serve,
  adopt,
  connected,
  socketLog,
  bystander,
  request,
};
