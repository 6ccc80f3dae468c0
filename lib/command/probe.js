"use strict";

// Preloaded into an application by `sockeye.io doctor`: waits until its servers listen, connects to them as a client would, and
// writes down what has become of that. The application's copy of this package tells of its servers and engines.

const diagnostics = require("diagnostics_channel");
const fs = require("fs");
const path = require("path");
const tls = require("tls");
// taken before anybody can replace them by fake timers
const { setInterval, setTimeout } = require("timers");

/** The descriptor of the pipe to `doctor`. */
const PIPE = 3;

/** Milliseconds: between two looks at what listens; for an application to get ready; for a client to be answered. */
const INTERVAL = 25;
const SETTLING = 200;
const PATIENCE = 3000;

/** Of so many namespaces sockets are opened. */
const MOST_NAMESPACES = 20;

/** The servers of whom the application's package has told. */
const attachments = [];
const servers = [];

let isDone = false;

/** @type {{ parent: number, seconds: number, connects: boolean }} */
const settings = JSON.parse(process.env.SOCKEYE_DOCTOR ?? "{}");
// processes and threads of the application are none of our concern
delete process.env.SOCKEYE_DOCTOR;
if (settings.parent === process.ppid) begin();

function begin() {
  diagnostics.subscribe("sockeye.io:attach", (message) => {
    // the application may have an older copy of this package
    message.engine._startTraces?.();
    attachments.push(message);
  });
  diagnostics.subscribe("sockeye.io:bind", (message) => servers.push(message));
  const end = Date.now() + settings.seconds * 1000;
  const timer = setInterval(() => {
    const isReady = attachments.length > 0 && attachments.every(({ httpServer }) => httpServer.listening);
    if (!isReady && Date.now() < end) return;
    clearInterval(timer);
    setTimeout(
      () =>
        examine().then(
          (engines) => report(engines),
          (error) => tell({ error: error.message }),
        ),
      SETTLING,
    );
  }, INTERVAL);
  // one that ends by itself is not kept from it
  timer.unref();
  process.on("exit", (code) => isDone || report([], code));
}

/** `end`: the code that the application has ended with by itself. */
function report(engines, end = null) {
  tell({ engines, loaded: findLoaded(), debug: process.env.DEBUG ?? null, end });
}

function tell(message) {
  isDone = true;
  fs.writeSync(PIPE, `${JSON.stringify(message)}\n`);
}

async function examine() {
  const engines = [];
  for (const attachment of attachments) engines.push(await examineEngine(attachment));
  return engines;
}

async function examineEngine({ engine, httpServer, path: at }) {
  const own = servers.filter((server) => server.engine === engine).map(({ io }) => io);
  const namespaces = own.flatMap((io) => [...io._nsps.values()]);
  const address = httpServer.listening ? httpServer.address() : null;
  const isSecure = httpServer instanceof tls.Server;
  const client =
    typeof address === "object" && address !== null && settings.connects ? new Client(engine) : undefined;
  const { port } = address ?? {};
  await client?.visit(`${isSecure ? "wss" : "ws"}://${hostOf(address)}:${port}${at}`, namespaces);
  const { native, node, obstacle } = engine.tlsRoads();
  const found = {
    path: at,
    address,
    isSecure,
    hasParser: engine.opts.parsePackets === false,
    client: client?.summary() ?? null,
    roads: { ...engine._roads(), servers: undefined, ...obstaclesAt(engine, httpServer) },
    tls: isSecure ? { native, node, obstacle: obstacle ?? null } : null,
    namespaces: Object.fromEntries(namespaces.map((nsp) => [nsp.name, roadsOf(nsp)])),
  };
  client?.close();
  return found;
}

function obstaclesAt(engine, httpServer) {
  const { websocket, polling } = engine._obstaclesAt(httpServer);
  return { websocket: websocket ?? null, polling: polling ?? null };
}

function roadsOf(nsp) {
  const { obstacle, ...rest } = nsp._roads();
  return { ...rest, obstacle: obstacle ?? null };
}

/** Where a server that listens on some address can be reached. */
function hostOf({ address, family } = {}) {
  if (address === "0.0.0.0" || address === "::") return "127.0.0.1";
  return family === "IPv6" ? `[${address}]` : address;
}

/** A client that opens a socket of each namespace, and says no more. */
class Client {
  constructor(engine) {
    this.engine = engine;
    this.conn = undefined;
    this.error = null;
    /** Why the engine has refused its request, null if it has not. */
    this.refusal = null;
    /** Of each namespace: what has kept the client out of it, null if nothing has. */
    this.joined = {};
    this._socket = undefined;
  }

  /** Resolves when all that can be answered is, or the time is up. */
  visit(url, namespaces) {
    // now that the application has loaded what it needs, perhaps in another way
    const { WebSocket } = require("ws");
    const names = namespaces.slice(0, MOST_NAMESPACES).map(({ name }) => name);
    for (const name of names) this.joined[name] = "no answer";
    let waiting = names.length;
    const onRefusal = ({ engine, message, context }) => {
      if (engine === this.engine) this.refusal ??= context?.message ?? message;
    };
    diagnostics.subscribe("sockeye.io:refusal", onRefusal);
    const visited = new Promise((resolve) => {
      const timer = setTimeout(resolve, PATIENCE);
      const finish = (error) => {
        clearTimeout(timer);
        if (error !== undefined) this.error ??= error.message;
        resolve();
      };
      const options = { rejectUnauthorized: false, perMessageDeflate: false, handshakeTimeout: PATIENCE };
      const socket = (this._socket = new WebSocket(`${url}?EIO=4&transport=websocket`, options));
      socket.on("error", finish);
      socket.on("close", () => finish());
      socket.on("message", (data, isBinary) => {
        const text = isBinary ? "" : String(data);
        if (text[0] === "0") {
          this.conn = this.engine.clients[JSON.parse(text.slice(1)).sid];
          for (const name of names) socket.send(name === "/" ? "40" : `40${name},`);
          if (waiting === 0) finish();
        }
        const [, type, name = "/", rest] = /^4([04])(?:(\/[^,]*),)?([^]*)$/.exec(text) ?? [];
        if (type === undefined || this.joined[name] !== "no answer") return;
        this.joined[name] = type === "0" ? null : `refused: ${messageIn(rest)}`;
        // listeners of the application are called behind this
        if (--waiting === 0) setTimeout(finish, SETTLING);
      });
    });
    return visited.finally(() => diagnostics.unsubscribe("sockeye.io:refusal", onRefusal));
  }

  summary() {
    const { error, refusal, conn, joined } = this;
    const stream = conn?._stream?.constructor.name ?? null;
    return { error, refusal, stream, namespaces: joined, steps: conn?.trace?.() ?? [] };
  }

  close() {
    this._socket?.terminate();
  }
}

function messageIn(text) {
  try {
    return JSON.parse(text).message;
  } catch {
    return text;
  }
}

/** The copies of this package and of stock that are loaded. */
function findLoaded() {
  const found = [];
  for (const file of Object.keys(require.cache)) {
    const folder = path.dirname(file);
    if (path.basename(file) !== "index.js") continue;
    const root = path.basename(folder) === "dist" ? path.dirname(folder) : folder;
    const { name, version } = manifestIn(root);
    const isMain = name === "sockeye.io" ? root === folder : name === "socket.io" && root !== folder;
    if (isMain) found.push({ name, version, path: root });
  }
  return found;
}

function manifestIn(root) {
  try {
    return JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));
  } catch {
    return {};
  }
}
