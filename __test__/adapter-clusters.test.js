"use strict";

// Two nodes of this package and one of stock, joined by each of the official adapters, over the real services.

const test = require("node:test");
const { isDeepStrictEqual } = require("node:util");
const assert = require("node:assert/strict");
const { KINDS } = require("./support/adapters");
const { Cluster } = require("./support/cluster");
const { proxy, withoutRedis } = require("./support/services");
const { atEnd, connect, connected, eventually, once, record } = require("./support/harness");

for (const kind of KINDS) {
  test(kind.name, { skip: kind.skip }, async (t) => {
    const cluster = await Cluster.start(t, kind);
    const { nodes, members } = cluster;
    const all = [...members.keys()];

    /** Runs a subtest once for a node of ours and once for one of stock, by which the rest is addressed. */
    async function fromBoth(name, body) {
      for (const node of [nodes[0], nodes[2]]) {
        await t.test(`${name}, from ${node === nodes[2] ? "stock" : "ours"}`, () => body(node));
      }
    }

    await fromBoth("rooms, and those left out", async (node) => {
      const { io } = node;
      for (const [index, { socket }] of members.entries()) {
        socket.join(index % 2 === 0 ? "even" : "odd");
        if (index % 10 === 0) socket.join("few");
      }
      const reached = async (operator, event = "event") =>
        (await cluster.received(node, () => operator.emit(event, 1))).flatMap((log, index) =>
          log.map(() => index),
        );
      const even = all.filter((index) => index % 2 === 0);
      const own = all.filter((index) => members[index].node === node);
      const first = members.findIndex((member) => member.node === node);
      assert.deepEqual(await reached(io), all);
      assert.deepEqual(await reached(io.to("even")), even);
      assert.deepEqual(await reached(io.to("even").to("few")), even);
      assert.deepEqual(
        await reached(io.to(["even", "odd"]).except("few")),
        all.filter((index) => index % 10),
      );
      assert.deepEqual(await reached(io.to(members[13].client.id)), [13]);
      assert.deepEqual(await reached(io.to("none")), []);
      assert.deepEqual(await reached(io.local), own);
      assert.deepEqual(await reached(members[first].socket.broadcast), all.toSpliced(first, 1));
      for (const { socket } of members) for (const room of ["even", "odd", "few"]) socket.leave(room);
      assert.deepEqual(await reached(io.to("even")), []);
    });

    await fromBoth("what a node emits arrives in its order", async (node) => {
      const count = 100;
      for (const { socket } of members) socket.join("room");
      const logs = await cluster.received(node, () => {
        for (let i = 0; i < count; i++) (i % 3 === 0 ? node.io.to("room") : node.io).emit("event", i);
      });
      for (const log of logs) assert.deepEqual(log, [...Array(count).keys()]);
    });

    await fromBoth("binary data, and much of it", async (node) => {
      const values = [
        { bytes: Buffer.from([0, 1, 254, 255]) },
        "x".repeat(20_000),
        [Buffer.alloc(50_000, 7), "é"],
      ];
      const logs = members.map(({ client }) => record(client, "event"));
      for (const value of values) node.io.emit("event", value);
      for (const log of logs) {
        // what is too large for a message of Postgres takes a way of its own
        const received = (await log.until(values.length)).map(([value]) => value);
        for (const value of values) {
          assert.ok(
            received.some((one) => isDeepStrictEqual(one, value)),
            "each value arrives",
          );
        }
      }
      for (const { client } of members) client.off("event");
    });

    await fromBoth("acknowledgements of all clients", async (node) => {
      members.forEach(({ client }, index) => client.on("question", (n, ack) => ack(index + n)));
      const answers = await node.io.timeout(2000).emitWithAck("question", 1000);
      assert.deepEqual(
        answers.sort((a, b) => a - b),
        all.map((index) => index + 1000),
      );
      const silent = members.find((member) => member.node !== node);
      silent.client.off("question");
      await assert.rejects(node.io.timeout(300).emitWithAck("question", 0), (error) => {
        assert.equal(error.message, "operation has timed out");
        assert.equal(error.responses.length, members.length - 1);
        return true;
      });
      for (const { client } of members) client.off("question");
    });

    await fromBoth("fetchSockets, and what it returns", async (node) => {
      members.forEach(({ socket }, index) => (socket.data = { index }));
      const sockets = await node.io.fetchSockets();
      assert.deepEqual(
        sockets.map(({ id, data }) => [data.index, id]).sort(([a], [b]) => a - b),
        members.map(({ client }, index) => [index, client.id]),
      );
      const remote = sockets.find(({ data }) => members[data.index].node !== node);
      const { client, socket } = members[remote.data.index];
      assert.equal(remote.handshake.url.startsWith("/socket.io/"), true);
      assert.equal(remote.rooms.has(remote.id), true);

      const event = once(client, "to you");
      remote.emit("to you", 1);
      assert.deepEqual(await event, [1]);
      client.once("and back", (value, ack) => ack(value + 1));
      assert.equal(await remote.timeout(2000).emitWithAck("and back", 1), 2);
      remote.join("remote");
      await eventually(() => socket.rooms.has("remote"), "the socket joins");
      const [fetched] = await node.io.in("remote").fetchSockets();
      assert.equal(fetched.id, client.id);
      remote.leave("remote");
      await eventually(() => !socket.rooms.has("remote"), "the socket leaves");
    });

    await fromBoth("socketsJoin and socketsLeave", async (node) => {
      const { io } = node;
      io.in([members[0], members[10], members[20]].map(({ client }) => client.id)).socketsJoin(["a", "b"]);
      const isIn = (room) => all.filter((index) => members[index].socket.rooms.has(room));
      await eventually(() => isIn("b").length === 3, "all have joined");
      assert.deepEqual(isIn("a"), [0, 10, 20]);
      assert.deepEqual(
        await cluster.received(node, () => io.to("a").emit("event", 1)).then(lengths),
        oneFor([0, 10, 20]),
      );
      io.in("a").except(members[10].client.id).socketsLeave("a");
      await eventually(() => isIn("a").length === 1, "two have left");
      assert.deepEqual(
        await cluster.received(node, () => io.to("a").emit("event", 1)).then(lengths),
        oneFor([10]),
      );
      io.socketsLeave(["a", "b"]);
      await eventually(() => isIn("a").length + isIn("b").length === 0, "all have left");
    });

    await fromBoth("serverSideEmit", async (node) => {
      const heard = [];
      for (const [index, { io }] of nodes.entries()) {
        io.on("news", (...args) => heard.push([index, ...args]));
        io.on("how are you", (question, ack) => ack(`${index}: ${question}`));
      }
      const others = [...nodes.keys()].filter((index) => nodes[index] !== node);
      node.io.serverSideEmit("news", "a", { b: 1 });
      await eventually(() => heard.length === 2, "the others hear");
      assert.deepEqual(
        heard.sort(([a], [b]) => a - b),
        others.map((index) => [index, "a", { b: 1 }]),
      );
      const answers = await node.io.serverSideEmitWithAck("how are you", "well?");
      assert.deepEqual(
        answers.sort(),
        others.map((index) => `${index}: well?`),
      );
      for (const { io } of nodes) {
        io.removeAllListeners("news");
        io.removeAllListeners("how are you");
      }
    });

    await t.test("namespaces are kept apart", async () => {
      const chats = nodes.map(({ io }) => io.of("/chat"));
      const clients = await Promise.all(nodes.map((node) => connected(node.client("/chat"))));
      const logs = clients.map((client) => record(client, "event"));
      // a node may still be subscribing to what concerns the namespace
      await eventually(async () => {
        const counts = await Promise.all(chats.map((chat) => chat.adapter.serverCount()));
        chats[2].emit("event", "chat");
        return counts.every((count) => count === 3) && logs.every(({ list }) => list.length > 0);
      }, "the namespace is heard");
      const received = await cluster.received(nodes[2], () => chats[2].emit("event", "chat"));
      assert.deepEqual(received.flat(), []);
      for (const { list } of logs) for (const [value] of list) assert.equal(value, "chat");
    });

    if (kind.emitter !== undefined) {
      await t.test("an emitter without a server", async (t) => {
        const { emitter, close } = await kind.emitter(cluster.where, cluster.name);
        atEnd(t, close);
        const logs = members.map(({ client }) => record(client, "event"));
        emitter.emit("event", "everybody");
        emitter.to(members[0].client.id).emit("event", "one");
        await Promise.all(logs.map((log) => log.until(1)));
        await logs[0].until(2);
        assert.deepEqual(
          logs.map(({ list }) => list.map(([value]) => value)),
          members.map((_, index) => (index === 0 ? ["everybody", "one"] : ["everybody"])),
        );
        emitter.in(members[10].client.id).socketsJoin("by emitter");
        await eventually(() => members[10].socket.rooms.has("by emitter"), "the socket joins");
        const heard = nodes.map(({ io }) => once(io, "by emitter"));
        emitter.serverSideEmit("by emitter", 1);
        assert.deepEqual(await Promise.all(heard), [[1], [1], [1]]);
        for (const { client } of members) client.off("event");
      });
    }

    await fromBoth("disconnectSockets", async (node) => {
      const victims = nodes.map((one) => cluster.of(one)[0]);
      const gone = victims.map(({ client }) => once(client, "disconnect"));
      for (const { socket } of victims) socket.join("victims");
      node.io.in("victims").disconnectSockets(true);
      for (const [reason] of await Promise.all(gone)) assert.equal(reason, "io server disconnect");
      for (const victim of victims) members.splice(members.indexOf(victim), 1);
      await eventually(
        () => nodes.every(({ io }) => io.sockets.sockets.size === members.length / 3),
        "they are gone",
      );
      assert.equal((await node.io.fetchSockets()).length, members.length);
    });

    function oneFor(indexes) {
      return all.map((index) => (indexes.includes(index) ? 1 : 0));
    }
  });
}

for (const kind of KINDS.filter(({ recovers }) => recovers)) {
  test(`${kind.name}: a session is recovered by another node`, { skip: withoutRedis }, async (t) => {
    const options = { connectionStateRecovery: { maxDisconnectionDuration: 60_000 } };
    const cluster = await Cluster.start(t, kind, { clients: 1, options });
    const { nodes } = cluster;
    for (const [from, to] of [
      [nodes[0], nodes[1]],
      [nodes[0], nodes[2]],
      [nodes[2], nodes[0]],
    ]) {
      const door = await proxy(t, from.port);
      const client = connect(`http://127.0.0.1:${door.port}`, {
        forceNew: true,
        reconnection: false,
        transports: ["websocket"],
      });
      atEnd(t, () => client.disconnect());
      await connected(client);
      const { id } = client;
      const socket = from.io.sockets.sockets.get(id);
      socket.join("room");
      socket.data = { name: "A" };
      const log = record(client, "event");
      to.io.to("room").emit("event", 1);
      await log.until(1);

      const gone = once(socket, "disconnect");
      door.target = to.port;
      door.cut();
      await gone;
      const witness = once(cluster.of(to)[0].client, "gone");
      from.io.to("room").emit("event", 2);
      from.io.to("other room").emit("event", "not for this one");
      from.io.emit("event", 3);
      // what is sent to Redis after the session has been stored there
      from.io.emit("gone");
      await witness;
      client.connect();
      await connected(client);
      assert.equal(client.recovered, true);
      assert.equal(client.id, id);
      from.io.to("room").emit("event", 4);
      await log.until(4);
      assert.deepEqual(
        log.list.map(([value]) => value),
        [1, 2, 3, 4],
      );
      const recovered = to.io.sockets.sockets.get(id);
      assert.deepEqual(recovered.data, { name: "A" });
      assert.equal(recovered.recovered, true);
      assert.equal(recovered.rooms.has("room"), true);
    }
  });
}

function lengths(logs) {
  return logs.map((log) => log.length);
}
