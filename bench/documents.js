"use strict";

// The tables of the README and of documents, each between two comments of which the first has its name.

const fs = require("node:fs");
const path = require("node:path");
const { format, formatRatio, measures } = require("./measures");

const root = path.join(__dirname, "..");
const DOCUMENTS = ["README.md", "docs/performance.md", "docs/ws.md"].map((name) => path.join(root, name));

const STOCK = "socket.io";
const NOTHING = "–";

const ROADS = [
  ["default client (polling, then WebSocket)", "default client"],
  ["polling only", "polling only"],
  ["WebSocket only", "WebSocket only"],
  ["default client, `allowRequest` and `io.engine.use()`", "default client, with middleware"],
  ["WebSocket only, `allowRequest` and `io.engine.use()`", "WebSocket only, with middleware"],
  ["default client over TLS", "default client over TLS"],
  ["WebSocket only over TLS", "WebSocket only over TLS"],
];
const OF_ROADS = {
  cpuPerConnect: "CPU for a connect",
  memoryPerConnection: "memory of a client",
  cpuPerEcho: "CPU for an echo",
  cpuPerDelivery: "CPU for a delivery",
};
const OF_REQUESTS = [
  [
    "request of the application, on a connection of its own",
    "requests of the application, a connection each",
  ],
  ["request of the application, keep-alive", "requests of the application, keep-alive"],
  [
    "request of the application over TLS, on a connection of its own",
    "requests of the application over TLS, a connection each",
  ],
  ["request of the application over TLS, keep-alive", "requests of the application over TLS, keep-alive"],
  ["round trip of a polling client, keep-alive", "polling, 50 clients"],
  ["connect of a WebSocket client", "connect storm, 3,000 clients"],
];
const LOADS = [
  ["echo, 100 clients × 4 in flight (/s)", "echo, 100 clients × 4", "operationsPerSecond"],
  ["echo, 100 clients × 1 in flight (/s)", "echo, 100 clients × 1", "operationsPerSecond"],
  ["echo, 1 client: median latency (µs)", "echo, 1 client", "p50"],
  ["broadcast to 1,000, 2 in flight (deliveries/s)", "broadcast to 1,000 × 2", "operationsPerSecond"],
  [
    "broadcast to 1,000, 2 in flight: JavaScript thread's CPU per delivery (µs)",
    "broadcast to 1,000 × 2",
    "mainThreadPerOperation",
  ],
  ["broadcast to 1,000, 8 in flight (deliveries/s)", "broadcast to 1,000 × 8", "operationsPerSecond"],
  [
    "broadcast of 1 KiB to 1,000, deflated, 2 in flight (deliveries/s)",
    "deflated broadcast of 1 KiB to 1,000 × 2",
    "operationsPerSecond",
  ],
  [
    "chat, 20 rooms of 50, 100 clients talk (deliveries and acks/s)",
    "chat, 20 rooms of 50, 100 talk",
    "operationsPerSecond",
  ],
  [
    "broadcast to 10,000 on 4 nodes joined by Redis, 8 in flight (deliveries/s)",
    "broadcast to 10,000 on 4 nodes × 8",
    "operationsPerSecond",
  ],
  ["binary echo of 64 KiB, 20 clients (/s)", "binary echo of 64 KiB, 20 clients × 1", "operationsPerSecond"],
  ["polling, 50 clients (round trips/s)", "polling, 50 clients", "operationsPerSecond"],
  ["polling, 50 clients (round trips for a second of CPU)", "polling, 50 clients", "operationsPerCpuSecond"],
  ["connects per second, 3,000 clients", "connect storm, 3,000 clients", "operationsPerSecond"],
  ["5,000 idle connections (KiB each)", "5,000 idle", "memoryPerConnection"],
  ["15,000 idle connections (KiB each)", "15,000 idle", "memoryPerConnection"],
];
const WEBSOCKETS = [
  ["echo, 100 clients × 4 in flight (/s)", "echo, 100 clients × 4", "operationsPerSecond"],
  [
    "broadcast to 1,000 by a loop, 2 in flight (deliveries/s)",
    "broadcast to 1,000 × 2",
    "operationsPerSecond",
  ],
  [
    "the same: JavaScript thread's CPU for a delivery (µs)",
    "broadcast to 1,000 × 2",
    "mainThreadPerOperation",
  ],
  ["the same of 1 KiB (deliveries/s)", "broadcast of 1 KiB to 1,000 × 2", "operationsPerSecond"],
  ["the same, deflated (deliveries/s)", "deflated broadcast of 1 KiB to 1,000 × 2", "operationsPerSecond"],
  ["connects per second, 3,000 clients", "connect storm, 3,000 clients", "operationsPerSecond"],
  ["the same: CPU for one (µs)", "connect storm, 3,000 clients", "cpuPerOperation"],
  ["5,000 idle connections (KiB each)", "5,000 idle", "memoryPerConnection"],
];
const PEERS_ON_ROADS = ["socket.io", "Bun", "socketioxide"];
const PEERS_UNDER_LOAD = ["Bun", "ws", "socketioxide"];

const PEERS_WITHOUT_SOCKET_IO = ["ws", "Bun", "floor"];

const TABLES = { roads, "roads of all": roadsOfAll, loads, websockets };

/**
 * Writes the results into the documents.
 *
 * @param {object[]} results of ./results.js
 */
function write(results) {
  for (const file of DOCUMENTS) {
    fs.writeFileSync(file, fill(fs.readFileSync(file, "utf8"), results));
  }
}

/** A document with its tables as the results have it. */
function fill(text, results) {
  const resultOf = (name) => results.find((result) => result.name === name);
  return text.replace(
    /(<!-- bench: (.+?) -->\n).*?(<!-- \/bench -->)/gs,
    (_, begin, name, end) => `${begin}\n${TABLES[name](resultOf)}\n\n${end}`,
  );
}

/** What this package needs of what stock needs. */
function roads(resultOf) {
  const names = Object.keys(OF_ROADS);
  const rows = ROADS.map(([label, name]) => [
    label,
    ...names.map((measure) => share(resultOf(name), measure)),
  ]);
  const requests = OF_REQUESTS.filter(([, name]) => name.startsWith("requests of the application"));
  return [
    tableOf(["", ...Object.values(OF_ROADS)], rows),
    tableOf(
      ["on the same server", "CPU for it"],
      requests.map(([label, name]) => [label, share(resultOf(name), "cpuPerOperation")]),
    ),
    circumstances(resultOf(ROADS[0][1])),
  ].join("\n\n");
}

function share(result, measure) {
  const [ours, stock] = ["sockeye.io", STOCK].map((server) => result?.servers[server]);
  const ratio = stock?.ratios[measure];
  if (ratio === undefined) {
    return NOTHING;
  }
  const figures = [ours, stock].map(({ medians }) => format(medians[measure]));
  return `${Math.round(ratio * 100)} % (${figures.join(" : ")} ${measures[measure].unit})`;
}

function circumstances(result) {
  return result
    ? `Medians of ${result.rounds} rounds, ${result.measured}; ${result.machine}.`
    : "Not measured yet.";
}

/** Every figure of every server on the roads, and behind what a peer has, ours ÷ theirs. */
function roadsOfAll(resultOf) {
  const rows = ROADS.flatMap(([, name]) =>
    Object.entries(OF_ROADS).map(([measure, what]) => [`${name}: ${what}`, resultOf(name), measure]),
  );
  for (const [label, name] of OF_REQUESTS) {
    rows.push([`CPU for a ${label}`, resultOf(name), "cpuPerOperation"]);
  }
  return tableOf(
    ["", "sockeye.io", ...PEERS_ON_ROADS],
    rows.map(([label, result, measure]) => [
      `${label} (${measures[measure].unit})`,
      ...["sockeye.io", ...PEERS_ON_ROADS].map((server) => figure(result, server, measure)),
    ]),
  );
}

/** Stock, and the best of the others. */
function loads(resultOf) {
  const rows = LOADS.map(([label, name, measure]) => {
    const result = resultOf(name);
    const others = PEERS_UNDER_LOAD.filter((server) => valueOf(result, server, measure) !== undefined);
    others.sort((a, b) => valueOf(result, a, measure) - valueOf(result, b, measure));
    const best = measures[measure].moreIsBetter ? others.at(-1) : others[0];
    return [
      label,
      figure(result, "sockeye.io", measure),
      figure(result, STOCK, measure),
      best && !measures[measure].ofJsThread
        ? figure(result, best, measure).replace(")", `, ${best})`)
        : NOTHING,
    ];
  });
  return tableOf(["scenario", "sockeye.io", "socket.io 4.8.4", "best of Bun, ws, socketioxide"], rows);
}

/** Without Socket.IO. */
function websockets(resultOf) {
  const servers = ["sockeye.io", ...PEERS_WITHOUT_SOCKET_IO];
  const rows = WEBSOCKETS.map(([label, name, measure]) => {
    const result = resultOf(`WebSockets: ${name}`);
    return [label, ...servers.map((server) => figure(result, server, measure))];
  });
  return [
    tableOf(["", "sockeye.io/ws", ...PEERS_WITHOUT_SOCKET_IO], rows),
    circumstances(resultOf(`WebSockets: ${WEBSOCKETS[0][1]}`)),
  ].join("\n\n");
}

function valueOf(result, server, measure) {
  return result?.servers[server]?.medians[measure];
}

function figure(result, server, measure) {
  const value = valueOf(result, server, measure);
  const ratio = result?.servers[server]?.ratios?.[measure];
  if (value === undefined) {
    return NOTHING;
  }
  return ratio === undefined ? format(value) : `${format(value)} (${formatRatio(ratio)})`;
}

/** A table of Markdown, whose first column is text and whose others are numbers. */
function tableOf(headings, rows) {
  const alignment = headings.map((_, index) => (index === 0 ? "---" : "---:"));
  return [
    `| ${headings.join(" | ")} |`,
    `|${alignment.join("|")}|`,
    ...rows.map((row) => `| ${row.join(" | ")} |`),
  ].join("\n");
}

module.exports = { DOCUMENTS, fill, tableOf, write };
