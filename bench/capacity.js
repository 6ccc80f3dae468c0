"use strict";

// `node bench/capacity.js`: what clients, and their being in rooms, take of a server's memory, for docs/production.md.
//
//   node bench/capacity.js --clients 5000 --rooms 20
//
// A server and its clients, which are bare WebSockets, are a process each. Memory is the server's resident set after it has
// collected its garbage, less what it was before; each kind of room begins with a new server. Linux only.

const { fork } = require("node:child_process");
const crypto = require("node:crypto");
const { once } = require("node:events");
const net = require("node:net");
const { parseArgs } = require("node:util");
const { look } = require("./server-process");

/** What a server is told to do with its clients, what is counted for it, and what that is called. */
const KINDS = [
  {
    label: "to be in one of a few large rooms",
    rooms: (client, room) => `room ${room}`,
  },
  {
    label: "the same, of rooms that have been broadcast to",
    rooms: (client, room) => `room ${room}`,
    isBroadcastTo: true,
  },
  {
    label: "to be in a room of 5",
    rooms: (client, room) => `room ${room} ${Math.floor(client / 5)}`,
  },
  {
    label: "to be alone in a room",
    rooms: (client, room) => `room ${room} ${client}`,
  },
];

if (process.argv[2] === "--serve") serve();
else {
  main().catch((error) => {
    console.error(error);
    process.exit(1);
  });
}

async function main() {
  const { values } = parseArgs({
    options: {
      clients: { type: "string", default: "5000" },
      rooms: { type: "string", default: "20" },
    },
  });
  const [clients, rooms] = [Number(values.clients), Number(values.rooms)];
  console.log(
    `${clients} clients, each of them in ${rooms} rooms; bytes for each client, and for each of its rooms`,
  );
  for (const [kind, { label }] of KINDS.entries()) {
    const { perClient, perMembership } = await measure(kind, clients, rooms);
    console.log(`${label}: ${Math.round(perMembership)} (a client in no room: ${Math.round(perClient)})`);
  }
}

async function measure(kind, clients, rooms) {
  const server = fork(__filename, ["--serve"], { execArgv: ["--expose-gc"] });
  try {
    const [port] = await once(server, "message");
    const empty = await memory(server);
    const sockets = [];
    for (let i = 0; i < clients; i++) {
      sockets.push(connect(port));
      if (i % 100 === 99) await Promise.all(sockets.slice(-100));
    }
    await Promise.all(sockets);
    const idle = await memory(server);
    server.send({ kind, rooms });
    await once(server, "message");
    const joined = await memory(server);
    for (const socket of sockets) (await socket).destroy();
    return { perClient: (idle - empty) / clients, perMembership: (joined - idle) / clients / rooms };
  } finally {
    server.kill();
  }
}

/** The resident set of a server that has nothing to do, in bytes. */
async function memory(server) {
  server.send("collect");
  await once(server, "message");
  return look(server.pid).memory * 1024;
}

/** A client that has joined the main namespace, and reads what it is sent. */
async function connect(port) {
  const socket = net.connect(port, "127.0.0.1");
  const key = crypto.randomBytes(16).toString("base64");
  socket.write(
    `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\n` +
      `Connection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
  );
  let said = "";
  socket.on("data", (chunk) => (said = (said + chunk.toString("latin1")).slice(-1024)));
  while (!said.includes("0{")) await once(socket, "data");
  // "40", masked by zeros
  socket.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x34, 0x30]));
  while (!said.includes("40{")) await once(socket, "data");
  socket.removeAllListeners("data").resume();
  return socket;
}

function serve() {
  const { createServer } = require("node:http");
  const { Server } = require("sockeye.io");
  const application = require("./application");
  const httpServer = createServer();
  const io = new Server(httpServer, { serveClient: false, pingInterval: 600_000 });
  application(io);
  httpServer.listen(0, "127.0.0.1", () => process.send(httpServer.address().port));
  process.on("message", (message) => {
    if (message === "collect") collect();
    else joinAll(io, message);
  });
}

function collect() {
  globalThis.gc();
  // what was freed in the first round
  setTimeout(() => {
    globalThis.gc();
    process.send("collected");
  }, 200);
}

function joinAll(io, { kind, rooms }) {
  const { rooms: nameOf, isBroadcastTo } = KINDS[kind];
  const names = new Set();
  let client = 0;
  for (const socket of io.sockets.sockets.values()) {
    for (let room = 0; room < rooms; room++) {
      const name = nameOf(client, room);
      names.add(name);
      socket.join(name);
    }
    client++;
  }
  if (isBroadcastTo) for (const name of names) io.to(name).emit("news", 1);
  process.send("joined");
}
