"use strict";

// For an hour (--long, or --minutes N), connections of all kinds come and go, 400 a second, from 39 addresses: those of
// clients that poll, of WebSockets, of stock clients that upgrade, of EIO3 clients, of browsers that fetch pages, and of who
// breaks off in the middle of a request or a frame, or resets. Some dozens of stock clients stay all the time, get what is
// broadcast, lose their connection now and then and recover. Nothing of the server may grow with that.
//
// A server that grows shows in three ways. What it holds when it is quiet (everybody gone but those who stay, garbage
// collected) is compared before and after: sessions, descriptors and threads have to be the same, memory about the same.
// And while it is at work, a line through the samples of the last two thirds must not rise.
//
// Stock is asked for a tenth of the time.

const http = require("node:http");
const net = require("node:net");
const { setTimeout: delay } = require("node:timers/promises");
const { eventually } = require("../__test__/support/waiting");
const { fit } = require("./support/slope");

const PER_SECOND = 400;
const RESIDENTS = 40;
/** Visits at the same time; above it, none begins. */
const MOST_VISITS = 400;
/** Client ports that wait after a close are counted by address. */
const ADDRESSES = Array.from({ length: 39 }, (_, index) => `127.0.0.${index + 2}`);

/** A slope counts from here on: it takes that long until a heap has found its size. */
const LEAST_MINUTES = 30;
/** What the resident set may grow by, of itself in an hour; and so many standard errors a slope has to be above that. */
const GROWTH_AN_HOUR = 0.01;
const STANDARD_ERRORS = 3;
/** What a quiet server may hold more than before: of its resident set, and in bytes for what is made once. */
const QUIET_GROWTH = 0.1;
const QUIET_BYTES = 16 * 2 ** 20;
const SLACK = 3;

const MIB = 2 ** 20;

const OPTIONS = {
  allowEIO3: true,
  pingInterval: 2000,
  pingTimeout: 2000,
  connectTimeout: 2000,
  perMessageDeflate: true,
  connectionStateRecovery: { maxDisconnectionDuration: 5000 },
};

const mib = (label) => ({ figure: label, label, unit: "MiB" });

module.exports = {
  name: "soak",
  shows: "connections of every kind come and go for long, and nothing grows",
  rows: [
    { figure: "minutes", label: "minutes", moreIsBetter: true },
    { figure: "connections", label: "connections", moreIsBetter: true },
    { figure: "rate", label: "connections a second", moreIsBetter: true },
    { figure: "cpu", label: "CPU a connection, with all that it does", unit: "µs" },
    mib("memory, quiet, at first"),
    mib("memory, quiet, at last"),
    mib("outside of V8's heap, quiet, at first"),
    mib("outside of V8's heap, quiet, at last"),
    { figure: "slope", label: "slope of the resident set in an hour", unit: "MiB" },
    { figure: "descriptors left", label: "descriptors left" },
    { figure: "threads left", label: "threads left" },
    { figure: "sessions left", label: "sessions left" },
    { figure: "recovered", label: "recovered sessions", moreIsBetter: true },
  ],
  scales: {
    short: { minutes: 0.05, warm: 1, quiet: 1, every: 500, limit: 60 },
    normal: { minutes: 5, warm: 30, quiet: 10, every: 2000, limit: 500 },
    long: { minutes: 60, warm: 120, quiet: 60, every: 10_000, limit: 4200 },
  },
  run,
  server,
  residents,
  visitors,
};

async function run({ serve, start, scale, size, minutes: wanted, isStock, say }) {
  const minutes = (wanted ?? scale.minutes) * (isStock && size !== "short" ? 0.1 : 1);
  const child = await serve("server", {}, { server: OPTIONS });
  const staying = start("residents", { port: child.port });
  await staying.message("ready", 30_000);
  const visiting = start("visitors", { port: child.port, perSecond: PER_SECOND });
  await visiting.message("ready");

  await visiting.ask("begin");
  await delay(scale.warm * 1000);
  await visiting.ask("rest", undefined, 30_000);
  const first = await quiet(child, staying, scale);
  const cpuBefore = child.totals().cpu;
  const { opened: before } = await visiting.ask("begin");

  const samples = [];
  const begin = performance.now();
  const end = begin + minutes * 60_000;
  let told = begin;
  while (performance.now() < end) {
    await delay(scale.every);
    samples.push([(performance.now() - begin) / 3.6e6, child.totals().rss / MIB]);
    if (performance.now() - told > 60_000) {
      told = performance.now();
      say(`${Math.round((told - begin) / 60_000)} minutes, ${Math.round(samples.at(-1)[1])} MiB`);
    }
  }
  const elapsed = (performance.now() - begin) / 1000;
  const cpu = child.totals().cpu - cpuBefore;
  const { opened, faults } = await visiting.ask("rest", undefined, 30_000);
  const connections = opened - before;
  const last = await quiet(child, staying, scale);
  const { recovered, wrong } = await staying.ask("report");

  const failures = [];
  const demand = (isSo, what) => isSo || failures.push(what);
  const line = fit(samples.slice(Math.floor(samples.length / 3)));
  const allowed = line.mean * GROWTH_AN_HOUR;
  if (minutes >= LEAST_MINUTES) {
    demand(
      line.slope - STANDARD_ERRORS * line.error <= allowed,
      `the resident set grows by ${line.slope.toFixed(2)} ± ${line.error.toFixed(2)} MiB an hour`,
    );
  }
  if (size !== "short") {
    demand(
      last.rss <= first.rss * (1 + QUIET_GROWTH) + QUIET_BYTES,
      `when quiet, it holds ${Math.round(last.rss / MIB)} MiB, not ${Math.round(first.rss / MIB)}`,
    );
  }
  demand(
    last.descriptors <= first.descriptors + SLACK,
    `${last.descriptors} descriptors, not ${first.descriptors}`,
  );
  demand(last.threads <= first.threads, `${last.threads} threads, not ${first.threads}`);
  demand(last.sessions === RESIDENTS, `${last.sessions} sessions, not ${RESIDENTS}`);
  demand(last.rooms === first.rooms, `${last.rooms} rooms, not ${first.rooms}`);
  demand(wrong.length === 0, `those who stay have got what is wrong: ${wrong[0]}`);
  demand(faults.length === 0, `visits went wrong: ${faults.slice(0, 3).join("; ")}`);
  const native = ({ rss, memory }) => (rss - memory.heapTotal) / MIB;
  const figures = {
    minutes,
    connections,
    rate: connections / elapsed,
    cpu: (cpu * 1000) / connections,
    "memory, quiet, at first": first.rss / MIB,
    "memory, quiet, at last": last.rss / MIB,
    "outside of V8's heap, quiet, at first": native(first),
    "outside of V8's heap, quiet, at last": native(last),
    slope: minutes >= LEAST_MINUTES ? line.slope : undefined,
    "descriptors left": Math.max(0, last.descriptors - first.descriptors),
    "threads left": Math.max(0, last.threads - first.threads),
    "sessions left": last.sessions - RESIDENTS,
    recovered,
  };
  return { figures, failures };
}

/**
 * What the server holds when all visitors have gone: at once those who said so, the others when their time is over. Those who
 * stay do not break their connections meanwhile.
 */
async function quiet(child, staying, scale) {
  await staying.ask("calm", true);
  await child.ask("quiet", true);
  await eventually(
    async () => (await child.ask("holds")).sessions === RESIDENTS,
    "visitors have gone",
    15_000,
  ).catch(() => {});
  await delay(scale.quiet * 1000);
  await child.ask("gc");
  await delay(200);
  await child.ask("gc");
  const { memory } = await child.usage();
  const found = { ...child.totals(), ...(await child.ask("holds")), memory };
  await child.ask("quiet", false);
  await staying.ask("calm", false);
  return found;
}

// the server

function server({ io, httpServer, answers }) {
  let isQuiet = false;
  let number = 0;
  io.on("connection", (socket) => {
    socket.join(`room ${number++ % 10}`);
    socket.on("echo", (value, reply) => reply(value));
    socket.on("shout", (value) => socket.broadcast.to([...socket.rooms][1] ?? "room 0").emit("shout", value));
  });
  setInterval(() => {
    if (isQuiet) return;
    io.emit("news", Date.now());
    io.to(`room ${number % 10}`).emit("room news", "x".repeat(2000), Buffer.alloc(100));
  }, 100);
  httpServer.on("request", (request, response) => {
    if (request.url.startsWith("/page")) response.end("a page");
  });
  answers.quiet = (is) => void (isQuiet = is);
  answers.holds = () => ({
    sessions: io.engine.clientsCount,
    // those that are named by an id come and go with who has it
    rooms: [...io.of("/").adapter.rooms.keys()].filter((room) => room.startsWith("room ")).length,
  });
}

// those who stay

async function residents({ args, tell, answers }) {
  const { io } = require("socket.io-client");
  const wrong = [];
  let recovered = 0;
  const sockets = Array.from({ length: RESIDENTS }, (_, index) =>
    io(`http://127.0.0.1:${args.port}`, {
      forceNew: true,
      reconnectionDelay: 50,
      transports: [["websocket"], ["polling"], ["polling", "websocket"]][index % 3],
    }),
  );
  await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once("connect", resolve))));
  for (const socket of sockets) {
    socket.on("connect", () => socket.recovered && recovered++);
    socket.on("room news", (text, bytes) => {
      if (text.length !== 2000 || bytes.length !== 100)
        wrong.push(`room news of ${text.length}, ${bytes.length}`);
    });
  }
  let turn = 0;
  let isCalm = false;
  setInterval(() => {
    const socket = sockets[turn++ % sockets.length];
    const value = turn % 5 === 0 ? Buffer.alloc(3000, turn) : `echo ${turn}`.repeat(turn % 3 === 0 ? 300 : 1);
    if (socket.connected) {
      socket.emit("echo", value, (answer) => {
        if (!Buffer.from(value).equals(Buffer.from(answer))) wrong.push(`${answer} for ${value}`);
      });
      socket.emit("shout", "hello");
    }
    if (turn % 40 === 0 && !isCalm) sockets[Math.floor(turn / 40) % sockets.length].io.engine?.close();
  }, 25);
  answers.calm = (is) => void (isCalm = is);
  answers.report = () => ({ recovered, wrong: wrong.slice(0, 5) });
  tell("ready");
}

// those who come and go

async function visitors({ args, tell, answers }) {
  const { RawWebSocket } = require("../__test__/support/raw-websocket");
  const { RawPolling } = require("../__test__/support/raw-polling");
  const { io } = require("socket.io-client");
  const { port, perSecond } = args;
  const pages = new http.Agent({ keepAlive: true, maxSockets: 8, maxFreeSockets: 8, timeout: 5000 });
  let opened = 0;
  const faults = [];

  /** A server as the raw clients want it, from the next address. */
  const from = () => ({ port, secure: false, localAddress: ADDRESSES[opened % ADDRESSES.length] });
  const text = "x".repeat(500);

  async function echo(ws, prefix = "42") {
    ws.text(`${prefix}1["echo","${text}"]`);
    let packet;
    do packet = await ws.next();
    while (!String(packet).startsWith("431"));
  }
  const ends = [
    (ws) => ws.destroy(),
    (ws) => ws.reset(),
    (ws) => ws.socket.end(),
    (ws) => ws.frame({ opcode: 8 }),
  ];

  /** What each kind does, and the share of its connections among all. */
  const visits = [
    [25, webSocket],
    [20, polling],
    [10, stock],
    [10, legacy],
    [15, abortedRequest],
    [10, halfFrame],
    [10, page],
  ];

  async function webSocket() {
    opened++;
    const ws = await RawWebSocket.connect(from());
    await echo(ws);
    ends[opened % ends.length](ws);
    setTimeout(() => ws.destroy(), 200);
    return 1;
  }

  async function polling() {
    opened += 5;
    const client = await RawPolling.connect(from());
    await client.post(`421["echo","${text}"]`);
    while (!(await client.next()).startsWith("431")) opened++;
    // half of them say goodbye
    if (opened % 2 === 0) await client.post("1");
    return 5;
  }

  async function stock() {
    opened += 5;
    const agent = new http.Agent({ localAddress: from().localAddress });
    const socket = io(`http://127.0.0.1:${port}`, { agent, forceNew: true, reconnection: false });
    await socket.timeout(10_000).emitWithAck("echo", Buffer.alloc(2000));
    await delay(100);
    socket.disconnect();
    agent.destroy();
    return 5;
  }

  async function legacy() {
    opened++;
    const ws = await RawWebSocket.open(from(), { query: "EIO=3&transport=websocket" });
    await echo(ws);
    ends[opened % ends.length](ws);
    setTimeout(() => ws.destroy(), 200);
    return 1;
  }

  /** Breaks off somewhere in the request, with a reset or without. */
  async function abortedRequest() {
    opened++;
    const socket = net.connect({ port, host: "127.0.0.1", localAddress: from().localAddress });
    socket.on("error", () => {});
    const request =
      "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n";
    socket.write(request.slice(0, (opened * 7) % request.length));
    await delay(20);
    if (opened % 2 === 0) socket.resetAndDestroy();
    else socket.destroy();
    return 1;
  }

  async function halfFrame() {
    opened++;
    const ws = await RawWebSocket.connect(from());
    ws.write(Buffer.from([0x81, 0xfe, 0x10, 0x00, 1, 2, 3, 4, 5, 6]));
    await delay(20);
    if (opened % 2 === 0) ws.reset();
    else ws.destroy();
    return 1;
  }

  /** A page over a connection that is kept; now and then it is another one. */
  async function page() {
    opened++;
    const agent = opened % 4 === 0 ? false : pages;
    await new Promise((resolve, reject) => {
      const request = http.get({ port, host: "127.0.0.1", path: "/page", agent }, (response) => {
        response.resume();
        response.on("end", resolve);
      });
      request.on("error", reject);
    });
    return 1;
  }

  // shares of connections become shares of visits
  const costs = new Map([
    [polling, 5],
    [stock, 5],
  ]);
  const wheel = visits.flatMap(([share, visit]) =>
    Array(Math.round((share * 4) / (costs.get(visit) ?? 1))).fill(visit),
  );
  // one after the other, but not all of a kind in a row
  const step = [7, 11, 13, 17, 19].find((prime) => wheel.length % prime !== 0);

  let isOpen = false;
  let active = 0;
  let turn = 0;
  let due = 0;
  const EVERY = 20;
  setInterval(() => {
    if (!isOpen) return;
    due = Math.min(due + (perSecond * EVERY) / 1000, perSecond);
    while (due > 0 && active < MOST_VISITS) {
      const visit = wheel[(turn++ * step) % wheel.length];
      due -= costs.get(visit) ?? 1;
      active++;
      visit()
        .catch((error) => faults.length < 20 && faults.push(`${visit.name}: ${error.message}`))
        .finally(() => active--);
    }
  }, EVERY);
  answers.begin = () => {
    isOpen = true;
    return { opened };
  };
  answers.rest = async () => {
    isOpen = false;
    while (active > 0) await delay(20);
    return { opened, faults };
  };
  tell("ready");
}
