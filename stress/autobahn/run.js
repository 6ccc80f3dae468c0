"use strict";

// `npm run autobahn`: the Autobahn testsuite, the de facto conformance suite for WebSocket servers, against a WebSocketServer
// of the package (echo.js). It wants the addon, and Python 2.7; what else it needs is installed into .cache, which git ignores.
//
//   npm run autobahn              all 517 cases; writes results.md
//   npm run autobahn -- 9 13      the cases of these groups; results.md is written anew with them and what was counted before
//   npm run autobahn -- --short   frames, and some of the compression: less than a minute
//
// Exit codes: 0 if every case has passed, strictly, or is for information only; 1 if not; 2 if it cannot be run here.

const { spawn, spawnSync } = require("node:child_process");
const crypto = require("node:crypto");
const { once } = require("node:events");
const fs = require("node:fs");
const path = require("node:path");
const { run } = require("../../scripts/support");

const CACHE = path.join(__dirname, ".cache");
const REQUIREMENTS = path.join(__dirname, "requirements.txt");
const RESULTS = path.join(__dirname, "results.md");
const SERVER = path.join(__dirname, "echo.js");

/** The last that Python 2.7 can run. */
const VIRTUALENV = "virtualenv==20.15.1";

const AGENT = "sockeye.io";

/** What the first number of a case stands for, and how many cases there are. */
const GROUPS = {
  1: ["framing", 16],
  2: ["pings and pongs", 11],
  3: ["reserved bits", 7],
  4: ["opcodes", 10],
  5: ["fragmentation", 20],
  6: ["UTF-8", 145],
  7: ["close handshake", 37],
  9: ["limits and performance", 54],
  10: ["automatic fragmentation", 1],
  12: ["compression, kinds of data", 90],
  13: ["compression, parameters", 126],
};

/** What has been found, case by case. */
const INDEX = path.join(CACHE, "index.json");

/** Full, and short: what takes long are large messages and a thousand messages for each case of compression. */
const FULL = { name: "full", cases: ["*"], seconds: 40 * 60 };
const SHORT = {
  name: "short",
  cases: [
    "1.*",
    "2.*",
    "3.*",
    "4.*",
    "5.*",
    "6.*",
    "7.*",
    "12.1.1",
    "12.2.3",
    "12.5.1",
    "13.2.1",
    "13.3.2",
    "13.5.1",
  ],
  seconds: 5 * 60,
};

/** How the suite calls what it has seen, and the column in which that is counted. */
const COLUMNS = { OK: "ok", INFORMATIONAL: "informational", "NON-STRICT": "nonStrict" };

class Unavailable extends Error {}

/**
 * A Python 2.7: that of the environment variable PYTHON2, of the PATH, or of pyenv.
 * @returns {string}
 */
function findPython() {
  const ofPyenv = spawnSync("pyenv", ["prefix", "2.7.18"], { encoding: "utf8" });
  const candidates = [process.env.PYTHON2, "python2.7", "python2"];
  if (ofPyenv.status === 0) candidates.push(path.join(ofPyenv.stdout.trim(), "bin", "python2.7"));
  const isRight = (python) =>
    python && spawnSync(python, ["-c", "import sys; sys.exit(sys.version_info[:2] != (2, 7))"]).status === 0;
  const found = candidates.find(isRight);
  if (!found) throw new Unavailable("the Autobahn testsuite runs on Python 2.7 only, and there is none");
  return found;
}

/**
 * Makes the virtual environment with the suite, unless it is there.
 * @returns {string} its folder of programs
 */
function installSuite() {
  const pins = crypto.createHash("sha256").update(fs.readFileSync(REQUIREMENTS)).digest("hex").slice(0, 12);
  const folder = path.join(CACHE, `python-${pins}`);
  const bin = path.join(folder, "bin");
  // comes last
  if (fs.existsSync(path.join(folder, "complete"))) return bin;
  const python = findPython();
  const tools = path.join(CACHE, "virtualenv");
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(CACHE, { recursive: true });
  const env = { ...process.env, PYTHONWARNINGS: "ignore", PIP_NO_PYTHON_VERSION_WARNING: "1" };
  // not for pip, which would take what virtualenv came with for installed
  const withTools = { ...env, PYTHONPATH: tools };
  const quiet = ["--quiet", "--disable-pip-version-check"];
  const isDone =
    run(python, ["-m", "pip", "install", ...quiet, "--upgrade", "--target", tools, VIRTUALENV], { env }) &&
    run(python, ["-m", "virtualenv", "--quiet", folder], { env: withTools }) &&
    run(path.join(bin, "pip"), ["install", ...quiet, "-r", REQUIREMENTS], { env });
  if (!isDone) throw new Unavailable("the Autobahn testsuite could not be installed");
  fs.writeFileSync(path.join(folder, "complete"), "");
  return bin;
}

/**
 * Has the suite examine the server.
 * @param {string} bin - the folder of the suite's programs
 * @param {{ name: string, cases: string[], seconds: number }} what
 * @returns {Promise<object>} how each case went, by its name: `behavior`, `behaviorClose`, as the suite calls them
 */
async function examine(bin, { name, cases, seconds }) {
  const reports = path.join(CACHE, `reports-${name}`);
  fs.rmSync(reports, { recursive: true, force: true });
  fs.mkdirSync(reports, { recursive: true });
  const echo = spawn(process.execPath, [SERVER], { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(echo, "exit");
  try {
    const [port] = await once(echo.stdout.setEncoding("utf8"), "data");
    const spec = path.join(reports, "spec.json");
    const servers = [{ agent: AGENT, url: `ws://127.0.0.1:${port.trim()}` }];
    const settings = { outdir: reports, servers, cases, "exclude-cases": [], "exclude-agent-cases": {} };
    fs.writeFileSync(spec, JSON.stringify(settings));
    const suite = spawn(path.join(bin, "wstest"), ["-m", "fuzzingclient", "-s", spec], {
      cwd: reports,
      env: { ...process.env, PYTHONWARNINGS: "ignore" },
      stdio: ["ignore", fs.openSync(path.join(reports, "output.log"), "w"), "inherit"],
    });
    const timer = setTimeout(() => suite.kill("SIGKILL"), seconds * 1000);
    const [code] = await once(suite, "exit");
    clearTimeout(timer);
    if (code !== 0) throw new Error(`the suite ended with ${code}: see ${path.join(reports, "output.log")}`);
    if (echo.exitCode !== null) throw new Error("the server has ended");
  } finally {
    echo.stdin.end();
    await exited;
  }
  return JSON.parse(fs.readFileSync(path.join(reports, "index.json"), "utf8"))[AGENT];
}

/** In which column a case is counted: both what it has seen of messages, and of the close handshake, have to be right. */
function columnOf({ behavior, behaviorClose }) {
  const columns = [behavior, behaviorClose].map((word) => COLUMNS[word] ?? "failed");
  return ["failed", "nonStrict", "informational", "ok"].find((column) => columns.includes(column));
}

/**
 * Counts.
 * @param {object} cases - see `examine`
 * @returns {object[]} a row for each group: `group`, `name`, `cases`, `ok`, `informational`, `nonStrict`, `failed`
 */
function count(cases) {
  const rows = Object.entries(GROUPS).map(([group, [name]]) => {
    const row = { group, name, cases: 0, ok: 0, informational: 0, nonStrict: 0, failed: 0 };
    for (const [id, result] of Object.entries(cases)) {
      if (id.split(".")[0] !== group) continue;
      row.cases += 1;
      row[columnOf(result)] += 1;
    }
    return row;
  });
  return rows.filter((row) => row.cases > 0);
}

function totalOf(rows) {
  const sum = (key) => rows.reduce((total, row) => total + row[key], 0);
  const [cases, ok, informational, nonStrict, failed] = [
    "cases",
    "ok",
    "informational",
    "nonStrict",
    "failed",
  ].map(sum);
  return { group: "", name: "all", cases, ok, informational, nonStrict, failed };
}

/** The rows as a table of Markdown. */
function tableOf(rows) {
  const head = ["", "group", "cases", "ok", "informational", "non-strict", "failed"];
  const lines = [...rows, totalOf(rows)].map((row) => Object.values(row));
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, at) => (at < 2 ? "---" : "---:"))), ...lines.map(line)].join("\n");
}

function versionOf(command, args, env) {
  const { stdout, stderr } = spawnSync(command, args, { encoding: "utf8", env: { ...process.env, ...env } });
  return (stdout || stderr).trim();
}

function versions(bin) {
  const pin = (name) => new RegExp(`^${name}==(.+)$`, "m").exec(fs.readFileSync(REQUIREMENTS, "utf8"))[1];
  return [
    `autobahntestsuite ${pin("autobahntestsuite")}`,
    `autobahn ${pin("autobahn")}`,
    versionOf(path.join(bin, "python"), ["--version"]),
    `sockeye.io ${require("../../package.json").version}`,
    `Node.js ${process.version}`,
  ].join(", ");
}

async function main(args) {
  const isShort = args.includes("--short");
  const groups = args.filter((arg) => arg in GROUPS);
  const some = groups.length > 0 ? { ...FULL, cases: groups.map((group) => `${group}.*`) } : FULL;
  const what = isShort ? SHORT : some;
  const bin = installSuite();
  const startedAt = performance.now();
  const cases = await examine(bin, what);
  const rows = count(cases);
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  console.log(`${tableOf(rows)}\n\n${versions(bin)}; ${seconds} s`);
  for (const [id, result] of Object.entries(cases)) {
    const column = columnOf(result);
    if (column === "failed" || column === "nonStrict") {
      console.log(`${id}: ${result.behavior}, close ${result.behaviorClose} (${result.reportfile})`);
    }
  }
  const { nonStrict, failed } = totalOf(rows);
  const isExpected = (group) =>
    isShort ? Number(group) <= 7 : groups.length === 0 || groups.includes(group);
  const isComplete = ([group, [, number]]) => rows.find((row) => row.group === group)?.cases === number;
  const missing = Object.entries(GROUPS).filter((entry) => isExpected(entry[0]) && !isComplete(entry));
  missing.forEach(([group]) => console.log(`group ${group}: not all cases, or other ones than expected`));
  if (!isShort) writeResults(remember(cases, groups), bin);
  return failed === 0 && nonStrict === 0 && missing.length === 0 ? 0 : 1;
}

/** Puts the cases of these groups, or of all, in the place of what was known of them. Returns the rows of all. */
function remember(cases, groups) {
  let all = {};
  if (groups.length > 0 && fs.existsSync(INDEX)) all = JSON.parse(fs.readFileSync(INDEX, "utf8"));
  Object.assign(all, cases);
  fs.writeFileSync(INDEX, JSON.stringify(all));
  return count(all);
}

function writeResults(rows, bin) {
  const text = [
    "# The Autobahn testsuite",
    "",
    "What `npm run autobahn` has counted last, against [echo.js](echo.js), a `WebSocketServer` of `sockeye.io/ws`. Cases for",
    "information only look at what RFC 6455 leaves open.",
    "",
    tableOf(rows),
    "",
    `${versions(bin)}.`,
    "",
  ];
  fs.writeFileSync(RESULTS, text.join("\n"));
}

if (require.main === module) {
  main(process.argv.slice(2)).then(
    (code) => process.exit(code),
    (error) => {
      console.error(error instanceof Unavailable ? error.message : error);
      process.exit(error instanceof Unavailable ? 2 : 1);
    },
  );
}

module.exports = { columnOf, count, totalOf, tableOf };
