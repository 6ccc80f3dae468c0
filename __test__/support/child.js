"use strict";

const { fork, spawn } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { atEnd } = require("./harness");
const { within, deferred, Recorder } = require("./waiting");

/**
 * Runs a function in a process of its own.
 *
 * @param {{ after?: Function }} t
 * @param {(context: object) => any} body is handed over as text, so that it sees nothing of its surroundings but the
 *   context: see child-main.js
 * @param {any} [args] JSON
 * @param {{ target?: string, execArgv?: string[], shell?: string }} [options] `shell` is put before the command,
 *   e.g. "ulimit -n 100"
 * @returns {Child}
 */
function startChild(t, body, args, options = {}) {
  const child = new Child(body, args, options);
  atEnd(t, () => child.kill());
  return child;
}

class Child {
  constructor(body, args, { target, execArgv = [], shell }) {
    const env = { ...process.env, SIO_CHILD: JSON.stringify({ source: String(body), args }) };
    // a child of node:test would report as a test file
    delete env.NODE_TEST_CONTEXT;
    if (target !== undefined) {
      env.SIO_TARGET = target;
    }
    const main = path.join(__dirname, "child-main.js");
    const stdio = ["ignore", "pipe", "pipe", "ipc"];
    this.process = shell
      ? spawn("/bin/sh", ["-c", `${shell}; exec "$0" "$@"`, process.execPath, ...execArgv, main], {
          env,
          stdio,
        })
      : fork(main, { env, stdio, execArgv });
    this.messages = new Recorder();
    this.taken = new Map();
    this.output = "";
    this.errors = "";
    this.process.stdout.on("data", (chunk) => (this.output += chunk));
    this.process.stderr.on("data", (chunk) => (this.errors += chunk));
    this.process.on("message", (message) => this.messages.push(message));
    const exit = deferred();
    /** resolves with { code, signal } */
    this.exit = exit.promise;
    this.exited = null;
    this.process.on("close", (code, signal) => {
      this.exited = { code, signal };
      exit.resolve(this.exited);
      this.messages.push({ type: "exit" });
    });
  }

  get pid() {
    return this.process.pid;
  }

  send(type, rest = {}) {
    this.process.send({ type, ...rest });
  }

  /** The next message of this type that has not been taken yet. Rejects when the process ends instead. */
  async message(type, ms) {
    const index = this.taken.get(type) ?? 0;
    const find = () => this.messages.list.filter((message) => message.type === type)[index];
    await this.messages
      .until(() => find() !== undefined || this.exited !== null, ms)
      .catch((error) => {
        error.message = `no message "${type}" of the child: ${error.message}\n${this.errors}`;
        throw error;
      });
    const message = find();
    if (message === undefined) {
      const { code, signal } = this.exited;
      throw new Error(`the child ended (${signal ?? code}) without a message "${type}"\n${this.errors}`);
    }
    this.taken.set(type, index + 1);
    return message;
  }

  /** Sends a command and resolves with the answer of the same name. */
  ask(type, rest, ms) {
    this.send(type, rest);
    return this.message(type, ms);
  }

  /** Waits for the end of the process. */
  ended(ms) {
    return within(this.exit, "end of the child", ms);
  }

  /** Resident memory in bytes; works while the process blocks. */
  residentMemory() {
    const status = fs.readFileSync(`/proc/${this.pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)[1]) * 1024;
  }

  /** The most that `residentMemory` has ever been. */
  peakMemory() {
    const status = fs.readFileSync(`/proc/${this.pid}/status`, "utf8");
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)[1]) * 1024;
  }

  /** What the descriptors of the process point to. */
  descriptors() {
    const directory = `/proc/${this.pid}/fd`;
    return fs.readdirSync(directory).flatMap((fd) => {
      try {
        return [{ fd, link: fs.readlinkSync(path.join(directory, fd)) }];
      } catch {
        return []; // closed meanwhile
      }
    });
  }

  async kill() {
    if (this.exited === null) {
      this.process.kill("SIGKILL");
      await this.exit;
    }
  }
}

module.exports = { startChild };
