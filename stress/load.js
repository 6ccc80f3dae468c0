"use strict";

// As many clients as descriptors allow, up to a number, from several processes with an address each. They come in a storm,
// stay and hear broadcasts; half of them hang up at once, with a reset or without, and come again in a storm while the broadcasts
// go on; then all hang up. No connect may fail, nobody may be disconnected, every broadcast must come to everybody who is
// there, in order, and in the end the server has the descriptors that it had before the first came.

const fs = require("node:fs");
const { setTimeout: delay } = require("node:timers/promises");
const { eventually } = require("../__test__/support/waiting");
const { LightClient } = require("./support/light-client");
const { now, summary } = require("./support/latencies");
const { memoryKept } = require("./support/memory");

const MB = 1e6;
const PROCESSES = 4;
/** Connects under way at the same time, of each process. */
const AT_ONCE = 32;
/** Descriptors that a server needs besides. */
const OTHERS = 200;
const SIZE = 100;
/** Latencies that a process hands over at the most: of more, every so many. */
const SAMPLES = 50_000;
const PATIENCE = 120_000;

module.exports = {
  name: "load",
  shows: "thousands of clients come, stay, hang up and come again; nothing is dropped, and nothing is left",
  rows: [
    { figure: "clients", label: "clients" },
    { figure: "connects", label: "connects", unit: "/s", moreIsBetter: true, noWorse: true },
    { figure: "connectLoop", label: "wait of the loop meanwhile", unit: "ms", noWorse: true, noise: 50 },
    { figure: "memory", label: "memory of a connection", unit: "KB", noWorse: true, noise: 1 },
    { figure: "p50", label: "broadcasts, median", unit: "ms", noWorse: true, noise: 10 },
    { figure: "p99", label: "p99", unit: "ms", noWorse: true, noise: 50 },
    { figure: "loop", label: "longest wait of the loop", unit: "ms", noWorse: true, noise: 50 },
    { figure: "again", label: "half of them again", unit: "/s", moreIsBetter: true, noWorse: true },
    { figure: "stormP99", label: "p99 of broadcasts meanwhile", unit: "ms", noWorse: true, noise: 100 },
    { figure: "stormLoop", label: "wait of the loop", unit: "ms", noWorse: true, noise: 50 },
    { figure: "delivered", label: "delivered", moreIsBetter: true },
    { figure: "hangUp", label: "all have gone within", unit: "s", noWorse: true, noise: 1 },
    { figure: "kept", label: "memory kept", unit: "MB", noWorse: true, noise: 20 },
  ],
  scales: {
    short: { clients: 1000, seconds: 1.5, rate: 5, limit: 90 },
    normal: { clients: 10_000, seconds: 10, rate: 2, limit: 300 },
    long: { clients: 18_000, seconds: 60, rate: 2, limit: 900 },
  },
  run,
  server,
  crowd,
};

async function run({ serve, start, scale, say }) {
  const clients = Math.min(scale.clients, maxDescriptors() - OTHERS);
  if (clients < scale.clients) say(`${clients} clients, for that is what descriptors allow`);
  const server = await serve("server");
  const crowds = Array.from({ length: PROCESSES }, (_, i) =>
    start("crowd", { port: server.port, localAddress: `127.0.0.${i + 2}` }),
  );
  const share = Math.floor(clients / PROCESSES);
  const figures = { clients: share * PROCESSES };
  const askAll = (name, args) => Promise.all(crowds.map((crowd) => crowd.ask(name, args, PATIENCE)));
  const isThere = (count) =>
    eventually(async () => (await server.ask("count")) === count, `${count} clients`, PATIENCE);
  const wait = async () => (await server.usage(PATIENCE)).loopMax;

  // who has never had a client has things to load
  await askAll("connect", { count: 1 });
  await askAll("hangUp", { share: 1 });
  await isThere(0);
  await server.ask("gc");
  const before = server.totals();
  await wait();

  let begin = performance.now();
  await askAll("connect", { count: share });
  await isThere(figures.clients);
  figures.connects = figures.clients / ((performance.now() - begin) / 1000);
  figures.connectLoop = await wait();
  await server.ask("gc");
  figures.memory = (server.totals().rss - before.rss) / 1000 / figures.clients;

  await wait();
  await server.ask("begin", { rate: scale.rate });
  await delay(scale.seconds * 1000);
  const calm = summary((await askAll("latencies")).flat());
  Object.assign(figures, { p50: calm.p50, p99: calm.p99, loop: await wait() });

  begin = performance.now();
  const gone = (await askAll("hangUp", { share: 0.5 })).reduce((sum, count) => sum + count);
  await askAll("connect", { count: gone / PROCESSES });
  await isThere(figures.clients);
  figures.again = gone / ((performance.now() - begin) / 1000);
  // until a broadcast has come to the last as well
  await delay(2000 / scale.rate);
  figures.stormP99 = summary((await askAll("latencies")).flat()).p99;
  figures.stormLoop = await wait();
  const { sent } = await server.ask("end");
  const heard = await askAll("settle", { sent });
  figures.delivered = heard.reduce((sum, { delivered }) => sum + delivered, 0);
  const failures = heard.flatMap(({ faults }) => faults);

  begin = performance.now();
  await askAll("hangUp", { share: 1 });
  await isThere(0);
  const isBack = () => server.totals().descriptors <= before.descriptors;
  await eventually(isBack, "the descriptors", PATIENCE).catch(() =>
    failures.push(`${server.totals().descriptors} descriptors are open, not ${before.descriptors}`),
  );
  figures.hangUp = (performance.now() - begin) / 1000;
  figures.kept = (await memoryKept(server, before.rss)) / MB;
  return { figures, failures };
}

/** That a process may have. */
function maxDescriptors() {
  return Number(/^Max open files\s+(\d+)/m.exec(fs.readFileSync("/proc/self/limits", "utf8"))[1]);
}

function server({ io, answers }) {
  const text = "x".repeat(SIZE);
  let sent = 0;
  let timer;
  answers.count = () => io.engine.clientsCount;
  answers.begin = ({ rate }) => {
    timer = setInterval(() => io.emit("n", ++sent, now(), text), 1000 / rate);
  };
  answers.end = () => {
    clearInterval(timer);
    return { sent };
  };
}

function crowd({ args: { port, localAddress }, answers }) {
  const clients = new Set();
  const faults = [];
  let latencies = [];
  let delivered = 0;
  const fault = (sentence) => faults.length < 3 && faults.push(`${localAddress}: ${sentence}`);

  answers.connect = async ({ count }) => {
    const come = await LightClient.connectMany(count, port, { localAddress }, AT_ONCE);
    for (const client of come) {
      clients.add(client);
      client.onMessage = (payload) => {
        const [number, sentAt] = payload.toString("latin1", '42["n",'.length, 60).split(",", 2).map(Number);
        if (client.last !== undefined && number !== client.last + 1) {
          fault(`a client got ${number} behind ${client.last}`);
        }
        client.last = number;
        delivered++;
        latencies.push(now() - sentAt);
      };
      client.onEnd = (end) => fault(`a client was disconnected: ${end}`);
    }
  };
  /** Those who came first. */
  answers.hangUp = ({ share }) => {
    const going = [...clients].slice(0, Math.round(clients.size * share));
    going.forEach((client, index) => {
      clients.delete(client);
      client.onEnd = () => {};
      if (index % 2 === 0) client.destroy();
      else client.socket.resetAndDestroy();
    });
    return going.length;
  };
  /** In ms, since this was last asked. */
  answers.latencies = () => {
    const step = Math.ceil(latencies.length / SAMPLES);
    const some = latencies.filter((_, index) => index % step === 0);
    latencies = [];
    return some;
  };
  /** Whether everybody who is there has got the last one. */
  answers.settle = async ({ sent }) => {
    const missing = () => [...clients].filter(({ last }) => last !== sent).length;
    await eventually(() => missing() === 0, "the rest", 20_000).catch(() =>
      fault(`${missing()} clients have not got the last broadcast`),
    );
    return { delivered, faults };
  };
}
