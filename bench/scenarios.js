"use strict";

// What is measured, and with whom it can be compared.

/**
 * @typedef {object} Scenario
 * @property {string} name
 * @property {string} [group] those that are asked for together
 * @property {string} [operation] what is counted, in the plural
 * @property {object} load flags of what drives the server
 * @property {string[]} peers
 * @property {string[]} measures of ./measures.js
 * @property {object} [server] the environment of the server
 * @property {"raw"} [framing] without Socket.IO, whoever it is: of this package, it is `sockeye.io/ws`
 * @property {number} [nodes] how many servers there are, joined by Redis
 * @property {"stock-client" | "road-client" | "request-client" | "attachment-client"} [driver] in place of the load generator
 * @property {number} [leastSecs] what a run, or each stage of one, takes at least, whatever is asked for
 * @property {number} [mostSecs] what it takes at most
 * @property {boolean} [quick] whether --quick has it
 * @property {string[]} [charts] the measures that the chart shows
 */

const SOCKET_IO = ["socket.io", "Bun", "socketioxide"];
const FRAMES = [...SOCKET_IO, "ws", "floor"];

const LOAD = ["operationsPerSecond", "cpuPerOperation", "mainThreadPerOperation", "p50", "p99"];
const COST = ["cpuPerOperation", "mainThreadPerOperation"];
const MEMORY = ["memoryPerConnection"];
const RATES = ["rateToServer", "rateToClient", "cpuToServer", "cpuToClient"];
const ROAD = ["cpuPerConnect", "memoryPerConnection", "cpuPerEcho", "cpuPerDelivery"];

/** @type {Scenario[]} */
const scenarios = [
  {
    ...road("default client", {}),
    quick: true,
    charts: ROAD,
  },
  {
    ...road("polling only", { transports: "polling" }),
    charts: ["cpuPerConnect", "cpuPerEcho"],
  },
  road("WebSocket only", { transports: "websocket" }),
  withMiddleware(road("default client, with middleware", {})),
  withMiddleware(road("WebSocket only, with middleware", { transports: "websocket" })),
  overTls(road("default client over TLS", {})),
  overTls(road("WebSocket only over TLS", { transports: "websocket" })),
  requests("requests of the application, a connection each", {}),
  requests("requests of the application, keep-alive", { "keep-alive": true }),
  overTls(requests("requests of the application over TLS, a connection each", {})),
  overTls(requests("requests of the application over TLS, keep-alive", { "keep-alive": true })),
  {
    name: "polling, 50 clients",
    group: "roads",
    operation: "round trips",
    load: { scenario: "polling", clients: 50 },
    mostSecs: 1,
    peers: SOCKET_IO,
    measures: [...LOAD, "operationsPerCpuSecond"],
    quick: true,
    charts: ["operationsPerSecond"],
  },
  {
    name: "connect storm, 3,000 clients",
    group: "roads",
    operation: "connects",
    load: { scenario: "connect", clients: 3000 },
    peers: FRAMES,
    measures: LOAD,
    quick: true,
    charts: ["operationsPerSecond"],
  },
  {
    ...echo("echo, 1 client", { clients: 1, inflight: 1 }),
    quick: true,
    charts: ["p50"],
  },
  {
    ...echo("echo, 100 clients × 1", { clients: 100, inflight: 1 }),
    quick: true,
    charts: ["operationsPerSecond"],
  },
  {
    ...echo("echo, 100 clients × 4", { clients: 100, inflight: 4 }),
    quick: true,
    charts: ["operationsPerSecond"],
  },
  {
    ...echo("echo, 100 clients × 4, watched", { clients: 100, inflight: 4 }),
    server: { METRICS: "1" },
    peers: ["socket.io"],
  },
  echo("echo of 4 KiB, 100 clients × 4", { clients: 100, inflight: 4, size: 4096 }),
  {
    ...echo("echo, stock client, 20 clients × 4", { clients: 20, inflight: 4 }),
    driver: "stock-client",
    peers: SOCKET_IO,
  },
  {
    name: "acks, 100 clients × 4",
    operation: "acks",
    load: { scenario: "ack", clients: 100, inflight: 4 },
    peers: [...SOCKET_IO, "floor"],
    measures: LOAD,
  },
  {
    ...api("emit with ack", { scenario: "question", clients: 20, inflight: 20 }),
    operation: "answers",
  },
  {
    ...api("join and leave", { scenario: "rooms", clients: 20, inflight: 1 }),
    operation: "joins and leaves",
  },
  {
    ...api("join and leave, mirrored room", { scenario: "crowd", clients: 20, inflight: 1 }),
    operation: "joins and leaves",
  },
  {
    name: "binary echo of 64 KiB, 20 clients × 1",
    operation: "echoes",
    load: { scenario: "binary", clients: 20, inflight: 1, size: 65536 },
    peers: FRAMES,
    measures: LOAD,
  },
  attachment("attachment of 40 MB over WebSocket", { transports: "websocket" }),
  attachment("attachment of 40 MB, polling", { transports: "polling" }),
  broadcast("broadcast to 100 × 1", { clients: 100, inflight: 1 }),
  {
    ...broadcast("broadcast to 1,000 × 2", { clients: 1000, inflight: 2 }),
    quick: true,
    charts: ["operationsPerSecond"],
  },
  {
    ...broadcast("broadcast to 1,000 × 8", { clients: 1000, inflight: 8 }),
    quick: true,
    charts: ["operationsPerSecond"],
  },
  broadcast("broadcast to 10,000 × 1", { clients: 10000, inflight: 1 }),
  broadcast("broadcast of 1 KiB to 100 × 1", { clients: 100, inflight: 1, size: 1024 }),
  broadcast("broadcast of 1 KiB to 1,000 × 2", { clients: 1000, inflight: 2, size: 1024 }),
  broadcast("broadcast of 1 KiB to 1,000 × 8", { clients: 1000, inflight: 8, size: 1024 }),
  broadcast("broadcast of 1 KiB to 10,000 × 1", { clients: 10000, inflight: 1, size: 1024 }),
  {
    ...broadcast("broadcast to 1,000 × 2 with except", { clients: 1000, inflight: 2, except: true }),
    peers: SOCKET_IO,
  },
  {
    ...broadcast("deflated broadcast of 1 KiB to 1,000 × 2", {
      clients: 1000,
      inflight: 2,
      size: 1024,
      deflate: true,
    }),
    server: { MODE: "broadcast", DEFLATE: "1" },
    peers: ["socket.io", "ws"],
    quick: true,
    charts: ["operationsPerSecond"],
  },
  {
    ...broadcast("100 rooms of 10 × 1", { clients: 1000, rooms: 100, inflight: 1 }),
    peers: SOCKET_IO,
  },
  raw(echo("WebSockets: echo, 100 clients × 4", { clients: 100, inflight: 4 })),
  raw(broadcast("WebSockets: broadcast to 1,000 × 2", { clients: 1000, inflight: 2 })),
  raw(broadcast("WebSockets: broadcast of 1 KiB to 1,000 × 2", { clients: 1000, inflight: 2, size: 1024 })),
  {
    ...raw(
      broadcast("WebSockets: deflated broadcast of 1 KiB to 1,000 × 2", {
        clients: 1000,
        inflight: 2,
        size: 1024,
        deflate: true,
      }),
    ),
    server: { MODE: "broadcast", DEFLATE: "1" },
    peers: ["ws"],
  },
  raw({
    name: "WebSockets: connect storm, 3,000 clients",
    operation: "connects",
    load: { scenario: "connect", clients: 3000 },
    measures: LOAD,
  }),
  raw(idle("WebSockets: 5,000 idle", { clients: 5000 })),
  cluster("broadcast to 10,000 on 4 nodes × 2", { clients: 10000, inflight: 2 }),
  cluster("broadcast to 10,000 on 4 nodes × 8", { clients: 10000, inflight: 8 }),
  {
    name: "chat, 20 rooms of 50, 100 talk",
    operation: "deliveries and acks",
    load: { scenario: "chat", clients: 1000, rooms: 20, senders: 100, inflight: 1 },
    peers: SOCKET_IO,
    measures: LOAD,
    charts: ["operationsPerSecond"],
  },
  {
    ...idle("5,000 idle", { clients: 5000 }),
    quick: true,
    charts: ["memoryPerConnection"],
  },
  idle("15,000 idle", { clients: 15000 }),
  heartbeats("heartbeats of 5,000 idle", { clients: 5000 }),
  heartbeats("heartbeats of 15,000 idle", { clients: 15000 }),
];

/** Stock clients on one of the ways that lead to a server. */
function road(name, load) {
  return {
    name,
    group: "roads",
    driver: "road-client",
    load: { clients: 600, ...load },
    mostSecs: 1,
    peers: SOCKET_IO,
    measures: ROAD,
  };
}

/** With allowRequest and io.engine.use(); of the peers, only stock has both. */
function withMiddleware(scenario) {
  return { ...scenario, server: { MIDDLEWARE: "1" }, peers: ["socket.io"] };
}

/** socketioxide has no TLS of its own. */
function overTls(scenario) {
  return {
    ...scenario,
    load: { ...scenario.load, tls: true },
    server: { TLS: "1" },
    peers: ["socket.io", "Bun"],
  };
}

/** What the application answers on the same server, where the engine must not be in the way. */
function requests(name, load) {
  return {
    name,
    group: "roads",
    operation: "requests",
    driver: "request-client",
    load: { clients: 20, ...load },
    mostSecs: 3,
    peers: SOCKET_IO,
    measures: ["cpuPerOperation"],
  };
}

function echo(name, load) {
  return {
    name,
    operation: "echoes",
    load: { scenario: "echo", ...load },
    peers: FRAMES,
    measures: LOAD,
  };
}

/** One stock client, and the peer that can be told to take as much. Over polling, it takes seconds for one. */
function attachment(name, load) {
  return {
    name,
    driver: "attachment-client",
    load: { size: 40e6, ...load },
    server: { MAX_MESSAGE: "100000000" },
    peers: ["socket.io"],
    measures: RATES,
  };
}

/** What the application does on the JavaScript thread; the clients are slower than the server. */
function api(name, load) {
  return { name, driver: "stock-client", load, peers: ["socket.io"], measures: COST };
}

function broadcast(name, load) {
  return {
    name,
    operation: "deliveries",
    load: { scenario: "broadcast", ...load },
    server: { MODE: "broadcast" },
    peers: FRAMES,
    measures: LOAD,
  };
}

/** Without Socket.IO. */
function raw(scenario) {
  return { ...scenario, group: "websockets", framing: "raw", peers: ["ws", "Bun", "floor"] };
}

/** As broadcast(), spread over nodes that Redis joins. */
function cluster(name, load) {
  return { ...broadcast(name, load), nodes: 4, peers: ["socket.io"] };
}

function idle(name, load) {
  return { name, load: { scenario: "idle", ...load }, leastSecs: 2, peers: FRAMES, measures: MEMORY };
}

function heartbeats(name, load) {
  return {
    name,
    operation: "heartbeats",
    load: { scenario: "heartbeats", ...load },
    server: { PING_INTERVAL: "1000" },
    leastSecs: 2,
    peers: SOCKET_IO,
    measures: COST,
  };
}

module.exports = scenarios;
