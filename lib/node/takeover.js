"use strict";

const { EventEmitter } = require("events");
const { IncomingMessage, Server: HttpServer } = require("http");
const net = require("net");
const diagnostics = require("diagnostics_channel");
const { Pipe } = require("./pipe");
const { ForeignStream } = require("../engine/transports/ws-engine");

/** Node tells of every accepted socket here. */
const acceptedSockets = diagnostics.channel("net.server.socket");

/** What Node's HTTP server does with a connection. */
const onHttpConnection = new HttpServer().listeners("connection")[0];

/** How events are emitted where nobody watches that. */
const { emit } = EventEmitter.prototype;

const kStream = Symbol("stream");

/** The engine whose listener for upgrade requests a function is. */
const kEngine = Symbol("engine");

/**
 * Takes a connection from Node's HTTP server and gives it to the native engine, after its upgrade request has been
 * accepted. The descriptor is duplicated and Node's handle closed, which sends nothing to the client; the
 * `net.Socket` lives on, so that `req.socket` and `httpServer.close()` mean what they always mean, until the engine
 * reports the end. What has no descriptor of its own is pumped through a `Pipe`.
 *
 * @param attempt {UpgradeAttempt} the upgrade request; its `give()` is called
 * @param conn {Conn} whom the connection belongs to
 * @returns {boolean} whether that worked; if not, the connection is destroyed
 */
function takeOver(attempt, conn) {
  const { server, req, socket, head, webSocket } = attempt;
  if (webSocket !== undefined) {
    new ForeignStream(server, conn, socket, webSocket).start(attempt);
    return true;
  }
  if (socket.destroyed) {
    // the client has hung up while the application made up its mind
    conn._abandon();
    return false;
  }
  const fd = descriptorOf(socket);
  const stream = fd === -1 ? new Pipe(server, socket) : new TakenSocket(server, socket.server, socket);
  stream.id = server._registerStream(stream, conn._handle);
  conn._stream = stream;
  try {
    socket.setTimeout?.(0);
    socket.setNoDelay?.(true);
    server._commands.flush();
    attempt.give(conn, stream.id, fd, alreadyRead(socket, head));
  } catch (error) {
    reportOnce(error);
    server._releaseStream(stream.id);
    socket.on("error", noop);
    socket.destroy();
    conn._abandon();
    return false;
  }
  socket[kStream] = stream;
  stream.start(conn, req, head);
  return true;
}

/** Whether a socket has been given to an engine. */
function isTaken(socket) {
  return socket[kStream] !== undefined;
}

/** The descriptor that can be taken over, or -1. */
function descriptorOf(socket) {
  if (process.platform === "win32") return -1;
  // a subclass (TLS, above all) puts something between us and the bytes
  if (Object.getPrototypeOf(socket) !== net.Socket.prototype) return -1;
  // bytes that Node has yet to write would be overtaken by ours
  if (socket.writableLength > 0 || socket.connecting) return -1;
  return socket._handle?.fd ?? -1;
}

/** What has been read from the connection behind the request. */
function alreadyRead(socket, head) {
  const chunks = head?.length > 0 ? [head] : [];
  while (socket.readableLength > 0) {
    const chunk = socket.read();
    if (chunk === null) break;
    chunks.push(chunk);
  }
  return chunks.length > 1 ? Buffer.concat(chunks) : chunks[0];
}

/**
 * A `net.Socket` whose descriptor the engine has.
 *
 * Node's objects for the connection and its request are most of what an idle client would cost in memory. Where nobody
 * can have seen them they are dropped, and made again from what is remembered of them when somebody asks.
 */
class TakenSocket {
  constructor(server, httpServer, socket) {
    this.server = server;
    this.id = -1;
    /** The `net.Socket`, unless it was dropped or never made. */
    this._socket = socket;
    this._httpServer = httpServer;
    this._remoteAddress = undefined;
    this._remotePort = 0;
    this._localAddress = undefined;
    this._localPort = 0;
  }

  /** What a `net.Socket` asks of its handle. */
  remember(remoteAddress, remotePort, localAddress, localPort) {
    this._remoteAddress = remoteAddress;
    this._remotePort = remotePort;
    this._localAddress = sameAsBefore(localAddress);
    this._localPort = localPort;
  }

  /** The `net.Socket` of the connection. */
  get socket() {
    return (this._socket ??= this._remakeSocket());
  }

  /** Lets go of Node's handle. */
  start(conn, req, head) {
    const socket = this._socket;
    this.remember(conn.remoteAddress, socket.remotePort, socket.localAddress, socket.localPort);
    const unseen = isUnseen(this.server, req, socket, head);
    const handle = socket._handle;
    handle.readStop();
    handle.close();
    socket._handle = null;
    if (unseen) {
      // a session that has begun with polling keeps its first request
      if (conn._request === req) {
        conn._request = undefined;
        conn._rawRequest = memorize(req);
      }
      this._socket = undefined;
    } else {
      watchSocket(socket);
    }
  }

  /** The engine has closed its descriptor. */
  onReleased() {
    this.id = -1;
    if (this._socket !== undefined) {
      this._socket.destroy();
    } else if (this._httpServer !== undefined) {
      countOut(this._httpServer);
    }
  }

  /** @private */
  _remakeSocket() {
    const { highWaterMark } = this._httpServer;
    const socket = new net.Socket({
      allowHalfOpen: true,
      readableHighWaterMark: highWaterMark,
      writableHighWaterMark: highWaterMark,
    });
    socket.server = socket._server = this._httpServer;
    socket.timeout = 0;
    socket.parser = null;
    socket._peername = nameOf(this._remoteAddress, this._remotePort);
    socket._sockname = nameOf(this._localAddress, this._localPort);
    socket[kStream] = this;
    watchSocket(socket);
    return socket;
  }
}

/** Takes a connection without a socket off those that an HTTP server counts, as the destruction of a socket does. */
function countOut(httpServer) {
  httpServer._connections--;
  httpServer._emitCloseIfDrained();
}

/** Whether the application gets to see neither the sockets of upgrade requests nor the requests themselves. */
function isUnobserved(server, httpServer) {
  return (
    !server._showsRequests() &&
    server.emit === emit &&
    httpServer.emit === emit &&
    httpServer._events.connection === onHttpConnection &&
    httpServer._events.upgrade?.[kEngine] === server &&
    !acceptedSockets.hasSubscribers
  );
}

/**
 * Whether nobody but Node can have a reference to the request or the socket.
 */
function isUnseen(server, req, socket, head) {
  const httpServer = socket.server;
  return (
    httpServer !== undefined &&
    isUnobserved(server, httpServer) &&
    Object.getPrototypeOf(req) === IncomingMessage.prototype &&
    req.httpVersion === "1.1" &&
    // an earlier request over the same connection was handled by somebody
    socket.bytesRead <= lengthOf(req) + (head?.length ?? 0)
  );
}

/** The bytes of an upgrade request, or less if it has more white space than it needs. */
function lengthOf(req) {
  let length = "GET  HTTP/1.1\r\n\r\n".length + req.url.length;
  const { rawHeaders } = req;
  for (let i = 0; i < rawHeaders.length; i++) length += rawHeaders[i].length + 2;
  return length;
}

/** What `remakeRequest` needs, as one text: neither a URL nor a header can have a line break. */
function memorize(req) {
  const { rawHeaders, url } = req;
  rawHeaders.push(url);
  const raw = rawHeaders.join("\n");
  rawHeaders.pop();
  return raw;
}

/**
 * Makes an upgrade request again from what `memorize` has made of it.
 * @param raw {string}
 * @param socket {net.Socket}
 * @returns {IncomingMessage}
 */
function remakeRequest(raw, socket) {
  const rawHeaders = raw.split("\n");
  const url = rawHeaders.pop();
  const req = new IncomingMessage(socket);
  req.httpVersionMajor = 1;
  req.httpVersionMinor = 1;
  req.httpVersion = "1.1";
  req.method = "GET";
  req.url = url;
  // as Node's parser does it: `req.headers` is made of what is handed over here
  req._addHeaderLines(rawHeaders, rawHeaders.length);
  req.upgrade = true;
  req.complete = true;
  return req;
}

function nameOf(address, port) {
  return address === undefined ? {} : { address, family: address.includes(":") ? "IPv6" : "IPv4", port };
}

let lastAddress;

/** The same text for connections to the same address. */
function sameAsBefore(address) {
  if (address !== lastAddress) lastAddress = address;
  return lastAddress;
}

/** Follows a socket that the application can get hold of. */
function watchSocket(socket) {
  // without a handle, Node forgets the local name, other than that of the peer
  socket._getsockname = knownName;
  // without a handle, Node takes the socket for one that is about to connect, and waits for that before it ends
  socket._final = endOfSocket;
  socket.on("error", noop);
  socket.on("close", onSocketClose);
}

/** The local address of a socket whose handle is gone. */
function knownName() {
  return this._sockname ?? {};
}

/** The application has ended the socket: what has been said is written, and the client hears that nothing follows. */
function endOfSocket(callback) {
  const { server, id } = this[kStream];
  if (id !== -1) server._commands.pipeEnd(id);
  callback();
}

/** The application destroyed the socket, or the engine is done with it. */
function onSocketClose() {
  const { server, id } = this[kStream];
  if (id !== -1) server._commands.pipeEnd(id);
}

let reported = false;

/** Says once in the life of the process why connections are refused: too many open files, most likely. */
function reportOnce(error) {
  if (reported) return;
  reported = true;
  process.emitWarning(`a connection was refused: ${error.message}`, "SockeyeWarning");
}

function noop() {}

module.exports = {
  TakenSocket,
  countOut,
  isTaken,
  isUnobserved,
  kEngine,
  remakeRequest,
  reportOnce,
  takeOver,
};
