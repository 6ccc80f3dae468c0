"use strict";

// Runs one file of tests, for as long as it may take.

const { spawn } = require("node:child_process");

/** Milliseconds for a file of which nobody knows how long it takes. */
const LONGEST = 5 * 60_000;

/** How many files of tests run at a time. */
const JOBS = 2;

/** A test that fails, in what runners print. */
const FAILED = /^ *not ok \d+ - (?!.*# (?:TODO|SKIP))/m;

/** The groups of processes that run. */
const running = new Set();

process.on("exit", stopAll);
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));

/**
 * @param {string} root - of the project that is tested
 * @param {string} file - from there
 * @param {{ env?: object, limit?: number, stopped?: AbortSignal }} [options] - `limit` in milliseconds
 * @returns {Promise<{ passed: boolean, why: string, seconds: number }>} `why`: the first test that failed, or what else
 *   was wrong
 */
function runTestFile(root, file, { env, limit = LONGEST, stopped } = {}) {
  return runProgram(process.execPath, ["--test", "--test-reporter=tap", file], {
    cwd: root,
    env,
    limit,
    stopped,
    explain: (output) => /^\s*not ok \d+ - (?!.*\.test\.js)(.*)/m.exec(output)?.[1] ?? "failed",
  });
}

/**
 * Runs a program in a group of its own, which ends with it.
 * @param {string} command
 * @param {string[]} args
 * @param {{ cwd: string, env?: object, limit: number, stopped?: AbortSignal, explain: function(string): string }} options
 * @returns {Promise<{ passed: boolean, why: string, seconds: number }>}
 */
function runProgram(command, args, { cwd, env, limit, stopped, explain }) {
  return new Promise((resolve) => {
    const startedAt = performance.now();
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
    });
    running.add(child.pid);
    let output = "";
    const gather = (chunk) => {
      const line = output.lastIndexOf("\n") + 1;
      output += chunk;
      // what comes after the first test that fails says no more, and may hang
      if (FAILED.test(output.slice(line))) stop(child.pid);
    };
    child.stdout.setEncoding("utf8").on("data", gather);
    child.stderr.setEncoding("utf8").on("data", gather);
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      stop(child.pid);
    }, limit);
    const cut = () => stop(child.pid);
    stopped?.addEventListener("abort", cut);
    child.on("close", (code) => {
      clearTimeout(timer);
      stopped?.removeEventListener("abort", cut);
      // what a test has left running
      stop(child.pid);
      running.delete(child.pid);
      const passed = code === 0;
      const why = passed ? "" : isLate ? `longer than ${Math.round(limit / 1000)} s` : explain(output);
      resolve({ passed, why, seconds: (performance.now() - startedAt) / 1000 });
    });
  });
}

/**
 * Does something for each of some files, for several at a time.
 * @param {string[]} files
 * @param {number} jobs - how many at a time
 * @param {function(string): Promise<void>} work
 * @param {function(): boolean} [isOver] - whether no other file is to be begun
 */
async function inTurns(files, jobs, work, isOver = () => false) {
  const left = [...files];
  const takeUp = async () => {
    while (left.length > 0 && !isOver()) await work(left.shift());
  };
  await Promise.all(Array.from({ length: jobs }, takeUp));
}

function stop(group) {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // it has ended
  }
}

function stopAll() {
  for (const group of running) stop(group);
}

module.exports = { inTurns, JOBS, runProgram, runTestFile };
