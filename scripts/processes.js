"use strict";

// How scripts and tests run other programs, npm above all.

const { execFile } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { npm } = require("./support");

const NPM_TIMEOUT = 5 * 60_000;

/**
 * As the promise version of execFile, but an error says what the command printed.
 * @param {string} command
 * @param {string[]} args
 * @param {object} [options] - those of execFile
 * @returns {Promise<{ stdout: string, stderr: string }>}
 */
function execute(command, args, options) {
  return new Promise((resolve, reject) => {
    execFile(command, args, { maxBuffer: Infinity, ...options }, (error, stdout, stderr) => {
      if (error) {
        error.message += `\n${stdout}\n${stderr}`;
        reject(error);
      } else {
        resolve({ stdout, stderr });
      }
    });
  });
}

/** Runs npm. */
function runNpm(args, options) {
  const { command, args: first, shell } = npm();
  return execute(command, [...first, ...args], { shell, timeout: NPM_TIMEOUT, ...options });
}

/** What npm tells the scripts that it runs would tell another npm where to work. */
function withoutNpm(env) {
  const isOurs = (name) => /^npm_(package|lifecycle|command|config_local_prefix)|^INIT_CWD$/i.test(name);
  return Object.fromEntries(Object.entries(env).filter(([name]) => !isOurs(name)));
}

/**
 * An environment in which neither cargo nor rustc can be found, but node can.
 * @param {object} env
 * @param {string} bin - a folder for node, which is made
 */
function withoutRust(env, bin) {
  const hasRust = (directory) =>
    ["cargo", "rustc", "cargo.exe", "rustc.exe"].some((tool) => fs.existsSync(path.join(directory, tool)));
  const directories = env.PATH.split(path.delimiter).filter((directory) => !hasRust(directory));
  fs.mkdirSync(bin, { recursive: true });
  fs.symlinkSync(process.execPath, path.join(bin, path.basename(process.execPath)));
  return { ...withoutNpm(env), PATH: [bin, ...directories].join(path.delimiter) };
}

module.exports = { execute, runNpm, withoutNpm, withoutRust };
