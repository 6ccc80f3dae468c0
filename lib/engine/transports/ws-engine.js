"use strict";

/**
 * WebSockets of an implementation that the application brings along (the option `wsEngine`). They talk to the native
 * engine in frames, as clients do: so a session is the same whatever carries it.
 */

const { EventEmitter } = require("events");
const { Stream } = require("../../node/stream");
const { linesOf } = require("../upgrade-response");
const { BINARY, CLOSE, TEXT, forEachFrame, makeFrame } = require("./frame");

/** Requests whose answer an implementation is writing, and the headers to add to it. */
const pendingHeaders = new WeakMap();

/**
 * What `engine.ws` is while nothing is brought along: WebSockets are native then, and this tells how they are set up.
 * Emits `headers` (lines, request) before an upgrade is answered; lines may be added.
 */
class NativeWebSocketServer extends EventEmitter {
  constructor(options, announce) {
    super();
    this.options = options;
    this._announce = announce;
    this._isClosed = false;
    /** What makes WebSockets that are not the engine's, once there is to be one. */
    this._server = undefined;
  }

  /**
   * Answers an upgrade request with a WebSocket that is not the engine's: an application may use it as it likes, or
   * give it to `engine.onWebSocket()`.
   * @param {IncomingMessage} req
   * @param {Duplex} socket
   * @param {Buffer} head - what came behind the request
   * @param {function(WebSocket, IncomingMessage)} callback
   */
  handleUpgrade(req, socket, head, callback) {
    if (this._server === undefined) {
      const { WebSocketServer } = require("ws");
      this._server = new WebSocketServer(this.options);
      this._server.on("headers", (lines, request) => {
        completeHeaders(lines, request, this._announce);
        this.emit("headers", lines, request);
      });
      if (this._isClosed) this._server.close();
    }
    this._server.handleUpgrade(req, socket, head, callback);
  }

  /** Whether a request is for this server: it is for whoever calls `handleUpgrade` to know. */
  shouldHandle() {
    return true;
  }

  /** @throws {Error} always: it is the HTTP server that listens */
  address() {
    throw new Error('The server is operating in "noServer" mode');
  }

  /** From now on, upgrades are refused. The sessions are the engine's to close. */
  close(callback) {
    this._isClosed = true;
    this._server?.close();
    if (callback !== undefined) process.nextTick(callback);
  }

  /** The HTTP server listens, perhaps again. */
  _reopen() {
    if (!this._isClosed) return;
    this._isClosed = false;
    this._server = undefined;
  }
}

/**
 * Makes what `engine.ws` is.
 * @param {object} opts - the engine's options
 * @param {function(object, IncomingMessage)} announce - completes the headers of an answer
 */
function createWebSocketServer(opts, announce) {
  const options = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: opts.perMessageDeflate,
    maxPayload: opts.maxHttpBufferSize,
    maxBufferedChunks: opts.maxBufferedChunks,
  };
  if (!opts.wsEngine) return new NativeWebSocketServer(options, announce);
  const ws = new opts.wsEngine(options);
  ws.on?.("headers", (lines, req) => completeHeaders(lines, req, announce));
  return ws;
}

function completeHeaders(lines, req, announce) {
  const headers = pendingHeaders.get(req) ?? {};
  pendingHeaders.delete(req);
  announce(headers, req);
  lines.push(...linesOf(headers));
}

/**
 * Has an upgrade request answered by the implementation.
 * @param {UpgradeAttempt} attempt - whose `adopt()` is called
 */
function acceptUpgrade(attempt) {
  const { server, req, socket, head } = attempt;
  if (attempt.headers !== undefined) pendingHeaders.set(req, attempt.headers);
  server.ws.handleUpgrade(req, socket, Buffer.from(head), (webSocket) => attempt.adopt(webSocket));
}

/** A stream of the native engine, whose frames are messages of such a WebSocket. */
class ForeignStream extends Stream {
  /**
   * @param {Bridge} bridge
   * @param {Conn} conn
   * @param {Duplex} socket - the connection of the WebSocket
   * @param {WebSocket} websocket
   */
  constructor(bridge, conn, socket, websocket) {
    super(bridge);
    this.conn = conn;
    this._socket = socket;
    this.websocket = websocket;
    this._onWritten = this.confirmWritten.bind(this);
  }

  get socket() {
    return this._socket;
  }

  /**
   * Becomes the stream of a session.
   * @param {UpgradeAttempt} attempt - whose `give()` is called
   */
  start(attempt) {
    const { conn, bridge, websocket } = this;
    this.register(conn._handle);
    conn._stream = this;
    bridge.commands.flush();
    attempt.give(conn, this.id, -1, undefined);
    websocket.on("message", (data, isBinary = typeof data !== "string") => this._onMessage(data, isBinary));
    websocket.on("error", (error) => this._onError(error));
    websocket.once("close", () => this.confirmEnd());
  }

  /** Frames of the engine. */
  write(data) {
    let isSent = false;
    forEachFrame(data, (opcode, payload, isLast) => {
      if (opcode === TEXT || opcode === BINARY) {
        isSent = isLast;
        this.websocket.send(opcode === TEXT ? payload.toString() : payload, isLast ? this._onWritten : noop);
      } else if (opcode === CLOSE) {
        this.websocket.close(payload.length === 0 ? undefined : payload.readUInt16BE(0));
      }
    });
    if (!isSent) this._onWritten();
  }

  /** Stops the reading for a while. Not every implementation can do that. */
  pause() {
    this.websocket.pause?.();
  }

  resume() {
    this.websocket.resume?.();
  }

  /** The engine has nothing more to write. */
  end() {
    this.websocket.close();
  }

  /** The engine is done with the stream. */
  onReleased() {
    super.onReleased();
    this.websocket.terminate?.();
  }

  _onMessage(data, isBinary) {
    this.receive(makeFrame(isBinary ? BINARY : TEXT, toBuffer(data)));
  }

  _onError(err) {
    const { conn } = this;
    // a WebSocket that only probes does not end the session
    if (conn._stream !== this || conn.transport.name !== "websocket") return;
    const error = new Error(err);
    error.type = "TransportError";
    conn.onError(error);
  }
}

/** A message as implementations hand it over: text, any binary value, or a list of fragments. */
function toBuffer(data) {
  if (Array.isArray(data)) return Buffer.concat(data);
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return Buffer.from(data);
}

function noop() {}

module.exports = { ForeignStream, acceptUpgrade, createWebSocketServer };
