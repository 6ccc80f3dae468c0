"use strict";

// An application that emits without a pause, a broadcast in each turn of its event loop, or single events to some clients,
// faster than anybody could deliver it. It is to be slowed down, or what waits has to be kept; the clients, who read all they
// can, must get everything in order, and the memory must be given back. Meanwhile others are to be served. How soon is told,
// but not compared: who delivers a hundred times as much at the same time has that in front of an answer.

const { setTimeout: delay } = require("node:timers/promises");
const { eventually } = require("../__test__/support/waiting");
const bystanders = require("./support/bystanders");
const { LightClient } = require("./support/light-client");
const { memoryKept } = require("./support/memory");

const MB = 1e6;
const SIZE = 200;
/** So many single events are emitted in a turn of the loop. */
const SINGLES = 100;
const BYSTANDERS = 5;
/** In ms: half of the answers must have come by then, on a machine that is busy with nothing else. */
const MEDIAN_ECHO = 500;
/** In ms: who is waited for may be late. */
const PING_TIMEOUT = 120_000;

/** In MB: so much may wait for a worker, by what it weighs and by what it takes. */
const WAITING = 32;

const KINDS = { broadcasts: "broadcasts", singles: "single events" };

module.exports = {
  name: "overrun",
  shows: "an emitter that is faster than the network: all arrives in order, and others are served",
  rows: Object.entries(KINDS).flatMap(([kind, label]) => [
    { figure: `${kind}Rate`, label: `${label}, delivered`, unit: "/s", moreIsBetter: true, noWorse: true },
    { figure: `${kind}Peak`, label: "their memory at the peak", unit: "MB", noWorse: true, noise: WAITING },
    { figure: `${kind}Kept`, label: "kept of it", unit: "MB", noWorse: true, noise: 20 },
    { figure: `${kind}Echo`, label: "a bystander's median", unit: "ms" },
    { figure: `${kind}EchoP99`, label: "p99", unit: "ms" },
    { figure: `${kind}Loop`, label: "longest wait of the loop", unit: "ms" },
  ]),
  scales: {
    short: { clients: 200, seconds: 1.2, looks: 2, limit: 60 },
    normal: { clients: 500, seconds: 8, limit: 240 },
    long: { clients: 1000, seconds: 20, limit: 600 },
  },
  run,
  server,
  crowd,
  bystanders,
};

async function run(context) {
  const figures = {};
  const failures = [];
  for (const kind of Object.keys(KINDS)) {
    const result = await trial(context, kind);
    for (const [name, value] of Object.entries(result.figures)) figures[kind + name] = value;
    failures.push(...result.failures.map((failure) => `${KINDS[kind]}: ${failure}`));
  }
  return { figures, failures };
}

async function trial({ serve, start, scale }, kind) {
  const server = await serve("server", {}, { server: { pingTimeout: PING_TIMEOUT } });
  const crowd = start("crowd", { port: server.port, clients: scale.clients });
  await crowd.message("ready", 60_000);
  const others = start("bystanders", { port: server.port, clients: BYSTANDERS, pause: 5 });
  await others.message("ready");
  await server.ask("gc");
  await server.usage();
  server.resetPeak();
  const before = server.totals().rss;

  await others.ask("echoes");
  const begin = performance.now();
  await server.ask("begin", { kind });
  await delay(scale.seconds * 1000);
  const { sent } = await server.ask("end", {}, 60_000);
  const echoes = await others.ask("echoes", {}, 60_000);
  const { loopMax } = await server.usage(60_000);
  const { received, faults } = await crowd.ask("received", { sent, kind }, 150_000);
  const seconds = (performance.now() - begin) / 1000;
  const peak = server.totals().peakRss - before;
  await others.ask("served");
  const kept = await memoryKept(server, before, scale.looks);
  if (echoes.p50 > MEDIAN_ECHO) {
    faults.push(`a bystander waited for ${Math.round(echoes.p50)} ms half of the time, above ${MEDIAN_ECHO}`);
  }
  await Promise.all([crowd.kill(), others.kill(), server.kill()]);
  return {
    failures: faults,
    figures: {
      Rate: received / seconds,
      Peak: peak / MB,
      Kept: kept / MB,
      Echo: echoes.p50,
      EchoP99: echoes.p99,
      Loop: loopMax,
    },
  };
}

function server({ io, answers }) {
  const text = "x".repeat(SIZE);
  const crowd = [];
  let isOver = false;
  let sent = 0;
  io.on("connection", (socket) => {
    socket.on("echo", (number, reply) => reply(number));
    socket.on("join", (reply) => {
      crowd.push(socket);
      socket.join("crowd");
      reply();
    });
  });
  const turns = {
    broadcasts: () => io.to("crowd").emit("n", ++sent, text),
    // one after the other, so that each gets the numbers of its turn
    singles() {
      for (let i = 0; i < SINGLES; i++) {
        const round = Math.floor(sent / crowd.length) + 1;
        crowd[sent++ % crowd.length].emit("n", round, text);
      }
    },
  };
  answers.begin = ({ kind }) => {
    setImmediate(function turn() {
      if (isOver) return;
      turns[kind]();
      setImmediate(turn);
    });
  };
  answers.end = () => {
    isOver = true;
    return { sent };
  };
}

/** Those who get all of it, and see to it that nothing is missing or out of order. */
async function crowd({ args, answers, tell }) {
  const clients = await LightClient.connectMany(args.clients, args.port);
  const last = new Map();
  const faults = [];
  for (const client of clients) {
    await new Promise((resolve) => {
      client.onMessage = resolve;
      client.send('420["join"]');
    });
    const index = last.size;
    last.set(client, 0);
    client.onMessage = (payload) => {
      const number = numberOf(payload);
      if (number !== last.get(client) + 1 && faults.length < 3) {
        faults.push(`client ${index} got message ${number} behind ${last.get(client)}`);
      }
      last.set(client, number);
    };
    client.onEnd = (end) => faults.push(`client ${index} was disconnected: ${end}`);
  }
  answers.received = async ({ sent, kind }) => {
    const due = (index) =>
      kind === "broadcasts"
        ? sent
        : Math.floor(sent / clients.length) + (index < sent % clients.length ? 1 : 0);
    // they have joined in this order
    const missing = () => clients.filter((client, index) => last.get(client) !== due(index)).length;
    await eventually(() => missing() === 0, "the rest", 120_000).catch(() =>
      faults.push(`${missing()} clients have not got all that was emitted`),
    );
    return { received: [...last.values()].reduce((sum, number) => sum + number), faults };
  };
  tell("ready");
}

/** That of `42["n",123,"xxx…`. */
function numberOf(payload) {
  let number = 0;
  for (let i = 7; payload[i] !== 44; i++) number = number * 10 + payload[i] - 48;
  return number;
}
