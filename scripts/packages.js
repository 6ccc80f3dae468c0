"use strict";

// `npm run packages`: whether packages that have servers of ws work on sockeye.io/ws. They are installed into
// scripts/packages, as its lock file has them; each plays its scenario (scripts/packages/scenarios) on ws and on
// sockeye.io/ws, in processes of their own.
//
//   npm run packages              all of them
//   npm run packages -- mqtt      those whose scenarios' names contain one of the words
//
// Exit codes:
//   0   whatever works on ws works on sockeye.io/ws
//   1   something does not, or the packages could not be installed

const { execFile } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { ensureInstalled } = require("./support");

const folder = path.join(__dirname, "packages");

/** What a scenario is played on: the measure first. */
const TRIED = ["ws", "sockeye.io/ws"];

/** Milliseconds that a process has for a scenario, its end included. */
const LIMIT = 20_000;

/** Lines that are shown of what a failure has printed. */
const SHOWN_LINES = 15;

/** The names of the scenarios that contain one of the words, if there are any. */
function scenarioNames(words = []) {
  const names = fs.readdirSync(path.join(folder, "scenarios")).map((file) => path.basename(file, ".js"));
  return names.filter((name) => words.length === 0 || words.some((word) => name.includes(word))).sort();
}

/** The versions in the lock file. @returns {Object<string, string>} by name of the package */
function lockedVersions() {
  const { packages } = JSON.parse(fs.readFileSync(path.join(folder, "package-lock.json"), "utf8"));
  const direct = Object.keys(packages[""].devDependencies);
  return Object.fromEntries(direct.map((name) => [name, packages[`node_modules/${name}`].version]));
}

/**
 * Plays a scenario.
 * @param {string} name - of it, or a path
 * @param {string} tried - one of TRIED
 * @param {number} [limit] - milliseconds
 * @returns {Promise<string|undefined>} what was printed if it has failed
 */
function play(name, tried, limit = LIMIT) {
  const args = [path.join(folder, "trial.js"), name, tried];
  return new Promise((resolve) => {
    execFile(process.execPath, args, { timeout: limit, killSignal: "SIGKILL" }, (error, stdout, stderr) => {
      if (error === null) resolve(undefined);
      else if (error.killed) resolve(`${stdout}${stderr}It has not ended within ${limit / 1000} s.`);
      else resolve(`${stdout}${stderr}`.trim() || error.message);
    });
  });
}

/**
 * What is to be said of a scenario.
 * @param {string} title
 * @param {Array<string|undefined>} failures - what `play()` has said, in the order of TRIED
 * @returns {string} a line, and the beginning of what was printed if something has failed
 */
function report(title, failures) {
  const verdicts = failures.map((failure, i) => `${failure === undefined ? "ok" : "fails"} on ${TRIED[i]}`);
  const shown = failures.filter((failure) => failure !== undefined);
  const details = shown.flatMap((failure) => failure.split("\n").slice(0, SHOWN_LINES));
  return [`${title}: ${verdicts.join(", ")}`, ...details.map((line) => `  ${line}`)].join("\n");
}

/** Whether what works on ws fails here. */
function isBroken([onWs, onOurs]) {
  return onWs === undefined && onOurs !== undefined;
}

/** @returns {Promise<number>} the exit code */
async function main(words) {
  const names = scenarioNames(words);
  if (names.length === 0) {
    console.error(
      `No scenario is called like ${words.join(" or ")}: there are ${scenarioNames().join(", ")}.`,
    );
    return 1;
  }
  ensureInstalled(folder);
  const versions = lockedVersions();
  let code = 0;
  for (const name of names) {
    const { packages } = require(path.join(folder, "scenarios", name));
    const failures = [];
    for (const tried of TRIED) failures.push(await play(name, tried));
    console.log(report(packages.map((one) => `${one} ${versions[one]}`).join(", "), failures));
    if (isBroken(failures)) code = 1;
  }
  return code;
}

module.exports = { LIMIT, TRIED, folder, isBroken, lockedVersions, play, report, scenarioNames };

if (require.main === module) {
  main(process.argv.slice(2)).then((code) => (process.exitCode = code));
}
