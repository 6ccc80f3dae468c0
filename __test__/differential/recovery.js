"use strict";

// Connection state recovery.

/** What the last event has that no id can have. */
const END = String.raw`[\"end\"`;

const options = { connectionStateRecovery: {} };

/** A raw client with what it needs to come back. */
async function connect(stage, actor, auth) {
  const ws = await stage.ws(actor);
  ws.text(`40${auth ? JSON.stringify(auth) : ""}`);
  // what was missed comes in front of it
  const answer = () => ws.messages.find((message) => message.startsWith?.("40{"));
  await ws.changes.until(answer);
  const { sid, pid } = JSON.parse(answer().slice(2));
  return { ws, sid, pid };
}

/** The offset at the end of an event with state recovery. */
const offsetOf = (text) => JSON.parse(text.slice(2)).at(-1);

function watch(stage) {
  stage.io.on("connection", (socket) => {
    stage.log("server", "connection", socket.recovered, [...socket.rooms].length, socket.data);
    socket.on("disconnect", (reason) => stage.log("server", "disconnect", reason));
  });
}

/** Drops a client, lets something happen, and has it come back. */
async function comeBack(
  stage,
  { prepare, drop = (ws) => ws.socket.end(), meanwhile = () => {}, auth = (a) => a },
) {
  watch(stage);
  const first = await connect(stage, "first");
  const socket = stage.io.of("/").sockets.get(first.sid);
  prepare?.(socket);
  stage.io.emit("seen", 1);
  await first.ws.count(3);
  const offset = offsetOf(first.ws.messages[2]);
  stage.log("first", "kinds", typeof first.pid, typeof offset);
  drop(first.ws, socket);
  await stage.until("server", "disconnect ");
  meanwhile();
  const second = await connect(stage, "second", auth({ pid: first.pid, offset }));
  stage.log("second", "same", second.sid === first.sid, second.pid === first.pid);
  stage.io.emit("end");
  await stage.until("second", END);
  return second;
}

const scenario = (name, how, more) => ({
  name,
  options: { ...options, ...more },
  run: (stage) => comeBack(stage, typeof how === "function" ? how(stage) : how),
});

module.exports = [
  scenario("the rooms, the data and what was missed come back", (stage) => ({
    prepare(socket) {
      socket.join(["r", "s"]);
      socket.data.name = "me";
    },
    meanwhile() {
      stage.io.emit("missed by all", 2);
      stage.io.to("r").emit("missed in a room", { a: 1 });
      stage.io.to("other").emit("not for it");
      stage.io.except("s").emit("nor this");
      stage.io.volatile.emit("volatile");
      stage.io.emit("binary", Buffer.from([1]));
    },
  })),
  scenario("an unknown pid", { auth: () => ({ pid: "x", offset: "y" }) }),
  scenario("an unknown offset", { auth: ({ pid }) => ({ pid, offset: "nope" }) }),
  scenario("no offset", { auth: ({ pid }) => ({ pid }) }),
  scenario("values of other types", { auth: () => ({ pid: {}, offset: [] }) }),
  scenario("the server had disconnected the socket", { drop: (ws, socket) => socket.disconnect(true) }),
  scenario("the client had left", { drop: (ws) => ws.text("41") }),
  scenario("a proper close frame", { drop: (ws) => ws.frame({ opcode: 8 }) }),
  scenario("a broken frame", { drop: (ws) => ws.frame({ opcode: 3 }) }),
  scenario("after too long", {}, { connectionStateRecovery: { maxDisconnectionDuration: -1 } }),
  ...[true, false].map((skipMiddlewares) => ({
    name: `skipMiddlewares: ${skipMiddlewares}`,
    options: { connectionStateRecovery: { skipMiddlewares } },
    async run(stage) {
      stage.io.use((socket, next) => {
        stage.log("server", "middleware", socket.recovered);
        next();
      });
      await comeBack(stage, {});
    },
  })),
  {
    name: "the stock client comes back",
    options,
    async run(stage) {
      watch(stage);
      const client = stage.client("client", "/", {
        reconnection: true,
        reconnectionDelay: 20,
        reconnectionDelayMax: 20,
      });
      await stage.connected(client);
      const { id } = client;
      const socket = stage.io.of("/").sockets.get(id);
      socket.join("r");
      socket.emit("one", 1);
      await stage.until("client", "event one");
      client.io.engine.close();
      await stage.until("server", "disconnect ");
      stage.io.to("r").emit("missed", 2);
      await stage.until("client", "event missed");
      stage.log("client", "same", client.id === id, client.recovered);
      client.emit("x");
    },
  },
  {
    name: "offsets on emits, broadcasts and questions",
    options,
    async run(stage) {
      const { sid } = await connect(stage, "raw");
      const socket = stage.io.of("/").sockets.get(sid);
      socket.emit("one", "x");
      stage.io.emit("all", "x");
      socket.emit("ask", "x", () => {});
      socket.volatile.emit("volatile", "x");
      stage.io.volatile.emit("volatile all", "x");
      stage.io.timeout(50).emit("ask all", "x", () => {});
      socket.emit("binary", Buffer.from([1]));
      stage.io.emit("end", "x");
      await stage.until("raw", END);
    },
  },
  {
    name: "the options with their defaults",
    options,
    run({ io, log }) {
      log("server", "opts", io.opts.connectionStateRecovery);
    },
  },
].map((entry) => ({
  ...entry,
  run(stage) {
    // offsets, and with them the lengths of frames, differ from run to run
    stage.hide(/^81\w+ (?="4[25])/);
    stage.hide(/\\"[\w.-]{5,12}\\"\]"$/, '<offset>]"');
    stage.hide(/^(event .*) "[\w.-]{5,12}"$/, "$1 <offset>");
    return entry.run(stage);
  },
}));
