"use strict";

// The core over every kind of stream: a plain socket, TLS, and a Duplex without a descriptor.

const test = require("node:test");
const assert = require("node:assert/strict");
const { Duplex } = require("node:stream");
const {
  serve,
  once,
  record,
  connected,
  eventually,
  within,
  isStock,
  frame,
  upgradeRequest,
  RawWebSocket,
} = require("./support/harness");

const TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]];

for (const stream of ["http", "https", "duplex"]) {
  for (const transports of TRANSPORTS) {
    const name = `${stream}, ${transports.join(" to ")}`;

    test(`${name}: events, acks, binary data and text both ways`, async (t) => {
      const server = await serve(t, {}, { stream });
      const { client, socket } = await server.pair("/", { transports });
      socket.on("echo", (...args) => args.pop()(...args));
      client.on("echo", (...args) => args.pop()(...args));
      for (const value of [1, "aé語😀", { a: [null] }, Buffer.from([0, 255]), { b: [Buffer.from("x")] }]) {
        assert.deepEqual(await client.timeout(5000).emitWithAck("echo", value), value);
        assert.deepEqual(await socket.timeout(5000).emitWithAck("echo", value), value);
      }
    });

    test(`${name}: broadcast and rooms`, async (t) => {
      const server = await serve(t, {}, { stream });
      const pairs = await server.pairs(3, "/", { transports });
      pairs[0].socket.join("room");
      pairs[1].socket.join("room");
      const unwanted = record(pairs[2].client, "ev");
      const got = Promise.all([once(pairs[0].client, "ev"), once(pairs[1].client, "ev")]);
      server.io.to("room").emit("ev", "x", Buffer.from([1]));
      assert.deepEqual(await got, [
        ["x", Buffer.from([1])],
        ["x", Buffer.from([1])],
      ]);
      const last = once(pairs[2].client, "last");
      server.io.emit("last");
      await last;
      assert.equal(unwanted.list.length, 0);
    });

    test(`${name}: 1,000 messages in order, some large`, async (t) => {
      const server = await serve(t, {}, { stream });
      const { client, socket } = await server.pair("/", { transports });
      const up = record(socket, "n");
      const down = record(client, "n");
      const filler = "x".repeat(50_000);
      for (let n = 0; n < 1000; n++) {
        client.emit("n", n, n % 100 === 0 ? filler : "");
        socket.emit("n", n, n % 100 === 0 ? filler : "");
      }
      await Promise.all([up.until(1000), down.until(1000)]);
      for (const recorder of [up, down]) {
        recorder.list.forEach(([n, text], i) => {
          assert.equal(n, i);
          assert.equal(text.length, i % 100 === 0 ? filler.length : 0);
        });
      }
    });

    test(`${name}: disconnects from both sides and io.close()`, async (t) => {
      const server = await serve(t, {}, { stream });
      const pairs = await server.pairs(3, "/", { transports });
      const reasons = pairs.map(({ socket }) => once(socket, "disconnect"));
      pairs[0].client.disconnect();
      assert.match((await reasons[0])[0], /^(client namespace disconnect|transport close)$/);
      const told = once(pairs[1].client, "disconnect");
      pairs[1].socket.disconnect(true);
      assert.equal((await reasons[1])[0], "server namespace disconnect");
      assert.equal((await told)[0], "io server disconnect");
      await within(server.io.close(), "io.close()");
      assert.equal((await reasons[2])[0], "server shutting down");
    });

    test(`${name}: heartbeats`, async (t) => {
      const server = await serve(t, { pingInterval: 20, pingTimeout: 2000 }, { stream });
      const { client, socket } = await server.pair("/", { transports });
      await record(socket.conn, "heartbeat").until(4);
      assert.equal(client.connected, true);
    });
  }

  test(`${stream}: a client that goes away without a word`, async (t) => {
    const server = await serve(t, {}, { stream });
    const { ws, disconnected } = await server.rawPair();
    ws.destroy();
    assert.equal((await disconnected)[0], "transport close");
    await connected(server.client());
  });

  test(`${stream}: a protocol error is answered with 1002`, async (t) => {
    const server = await serve(t, {}, { stream });
    const { ws, disconnected } = await server.rawPair();
    ws.frame({ payload: "2", rsv: 2 });
    assert.equal((await disconnected)[0], "transport error");
    assert.equal((await ws.closed()).code, 1002);
  });

  test(`${stream}: the end of a WebSocket is a FIN, not a reset`, async (t) => {
    const server = await serve(t, {}, { stream });
    const { ws, socket } = await server.rawPair();
    socket.disconnect(true);
    assert.equal(await ws.next(), "41");
    assert.deepEqual(await ws.closed(), { code: null, reason: "", end: "FIN" });
  });

  test(`${stream}: a client that does not read does not stop the others`, async (t) => {
    const server = await serve(t, {}, { stream });
    const slow = await RawWebSocket.connect(server);
    slow.socket.pause();
    const { client, socket } = await server.pair();
    const text = "x".repeat(100_000);
    for (let i = 0; i < 50; i++) {
      server.io.to(slow.id).emit("ev", i, text);
    }
    socket.on("echo", (value, ack) => ack(value));
    assert.equal(await client.timeout(5000).emitWithAck("echo", 1), 1);
    slow.socket.resume();
    for (let i = 0; i < 50; i++) {
      assert.ok((await slow.next()).startsWith(`42["ev",${i},"x`));
    }
  });

  test(`${stream}: what the handshake says about the connection`, async (t) => {
    const server = await serve(t, {}, { stream });
    const { socket } = await server.pair();
    assert.equal(socket.handshake.secure, stream === "https");
    assert.equal(socket.handshake.address, "127.0.0.1");
    assert.equal(socket.conn.remoteAddress, "127.0.0.1");
  });
}

/** A connection in memory, whose writes can be held back. */
class HeldDuplex extends Duplex {
  constructor() {
    super({ allowHalfOpen: true });
    this.written = Buffer.alloc(0);
    this.isHeld = false;
    this.release = undefined;
  }

  _read() {}

  _write(chunk, encoding, callback) {
    const write = () => {
      this.written = Buffer.concat([this.written, chunk]);
      callback();
    };
    if (this.isHeld) this.release = write;
    else write();
  }
}

/** A session over such a connection, and its socket. */
async function heldSession(server) {
  const duplex = new HeldDuplex();
  server.keep(duplex);
  server.httpServer.emit("connection", duplex);
  const connection = once(server.io, "connection");
  duplex.push(upgradeRequest("/socket.io/?EIO=4&transport=websocket"));
  await eventually(() => duplex.written.includes('0{"sid"'), "the handshake");
  duplex.push(frame({ payload: "40" }));
  const [socket] = await connection;
  await eventually(() => duplex.written.includes('40{"sid"'), "the answer to CONNECT");
  return { duplex, socket };
}

const PUMPED = { skip: isStock && "stock reads and writes such streams by way of ws" };

test(
  "what is being written when the client has hung up still arrives, and then the stream is closed",
  PUMPED,
  async (t) => {
    const server = await serve(t, {}, { stream: "duplex" });
    const { duplex, socket } = await heldSession(server);
    duplex.isHeld = true;
    socket.emit("ev", "the last words");
    await eventually(() => duplex.release, "a write");
    const disconnected = once(socket, "disconnect");
    duplex.push(null);
    await disconnected;
    await eventually(
      () => Object.keys(server.io.engine._roads().streams).length === 0,
      "the stream's release",
    );
    assert.equal(duplex.destroyed, false);
    const closed = once(duplex, "close");
    duplex.isHeld = false;
    duplex.release();
    await closed;
    assert.ok(duplex.written.includes("the last words"));
    assert.equal(duplex.writableFinished, true);
  },
);

/** A session whose client reads nothing, severed while bytes are being written. `onSevering` is called before that. */
async function severedSession(t, onSevering) {
  const server = await serve(t, { maxOutboundBuffer: 1000 }, { stream: "duplex" });
  const { duplex, socket } = await heldSession(server);
  duplex.isHeld = true;
  socket.emit("ev", "the last words");
  await eventually(() => duplex.release, "a write");
  onSevering?.();
  socket.emit("ev", "x".repeat(2000));
  // not by what needs a timer
  while (Object.keys(server.io.engine._roads().streams).length !== 0) await new Promise(setImmediate);
  return duplex;
}

test(
  "what is being written when a client is severed still arrives, and then the stream is closed",
  PUMPED,
  async (t) => {
    const duplex = await severedSession(t);
    const closed = once(duplex, "close");
    duplex.isHeld = false;
    duplex.release();
    await closed;
    assert.ok(duplex.written.includes("the last words"));
  },
);

test("a stream that is never written to its end is closed after half a minute", PUMPED, async (t) => {
  const duplex = await severedSession(t, () => t.mock.timers.enable({ apis: ["setTimeout"] }));
  t.mock.timers.tick(29_999);
  assert.equal(duplex.destroyed, false);
  t.mock.timers.tick(1);
  assert.equal(duplex.destroyed, true);
  t.mock.timers.reset();
});

test("a stream rests while what was read from it has not been handled", PUMPED, async (t) => {
  const server = await serve(t, {}, { stream: "duplex" });
  const { duplex, socket } = await heldSession(server);
  const { native } = server.io.engine._bridge;
  const { pipeData, isBehind } = native;
  let turns = 3;
  native.pipeData = function (...args) {
    pipeData.apply(this, args);
    return true;
  };
  const pauses = record(duplex, "pause");
  const resumes = record(duplex, "resume");
  native.isBehind = () => {
    assert.equal(duplex.isPaused(), true);
    return turns-- > 0;
  };
  const got = record(socket, "ev");
  duplex.push(frame({ payload: '42["ev",1]' }));
  await pauses.until(1);
  await resumes.until(1);
  assert.equal(turns, -1);
  Object.assign(native, { pipeData, isBehind });
  duplex.push(frame({ payload: '42["ev",2]' }));
  assert.deepEqual(await got.until(2), [[1], [2]]);
});

test("a client is not given up for an answer that waits in a stream that rests", PUMPED, async (t) => {
  const server = await serve(t, { pingInterval: 50, pingTimeout: 100 }, { stream: "duplex" });
  const { duplex, socket } = await heldSession(server);
  const { native } = server.io.engine._bridge;
  const { pipeData, isBehind } = native;
  const heartbeats = record(socket.conn, "heartbeat");
  const ends = record(socket, "disconnect");
  await eventually(() => duplex.written.includes(Buffer.from("\x81\x012", "latin1")), "a ping");
  native.pipeData = function (...args) {
    pipeData.apply(this, args);
    return true;
  };
  native.isBehind = () => true;
  duplex.push(frame({ payload: '42["ev"]' }));
  duplex.push(frame({ payload: "3" }));
  assert.equal(duplex.isPaused(), true);
  await new Promise((resolve) => setTimeout(resolve, 400));
  Object.assign(native, { pipeData, isBehind });
  await heartbeats.until(1);
  assert.deepEqual(ends.list, []);
});
