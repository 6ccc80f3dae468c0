"use strict";

/** What an application makes of this package: it is run with a probe in it, and ended as soon as that has reported. */

const { spawn } = require("child_process");
const fs = require("fs");
const path = require("path");

/** Milliseconds that the probe may take once it need not wait any more, and the application when it is to end. */
const PATIENCE = 20_000;
const FAREWELL = 2000;

/** What is kept of what the application says. */
const MOST_OUTPUT = 4096;

const ALIAS =
  "Import sockeye.io instead; where a framework does it: npm's alias and overrides, see the README";
const COSTS = 'See "What costs speed" in docs/differences.md';

/**
 * @param {import("./findings").Findings} findings
 * @param {string} file - its main file
 * @param {string[]} args
 * @param {{ seconds: number, connects: boolean }} how - `seconds`: how long it may take until it listens
 * @returns {Promise<object>} see docs/command.md
 */
async function examineApplication(findings, file, args, how) {
  if (!fs.existsSync(file)) {
    findings.wrong("application", `there is no file ${file}`, "Give the file that node is given to run it");
    return { file, engines: [], loaded: [] };
  }
  if (process.versions.deno) {
    findings.note("application", "it was not run, which is not possible on Deno", "Try it on Node");
    return { file, engines: [], loaded: [] };
  }
  const { report, said, end } = await runWithProbe(file, args, how);
  if (report === undefined || report.error !== undefined) {
    const why = report?.error ?? `it has ended with ${end}`;
    findings.wrong(
      "application",
      `nothing could be seen of it: ${why}${lastLine(said)}`,
      "Run it without doctor",
    );
    return { file, engines: [], loaded: [] };
  }
  tellLoaded(findings, report.loaded);
  if (report.engines.length === 0) tellNothing(findings, report.end, said, how.seconds);
  for (const engine of report.engines) tellEngine(findings, engine);
  return { file, ...report };
}

/** Runs it until the probe has reported. */
function runWithProbe(file, args, { seconds, connects }) {
  const settings = JSON.stringify({ parent: process.pid, seconds, connects });
  const child = spawn(
    process.execPath,
    [...process.execArgv, "--require", path.join(__dirname, "probe.js"), file, ...args],
    { env: { ...process.env, SOCKEYE_DOCTOR: settings }, stdio: ["ignore", "pipe", "pipe", "pipe"] },
  );
  const kill = () => child.kill("SIGKILL");
  process.on("exit", kill);
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (data) => (said = (said + data).slice(-MOST_OUTPUT)));
  }
  let text = "";
  let farewell;
  const patience = setTimeout(kill, seconds * 1000 + PATIENCE);
  child.stdio[3].setEncoding("utf8").on("data", (data) => {
    text += data;
    if (!text.endsWith("\n") || farewell !== undefined) return;
    // one that ends by itself may have something to say
    if (JSON.parse(text).end == null) child.kill("SIGTERM");
    farewell = setTimeout(kill, FAREWELL);
  });
  return new Promise((resolve) => {
    const finish = (code, signal) => {
      clearTimeout(patience);
      clearTimeout(farewell);
      process.off("exit", kill);
      for (const stream of child.stdio) stream?.destroy();
      resolve({
        report: text.endsWith("\n") ? JSON.parse(text) : undefined,
        said,
        end: signal ?? `code ${code}`,
      });
    };
    child.on("error", ({ message }) => resolve({ report: { error: message }, said }));
    child.on("close", finish);
    // processes that it leaves behind may go on having its pipes
    child.on("exit", (...end) => setTimeout(finish, FAREWELL, ...end).unref());
  });
}

/** No server was made: by an application that has ended with a code, or goes on. */
function tellNothing(findings, end, said, seconds) {
  if (end === null) {
    findings.note(
      "application",
      `no server of sockeye.io was made within ${seconds} s`,
      "Give the process that has the server (no primary of a cluster), or more --seconds",
    );
  } else if (end === 0) {
    findings.note(
      "application",
      "it has ended without a server of sockeye.io",
      "Give the file that makes the server",
    );
  } else {
    findings.wrong("application", `it has ended with code ${end}${lastLine(said)}`, "Run it without doctor");
  }
}

function lastLine(said) {
  const lines = said.trim().split("\n");
  // an error of Node is told before its stack, and the version comes last
  const line = lines.findLast((it) => /Error\b.*: /.test(it)) ?? lines.at(-1);
  return line === "" ? "" : `: ${line.trim()}`;
}

function tellLoaded(findings, loaded) {
  const ours = loaded.filter(({ name }) => name === "sockeye.io");
  const stock = loaded.filter(({ name }) => name === "socket.io");
  if (ours.length > 1) {
    const places = ours.map(({ path: at }) => at).join(", ");
    findings.wrong(
      "application",
      `it loads several copies of sockeye.io: ${places}`,
      "Keep one (npm dedupe)",
    );
  }
  for (const { version, path: at } of stock) {
    findings.wrong("application", `it loads stock socket.io ${version} from ${at}`, ALIAS);
  }
}

function tellEngine(findings, engine) {
  const { path: at, address, client, roads, tls, namespaces } = engine;
  const note = (text, remedy) => findings.note("application", `${at}: ${text}`, remedy);
  tellClient(findings, engine);
  if (address === null) note("its HTTP server does not listen", "Give it more --seconds");
  if (roads.websocket !== null) {
    note(
      `clients come to Node's HTTP server first: ${roads.websocket}`,
      "This costs CPU time for each connect, and nothing after that",
    );
  } else if (roads.polling !== null) {
    note(
      `clients that poll come to Node's HTTP server: ${roads.polling}`,
      'Change that, or have clients use WebSockets alone: transports: ["websocket"]',
    );
  }
  for (const why of Object.keys(roads.pumped)) {
    note(`bytes of clients pass through JavaScript: ${why}`, COSTS);
  }
  if (tls !== null && tls.obstacle !== null && tls.obstacle !== roads.websocket) {
    note(`TLS is left to Node: ${tls.obstacle}`, COSTS);
  }
  for (const why of Object.keys(tls?.node ?? {})) {
    note(`TLS with a client was left to Node: ${why}`, COSTS);
  }
  if (roads.shows)
    findings.ok("application", `${at}: the application sees requests, for which Node's objects are made`);
  if (roads.watched) {
    note(
      "every message sent is listened for, so that broadcasts go socket by socket",
      "Remove the listeners for packetCreate, flush or drain (the Admin UI has such)",
    );
  }
  if (engine.hasParser)
    note("a custom parser does what native threads would", "Leave out the option parser, if you can");
  for (const [name, nsp] of Object.entries(namespaces)) tellNamespace(note, name, nsp);
  if (client !== null) tellRefusals(note, client.namespaces);
}

function tellClient(findings, { path: at, address, client }) {
  const place = typeof address === "string" ? address : `port ${address?.port}`;
  if (client === null) {
    if (address !== null) {
      findings.ok("application", `${at}: its HTTP server listens on ${place}, where no client was sent`);
    }
  } else if (client.error !== null) {
    findings.note(
      "application",
      `${at}: a client could not connect to ${place}: ${client.refusal ?? client.error}`,
      "See to it that one can, or take --no-connect",
    );
  } else {
    const isNative = client.stream === "TakenSocket";
    const way = isNative ? "go straight to a native thread" : "pass through JavaScript";
    findings.ok("application", `${at}: a client has connected to ${place}; its bytes ${way}`);
    tellSteps(findings, at, client.steps);
  }
}

/** What has happened to the client, until it was looked at. */
function tellSteps(findings, at, steps) {
  const story = steps.map(stepInWords).join("; ");
  if (steps.at(-1)?.event === "closed") {
    findings.note(
      "application",
      `${at}: the client's session was ended: ${story}`,
      "See what the application does when one connects; for clients in production: the option trace",
    );
  } else if (steps.length > 0) {
    findings.ok("application", `${at}: what has happened to the client: ${story}`);
  }
}

/** @param {{ event: string, details?: object }} step - see docs/operations.md */
function stepInWords({ event, details = {} }) {
  const { transport, namespace, reason, message, limit, closeCode } = details;
  const subject = [event, transport ?? namespace].filter(Boolean).join(" ");
  const why = [reason, message, limit, closeCode && `code ${closeCode}`].filter(Boolean).join(", ");
  return why === "" ? subject : `${subject}: ${why}`;
}

function tellNamespace(note, name, { adapter, obstacle, detours }) {
  if (obstacle !== null) {
    note(
      `broadcasts in namespace ${name} go socket by socket: ${adapter}: ${obstacle}`,
      "Take one of the adapters in docs/scaling.md",
    );
  }
  for (const why of Object.keys(detours)) {
    note(`short cuts in namespace ${name} are off: ${why}`, "Do without it where every microsecond counts");
  }
}

function tellRefusals(note, namespaces) {
  for (const [name, why] of Object.entries(namespaces)) {
    if (why !== null)
      note(`the client did not get into namespace ${name}: ${why}`, "What its sockets do was not seen");
  }
}

module.exports = { examineApplication };
