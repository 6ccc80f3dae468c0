"use strict";

// A client that does not read what it is sent: with an option, it costs a bounded amount of memory.

const test = require("node:test");
const assert = require("node:assert/strict");
const { createServer } = require("node:http");
const {
  serve,
  sio,
  isStock,
  once,
  record,
  eventually,
  RawPolling,
  RawWebSocket,
} = require("./support/harness");
const { startChild } = require("./support/child");

const MB = 1024 * 1024;
const OURS = { skip: isStock && "stock has no such option" };

/** More than the buffers of both sockets take. */
const LARGE = "x".repeat(16 * MB);

/** A client that has stopped reading, with the server's side and the `slow_consumer` events. */
async function deafPair(t, options, how) {
  const server = await serve(t, options, how);
  const { ws, socket, log, disconnected } = await server.rawPair();
  ws.socket.pause();
  return { server, ws, socket, log, disconnected, slow: record(server.io.engine, "slow_consumer") };
}

for (const stream of ["http", "https", "duplex"]) {
  test(`beyond the limit the session ends, and others are served, over ${stream}`, OURS, async (t) => {
    const pair = await deafPair(t, { maxOutboundBuffer: MB }, { stream });
    const { server, socket, log, disconnected, slow } = pair;
    const other = await server.pair();
    const heard = record(other.client, "n");
    for (let n = 0; socket.connected && n < 1000; n++) {
      socket.emit("n", n, LARGE.slice(0, 100_000));
      other.socket.emit("n", n);
      await new Promise(setImmediate);
    }
    const [, description] = await disconnected;
    assert.equal(description.message, "the client does not read what it is sent");
    assert.deepEqual(log, ["disconnecting: transport error", "disconnect: transport error"]);
    assert.equal(slow.list.length, 1);
    const [conn, bytes] = slow.list[0];
    assert.equal(conn, socket.conn);
    assert.ok(bytes > MB && bytes < 1.2 * MB, `${bytes} bytes`);
    other.socket.emit("n", "last");
    await heard.until((list) => list.at(-1)?.[0] === "last");
    await eventually(() => server.io.engine.clientsCount === 1, "the session is gone");
  });
}

test("what it asks for counts as well, although it is nothing: the pongs of revision 3", OURS, async (t) => {
  const server = await serve(t, { allowEIO3: true, maxOutboundBuffer: MB });
  const slow = record(server.io.engine, "slow_consumer");
  const handshake = await server.request({ path: "/socket.io/?EIO=3&transport=polling" });
  const { sid } = JSON.parse(
    handshake.body.slice(handshake.body.indexOf("{"), handshake.body.indexOf("}") + 1),
  );
  const closed = once(server.io.engine.clients[sid], "close");
  const pings = "1:2".repeat(100_000);
  await server.request({
    method: "POST",
    path: `/socket.io/?EIO=3&transport=polling&sid=${sid}`,
    body: pings,
  });
  const [reason, description] = await closed;
  assert.deepEqual(
    [reason, description.message],
    ["transport error", "the client does not read what it is sent"],
  );
  assert.ok(slow.list[0][1] > MB && slow.list[0][1] < 1.1 * MB, `${slow.list[0][1]} bytes`);
});

test("broadcasts count as well", OURS, async (t) => {
  const { server, ws, disconnected, slow } = await deafPair(t, { maxOutboundBuffer: MB });
  const others = await server.pairs(3);
  let heard = 0;
  others.forEach(({ client }) => client.on("n", () => heard++));
  let sent = 0;
  while (slow.list.length === 0 && sent < 1000) {
    server.io.emit("n", LARGE.slice(0, 100_000));
    sent++;
    // the others keep up
    await eventually(() => heard === sent * others.length, `${sent} broadcasts`);
  }
  assert.equal((await disconnected)[0], "transport error");
  // it sees what the kernel had, then its end, not a part of a message that goes on
  ws.socket.resume();
  await ws.ended();
  assert.equal(ws.closeFrame, null);
});

test("a client that polls no more", OURS, async (t) => {
  const server = await serve(t, { maxOutboundBuffer: MB });
  const slow = record(server.io.engine, "slow_consumer");
  const { socket, disconnected } = await server.pollingPair();
  for (let n = 0; n < 10; n++) {
    socket.emit("n", LARGE.slice(0, 100_000));
  }
  // what it asks for in time does not count any more
  const again = await server.pollingPair();
  const poll = again.polling.poll();
  await eventually(() => again.socket.conn.transport.writable, "a poll is open");
  again.socket.emit("n", LARGE.slice(0, 900_000));
  assert.equal((await poll).packets.length, 1);
  again.socket.emit("n", LARGE.slice(0, 900_000));
  assert.deepEqual([slow.list.length, socket.connected, again.socket.connected], [0, true, true]);
  socket.emit("n", LARGE.slice(0, 100_000));
  assert.equal((await disconnected)[0], "transport error");
  assert.equal(slow.list.length, 1);
  assert.equal(slow.list[0][0], socket.conn);
  assert.equal((await again.polling.poll()).packets.length, 1);
});

test("what a reading client gets in one tick may be more than the limit", OURS, async (t) => {
  const server = await serve(t, { maxOutboundBuffer: MB });
  const slow = record(server.io.engine, "slow_consumer");
  const { client, socket } = await server.pair();
  const got = record(client, "n");
  // the kernel takes each part of this at once
  for (let n = 0; n < 15_000; n++) {
    socket.emit("n", n);
  }
  await got.until(15_000);
  assert.equal(slow.list.length, 0);
});

test("without the option nothing is lost, however much waits", async (t) => {
  const { ws, socket, slow } = await deafPair(t);
  socket.emit("large", LARGE);
  socket.emit("large", LARGE);
  socket.emit("last");
  for (let i = 0; i < 20; i++) {
    await new Promise(setImmediate);
  }
  ws.socket.resume();
  await ws.changes.until(() => ws.messages.at(-1) === '42["last"]');
  assert.equal(ws.messages.at(-2).length, LARGE.length + '42["large",""]'.length);
  assert.equal(slow.list.length, 0);
});

test("a limit that is no positive number is refused", OURS, () => {
  for (const maxOutboundBuffer of [0, -1, NaN, "much"]) {
    assert.throws(() => new sio.Server(createServer(), { maxOutboundBuffer }), TypeError);
  }
});

test("with the option its memory stays bounded under a flood", OURS, async (t) => {
  const child = startChild(t, async ({ sio: { Server }, listen, send, inbox }) => {
    const httpServer = await listen();
    const io = new Server(httpServer, { maxOutboundBuffer: 4 * 1024 * 1024 });
    let slow = 0;
    io.engine.on("slow_consumer", () => slow++);
    const text = "x".repeat(50_000);
    inbox.on("flood", async () => {
      for (let n = 0; n < 10_000; n++) {
        io.volatile.emit("v");
        io.emit("n", text);
        await new Promise(setImmediate);
      }
      send("flood", { slow, left: io.engine.clientsCount });
    });
    send("listening", { port: httpServer.address().port });
  });
  const { port } = await child.message("listening");
  const at = { port, secure: false, keep: (ws) => (t.after(() => ws.destroy()), ws) };
  const deaf = await Promise.all(Array.from({ length: 4 }, () => RawWebSocket.connect(at)));
  deaf.forEach((ws) => ws.socket.pause());
  await RawPolling.connect(at);
  const before = child.residentMemory();
  let peak = before;
  const sampler = setInterval(() => (peak = Math.max(peak, child.residentMemory())), 10);
  // 500 MB for each of five
  const { slow, left } = await child.ask("flood", {}, 60_000).finally(() => clearInterval(sampler));
  assert.deepEqual({ slow, left }, { slow: 5, left: 0 });
  const growth = peak - before;
  assert.ok(growth < 120 * MB, `${Math.round(growth / MB)} MB more at the peak`);
});
