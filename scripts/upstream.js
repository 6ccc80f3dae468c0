"use strict";

// `npm run upstream`: whether npm has newer versions of stock than package-lock.json, and whether this package still does
// what they do. They are installed into a temporary folder, and what compares with stock is played on them.
//
//   npm run upstream             asks the registry, and plays if there is something new
//   npm run upstream -- --list   only asks
//
// Exit codes:
//   0   nothing is newer, or nothing that whoever installs socket.io would get
//   1   it could not be found out: the registry did not answer, or the installation or the build has failed
//   2   there are newer versions, and no difference was found: the lock file has to follow
//   3   there are newer versions, and something differs, as is told above

const { execFile } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { checkNode, prepare, summary, testFiles } = require("./checks");
const { npm, root } = require("./support");

const UP_TO_DATE = 0;
const UNKNOWN = 1;
const NEWER = 2;
const DIFFERENT = 3;

/** What a user of stock gets, and what we have in common with it. */
const PACKAGES = [
  "socket.io",
  "engine.io",
  "socket.io-adapter",
  "socket.io-parser",
  "engine.io-parser",
  "ws",
  "socket.io-client",
];

/** The files of tests that compare with stock. */
const COMPARING = ["differential-", "packet.test", "surface.test"];

/**
 * Compares two versions by their numbers; a prerelease comes before its release.
 * @param {string} a
 * @param {string} b
 * @returns {number} less than 0 if `a` is older, more if it is newer, 0 if they are the same
 */
function compareVersions(a, b) {
  const [[numbersA, tagA], [numbersB, tagB]] = [a, b].map((version) => {
    const [, numbers, tag = ""] = /^([\d.]+)(?:-([^+]*))?/.exec(version);
    return [numbers.split(".").map(Number), tag];
  });
  for (let i = 0; i < Math.max(numbersA.length, numbersB.length); i++) {
    const difference = (numbersA[i] ?? 0) - (numbersB[i] ?? 0);
    if (difference !== 0) return difference;
  }
  if (tagA === tagB) return 0;
  if (tagA === "" || tagB === "") return tagA === "" ? 1 : -1;
  return tagA.localeCompare(tagB, "en", { numeric: true });
}

/**
 * The versions that a lock file has of our packages.
 * @param {string} text - of package-lock.json
 * @returns {Object<string, string>} by name
 */
function lockedVersions(text) {
  const { packages } = JSON.parse(text);
  return Object.fromEntries(PACKAGES.map((name) => [name, packages[`node_modules/${name}`]?.version]));
}

/** The names of those of which there are newer versions. */
function newerNames(locked, latest) {
  return PACKAGES.filter((name) => compareVersions(latest[name], locked[name]) > 0);
}

/** What is to be said of the versions, one line for each. */
function report(locked, latest) {
  const width = Math.max(...PACKAGES.map((name) => name.length));
  const newer = newerNames(locked, latest);
  return PACKAGES.map((name) => {
    const what = newer.includes(name) ? `npm has ${latest[name]}` : "the latest";
    return `${name.padEnd(width)}  ${locked[name].padEnd(8)}  ${what}`;
  });
}

/**
 * Runs npm without its remarks.
 * @param {string[]} args
 * @param {string} [cwd]
 * @returns {Promise<{ error: Error|null, stdout: string, stderr: string }>}
 */
function runNpm(args, cwd = root) {
  const { command, args: first, shell } = npm();
  const options = [
    "--loglevel=error",
    "--no-audit",
    "--no-fund",
    "--fetch-retries=1",
    "--fetch-retry-mintimeout=1000",
  ];
  return new Promise((resolve) => {
    execFile(command, [...first, ...args, ...options], { cwd, shell }, (error, stdout, stderr) => {
      resolve({ error, stdout, stderr });
    });
  });
}

/**
 * The latest version of a package.
 * @param {string} name
 * @returns {Promise<string>}
 * @throws {Error} when the registry does not say
 */
async function latestOf(name) {
  const { error, stdout, stderr } = await runNpm(["view", `${name}@latest`, "version"]);
  if (error === null && stdout.trim() !== "") return stdout.trim();
  const reason = /^npm error code (\w+)/m.exec(stderr)?.[1] ?? "no answer";
  throw new Error(
    `npm's registry could not be asked for ${name} (${reason}), so it is not known whether there is anything ` +
      "newer than package-lock.json has. Is there a connection?",
  );
}

/** Installs stock as it is now, as somebody would who begins today. */
async function installStock(folder, latest) {
  fs.writeFileSync(path.join(folder, "package.json"), '{ "private": true }\n');
  const wanted = ["socket.io", "socket.io-client"].map((name) => `${name}@${latest[name]}`);
  const { error, stderr } = await runNpm(["install", "--ignore-scripts", ...wanted], folder);
  if (error !== null) throw new Error(`${wanted.join(" and ")} could not be installed:\n${stderr}`);
  return lockedVersions(fs.readFileSync(path.join(folder, "package-lock.json"), "utf8"));
}

/** @returns {Promise<number>} the exit code */
async function main() {
  const locked = lockedVersions(fs.readFileSync(path.join(root, "package-lock.json"), "utf8"));
  const latest = Object.fromEntries(
    await Promise.all(PACKAGES.map(async (name) => [name, await latestOf(name)])),
  );
  console.log(report(locked, latest).join("\n"));
  if (newerNames(locked, latest).length === 0) return UP_TO_DATE;
  if (process.argv.includes("--list")) return NEWER;

  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-upstream-"));
  process.on("exit", () => fs.rmSync(folder, { recursive: true, force: true }));
  const installed = await installStock(folder, latest);
  const changed = PACKAGES.filter((name) => installed[name] !== locked[name]);
  if (changed.length === 0) {
    console.log(
      "\nWhoever installs socket.io today gets what package-lock.json has: the newer ones are not in its range.",
    );
    return UP_TO_DATE;
  }
  console.log(
    `\nWhoever installs socket.io today gets ${changed.map((name) => `${name} ${installed[name]}`).join(", ")}.`,
  );
  if (!prepare()) return UNKNOWN;
  checkNode("as stock is today", testFiles(COMPARING), { env: { SIO_STOCK: folder } });
  return summary() ? NEWER : DIFFERENT;
}

module.exports = { PACKAGES, compareVersions, lockedVersions, newerNames, report };

if (require.main === module) {
  main().then(
    (code) => (process.exitCode = code),
    (error) => {
      console.error(error.message);
      process.exitCode = UNKNOWN;
    },
  );
}
