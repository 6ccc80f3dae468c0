"use strict";

/**
 * Requests that the application is shown before Node's HTTP server has their connections. They are Node's own kinds of
 * objects, but for their socket, which is made when somebody asks for it; and if what has come so far is not enough, the
 * server goes on with them as if they had been its own from the beginning.
 */

const { IncomingMessage, ServerResponse } = require("http");
const { isTlsServer, newSocket, obstacleOf, serveConnection, symbolOf } = require("./internals");
const { fillRequest, isChanged, lengthOf } = require("./request");
const { setBytesRead } = require("./taken-socket");

/** Of a request or an answer: who has its connection, with the `socket`. */
const kHolder = Symbol("holder");

/** Of a request or an answer: who is told when it takes more than the objects as they are: see `makeRequest`. */
const kWatcher = Symbol("watcher");

/** A property that is made of another object when it is first asked for, and is like any other when it is set. */
function lazily(name, make) {
  return {
    configurable: true,
    enumerable: true,
    get() {
      return make(this);
    },
    set(value) {
      settle(this, name, value);
    },
  };
}

/** Makes a property that was made in another way like any other. */
function settle(object, name, value) {
  Object.defineProperty(object, name, { configurable: true, enumerable: true, writable: true, value });
}

function hidden(value) {
  return { configurable: true, enumerable: false, writable: true, value };
}

/** A method that tells of its call first. */
function telling(name) {
  return hidden(function (...args) {
    this[kWatcher].onUse();
    delete this[name];
    return this[name](...args);
  });
}

const CONNECTION = {
  socket: lazily("socket", socketOf),
  client: lazily("client", socketOf),
};

const OF_REQUESTS = {
  ...CONNECTION,
  res: lazily("res", (req) => req[kWatcher].res),
  _read: telling("_read"),
};

const OF_ANSWERS = {
  socket: lazily("socket", (res) => res.req.socket),
  // whatever is said by an answer goes through the first two
  _storeHeader: telling("_storeHeader"),
  _writeRaw: telling("_writeRaw"),
  destroy: telling("destroy"),
  setTimeout: telling("setTimeout"),
};

// Their constructors set properties that get another meaning here. To change what an object has would make V8 keep it as a
// table, which takes a kilobyte and a microsecond more; so these let it have none. They are own properties then, which stay
// when somebody gives the object another prototype.

class Request extends IncomingMessage {
  get socket() {
    return undefined;
  }

  set socket(_socket) {}

  get client() {
    return undefined;
  }

  set client(_socket) {}
}

class Answer extends ServerResponse {
  get socket() {
    return null;
  }

  set socket(_socket) {}
}

for (const { prototype } of [Request, Answer]) delete prototype.constructor;

/** Gives an object properties, one by one, which is quicker than all at once. */
function give(object, properties) {
  for (const name in properties) Object.defineProperty(object, name, properties[name]);
}

/**
 * Makes a request that is shown.
 * @param {string} method
 * @param {string} raw - see `fillRequest`
 * @param {{ socket: net.Socket }} holder - who has the connection
 * @param {{ res: ServerResponse, onUse: function() }|undefined} watcher - who has the answer, if it is asked for, and is
 *   told when the body is read, or something is said by the answer; none if there is neither a body nor such an answer
 * @returns {IncomingMessage}
 */
function makeRequest(method, raw, holder, watcher) {
  const req = new Request();
  req[kHolder] = holder;
  req[kWatcher] = watcher;
  fillRequest(req, method, raw);
  give(req, watcher === undefined ? CONNECTION : OF_REQUESTS);
  return req;
}

function socketOf(req) {
  const { socket } = req[kHolder];
  // what Node has not read itself
  if (socket?._handle === null || socket?.bytesRead === 0) setBytesRead(socket, lengthOf(req));
  return socket;
}

/** Whether a request that was shown has been given a socket. */
function hasOwnSocket(req) {
  return Object.getOwnPropertyDescriptor(req, "socket")?.get !== CONNECTION.socket.get;
}

/** Makes the answer to such a request. */
function makeAnswer(req) {
  const res = new Answer(req);
  res[kWatcher] = req[kWatcher];
  give(res, OF_ANSWERS);
  return res;
}

/** Somebody else has the connection of a request that was shown. */
function changeHolder(req, holder) {
  req[kHolder] = holder;
}

/** All of a request has come, and there is nothing in it to be read. */
function finishRequest(req) {
  req.complete = true;
  req[kWatcher] = undefined;
  Object.defineProperty(req, "_read", NOTHING_TO_READ);
}

function readNothing() {
  this.push(null);
}

const NOTHING_TO_READ = hidden(readNothing);

/** Methods of an answer by whose replacement middlewares learn of its head, or of its end. */
const HOOKS = ["writeHead", "write", "end", "setHeader", "flushHeaders", "assignSocket", "detachSocket"];

/** Headers that mean something to whoever writes an answer. */
const MEANINGFUL = new Set([
  "cache-control",
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "cookie",
  "date",
  "keep-alive",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "x-xss-protection",
]);

const PLAIN_VALUE = /^[\t\x20-\x7e]*$/;

/**
 * The headers of an answer that middlewares have seen, as lines with their ends.
 * @param {IncomingMessage} req
 * @param {ServerResponse|undefined} res - undefined if nobody has seen it
 * @returns {string|undefined} undefined if anything else was done to the two of them
 */
function headersAlone(req, res) {
  // workers go by what the client has said that it accepts
  if (req._eventsCount > 0 || req.destroyed || isChanged(req, "accept-encoding")) return undefined;
  if (res === undefined) return "";
  if (
    res._eventsCount > 0 ||
    res._header ||
    res.finished ||
    res.destroyed ||
    res.statusCode !== 200 ||
    res.statusMessage !== undefined ||
    !res.sendDate ||
    !res.shouldKeepAlive ||
    res.strictContentLength ||
    res._removedConnection ||
    res._removedContLen ||
    res._removedTE ||
    HOOKS.some((name) => Object.hasOwn(res, name)) ||
    res._storeHeader !== OF_ANSWERS._storeHeader.value
  ) {
    return undefined;
  }
  let lines = "";
  for (const name of res.getRawHeaderNames()) {
    if (MEANINGFUL.has(name.toLowerCase())) return undefined;
    const value = res.getHeader(name);
    for (const each of Array.isArray(value) ? value : [value]) {
      if (!PLAIN_VALUE.test(each)) return undefined;
      lines += `${name}: ${each}\r\n`;
    }
  }
  return lines;
}

/**
 * Makes the socket of a connection that an HTTP server has accepted, as the server would. It is not read from.
 * @param {http.Server} httpServer - who has counted the connection
 * @param {TCP} handle
 * @param {TlsFacts|undefined} facts - what is known of the TLS session over it, if there is one
 * @returns {net.Socket}
 */
function openSocket(httpServer, handle, facts) {
  const { allowHalfOpen, highWaterMark, noDelay } = httpServer;
  const options = {
    handle,
    allowHalfOpen,
    manualStart: true,
    readableHighWaterMark: highWaterMark,
    writableHighWaterMark: highWaterMark,
  };
  const socket = newSocket(options, facts);
  if (noDelay) socket.setNoDelay(true);
  socket.server = socket._server = httpServer;
  socket.parser = null;
  return socket;
}

/** Events of a socket that tell of its end, whoever reads from it. */
const OF_THE_END = ["error", "close"];

/** Whether somebody has used, or changed, a socket that `openSocket` has made, or wants to hear what comes over it. */
function isTouched(socket) {
  return (
    socket.destroyed ||
    obstacleOf(socket) !== undefined ||
    socket.writableEnded ||
    socket.bytesWritten > 0 ||
    socket.readableFlowing !== null ||
    socket.readableEncoding !== null ||
    socket.timeout > 0 ||
    // it listens for its end by itself
    socket.listenerCount("end") > 1 ||
    socket.eventNames().some((event) => event !== "end" && !OF_THE_END.includes(event))
  );
}

/** Tells those who listen for connections, other than the HTTP server itself, of one. */
function introduce(httpServer, socket) {
  const [, ...others] = httpServer.rawListeners("connection");
  for (const listener of others) listener.call(httpServer, socket);
}

/**
 * Has an HTTP server go on with a connection.
 * @param {http.Server} httpServer
 * @param {net.Socket} socket - see `openSocket`
 * @param {boolean} isKnown - whether those who listen have been told of it
 */
function giveSocket(httpServer, socket, isKnown) {
  // from here on, Node counts
  delete socket.bytesRead;
  if (!socket.destroyed) socket.read(0);
  if (!isKnown) {
    httpServer.emit(isTlsServer(httpServer) ? "secureConnection" : "connection", socket);
    return;
  }
  const isRead = READING.some((event) => socket.listenerCount(event) > 0);
  serveConnection(httpServer, socket);
  if (isRead) {
    // Node's parser has the bytes to itself until it sees somebody begin to listen for them
    socket.on("data", noop);
    socket.removeListener("data", noop);
  }
}

/** Events of a socket by which others than Node's parser read from it. */
const READING = ["data", "readable"];

function noop() {}

/**
 * Has an HTTP server go on with a connection, with a request that was shown: the server parses it once more, but where it
 * would make objects of it, it gets those that there are.
 * @param {http.Server} httpServer
 * @param {net.Socket} socket - see `openSocket`
 * @param {IncomingMessage} req
 * @param {ServerResponse} res
 * @param {Buffer|undefined} bytes - the request; undefined if the connection has failed
 * @param {function(http.Server, net.Socket)} give - has the server go on with the connection
 */
function giveRequest(httpServer, socket, req, res, bytes, give) {
  const { url, method } = req;
  settle(req, "socket", socket);
  settle(req, "client", socket);
  settle(req, "res", res);
  drop(OF_REQUESTS, req);
  drop(OF_ANSWERS, res);
  if (Object.getPrototypeOf(req) === Request.prototype) Object.setPrototypeOf(req, IncomingMessage.prototype);
  if (Object.getPrototypeOf(res) === Answer.prototype) Object.setPrototypeOf(res, ServerResponse.prototype);
  res.socket = null;
  bytes ??= headOf(req);
  give(httpServer, socket);
  const requests = symbolOf(httpServer, "IncomingMessage");
  const answers = symbolOf(httpServer, "ServerResponse");
  const { [requests]: ItsRequest, [answers]: ItsAnswer, requireHostHeader } = httpServer;
  // the worker has seen it, and a middleware may have taken it away
  httpServer.requireHostHeader = false;
  // they are there already
  req._addHeaderLines = () => {};
  httpServer[requests] = function () {
    httpServer[requests] = ItsRequest;
    return req;
  };
  httpServer[answers] = function () {
    httpServer[answers] = ItsAnswer;
    return res;
  };
  given.add(req);
  try {
    socket.emit("data", bytes);
  } finally {
    httpServer[requests] = ItsRequest;
    httpServer[answers] = ItsAnswer;
    httpServer.requireHostHeader = requireHostHeader;
    delete req._addHeaderLines;
    req.url = url;
    req.method = method;
  }
}

/** Takes properties away, but for those that somebody has replaced. */
function drop(properties, object) {
  for (const [name, { get, value }] of Object.entries(properties)) {
    const own = Object.getOwnPropertyDescriptor(object, name);
    if (own !== undefined && own.get === get && own.value === value) delete object[name];
  }
}

/** Requests that HTTP servers have been given. */
const given = new WeakSet();

/** Whether a request that comes of an HTTP server is one that was shown before. */
function wasShown(req) {
  return given.has(req);
}

/** The head of a request, of which the bytes are lost. */
function headOf({ method, url, rawHeaders }) {
  let head = `${method} ${url} HTTP/1.1\r\n`;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) head += `${rawHeaders[i]}: ${rawHeaders[i + 1]}\r\n`;
  return Buffer.from(`${head}\r\n`, "latin1");
}

module.exports = {
  changeHolder,
  finishRequest,
  giveRequest,
  giveSocket,
  hasOwnSocket,
  headersAlone,
  introduce,
  isTouched,
  lazily,
  makeAnswer,
  makeRequest,
  openSocket,
  settle,
  wasShown,
};
