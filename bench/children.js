"use strict";

// The processes that the benchmark and the stress programs start. None outlives it, however it ends, short of SIGKILL.

const { spawn } = require("node:child_process");

/** What is kept of what a process says. */
const MAX_OUTPUT = 64 * 1024;

const running = new Set();

process.on("exit", endAll);
for (const [signal, number] of [
  ["SIGINT", 2],
  ["SIGTERM", 15],
  ["SIGHUP", 1],
]) {
  process.on(signal, () => process.exit(128 + number));
}

function endAll() {
  for (const child of running) {
    child.kill("SIGKILL");
  }
}

/**
 * Starts a process. Its output is gathered as text in `child.said`.
 *
 * @param {{ command: string, args: string[], cwd?: string, env?: object, ipc?: boolean }} what `ipc`: Node's channel for
 *   messages
 */
function start({ command, args, cwd, env, ipc = false }) {
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe", ...(ipc ? ["ipc"] : [])],
  });
  running.add(child);
  child.said = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"]) {
    child[stream].setEncoding("utf8").on("data", (text) => {
      child.said[stream] = (child.said[stream] + text).slice(-MAX_OUTPUT);
    });
  }
  child.ended = new Promise((resolve) => {
    child.once("error", (error) => {
      running.delete(child);
      resolve(error.message);
    });
    child.once("close", (code, signal) => {
      running.delete(child);
      resolve(code === 0 ? undefined : (signal ?? `code ${code}`));
    });
  });
  return child;
}

/** Ends a process and waits until it is gone. */
async function end(child) {
  child.kill("SIGKILL");
  await child.ended;
}

/**
 * Runs a process to its end.
 *
 * @param {{ command: string, args: string[], cwd?: string, env?: object }} what
 * @param {number} [limit] in ms
 * @returns {Promise<string>} what it wrote to its standard output
 */
async function run(what, limit) {
  const child = start(what);
  let isLate = false;
  const timer = limit && setTimeout(() => ((isLate = true), child.kill("SIGKILL")), limit);
  const fault = await child.ended;
  clearTimeout(timer);
  if (isLate) {
    throw new Error(`${what.command} was not done after ${limit / 1000} s`);
  }
  if (fault !== undefined) {
    throw new Error(child.said.stderr.trim() || `${what.command}: ${fault}`);
  }
  return child.said.stdout;
}

module.exports = { start, end, run };
