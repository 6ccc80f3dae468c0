"use strict";

const { createHash } = require("node:crypto");
const { io: connect } = require("socket.io-client");
const { LIMIT, Recorder } = require("./waiting");

/** Somebody in the chat: a client, and the log of everything that it saw. */
class Guest {
  /**
   * @param {string} name
   * @param {string} url
   * @param {object} [options] of socket.io-client
   */
  constructor(name, url, options) {
    this.name = name;
    /** What is sent at the next login; the token, once there is one. */
    this.auth = {};
    this.recorder = new Recorder();
    this.seen = new Set();
    this.socket = connect(url, {
      autoConnect: false,
      forceNew: true,
      reconnectionDelay: 10,
      randomizationFactor: 0,
      auth: (send) => send(this.auth),
      ...options,
    });
    this.socket.on("connect", () => this.#log("connect"));
    this.socket.on("disconnect", (reason) => this.#log("disconnect", reason));
    this.socket.on("connect_error", ({ message, data }) => this.#log("connect_error", message, data));
    this.socket.on("welcome", ({ token }) => (this.auth = { token }));
    this.socket.onAny((event, ...args) => this.#log(event, ...args));
  }

  #log(event, ...args) {
    this.recorder.push([event, ...args]);
  }

  /** Logs in; resolves with the answer, be it `welcome` or `connect_error`. */
  async login(auth) {
    this.auth = auth;
    this.socket.connect();
    return this.sees("welcome", "connect_error");
  }

  /** Resolves when the polling has become a WebSocket. */
  async upgraded() {
    const { engine } = this.socket.io;
    if (engine.transport.name !== "websocket") {
      await new Promise((resolve) => engine.once("upgrade", resolve));
    }
    this.#log("upgraded");
  }

  /** Resolves with the arguments of the oldest event of these names that no other call has been given. */
  async sees(...events) {
    const isNew = (entry) => events.includes(entry[0]) && !this.seen.has(entry);
    let list;
    try {
      list = await this.recorder.until((entries) => entries.some(isNew));
    } catch (error) {
      error.message = `${this.name} sees ${events.join(" or ")}: ${error.message}`;
      throw error;
    }
    const entry = list.find(isNew);
    this.seen.add(entry);
    return entry.slice(1);
  }

  /** Sends a request of the chat; resolves with its answer, and logs it. */
  async asks(event, content = {}) {
    const answer = await this.socket.timeout(LIMIT).emitWithAck(event, content);
    this.#log(`answer to ${event}`, answer);
    return answer;
  }

  /** Resolves when everything that the server sent before this call has arrived. */
  async settled() {
    await this.socket.timeout(LIMIT).emitWithAck("room:list", {});
  }

  close() {
    this.socket.io._close();
  }
}

/**
 * The logs of several guests without what differs from run to run: ids become `#1`, `#2` … in order of their first
 * appearance, times and bytes are described.
 */
function normalise(value, ids = new Map()) {
  if (typeof value === "string") {
    return value.replace(/[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}/g, (id) => {
      if (!ids.has(id)) {
        ids.set(id, `#${ids.size + 1}`);
      }
      return ids.get(id);
    });
  }
  if (Buffer.isBuffer(value)) {
    return `${value.length} bytes, ${createHash("sha256").update(value).digest("hex").slice(0, 16)}`;
  }
  if (Array.isArray(value)) {
    return value.map((item) => normalise(item, ids));
  }
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [
        key,
        key === "at" && typeof item === "number" ? "a time" : normalise(item, ids),
      ]),
    );
  }
  return value;
}

module.exports = { Guest, normalise };
