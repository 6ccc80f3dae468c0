"use strict";

const fs = require("node:fs");
const path = require("node:path");
const children = require("../../bench/children");
const { totals } = require("../../bench/server-process");
const { LIMIT, Recorder, deferred, within } = require("../../__test__/support/waiting");

const MAIN = path.join(__dirname, "main.js");

/** A process that plays a role of a program: see main.js for its side. */
class Process {
  #questions = new Map();
  #count = 0;
  #taken = new Map();

  /**
   * @param {object} what
   * @param {string} what.program its file, from the folder stress
   * @param {string} what.role the function that it exports
   * @param {object} [what.args] handed to it; JSON
   * @param {string} [what.package] the package under test
   * @param {object | null} [what.server] options of a Server that the role gets, for servers
   * @param {"tls"} [what.stream] its HTTP server is an HTTPS server
   * @param {number} [what.port] where it listens, if not on a free port
   * @param {string[]} [what.execArgv] flags of Node
   * @param {string} [what.shell] commands before it, in the same process: "ulimit -n 100"
   * @param {object} [what.env] environment
   */
  constructor({ execArgv = ["--expose-gc"], shell, env, ...config }) {
    const args = [...execArgv, MAIN, JSON.stringify(config)];
    this.child = children.start({
      ...(shell
        ? { command: "/bin/sh", args: ["-c", `${shell}; exec "$0" "$@"`, process.execPath, ...args] }
        : { command: process.execPath, args }),
      env,
      ipc: true,
    });
    this.messages = new Recorder();
    this.exited = null;
    const exit = deferred();
    /** resolves with { code, signal } */
    this.exit = exit.promise;
    this.child.on("message", (message) => this.#onMessage(message));
    this.child.on("close", (code, signal) => {
      this.exited = { code, signal };
      exit.resolve(this.exited);
      this.messages.push({ type: "exit", code, signal });
      for (const { reject } of this.#questions.values()) reject(this.#error("it has ended"));
    });
  }

  get pid() {
    return this.child.pid;
  }

  /** What it wrote: `stdout` and `stderr`, their last 64 KiB. */
  get said() {
    return this.child.said;
  }

  #onMessage(message) {
    if (message.type !== "answer") {
      this.messages.push(message);
      return;
    }
    const question = this.#questions.get(message.id);
    this.#questions.delete(message.id);
    if (message.error === undefined) question?.resolve(message.result);
    else question?.reject(new Error(message.error));
  }

  #error(what) {
    const ending = this.exited ? ` (${this.exited.signal ?? `code ${this.exited.code}`})` : "";
    return new Error(`process ${this.pid}: ${what}${ending}\n${this.said.stderr.slice(-2000)}`);
  }

  /**
   * Asks the role something that it has in `answers`, or one of those that every process has: "usage", "gc".
   *
   * @param {string} name
   * @param {any} [args] JSON
   * @param {number} [ms]
   */
  async ask(name, args, ms = LIMIT) {
    if (this.exited) throw this.#error("it has ended");
    const id = this.#count++;
    const question = deferred();
    this.#questions.set(id, question);
    // it may just have ended
    this.child.send({ type: "ask", id, name, args }, (error) => error && question.reject(error));
    return within(question.promise, `answer to "${name}"`, ms);
  }

  /** The next message of this type, by `tell`, that has not been taken yet. Rejects when the process ends instead. */
  async message(type, ms = 20_000) {
    const index = this.#taken.get(type) ?? 0;
    const find = () => this.messages.list.filter((message) => message.type === type)[index];
    await this.messages.until(() => find() !== undefined || this.exited !== null, ms);
    if (find() === undefined) throw this.#error(`no message "${type}"`);
    this.#taken.set(type, index + 1);
    return find();
  }

  /**
   * What the kernel says of it, from outside: works while it blocks.
   *
   * @returns {{ cpu: number, rss: number, peakRss: number, descriptors: number, threads: number }} `cpu` in ms of all
   *   threads since it started, memory in bytes
   */
  totals() {
    return totals(this.pid);
  }

  /** From now on `peakRss` of {@link totals} is that of the time to come. */
  resetPeak() {
    fs.writeFileSync(`/proc/${this.pid}/clear_refs`, "5");
  }

  /**
   * What it says of itself: see `usage` in main.js.
   *
   * @returns {Promise<{ loopMax: number, memory: NodeJS.MemoryUsage }>} `loopMax` is the longest time in ms that the event
   *   loop has not come around since it was last asked
   */
  usage(ms) {
    return this.ask("usage", undefined, ms);
  }

  signal(name) {
    this.child.kill(name);
  }

  /** Resolves with `{ code, signal }` when the process has ended by itself. */
  ended(ms) {
    return within(this.exit, `end of process ${this.pid}`, ms);
  }

  async kill() {
    if (this.exited === null) {
      this.child.kill("SIGKILL");
      await this.exit;
    }
  }
}

module.exports = { Process };
