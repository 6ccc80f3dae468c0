"use strict";

// The event loop is blocked for twice pingInterval + pingTimeout: stock loses every client, we lose none.

const test = require("node:test");
const assert = require("node:assert/strict");
const { isStock, target, within, RawPolling, RawWebSocket, Recorder } = require("./support/harness");
const { startChild } = require("./support/child");

const PING_INTERVAL = 300;
const PING_TIMEOUT = 300;
const BLOCKED_MS = 2 * (PING_INTERVAL + PING_TIMEOUT);
const CLIENTS = 20;

async function server({ args, sio, load, listen, send, block, inbox }) {
  const { secure, ...options } = args;
  const certificate = secure && load("./certificate").selfSigned();
  const httpServer = await listen(secure ? load("node:https").createServer(certificate) : undefined);
  const io = new sio.Server(httpServer, options);
  const reasons = [];
  io.on("connection", (socket) => {
    socket.on("echo", (value, ack) => ack(value));
    socket.on("disconnect", (reason) => reasons.push(reason));
  });
  inbox.on("block", ({ ms }) => {
    send("blocking");
    setImmediate(() => {
      block(ms);
      send("unblocked");
    });
  });
  inbox.on("state", () => send("state", { reasons, connected: io.sockets.sockets.size }));
  send("listening", { port: httpServer.address().port });
}

/** Stock clients in a process of their own: in the server's they would be blocked as well. */
async function clients({ args, connect, send, inbox }) {
  const reasons = [];
  const sockets = Array.from({ length: args.count }, () =>
    connect(`${args.secure ? "https" : "http"}://127.0.0.1:${args.port}`, {
      transports: ["websocket"],
      rejectUnauthorized: false,
      forceNew: true,
      reconnection: false,
    }),
  );
  await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.on("connect", resolve))));
  sockets.forEach((socket) => socket.on("disconnect", (reason) => reasons.push(reason)));
  inbox.on("echo", async () => {
    const answers = await Promise.allSettled(
      sockets.map((socket, i) => (socket.connected ? socket.timeout(5000).emitWithAck("echo", i) : -1)),
    );
    send("echo", { answers: answers.map(({ value }) => value), reasons });
  });
  send("connected");
  setInterval(() => {}, 1000);
}

/** Blocks a server with connected clients and tells what was left of them. */
async function blocked(t, serverTarget, secure = false) {
  const options = { pingInterval: PING_INTERVAL, pingTimeout: PING_TIMEOUT, secure };
  const serverChild = startChild(t, server, options, { target: serverTarget });
  const { port } = await serverChild.message("listening");
  const clientChild = startChild(t, clients, { port, count: CLIENTS, secure });
  await clientChild.message("connected");
  serverChild.send("block", { ms: BLOCKED_MS });
  await serverChild.message("blocking");
  await serverChild.message("unblocked");
  const { answers, reasons: seenByClients } = await clientChild.ask("echo");
  const { reasons: seenByServer, connected } = await serverChild.ask("state");
  return { answers, seenByClients, seenByServer, connected };
}

for (const [name, secure] of [
  ["", false],
  [", over TLS", true],
]) {
  test(`no client is lost${name}`, { skip: isStock && "stock loses them: see below" }, async (t) => {
    const result = await blocked(t, target, secure);
    assert.deepEqual(result, {
      answers: Array.from({ length: CLIENTS }, (_, i) => i),
      seenByClients: [],
      seenByServer: [],
      connected: CLIENTS,
    });
  });
}

test("in contrast: with stock all of them are", async (t) => {
  const { answers, seenByClients } = await blocked(t, "socket.io");
  assert.deepEqual(answers, Array(CLIENTS).fill(-1));
  assert.equal(seenByClients.length, CLIENTS);
});

for (const [name, serverTarget, lives] of [
  ["a process that was stopped reads what came in before it gives anybody up", target, true],
  ["in contrast: stock gives up first", "socket.io", false],
]) {
  test(name, { skip: lives && isStock && "stock gives up first: see below" }, async (t) => {
    const child = startChild(t, server, { pingInterval: 100, pingTimeout: 300 }, { target: serverTarget });
    const { port } = await child.message("listening");
    const ws = await RawWebSocket.connect({
      port,
      secure: false,
      keep: (one) => t.after(() => one.destroy()),
    });
    assert.equal(await ws.next(), "2");
    child.process.kill("SIGSTOP");
    ws.text("3");
    await new Promise((resolve) => setTimeout(resolve, 900));
    child.process.kill("SIGCONT");
    if (lives) {
      ws.text('427["echo",1]');
      const messages = [await ws.next(), await ws.next()];
      assert.ok(messages.includes("437[1]"), `${messages}`);
      const { reasons } = await child.ask("state");
      assert.deepEqual(reasons, []);
    } else {
      await within(ws.closed(), "the end");
      const { reasons } = await child.ask("state");
      assert.deepEqual(reasons, ["ping timeout"]);
    }
  });
}

/** Stops a process for several times pingTimeout, and sends it something that it will find when it goes on. */
async function stopWhile(child, send) {
  child.process.kill("SIGSTOP");
  send();
  await new Promise((resolve) => setTimeout(resolve, 900));
  child.process.kill("SIGCONT");
}

test("the same over TLS", { skip: isStock && "stock gives up first" }, async (t) => {
  const child = startChild(t, server, { pingInterval: 100, pingTimeout: 300, secure: true });
  const { port } = await child.message("listening");
  const target = { port, secure: true, keep: (one) => t.after(() => one.destroy()) };
  const ws = await RawWebSocket.connect(target);
  assert.equal(await ws.next(), "2");
  await stopWhile(child, () => ws.text("3"));
  ws.text('427["echo",1]');
  const messages = [await ws.next(), await ws.next()];
  assert.ok(messages.includes("437[1]"), `${messages}`);
  assert.deepEqual((await child.ask("state")).reasons, []);
});

for (const secure of [false, true]) {
  test(
    `the same over ${secure ? "TLS and " : ""}long-polling`,
    { skip: isStock && "stock gives up first" },
    async (t) => {
      const child = startChild(t, server, { pingInterval: 100, pingTimeout: 300, secure });
      const { port } = await child.message("listening");
      const polling = await RawPolling.connect({ port, secure, keep: () => {} });
      assert.deepEqual((await polling.poll()).packets, ["2"]);
      let posted;
      await stopWhile(child, () => (posted = polling.post("3")));
      assert.equal((await posted).body, "ok");
      assert.equal((await polling.post('427["echo",1]')).body, "ok");
      const packets = [await polling.next()];
      if (packets[0] === "2") {
        packets.push(await polling.next());
      }
      assert.ok(packets.includes("437[1]"), `${packets}`);
      assert.deepEqual((await child.ask("state")).reasons, []);
    },
  );
}

for (const [transport, connect] of [
  ["WebSocket", (target) => RawWebSocket.connect(target)],
  ["long-polling", (target) => RawPolling.connect(target)],
]) {
  test(`over TLS and ${transport}, pings are answered while the event loop is blocked, or after`, async (t) => {
    const options = { pingInterval: PING_INTERVAL, pingTimeout: PING_TIMEOUT, secure: true };
    const child = startChild(t, server, options);
    const { port } = await child.message("listening");
    const client = await connect({ port, secure: true, keep: (one) => t.after(() => one.destroy?.()) });
    const answered = answerPings(client);
    child.send("block", { ms: BLOCKED_MS });
    await Promise.all([child.message("unblocked"), answered.until(2)]);
    const { reasons, connected } = await child.ask("state");
    assert.deepEqual({ reasons, connected }, { reasons: [], connected: 1 });
  });
}

/** Answers all pings of a server, until there are no more, and counts them. */
function answerPings(client) {
  const answered = new Recorder();
  const answer = async () => {
    for (;;) {
      assert.equal(await client.next(), "2");
      await (client.post === undefined ? client.text("3") : client.post("3"));
      answered.push("3");
    }
  };
  // the test is over when there are no more
  answer().catch(() => {});
  return answered;
}
