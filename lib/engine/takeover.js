"use strict";

const createDebug = require("debug");
const { debug: roads, descriptorOf, obstacleOf } = require("../node/internals");
const { Pipe } = require("../node/pipe");
const { detachSession, factsOf, isSecure, sessionOf } = require("../node/secure-socket");
const { memorize } = require("../node/request");
const { TakenSocket, markTaken } = require("../node/taken-socket");
const { warnOnce } = require("../node/warning");

const debug = createDebug("engine");

/**
 * Takes a connection from Node's HTTP server and gives it to the native engine, after its upgrade request has been
 * accepted. The descriptor is duplicated and Node's handle closed, which sends nothing to the client; the
 * `net.Socket` lives on, so that `req.socket` and `httpServer.close()` mean what they always mean, until the engine
 * reports the end. What has no descriptor of its own is pumped through a `Pipe`.
 *
 * @param {UpgradeAttempt} attempt - the upgrade request; its `give()` is called
 * @param {Conn} conn - whom the connection belongs to
 * @returns {boolean} whether that worked; if not, the connection is destroyed
 */
function takeOver(attempt, conn) {
  const { server, req, socket, head } = attempt;
  const { _bridge: bridge } = server;
  if (socket.destroyed) {
    // the client has hung up while the application made up its mind
    conn._abandon();
    return false;
  }
  const obstacle = obstacleOf(socket) ?? whyInsecure(socket);
  if (obstacle !== undefined) {
    roads("a connection is pumped: %s", obstacle);
    server._pumped[obstacle] = (server._pumped[obstacle] ?? 0) + 1;
  }
  const fd = obstacle === undefined ? descriptorOf(socket) : -1;
  const stream = fd === -1 ? new Pipe(bridge, socket) : new TakenSocket(bridge, socket.server, socket);
  stream.register(conn._handle);
  conn._stream = stream;
  try {
    socket.setTimeout?.(0);
    socket.setNoDelay?.(true);
    bridge.commands.flush();
    const rest = alreadyRead(socket, head);
    attempt.give(conn, stream.id, fd, rest, fd === -1 ? undefined : detachSession(socket));
  } catch (error) {
    reportRefusal(error);
    bridge.releaseStream(stream.id);
    socket.on("error", noop);
    socket.destroy();
    conn._abandon();
    return false;
  }
  markTaken(socket, stream);
  // a session that has begun with polling keeps its first request
  const isFirst = conn._request === req;
  const isDropped = fd !== -1 && attempt.isUnseen();
  if (fd === -1) {
    stream.start();
  } else {
    const facts = isSecure(socket) ? factsOf(socket) : undefined;
    stream.remember(socket.remoteAddress, socket.remotePort, socket.localAddress, socket.localPort, facts);
    stream.start(isDropped);
  }
  if (isFirst && isDropped) {
    conn._request = undefined;
    conn._rawRequest = memorize(req);
  } else if (isFirst) {
    req.websocket = conn.transport.socket;
  }
  return true;
}

/** Why the TLS session of a socket, if it has one, cannot be a worker's. */
function whyInsecure(socket) {
  return isSecure(socket) && sessionOf(socket) === undefined ? "its TLS session is under way" : undefined;
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

/** Says why connections are refused: too many open files, most likely. */
function reportRefusal(error) {
  debug("a connection is refused: %s", error);
  warnOnce("SOCKEYE_REFUSED", "a connection was refused", error);
}

function noop() {}

module.exports = { reportRefusal, takeOver };
