"use strict";

// One process of a machine: the chat of examples/chat, with what it knows kept the same in all processes. What one of
// them changes, it tells the others by serverSideEmit; a new one asks for all there is. An application of your own would
// rather keep such things in a database.

const os = require("node:os");
const { setTimeout } = require("node:timers/promises");
const { Server } = require("sockeye.io"); // or "socket.io": both may even be in one cluster
const { setupWorker } = require("@socket.io/sticky");
const { createChat } = require("../chat/app");
const { createAdapter } = require("./adapter");

/** Unique among all the processes of all machines. */
const node = nodeName(process.pid);

const chat = createChat({
  Server,
  password: process.env.CHAT_PASSWORD,
  node,
  onChange: (change) => io.serverSideEmit("change", change),
  serverOptions: {
    adapter: createAdapter(process.env.REDIS_URL),
    // node:cluster loses what a client sends while its connection changes hands; it tries again after this time
    connectTimeout: 2000,
  },
});
const { io } = chat;

// at once: the primary deals out connections to a process as soon as it has started it
setupWorker(io);
const loaded = load();
io.engine.use((req, res, next) => loaded.then(() => next(), next));
loaded.then(() => process.send("ready"));

io.on("change", (change) => chat.apply(change));
io.on("snapshot", (reply) => reply(chat.snapshot()));

process.on("message", async (message) => {
  if (message.gone !== undefined) {
    const change = { session: { gone: nodeName(message.gone) } };
    chat.apply(change);
    io.serverSideEmit("change", change);
  } else if (message === "end") {
    await io.close();
    process.exit();
  }
});

// Ctrl-C reaches all processes; the primary says when to end
process.on("SIGINT", () => {});

/** Gets what the others know. Who has just begun, too, has nothing to tell. */
async function load() {
  await setTimeout(500); // for the adapter to find the others
  const snapshots = await io.serverSideEmitWithAck("snapshot").catch(({ responses }) => responses);
  for (const change of longest(snapshots)) {
    chat.apply(change);
  }
}

function nodeName(pid) {
  return `${os.hostname()}/${pid}`;
}

function longest(lists) {
  return lists.reduce((best, list) => (list.length > best.length ? list : best), []);
}
