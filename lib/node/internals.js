"use strict";

/**
 * What of Node is used here although Node does not promise to keep it. All of it is in this room, and is tried out before
 * it is used; what a runtime lacks turns a road off, and connections take the next one, down to streams that are pumped
 * through JavaScript, for which nothing of this is needed.
 *
 * | road | what it saves | what it needs |
 * |---|---|---|
 * | descriptors | the way of all bytes through JavaScript | a socket that can live on without its handle |
 * | remaking | Node's objects for the connection and the request, where nobody has seen them | to make them again |
 * | entrance | Node's HTTP server, for clients that begin with a WebSocket | both of these, and the listening handle |
 * | showing | the same, for applications that look at requests | all of this, and a parser that takes requests as they are |
 * | keeping | Node's HTTP server, for what follows on connections that it has had | the entrance, and a parser that tells when it waits |
 */

const http = require("http");
const https = require("https");
const net = require("net");
const { SecureSocket, isSecure, sessionOf } = require("./secure-socket");
const debug = require("debug")("sockeye:roads");

/** An address for trials, which nobody has (RFC 5737). */
const NOBODY = { address: "192.0.2.1", family: "IPv4", port: 9 };

/**
 * Finds out which roads there are.
 * @param {object} [runtime] - Socket, HttpServer, IncomingMessage, platform and versions, if not those of this process
 * @returns {{ descriptors: string|undefined, remaking: string|undefined, entrance: string|undefined }} why a road is
 *   off; undefined: it is there
 */
function survey(runtime = {}) {
  const {
    Socket = net.Socket,
    HttpServer = http.Server,
    IncomingMessage = http.IncomingMessage,
    platform = process.platform,
    versions = process.versions,
  } = runtime;
  const descriptors =
    findForeigner(platform, versions) ??
    attempt(() => findFaultOfSockets(Socket), "sockets of their own kind");
  const remaking =
    descriptors ??
    attempt(() => findFaultOfRequests(Socket, HttpServer, IncomingMessage), "requests of their own kind");
  const entrance =
    remaking ?? attempt(() => findFaultOfServers(HttpServer), "HTTP servers of their own kind");
  return { descriptors, remaking, entrance };
}

function attempt(find, what) {
  try {
    return find();
  } catch (error) {
    return `the runtime has ${what} (${error.message})`;
  }
}

/** Others make their objects look like Node's as far as programs look, and no further. */
function findForeigner(platform, versions) {
  if (platform === "win32") return "Windows has no descriptors that could be shared";
  if (versions.bun) return "the sockets of Bun are not Node's";
  if (versions.deno) return "the sockets of Deno are not Node's";
  return undefined;
}

/** What keeps a socket from living on without its handle. */
function findFaultOfSockets(Socket) {
  const socket = new Socket({ allowHalfOpen: true });
  let isTold = false;
  const server = { _connections: 1, _emitCloseIfDrained: () => (isTold = true) };
  try {
    if (typeof socket._final !== "function") return "a socket has no _final()";
    socket._peername = NOBODY;
    if (socket.remoteAddress !== NOBODY.address || socket.remotePort !== NOBODY.port) {
      return "a socket does not remember its _peername";
    }
    socket._sockname = NOBODY;
    socket._getsockname = knownName;
    if (socket.localAddress !== NOBODY.address) return "a socket does not ask _getsockname()";
  } finally {
    socket._server = server;
    socket.destroy();
  }
  return server._connections === 0 && isTold
    ? undefined
    : "a socket does not count itself out of its _server";
}

/** What keeps sockets and requests from being made again. */
function findFaultOfRequests(Socket, HttpServer, IncomingMessage) {
  const plain = new HttpServer();
  if (typeof plain._connections !== "number") return "an HTTP server has no number of _connections";
  if (typeof plain._emitCloseIfDrained !== "function") return "an HTTP server has no _emitCloseIfDrained()";
  const req = new IncomingMessage(new Socket());
  giveHeaders(req, ["Host", "x"]);
  if (req.headers.host !== "x" || req.rawHeaders[1] !== "x")
    return "a request does not take _addHeaderLines()";
  return undefined;
}

/** What keeps it from being known whether an HTTP server is an ordinary one. */
function findFaultOfServers(HttpServer) {
  const plain = new HttpServer();
  if (plain.listeners("connection").length !== 1) return "an HTTP server has no one listener for connections";
  if (symbolOf(plain, "IncomingMessage") === undefined)
    return "an HTTP server does not show its IncomingMessage";
  return undefined;
}

/** What keeps an HTTP server from going on with a request that somebody else has made. */
function findFaultOfParsers(Socket, HttpServer, IncomingMessage) {
  const req = new IncomingMessage();
  let isMade = false;
  let given;
  const plain = new HttpServer((...args) => (given = args));
  const [requests, answers] = [symbolOf(plain, "IncomingMessage"), symbolOf(plain, "ServerResponse")];
  if (answers === undefined) return "an HTTP server does not show its ServerResponse";
  const { [answers]: Answer } = plain;
  plain[requests] = function () {
    return req;
  };
  plain[answers] = function (...args) {
    isMade = true;
    return new Answer(...args);
  };
  const socket = new Socket({ allowHalfOpen: true });
  try {
    plain.emit("connection", socket);
    socket.emit("data", Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  } finally {
    socket.destroy();
  }
  if (!isMade || given?.[0] !== req) return "an HTTP server makes its requests in another way";
  if (given[1].socket !== socket) return "an answer has its socket in another way";
  return undefined;
}

/** What keeps it from being known whether an HTTP server waits for the next request of a connection. */
function findFaultOfPauses(Socket, HttpServer) {
  const plain = new HttpServer(() => {});
  const socket = new Socket({ allowHalfOpen: true });
  try {
    plain.emit("connection", socket);
    const { parser } = socket;
    const { kOnMessageBegin } = parser?.constructor ?? {};
    if (parser?.[kOnMessageBegin] !== null) return "a parser does not tell when a request begins";
    let isUnderWay = false;
    parser[kOnMessageBegin] = function () {
      isUnderWay = this === parser;
    };
    for (const [text, expected] of [
      ["G", true],
      ["ET / HTTP/1.1\r\nHost: x\r\n\r\n", false],
      ["\r\n", false],
      ["G", true],
    ]) {
      isUnderWay = false;
      socket.emit("data", Buffer.from(text));
      if (isUnderWay !== expected) return "a parser tells something else of when a request begins";
    }
    if (parser.incoming?.complete !== true || socket._httpMessage === null) {
      return "an HTTP server remembers what is under way in another way";
    }
  } finally {
    socket.destroy();
  }
  return undefined;
}

let found;

/**
 * Which roads are off, and why: found out when it is first asked for, since loading the package is to be cheap.
 * @returns {{ descriptors: string|undefined, remaking: string|undefined, entrance: string|undefined }}
 */
function closedRoads() {
  if (found !== undefined) return found;
  found = survey();
  for (const [road, why] of Object.entries(found)) if (why !== undefined) debug("%s: off, %s", road, why);
  return found;
}

let plainServer;

let faultOfParsers;

/**
 * Why requests cannot be shown before Node's HTTP server has them. It takes a parser to find out, so it is found out when
 * there is something to be shown.
 * @returns {string|undefined}
 */
function whyUnshown() {
  faultOfParsers ??= [
    closedRoads().entrance ??
      attempt(
        () => findFaultOfParsers(net.Socket, http.Server, http.IncomingMessage),
        "parsers of their own kind",
      ),
  ];
  return faultOfParsers[0];
}

let faultOfPauses;

/**
 * Why connections of Node's HTTP servers cannot be watched between two requests: found out alike.
 * @returns {string|undefined}
 */
function whyUnkept() {
  faultOfPauses ??= [
    closedRoads().entrance ??
      attempt(() => findFaultOfPauses(net.Socket, http.Server), "parsers of their own kind"),
  ];
  return faultOfPauses[0];
}

/** An HTTP server to compare others with. */
function ordinaryServer() {
  return (plainServer ??= new http.Server());
}

/** Whether an HTTP server speaks TLS. */
function isTlsServer(httpServer) {
  return Object.getPrototypeOf(httpServer) === https.Server.prototype;
}

/**
 * Whether an HTTP server leaves connections and their requests to Node, up to the upgrade.
 * @param {http.Server} httpServer
 * @returns {boolean}
 */
function isOrdinaryServer(httpServer) {
  // others, such as those of HTTP/2, do something else with a connection before there is a request
  if (Object.getPrototypeOf(httpServer) !== http.Server.prototype && !isTlsServer(httpServer)) return false;
  // each server has its own copy of the same function
  if (String(httpServer.shouldUpgradeCallback) !== String(ordinaryServer().shouldUpgradeCallback))
    return false;
  const symbol = symbolOf(httpServer, "IncomingMessage");
  return symbol !== undefined && httpServer[symbol] === http.IncomingMessage;
}

/** Whether an HTTP server answers as all do. */
function hasOrdinaryAnswers(httpServer) {
  const symbol = symbolOf(httpServer, "ServerResponse");
  return symbol !== undefined && httpServer[symbol] === http.ServerResponse;
}

/** What Node's HTTP servers do with a connection, and what those that speak TLS do first. */
let onHttpConnection;
let onTlsConnection;

/** Whether Node's HTTP server gets its connections, before whoever else does; over TLS, nobody else may. */
function hasOrdinaryListener(httpServer) {
  onHttpConnection ??= ordinaryServer().listeners("connection")[0];
  if (isTlsServer(httpServer)) {
    onTlsConnection ??= new https.Server().listeners("connection")[0];
    return (
      isOnly(httpServer.listeners("connection"), onTlsConnection) &&
      isOnly(httpServer.listeners("secureConnection"), onHttpConnection)
    );
  }
  const [first, ...others] = httpServer.listeners("connection");
  return first === onHttpConnection && !others.includes(first);
}

function isOnly(listeners, listener) {
  return listeners.length === 1 && listeners[0] === listener;
}

/** Has an HTTP server go on with a connection, of which all others who listen for that have heard. */
function serveConnection(httpServer, socket) {
  onHttpConnection.call(httpServer, socket);
}

/** Whether the OpenSSL of this Node is at least of this version. */
function isOpenSslNewer(major, minor) {
  const [itsMajor, itsMinor] = (process.versions.openssl ?? "").split(".").map(Number);
  return itsMajor > major || (itsMajor === major && itsMinor >= minor);
}

/** Node keeps options of an HTTP server under symbols. */
function symbolOf(httpServer, name) {
  return Object.getOwnPropertySymbols(httpServer).find(({ description }) => description === name);
}

/**
 * The handle that accepts an HTTP server's connections.
 * @param {http.Server} httpServer
 * @returns {TCP|undefined} undefined if it does not listen, or its connections cannot be had before it has them
 */
function listeningHandle(httpServer) {
  const handle = httpServer._handle;
  if (handle === undefined || handle === null) return undefined;
  // the handles of Unix-domain sockets have no addresses, and those of some cluster modules are none of Node's
  if (typeof handle.onconnection === "function" && typeof handle.getsockname === "function") return handle;
  debug("entrance: off for a server, its handle is of another kind");
  return undefined;
}

/**
 * What keeps the descriptor of a socket from being taken over.
 * @param {Duplex} socket
 * @returns {string|undefined}
 */
function obstacleOf(socket) {
  const { descriptors } = closedRoads();
  if (descriptors !== undefined) return descriptors;
  // a subclass (TLS, above all) puts something between us and the bytes
  if (isSecure(socket)) {
    if (sessionOf(socket)?.isClear === false) return "something of its TLS session is under way";
  } else if (Object.getPrototypeOf(socket) !== net.Socket.prototype) {
    return "it is no plain socket";
  }
  // bytes that Node has yet to write would be overtaken by ours
  if (socket.writableLength > 0 || socket.connecting) return "Node has not written everything yet";
  const handle = socket._handle;
  if (!(handle?.fd >= 0)) return "it has no descriptor";
  if (typeof handle.readStop !== "function" || typeof handle.close !== "function") {
    return "its handle is of another kind";
  }
  return undefined;
}

/** The descriptor of a socket for which there is no obstacle. */
function descriptorOf(socket) {
  return socket._handle.fd;
}

/** Closes Node's handle of a socket, whose descriptor somebody else has; the socket lives on. */
function detach(socket) {
  const handle = socket._handle;
  handle.readStop();
  handle.close();
  socket._handle = null;
}

/**
 * Has a socket without a handle behave.
 * @param {net.Socket} socket
 * @param {function(function())} onFinal - called when the application has ended it
 */
function adapt(socket, onFinal) {
  // without a handle, Node forgets the local name, other than that of the peer
  socket._getsockname = knownName;
  // without a handle, Node takes the socket for one that is about to connect, and waits for that before it ends
  socket._final = onFinal;
  Object.defineProperty(socket, "pending", PENDING);
}

/** Whether a socket has yet to be connected: without a handle, Node would say so of all. */
const PENDING = {
  configurable: true,
  get() {
    return this.destroyed;
  },
};

/** The local address of a socket whose handle is gone. */
function knownName() {
  return this._sockname ?? {};
}

/**
 * Makes the socket of a connection that has no handle.
 * @param {http.Server} httpServer - whose connection it is
 * @param {object} peer - address and port
 * @param {object} local - alike
 * @param {boolean} isCounted - whether its end is that of one of the server's connections
 * @param {TlsFacts|undefined} facts - what is known of its TLS session, if it has one
 * @returns {net.Socket}
 */
function makeSocket(httpServer, peer, local, isCounted, facts) {
  const { highWaterMark, allowHalfOpen } = httpServer;
  const socket = newSocket(
    { allowHalfOpen, readableHighWaterMark: highWaterMark, writableHighWaterMark: highWaterMark },
    facts,
  );
  socket.server = httpServer;
  socket._server = isCounted ? httpServer : null;
  socket.timeout = 0;
  socket.parser = null;
  socket._peername = nameOf(peer);
  socket._sockname = nameOf(local);
  return socket;
}

/** A socket with these options. */
function newSocket(options, facts) {
  return facts === undefined ? new net.Socket(options) : new SecureSocket(options, facts);
}

function nameOf({ address, port }) {
  return address === undefined ? {} : { address, family: address.includes(":") ? "IPv6" : "IPv4", port };
}

/**
 * The answer that a connection waits for before that to a given request may be written: clients may send requests without
 * waiting for answers.
 * @param {IncomingMessage} req
 * @param {Duplex} socket
 * @returns {ServerResponse|undefined}
 */
function answerBefore(req, socket) {
  const res = socket._httpMessage;
  // whoever passes an upgrade request through middlewares of their own makes an answer to it
  return res instanceof http.ServerResponse && res.req !== undefined && res.req !== req ? res : undefined;
}

/** Gives a request its headers, as Node's parser does it: `req.headers` is made of them when it is asked for. */
function giveHeaders(req, rawHeaders) {
  req._addHeaderLines(rawHeaders, rawHeaders.length);
}

/** Has an HTTP server count a connection of which it never hears. */
function countIn(httpServer) {
  httpServer._connections++;
}

/** Such a connection becomes one like all others, which the server counts by itself. */
function uncount(httpServer) {
  httpServer._connections--;
}

/** Such a connection, or one whose socket was dropped, is over. */
function countOut(httpServer) {
  httpServer._connections--;
  httpServer._emitCloseIfDrained();
}

module.exports = {
  adapt,
  answerBefore,
  closedRoads,
  countIn,
  countOut,
  debug,
  descriptorOf,
  detach,
  giveHeaders,
  hasOrdinaryAnswers,
  hasOrdinaryListener,
  isOpenSslNewer,
  isOrdinaryServer,
  isTlsServer,
  listeningHandle,
  makeSocket,
  newSocket,
  obstacleOf,
  serveConnection,
  survey,
  symbolOf,
  uncount,
  whyUnkept,
  whyUnshown,
};
