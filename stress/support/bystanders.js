"use strict";

// Clients that do what clients do while others misbehave: each sends an event, waits for the answer, and sends the next. The
// server answers with `socket.on("echo", (number, reply) => reply(number))`.

const { deferred, within } = require("../../__test__/support/waiting");
const { LightClient } = require("./light-client");
const { now, summary } = require("./latencies");

/**
 * A role for a process of a program. It tells "ready" when all are connected, and answers
 *
 * - "echoes": `{ p50, p99, max, count }` in ms, of those since it was last asked; who waits for an answer now counts with
 *   the time until now
 * - "served": resolves when every client has had an echo that it asked for from now on
 *
 * @param {{ args: { port: number, clients: number, pause?: number }, answers: object, tell: Function }} context `pause`: ms
 *   between an answer and the next event
 */
async function bystanders({ args, answers, tell }) {
  const clients = await LightClient.connectMany(args.clients, args.port);
  const echoes = clients.map((client) => new Echo(client, args.pause));
  answers.echoes = () => summary(echoes.flatMap((echo) => echo.take()));
  answers.served = () => Promise.all(echoes.map((echo) => echo.next()));
  tell("ready");
}

class Echo {
  #count = 0;
  #latencies = [];
  #waiters = [];

  constructor(client, pause = 0) {
    this.client = client;
    this.pause = pause;
    client.onMessage = (payload) => this.#onAnswer(payload.toString());
    client.onEnd = (end) => {
      throw new Error(`a bystander's connection has ended: ${end}`);
    };
    this.#ask();
  }

  #ask() {
    this.sentAt = now();
    this.client.send(`42${++this.#count}["echo",${this.#count}]`);
  }

  #onAnswer(packet) {
    // something else, for everybody
    if (!packet.startsWith("43")) return;
    if (packet !== `43${this.#count}[${this.#count}]`) {
      throw new Error(`a bystander has got ${packet} as the answer to ${this.#count}`);
    }
    this.#latencies.push(now() - this.sentAt);
    this.sentAt = undefined;
    this.#waiters = this.#waiters.filter(({ count, resolve }) => count > this.#count || resolve());
    if (this.pause === 0) this.#ask();
    else setTimeout(() => this.#ask(), this.pause);
  }

  take() {
    const taken = this.#latencies;
    if (this.sentAt !== undefined && taken.length === 0) taken.push(now() - this.sentAt);
    this.#latencies = [];
    return taken;
  }

  next() {
    const { promise, resolve } = deferred();
    this.#waiters.push({ count: this.#count + 1, resolve });
    return within(promise, "an echo");
  }
}

module.exports = bystanders;
