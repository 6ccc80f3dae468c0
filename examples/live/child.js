"use strict";

const { fork } = require("node:child_process");
const path = require("node:path");

/**
 * A process that says `ready` once, and answers `measure` with `figures`. It ends with this one: see parent.js.
 */
class Child {
  /** @type {Promise<void>} */
  ended;
  #process;
  #onEnd;
  #isAsked = false;
  #figures;

  /**
   * @param {string} file in this directory
   * @param {object} settings for it
   * @param {{ onReady: (facts: object) => void, onEnd: (why: string) => void }} listeners `onEnd` is not called for who
   *   was told to end
   */
  constructor(file, settings, { onReady, onEnd }) {
    this.#process = fork(path.join(__dirname, file), [JSON.stringify(settings)], { execArgv: [] });
    this.#process.on("message", ([type, content]) => {
      if (type === "ready") {
        onReady(content);
      } else {
        this.#isAsked = false;
        this.#figures = content;
      }
    });
    this.#onEnd = onEnd;
    this.ended = new Promise((resolve) => {
      this.#process.once("error", (error) => {
        this.#onEnd(error.message);
        resolve();
      });
      this.#process.once("exit", (code, signal) => {
        this.#onEnd(signal ?? `code ${code}`);
        resolve();
      });
    });
  }

  tell(...command) {
    if (this.#process.connected) {
      this.#process.send(command, () => {}); // that it has just ended is told by `exit`
    }
  }

  /** Asks for figures. One that has not answered yet, since it is blocked, is not asked again. */
  ask() {
    if (!this.#isAsked) {
      this.#isAsked = true;
      this.tell("measure");
    }
  }

  /** The figures that have come since this was called last. */
  take() {
    const figures = this.#figures;
    this.#figures = undefined;
    return figures;
  }

  /** Ends it at once, also if its event loop is blocked. Nothing more is heard of it. */
  end() {
    this.#onEnd = () => {};
    this.#process.removeAllListeners("message");
    this.#process.kill("SIGKILL");
    return this.ended;
  }
}

module.exports = { Child };
