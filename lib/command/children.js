"use strict";

/** Processes that are asked things, one at a time. None outlives this one. */

const { fork } = require("child_process");

/** What is kept of what a process says before it fails. */
const MOST_OUTPUT = 4096;

class Child {
  /**
   * Starts a process, which answers questions with `answer()`.
   * @param {string} file
   * @param {{ args?: string[], execArgv?: string[], env?: object }} [how]
   */
  constructor(file, { args = [], execArgv = [], env = process.env } = {}) {
    const stdio = ["ignore", "ignore", "pipe", "ipc"];
    this.process = fork(file, args, { execArgv: [...process.execArgv, ...execArgv], env, stdio });
    this._said = "";
    this.process.stderr.on("data", (data) => (this._said = (this._said + data).slice(-MOST_OUTPUT)));
    this._kill = () => this.process.kill("SIGKILL");
    process.on("exit", this._kill);
    this.ended = new Promise((resolve) => {
      this.process.on("error", resolve);
      this.process.on("close", resolve);
    });
  }

  /**
   * Asks it something.
   * @param {string} question
   * @param {object} [details]
   * @param {number} patience - milliseconds
   * @returns {Promise<any>} rejects when the process ends, fails, or takes too long
   */
  ask(question, details = {}, patience = 30_000) {
    const { process: child } = this;
    return new Promise((resolve, reject) => {
      const finish = (act, value) => {
        clearTimeout(timer);
        child.off("message", onMessage);
        act(value);
      };
      const onMessage = ({ answer, error }) =>
        error === undefined ? finish(resolve, answer) : finish(reject, new Error(error));
      const timer = setTimeout(finish, patience, reject, new Error(`no answer within ${patience / 1000} s`));
      child.on("message", onMessage);
      this.ended.then(() => finish(reject, new Error(this._lastWords())));
      child.send({ question, ...details }, (error) => error && finish(reject, new Error(this._lastWords())));
    });
  }

  _lastWords() {
    const lines = this._said.trim().split("\n");
    return lines.find((line) => /Error\b.*: /.test(line)) ?? (lines.at(-1) || "a process has ended");
  }

  /** Ends it; resolves when it is gone. */
  async end() {
    this._kill();
    await this.ended;
    process.off("exit", this._kill);
  }
}

/**
 * In such a process: answers questions.
 * @param {Object<string, function(object): any>} answers - by the names of questions; may return promises, or throw
 */
function answer(answers) {
  process.on("message", async ({ question, ...details }) => {
    let message;
    try {
      message = { answer: (await answers[question](details)) ?? null };
    } catch (error) {
      message = { error: error.message };
    }
    process.send(message);
  });
  process.on("disconnect", () => process.exit());
}

module.exports = { Child, answer };
