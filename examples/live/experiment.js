"use strict";

const { Refusal } = require("../chat/refusal");
const { clientLimit } = require("./settings");
const { Side } = require("./side");

/** The packages by the names that the page has for them. */
const PACKAGES = { ours: "sockeye.io", stock: "socket.io" };

/**
 * What is running, what may be done with it, and what has been measured. Whoever looks at the page may do all of it, so that
 * each wish is checked here.
 */
class Experiment {
  /** The latest figures, oldest first. */
  history = [];
  #settings;
  #descriptors;
  #listeners;
  /** @type {Map<keyof typeof PACKAGES, Side>} */
  #sides = new Map();
  /** processes that have been told to end, and have not yet */
  #ending = new Set();
  #count = 0;
  #block;
  #timer;
  #trouble = "";

  /**
   * @param {typeof import("./settings")} settings
   * @param {number} descriptors that a process may have
   * @param {{ onFigures: (figures: object) => void, onState: (state: object) => void }} listeners
   */
  constructor(settings, descriptors, listeners) {
    this.#settings = settings;
    this.#descriptors = descriptors;
    this.#listeners = listeners;
  }

  get isRunning() {
    return this.#timer !== undefined;
  }

  get maxClients() {
    return clientLimit(this.#settings.limits.maxClients, this.#descriptors);
  }

  /** What the page shows beside the figures. */
  get state() {
    return {
      clients: this.#count,
      maxClients: this.maxClients,
      isBlocked: this.#block !== undefined,
      withStock: this.#sides.has("stock"),
      trouble: this.#trouble,
    };
  }

  start() {
    if (!this.isRunning) {
      this.#timer = setInterval(() => this.#look(), this.#settings.limits.interval);
      this.#begin();
    }
  }

  /** Ends all processes, and resolves when they are gone. */
  async stop() {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#endSides();
    this.history = [];
    await Promise.all(this.#ending);
  }

  /** As it was at first. */
  restart() {
    this.#mustBeSettled();
    this.#endSides();
    this.#begin();
  }

  addClients() {
    if (this.#count >= this.maxClients) {
      throw new Refusal(`There are ${this.#count} clients already; more are not allowed.`);
    }
    this.#count = Math.min(this.#count + this.#settings.limits.clientsMore, this.maxClients);
    for (const side of this.#sides.values()) {
      side.grow(this.#count);
    }
    this.#tell();
  }

  /** Blocks the event loops of all servers at the same time. */
  block() {
    if (this.#block) {
      throw new Refusal("The event loop is blocked already.");
    }
    const { block: ms } = this.#settings.limits;
    for (const side of this.#sides.values()) {
      side.block(ms);
    }
    this.#block = setTimeout(() => this.#unblock(), ms);
    this.#tell();
  }

  /** @param {unknown} isWanted */
  compare(isWanted) {
    if (typeof isWanted !== "boolean") {
      throw new Refusal("Stock is wanted, or it is not: true or false.");
    }
    if (isWanted === this.#sides.has("stock")) {
      return;
    }
    this.#mustBeSettled();
    if (isWanted) {
      this.#open("stock");
    } else {
      this.#close("stock");
    }
    this.#tell();
  }

  /** Processes are started one after the other, however often somebody asks for it. */
  #mustBeSettled() {
    if (this.#ending.size > 0 || [...this.#sides.values()].some((side) => !side.isReady)) {
      throw new Refusal("One moment, processes are being started or ended.");
    }
  }

  #begin() {
    this.#count = Math.min(this.#settings.limits.clientsAtFirst, this.maxClients);
    this.#trouble = "";
    this.#open("ours");
    this.#tell();
  }

  #endSides() {
    this.#unblock();
    for (const name of [...this.#sides.keys()]) {
      this.#close(name);
    }
  }

  #open(name) {
    const { serverOptions, load } = this.#settings;
    const onFault = (why) => {
      this.#trouble = `A process of ${PACKAGES[name]} has ended (${why}).`;
      this.#close(name);
      this.#tell();
    };
    this.#sides.set(name, new Side(PACKAGES[name], { serverOptions, load, count: this.#count }, onFault));
  }

  #close(name) {
    const ended = this.#sides.get(name).end();
    this.#sides.delete(name);
    this.#ending.add(ended);
    ended.then(() => this.#ending.delete(ended));
  }

  #unblock() {
    clearTimeout(this.#block);
    this.#block = undefined;
    this.#tell();
  }

  #look() {
    const figures = {
      at: Date.now(),
      wanted: this.#count,
      isBlocked: this.#block !== undefined,
      sides: {},
    };
    for (const [name, side] of this.#sides) {
      figures.sides[name] = side.take();
      side.ask();
    }
    this.history.push(figures);
    if (this.history.length > this.#settings.limits.history) {
      this.history.shift();
    }
    this.#listeners.onFigures(figures);
  }

  #tell() {
    this.#listeners.onState(this.state);
  }
}

module.exports = { Experiment };
