"use strict";

const { createHistogram, performance } = require("node:perf_hooks");
const { Client } = require("./client");

/** Who has lost its connection tries again after about this time, as the client of Socket.IO does. */
const RECONNECTION_DELAY = 1000;

/** However long this process was held up, what it has missed in more than this time is not made up for. */
const MAX_ARREARS = 1000;

/** All clients of a server: how they connect, what they do, and what they see. */
class Crew {
  #port;
  #load;
  /** @type {Client[]} */
  #clients = [];
  /** Those who want to connect, the longest waiting first. */
  #waiting = [];
  #connecting = 0;
  #connected = 0;
  #disconnects = 0;
  #received = 0;
  /** in µs */
  #latencies = createHistogram();
  #measuredAt = performance.now();
  #loop = performance.eventLoopUtilization();
  #connects;
  #says;
  #echoes;

  /**
   * @param {number} port
   * @param {typeof import("./settings").load} load
   */
  constructor(port, load) {
    this.#port = port;
    this.#load = load;
    this.#connects = new Pace();
    this.#says = new Pace();
    this.#echoes = new Pace();
  }

  /** From now on there are so many clients; never fewer than before. */
  grow(count) {
    while (this.#clients.length < count) {
      const room = `room ${Math.floor(this.#clients.length / this.#load.roomSize)}`;
      const client = new Client(room, this);
      this.#clients.push(client);
      this.#waiting.push(client);
    }
  }

  /** Does what is due: to be called every few milliseconds. */
  work() {
    const { connectsPerSecond, connectsAtOnce, sayEvery, echoEvery } = this.#load;
    const free = Math.min(connectsAtOnce - this.#connecting, this.#waiting.length);
    for (let due = Math.min(this.#connects.due(connectsPerSecond), free); due > 0; due--) {
      this.#connecting++;
      this.#waiting.shift().connect(this.#port);
    }
    this.#speak(this.#says, sayEvery, (client) => client.say());
    this.#speak(this.#echoes, echoEvery, (client) => client.echo());
  }

  /** One after the other has its turn, so that they are spread over the time. */
  #speak(pace, every, act) {
    for (let due = pace.due((this.#clients.length * 1000) / every); due > 0; due--) {
      const client = this.#clients[pace.turn++ % this.#clients.length];
      if (client.state === "connected") {
        act(client);
      }
    }
  }

  onConnected() {
    this.#connecting--;
    this.#connected++;
  }

  onClosed(client, wasConnected) {
    if (wasConnected) {
      this.#connected--;
      this.#disconnects++;
    } else {
      this.#connecting--;
    }
    setTimeout(() => this.#waiting.push(client), RECONNECTION_DELAY * (0.5 + Math.random()));
  }

  onArrival(sentAt) {
    this.#received++;
    this.#latencies.record(Math.max(1, Math.round((performance.now() - sentAt) * 1000)));
  }

  /**
   * What has been since the last look; the disconnects since the beginning.
   *
   * @returns {{ seconds: number, clients: number, disconnects: number, messages: number, p50: number | null,
   *   p99: number | null, busy: number }} how long that is; `messages` in a second, latencies in ms; how busy this process
   *   was, 0 to 1
   */
  measure() {
    const now = performance.now();
    const seconds = (now - this.#measuredAt) / 1000;
    const percentile = (p) => (this.#received > 0 ? this.#latencies.percentile(p) / 1000 : null);
    const figures = {
      seconds,
      clients: this.#connected,
      disconnects: this.#disconnects,
      messages: this.#received / seconds,
      p50: percentile(50),
      p99: percentile(99),
      busy: performance.eventLoopUtilization(this.#loop).utilization,
    };
    this.#received = 0;
    this.#latencies.reset();
    this.#measuredAt = now;
    this.#loop = performance.eventLoopUtilization();
    return figures;
  }
}

/** How many of something that happens at a rate are due. */
class Pace {
  turn = 0;
  #rest = 0;
  #askedAt = performance.now();

  due(perSecond) {
    const now = performance.now();
    this.#rest += (perSecond * Math.min(now - this.#askedAt, MAX_ARREARS)) / 1000;
    this.#askedAt = now;
    const due = Math.floor(this.#rest);
    this.#rest -= due;
    return due;
  }
}

module.exports = { Crew };
