"use strict";

const crypto = require("node:crypto");
const net = require("node:net");
const tls = require("node:tls");
const { Recorder } = require("./waiting");

const CONTINUATION = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

/**
 * The bytes of one frame as a client sends it. Every rule of the protocol can be broken.
 *
 * @param {{ opcode?: number, payload?: string | Buffer, fin?: boolean, rsv?: number, masked?: boolean,
 *   length?: number | bigint }} [options] `rsv` is the three bits as a number (RSV1 = 4), `length` what the header
 *   claims instead of the true length
 * @returns {Buffer}
 */
function frame(options = {}) {
  const { opcode = TEXT, fin = true, rsv = 0, masked = true } = options;
  const payload = Buffer.from(options.payload ?? "");
  const length = BigInt(options.length ?? payload.length);
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  const maskBit = masked ? 0x80 : 0;
  let header;
  if (length < 126n) {
    header = Buffer.from([first, maskBit | Number(length)]);
  } else if (length < 65536n) {
    header = Buffer.alloc(4);
    header[1] = maskBit | 126;
    header.writeUInt16BE(Number(length), 2);
  } else {
    header = Buffer.alloc(10);
    header[1] = maskBit | 127;
    header.writeBigUInt64BE(length, 2);
  }
  header[0] = first;
  if (!masked) {
    return Buffer.concat([header, payload]);
  }
  const key = crypto.randomBytes(4);
  const body = Buffer.from(payload);
  for (let i = 0; i < body.length; i++) {
    body[i] ^= key[i & 3];
  }
  return Buffer.concat([header, key, body]);
}

/** The payload of a close frame. */
function closePayload(code, reason = "") {
  const text = Buffer.from(reason);
  const payload = Buffer.alloc(2 + text.length);
  payload.writeUInt16BE(code);
  text.copy(payload, 2);
  return payload;
}

/**
 * The text of an upgrade request.
 *
 * @param {string} path with query
 * @param {Record<string, string | string[] | undefined>} [headers] replace the usual ones; undefined leaves one out
 * @returns {string}
 */
function upgradeRequest(path, headers = {}) {
  const all = {
    Host: "localhost",
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    ...headers,
  };
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((one) => `${name}: ${one}`),
  );
  return `GET ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
}

/** Bytes to and from a server, with everything that happens on the connection written down. */
class RawConnection {
  /** @param {{ port: number, secure: boolean, localAddress?: string }} server `localAddress`: from where to connect */
  constructor(server, options = {}) {
    this.received = Buffer.alloc(0);
    /** "FIN" or the code of the error that ended the connection, e.g. "ECONNRESET" */
    this.end = null;
    this.changes = new Recorder();
    const connect = { port: server.port, host: "127.0.0.1", localAddress: server.localAddress, ...options };
    this.socket = server.secure
      ? tls.connect({ ...connect, rejectUnauthorized: false })
      : net.connect(connect);
    this.socket.setNoDelay(true);
    this.socket.on("data", (chunk) => this.onBytes(chunk));
    this.socket.on("end", () => {
      this.end ??= "FIN";
      this.changes.push("end");
    });
    this.socket.on("error", (error) => {
      this.end ??= error.code;
      this.changes.push("error");
    });
    this.socket.on("close", () => this.changes.push("close"));
  }

  onBytes(chunk) {
    this.received = Buffer.concat([this.received, chunk]);
    this.changes.push("data");
  }

  write(bytes) {
    this.socket.write(bytes);
  }

  /** Resolves when this side was closed by the server. */
  async ended(ms) {
    await this.changes.until(() => this.end !== null, ms);
    return this.end;
  }

  /** Ends the connection without a goodbye: with a reset, which Node cannot do over TLS. */
  reset() {
    if (this.socket.encrypted) {
      this.socket.destroy();
    } else {
      this.socket.resetAndDestroy();
    }
  }

  destroy() {
    this.socket.destroy();
  }
}

/** A WebSocket client that hides nothing: frames, close code, and how the TCP connection ended. */
class RawWebSocket extends RawConnection {
  constructor(server, options) {
    super(server, options);
    this.status = null;
    this.statusText = null;
    this.headers = null;
    this.headerLines = null;
    /** the text after the head of the answer, if that was not 101 */
    this.body = "";
    this.frames = [];
    this.messages = [];
    this.taken = 0;
    this.closeFrame = null;
    this.fragments = [];
  }

  /**
   * Sends the upgrade request and resolves when the head of the answer has come, whatever it is.
   *
   * @param {{ port: number, secure: boolean }} server
   * @param {{ path?: string, query?: string, headers?: object, head?: Buffer | string, connect?: object }} [options]
   *   `head` is written together with the request
   * @returns {Promise<RawWebSocket>}
   */
  static async upgrade(server, options = {}) {
    const { path = "/socket.io/", query = "EIO=4&transport=websocket", headers, head } = options;
    const ws = new this(server, options.connect);
    server.keep?.(ws);
    const request = upgradeRequest(query ? `${path}?${query}` : path, headers);
    ws.write(head ? Buffer.concat([Buffer.from(request), Buffer.from(head)]) : request);
    await ws.answered();
    return ws;
  }

  /**
   * Opens a WebSocket session: upgrade, then the Engine.IO handshake.
   *
   * @returns {Promise<RawWebSocket>} with `handshake` and `sid`
   */
  static async open(server, options) {
    const ws = await this.upgrade(server, options);
    if (ws.status !== 101) {
      throw new Error(`upgrade answered with ${ws.status} ${ws.body}`);
    }
    const packet = await ws.next();
    if (packet[0] !== "0") {
      throw new Error(`not an open packet: ${packet}`);
    }
    ws.handshake = JSON.parse(packet.slice(1));
    ws.sid = ws.handshake.sid;
    return ws;
  }

  /**
   * Opens a session and joins a namespace.
   *
   * @returns {Promise<RawWebSocket>} with `id`, the public id
   */
  static async connect(server, options = {}) {
    const ws = await this.open(server, options);
    const prefix = options.nsp ? `${options.nsp},` : "";
    ws.text(`40${prefix}${options.auth ? JSON.stringify(options.auth) : ""}`);
    let packet = await ws.next();
    while (packet === "2") {
      ws.text("3");
      packet = await ws.next();
    }
    if (!packet.startsWith(`40${prefix}{`)) {
      throw new Error(`not a connect packet: ${packet}`);
    }
    ws.id = JSON.parse(packet.slice(2 + prefix.length)).sid;
    return ws;
  }

  answered() {
    return this.changes.until(() => this.status !== null || this.end !== null);
  }

  onBytes(chunk) {
    this.received = this.received.length ? Buffer.concat([this.received, chunk]) : chunk;
    if (this.status === null) {
      this.readHead();
    }
    if (this.status === 101) {
      this.readFrames();
    } else if (this.status !== null) {
      this.body += this.received.toString();
      this.received = Buffer.alloc(0);
    }
    this.changes.push("data");
  }

  readHead() {
    const end = this.received.indexOf("\r\n\r\n");
    if (end === -1) {
      return;
    }
    const [first, ...lines] = this.received.subarray(0, end).toString("latin1").split("\r\n");
    this.received = this.received.subarray(end + 4);
    this.status = Number(first.split(" ")[1]);
    this.statusText = first;
    this.headerLines = lines;
    this.headers = {};
    for (const line of lines) {
      const colon = line.indexOf(":");
      const name = line.slice(0, colon).toLowerCase();
      const value = line.slice(colon + 1).trim();
      this.headers[name] = name in this.headers ? `${this.headers[name]}, ${value}` : value;
    }
  }

  readFrames() {
    for (;;) {
      const bytes = this.received;
      if (bytes.length < 2) {
        return;
      }
      let length = bytes[1] & 0x7f;
      let offset = 2;
      if (length === 126) {
        if (bytes.length < 4) {
          return;
        }
        length = bytes.readUInt16BE(2);
        offset = 4;
      } else if (length === 127) {
        if (bytes.length < 10) {
          return;
        }
        length = Number(bytes.readBigUInt64BE(2));
        offset = 10;
      }
      const header = Buffer.from(bytes.subarray(0, offset));
      const masked = (bytes[1] & 0x80) !== 0;
      if (masked) {
        offset += 4;
      }
      if (bytes.length < offset + length) {
        return;
      }
      const payload = Buffer.from(bytes.subarray(offset, offset + length));
      for (let i = 0; masked && i < length; i++) {
        payload[i] ^= bytes[offset - 4 + (i & 3)];
      }
      this.received = bytes.subarray(offset + length);
      this.onFrame({
        fin: (bytes[0] & 0x80) !== 0,
        rsv: (bytes[0] >> 4) & 7,
        opcode: bytes[0] & 15,
        masked,
        header,
        payload,
      });
    }
  }

  onFrame(received) {
    const { opcode, payload, fin } = received;
    this.frames.push(received);
    if (opcode === CLOSE) {
      this.closeFrame = {
        code: payload.length >= 2 ? payload.readUInt16BE(0) : null,
        reason: payload.subarray(2).toString(),
      };
    } else if (opcode === TEXT || opcode === BINARY || opcode === CONTINUATION) {
      if (opcode !== CONTINUATION) {
        this.fragments = [];
        this.isBinary = opcode === BINARY;
      }
      this.fragments.push(payload);
      if (fin) {
        const whole = Buffer.concat(this.fragments);
        this.messages.push(this.isBinary ? whole : whole.toString());
      }
    }
  }

  /**
   * The next message that has not been taken yet: a string, or a Buffer.
   *
   * @returns {Promise<string | Buffer>}
   */
  async next(ms) {
    const over = () => this.end !== null || this.closeFrame !== null;
    await this.changes.until(() => this.messages.length > this.taken || over(), ms);
    if (this.messages.length > this.taken) {
      return this.messages[this.taken++];
    }
    throw new Error(`closed (${this.end}, ${JSON.stringify(this.closeFrame)}) while a message was expected`);
  }

  /** Resolves when `count` messages have come in total. */
  count(count, ms) {
    return this.changes.until(() => this.messages.length >= count, ms);
  }

  text(payload) {
    this.write(frame({ payload }));
  }

  /** Sends several in one write, which TLS makes one record of. */
  texts(...payloads) {
    this.write(Buffer.concat(payloads.map((payload) => frame({ payload }))));
  }

  binary(payload) {
    this.write(frame({ opcode: BINARY, payload }));
  }

  frame(options) {
    this.write(frame(options));
  }

  /**
   * Answers the server's close frame, as a proper client does, and resolves when the connection is over.
   *
   * @returns {Promise<{ code: number | null, reason: string, end: string } | { code: undefined, end: string }>}
   */
  async closed(ms) {
    await this.changes.until(() => this.closeFrame !== null || this.end !== null, ms);
    if (this.closeFrame && this.end === null) {
      const { code, reason } = this.closeFrame;
      const payload = code === null ? Buffer.alloc(0) : closePayload(code, reason);
      this.frame({ opcode: CLOSE, payload });
      this.socket.end();
      await this.ended(ms);
    }
    return { code: this.closeFrame?.code, reason: this.closeFrame?.reason, end: this.end };
  }
}

module.exports = {
  CONTINUATION,
  TEXT,
  BINARY,
  CLOSE,
  PING,
  PONG,
  frame,
  closePayload,
  upgradeRequest,
  RawConnection,
  RawWebSocket,
};
