"use strict";

// One run: a server, or several nodes of one, is started, driven, and ended.

const path = require("node:path");
const children = require("./children");
const crates = require("./crates");
const { measures } = require("./measures");

/** Neither a server that does not start nor one that stalls holds up the others for longer, in ms. */
const START_LIMIT = 20_000;
const RUN_LIMIT = 120_000;

/** The environment of a server of which a scenario asks for nothing else. */
const PLAIN = { PING_INTERVAL: "25000", DEFLATE: "", MAX_MESSAGE: "", MIDDLEWARE: "", MODE: "", TLS: "" };

/** An error of Node is in the first lines of what it says. */
const MAX_LINES = 10;

/**
 * @param {import("./peers").Contender} contender
 * @param {import("./scenarios").Scenario} scenario
 * @param {{ secs: number, warm: number }} timing in seconds
 * @returns {Promise<Record<string, number>>} what was measured; rejects if the server failed
 */
async function trial(contender, scenario, timing) {
  const { nodes = 1 } = scenario;
  const key = nodes > 1 ? `bench ${process.pid} ${Date.now()}` : "";
  const servers = Array.from({ length: nodes }, () =>
    children.start({
      ...contender.command(scenario),
      env: { ...PLAIN, REDIS_KEY: key, ...scenario.server },
    }),
  );
  try {
    const port = await Promise.all(servers.map(portOf));
    const pid = servers.map((server) => server.pid);
    const { leastSecs = 0, mostSecs = Infinity } = scenario;
    const secs = Math.min(Math.max(timing.secs, leastSecs), mostSecs);
    const warm = Math.min(timing.warm, secs / 2);
    const flags = flagsOf({ port, pid, secs, warm, ...scenario.load });
    const report = JSON.parse(await children.run(driver(contender, scenario, flags), RUN_LIMIT));
    return readReport(report, contender, scenario);
  } catch (error) {
    const said = servers
      .map((server) => server.said.stderr)
      .join("")
      .trim()
      .split("\n")
      .slice(0, MAX_LINES)
      .join("\n");
    throw new Error(said ? `${error.message}; the server says: ${said}` : error.message);
  } finally {
    await Promise.all(servers.map(children.end));
  }
}

function portOf(server) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the server does not start")), START_LIMIT);
    server.stdout.on("data", () => {
      if (server.said.stdout.includes("\n")) {
        clearTimeout(timer);
        resolve(Number.parseInt(server.said.stdout, 10));
      }
    });
    server.ended.then((fault) => {
      clearTimeout(timer);
      reject(new Error(`the server ended: ${fault ?? "by itself"}`));
    });
  });
}

function driver(contender, scenario, flags) {
  if (scenario.driver) {
    return { command: process.execPath, args: [path.join(__dirname, `${scenario.driver}.js`), ...flags] };
  }
  const isRaw = contender.framing === "raw" || scenario.framing === "raw";
  const framing = isRaw ? ["--framing", "raw", "--path", "/"] : [];
  return { command: crates.program("loadgen"), args: [...flags, ...framing] };
}

function flagsOf(values) {
  return Object.entries(values).flatMap(([name, value]) =>
    value === true ? [`--${name}`] : [`--${name}`, String(value)],
  );
}

/** The measures of the scenario that mean something for this server. */
function readReport(report, contender, scenario) {
  const names = scenario.measures.filter((name) => contender.hasJsThread || !measures[name].ofJsThread);
  for (const name of names) {
    if (!Number.isFinite(report[name])) {
      throw new Error(`${name} was not measured`);
    }
  }
  return Object.fromEntries(names.map((name) => [name, report[name]]));
}

module.exports = trial;
