"use strict";

const { execFile } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { execute } = require("./tarball");

const ROOT = path.join(__dirname, "..", "..");
const MODULES = path.join(ROOT, "node_modules");
const { dependencies, files } = require("../../package.json");

/** What is large, and only read: there is no need for copies of it. */
const LINKED = ["client-dist/"];

/** A project in which packages are installed as npm would do it, but for the time that it takes. */
class Project {
  /** @param {{ after: Function }} t - at whose end it is gone */
  constructor(t) {
    // as Node will name it, whatever links lead to it
    this.root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-project-")));
    t.after(() => fs.rmSync(this.root, { recursive: true, force: true }));
  }

  path(...parts) {
    return path.join(this.root, ...parts);
  }

  write(file, content) {
    const target = path.resolve(this.root, file);
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.writeFileSync(target, typeof content === "string" ? content : JSON.stringify(content));
    return target;
  }

  /**
   * Installs this package.
   * @param {object} [how]
   * @param {string} [how.name] - of its folder
   * @param {string} [how.into] - the folder that has node_modules
   * @param {boolean} [how.hasAddon]
   */
  installOurs({ name = "sockeye.io", into = ".", hasAddon = true } = {}) {
    const root = this.path(into, "node_modules", name);
    for (const entry of [...files, "package.json"]) {
      if (entry.includes("*") || !fs.existsSync(path.join(ROOT, entry))) continue;
      if (LINKED.includes(entry)) link(path.join(ROOT, entry), path.join(root, entry));
      else fs.cpSync(path.join(ROOT, entry), path.join(root, entry), { recursive: true });
    }
    for (const addon of fs.readdirSync(ROOT).filter((file) => hasAddon && file.endsWith(".node"))) {
      link(path.join(ROOT, addon), path.join(root, addon));
    }
    for (const dependency of Object.keys(dependencies)) this.install(dependency, { into });
    return root;
  }

  /** Installs a package that this one depends on, perhaps under another name. */
  install(name, { as = name, into = "." } = {}) {
    link(path.join(MODULES, name), this.path(into, "node_modules", as));
  }

  /** Installs a package that has nothing but a manifest, and files. */
  fake(folder, manifest, contents = {}) {
    this.write(path.join("node_modules", folder, "package.json"), { version: "1.0.0", ...manifest });
    for (const [file, content] of Object.entries(contents)) {
      this.write(path.join("node_modules", folder, file), content);
    }
  }

  /**
   * Runs Node in it.
   * @param {string[]} args
   * @param {object} [env] - more of the environment; undefined takes a variable out
   * @returns {Promise<{ stdout: string, stderr: string }>} rejects, with both and `code`, unless it ends with 0
   */
  node(args, env) {
    return execute(process.execPath, args, this._options(env));
  }

  /**
   * The same, but whatever it ends with is an answer.
   * @param {string[]} args
   * @param {object} [env]
   * @param {string} [shell] - is put before the command, e.g. "ulimit -n 100"
   * @returns {Promise<{ code: number, stdout: string, stderr: string }>}
   */
  attempt(args, env, shell) {
    const [command, first] = shell
      ? ["/bin/sh", ["-c", `${shell}; exec "$0" "$@"`, process.execPath]]
      : [process.execPath, []];
    return new Promise((resolve) => {
      execFile(command, [...first, ...args], this._options(env), (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : error.code, stdout, stderr }),
      );
    });
  }

  _options(env) {
    const { NODE_TEST_CONTEXT, SOCKEYE_NATIVE, SOCKEYE_BINDING, DEBUG, ...rest } = process.env;
    void [NODE_TEST_CONTEXT, SOCKEYE_NATIVE, SOCKEYE_BINDING, DEBUG];
    return { cwd: this.root, env: { ...rest, ...env }, timeout: 60_000 };
  }
}

/** A link to a file or a folder, which stands where npm would have put a copy. */
function link(target, where) {
  if (fs.existsSync(where)) return;
  fs.mkdirSync(path.dirname(where), { recursive: true });
  fs.symlinkSync(
    target,
    where.replace(/[\\/]$/, ""),
    fs.statSync(target).isDirectory() ? "junction" : "file",
  );
}

module.exports = { Project };
