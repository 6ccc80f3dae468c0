"use strict";

// 200 stock clients, in two processes, talk to a server through a proxy that splits, delays, stops and ends connections
// at random (support/proxy.js). They begin with polling, upgrade, reconnect, and recover their sessions. Four streams of
// numbered messages go to each client, one comes from it; whoever receives one keeps a ledger (support/ledger.js):
//
//   "all"   to everybody                  no number is left out within a session, recovered or not
//   "room"  to each room of 20            the same
//   "own"   to one client                 the same
//   "ask"   to one client, with an ack    what was acked has come
//   "up"    to the server, with an ack    what was acked has come
//
// None of it may come twice, or in another order, or to somebody it is not for.
//
// Variants: plain, tls, deflate, workers (four native threads), nodes (two processes, joined by Redis streams; that Redis is
// killed and started again in the middle; without recovery).

const { setTimeout: delay } = require("node:timers/promises");
const { Ledger, sum } = require("./support/ledger");

const PROCESSES = 2;
const ROOMS = 20;
/** so many of them each client is in */
const ROOMS_EACH = 2;
/** What a tick of the server sends: so many broadcasts to each room; and one client in so many is asked something. */
const ROOM_BROADCASTS = 4;
const ASKED = 10;
/** So many ticks the server may be in front of what half of the clients have seen. */
const WINDOW = 12;
/** A tick all the same, if clients have nothing to count from, in ms. */
const LEAST_TICK = 100;
/** How long a session may be recovered, in ms. */
const RECOVERY = 20_000;

const OPTIONS = {
  connectionStateRecovery: { maxDisconnectionDuration: RECOVERY },
  // a client that hears nothing for five seconds tries anew
  pingInterval: 3000,
  pingTimeout: 2000,
};
const TEXT = "It was the best of times, it was the worst of times";

const VARIANTS = {
  plain: {},
  tls: { stream: "tls" },
  deflate: { server: { perMessageDeflate: { threshold: 0 } } },
  workers: { server: { workers: 4 } },
  // without recovery: the adapter delivers a node's own messages when they are published and those of others when it reads
  // them, so that a client does not get them in the order of their offsets, by which it recovers what was missed
  nodes: { nodes: 2, server: { connectionStateRecovery: undefined } },
};

const count = (label) => ({ figure: label, label });

module.exports = {
  name: "nothing-lost",
  shows:
    "200 clients on a network that fails: nothing acked is lost, nothing comes twice, out of order, or astray",
  variants: Object.keys(VARIANTS),
  rows: [
    { figure: "events", label: "events", moreIsBetter: true },
    count("lost"),
    count("doubled"),
    count("misordered"),
    count("misdirected"),
    count("accidents"),
    count("sessions"),
    count("recovered"),
    { figure: "rate", label: "events a second", moreIsBetter: true },
    { figure: "cpu", label: "CPU an event", unit: "µs" },
    { figure: "loopMax", label: "longest wait of the loop", unit: "ms" },
  ],
  scales: {
    short: { clients: 200, seconds: 5, life: 2500, limit: 60 },
    normal: { clients: 200, seconds: 60, life: 8000, limit: 180 },
    long: { clients: 200, events: 10_000_000, life: 20_000, limit: 1800 },
  },
  run,
  server,
  proxy,
  clients,
};

async function run({ serve, start, scale, seed, variant = "plain", say, atEnd }) {
  // `plain,drop` has the server drop a message, so that tests can see that this is noticed
  const [form, sabotage] = variant.split(",");
  const { nodes = 1, ...how } = VARIANTS[form];
  const broker = nodes > 1 ? await startBroker(atEnd) : undefined;
  const settings = { ...how, server: { ...OPTIONS, ...how.server } };
  const servers = await Promise.all(
    Array.from({ length: nodes }, () => serve("server", { sabotage, redis: broker?.port, nodes }, settings)),
  );
  const network = start("proxy", { ports: servers.map(({ port }) => port), seed, life: scale.life });
  const { ports } = await network.message("listening");
  const processes = Array.from({ length: PROCESSES }, (_, part) =>
    start("clients", { count: scale.clients, part, ports, isSecure: how.stream === "tls" }),
  );
  await Promise.all(processes.map((process) => process.message("ready", 30_000)));
  await network.ask("storm");

  const begin = performance.now();
  const before = servers.map((server) => server.totals().cpu);
  await Promise.all(servers.map((server) => server.usage()));
  const { received } = await driveTicks({ servers, processes, scale, say, broker });
  const seconds = (performance.now() - begin) / 1000;
  const cpu = servers.reduce((total, server, index) => total + server.totals().cpu - before[index], 0);
  const usages = await Promise.all(servers.map((server) => server.usage(30_000)));

  const accidents = await network.ask("calm");
  const lasts = await finish(servers, processes);
  const unacked = Object.assign(
    {},
    ...(await Promise.all(processes.map((process) => process.ask("unacked", undefined, 30_000)))),
  );
  const reports = [
    ...(await Promise.all(processes.map((process) => process.ask("report", lasts, 60_000)))),
    ...(await Promise.all(servers.map((server) => server.ask("report", unacked)))),
  ];
  const total = { lost: 0, doubled: 0, misordered: 0, misdirected: 0, sessions: 0, recovered: 0 };
  let events = 0;
  for (const one of reports) {
    events += one.received;
    for (const name of Object.keys(total)) total[name] += one[name] ?? 0;
  }
  const examples = reports.flatMap((one) => one.examples).slice(0, 10);
  const failures = ["lost", "doubled", "misordered", "misdirected"]
    .filter((name) => total[name] > 0)
    .map(
      (name) =>
        `${total[name]} of ${events} events ${name} (${examples.filter((one) => one.includes(name)).join("; ")})`,
    );
  const figures = {
    events,
    ...total,
    accidents: Object.values(accidents).reduce((a, b) => a + b, 0),
    rate: received / seconds,
    cpu: (cpu * 1000) / received,
    loopMax: Math.max(...usages.map(({ loopMax }) => loopMax)),
  };
  return { figures, failures };
}

/** Lets the servers tick as fast as half of the clients hear them, until there was enough. */
async function driveTicks({ servers, processes, scale, say, broker }) {
  const begin = performance.now();
  const states = processes.map(() => ({ ticks: [], received: 0 }));
  const isOver = ({ received, elapsed }) =>
    scale.events ? received >= scale.events : elapsed >= scale.seconds * 1000;
  const expected = (received, elapsed) =>
    scale.events ? received / scale.events : elapsed / scale.seconds / 1000;
  let told = begin;
  let restart;
  for (;;) {
    await Promise.all(
      processes.map(
        async (process, index) => (states[index] = await process.ask("progress", undefined, 30_000)),
      ),
    );
    const now = performance.now();
    const received = states.reduce((total, state) => total + state.received, 0);
    if (isOver({ received, elapsed: now - begin })) break;
    if (broker && !restart && expected(received, now - begin) > 0.5)
      restart = restartBroker(broker, servers, say);
    const ticks = states.flatMap((state) => state.ticks);
    for (const [node, server] of servers.entries()) {
      const heard = ticks.filter((tick) => tick.node === node).map((tick) => tick.last);
      await server.ask("allow", { upTo: middle(heard) + WINDOW }, 30_000);
    }
    if (now - told > 15_000) {
      told = now;
      say(`${received.toLocaleString("en")} events`);
    }
    await delay(20);
  }
  await restart;
  await Promise.all(servers.map((server) => server.ask("stop")));
  const received = states.reduce((total, state) => total + state.received, 0);
  return { received };
}

/**
 * Has everybody come to have the last number of each stream, and returns those. Whoever finds out only now that the
 * connection is gone needs another one.
 */
async function finish(servers, processes) {
  for (let time = 0; ; time++) {
    await Promise.all(processes.map((process) => process.ask("connected", undefined, 60_000)));
    await Promise.all(servers.map((server) => server.ask("finish")));
    // streams of several nodes have names of their own
    const lasts = Object.assign({}, ...(await Promise.all(servers.map((server) => server.ask("lasts")))));
    const behind = await Promise.all(processes.map((process) => process.ask("behind", lasts, 30_000)));
    if (behind.every((count) => count === 0) || time === 3) return lasts;
  }
}

function middle(numbers) {
  return numbers.sort((a, b) => a - b)[numbers.length >> 1] ?? 0;
}

async function startBroker(atEnd) {
  const { RedisBroker } = require("../__test__/support/brokers");
  const broker = new RedisBroker();
  atEnd(() => broker.close());
  await broker.start();
  return broker;
}

/** What a node had said to Redis when it was killed may have got there or not: so nothing is on its way then. */
async function restartBroker(broker, servers, say) {
  await Promise.all(servers.map((server) => server.ask("pause", true)));
  await delay(1000);
  await broker.kill();
  say("Redis is gone");
  await Promise.all(servers.map((server) => server.ask("pause", false)));
  await delay(1500);
  await broker.start();
  say("Redis is back");
}

// the server

async function server({ args, io, answers }) {
  const { sabotage, redis, nodes } = args;
  let node = 0;
  if (redis) node = await joinNodes(io, redis);
  answers.node = () => node;

  /** Of each client: who it is at the moment, what has come from it, and what it was asked. */
  const people = new Map();
  let sessions = 0;
  let recovered = 0;
  let misdirected = 0;

  io.on("connection", (socket) => {
    const { user } = socket.handshake.auth;
    const person = people.get(user) ?? {
      user,
      up: new Ledger(`up from ${user}`),
      asked: 0,
      unacked: new Set(),
    };
    people.set(user, person);
    person.socket = socket;
    sessions++;
    if (socket.recovered) recovered++;
    else socket.join([`own ${user}`, ...roomsOf(user).map((room) => `room ${room}`)]);
    socket.on("up", (from, number, ack) => {
      if (from !== user) misdirected++;
      if (sabotage === "forget" && number === 20 && user === 7) return ack(user, number);
      person.up.note(socket.id, number);
      ack(user, number);
    });
    socket.on("disconnect", () => {
      if (person.socket === socket) person.socket = undefined;
    });
  });

  const numbers = {};
  const next = (stream) => (numbers[stream] = (numbers[stream] ?? 0) + 1);
  /** Numbers a message of a stream, and sends it. */
  function send(target, event, address) {
    const stream = `${event} ${address} ${node}`;
    const number = next(stream);
    const isChosen =
      number === 30 && sabotage !== undefined && (event === "own" ? address === 7 : address === 3);
    if (isChosen && event === "room" && sabotage === "drop") {
      target = target.except(people.get(3).socket.id);
    } else if (isChosen && event === "own" && sabotage === "double") {
      target.emit(event, address, node, number, TEXT);
    } else if (isChosen && event === "own" && sabotage === "misdirect") {
      io.to("own 8").emit(event, address, node, number, TEXT);
      return;
    } else if (isChosen && event === "room" && sabotage === "misorder") {
      target.emit(event, address, node, next(stream), TEXT);
    }
    target.emit(event, address, node, number, TEXT);
  }

  let tick = 0;
  function runTick() {
    tick++;
    send(io, "all", "all");
    for (let room = 0; room < ROOMS; room++) {
      for (let time = 0; time < ROOM_BROADCASTS; time++) send(io.to(`room ${room}`), "room", room);
    }
    for (const [user, person] of people) {
      if (user % nodes !== node) continue;
      send(io.to(`own ${user}`), "own", user);
      if ((user + tick) % ASKED === 0 && person.socket) ask(person);
    }
  }

  function ask(person) {
    const number = ++person.asked;
    person.unacked.add(number);
    person.socket.emit("ask", person.user, node, number, (user, acked) => {
      if (user !== person.user || acked !== number) misdirected++;
      person.unacked.delete(number);
    });
  }

  let allowed;
  let isOver = false;
  let isPaused = false;
  let lastTick = 0;
  function goOn() {
    if (isOver) return;
    const isDue = tick < allowed || performance.now() - lastTick > LEAST_TICK;
    if (allowed !== undefined && !isPaused && isDue) {
      runTick();
      lastTick = performance.now();
      setImmediate(goOn);
    } else {
      setTimeout(goOn, 2);
    }
  }
  goOn();

  answers.allow = ({ upTo }) => void (allowed = upTo);
  answers.pause = (is) => void (isPaused = is);
  answers.stop = () => void (isOver = true);
  answers.finish = runTick;
  answers.lasts = () => {
    const asked = [...people].map(([user, person]) => [
      `ask ${user} ${node}`,
      [person.asked, [...person.unacked]],
    ]);
    const lasts = Object.entries(numbers).map(([stream, number]) => [stream, [number]]);
    return Object.fromEntries([...lasts, ...asked]);
  };
  answers.report = (unacked) => {
    for (const [user, { up }] of people) {
      if (user % nodes !== node) continue;
      const { sent, waiting } = unacked[user];
      up.settle(sent, new Set(waiting));
    }
    return { ...sum([...people.values()].map(({ up }) => up)), misdirected, sessions, recovered };
  };
}

/** Which rooms a client is in. */
function roomsOf(user) {
  return Array.from({ length: ROOMS_EACH }, (_, index) => (user + index * 7) % ROOMS);
}

/** Joins the other node by way of Redis, and returns which of them this is. */
async function joinNodes(io, port) {
  const { Redis } = require("ioredis");
  const { createAdapter } = require("@socket.io/redis-streams-adapter");
  const redis = new Redis(port, "127.0.0.1", { retryStrategy: () => 100, maxRetriesPerRequest: null });
  redis.on("error", () => {});
  const node = (await redis.incr("nodes")) - 1;
  io.adapter(createAdapter(redis, { maxLen: 1_000_000, heartbeatInterval: 1000, heartbeatTimeout: 60_000 }));
  return node;
}

// the proxy

async function proxy({ args, tell, answers }) {
  const { FaultyProxy } = require("./support/proxy");
  const proxies = await Promise.all(
    args.ports.map((port, index) => new FaultyProxy(port, { ...args, seed: args.seed + index }).listen()),
  );
  answers.calm = () => {
    const accidents = {};
    for (const one of proxies) {
      one.calm();
      for (const [name, times] of Object.entries(one.accidents))
        accidents[name] = (accidents[name] ?? 0) + times;
    }
    return accidents;
  };
  answers.storm = () => proxies.forEach((one) => one.storm());
  tell("listening", { ports: proxies.map(({ port }) => port) });
}

// the clients

async function clients({ args, tell, answers }) {
  const { count, ports, part, isSecure } = args;
  const users = Array.from({ length: count }, (_, user) => user).filter((user) => user % PROCESSES === part);
  const all = users.map((user) => new Client(user, ports, isSecure));
  await Promise.all(all.map((client) => client.untilConnected()));
  tell("ready");

  answers.progress = () => ({
    received: all.reduce((total, client) => total + client.received, 0),
    ticks: all.flatMap((client) => client.ticks()),
  });
  answers.connected = () => Promise.all(all.map((client) => client.untilConnected()));
  /** What was sent to the server, and not acked. After the ack of one more, nothing else of this session is to come. */
  answers.unacked = async () => {
    await Promise.all(all.map((client) => client.sendLast()));
    return Object.fromEntries(all.map(({ user, sent, unacked }) => [user, { sent, waiting: [...unacked] }]));
  };
  /** How many are not there yet, after a while in which they might have come. */
  answers.behind = async (lasts) => {
    const end = performance.now() + 3000;
    let behind;
    do {
      behind = all.filter((client) => client.isBehind(lasts)).length;
      if (behind > 0) await delay(20);
    } while (behind > 0 && performance.now() < end);
    return behind;
  };
  answers.report = (lasts) => {
    for (const client of all) client.settle(lasts);
    const ledgers = all.flatMap((client) => [...client.ledgers.values()]);
    const misdirected = all.reduce((total, client) => total + client.misdirected, 0);
    return { ...sum(ledgers), misdirected };
  };
}

class Client {
  received = 0;
  misdirected = 0;
  /** of what goes to the server */
  sent = 0;
  unacked = new Set();
  ledgers = new Map();

  constructor(user, ports, isSecure) {
    const { io } = require("socket.io-client");
    this.user = user;
    this.nodes = ports.length;
    this.rooms = new Set(roomsOf(user));
    this.socket = io(`${isSecure ? "https" : "http"}://127.0.0.1:${ports[user % ports.length]}`, {
      auth: { user },
      forceNew: true,
      rejectUnauthorized: false,
      reconnectionDelay: 50,
      reconnectionDelayMax: 500,
      timeout: 4000,
    });
    // The client keeps what has come in front of the CONNECT of a connection that then breaks, and hands it over when the
    // next one has brought it again. That is a defect of the client, which would look like one of the server.
    this.socket.io.on("close", () => (this.socket.receiveBuffer = []));
    this.socket.on("all", (address, node, number) =>
      this.#note("all", address, node, number, address === "all"),
    );
    this.socket.on("own", (address, node, number) =>
      this.#note("own", address, node, number, address === user),
    );
    this.socket.on("room", (address, node, number) =>
      this.#note("room", address, node, number, this.rooms.has(address)),
    );
    this.socket.on("ask", (address, node, number, ack) => {
      this.#note("ask", address, node, number, address === user);
      ack(user, number);
    });
    this.socket.on("all", () => this.socket.connected && this.#send());
  }

  #note(event, address, node, number, isForUs) {
    this.received++;
    if (!isForUs) {
      this.misdirected++;
      return;
    }
    const stream = `${event} ${address} ${node}`;
    let ledger = this.ledgers.get(stream);
    if (ledger === undefined) {
      ledger = new Ledger(`${stream} to ${this.user}`, { isGapless: event !== "ask" });
      this.ledgers.set(stream, ledger);
    }
    // a recovered session has the id that it had
    ledger.note(this.socket.id, number);
  }

  #send(done) {
    const number = ++this.sent;
    this.unacked.add(number);
    this.socket.emit("up", this.user, number, (user, acked) => {
      if (user !== this.user || acked !== number || !this.unacked.delete(number)) this.misdirected++;
      done?.();
    });
  }

  /** What it has heard of each node. */
  ticks() {
    return Array.from({ length: this.nodes }, (_, node) => ({
      node,
      last: this.ledgers.get(`all all ${node}`)?.last ?? 0,
    }));
  }

  async untilConnected() {
    while (!this.socket.connected) await delay(10);
  }

  async sendLast() {
    let isAcked = false;
    while (!isAcked) {
      await this.untilConnected();
      await Promise.race([
        new Promise((resolve) => this.#send(resolve)).then(() => (isAcked = true)),
        delay(5000),
      ]);
    }
  }

  isBehind(lasts) {
    return [...this.ledgers].some(([stream, ledger]) => ledger.isGapless && ledger.last < lasts[stream][0]);
  }

  settle(lasts) {
    for (const [stream, ledger] of this.ledgers) {
      const [last, unacked] = lasts[stream];
      ledger.settle(last, unacked && new Set(unacked));
    }
  }
}
