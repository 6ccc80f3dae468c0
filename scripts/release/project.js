"use strict";

// A project of somebody who installs the package from a registry, on a machine without Rust.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { APP, copyApp, runApp } = require("../../__test__/support/pack-app");
const { execute, withoutRust } = require("../processes");
const { MANAGERS } = require("./managers");

const TIMEOUT = 60_000;

class Project {
  /**
   * @param {string} folder - which is made
   * @param {object} how
   * @param {string} how.registry - its URL
   * @param {import("./managers").Manager} [how.manager]
   * @param {boolean} [how.isWarm] - whether what the user's caches have need not be fetched again
   */
  constructor(folder, { registry, manager = MANAGERS.npm, isWarm = false }) {
    this.folder = path.join(folder, "app");
    this.registry = registry;
    this.manager = manager;
    this.env = withoutRust(process.env, path.join(folder, "bin"));
    // a process of the test runner's must not be taken for one of its files
    delete this.env.NODE_TEST_CONTEXT;
    if (!isWarm) Object.assign(this.env, caches(path.join(folder, "home")));
    fs.mkdirSync(this.folder, { recursive: true });
  }

  /**
   * Writes package.json and installs.
   * @param {object} dependencies
   * @param {object} [how]
   * @param {object} [how.replaced] - packages that are to be others everywhere in the tree
   * @param {string[]} [how.args] - more for the package manager
   */
  async install(dependencies, { replaced, args = [] } = {}) {
    const manifest = { name: "app", version: "1.0.0", private: true, dependencies };
    const complete = replaced === undefined ? manifest : this.manager.override(manifest, replaced);
    fs.writeFileSync(path.join(this.folder, "package.json"), JSON.stringify(complete, null, 2));
    await this.manager.install(this, args);
  }

  /**
   * Runs an application of stock's, of which one import was changed, and asserts that clients see what they see with stock.
   * @param {string} name - the package that it imports
   */
  async tryApp(name) {
    copyApp(this.folder, name);
    const [expected, actual] = [
      await runApp(APP, process.env),
      await runApp(this.folder, this.env, this.node),
    ];
    assert.deepEqual(actual, expected);
  }

  /**
   * Runs Node in it.
   * @returns {Promise<string>} what it prints
   */
  async run(...args) {
    const [node, ...first] = this.node;
    const options = { cwd: this.folder, env: this.env, timeout: TIMEOUT };
    const { stdout } = await execute(node, [...first, ...args], options);
    return stdout.trim();
  }

  get node() {
    return this.manager.node ?? [process.execPath];
  }
}

/** Where package managers are to keep what they have fetched. */
function caches(home) {
  fs.mkdirSync(home, { recursive: true });
  return {
    HOME: home,
    XDG_CACHE_HOME: path.join(home, "cache"),
    XDG_DATA_HOME: path.join(home, "data"),
    XDG_CONFIG_HOME: path.join(home, "config"),
    npm_config_cache: path.join(home, "npm"),
    npm_config_userconfig: path.join(home, "npmrc"),
    YARN_CACHE_FOLDER: path.join(home, "yarn"),
  };
}

module.exports = { Project };
