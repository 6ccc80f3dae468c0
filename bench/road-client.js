"use strict";

// Drives a server with stock clients on one road: they connect, some of them send messages that come back, and messages
// are sent to all of them, one stage after the other. Tells what each of it has cost the server.

const fs = require("node:fs");
const { once } = require("node:events");
const http = require("node:http");
const https = require("node:https");
const { parseArgs } = require("node:util");
const { io } = require("socket.io-client");
const { cpuBetween, look } = require("./server-process");

/** So many connect at the same time, send, and have broadcasts under way. */
const HANDSHAKES = 20;
const SENDERS = 100;
const BROADCASTS = 2;

/** What is put off until clients have connected, such as closing the connections that they have left, in ms. */
const SETTLING = 700;
const PATIENCE = 15_000;

const FLAGS = ["port", "pid", "clients", "transports", "secs", "warm"];
const { values } = parseArgs({
  options: {
    ...Object.fromEntries(FLAGS.map((name) => [name, { type: "string" }])),
    tls: { type: "boolean", default: false },
  },
});
const url = `${values.tls ? "https" : "http"}://127.0.0.1:${values.port}`;
const text = "x".repeat(32);

main().catch((error) => fail(error.message));

async function main() {
  await collectGarbage();
  const started = look(values.pid);
  const sockets = await connectAll(Number(values.clients));
  await passed(SETTLING);
  const connected = look(values.pid);
  await collectGarbage();
  const settled = look(values.pid);
  const report = {
    cpuPerConnect: cpuBetween(started, connected) / sockets.length,
    memoryPerConnection: (settled.memory - started.memory) / sockets.length,
    cpuPerEcho: await cpuOf(echo, sockets.slice(0, SENDERS)),
    cpuPerDelivery: await cpuOf(broadcast, sockets),
  };
  fs.writeSync(1, JSON.stringify(report) + "\n");
  process.exit();
}

/** Asks the server to, so that no garbage is taken for memory that its clients need. */
async function collectGarbage() {
  const { get } = values.tls ? https : http;
  const [response] = await once(get(`${url}/gc`, { agent: false, rejectUnauthorized: false }), "response");
  await once(response.resume(), "end");
}

async function connectAll(count) {
  const sockets = [];
  await Promise.all(
    Array.from({ length: Math.min(count, HANDSHAKES) }, async () => {
      while (sockets.length < count) {
        const socket = open();
        sockets.push(socket);
        await connected(socket);
      }
    }),
  );
  return sockets;
}

function open() {
  return io(url, {
    transports: values.transports?.split(","),
    forceNew: true,
    reconnection: false,
    rejectUnauthorized: false,
  });
}

/** A client has connected once it is on the transport on which it stays. */
async function connected(socket) {
  socket.once("connect_error", (error) => fail(`a client cannot connect: ${error.message}`));
  socket.once("disconnect", (reason) => fail(`a client was disconnected: ${reason}`));
  const timer = setTimeout(() => fail("not all clients could connect"), PATIENCE);
  await once(socket, "connect");
  const { engine } = socket.io;
  if (!values.transports && engine.transport.name !== "websocket") {
    await once(engine, "upgrade");
  }
  clearTimeout(timer);
}

/**
 * What an operation of a stage costs the server, in µs. A stage begins none after its time, and is over with the last answer,
 * so that what is counted is what the server has done.
 */
async function cpuOf(stage, sockets) {
  await stage(sockets, Number(values.warm));
  const before = look(values.pid);
  const operations = await stage(sockets, Number(values.secs));
  return cpuBetween(before, look(values.pid)) / operations;
}

/** Each sends a message when the one before has come back. */
function echo(sockets, seconds) {
  const end = performance.now() + seconds * 1000;
  let echoes = 0;
  let waiting = sockets.length;
  return new Promise((resolve) => {
    const receive = (socket) => {
      echoes++;
      if (performance.now() < end) {
        socket.emit("echo", text);
      } else if (--waiting === 0) {
        sockets.forEach((socket) => socket.off("echo"));
        resolve(echoes);
      }
    };
    for (const socket of sockets) {
      socket.on("echo", () => receive(socket));
      socket.emit("echo", text);
    }
  });
}

/** One has messages sent to all; the next when one has come to itself. */
function broadcast(sockets, seconds) {
  const end = performance.now() + seconds * 1000;
  let awaited = 0;
  let deliveries = 0;
  const send = () => {
    awaited += sockets.length;
    sockets[0].emit("broadcast", text);
  };
  return new Promise((resolve) => {
    const receive = (socket) => {
      deliveries++;
      if (socket === sockets[0] && performance.now() < end) {
        send();
      } else if (deliveries === awaited) {
        sockets.forEach((socket) => socket.off("news"));
        resolve(deliveries);
      }
    };
    sockets.forEach((socket) => socket.on("news", () => receive(socket)));
    for (let index = 0; index < BROADCASTS; index++) {
      send();
    }
  });
}

function passed(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}
