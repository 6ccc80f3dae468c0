"use strict";

const { createPacketDecoderStream } = require("engine.io-parser");
const { deferred, within, Recorder } = require("./waiting");

/**
 * Both ends of a WebTransport session without HTTP/3 in between: streams of bytes, as browsers and servers have them.
 *
 * @returns {{ client: object, server: object }}
 */
function sessionPair() {
  const closed = deferred();
  const incoming = new TransformStream();
  const opened = incoming.writable.getWriter();
  const close = () => {
    closed.resolve({});
    opened.close().catch(() => {});
  };
  const client = {
    ready: Promise.resolve(),
    closed: closed.promise,
    close,
    async createBidirectionalStream() {
      const up = new TransformStream();
      const down = new TransformStream();
      await opened.write({ readable: up.readable, writable: down.writable });
      return { readable: down.readable, writable: up.writable };
    },
  };
  const server = { closed: closed.promise, close, incomingBidirectionalStreams: incoming.readable };
  return { client, server };
}

/** A client of Engine.IO over WebTransport that does nothing of itself. */
class RawWebTransport {
  /** @param {{ io: any }} server the session goes to its engine */
  constructor(server) {
    const { client, server: session } = sessionPair();
    this.session = session;
    this.client = client;
    this.isClosed = false;
    this.closed = client.closed.then(() => (this.isClosed = true));
    this.packets = new Recorder();
    this.taken = 0;
    server.keep({ destroy: () => client.close() });
    this.accepted = server.io.engine.onWebTransportSession(session);
  }

  /** Opens the stream and sends the first packet. */
  async begin(packet = "0") {
    const { readable, writable } = await this.client.createBidirectionalStream();
    this.writer = writable.getWriter();
    this.read(readable.pipeThrough(createPacketDecoderStream(1e9, "nodebuffer")).getReader());
    this.send(packet);
  }

  /** Opens a session. @returns {Promise<RawWebTransport>} with `handshake` and `sid` */
  static async open(server) {
    const transport = new RawWebTransport(server);
    await transport.begin();
    const { type, data } = await transport.next();
    if (type !== "open") throw new Error(`not an open packet: ${type}`);
    transport.handshake = JSON.parse(data);
    transport.sid = transport.handshake.sid;
    return transport;
  }

  /** Opens a session and joins the main namespace. @returns {Promise<RawWebTransport>} with `id`, the public id */
  static async connect(server) {
    const transport = await RawWebTransport.open(server);
    transport.send("40");
    transport.id = JSON.parse((await transport.next()).data.slice(1)).sid;
    return transport;
  }

  async read(reader) {
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        this.packets.push(value);
      }
    } catch {
      // the end of the session shows in `closed`
    }
  }

  /** Sends a text or a binary message, or with `length` a header that claims another length. */
  send(data, { length = Buffer.byteLength(data) } = {}) {
    const isBinary = typeof data !== "string";
    const header = length < 126 ? Buffer.alloc(1) : length < 65536 ? Buffer.alloc(3) : Buffer.alloc(9);
    header[0] = length < 126 ? length : length < 65536 ? 126 : 127;
    if (header.length === 3) header.writeUInt16BE(length, 1);
    if (header.length === 9) header.writeBigUInt64BE(BigInt(length), 1);
    if (isBinary) header[0] |= 0x80;
    this.sendBytes(Buffer.concat([header, Buffer.from(data)]));
  }

  sendBytes(bytes) {
    this.writer.write(bytes).catch(() => {});
  }

  /** The next packet: { type, data }. */
  async next() {
    const packets = await this.packets.until(this.taken + 1);
    return packets[this.taken++];
  }

  /** Resolves when the session was closed. */
  ended() {
    return within(this.closed, "end of the WebTransport session");
  }
}

module.exports = { sessionPair, RawWebTransport };
