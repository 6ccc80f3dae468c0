"use strict";

// The package managers that people install with, and how each is told to install from a registry on loopback.

const fs = require("node:fs");
const path = require("node:path");
const { execute, runNpm } = require("../processes");

const MODULES = path.join(__dirname, "node_modules");
const PNPM = path.join(MODULES, "pnpm", "bin", "pnpm.cjs");
const YARN_1 = path.join(MODULES, "yarn", "bin", "yarn.js");
const YARN = path.join(MODULES, "@yarnpkg", "cli-dist", "bin", "yarn.js");
const TIMEOUT = 5 * 60_000;

/**
 * @typedef {object} Manager
 * @property {string} name
 * @property {(manifest: object, replaced: object) => object} override - a manifest in which packages are replaced
 *   everywhere in the tree; `replaced`: specifiers by name
 * @property {(project: import("./project").Project, args: string[]) => Promise<void>} install - installs what the manifest
 *   asks for
 * @property {string[]} [node] - what runs the files of a project, this Node unless given
 */

/** @type {Object<string, Manager>} */
const MANAGERS = {
  npm: {
    name: "npm",
    override: (manifest, replaced) => ({ ...manifest, overrides: replaced }),
    install: ({ folder, env, registry }, args) =>
      runNpm(["install", `--registry=${registry}`, "--no-audit", "--no-fund", ...args], { cwd: folder, env }),
  },
  pnpm: {
    name: "pnpm",
    override: (manifest, replaced) => ({ ...manifest, pnpm: { overrides: replaced } }),
    install: ({ folder, env, registry }, args) =>
      script(PNPM, ["install", `--registry=${registry}`, ...args], { cwd: folder, env }),
  },
  yarn1: {
    name: "yarn 1",
    override: (manifest, replaced) => ({ ...manifest, resolutions: replaced }),
    install: ({ folder, env, registry }, args) =>
      script(YARN_1, ["install", `--registry=${registry}`, "--no-progress", ...args], { cwd: folder, env }),
  },
  yarn: yarn("yarn 4", "node-modules"),
  yarnPnp: { ...yarn("yarn 4 with Plug'n'Play", "pnp"), node: [process.execPath, YARN, "node"] },
};

function yarn(name, linker) {
  return {
    name,
    override: (manifest, replaced) => ({ ...manifest, resolutions: replaced }),
    install({ folder, env, registry }, args) {
      const settings = {
        nodeLinker: linker,
        npmRegistryServer: registry,
        unsafeHttpWhitelist: ["127.0.0.1"],
        enableGlobalCache: false,
        enableTelemetry: false,
        // holds back what was published today
        npmMinimalAgeGate: 0,
      };
      fs.writeFileSync(path.join(folder, ".yarnrc.yml"), JSON.stringify(settings));
      fs.writeFileSync(path.join(folder, "yarn.lock"), "");
      return script(YARN, ["install", "--no-immutable", ...args], { cwd: folder, env });
    },
  };
}

function script(file, args, options) {
  return execute(process.execPath, [file, ...args], { timeout: TIMEOUT, ...options });
}

module.exports = { MANAGERS };
