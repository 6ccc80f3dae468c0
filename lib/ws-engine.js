"use strict";

/**
 * WebSockets of an implementation that the application brings along (the option `wsEngine`). They talk to the native
 * engine in frames, as clients do: so a session is the same whatever carries it.
 */

const { EventEmitter } = require("events");

/** Opcodes of frames (RFC 6455 section 5.2). */
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;

const FIN = 0x80;
const MASKED = 0x80;

/** Requests whose answer an implementation is writing, and the headers to add to it. */
const pendingHeaders = new WeakMap();

/**
 * What `engine.ws` is while nothing is brought along: WebSockets are native then, and this tells how they are set up.
 * Emits `headers` (lines, request) before an upgrade is answered; lines may be added.
 */
class NativeWebSocketServer extends EventEmitter {
  constructor(options) {
    super();
    this.options = options;
  }

  /** Does nothing: the sessions are the engine's to close. */
  close() {}
}

/**
 * Makes what `engine.ws` is.
 * @param opts {object} the engine's options
 * @param announce {function(object, IncomingMessage)} completes the headers of an answer
 */
function createWebSocketServer(opts, announce) {
  const options = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: opts.perMessageDeflate,
    maxPayload: opts.maxHttpBufferSize,
  };
  if (!opts.wsEngine) return new NativeWebSocketServer(options);
  const ws = new opts.wsEngine(options);
  ws.on?.("headers", (lines, req) => {
    const headers = pendingHeaders.get(req) ?? {};
    pendingHeaders.delete(req);
    announce(headers, req);
    for (const name of Object.keys(headers)) lines.push(`${name}: ${headers[name]}`);
  });
  return ws;
}

/**
 * Has an upgrade request answered by the implementation.
 * @param attempt {UpgradeAttempt}
 * @param callback {function(WebSocket)}
 */
function acceptUpgrade(attempt, callback) {
  const { server, req, socket, head } = attempt;
  pendingHeaders.set(req, attempt.res.headers);
  server.ws.handleUpgrade(req, socket, Buffer.from(head), (webSocket) => {
    webSocket.on("error", noop);
    req.websocket = webSocket;
    callback(webSocket);
  });
}

/** A stream of the native engine, whose frames are messages of such a WebSocket. */
class ForeignStream {
  constructor(server, conn, socket, websocket) {
    this.server = server;
    this.conn = conn;
    this.socket = socket;
    this.websocket = websocket;
    this.id = -1;
    this._onWritten = this._onWritten.bind(this);
  }

  /**
   * Becomes the stream of a session.
   * @param attempt {UpgradeAttempt} whose `give()` is called
   */
  start(attempt) {
    const { conn, server, websocket } = this;
    this.id = server._registerStream(this, conn._handle);
    conn._stream = this;
    server._commands.flush();
    attempt.give(conn, this.id, -1, undefined);
    websocket.on("message", (data, isBinary = typeof data !== "string") => this._onMessage(data, isBinary));
    websocket.on("error", (error) => this._onError(error));
    websocket.once("close", () => this._onClose());
  }

  /** Frames of the engine: whole ones, unmasked, a message in each. */
  write(data) {
    let written;
    for (let at = 0; at < data.length;) {
      const opcode = data[at] & 0x0f;
      let length = data[at + 1];
      at += 2;
      if (length === 126) {
        length = data.readUInt16BE(at);
        at += 2;
      } else if (length === 127) {
        length = Number(data.readBigUInt64BE(at));
        at += 8;
      }
      const payload = data.subarray(at, at + length);
      at += length;
      if (opcode === TEXT || opcode === BINARY) {
        written = at === data.length ? this._onWritten : noop;
        this.websocket.send(opcode === TEXT ? payload.toString() : payload, written);
      } else if (opcode === CLOSE) {
        this.websocket.close(length === 0 ? undefined : payload.readUInt16BE(0));
      }
    }
    if (written !== this._onWritten) this._onWritten();
  }

  /** The engine has nothing more to write. */
  end() {
    this.websocket.close();
  }

  /** The engine is done with the stream. */
  onReleased() {
    this.id = -1;
    this.websocket.terminate?.();
  }

  _onMessage(data, isBinary) {
    if (this.id === -1) return;
    const payload = toBuffer(data);
    const frame = Buffer.concat([headerOf(isBinary ? BINARY : TEXT, payload.length), payload]);
    this.server._commands.flush();
    this.server._native.pipeData(this.id, frame);
  }

  _onError(err) {
    const { conn } = this;
    // a WebSocket that only probes does not end the session
    if (conn._stream !== this || conn.transport.name !== "websocket") return;
    const error = new Error(err);
    error.type = "TransportError";
    conn.onError(error);
  }

  _onClose() {
    if (this.id !== -1) this.server._commands.pipeEnd(this.id);
  }

  _onWritten() {
    if (this.id !== -1) this.server._commands.pipeWritten(this.id);
  }
}

/** The header of a client's frame. Its mask is zero, which leaves the payload as it is. */
function headerOf(opcode, length) {
  let header;
  if (length < 126) {
    header = Buffer.alloc(6);
    header[1] = MASKED | length;
  } else if (length < 0x10000) {
    header = Buffer.alloc(8);
    header[1] = MASKED | 126;
    header.writeUInt16BE(length, 2);
  } else {
    header = Buffer.alloc(14);
    header[1] = MASKED | 127;
    header.writeBigUInt64BE(BigInt(length), 2);
  }
  header[0] = FIN | opcode;
  return header;
}

/** A message as implementations hand it over: text, any binary value, or a list of fragments. */
function toBuffer(data) {
  if (Array.isArray(data)) return Buffer.concat(data);
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return Buffer.from(data);
}

function noop() {}

module.exports = { ForeignStream, acceptUpgrade, createWebSocketServer };
