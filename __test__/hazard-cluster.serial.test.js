"use strict";

// Several processes: threads where there is something to do only, and nobody suffers from the end of another.

const test = require("node:test");
const assert = require("node:assert/strict");
const { isStock, eventually, RawWebSocket } = require("./support/harness");
const { startChild } = require("./support/child");

const at = (t, port) => ({ port, secure: false, keep: (ws) => (t.after(() => ws.destroy()), ws) });

test(
  "threads start with the first connection, and no sooner",
  { skip: isStock && "stock has none" },
  async (t) => {
    const child = startChild(
      t,
      async ({ args, fs, load, listen, send, inbox }) => {
        const threads = () => fs.readdirSync("/proc/self/task").length;
        const names = () =>
          fs
            .readdirSync("/proc/self/task")
            .map((id) => fs.readFileSync(`/proc/self/task/${id}/comm`, "utf8").trim());
        const counts = { start: threads() };
        const { Server } = load(args.target);
        counts.loaded = threads();
        const httpServer = await listen();
        const io = new Server(httpServer, { workers: 3 });
        counts.listening = threads();
        inbox.on("broadcast", () => io.emit("all", 1));
        inbox.on("names", () =>
          send("names", { names: names().filter((name) => name.startsWith("sockeye")) }),
        );
        send("listening", { port: httpServer.address().port, counts });
      },
      { target: require.resolve("..") },
    );
    const { port, counts } = await child.message("listening");
    assert.deepEqual(counts, { start: counts.start, loaded: counts.start, listening: counts.start });
    assert.deepEqual((await child.ask("names")).names, []);
    const first = await RawWebSocket.connect(at(t, port));
    assert.equal((await child.ask("names")).names.length, 1);
    const second = await RawWebSocket.connect(at(t, port));
    assert.equal((await child.ask("names")).names.length, 2);
    // what concerns all workers does not start those that have nobody
    child.send("broadcast");
    for (const ws of [first, second]) assert.equal(await ws.next(), '42["all",1]');
    assert.equal((await child.ask("names")).names.length, 2);
    await RawWebSocket.connect(at(t, port));
    assert.equal((await child.ask("names")).names.length, 3);
    await RawWebSocket.connect(at(t, port));
    assert.equal((await child.ask("names")).names.length, 3);
  },
);

/** A process of the cluster: as any server, and tells who it is. */
async function clusterWorker({ args, sio, http, listen }) {
  // what it listens with is the primary's
  process.channel.ref();
  const httpServer = http.createServer();
  const io = new sio.Server(httpServer, args);
  io.on("connection", (socket) => {
    socket.on("who", (ack) => ack(process.pid));
    socket.on("echo", (value, ack) => ack(value));
  });
  process.on("message", (message, stream) => {
    if (message !== "stream") return;
    httpServer.emit("connection", stream);
    stream.resume();
  });
  await listen(httpServer);
}

/** The first process of a cluster, which starts the others. */
async function clusterPrimary({ args, load, send, inbox }) {
  const cluster = load("node:cluster");
  cluster.setupPrimary({ exec: load.resolve("./child-main") });
  const env = { SIO_CHILD: JSON.stringify({ source: args.source, args: args.options }) };
  const workers = Array.from({ length: args.count }, () => cluster.fork(env));
  const addresses = await Promise.all(
    workers.map((worker) => new Promise((resolve) => worker.once("listening", resolve))),
  );
  const ends = [];
  cluster.on("exit", (worker, code, signal) => ends.push({ pid: worker.process.pid, code, signal }));
  inbox.on("ends", () => send("ends", { ends }));
  inbox.on("stop", () => workers.forEach((worker) => worker.process.kill("SIGKILL")));
  // connections that somebody hands out by himself, as sticky load balancers do
  let next = 0;
  const front = load("node:net").createServer({ pauseOnConnect: true }, (socket) => {
    const alive = workers.filter((worker) => worker.isConnected());
    alive[(args.sticky ? 0 : next++) % alive.length].send("stream", socket);
  });
  front.listen(0, "127.0.0.1", () => {
    send("ready", {
      port: addresses[0].port,
      front: front.address().port,
      pids: workers.map((worker) => worker.process.pid),
    });
  });
}

async function ask(ws, packet) {
  ws.text(packet);
  let answer;
  do {
    answer = await ws.next();
  } while (!answer.startsWith("43"));
  return JSON.parse(answer.slice(answer.indexOf("[")))[0];
}

const options = { transports: ["websocket"] };

for (const way of ["port", "front"]) {
  const how = way === "port" ? "cluster hands out the connections" : "the primary hands out the connections";
  test(`4 processes, one is killed, the others go on: ${how}`, async (t) => {
    const child = startChild(t, clusterPrimary, { source: String(clusterWorker), count: 4, options });
    t.after(() => child.exited === null && child.send("stop"));
    const ready = await child.message("ready");
    const target = at(t, ready[way]);
    const clients = await Promise.all(Array.from({ length: 40 }, () => RawWebSocket.connect(target)));
    const owners = await Promise.all(clients.map((ws) => ask(ws, '421["who"]')));
    assert.deepEqual([...new Set(owners)].sort(), [...ready.pids].sort());
    const victim = owners[0];
    // in the middle of their traffic
    const traffic = clients.map(async (ws, i) => {
      for (let n = 0; n < 50; n++) {
        assert.equal(await ask(ws, `422["echo",${n}]`), n);
        if (i === 0 && n === 25) {
          process.kill(victim, "SIGKILL");
        }
      }
    });
    const results = await Promise.allSettled(traffic);
    for (const [i, { status, reason }] of results.entries()) {
      if (owners[i] !== victim) {
        assert.equal(status, "fulfilled", String(reason));
      }
    }
    assert.equal(results[0].status, "rejected");
    for (const [i, ws] of clients.entries()) {
      if (owners[i] === victim) {
        await ws.ended();
      } else {
        assert.equal(await ask(ws, '423["who"]'), owners[i]);
      }
    }
    let ends;
    await eventually(
      async () => ({ ends } = await child.ask("ends")).ends.length > 0,
      "the end of one process",
    );
    assert.deepEqual(ends, [{ pid: victim, code: null, signal: "SIGKILL" }]);
    const newcomers = await Promise.all(Array.from({ length: 9 }, () => RawWebSocket.connect(target)));
    const hosts = new Set(await Promise.all(newcomers.map((ws) => ask(ws, '424["who"]'))));
    assert.deepEqual([...hosts].sort(), ready.pids.filter((pid) => pid !== victim).sort());
  });
}

test("a client that polls and upgrades, over connections that the primary hands out", async (t) => {
  const { io } = require("socket.io-client");
  const child = startChild(t, clusterPrimary, { source: String(clusterWorker), count: 2, sticky: true });
  t.after(() => child.exited === null && child.send("stop"));
  const { front, pids } = await child.message("ready");
  const client = io(`http://127.0.0.1:${front}`, { forceNew: true, reconnection: false });
  t.after(() => client.close());
  const upgraded = new Promise((resolve) => client.io.engine.once("upgrade", resolve));
  assert.equal(await client.timeout(10_000).emitWithAck("who"), pids[0]);
  await upgraded;
  assert.deepEqual(await client.timeout(10_000).emitWithAck("echo", { a: [1] }), { a: [1] });
});
