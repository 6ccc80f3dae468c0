"use strict";

// Four workers of node:cluster behind one port, with @socket.io/sticky and @socket.io/cluster-adapter.

const test = require("node:test");
const assert = require("node:assert/strict");
const { fork } = require("node:child_process");
const path = require("node:path");
const { LIMIT, atEnd, connect, eventually, once, record } = require("./support/harness");

const WORKERS = 4;

const WAYS = [
  { transports: ["websocket"] },
  { transports: ["polling"], upgrade: false },
  // may stay with polling if the primary loses the probe
  { transports: ["polling", "websocket"] },
];

/** Runs a function on the worker that a client is connected to. */
async function run({ client }, body, ...args) {
  return client.timeout(LIMIT).emitWithAck("run", String(body), args);
}

async function startCluster(t) {
  const env = { ...process.env };
  delete env.NODE_TEST_CONTEXT;
  const primary = fork(path.join(__dirname, "support", "node-cluster.js"), {
    env,
    serialization: "advanced",
  });
  atEnd(t, async () => {
    const exit = once(primary, "exit");
    primary.kill();
    await exit;
  });
  const [{ port }] = await once(primary, "message");
  return { primary, url: `http://127.0.0.1:${port}` };
}

/** A client, with the process that it is with. */
async function member(t, url, options) {
  const client = connect(url, { forceNew: true, reconnectionDelay: 10, timeout: 2000, ...options });
  atEnd(t, () => client.disconnect());
  const one = { client };
  one.pid = await run(one, () => process.pid);
  return one;
}

test("four workers behind one port", async (t) => {
  const { primary, url } = await startCluster(t);
  const members = [];
  // one after the other, as requests are dealt out in turn
  for (const options of WAYS) {
    for (let i = 0; i < WORKERS; i++) members.push(await member(t, url, options));
  }
  const all = [...members.keys()];
  const pids = [...new Set(members.map(({ pid }) => pid))];
  assert.equal(pids.length, WORKERS);
  await eventually(
    async () => (await run(members[0], (io) => io.of("/").adapter.serverCount())) === WORKERS,
    "the workers know each other",
  );

  /** Emits by a worker, and returns which clients have received how much of "event" by the time of what comes next. */
  async function reached(one, body, ...args) {
    const logs = members.map(({ client }) => record(client, "event"));
    const ends = members.map(({ client }) => once(client, "end"));
    await run(one, body, ...args);
    await run(one, (io) => void io.emit("end"));
    await Promise.all(ends);
    for (const { client } of members) client.off("event");
    return logs.flatMap(({ list }, index) => list.map(() => index));
  }

  await t.test("rooms", async () => {
    for (const one of members.filter((_, index) => index % 2 === 0)) {
      await run(one, (io, socket) => void socket.join("even"));
    }
    const even = all.filter((index) => index % 2 === 0);
    assert.deepEqual(await reached(members[1], (io) => void io.emit("event")), all);
    assert.deepEqual(await reached(members[1], (io) => void io.to("even").emit("event")), even);
    assert.deepEqual(
      await reached(members[1], (io) => void io.except("even").emit("event")),
      all.filter((index) => index % 2 === 1),
    );
    assert.deepEqual(
      await reached(members[1], (io) => void io.local.emit("event")),
      all.filter((index) => members[index].pid === members[1].pid),
    );
  });

  await t.test("order, and binary data", async () => {
    const logs = members.map(({ client }) => record(client, "number"));
    await run(members[0], (io) => {
      for (let i = 0; i < 100; i++) io.emit("number", i, Buffer.from([i]));
    });
    const expected = Array.from({ length: 100 }, (_, i) => [i, Buffer.from([i])]);
    for (const log of logs) assert.deepEqual(await log.until(100), expected);
  });

  await t.test("acknowledgements of all clients", async () => {
    for (const [index, { client }] of members.entries()) client.on("question", (ack) => ack(index));
    const answers = await run(members[2], (io) => io.timeout(2000).emitWithAck("question"));
    assert.deepEqual(
      answers.sort((a, b) => a - b),
      all,
    );
    members[5].client.off("question");
    const failure = await run(members[2], (io) =>
      io
        .timeout(300)
        .emitWithAck("question")
        .catch((error) => [error.message, error.responses.length]),
    );
    assert.deepEqual(failure, ["operation has timed out", members.length - 1]);
  });

  await t.test("fetchSockets, socketsJoin, socketsLeave and serverSideEmit", async () => {
    const fetch = (one, room) =>
      run(
        one,
        (io, socket, room) =>
          io
            .in(room)
            .fetchSockets()
            .then((list) => list.map(({ id }) => id)),
        room,
      );
    const some = [members[0], members[1], members[6], members[11]].map(({ client }) => client.id);
    await run(members[3], (io, socket, ids) => void io.in(ids).socketsJoin("joined"), some);
    await eventually(
      async () => (await fetch(members[3], "joined")).length === some.length,
      "they have joined",
    );
    assert.deepEqual((await fetch(members[8], "joined")).sort(), [...some].sort());
    await run(members[3], (io) => void io.socketsLeave("joined"));
    await eventually(async () => (await fetch(members[3], "joined")).length === 0, "they have left");
    const others = await run(members[0], (io) => io.serverSideEmitWithAck("pid"));
    assert.deepEqual(others.sort(), pids.filter((pid) => pid !== members[0].pid).sort());
  });

  await t.test("a worker is killed", async () => {
    const { pid } = members[0];
    const victims = members.filter((one) => one.pid === pid);
    const others = members.filter((one) => one.pid !== pid);
    const disconnections = others.map(({ client }) => record(client, "disconnect"));
    const back = victims.map(({ client }) => once(client, "connect"));
    primary.send({ pid, signal: "SIGKILL" });
    await Promise.all(back);
    for (const { list } of disconnections) assert.deepEqual(list, [], "the others notice nothing");
    for (const one of victims) {
      one.pid = await run(one, () => process.pid);
      assert.notEqual(one.pid, pid);
    }
    assert.deepEqual(await reached(members[1], (io) => void io.emit("event")), all);
    await eventually(
      async () => (await run(members[1], (io) => io.of("/").adapter.serverCount())) === WORKERS - 1,
      "the workers know that one is missing",
    );
    assert.equal(
      await run(members[1], (io) => io.fetchSockets().then(({ length }) => length)),
      members.length,
    );
  });

  await t.test("a worker hangs, and goes on", async () => {
    const { pid } = members[0];
    const other = members.find((one) => one.pid !== pid);
    const logs = members.map(({ client }) => record(client, "event"));
    const disconnections = members.map(({ client }) => record(client, "disconnect"));
    primary.send({ pid, signal: "SIGSTOP" });
    await run(other, (io) => {
      for (let i = 0; i < 10; i++) io.emit("event", i);
    });
    for (const index of all) if (members[index].pid !== pid) await logs[index].until(10);
    const failure = await run(other, (io) =>
      io
        .timeout(200)
        .fetchSockets()
        .catch(({ message }) => message),
    );
    assert.match(failure, /^timeout reached/);
    const count = () => run(other, (io) => io.of("/").adapter.serverCount());
    await eventually(async () => (await count()) === WORKERS - 2, "it is missed");
    primary.send({ pid, signal: "SIGCONT" });
    for (const log of logs) {
      assert.deepEqual(
        await log.until(10),
        Array.from({ length: 10 }, (_, i) => [i]),
      );
    }
    for (const { client } of members) client.off("event");
    for (const { list } of disconnections) assert.deepEqual(list, []);
    await eventually(async () => (await count()) === WORKERS - 1, "it is back");
  });

  await t.test("disconnectSockets", async () => {
    const gone = members.slice(2).map(({ client }) => once(client, "disconnect"));
    await run(members[0], (io, socket, ids) => void io.except(ids).disconnectSockets(true), [
      members[0].client.id,
      members[1].client.id,
    ]);
    for (const [reason] of await Promise.all(gone)) assert.equal(reason, "io server disconnect");
    assert.equal(members[0].client.connected && members[1].client.connected, true);
  });
});
