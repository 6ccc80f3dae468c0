"use strict";

const { fork } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { connect } = require("./harness");
const { ROOT } = require("./documents");
const { deferred, within } = require("./waiting");

const ANY_PORT = path.join(__dirname, "..", "fixtures", "docs", "any-port.js");

/** A folder in which programs find this package by its name, and what it is developed with. */
function makeFolder(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-docs-"));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  fs.symlinkSync(path.join(ROOT, "node_modules"), path.join(folder, "node_modules"), "dir");
  fs.mkdirSync(path.join(folder, "app", "node_modules"), { recursive: true });
  fs.symlinkSync(ROOT, path.join(folder, "app", "node_modules", "sockeye.io"), "dir");
  return path.join(folder, "app");
}

/**
 * Writes a program of the documents into a folder of its own.
 *
 * @param {string} folder of `makeFolder`
 * @param {string} name
 * @param {string} code
 * @returns {string} the file
 */
function writeProgram(folder, name, code) {
  const file = path.join(folder, name, `program.${/^(import|export) /m.test(code) ? "mjs" : "cjs"}`);
  fs.mkdirSync(path.dirname(file));
  fs.writeFileSync(file, code);
  return file;
}

/** A program in a process of its own. */
class Example {
  /**
   * @param {object} t
   * @param {string} file
   * @param {object} [env] added to that of this process
   */
  constructor(t, file, env = {}) {
    this.t = t;
    this.folder = path.dirname(file);
    this.child = fork(file, {
      cwd: this.folder,
      execArgv: ["--require", ANY_PORT],
      env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...env },
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    this.said = "";
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => (this.said += text));
    }
    const exit = deferred();
    this.child.once("close", (code, signal) => exit.resolve({ code, signal }));
    this.exit = exit.promise;
    this.listening = deferred();
    this.child.on("message", ({ port }) => port && this.listening.resolve(port));
    t.after(async () => {
      this.child.kill("SIGKILL");
      await this.exit;
    });
  }

  /** Where it listens. */
  async url() {
    const ended = this.exit.then(({ code }) => Promise.reject(new Error(`it ended (${code}): ${this.said}`)));
    const port = await within(Promise.race([this.listening.promise, ended]), "the example to listen");
    return `http://127.0.0.1:${port}`;
  }

  /** A client of it, which is closed at the end. */
  async client(namespace = "/", options = {}) {
    const client = connect((await this.url()) + namespace, {
      forceNew: true,
      reconnection: false,
      ...options,
    });
    this.t.after(() => client.disconnect());
    return client;
  }

  /** Resolves when it has ended by itself, which must be without an error. */
  async end() {
    const { code, signal } = await within(this.exit, "the end of the example");
    if (code !== 0) throw new Error(`it ended with ${signal ?? code}: ${this.said}`);
  }
}

module.exports = { Example, makeFolder, writeProgram };
