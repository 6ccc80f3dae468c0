"use strict";

// Two nodes behind HAProxy, joined by Redis streams, and stock clients each of which has one event at a time acknowledged that
// the server takes its time over; one that is not acknowledged is sent again. Each node in turn is replaced by a new one:
// it says that it is not ready, and takes leave of its clients by `io.drain()`, where there is one, and `io.close()`.
//
// What was acknowledged has been handled, by whichever node; nobody is without a connection for long. What is handled twice,
// because the acknowledgement of the first time was lost, is told: an event in flight when a server is closed.

const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { setTimeout: delay } = require("node:timers/promises");
const children = require("../bench/children");
const { eventually } = require("../__test__/support/waiting");

const PROCESSES = 2;

/** How long the server takes over an event, in ms. */
const WORK = 30;
/** How long a client waits after an acknowledgement, and for one, in ms. */
const PAUSE = 1000;
const PATIENCE = 5000;
/** How long a node that is not ready any more goes on as before, so that HAProxy finds out, in ms. */
const NOTICE = 1000;
/** How long a client may be without a connection, in ms: it waits up to 1.5 s before it tries again, and twice that the next time. */
const LONGEST_GAP = 6000;

module.exports = {
  name: "rolling-restart",
  shows: "two nodes are replaced under load, and nothing is lost that was acknowledged",
  rows: [
    { figure: "events", label: "events", moreIsBetter: true },
    { figure: "lost", label: "acknowledged and lost" },
    { figure: "twice", label: "handled twice" },
    { figure: "failed", label: "not acknowledged in time" },
    { figure: "gapMax", label: "longest without a connection", unit: "ms" },
    { figure: "gapMedian", label: "median without one", unit: "ms" },
    { figure: "attempts", label: "attempts that failed" },
    { figure: "restart", label: "time to replace a node", unit: "s" },
  ],
  scales: {
    short: { clients: 60, timeout: 2000, limit: 90 },
    normal: { clients: 500, timeout: 6000, limit: 180 },
    long: { clients: 2000, timeout: 20_000, limit: 300 },
  },
  run,
  server,
  clients,
};

async function run({ serve, start, scale, variant, say, atEnd }) {
  // `forget` has a node acknowledge an event that it does not handle, so that tests can see that this is noticed
  const sabotage = variant;
  const { RedisBroker, freePort } = require("../__test__/support/brokers");
  const broker = new RedisBroker();
  atEnd(() => broker.close());
  await broker.start();
  const ports = await Promise.all([0, 1, 2].map(freePort));
  const begin = (node) =>
    serve(
      "server",
      { redis: broker.port, sabotage },
      { port: ports[node], server: { connectionStateRecovery: { maxDisconnectionDuration: 20_000 } } },
    );
  const nodes = [await begin(0), await begin(1)];
  await startBalancer(ports, atEnd);
  const crowds = Array.from({ length: PROCESSES }, (_, part) =>
    start("clients", { port: ports[2], count: scale.clients, part }),
  );
  await Promise.all(crowds.map((crowd) => crowd.message("connected", 60_000)));

  const ledgers = [];
  const durations = [];
  for (const node of nodes.keys()) {
    const old = nodes[node];
    const begun = performance.now();
    ledgers.push(await old.ask("leave", { timeout: scale.timeout }, scale.timeout + 60_000));
    await old.kill();
    nodes[node] = await begin(node);
    durations.push(performance.now() - begun);
    say(`node ${node + 1} is another one after ${Math.round(durations.at(-1))} ms`);
    // everybody has a connection before the next one goes, as an operator would see to it
    await Promise.all(crowds.map((crowd) => crowd.ask("settle", undefined, 60_000)));
  }
  const reports = await Promise.all(crowds.map((crowd) => crowd.ask("finish", undefined, 60_000)));
  for (const node of nodes) ledgers.push(await node.ask("ledger"));
  return judge(reports, ledgers, durations);
}

/** Compares what clients have had acknowledged with what nodes have handled. */
function judge(reports, ledgers, durations) {
  const handled = new Map();
  for (const ledger of ledgers) {
    for (const event of ledger) handled.set(event, (handled.get(event) ?? 0) + 1);
  }
  const acked = reports.flatMap((report) => report.acked);
  const gaps = reports.flatMap((report) => report.gaps).sort((a, b) => a - b);
  const lost = acked.filter((event) => !handled.has(event));
  const figures = {
    events: acked.length,
    lost: lost.length,
    twice: [...handled.values()].filter((times) => times > 1).length,
    failed: reports.reduce((sum, { failed }) => sum + failed, 0),
    gapMax: gaps.at(-1) ?? 0,
    gapMedian: gaps[gaps.length >> 1] ?? 0,
    attempts: reports.reduce((sum, { attempts }) => sum + attempts, 0),
    restart: Math.max(...durations) / 1000,
  };
  const failures = [];
  if (lost.length > 0)
    failures.push(`${lost.length} of ${acked.length} acknowledged events were lost: ${lost[0]}`);
  if (figures.gapMax > LONGEST_GAP)
    failures.push(`a client had no connection for ${Math.round(figures.gapMax)} ms`);
  return { figures, failures };
}

/** HAProxy in front of the nodes: sessions go to whichever has fewer, of those that say that they are ready. */
async function startBalancer([one, two, front], atEnd) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-balancer-"));
  atEnd(() => fs.rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, "haproxy.cfg");
  fs.writeFileSync(
    file,
    `global
  maxconn 5000
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout tunnel 60s
frontend all
  bind 127.0.0.1:${front}
  default_backend nodes
backend nodes
  balance leastconn
  option httpchk GET /readyz
  option redispatch
  retry-on conn-failure empty-response 503
  default-server check inter 200ms fall 1 rise 1
  server one 127.0.0.1:${one}
  server two 127.0.0.1:${two}
`,
  );
  const haproxy = children.start({ command: "haproxy", args: ["-db", "-f", file] });
  const hasEnded = new Promise((resolve) => haproxy.once("exit", resolve));
  atEnd(() => haproxy.kill("SIGKILL") && hasEnded);
  let failure;
  haproxy.on("error", (error) => (failure = error.message));
  haproxy.on("exit", () => (failure ??= haproxy.said.stderr));
  await eventually(async () => {
    if (failure !== undefined) throw new Error(`haproxy: ${failure}`);
    return (await fetch(`http://127.0.0.1:${front}/readyz`).catch(() => undefined))?.status === 200;
  }, "HAProxy has found a node");
}

// a node

async function server({ args, io, httpServer, answers }) {
  const { Redis } = require("ioredis");
  const { createAdapter } = require("@socket.io/redis-streams-adapter");
  io.adapter(createAdapter(new Redis(args.redis, "127.0.0.1"), { maxLen: 1_000_000 }));
  let isReady = true;
  httpServer.on("request", (req, res) => {
    if (req.url === "/readyz") res.writeHead(isReady ? 200 : 503).end();
  });
  const handled = [];
  io.on("connection", (socket) => {
    socket.on("up", async (event, reply) => {
      await delay(WORK);
      if (args.sabotage !== "forget" || event !== "7:1") handled.push(event);
      reply(event);
    });
  });
  answers.leave = async ({ timeout }) => {
    isReady = false;
    await delay(NOTICE);
    await io.drain?.({ timeout });
    await io.close();
    // what was on its way
    await delay(2 * WORK);
    return handled;
  };
  answers.ledger = () => handled;
}

// the clients

async function clients({ args, tell, answers }) {
  const { port, count, part } = args;
  const users = Array.from({ length: count }, (_, user) => user).filter((user) => user % PROCESSES === part);
  const all = users.map((user) => new Client(user, port));
  await Promise.all(all.map((client) => client.untilConnected()));
  all.forEach((client) => client.talk());
  await delay(2 * PAUSE);
  tell("connected");
  answers.settle = async () => {
    await Promise.all(all.map((client) => client.untilConnected()));
    await delay(2 * PAUSE);
  };
  answers.finish = async () => {
    await Promise.all(all.map((client) => client.finish()));
    return {
      acked: all.flatMap(({ acked }) => acked),
      gaps: all.flatMap(({ gaps }) => gaps),
      failed: all.reduce((sum, { failed }) => sum + failed, 0),
      attempts: all.reduce((sum, { attempts }) => sum + attempts, 0),
    };
  };
}

class Client {
  /** What was acknowledged, each once. */
  acked = [];
  /** How long it was without a connection, each time, in ms. */
  gaps = [];
  failed = 0;
  attempts = 0;
  #isOver = false;
  #talk;

  constructor(user, port) {
    const { io } = require("socket.io-client");
    this.user = user;
    this.socket = io(`http://127.0.0.1:${port}`, { transports: ["websocket"], forceNew: true });
    let since;
    this.socket.on("connect", () => {
      if (since !== undefined) this.gaps.push(performance.now() - since);
      since = undefined;
    });
    this.socket.on("disconnect", () => (since = performance.now()));
    this.socket.on("connect_error", () => this.attempts++);
  }

  async untilConnected() {
    await eventually(() => this.socket.connected, `client ${this.user} is connected`, 60_000);
  }

  talk() {
    this.#talk = this.#goOn();
  }

  async #goOn() {
    // not all at the same time
    await delay((this.user * 7919) % PAUSE);
    for (let number = 0; !this.#isOver; number++) {
      await this.#say(`${this.user}:${number}`);
      await delay(PAUSE);
    }
  }

  /** Sends an event until it is acknowledged. */
  async #say(event) {
    for (;;) {
      try {
        this.acked.push(await this.socket.timeout(PATIENCE).emitWithAck("up", event));
        return;
      } catch {
        this.failed++;
      }
    }
  }

  async finish() {
    this.#isOver = true;
    await this.#talk;
    this.socket.disconnect();
  }
}
