"use strict";

const { execFile } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { npm } = require("../../scripts/support");

const ROOT = path.join(__dirname, "..", "..");
const MINUTES = 60_000;

/**
 * Packs the package as it would be published.
 *
 * @param {string} directory
 * @returns {Promise<string>} the path of the tarball, the only one in the directory
 */
async function packInto(directory) {
  await runNpm(["pack", "--pack-destination", directory], { cwd: ROOT, env: withoutNpm(process.env) });
  const [tarball, ...others] = fs.readdirSync(directory).filter((file) => file.endsWith(".tgz"));
  if (tarball === undefined || others.length !== 0) {
    throw new Error(`npm pack has made ${others.length + 1} tarballs, or none`);
  }
  return path.join(directory, tarball);
}

/** Installs packages, or what package.json wants, from the cache as far as they are in there. */
function install(cwd, packages = [], env = withoutNpm(process.env)) {
  return runNpm(["install", "--prefer-offline", "--no-audit", "--no-fund", ...packages], { cwd, env });
}

function runNpm(args, options) {
  const { command, args: first, shell } = npm();
  return execute(command, [...first, ...args], { ...options, shell, timeout: 5 * MINUTES });
}

/** As the promise version of execFile, but an error says what the command printed. */
function execute(command, args, options) {
  return new Promise((resolve, reject) => {
    execFile(command, args, options, (error, stdout, stderr) => {
      if (error) {
        error.message += `\n${stdout}\n${stderr}`;
        reject(error);
      } else {
        resolve({ stdout, stderr });
      }
    });
  });
}

/** What npm tells the scripts that it runs would tell another npm where to work. */
function withoutNpm(env) {
  const isOurs = (name) => /^npm_(package|lifecycle|command|config_local_prefix)|^INIT_CWD$/i.test(name);
  return Object.fromEntries(Object.entries(env).filter(([name]) => !isOurs(name)));
}

/** The version of a package among our own dependencies. */
function versionOf(name) {
  return JSON.parse(fs.readFileSync(path.join(ROOT, "node_modules", name, "package.json"), "utf8")).version;
}

module.exports = { ROOT, MINUTES, packInto, install, execute, withoutNpm, versionOf };
