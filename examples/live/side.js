"use strict";

const { Child } = require("./child");

/**
 * One of the two that are compared: a server, and when that is there, its clients.
 */
class Side {
  #server;
  #clients;
  #count;

  /**
   * @param {string} packageName
   * @param {{ serverOptions: object, load: object, count: number }} settings `count` is that of the clients
   * @param {(why: string) => void} onFault one of the processes has ended by itself
   */
  constructor(packageName, { serverOptions, load, count }, onFault) {
    this.#count = count;
    const onReady = ({ port }) => {
      this.#clients = new Child(
        "clients.js",
        { port, load },
        { onReady: () => this.grow(this.#count), onEnd: onFault },
      );
    };
    this.#server = new Child("app-server.js", { packageName, serverOptions }, { onReady, onEnd: onFault });
  }

  get isReady() {
    return this.#clients !== undefined;
  }

  grow(count) {
    this.#count = count;
    this.#clients?.tell("grow", count);
  }

  block(ms) {
    if (this.isReady) {
      this.#server.tell("block", ms);
    }
  }

  ask() {
    if (this.isReady) {
      this.#server.ask();
      this.#clients.ask();
    }
  }

  /** What has come since this was called last: of the clients, and of their server, which says nothing while it is blocked. */
  take() {
    return { clients: this.#clients?.take(), server: this.#server.take() };
  }

  async end() {
    await Promise.all([this.#server.end(), this.#clients?.end()]);
  }
}

module.exports = { Side };
