"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { serve, once, within } = require("./support/harness");

test("servers in one process do not hear each other", async (t) => {
  const servers = await Promise.all([serve(t), serve(t), serve(t, {}, { stream: "https" })]);
  const pairs = await Promise.all(servers.map((server) => server.pair()));
  pairs.forEach(({ socket }) => socket.join("room"));
  const seen = [];
  pairs.forEach(({ client }, i) => client.on("ev", (from) => seen.push([i, from])));
  const last = Promise.all(pairs.map(({ client }) => once(client, "last")));
  servers.forEach(({ io }, i) => {
    io.to("room").emit("ev", i);
    io.emit("last");
  });
  await last;
  assert.deepEqual(
    seen.sort((a, b) => a[0] - b[0]),
    [
      [0, 0],
      [1, 1],
      [2, 2],
    ],
  );
  assert.deepEqual(
    servers.map(({ io }) => io.engine.clientsCount),
    [1, 1, 1],
  );
});

test("servers have their own options", async (t) => {
  const fast = await serve(t, { pingInterval: 100, pingTimeout: 200 });
  const calm = await serve(t, { pingInterval: 60_000 });
  const first = await fast.rawPair();
  const second = await calm.rawPair();
  assert.deepEqual(await first.disconnected, ["ping timeout", undefined]);
  assert.deepEqual(second.log, []);
  second.socket.emit("fine");
  assert.equal(await second.ws.next(), '42["fine"]');
});

test("closing one server leaves the others", async (t) => {
  const [first, second] = await Promise.all([serve(t), serve(t)]);
  const one = await first.pair();
  const two = await second.pair();
  const gone = once(one.socket, "disconnect");
  await within(first.io.close(), "io.close()");
  assert.equal((await gone)[0], "server shutting down");
  two.socket.on("echo", (value, ack) => ack(value));
  assert.equal(await two.client.timeout(5000).emitWithAck("echo", 1), 1);
  assert.equal((await second.pair()).client.connected, true);
});

test("thirty servers come and go", async (t) => {
  for (let i = 0; i < 30; i++) {
    const server = await serve(t);
    const { client, socket } = await server.pair();
    const hello = once(client, "hello");
    socket.emit("hello", i);
    assert.deepEqual(await hello, [i]);
    await server.close();
  }
});
