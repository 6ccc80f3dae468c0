"use strict";

const { performance } = require("node:perf_hooks");
const { WebSocket } = require("ws");

/** The packets that are used here: a digit of Engine.IO, and for messages (4) another one of Socket.IO. */
const OPEN = "0";
const PING = "2";
const PONG = "3";
const CONNECT = "40";
const EVENT = "42";
const ACK = "43";

const HANDSHAKE_TIMEOUT = 20_000;
const TEXT = "Has anybody seen the bear? The river is full of salmon.";

/**
 * One client of a server: a WebSocket, and as much of Socket.IO as is needed. A thousand of these cost little, so that the
 * machine has its time for the server.
 *
 *   idle ── connect() ──▶ connecting ── CONNECT answered ──▶ connected
 *    ▲                        │                                 │
 *    └────────────────────────┴─────────── closed ──────────────┘
 */
class Client {
  state = "idle";
  #room;
  #crew;
  #ws;
  #heartbeat;
  #pings = 0;

  /**
   * @param {string} room
   * @param {{ onConnected: Function, onClosed: (client: Client, wasConnected: boolean) => void,
   *   onArrival: (sentAt: number) => void }} crew
   */
  constructor(room, crew) {
    this.#room = room;
    this.#crew = crew;
  }

  connect(port) {
    this.state = "connecting";
    this.#ws = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`, {
      handshakeTimeout: HANDSHAKE_TIMEOUT,
      perMessageDeflate: false,
    });
    this.#ws.on("message", (data) => this.#onPacket(data.toString()));
    this.#ws.on("error", () => {}); // `close` follows
    this.#ws.on("close", () => this.#onClosed());
  }

  /** Says something to everybody in the room, itself included. */
  say() {
    this.#ws.send(`${EVENT}${JSON.stringify(["say", message()])}`);
  }

  /** Says something that only the server answers. */
  echo() {
    this.#ws.send(`${EVENT}0${JSON.stringify(["echo", message()])}`);
  }

  #onPacket(text) {
    if (text === PING) {
      this.#pings++;
      this.#heartbeat.refresh();
      this.#ws.send(PONG);
    } else if (text.startsWith(EVENT)) {
      this.#crew.onArrival(JSON.parse(text.slice(EVENT.length))[1].at);
    } else if (text.startsWith(ACK)) {
      this.#crew.onArrival(JSON.parse(text.slice(text.indexOf("[")))[0].at);
    } else if (text.startsWith(OPEN)) {
      this.#expectPings(JSON.parse(text.slice(OPEN.length)));
      this.#ws.send(`${CONNECT}${JSON.stringify({ room: this.#room })}`);
    } else if (text.startsWith(CONNECT)) {
      this.state = "connected";
      this.#crew.onConnected(this);
    }
  }

  /** Takes the server for dead when no ping comes in time, as the client of Socket.IO does. */
  #expectPings({ pingInterval, pingTimeout }) {
    this.#heartbeat = setTimeout(() => this.#onSilence(), pingInterval + pingTimeout);
  }

  /** A ping may have arrived that has not been read yet, if this process was held up. */
  #onSilence() {
    const pings = this.#pings;
    setImmediate(() => {
      if (this.#pings === pings) {
        this.#ws.terminate();
      }
    });
  }

  #onClosed() {
    clearTimeout(this.#heartbeat);
    const wasConnected = this.state === "connected";
    this.state = "idle";
    this.#crew.onClosed(this, wasConnected);
  }
}

function message() {
  return { at: Number(performance.now().toFixed(3)), text: TEXT };
}

module.exports = { Client };
