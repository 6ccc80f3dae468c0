"use strict";

// What happens to a process while it serves clients, in scenes of a few seconds: it is told to end, ends, is stopped and goes
// on; threads and cluster workers with servers come and go; descriptors, and memory, run out; the clock jumps. Demanded of
// each: who is connected stays connected and is answered, or hears an end; nothing is left behind, no process, no listening
// port, no descriptor, no thread.
//
// The clients are stock clients in a process of their own: a third begins with polling and upgrades, a third only polls, a
// third is WebSocket only. Each asks for an echo, and for the next one when it has come. A variant is one scene alone.

const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const { setTimeout: delay } = require("node:timers/promises");
const { eventually } = require("../__test__/support/waiting");

/** So soon a client hears of an end that comes with a FIN or a reset; one that polls may be between two requests. */
const HEARS_WITHIN = 5000;
/** So soon a process ends that has been told to. */
const ENDS_WITHIN = 5000;
/** Of descriptors and threads, what a process may have more than before, for itself. */
const SLACK = 3;
/** `ulimit -n` where descriptors run out. */
const DESCRIPTORS = 90;
/** Bytes that a server may have more than at its start where memory runs out. */
const MEMORY = 96 * 2 ** 20;
/** So far the clock jumps, in s: both ways, and further than any time-out. */
const JUMP = 3600;

/** Where distributions have it; `LIBFAKETIME` names another place. */
const FAKETIME = [
  "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
  "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];
const CGROUPS = "/sys/fs/cgroup";

/** In the order in which they are played. `short` are those that need no more than two or three seconds. */
const SCENES = {
  SIGTERM: { play: terminate, short: true },
  "process.exit": { play: exit, short: true },
  threads: { play: threads, short: true },
  cluster: { play: cluster, short: true },
  "opened and closed": { play: openAndClose, short: true },
  descriptors: { play: descriptors, short: true },
  SIGSTOP: { play: stop },
  clock: { play: clock },
  memory: { play: memory },
};

const ms = (figure) => ({ figure, label: figure, unit: "ms" });

module.exports = {
  name: "life",
  shows:
    "a process that is ended, stopped, or runs out of something: its clients hear of it, and nothing is left behind",
  variants: Object.keys(SCENES),
  rows: [
    { figure: "scenes", label: "scenes", moreIsBetter: true },
    { figure: "kept", label: "kept", moreIsBetter: true },
    ms("SIGTERM to end"),
    ms("SIGTERM to last client"),
    ms("exit to last client"),
    { figure: "descriptors left", label: "descriptors left" },
    { figure: "threads left", label: "threads left" },
    { figure: "survives a memory limit", label: "survives a memory limit", moreIsBetter: true },
    { figure: "memory left", label: "memory left by 200 servers", unit: "MiB" },
  ],
  scales: {
    short: { clients: 30, rounds: 4, servers: 40, stopped: 3000, limit: 90 },
    normal: { clients: 60, rounds: 20, servers: 200, stopped: 20_000, limit: 240 },
    long: { clients: 150, rounds: 100, servers: 1000, stopped: 60_000, limit: 900 },
  },
  run,
  app,
  host,
  primary,
  reopener,
  crowd,
};

async function run(context) {
  const { size, say, variant } = context;
  const figures = { scenes: 0, kept: 0 };
  const failures = [];
  for (const [name, { play, short }] of Object.entries(SCENES)) {
    if (variant ? name !== variant : size === "short" && !short) continue;
    const broken = [];
    const scene = {
      ...context,
      figures,
      /** What is demanded. */
      demand: (isSo, what) => isSo || broken.push(`${name}: ${what}`),
    };
    const skipped = await play(scene).catch((error) => void broken.push(`${name}: ${error.message}`));
    if (skipped) {
      say(`${name} is left out: ${skipped}`);
      continue;
    }
    figures.scenes++;
    if (broken.length === 0) figures.kept++;
    failures.push(...broken);
  }
  return { figures, failures };
}

// the scenes

/** The application closes its server when it is told to end. */
async function terminate({ serve, start, scale, figures, demand }) {
  const server = await serve("app");
  const clients = await gather(start, server.port, scale.clients);
  const begin = performance.now();
  server.signal("SIGTERM");
  const { code, signal } = await server.ended(ENDS_WITHIN);
  figures["SIGTERM to end"] = performance.now() - begin;
  demand(code === 0, `the process ended with ${signal ?? `code ${code}`}`);
  figures["SIGTERM to last client"] = await allHear(clients, begin, demand);
  demand(!(await listens(server.port)), "its port is listened to still");
  await clients.kill();
}

async function exit({ serve, start, scale, figures, demand }) {
  const server = await serve("app");
  const clients = await gather(start, server.port, scale.clients);
  const begin = performance.now();
  server.ask("exit").catch(() => {});
  const { code, signal } = await server.ended(ENDS_WITHIN);
  demand(code === 0, `the process ended with ${signal ?? `code ${code}`}`);
  figures["exit to last client"] = await allHear(clients, begin, demand);
  await clients.kill();
}

/** Worker threads of a process, each with a server in traffic, are started and ended; the process goes on. */
async function threads({ start, target, scale, figures, demand }) {
  const host = start("host", { package: target.package });
  await host.message("ready");
  let before;
  for (let round = 0; round < scale.rounds; round++) {
    const { port } = await host.ask("startThread");
    const clients = await gather(start, port, 6);
    await host.ask("endThread");
    await allHear(clients, performance.now(), demand);
    await clients.kill();
    // what is loaded once is loaded
    if (round === 1) before = await settled(host);
  }
  const after = await settled(host, before);
  figures["threads left"] = Math.max(0, after.threads - before.threads);
  demand(after.threads <= before.threads, `${after.threads} threads, not ${before.threads}`);
  demand(
    after.descriptors <= before.descriptors + SLACK,
    `${after.descriptors} descriptors, not ${before.descriptors}`,
  );
  await host.kill();
}

/** Of the workers of a cluster one is killed: those of the other one stay, and those of the dead one come back. */
async function cluster({ start, target, scale, demand }) {
  const primary = start("primary", { package: target.package });
  const { port, pids } = await primary.message("ready");
  // which worker gets a request is chance, and polling has several
  const clients = await gather(start, port, scale.clients, { kinds: ["websocket"], reconnects: true });
  const states = await clients.ask("states");
  const [victim] = pids;
  const those = (isVictim) =>
    states.flatMap(({ server }, index) => ((server === victim) === isVictim ? index : []));
  demand(those(true).length > 0 && those(false).length > 0, "both workers have clients");
  process.kill(victim, "SIGKILL");
  await clients.ask("untilBack", those(true), HEARS_WITHIN + 5000);
  await clients.ask("untilEchoed", undefined, HEARS_WITHIN);
  const after = await clients.ask("states");
  demand(
    those(false).every((index) => after[index].ends === 0),
    "clients of the other worker were disconnected",
  );
  demand(
    after.every(({ server }) => server !== victim),
    "a client is answered by the dead",
  );
  await primary.kill();
  await eventually(
    () => pids.every((pid) => !fs.existsSync(`/proc/${pid}`)),
    "the workers end with their primary",
  );
  await clients.kill();
}

/** Servers are opened, used, and closed, one after the other in one process. */
async function openAndClose({ start, target, scale, figures, demand }) {
  const child = start("reopener", { package: target.package });
  await child.message("ready");
  await child.ask("reopen", { times: 10 }, 30_000);
  const before = await settled(child);
  await child.ask("reopen", { times: scale.servers }, 120_000);
  const after = await settled(child, before);
  figures["descriptors left"] = Math.max(0, after.descriptors - before.descriptors);
  figures["memory left"] = ((after.rss - before.rss) / 2 ** 20) * (200 / scale.servers);
  demand(
    after.descriptors <= before.descriptors + SLACK,
    `${after.descriptors} descriptors, not ${before.descriptors}`,
  );
  demand(after.threads <= before.threads + SLACK, `${after.threads} threads, not ${before.threads}`);
  await child.kill();
}

/** More clients come than there are descriptors. Who is connected is served; when some go, others can come. */
async function descriptors({ serve, start, demand }) {
  const server = await serve("app", {}, { shell: `ulimit -n ${DESCRIPTORS}` });
  const few = await gather(start, server.port, 20, { kinds: ["websocket"] });
  const many = start("crowd", { port: server.port, count: DESCRIPTORS, kinds: ["websocket"] });
  await delay(2000);
  demand(server.exited === null, "the process has ended");
  await few.ask("untilEchoed", undefined, HEARS_WITHIN);
  const states = await few.ask("states");
  demand(
    states.every(({ ends }) => ends === 0),
    "who was connected was disconnected",
  );
  await many.kill();
  const next = await gather(start, server.port, 20, { kinds: ["websocket"] });
  await next.ask("untilEchoed", undefined, HEARS_WITHIN);
  for (const child of [few, next, server]) await child.kill();
}

/** The process is stopped for longer than a moment: with the usual heartbeats, nobody is lost. */
async function stop({ serve, start, scale, demand }) {
  const server = await serve("app");
  const clients = await gather(start, server.port, scale.clients);
  server.signal("SIGSTOP");
  await delay(Math.min(scale.stopped, 20_000));
  server.signal("SIGCONT");
  await clients.ask("untilEchoed", undefined, 20_000);
  const lost = (await clients.ask("states")).filter(({ ends }) => ends > 0);
  demand(lost.length === 0, `${lost.length} clients were disconnected: ${lost[0]?.reason}`);
  for (const child of [clients, server]) await child.kill();
}

/** The clock of the machine jumps an hour to and fro. */
async function clock({ serve, start, scale, demand, atEnd }) {
  const library = [process.env.LIBFAKETIME, ...FAKETIME].find((file) => file && fs.existsSync(file));
  if (library === undefined) return "there is no libfaketime here: apt-get install faketime";
  const directory = fs.mkdtempSync(path.join(require("node:os").tmpdir(), "sockeye-clock-"));
  atEnd(() => fs.rmSync(directory, { recursive: true }));
  const file = path.join(directory, "time");
  fs.writeFileSync(file, "+0");
  const server = await serve(
    "app",
    {},
    {
      server: { pingInterval: 1000, pingTimeout: 1000 },
      // as the kernel has it: what measures how long something takes does not jump
      env: {
        LD_PRELOAD: library,
        FAKETIME_TIMESTAMP_FILE: file,
        FAKETIME_NO_CACHE: "1",
        FAKETIME_DONT_FAKE_MONOTONIC: "1",
      },
    },
  );
  const clients = await gather(start, server.port, scale.clients);
  const begin = await server.ask("now");
  for (const seconds of [JUMP, -JUMP, 0]) {
    fs.writeFileSync(file, `${seconds < 0 ? "" : "+"}${seconds}`);
    if (seconds === JUMP) demand((await server.ask("now")) - begin > JUMP * 500, "the clock has not jumped");
    await delay(3000);
  }
  await clients.ask("untilEchoed", undefined, HEARS_WITHIN);
  const lost = (await clients.ask("states")).filter(({ ends }) => ends > 0);
  demand(lost.length === 0, `${lost.length} clients were disconnected: ${lost[0]?.reason}`);
  for (const child of [clients, server]) await child.kill();
}

/**
 * Clients that do not read while much is broadcast, and a limit to the memory of the process. With the option
 * `maxOutboundBuffer`, which stock does not have, they are given up, and the others are served; without, the kernel ends the
 * process, of which clients have to hear.
 */
async function memory({ serve, start, scale, figures, demand, isStock, atEnd }) {
  const group = memoryGroup(atEnd);
  if (group === undefined)
    return "no memory cgroup can be made here: it takes root, and /sys/fs/cgroup to be writable";
  const server = await serve("app", {}, { server: { maxOutboundBuffer: 2 ** 20, pingTimeout: 60_000 } });
  const clients = await gather(start, server.port, scale.clients);
  const deaf = await gather(start, server.port, 10, { kinds: ["websocket"], room: "deaf" });
  group.limit(server.pid, server.totals().rss + MEMORY);
  deaf.signal("SIGSTOP");
  const begin = performance.now();
  const flood = server.ask("flood", { room: "deaf", messages: 500, size: 64 * 1024 }, 60_000);
  await Promise.race([flood, server.exit]).catch(() => server.exit);
  figures["survives a memory limit"] = server.exited ? 0 : 1;
  if (server.exited) {
    // stock may do no better: all that can be demanded then is that clients hear of it
    demand(isStock, `the process was ended: ${server.exited.signal}`);
    await allHear(clients, begin, demand);
  } else {
    await clients.ask("untilEchoed", undefined, HEARS_WITHIN);
    const lost = (await clients.ask("states")).filter(({ ends }) => ends > 0);
    demand(lost.length === 0, `${lost.length} who read were disconnected: ${lost[0]?.reason}`);
  }
  for (const child of [deaf, clients, server]) await child.kill();
}

// what they share

/** Starts clients and waits until all are connected and have been answered. */
async function gather(start, port, count, options) {
  const clients = start("crowd", { port, count, ...options });
  await clients.message("ready", 30_000);
  return clients;
}

/** Waits until all clients have heard of the end; returns how long after `begin` that was, in ms. */
async function allHear(clients, begin, demand) {
  await clients.ask("untilEnded", undefined, HEARS_WITHIN + 1000).catch(async () => {
    const states = await clients.ask("states");
    const deaf = states.filter(({ ends }) => ends === 0);
    demand(false, `${deaf.length} of ${states.length} clients have not heard of the end: ${deaf[0]?.kind}`);
  });
  return performance.now() - begin;
}

function listens(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.on("connect", () => (socket.destroy(), resolve(true)));
    socket.on("error", () => resolve(false));
  });
}

/** What a process holds when it has come to rest, or has come down to what it held before. */
async function settled(child, before) {
  let totals;
  for (let time = 0; time < 20; time++) {
    await child.ask("gc");
    await delay(100);
    totals = child.totals();
    const isDown = before && totals.descriptors <= before.descriptors && totals.threads <= before.threads;
    if (before ? isDown : time === 4) break;
  }
  return totals;
}

/** A control group whose memory can be limited, of either version; undefined where none can be made. */
function memoryGroup(atEnd) {
  const isV2 = fs.existsSync(path.join(CGROUPS, "cgroup.controllers"));
  const directory = path.join(CGROUPS, isV2 ? "" : "memory", `sockeye-stress-${process.pid}-${Date.now()}`);
  const write = (name, value) => fs.writeFileSync(path.join(directory, name), String(value));
  const limit = isV2 ? "memory.max" : "memory.limit_in_bytes";
  try {
    fs.mkdirSync(directory);
    atEnd(() => eventually(() => removed(directory), "the control group is gone"));
    if (!fs.existsSync(path.join(directory, limit))) return undefined;
  } catch {
    return undefined;
  }
  return {
    limit(pid, bytes) {
      write("cgroup.procs", pid);
      write(limit, bytes);
    },
  };
}

/** It cannot be removed while the kernel still counts one that has ended. */
function removed(directory) {
  try {
    fs.rmdirSync(directory);
    return true;
  } catch (error) {
    return error.code === "ENOENT";
  }
}

// the servers

/** Answers echoes with the process that does. */
function serveEchoes(io) {
  io.on("connection", (socket) => {
    const { room } = socket.handshake.auth;
    if (room) socket.join(room);
    socket.on("echo", (value, reply) => reply(process.pid));
  });
}

function app({ io, answers, release }) {
  serveEchoes(io);
  process.on("SIGTERM", () => {
    io.close();
    release();
  });
  answers.exit = () => process.exit(0);
  answers.now = () => Date.now();
  answers.flood = async ({ room, messages, size }) => {
    const sockets = [...io.of("/").sockets.values()].filter((socket) => socket.rooms.has(room));
    for (let message = 0; message < messages; message++) {
      // each its own: what is broadcast is there once for all
      for (const socket of sockets) socket.emit("flood", Buffer.alloc(size, "flood"));
      await delay(5);
    }
  };
}

/** A process with a server in a worker thread. */
function host({ args, answers, tell }) {
  const { Worker } = require("node:worker_threads");
  const { once } = require("node:events");
  const source = `
    const { Server } = require(${JSON.stringify(args.package)});
    const httpServer = require("node:http").createServer();
    (${serveEchoes})(new Server(httpServer));
    httpServer.listen(0, "127.0.0.1", () =>
      require("node:worker_threads").parentPort.postMessage(httpServer.address().port));
  `;
  let worker;
  answers.startThread = async () => {
    worker = new Worker(source, { eval: true });
    const [port] = await once(worker, "message");
    return { port };
  };
  answers.endThread = () => worker.terminate();
  tell("ready");
}

/** The primary of a cluster of two. */
function primary({ args, tell }) {
  const cluster = require("node:cluster");
  const source = `
    const { Server } = require(${JSON.stringify(args.package)});
    const httpServer = require("node:http").createServer();
    (${serveEchoes})(new Server(httpServer));
    httpServer.listen(0, "127.0.0.1");
    process.on("disconnect", () => process.exit());
  `;
  cluster.setupPrimary({ exec: path.join(__dirname, "support", "evaluate.js"), args: [source] });
  const ready = [0, 1].map(
    () =>
      new Promise((resolve) => {
        const worker = cluster.fork();
        worker.on("listening", ({ port }) => resolve({ port, pid: worker.process.pid }));
      }),
  );
  Promise.all(ready).then((workers) =>
    tell("ready", { port: workers[0].port, pids: workers.map(({ pid }) => pid) }),
  );
}

/** Opens and closes servers, each with a client that polls and one with a WebSocket. */
function reopener({ sio, answers, tell }) {
  const http = require("node:http");
  const { once } = require("node:events");
  const connect = require("socket.io-client").io;
  answers.reopen = async ({ times }) => {
    for (let time = 0; time < times; time++) {
      const httpServer = http.createServer();
      const io = new sio.Server(httpServer);
      serveEchoes(io);
      httpServer.listen(0, "127.0.0.1");
      await once(httpServer, "listening");
      const url = `http://127.0.0.1:${httpServer.address().port}`;
      const clients = ["polling", "websocket"].map((kind) =>
        connect(url, { forceNew: true, reconnection: false, transports: [kind] }),
      );
      await Promise.all(clients.map((client) => client.emitWithAck("echo", time)));
      const ended = clients.map((client) => new Promise((resolve) => client.once("disconnect", resolve)));
      io.close();
      await Promise.all(ended);
    }
  };
  tell("ready");
}

// the clients

async function crowd({ args, tell, answers }) {
  const { port, count, kinds = ["default", "polling", "websocket"], reconnects = false, room } = args;
  const { io } = require("socket.io-client");
  const all = Array.from({ length: count }, (_, index) => {
    const kind = kinds[index % kinds.length];
    const socket = io(`http://127.0.0.1:${port}`, {
      forceNew: true,
      reconnection: reconnects,
      reconnectionDelay: 20,
      // node:cluster may have handed a connection to a worker that has just been killed: nobody answers it then
      timeout: 2000,
      auth: { room },
      transports: kind === "default" ? undefined : [kind],
    });
    const client = { kind, socket, echoes: 0, ends: 0, server: undefined, reason: undefined };
    const ask = () =>
      socket.emit("echo", client.echoes, (server) => {
        client.server = server;
        client.echoes++;
        setTimeout(ask, 20);
      });
    // one that was lost with its connection is not answered
    socket.on("connect", ask);
    socket.on("disconnect", (reason) => {
      client.ends++;
      client.reason = reason;
    });
    return client;
  });
  const until = async (clients, condition) => {
    while (!clients.every(condition)) await delay(5);
  };
  answers.states = () =>
    all.map(({ kind, echoes, ends, server, reason }) => ({ kind, echoes, ends, server, reason }));
  answers.untilEnded = () => until(all, ({ ends }) => ends > 0);
  answers.untilEchoed = () => {
    const before = new Map(all.map((client) => [client, client.echoes]));
    // one that was on its way may have been answered before
    return until(all, (client) => client.echoes >= before.get(client) + 2);
  };
  /** Until these have been disconnected, and are connected again. */
  answers.untilBack = (indexes) =>
    until(
      indexes.map((index) => all[index]),
      ({ ends, socket }) => ends > 0 && socket.connected,
    );
  await until(all, ({ echoes }) => echoes > 0);
  tell("ready");
}
