"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const zlib = require("node:zlib");
const { serve, once, record, eventually, RawPolling } = require("./support/harness");
const { requireStock } = require("./support/stock");

/** Resolves when the server holds a poll of this socket. */
function pollOpen(socket) {
  return eventually(() => socket.conn.transport.writable, "a poll is open");
}

test("a volatile event arrives when the client is ready", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const got = once(client, "ev");
  assert.equal(socket.volatile.emit("ev", 1), true);
  assert.deepEqual(await got, [1]);
  const all = once(client, "all");
  server.io.volatile.emit("all", 2);
  assert.deepEqual(await all, [2]);
});

test("a volatile event is dropped while no poll is open, an ordinary one is not", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  assert.equal(socket.conn.transport.writable, false);
  socket.volatile.emit("dropped", 1);
  server.io.volatile.emit("dropped too", 2);
  socket.emit("kept", 3);
  assert.deepEqual((await polling.poll()).packets, ['42["kept",3]']);
});

test("a volatile event answers an open poll", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const poll = polling.poll();
  await pollOpen(socket);
  socket.volatile.emit("first", 1);
  socket.volatile.emit("second, dropped", 2);
  assert.deepEqual((await poll).packets, ['42["first",1]']);
});

test("the volatile flag lasts for one emit", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  socket.volatile.emit("dropped");
  socket.emit("one");
  socket.emit("two");
  assert.deepEqual((await polling.poll()).packets, ['42["one"]', '42["two"]']);
});

test("of volatile events in one tick over WebSocket at least the first arrives", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const got = record(client, "ev");
  const last = once(client, "last");
  for (let i = 0; i < 10; i++) {
    socket.volatile.emit("ev", i);
  }
  socket.emit("last");
  await last;
  assert.deepEqual(got.list[0], [0]);
});

test("volatile and binary data", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const got = once(client, "ev");
  socket.volatile.emit("ev", Buffer.from([1, 2, 3]));
  assert.deepEqual(await got, [Buffer.from([1, 2, 3])]);
});

for (const [name, send] of [
  ["event", ({ socket }, ...args) => socket.volatile.emit(...args)],
  ["broadcast", ({ io }, ...args) => io.volatile.emit(...args)],
  [
    "broadcast while somebody listens to what is sent",
    ({ io, socket }, ...args) => {
      socket.conn.on("packetCreate", () => {});
      io.volatile.emit(...args);
    },
  ],
]) {
  test(`a volatile ${name} that answers an open poll has all its attachments`, async (t) => {
    const server = await serve(t);
    const { io } = server;
    const { polling, socket } = await server.pollingPair();
    const poll = polling.poll();
    await pollOpen(socket);
    send({ io, socket }, "ev", Buffer.from([1]), Buffer.from([2]));
    const { packets } = await poll;
    while (packets.length < 3) packets.push(...(await polling.poll()).packets);
    const placeholders = [0, 1].map((num) => ({ _placeholder: true, num }));
    assert.deepEqual(packets, [`452-${JSON.stringify(["ev", ...placeholders])}`, "bAQ==", "bAg=="]);
    send({ io, socket }, "dropped", Buffer.from([3]));
    socket.emit("kept");
    assert.deepEqual((await polling.poll()).packets, ['42["kept"]']);
  });
}

test("a volatile event that a parser makes several texts of answers an open poll with all of them", async (t) => {
  const { Encoder, Decoder, PacketType } = requireStock("socket.io-parser");
  class TwoTexts extends Encoder {
    encode(packet) {
      const [text] = super.encode(packet);
      return packet.type === PacketType.EVENT ? [text, "and more"] : [text];
    }
  }
  const server = await serve(t, { parser: { Encoder: TwoTexts, Decoder } });
  const { polling, socket } = await server.pollingPair();
  const poll = polling.poll();
  await pollOpen(socket);
  socket.volatile.emit("ev");
  socket.emit("last");
  const { packets } = await poll;
  while (packets.length < 4) packets.push(...(await polling.poll()).packets);
  assert.deepEqual(packets, ['42["ev"]', "4and more", '42["last"]', "4and more"]);
});

test("broadcasts with volatile, to rooms and excepting", async (t) => {
  const server = await serve(t);
  const [one, two, three] = await server.pairs(3);
  one.socket.join("room");
  two.socket.join("room");
  const unwanted = [record(one.client, "ev"), record(three.client, "ev")];
  const got = once(two.client, "ev");
  one.socket.volatile.to("room").emit("ev", "x");
  assert.deepEqual(await got, ["x"]);
  const last = Promise.all([one, three].map(({ client }) => once(client, "last")));
  server.io.volatile.to("room").to(three.socket.id).emit("last");
  await last;
  assert.deepEqual(
    unwanted.map(({ list }) => list.length),
    [0, 0],
  );
});

test("compress(true) and compress(false) deliver the same", async (t) => {
  const server = await serve(t, { perMessageDeflate: { threshold: 16 } });
  const { client, socket } = await server.pair("/", { perMessageDeflate: true });
  const text = "compress me ".repeat(500);
  for (const emit of [
    () => socket.compress(true).emit("ev", text),
    () => socket.compress(false).emit("ev", text),
    () => server.io.compress(true).emit("ev", text),
    () => server.io.compress(false).emit("ev", text),
    () => server.io.to(socket.id).compress(false).emit("ev", text),
  ]) {
    const got = once(client, "ev");
    emit();
    assert.deepEqual(await got, [text]);
  }
});

test("compress returns the socket, or an operator", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  assert.equal(socket.compress(false), socket);
  const got = once(client, "ev");
  socket.emit("ev");
  await got;
  const operator = server.io.compress(false);
  assert.equal(typeof operator.to("room").emit, "function");
});

/** A poll is compressed for who accepts that, unless the message is not to be. */
async function assertCompressed({ polling, socket }, text) {
  const gzip = { "Accept-Encoding": "gzip" };
  socket.emit("ev", text);
  const compressed = await polling.poll(gzip);
  assert.equal(compressed.headers["content-encoding"], "gzip");
  assert.equal(zlib.gunzipSync(compressed.bytes).toString(), `42["ev","${text}"]`);
  socket.compress(false).emit("ev", text);
  const plain = await polling.poll(gzip);
  assert.equal(plain.headers["content-encoding"], undefined);
  assert.equal(plain.body, `42["ev","${text}"]`);
}

test("a poll is compressed when it is large and the client accepts it", async (t) => {
  const server = await serve(t);
  const pair = await server.pollingPair();
  const { polling, socket } = pair;
  const text = "x".repeat(5000);
  await assertCompressed(pair, text);
  socket.emit("ev", "short");
  const short = await polling.poll({ "Accept-Encoding": "gzip" });
  assert.equal(short.headers["content-encoding"], undefined);
  socket.emit("ev", text);
  const deflated = await polling.poll({ "Accept-Encoding": "deflate" });
  assert.equal(deflated.headers["content-encoding"], "deflate");
  assert.equal(zlib.inflateSync(deflated.bytes).toString(), `42["ev","${text}"]`);
});

test("a poll that JavaScript answers is compressed unless the message is not to be", async (t) => {
  const server = await serve(t, {}, { stream: "duplex" });
  await assertCompressed(await server.pollingPair(), "x".repeat(5000));
});

test("httpCompression: false never compresses a poll", async (t) => {
  const server = await serve(t, { httpCompression: false });
  const polling = await RawPolling.connect(server);
  server.io.emit("ev", "x".repeat(5000));
  const answer = await polling.poll({ "Accept-Encoding": "gzip" });
  assert.equal(answer.headers["content-encoding"], undefined);
  assert.equal(answer.body, `42["ev","${"x".repeat(5000)}"]`);
});

test("chaining all flags", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  socket.join("room");
  const got = once(client, "ev");
  server.io.of("/").local.volatile.compress(false).to("room").except("nobody").emit("ev", "all of them");
  assert.deepEqual(await got, ["all of them"]);
});
