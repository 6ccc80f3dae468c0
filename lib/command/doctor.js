"use strict";

/** `sockeye.io doctor`: what this package finds where it is run, and what an application makes of it. */

const { spawnSync } = require("child_process");
const path = require("path");
const { version } = require("../../package.json");
const { findStock, isStockWanted } = require("../fallback/stock");
const { describeRuntime, describeSystem } = require("../native/system");
const { examineApplication } = require("./application");
const { Findings } = require("./findings");
const { examinePackages } = require("./packages");
const { groups } = require("./text");

/** Milliseconds that it may take to load the addon. */
const PATIENCE = 30_000;

/** With so many files or more, nobody runs out of them by surprise. */
const MANY_FILES = 10_000;

/** Descriptors that a process has for other things than clients. */
const OTHER_FILES = 50;

/** What it means that a road is off: see lib/node/internals.js. */
const ROADS = {
  descriptors: "the bytes of every connection pass through JavaScript",
  remaking: "Node's objects for connections and requests are always made",
  entrance: "all connections come to Node's HTTP server first",
  showing: "so they do if the application looks at requests",
  keeping: "connections that Node's HTTP server has had stay there",
};

/** What to do where that is the runtime's doing, or this version's. */
const NODE = "Run it on Node, on Linux or macOS, for all of the speed";
const OTHER_NODE = "Everything works; a newer sockeye.io, or another Node, may have this road";

/**
 * Examines everything.
 * @param {{ json?: boolean, seconds: number, "no-connect"?: boolean }} options
 * @param {string[]} command - the main file of an application, if one is to be run, and its arguments
 * @returns {Promise<boolean>} whether nothing is wrong
 */
async function doctor(options, [file, ...args]) {
  const findings = new Findings();
  const report = { command: "doctor", version };
  report.system = examineSystem(findings);
  report.native = examineChoice(findings, file);
  Object.assign(report, examineAddon(findings));
  report.limits = examineLimits(findings);
  report.packages = examinePackages(findings, process.cwd());
  report.application = null;
  if (file !== undefined && report.native.wanted === false) {
    findings.note(
      "application",
      "it was not run, since it would be on stock's engine",
      "Unset SOCKEYE_NATIVE",
    );
  } else if (file !== undefined) {
    report.application = await examineApplication(findings, path.resolve(file), args, {
      seconds: options.seconds,
      connects: !options["no-connect"],
    });
  }
  report.findings = findings.list;
  report.healthy = findings.areWell;
  console.log(options.json ? JSON.stringify(report, null, 2) : findings.lines().join("\n"));
  return report.healthy;
}

function examineSystem(findings) {
  const description = describeSystem();
  findings.ok("system", `sockeye.io ${version} in ${path.join(__dirname, "..", "..")}, ${description}`);
  const { platform, arch } = process;
  return { platform, arch, runtime: describeRuntime(), description };
}

/** Which engine an application would get from this environment. */
function examineChoice(findings, file) {
  const value = process.env.SOCKEYE_NATIVE ?? null;
  const places = [
    ...(file === undefined ? [] : [path.resolve(file)]),
    path.resolve("package.json"),
    __filename,
  ];
  const { fit } = findStock(places);
  const stock = fit === undefined ? null : { version: fit.version, path: fit.root };
  try {
    if (!isStockWanted()) return { wanted: true, SOCKEYE_NATIVE: value, stock };
  } catch ({ message }) {
    findings.wrong("system", message.slice(0, -1), "Correct SOCKEYE_NATIVE, or unset it");
    return { wanted: null, SOCKEYE_NATIVE: value, stock };
  }
  if (stock === null) {
    findings.wrong(
      "system",
      `SOCKEYE_NATIVE=${value} asks for stock's engine, which is not installed`,
      "npm install socket.io@4, or unset SOCKEYE_NATIVE",
    );
  } else {
    findings.note(
      "system",
      `SOCKEYE_NATIVE=${value}: applications run on stock's engine, socket.io ${stock.version} in ${stock.path}`,
      "Unset SOCKEYE_NATIVE to have the native one",
    );
  }
  return { wanted: false, SOCKEYE_NATIVE: value, stock };
}

function examineAddon(findings) {
  const { stdout, stderr, status, signal, error } = spawnSync(
    process.execPath,
    [...process.execArgv, path.join(__dirname, "addon-probe.js")],
    { encoding: "utf8", timeout: PATIENCE },
  );
  const seen = parse(stdout);
  if (seen === undefined) {
    const end =
      error?.message ?? (signal === null ? `code ${status}: ${lastLine(stderr)}` : `signal ${signal}`);
    const message = `loading the native addon ends the process (${end})`;
    findings.wrong("addon", message, "Report it, with these lines; SOCKEYE_NATIVE=0 runs on stock meanwhile");
    return { addon: { file: null, version: null, error: { code: null, message } }, roads: null };
  }
  const { addon, roads } = seen;
  if (addon.error === null) {
    findings.ok("addon", `${addon.version} is loaded${addon.file === null ? "" : ` from ${addon.file}`}`);
  } else {
    // it says itself what to do
    const [, text, remedy] = /^([^]*?\.) ([A-Z][^]*)$/.exec(addon.error.message) ?? [
      null,
      addon.error.message,
      null,
    ];
    findings.wrong(
      "addon",
      text,
      remedy?.replace(/\.$/, "") ?? "Install the package again; SOCKEYE_NATIVE=0 runs on stock meanwhile",
    );
  }
  tellRoads(findings, roads);
  return { addon, roads };
}

function tellRoads(findings, roads) {
  const reasons = new Map();
  for (const [road, why] of Object.entries(roads)) {
    if (why !== null) reasons.set(why, [...(reasons.get(why) ?? []), ROADS[road]]);
  }
  if (reasons.size === 0)
    findings.ok("roads", "nothing in this runtime keeps connections from their shortest way");
  for (const [why, [effect]] of reasons) {
    findings.note("roads", `${effect}: ${why}`, roads.descriptors === null ? OTHER_NODE : NODE);
  }
}

/** How many files may be open. Node has raised what it may raise when it starts. */
function examineLimits(findings) {
  const limits = openFiles();
  if (limits === undefined) return null;
  const { soft, hard } = limits;
  const isMany = typeof soft !== "number" || soft >= MANY_FILES;
  const clients = typeof soft === "number" ? Math.max(0, soft - OTHER_FILES) : null;
  const text =
    clients === null
      ? "open files are not limited"
      : `${groups(soft)} open files: at most about ${groups(clients)} clients, each of which needs one, and two for a moment`;
  if (isMany) findings.ok("limits", text);
  else
    findings.note("limits", text, "Raise it: ulimit -n, LimitNOFILE= of systemd, --ulimit nofile= of Docker");
  return { openFiles: { soft, hard }, clients };
}

function openFiles() {
  const { report } = process;
  if (typeof report?.getReport !== "function") return undefined;
  // resolving the addresses of open sockets may take seconds
  report.excludeNetwork = true;
  return report.getReport().userLimits?.open_files;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function lastLine(text) {
  return String(text).trim().split("\n").at(-1);
}

module.exports = { doctor };
