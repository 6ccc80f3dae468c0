"use strict";

// The clients of `sockeye.io compare`, in a process of their own: as much of Socket.IO's protocol as it takes.

const { WebSocket } = require("ws");
const { answer } = require("./children");

/** So many connect at the same time, send, and have broadcasts under way. */
const HANDSHAKES = 20;
const SENDERS = 100;
const BROADCASTS = 2;

const TEXT = "x".repeat(32);
const ECHO = `42${JSON.stringify(["echo", TEXT])}`;
const BROADCAST = `42${JSON.stringify(["broadcast", TEXT])}`;

const clients = [];

/** What takes an event that has come to a client. */
let receive = () => {};

/** Says that what is under way cannot be done any more. */
let fail = () => {};

/** Connects one client. */
function connect(url) {
  return new Promise((resolve, reject) => {
    const client = new WebSocket(url, { perMessageDeflate: false });
    client.on("error", reject);
    client.on("close", () => {
      reject(new Error("the server has closed a connection"));
      fail(new Error("the server has closed a connection"));
    });
    client.on("message", (data) => {
      const text = data.toString("latin1");
      if (text.startsWith("42")) receive(client);
      else if (text === "2") client.send("3");
      else if (text[0] === "0") client.send("40");
      else if (text.startsWith("40")) resolve(client);
    });
  });
}

/** Connects them all; resolves with the seconds that it took. */
async function connectAll({ port, count }) {
  const url = `ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`;
  const begin = performance.now();
  let missing = count;
  const connectSome = async () => {
    while (missing-- > 0) clients.push(await connect(url));
  };
  await Promise.all(Array.from({ length: HANDSHAKES }, connectSome));
  return (performance.now() - begin) / 1000;
}

/**
 * Some send a message each, and the next when it has come back. None is sent when the time is up, and the end is the last answer.
 * @returns {Promise<{ operations: number, seconds: number, median: number }>} `median`: of the times in µs
 */
function echo({ seconds }) {
  const senders = clients.slice(0, SENDERS);
  const sent = new Map();
  const times = [];
  const send = (client) => {
    sent.set(client, performance.now());
    client.send(ECHO);
  };
  let waiting = senders.length;
  return untilEnd(seconds, (end, resolve) => {
    receive = (client) => {
      const now = performance.now();
      times.push(now - sent.get(client));
      if (now < end) send(client);
      else if (--waiting === 0) resolve({ operations: times.length, median: medianOf(times) * 1000 });
    };
    senders.forEach(send);
  });
}

/** One has messages sent to all; the next when one has come back to it. */
function broadcast({ seconds }) {
  const [sender] = clients;
  let awaited = 0;
  let operations = 0;
  const send = () => {
    awaited += clients.length;
    sender.send(BROADCAST);
  };
  return untilEnd(seconds, (end, resolve) => {
    receive = (client) => {
      operations++;
      if (client === sender && performance.now() < end) send();
      else if (operations === awaited) resolve({ operations });
    };
    for (let i = 0; i < BROADCASTS; i++) send();
  });
}

async function untilEnd(seconds, start) {
  const begin = performance.now();
  const result = await new Promise((resolve, reject) => {
    fail = reject;
    start(begin + seconds * 1000, resolve);
  });
  return { ...result, seconds: (performance.now() - begin) / 1000 };
}

function medianOf(values) {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

answer({ connect: connectAll, echo, broadcast });
