"use strict";

const querystring = require("querystring");
const zlib = require("zlib");
const accepts = require("accepts");
const { serialize } = require("cookie");
const createDebug = require("debug");
const { Transport } = require("./transport");

const debug = createDebug("engine:polling");

// taken before anybody can replace them by fake timers
const { clearTimeout, setTimeout } = require("timers");

const LONGEST_TIMER = 2 ** 31 - 1;

/** Bytes from which on a body costs less if it does not become a string. */
const LARGE_BODY = 64 * 1024;

const COMPRESSORS = { gzip: zlib.createGzip, deflate: zlib.createDeflate };

/**
 * The requests of a session that polls: one GET that waits for an answer, and one POST whose body arrives. The
 * worker holds the session, and says what to answer.
 */
class Polling extends Transport {
  /**
   * @param {Conn} conn
   * @param {IncomingMessage} req - the first request
   */
  constructor(conn, req) {
    super(conn);
    /** The number of the function that a client without XMLHttpRequest wants called with each payload (JSONP). */
    this.callback = typeof req._query.j === "string" ? req._query.j.replace(/[^0-9]/g, "") : undefined;
    /** The GET that waits. */
    this.get = undefined;
    /** Whether something has been sent since the GET came: it is on its way through the worker. */
    this.isAnswered = false;
    /** The POST that is being received or handled. */
    this.post = undefined;
    /** Packets that have been sent while no GET waited, as `conn.writeBuffer` shows them. */
    this.waiting = [];
    /** The WebSocket that wants to take over, once it has been probed. */
    this.probe = undefined;
  }

  get name() {
    return "polling";
  }

  /** Whether the requests of the session may come past Node's HTTP server. */
  get isTravelling() {
    return false;
  }

  /** Whether a GET waits that nothing has been sent to answer. */
  get canAnswer() {
    return this.get !== undefined && !this.isAnswered;
  }

  /** The answer to a POST that has arrived as a whole, and whose packets are being read. */
  get answerUnderWay() {
    const { req, res } = this.post ?? NO_POST;
    return req?.complete && !res.destroyed ? res : undefined;
  }

  /** Whether a packet that is sent now leaves at once. */
  get writable() {
    return this.canAnswer && this.readyState === "open";
  }

  /** The session ends: what waits can be seen until then. */
  keepWaiting() {}

  /** The GET that waits, as applications see it. */
  get req() {
    return this.get?.req ?? null;
  }

  /** Its answer. */
  get res() {
    return this.get?.res ?? null;
  }

  /** The POST whose messages are being handled. */
  get dataReq() {
    return this.post?.req ?? null;
  }

  /** Its answer. */
  get dataRes() {
    return this.post?.res ?? null;
  }

  /** A request of the session. */
  onRequest(req) {
    const { res } = req;
    // the session keeps its first request, for as long as it lives
    req.res = null;
    if (req.method === "GET") {
      this.onPollRequest(req, res);
    } else if (req.method === "POST") {
      this.onDataRequest(req, res);
    } else {
      res.writeHead(500).end();
    }
  }

  /** The GET that opens the session: the packet that does so is the answer, and nothing else goes with it. */
  open(req) {
    this.hold(req, req.res);
    req.res = null;
    this.isAnswered = true;
  }

  /** The session cannot be opened. */
  refuse() {
    const { get } = this;
    this.get = undefined;
    get.detach();
    get.res.writeHead(503).end();
  }

  /** Keeps a GET until there is something to answer. */
  hold(req, res) {
    this.get = new Request(this, req, res, onGetClosed);
    this.isAnswered = false;
  }

  /**
   * Answers the GET that waits.
   * @param {string|Buffer} payload
   * @param {boolean} compress - whether the application lets it be compressed
   */
  answer(payload, compress) {
    const { get } = this;
    if (get === undefined) return;
    if (debug.enabled) debug('writing "%s"', payload);
    this.get = undefined;
    get.detach();
    const { req, res } = get;
    const isText = typeof payload === "string";
    const headers = { "Content-Type": isText ? "text/plain; charset=UTF-8" : "application/octet-stream" };
    if (this.callback !== undefined) payload = toScript(this.callback, payload);
    const length = Buffer.byteLength(payload);
    const options = this.opts.httpCompression;
    const encoding =
      compress && options && !(length < options.threshold) && accepts(req).encodings(["gzip", "deflate"]);
    if (encoding) {
      headers["Content-Encoding"] = encoding;
      res.writeHead(200, responseHeaders(this.conn, req, headers));
      const stream = COMPRESSORS[encoding](options);
      stream.on("error", () => res.end());
      stream.pipe(res);
      stream.end(payload);
    } else {
      headers["Content-Length"] = length;
      res.writeHead(200, responseHeaders(this.conn, req, headers));
      res.end(payload);
    }
  }

  /** The packets that had to wait are the answer. */
  _flushWaiting() {
    const { waiting, conn } = this;
    if (waiting.length === 0 || conn.readyState === "closed") return;
    this.isAnswered = true;
    this.waiting = [];
    conn._emitFlush(waiting);
  }

  /** The worker has handled the body of the POST. */
  onPosted() {
    const { post } = this;
    if (post === undefined || !post.isComplete) return;
    this.post = undefined;
    // text/plain would make some browsers offer a download
    const headers = { "Content-Type": "text/html", "Content-Length": "2" };
    post.res.writeHead(200, responseHeaders(this.conn, post.req, headers));
    post.res.end("ok");
  }

  /** The session has ended: requests that crossed its end in the worker are answered from here. */
  settle() {
    this._answerClose();
    this.onPosted();
  }

  /** The session has another transport: requests that are under way have no meaning any more. */
  retire() {
    this._answerClose();
    this.onPosted();
    this._cutPost();
  }

  /** The session has failed: nothing more will be said. */
  abandon() {
    this._answerClose();
    this._cutPost();
  }

  /** Answers the GET that waits with a close packet. */
  _answerClose() {
    this.answer(this.conn.protocol === 3 ? "1:1" : "1", false);
  }

  _cutPost() {
    const { post } = this;
    if (post?.isComplete) {
      this.onPosted();
    } else if (post !== undefined) {
      this.post = undefined;
      post.detach();
      post.req.destroy();
    }
  }

  /** Ends a POST that is still being received. */
  abortPost() {
    const { post } = this;
    if (post !== undefined && !post.isComplete) post.req.destroy();
  }

  /** The client asks for what there is to receive. */
  onPollRequest(req, res) {
    if (this.get !== undefined) {
      debug("request overlap");
      this.conn._fail("overlap from client");
      res.writeHead(400).end();
      return;
    }
    this.hold(req, res);
    this.conn.server._bridge.commands.poll(this.conn._handle);
    this._flushWaiting();
  }

  /** The client sends something. */
  onDataRequest(req, res) {
    if (this.post !== undefined) {
      this.conn._fail("data request overlap from client");
      res.writeHead(400).end();
      return;
    }
    const isBinary = req.headers["content-type"] === "application/octet-stream";
    if (isBinary && this.conn.protocol === 4) {
      this.conn._fail("invalid content");
      res.writeHead(400).end();
      return;
    }
    this.post = isBinary ? new BinaryPost(this, req, res) : new Post(this, req, res);
  }
}

Polling.upgradesTo = ["websocket", "webtransport"];

/**
 * The same of a session whose requests may come past Node's HTTP server, and by it as well: what is under way is known to the
 * worker only, which is asked when somebody wants to know.
 */
class TravellingPolling extends Polling {
  /** @param {Conn} conn */
  constructor(conn) {
    super(conn, FIRST_REQUEST);
    /** The POST that a worker has, if the application was shown it: see `ShownRequest`. */
    this.passed = undefined;
    /** The list that `writeBuffer` was last, and how many of its packets are the worker's: others may have been added. */
    this._shown = [];
    this._shownCount = 0;
  }

  /** @override */
  get isTravelling() {
    return true;
  }

  /** @override */
  get canAnswer() {
    return this._ask().waits;
  }

  /** @override */
  get writeBuffer() {
    if (this.conn.readyState === "closed") return this.waiting;
    this._shown = this._ask().packets.map(packetOf);
    this._shownCount = this._shown.length;
    return this._shown;
  }

  /** @override */
  keepWaiting() {
    if (this.conn.listenerCount("close") === 0) return;
    const added = this._shown.slice(this._shownCount);
    this.waiting = this.writeBuffer.concat(added);
  }

  /** @override */
  onDataRequest(req, res) {
    super.onDataRequest(req, res);
    if (this.post !== undefined) this.conn.server._bridge.commands.hold(this.conn._handle);
  }

  /** @override */
  onPosted() {
    if (this.post !== undefined) {
      super.onPosted();
    } else {
      this.passed?.onAnswered();
      this.passed = undefined;
      this.conn.server._bridge.commands.posted(this.conn._handle);
    }
  }

  /**
   * Who looks at requests gets to see them from then on.
   * @override
   */
  get req() {
    this.conn.server._showAnswers();
    return super.req;
  }

  /** @override */
  get res() {
    this.conn.server._showAnswers();
    return super.res;
  }

  /** @override */
  get dataReq() {
    this.conn.server._showAnswers();
    return super.dataReq;
  }

  /** @override */
  get dataRes() {
    this.conn.server._showAnswers();
    return super.dataRes;
  }

  /** The GET that has come here is not the only one. */
  onOverlap() {
    const { get, conn } = this;
    if (get === undefined) return;
    debug("request overlap");
    this.get = undefined;
    get.detach();
    conn._fail("overlap from client");
    get.res.writeHead(400).end();
  }

  /** The POST that has come here is not the only one. */
  onPostOverlap() {
    const { post, conn } = this;
    if (post === undefined) return;
    this.post = undefined;
    post.detach();
    conn._fail("data request overlap from client");
    post.res.writeHead(400).end();
  }

  /** Listeners have come or gone: who listens for headers sees the requests of all sessions. @private */
  _onListeners(event) {
    super._onListeners(event);
    if (this._events?.headers !== undefined) this.conn.server._showAnswers();
  }

  _ask() {
    const { conn } = this;
    if (conn.readyState === "closed") return NOTHING;
    const { commands, native } = conn.server._bridge;
    commands.flush();
    return native.askPolling(conn._handle);
  }
}

const NO_POST = {};

/** What is known of the first request: nothing that matters. */
const FIRST_REQUEST = { _query: {} };

const NOTHING = { waits: false, packets: [] };

/** A packet that waits in the worker, as applications see it. */
function packetOf(packet) {
  const options = { compress: true };
  if (typeof packet !== "string") return { type: "message", data: packet, options };
  const data = packet.slice(1);
  return data === ""
    ? { type: PACKET_NAMES[packet[0]], options }
    : { type: PACKET_NAMES[packet[0]], data, options };
}

/** Names of packets by the digit that stands for them on the wire (Engine.IO protocol v4, "Packet encoding"). */
const PACKET_NAMES = ["open", "close", "ping", "pong", "message", "upgrade", "noop"];

/**
 * Adds the headers of the answer to a request of a session.
 * @param {Conn} conn
 * @param {IncomingMessage} req
 * @param {object} headers - to be completed
 * @returns {object} the same
 */
function responseHeaders(conn, req, headers) {
  const { server } = conn;
  const agent = req.headers["user-agent"];
  // without this, old Internet Explorers take the payload for a cross-site script
  if (agent && (agent.includes(";MSIE") || agent.includes("Trident/"))) headers["X-XSS-Protection"] = "0";
  headers["cache-control"] = "no-store";
  if (!req._query.sid) {
    const { cookie } = server.opts;
    if (cookie) headers["Set-Cookie"] = [serialize(cookie.name, conn.id, cookie)];
    server.emit("initial_headers", headers, req);
  }
  server.emit("headers", headers, req);
  conn._polling?.emit("headers", headers, req);
  return headers;
}

/** A request that waits for its answer. */
class Request {
  constructor(polling, req, res, onClose) {
    this.polling = polling;
    this.req = req;
    this.res = res;
    this._onClose = onClose.bind(undefined, this);
    // a request without a body closes when it has been read to its end, a response when nobody waits for it
    this.res.on("close", this._onClose);
  }

  /** The answer is under way, or nobody will give one. */
  detach() {
    this.res.removeListener("close", this._onClose);
  }
}

/** The client has hung up on a GET, of which it need not have seen the answer that is on its way. */
function onGetClosed(get) {
  get.detach();
  get.polling.get = undefined;
  if (!get.polling.isAnswered) get.polling.conn._fail("poll connection closed prematurely");
}

/** A POST: its body arrives, the worker handles it, it is answered. */
class Post extends Request {
  constructor(polling, req, res) {
    super(polling, req, res, onPostClosed);
    this.chunks = [];
    this.length = 0;
    this.isComplete = false;
    req.on("data", (chunk) => this._onData(chunk));
    req.on("end", () => this._onEnd());
    const { httpRequestBodyTimeout: limit } = polling.opts;
    this._timer = limit > LONGEST_TIMER ? undefined : setTimeout(onPostTimeout, limit, this);
  }

  /** @override */
  detach() {
    clearTimeout(this._timer);
    super.detach();
  }

  /** Hands the body to the worker. @protected */
  _handOver(conn, chunks, length) {
    const { polling } = this;
    if (length >= LARGE_BODY && polling.callback === undefined && !debug.enabled) {
      handOverBytes(conn, chunks, false);
      return;
    }
    const text = (chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, length)).toString();
    if (debug.enabled) debug('received "%s"', text);
    const payload = polling.callback === undefined ? text : fromForm(text);
    if (payload === undefined) polling.onPosted();
    else conn.server._bridge.commands.post(conn._handle, payload);
  }

  /** Ends the session for what is wrong with the request. */
  fail(status, message) {
    const { polling, req, res } = this;
    polling.post = undefined;
    this.detach();
    res.writeHead(status).end();
    polling.conn._fail(message);
    req.destroy();
  }

  _onData(chunk) {
    const { polling, chunks } = this;
    if (polling.post !== this) return;
    const { maxBufferedChunks, maxHttpBufferSize } = polling.opts;
    this.length += chunk.length;
    if (this.length > maxHttpBufferSize) {
      this.fail(413, "payload too large");
    } else if (chunks.push(chunk) > maxBufferedChunks) {
      this.fail(413, "too many chunks");
    }
  }

  _onEnd() {
    const { polling, chunks, length } = this;
    if (polling.post !== this) return;
    this.detach();
    this.isComplete = true;
    this.chunks = undefined;
    this._handOver(polling.conn, chunks, length);
  }
}

/** A POST of a client of revision 3, with binary data. */
class BinaryPost extends Post {
  _handOver(conn, chunks) {
    handOverBytes(conn, chunks, true);
  }
}

/** Hands a body to the worker as it has arrived. */
function handOverBytes(conn, chunks, isBinary) {
  const { commands, native } = conn.server._bridge;
  commands.flush();
  native.postBody(conn._handle, chunks, isBinary);
}

/** The script that calls a client's function with a payload. Not all of JSON is JavaScript. */
function toScript(callback, payload) {
  const json = JSON.stringify(payload)
    .replace(/\u2028/g, "\\u2028")
    .replace(/\u2029/g, "\\u2029");
  return `___eio[${callback}](${json});`;
}

/** The payload in a form that a client without XMLHttpRequest has submitted; it doubles the backslashes of `\\n`. */
function fromForm(body) {
  const { d } = querystring.parse(body);
  if (typeof d !== "string") return undefined;
  return d.replace(/(\\)?\\n/g, (match, slash) => (slash ? match : "\n")).replace(/\\\\n/g, "\\n");
}

/** The client has hung up on a POST whose body had not arrived. */
function onPostClosed(post) {
  post.detach();
  post.polling.post = undefined;
  post.polling.conn._fail("data request connection closed prematurely");
}

/** The body of a POST has not arrived in time. */
function onPostTimeout(post) {
  post.fail(408, "http request timeout");
}

module.exports = { PACKET_NAMES, Polling, TravellingPolling };
