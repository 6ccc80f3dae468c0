"use strict";

// An adapter that others publish, over NATS: two nodes of this package and one of stock. It passes on broadcasts, and nothing
// else; docs/scaling.md says so.

const assert = require("node:assert/strict");
const test = require("node:test");
const { createAdapter } = require("@mickl/socket.io-nats-adapter");
const { connect: connectToNats } = require("nats");
const { Server: StockServer } = require("socket.io");
const { natsPort, uniqueName, withoutNats } = require("./support/services");
const { adopt, atEnd, eventually, listen, record, sio } = require("./support/harness");

test("@mickl/socket.io-nats-adapter", { skip: withoutNats }, async (t) => {
  const port = await natsPort(t);
  const subjectKey = uniqueName();
  const nodes = [];
  for (const Server of [sio.Server, sio.Server, StockServer]) {
    const client = await connectToNats({ servers: `127.0.0.1:${port}` });
    atEnd(t, () => client.close());
    const { httpServer, port: own } = await listen(t, "http");
    nodes.push(adopt(t, new Server(httpServer, { adapter: createAdapter(client, { subjectKey }) }), own));
    // the server knows of the subscription
    await client.flush();
  }
  const members = [];
  // more than are named one by one in a command
  for (const node of nodes) {
    for (const pair of await node.pairs(10)) members.push({ ...pair, node });
  }
  const logs = members.map(({ client }) => record(client, "event"));
  const [ours, , stock] = nodes;

  /** What each client hears of a broadcast, up to one that all of them hear. */
  async function heard(node, broadcast) {
    broadcast(node.io);
    node.io.emit("event", "end");
    return Promise.all(
      logs.map(async (log) => {
        const list = await log.until((list) => list.at(-1)?.[0] === "end");
        return list
          .splice(0)
          .map(([value]) => value)
          .slice(0, -1);
      }),
    );
  }

  for (const [name, node] of Object.entries({ ours, stock })) {
    await t.test(`broadcasts arrive in their order, from ${name}`, async () => {
      const numbers = [...Array(50).keys()];
      const all = await heard(node, (io) => numbers.forEach((number) => io.emit("event", number)));
      for (const values of all) assert.deepEqual(values, numbers);
    });

    await t.test(`rooms, those left out, and the node itself, from ${name}`, async () => {
      members.forEach(({ socket }, index) => socket.join(index % 2 === 0 ? "even" : "odd"));
      const all = await heard(node, (io) => {
        io.to("even").emit("event", "even");
        io.except("even").emit("event", "others");
        io.local.emit("event", "local");
      });
      all.forEach((values, index) => {
        const own = members[index].node === node ? ["local"] : [];
        assert.deepEqual(values, [index % 2 === 0 ? "even" : "others", ...own]);
      });
    });
  }

  await t.test("nothing else is passed on", async (t) => {
    assert.equal((await ours.io.fetchSockets()).length, 10);
    ours.io.socketsJoin("joined");
    const isIn = (node) =>
      members.filter((one) => one.node === node && one.socket.rooms.has("joined")).length;
    await eventually(() => isIn(ours) === 10, "its own have joined");
    assert.equal(isIn(stock), 0);
    const warn = t.mock.method(console, "warn", () => {});
    ours.io.serverSideEmit("news");
    assert.match(warn.mock.calls[0].arguments[0], /does not support the serverSideEmit/);
    const all = await heard(ours, (io) => io.emit("event", Buffer.from([1])));
    all.forEach(([value], index) => {
      assert.equal(
        Buffer.isBuffer(value),
        members[index].node === ours,
        "binary data becomes JSON on its way",
      );
    });
  });
});
