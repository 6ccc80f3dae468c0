"use strict";

const net = require("node:net");
const { once } = require("node:events");
const { Random } = require("../../scripts/random");

/** How a connection may end, in ms where that takes time. */
const ENDINGS = ["reset", "half-close", "black hole"];
const BLACK_HOLE = [2000, 6000];
const HALF_CLOSED = [10, 500];

/** Of so many chunks, some come in pieces, some late, and some stop the stream for a while. */
const SPLIT = 0.03;
const DELAY = 0.03;
const STALL = 0.001;
const DELAYS = [1, 30];
const STALLS = [100, 1500];
const PIECES = [2, 5];

/**
 * A network on a bad day: passes on connections to a port, cuts what goes through them at any place, delays it, stops it for
 * a while, and ends connections: with a reset to both sides, by closing one direction before the other, or by swallowing
 * everything without a word, then a reset. It is calm until {@link FaultyProxy#storm}. What it passes on is complete and in order up to there, as TCP has it.
 */
class FaultyProxy {
  /**
   * @param {number} target a port
   * @param {{ seed: number, life: number }} options `life`: how long a connection lives on average, in ms
   */
  constructor(target, { seed, life }) {
    this.target = target;
    this.random = new Random(seed);
    this.life = life;
    this.isCalm = true;
    this.pairs = new Set();
    /** what has been done to connections, by its name */
    this.accidents = {};
    this.server = net.createServer({ allowHalfOpen: true, noDelay: true }, (near) => this.#connect(near));
  }

  async listen() {
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    this.port = this.server.address().port;
    return this;
  }

  /** Accidents begin, for those as well who are connected. */
  storm() {
    this.isCalm = false;
    for (const pair of this.pairs) this.#limitLife(pair);
  }

  /** No more accidents; connections that are about to end are reset. */
  calm() {
    this.isCalm = true;
    for (const pair of this.pairs) {
      if (pair.isEnding) pair.reset();
      else clearTimeout(pair.timer);
    }
  }

  close() {
    this.server.close();
    for (const pair of this.pairs) pair.reset();
  }

  count(name) {
    this.accidents[name] = (this.accidents[name] ?? 0) + 1;
  }

  #connect(near) {
    const far = net.connect({ port: this.target, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    const pair = new Pair(this, near, far);
    this.pairs.add(pair);
    if (!this.isCalm) this.#limitLife(pair);
  }

  #limitLife(pair) {
    pair.timer = setTimeout(() => this.#end(pair), this.random.wait(this.life));
  }

  #end(pair) {
    pair.isEnding = true;
    const ending = this.random.one(ENDINGS);
    this.count(ending);
    if (ending === "reset") {
      pair.reset();
    } else if (ending === "half-close") {
      const [first, second] = this.random.happens(0.5) ? [pair.near, pair.far] : [pair.far, pair.near];
      first.end();
      pair.timer = setTimeout(() => second.end(), this.random.integer(...HALF_CLOSED));
      // whoever answers nothing to that is done with
      pair.lastTimer = setTimeout(() => pair.reset(), HALF_CLOSED[1] + BLACK_HOLE[1]);
    } else {
      pair.isBlackHole = true;
      pair.timer = setTimeout(() => pair.reset(), this.random.integer(...BLACK_HOLE));
    }
  }
}

/** A connection from a client and the one that it is passed on to. */
class Pair {
  isEnding = false;
  isBlackHole = false;
  #open = 2;

  constructor(proxy, near, far) {
    Object.assign(this, { proxy, near, far });
    this.#forward(near, far);
    this.#forward(far, near);
  }

  reset() {
    for (const socket of [this.near, this.far]) socket.resetAndDestroy();
  }

  #forward(from, to) {
    from.on("data", (chunk) => this.#pass(chunk, from, to));
    from.on("end", () => to.end());
    from.on("error", () => to.resetAndDestroy());
    from.on("close", () => {
      if (!to.writableEnded) to.destroy();
      if (--this.#open > 0) return;
      clearTimeout(this.timer);
      clearTimeout(this.lastTimer);
      this.proxy.pairs.delete(this);
    });
  }

  /** While something holds a chunk up, the stream is paused: so the order stays, and an end comes behind it. */
  #pass(chunk, from, to) {
    if (this.isBlackHole || !to.writable) return;
    const { random, isCalm } = this.proxy;
    const chance = isCalm ? 1 : random.next();
    if (chance < STALL) {
      this.#hold(chunk, from, to, "stall", STALLS);
    } else if (chance < STALL + DELAY) {
      this.#hold(chunk, from, to, "delay", DELAYS);
    } else if (chance < STALL + DELAY + SPLIT && chunk.length > 1) {
      this.#split(chunk, from, to);
    } else if (!to.write(chunk)) {
      from.pause();
      to.once("drain", () => from.resume());
    }
  }

  #hold(chunk, from, to, name, times) {
    this.proxy.count(name);
    from.pause();
    setTimeout(
      () => {
        if (to.writable && !this.isBlackHole) to.write(chunk);
        from.resume();
      },
      this.proxy.random.integer(...times),
    );
  }

  /** Each piece is a write of its own, in a turn of its own. */
  #split(chunk, from, to) {
    const { random } = this.proxy;
    this.proxy.count("split");
    from.pause();
    let pieces = random.integer(...PIECES);
    const next = () => {
      const length = --pieces === 0 ? chunk.length : random.integer(1, Math.max(1, chunk.length - 1));
      if (to.writable && !this.isBlackHole) to.write(chunk.subarray(0, length));
      chunk = chunk.subarray(length);
      if (chunk.length > 0 && pieces > 0) setImmediate(next);
      else from.resume();
    };
    next();
  }
}

module.exports = { FaultyProxy };
