"use strict";

// What the three commands share. Nothing here may need an installed package: `npm start`, `npm run build` and
// `npm test` begin on a clone that has no node_modules yet.

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

const root = path.join(__dirname, "..");

/**
 * How to run npm: through the copy that is running this script, if there is one, so that neither the PATH nor
 * Windows' npm.cmd matters.
 *
 * @returns {{ command: string, args: string[], shell: boolean }}
 */
function npm() {
  const cli = process.env.npm_execpath;
  if (cli && /npm-cli\.[cm]?js$/.test(cli)) {
    return { command: process.execPath, args: [cli], shell: false };
  }
  return { command: "npm", args: [], shell: process.platform === "win32" };
}

/**
 * Runs a command with its output shown as it comes.
 *
 * @returns {boolean} whether it ended with exit code 0
 */
function run(command, args, options = {}) {
  const { error, status } = spawnSync(command, args, { cwd: root, stdio: "inherit", ...options });
  if (error) {
    console.error(`${command}: ${error.message}`);
  }
  return status === 0;
}

/** Whether a command can be started at all. */
function canRun(command) {
  return spawnSync(command, ["--version"], { stdio: "ignore" }).error === undefined;
}

/**
 * Whether node_modules holds what package-lock.json asks for. The comparison is by content: a checkout changes
 * the files' times, not what is installed.
 */
function isInstalled(folder) {
  let wanted, present;
  try {
    wanted = readPackages(path.join(folder, "package-lock.json"));
    present = readPackages(path.join(folder, "node_modules", ".package-lock.json"));
  } catch {
    return false;
  }
  return Object.entries(wanted).every(([name, entry]) => {
    const found = present[name];
    if (name === "") {
      return true;
    }
    return found
      ? found.version === entry.version && found.integrity === entry.integrity
      : entry.optional === true || entry.devOptional === true;
  });
}

function readPackages(lockFile) {
  return JSON.parse(fs.readFileSync(lockFile, "utf8")).packages;
}

/**
 * Installs dependencies unless they are there already. Ends the process when that fails.
 * @param {string} [folder] - that has package.json, the checkout's own unless given
 */
function ensureInstalled(folder = root) {
  if (isInstalled(folder)) {
    return;
  }
  console.log("Installing the dependencies (npm ci) …");
  const { command, args, shell } = npm();
  if (!run(command, [...args, "ci"], { cwd: folder, shell })) {
    console.error("npm ci failed: without the dependencies nothing else can run.");
    process.exit(1);
  }
}

module.exports = { root, npm, run, canRun, ensureInstalled };
