"use strict";

// Who is measured: how each is installed, and how its server is started. A server prints its port on a line.

const fs = require("node:fs");
const path = require("node:path");
const { npm } = require("../scripts/support");
const children = require("./children");
const crates = require("./crates");

const root = path.join(__dirname, "..");
const directory = path.join(__dirname, "peers");
const modules = path.join(directory, "node_modules");

/**
 * @typedef {object} Contender
 * @property {string} name
 * @property {boolean} hasJsThread whether its main thread runs JavaScript
 * @property {string} [framing] `raw` without Socket.IO
 * @property {() => Promise<void> | void} [install]
 * @property {(scenario: import("./scenarios").Scenario) => { command: string, args: string[] }} command
 */

/** @type {Contender} */
const ours = {
  name: "sockeye.io",
  hasJsThread: true,
  command: ({ framing } = {}) =>
    framing === "raw" ? node(path.join(directory, "ws.js"), path.join(root, "ws.js")) : server(root),
};

/** @type {Contender[]} */
const peers = [
  {
    name: "socket.io",
    hasJsThread: true,
    command: () => server("socket.io"),
  },
  {
    name: "Bun",
    hasJsThread: true,
    install: installPackages,
    command: ({ framing } = {}) => ({
      command: findBun(),
      args: [path.join(directory, framing === "raw" ? "bun-ws.mjs" : "bun.mjs")],
    }),
  },
  {
    name: "socketioxide",
    hasJsThread: false,
    install: () => crates.build("peers/socketioxide"),
    command: () => ({ command: crates.program("socketioxide-peer"), args: [] }),
  },
  {
    name: "ws",
    hasJsThread: true,
    framing: "raw",
    install: installPackages,
    command: () => node(path.join(directory, "ws.js")),
  },
  {
    name: "floor",
    hasJsThread: false,
    install: () => crates.build("peers/floor"),
    command: ({ framing = "" } = {}) => ({ command: crates.program("floor"), args: [framing] }),
  },
];

function server(name) {
  return node("--expose-gc", path.join(__dirname, "server.js"), name);
}

function node(...args) {
  return { command: process.execPath, args };
}

/** Installs what package-lock.json says, unless that is there already. */
async function installPackages() {
  const stamp = path.join(modules, ".installed-lock.json");
  const wanted = fs.readFileSync(path.join(directory, "package-lock.json"), "utf8");
  if (fs.existsSync(stamp) && fs.readFileSync(stamp, "utf8") === wanted) {
    return;
  }
  const { command, args } = npm();
  // Bun's install script would only move its program
  const ci = [...args, "ci", "--ignore-scripts", "--no-audit", "--no-fund"];
  await children.run({ command, args: ci, cwd: directory });
  fs.writeFileSync(stamp, wanted);
}

/** The program that came for this platform; the package `bun` itself has a placeholder only. */
function findBun() {
  const scope = path.join(modules, "@oven");
  const packages = fs.existsSync(scope) ? fs.readdirSync(scope) : [];
  const programs = packages.map((name) => path.join(scope, name, "bin", "bun"));
  const found = programs.find((program) => fs.existsSync(program));
  if (!found) {
    throw new Error("npm has no Bun for this platform");
  }
  return found;
}

module.exports = { ours, peers };
