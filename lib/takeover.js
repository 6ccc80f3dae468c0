"use strict";

const net = require("net");
const { Pipe } = require("./pipe");

/**
 * Takes a connection from Node's HTTP server and gives it to the native engine, after its upgrade request has been
 * accepted. The descriptor is duplicated and Node's handle closed, which sends nothing to the client; the
 * `net.Socket` lives on, so that `req.socket` and `httpServer.close()` mean what they always mean, until the engine
 * reports the end. What has no descriptor of its own is pumped through a `Pipe`.
 *
 * @param server {Server}
 * @param conn {Conn} whom the connection belongs to
 * @param socket {Duplex}
 * @param head {Buffer} what came behind the request
 * @param give {function(number, number, Buffer)} gets the stream's number, the descriptor (-1: none) and what has
 *   already been read
 * @returns {boolean} whether that worked; if not, the connection has been destroyed
 */
function takeOver(server, conn, socket, head, give) {
  const fd = descriptorOf(socket);
  const stream = fd === -1 ? new Pipe(server, socket) : new TakenSocket(server, socket);
  stream.id = server._registerStream(stream, conn._handle);
  conn._stream = stream;
  try {
    socket.setTimeout?.(0);
    socket.setNoDelay?.(true);
    server._commands.flush();
    give(stream.id, fd, alreadyRead(socket, head));
  } catch (error) {
    reportOnce(error);
    server._releaseStream(stream.id);
    socket.on("error", noop);
    socket.destroy();
    conn._abandon();
    return false;
  }
  stream.start();
  return true;
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

/** A `net.Socket` whose descriptor the engine has. */
class TakenSocket {
  constructor(server, socket) {
    this.server = server;
    this.socket = socket;
    this.id = -1;
  }

  /** Lets go of Node's handle. */
  start() {
    const { socket } = this;
    // these are asked of the handle and then remembered
    void socket.remoteAddress;
    void socket.localAddress;
    const handle = socket._handle;
    handle.readStop();
    handle.close();
    socket._handle = null;
    socket[kStream] = this;
    socket.on("error", noop);
    socket.on("close", onSocketClose);
  }

  /** The engine has closed its descriptor. */
  onReleased() {
    this.id = -1;
    this.socket.destroy();
  }
}

const kStream = Symbol("stream");

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
  process.emitWarning(`a WebSocket connection was refused: ${error.message}`, "SockeyeWarning");
}

function noop() {}

module.exports = { takeOver };
