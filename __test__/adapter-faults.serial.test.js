"use strict";

// What happens to a cluster when its broker dies or is slow, and when a node dies or hangs. docs/scaling.md says it in words.

const test = require("node:test");
const assert = require("node:assert/strict");
const { KINDS } = require("./support/adapters");
const { startChild } = require("./support/child");
const { Cluster } = require("./support/cluster");
const {
  withoutOwnRedis,
  withoutOwnPostgres,
  RedisBroker,
  PostgresBroker,
  proxy,
  uniqueName,
} = require("./support/services");
const { LIMIT, atEnd, connect, connected, eventually, once, record } = require("./support/harness");

function isPostgres(kind) {
  return kind.name.startsWith("postgres");
}

/** A broker of the test's own. */
async function startBroker(t, kind) {
  const broker = isPostgres(kind) ? new PostgresBroker() : new RedisBroker();
  atEnd(t, () => broker.close());
  await broker.start();
  return broker;
}

function whereIs(broker) {
  // the adapter does not give back the connection that it has lost
  return broker instanceof PostgresBroker ? { ...broker.options, max: 3 } : broker.port;
}

/** Asserts that clients are served by their own nodes. */
async function servedLocally(cluster, ms = LIMIT) {
  await Promise.all(
    cluster.members.map(async ({ client, socket }) => {
      socket.removeAllListeners("echo");
      socket.on("echo", (value, ack) => ack(value));
      assert.equal(await client.timeout(ms).emitWithAck("echo", "value"), "value");
    }),
  );
  const pushed = cluster.members.map(({ client }) => once(client, "pushed", ms));
  for (const { socket } of cluster.members) socket.emit("pushed");
  await Promise.all(pushed);
  const local = cluster.members.map(({ client }) => once(client, "local", ms));
  for (const { io } of cluster.nodes) io.local.emit("local");
  await Promise.all(local);
}

/** Those whose faults are tried with one client library only. */
const ONE_OF_EACH = KINDS.filter(({ name }) => !/redis [45]$/.test(name));

for (const kind of KINDS) {
  const skip = isPostgres(kind) ? withoutOwnPostgres : withoutOwnRedis;
  test(`${kind.name}: the broker is killed and comes back`, { skip }, async (t) => {
    const broker = await startBroker(t, kind);
    const cluster = await Cluster.start(t, kind, { clients: 2, where: whereIs(broker) });
    const { nodes, members } = cluster;

    await broker.kill();
    await servedLocally(cluster);
    const logs = members.map(({ client }) => record(client, "event"));
    for (const [index, { io }] of nodes.entries()) io.emit("event", index);
    await eventually(() => nodes.every(({ errors }) => errors.length > 0), "the application hears of it");
    assert.equal(nodes[0].errors[0].code, nodes[2].errors[0].code, "as with stock");
    await servedLocally(cluster);
    const own = members.map(({ node }) => nodes.indexOf(node));
    if (kind.waits) {
      assert.deepEqual(received(logs).flat(), [], "a broadcast waits for the broker");
    } else {
      assert.deepEqual(
        received(logs),
        own.map((index) => [index]),
        "a broadcast reaches the clients of its node",
      );
    }

    await broker.start();
    await cluster.untilHeard();
    await servedLocally(cluster);
    for (const [index, log] of received(logs).entries()) {
      assert.ok(log.includes(own[index]), "the clients of its node have received the broadcast");
      assert.equal(new Set(log).size, log.length, "nobody has received it twice");
    }
  });
}

for (const kind of ONE_OF_EACH) {
  test(`${kind.name}: the broker is slow`, { skip: kind.skip }, async (t) => {
    const where = await kind.where(t);
    const slow = await proxy(t, where.port ?? where);
    const cluster = await Cluster.start(t, kind, {
      clients: 2,
      where: isPostgres(kind) ? { ...where, port: slow.port } : slow.port,
    });
    const { nodes, members } = cluster;
    slow.delay = 150;
    const logs = members.map(({ client }) => record(client, "event"));
    for (let i = 0; i < 5; i++) nodes[0].io.emit("event", i);
    await servedLocally(cluster);
    const others = members
      .map(({ node }, index) => (node === nodes[0] ? -1 : index))
      .filter((index) => index >= 0);
    for (const index of others)
      assert.deepEqual(logs[index].list, [], "others get it when the broker is done");
    await Promise.all(logs.map((log) => log.until(5)));
    slow.delay = 0;
    await cluster.untilHeard();
    for (const log of received(logs)) assert.deepEqual(log, [...Array(5).keys()]);
    for (const { errors } of nodes) assert.deepEqual(errors, []);
  });
}

for (const kind of ONE_OF_EACH) {
  test(`${kind.name}: a node hangs, goes on, and is killed`, { skip: kind.skip }, async (t) => {
    const where = await kind.where(t);
    const name = uniqueName();
    const nodes = [];
    for (const target of [undefined, undefined, "socket.io"]) {
      const child = startChild(t, runNode, { kind: kind.name, where, name }, { target });
      nodes.push({ child, port: (await child.message("port")).port });
    }
    for (const node of nodes) {
      node.clients = await Promise.all([connectTo(t, node.port), connectTo(t, node.port)]);
    }
    const [first, second, third] = nodes;
    const emit = (node, ...args) => node.child.send("emit", { args });
    const clientsOf = (...some) => some.flatMap(({ clients }) => clients);
    await untilHeard(nodes);
    assert.deepEqual(await first.child.ask("fetch"), { type: "fetch", count: 6 });

    second.child.process.kill("SIGSTOP");
    const logs = clientsOf(...nodes).map((client) => record(client, "event"));
    const disconnections = clientsOf(second).map((client) => record(client, "disconnect"));
    for (let i = 0; i < 10; i++) emit(first, "event", i);
    second.clients[0].emit("shout", "said to a node that hangs");
    for (const log of [...logs.slice(0, 2), ...logs.slice(4)]) await log.until(10);
    for (const client of clientsOf(first, third)) {
      assert.equal(await client.timeout(LIMIT).emitWithAck("echo", 1), 1);
    }
    const { error } = await first.child.ask("fetch");
    assert.match(error, /^timeout reached/);

    const heard = clientsOf(...nodes).map((client) => once(client, "shout"));
    second.child.process.kill("SIGCONT");
    await Promise.all(logs.map((log) => log.until(10)));
    await Promise.all(heard);
    for (const log of received(logs))
      assert.deepEqual(log, [...Array(10).keys()], "nothing was lost or mixed up");
    for (const { list } of disconnections) assert.deepEqual(list, []);
    await untilHeard(nodes);
    await eventually(async () => (await first.child.ask("fetch")).count === 6, "all are counted again");

    second.child.process.kill("SIGKILL");
    for (const { list } of await Promise.all(disconnections.map((log) => log.until(1).then(() => log)))) {
      assert.equal(list[0][0], "transport close");
    }
    await untilHeard([first, third]);
    await eventually(
      async () => (await first.child.ask("fetch")).count === 4,
      "the others know that it is gone",
    );
    await eventually(async () => (await third.child.ask("fetch")).count === 4, "stock knows, too");
  });
}

/** A server in a process of its own. */
async function runNode({ args, load, sio, listen, send, inbox }) {
  const kind = load("./adapters").KINDS.find(({ name }) => name === args.kind);
  const { adapter } = await kind.connect(args.where, args.name);
  const httpServer = await listen();
  const io = new sio.Server(httpServer, { adapter });
  io.on("connection", (socket) => {
    socket.on("echo", (value, ack) => ack(value));
    socket.on("shout", (value) => io.emit("shout", value));
  });
  inbox.on("emit", (message) => io.emit(...message.args));
  inbox.on("fetch", () => {
    io.timeout(500)
      .fetchSockets()
      .then(
        ({ length }) => send("fetch", { count: length }),
        (error) => send("fetch", { error: error.message }),
      );
  });
  send("port", { port: httpServer.address().port });
}

async function connectTo(t, port) {
  const client = connect(`http://127.0.0.1:${port}`, {
    forceNew: true,
    reconnection: false,
    transports: ["websocket"],
  });
  atEnd(t, () => client.disconnect());
  return connected(client);
}

/** Waits until each of the nodes is heard by the clients of all of them. */
async function untilHeard(nodes) {
  for (const { child } of nodes) {
    const event = `heard ${Math.random()}`;
    const waiting = new Set(nodes.flatMap(({ clients }) => clients));
    for (const client of waiting) client.once(event, () => waiting.delete(client));
    await eventually(async () => {
      child.send("emit", { args: [event] });
      await new Promise((resolve) => setTimeout(resolve, 20));
      return waiting.size === 0;
    }, "a node is heard by all");
  }
}

function received(logs) {
  return logs.map(({ list }) => list.map(([value]) => value));
}
