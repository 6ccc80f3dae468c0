"use strict";

const createDebug = require("debug");
const { createPacketDecoderStream, encodePacket } = require("engine.io-parser");
const { Conn } = require("../conn");
const { BINARY, CLOSE, TEXT, forEachFrame, makeFrame } = require("./frame");
const { Stream } = require("../../node/stream");
const { generateId } = require("../random-id");
const { Transport } = require("./transport");

const debug = createDebug("engine:webtransport");

/** The revision of the protocol that is spoken over WebTransport, whose payloads are those of a WebSocket. */
const REVISION = 4;

/** The first bit of the header of a packet says that it is binary. */
const IS_BINARY = 0x80;

/** What is no packet, as a message of its own: the engine is to see the fault. */
const MALFORMED = Buffer.alloc(0);

/** A session's WebTransport session, whose one bidirectional stream carries the packets. */
class WebTransport extends Transport {
  /**
   * @param {Conn} conn
   * @param {object} session - the WebTransport session
   */
  constructor(conn, session) {
    super(conn);
    this.session = session;
  }

  get name() {
    return "webtransport";
  }

  /** None of the engine's options is for WebTransport. */
  get opts() {
    return (this._opts ??= {});
  }

  /** Whether a message that is sent now leaves at once, as far as is known here. */
  get writable() {
    return this.readyState === "open";
  }
}

/**
 * Takes a WebTransport session that the application's HTTP/3 server has accepted: waits for its stream and for the
 * first packet on it, which opens a session or names the one that is to be upgraded.
 * @param {Server} server
 * @param {object} session - with the interface that browsers give it
 * @returns {Promise<void>} fulfilled when it has been decided what becomes of the session
 */
async function acceptSession(server, session) {
  if (server.middlewares.length !== 0) {
    debug("middlewares want a request, which there is none: the session is closed");
    session.close();
    return;
  }
  if (server._isDraining) {
    debug("the server is drained: the session is closed");
    session.close();
    return;
  }
  const timer = setTimeout(() => {
    debug("the client has not opened a stream in time");
    session.close();
  }, server.opts.upgradeTimeout);
  let stream, reader, packet;
  try {
    ({ value: stream } = await session.incomingBidirectionalStreams.getReader().read());
    if (stream !== undefined) {
      const decoder = createPacketDecoderStream(server.opts.maxHttpBufferSize, "nodebuffer");
      reader = stream.readable.pipeThrough(decoder).getReader();
      ({ value: packet } = await reader.read());
    }
  } catch (error) {
    debug("the session has failed: %s", error);
  } finally {
    clearTimeout(timer);
  }
  if (packet === undefined) {
    debug("the session has ended before its handshake");
  } else if (!onFirstPacket(server, session, stream, reader, packet)) {
    await refuse(session, reader);
  }
}

/** @returns {boolean} whether the packet was one to begin with */
function onFirstPacket(server, session, stream, reader, packet) {
  if (packet.type !== "open") return false;
  if (packet.data === undefined) {
    open(server, session, stream, reader);
    return true;
  }
  const sid = sidOf(packet.data);
  const conn = Object.hasOwn(server.clients, sid) ? server.clients[sid] : undefined;
  if (conn === undefined || !conn._canUpgrade()) {
    debug("there is no session %s, or it cannot be upgraded (any more)", sid);
    return false;
  }
  debug("upgrading existing transport");
  conn._beginUpgrade();
  new WebTransportStream(server._bridge, conn, session, stream, reader).start((id) => {
    server._bridge.native.upgrade(conn._handle, REVISION, id, -1, "", undefined, 0);
  });
  return true;
}

function open(server, session, stream, reader) {
  // not by server.generateId(), which an application may have replaced by something that wants a request
  const id = generateId();
  debug('handshaking client "%s"', id);
  const conn = new Conn(id, server, null, "webtransport", REVISION);
  const carrier = new WebTransportStream(server._bridge, conn, session, stream, reader);
  conn._transport = carrier.transport;
  carrier.start((streamId) => {
    const initial = server._initialMessage();
    server._bridge.native.openWebsocket(conn._handle, REVISION, streamId, -1, "", undefined, 0, id, initial);
  });
  server.emit("connection", conn);
}

function sidOf(data) {
  try {
    const { sid } = JSON.parse(data);
    return typeof sid === "string" ? sid : "";
  } catch {
    return "";
  }
}

async function refuse(session, reader) {
  try {
    await reader.cancel();
  } catch (error) {
    debug("the stream cannot be cancelled: %s", error);
  }
  reader.releaseLock();
  session.close();
}

/** A stream of the native engine, whose frames are packets on the bidirectional stream of a WebTransport session. */
class WebTransportStream extends Stream {
  /**
   * @param {Bridge} bridge
   * @param {Conn} conn
   * @param {object} session - the WebTransport session
   * @param {object} stream - its bidirectional stream
   * @param {ReadableStreamDefaultReader} reader - of the packets on it
   */
  constructor(bridge, conn, session, stream, reader) {
    super(bridge);
    this.session = session;
    this.transport = new WebTransport(conn, session);
    this.reader = reader;
    this.writer = stream.writable.getWriter();
    this.conn = conn;
    /** What the reading waits for, while it is to rest. */
    this._rest = undefined;
    this._resume = undefined;
    this._isClosed = false;
  }

  /** @param {function(number)} give - gets the number of the stream */
  start(give) {
    const { bridge, conn, session } = this;
    this.register(conn._handle);
    conn._stream = this;
    bridge.commands.flush();
    give(this.id);
    const onClosed = () => this._onClosed();
    session.closed.then(onClosed, onClosed);
    this._read();
  }

  async _read() {
    try {
      for (;;) {
        const { value: packet, done } = await this.reader.read();
        // the end of the stream is not the end of the session
        if (done) return;
        this._onPacket(packet);
        await this._rest;
      }
    } catch (error) {
      debug("error while reading: %s", error);
    }
  }

  _onPacket(packet) {
    if (this.id === -1) return;
    let frame;
    if (packet.type === "error") {
      frame = makeFrame(TEXT, MALFORMED);
    } else if (typeof packet.data === "string" || packet.data === undefined) {
      encodePacket(packet, true, (text) => (frame = makeFrame(TEXT, Buffer.from(text))));
    } else {
      frame = makeFrame(BINARY, packet.data);
    }
    this.receive(frame);
  }

  pause() {
    this._rest ??= new Promise((resolve) => (this._resume = resolve));
  }

  resume() {
    this._resume?.();
    this._rest = this._resume = undefined;
  }

  /** Frames of the engine. */
  write(data) {
    const parts = [];
    let isEnd = false;
    forEachFrame(data, (opcode, payload) => {
      if (opcode === CLOSE) isEnd = true;
      else if (opcode === TEXT || opcode === BINARY) {
        parts.push(headerOf(opcode === BINARY, payload.length), payload);
      }
    });
    const onWritten = () => {
      if (isEnd) this.end();
      this.confirmWritten();
    };
    // whether it failed is told by the end of the session
    const written = parts.length === 0 ? Promise.resolve() : this.writer.write(Buffer.concat(parts));
    written.then(onWritten, onWritten);
  }

  /** The engine has nothing more to write. */
  end() {
    if (this._isClosed) return;
    this._isClosed = true;
    debug("closing the session");
    this.session.close();
  }

  /** The engine is done with the stream. */
  onReleased() {
    super.onReleased();
    this.resume();
    this.end();
  }

  _onClosed() {
    this._isClosed = true;
    this.confirmEnd();
  }
}

/** The header of a packet: a bit for binary data, and the length in the manner of a WebSocket frame. */
function headerOf(isBinary, length) {
  let header;
  if (length < 126) {
    header = Buffer.from([length]);
  } else if (length < 0x10000) {
    header = Buffer.from([126, 0, 0]);
    header.writeUInt16BE(length, 1);
  } else {
    header = Buffer.alloc(9, 127);
    header.writeBigUInt64BE(BigInt(length), 1);
  }
  if (isBinary) header[0] |= IS_BINARY;
  return header;
}

module.exports = { WebTransport, acceptSession };
