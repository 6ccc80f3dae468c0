"use strict";

// A client that costs little: a WebSocket that speaks just enough Engine.IO and Socket.IO to be one. Thousands of stock's
// clients would keep the machine busy by themselves, and what is measured would be them.

const net = require("node:net");
const {
  CLOSE,
  PING,
  PONG,
  TEXT,
  closePayload,
  frame,
  upgradeRequest,
} = require("../../__test__/support/raw-websocket");

const PATH = "/socket.io/?EIO=4&transport=websocket";
const [OPEN_PACKET, PING_PACKET, MESSAGE_PACKET] = Buffer.from("024");
const [CONNECTING, UPGRADED, OPEN, CONNECTED] = [0, 1, 2, 3];

class LightClient {
  /** id of the socket, once it is connected */
  id;
  /** once it is over: a close code, the code of an error, or "FIN" */
  end;
  #rest = null;
  #state = CONNECTING;

  /**
   * @param {number} port
   * @param {{ deflate?: boolean, localAddress?: string }} [options] `deflate`: offers compression as browsers do. What is
   *   compressed it hands on as it is; so it does not see pings, nor what its id is
   * @returns {Promise<LightClient>} that is in the main namespace
   */
  static connect(port, options) {
    return new Promise((resolve, reject) => {
      const client = new this(port, options);
      client.onConnect = () => resolve(client);
      client.onEnd = (end) => reject(new Error(`ended while it connected: ${end}`));
    }).then((client) => {
      client.onEnd = () => {};
      return client;
    });
  }

  /** So many clients, a few at a time. */
  static async connectMany(count, port, options, atOnce = 50) {
    const clients = [];
    const connectSome = async () => {
      while (count-- > 0) clients.push(await this.connect(port, options));
    };
    await Promise.all(Array.from({ length: atOnce }, connectSome));
    return clients;
  }

  constructor(port, { deflate = false, localAddress } = {}) {
    this.socket = net.connect({ port, host: "127.0.0.1", localAddress, noDelay: true });
    this.socket.on("data", (chunk) => this.#onBytes(chunk));
    this.socket.on("error", (error) => (this.end ??= error.code));
    this.socket.on("close", () => this.onEnd((this.end ??= "FIN")));
    this.socket.write(
      upgradeRequest(
        PATH,
        deflate ? { "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits" } : {},
      ),
    );
  }

  /** To be replaced: it is connected. */
  onConnect() {}

  /**
   * To be replaced: a message has come.
   *
   * @param {Buffer} _payload a packet of Engine.IO with its type in front, or the bytes of an attachment
   * @param {boolean} _isCompressed
   */
  onMessage(_payload, _isCompressed) {}

  /** To be replaced: it is over. */
  onEnd(_end) {}

  #onBytes(chunk) {
    const bytes = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = null;
    let offset = 0;
    if (this.#state === CONNECTING) {
      offset = bytes.indexOf("\r\n\r\n") + 4;
      if (offset === 3) {
        this.#rest = bytes;
        return;
      }
      if (!bytes.toString("latin1", 0, 12).startsWith("HTTP/1.1 101")) {
        this.end = bytes.toString("latin1", 0, 32);
        this.socket.destroy();
        return;
      }
      this.#state = UPGRADED;
    }
    for (;;) {
      const left = bytes.length - offset;
      if (left < 2) break;
      let length = bytes[offset + 1];
      let head = 2;
      if (length === 126) {
        if (left < 4) break;
        length = bytes.readUInt16BE(offset + 2);
        head = 4;
      } else if (length === 127) {
        if (left < 10) break;
        length = Number(bytes.readBigUInt64BE(offset + 2));
        head = 10;
      }
      if (left < head + length) break;
      this.#onFrame(bytes[offset], bytes.subarray(offset + head, offset + head + length));
      offset += head + length;
    }
    // a copy, for this is a part of a buffer that would be kept
    if (offset < bytes.length) this.#rest = Buffer.from(bytes.subarray(offset));
  }

  #onFrame(first, payload) {
    const opcode = first & 15;
    const isCompressed = (first & 0x40) !== 0;
    if (opcode === PING) {
      this.socket.write(frame({ opcode: PONG, payload }));
    } else if (opcode === CLOSE) {
      this.end ??= payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
      this.socket.end(frame({ opcode: CLOSE, payload: closePayload(this.end) }));
    } else if (opcode === TEXT && !isCompressed && payload.length === 1 && payload[0] === PING_PACKET) {
      this.send("3");
    } else if (this.#state === CONNECTED) {
      this.onMessage(payload, isCompressed);
    } else if (this.#state === UPGRADED && (isCompressed || payload[0] === OPEN_PACKET)) {
      this.#state = OPEN;
      this.send("40");
    } else if (this.#state === OPEN && (isCompressed || payload[0] === MESSAGE_PACKET)) {
      this.#state = CONNECTED;
      if (!isCompressed) this.id = JSON.parse(payload.toString("utf8", 2)).sid;
      this.onConnect();
    }
  }

  /** Sends a packet of Engine.IO. */
  send(packet) {
    this.socket.write(frame({ payload: packet }));
  }

  /** Stops reading. */
  pause() {
    this.socket.pause();
  }

  resume() {
    this.socket.resume();
  }

  destroy() {
    this.socket.destroy();
  }
}

module.exports = { LightClient };
