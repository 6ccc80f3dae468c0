"use strict";

// A WebSocket leaves Node's socket for the native engine: nothing may be lost, and the peer may not notice.

const test = require("node:test");
const assert = require("node:assert/strict");
const v8 = require("node:v8");
const vm = require("node:vm");
const {
  serve,
  isStock,
  eventually,
  once,
  frame,
  upgradeRequest,
  RawPolling,
  RawWebSocket,
  PING,
  PONG,
} = require("./support/harness");

v8.setFlagsFromString("--expose-gc");
const collectGarbage = vm.runInNewContext("gc");

const turn = () => new Promise(setImmediate);

test("no client ever sees a FIN after the upgrade, not even after a garbage collection", async (t) => {
  const server = await serve(t);
  server.io.on("connection", (socket) => socket.on("n", (n, ack) => ack(n)));
  const clients = await Promise.all(Array.from({ length: 200 }, () => RawWebSocket.connect(server)));
  for (let round = 0; round < 3; round++) {
    collectGarbage();
    await turn();
    clients.forEach((ws, i) => ws.text(`42${round}["n",${i}]`));
    const answers = await Promise.all(clients.map((ws) => ws.next()));
    assert.deepEqual(
      answers,
      clients.map((_, i) => `43${round}[${i}]`),
    );
  }
  assert.deepEqual(
    clients.filter((ws) => ws.end !== null),
    [],
  );
});

test(
  "frames behind the upgrade request arrive, wherever the bytes are split",
  {
    skip: isStock && "stock loses the frames that come with an upgrade request",
  },
  async (t) => {
    const server = await serve(t);
    server.io.of("/chat");
    const bytes = Buffer.concat([
      Buffer.from(upgradeRequest("/socket.io/?EIO=4&transport=websocket")),
      frame({ payload: "40" }),
      frame({ opcode: PING, payload: "ping" }),
      frame({ payload: '40/chat,{"é":1}' }),
    ]);
    for (let split = 0; split <= bytes.length; split++) {
      const ws = server.keep(new RawWebSocket(server));
      await once(ws.socket, server.secure ? "secureConnect" : "connect");
      ws.write(bytes.subarray(0, split));
      for (let i = 0; i < split % 5; i++) {
        await turn();
      }
      ws.write(bytes.subarray(split));
      await ws.answered();
      assert.equal(ws.status, 101);
      assert.match(await ws.next(), /^0\{"sid"/, `split after ${split} bytes`);
      assert.match(await ws.next(), /^40\{"sid"/, `split after ${split} bytes`);
      assert.match(await ws.next(), /^40\/chat,\{"sid"/, `split after ${split} bytes`);
      const pong = ws.frames.find(({ opcode }) => opcode === PONG);
      assert.equal(pong?.payload.toString(), "ping", `split after ${split} bytes`);
      ws.destroy();
    }
  },
);

test("a probe right behind the upgrade request of a polling session", async (t) => {
  const server = await serve(t);
  const polling = await RawPolling.connect(server);
  const ws = await RawWebSocket.upgrade(server, {
    query: `EIO=4&transport=websocket&sid=${polling.sid}`,
    head: frame({ payload: "2probe" }),
  });
  assert.equal(ws.status, 101);
  assert.equal(await ws.next(), "3probe");
  ws.text("5");
  await eventually(() => server.io.engine.clients[polling.sid].upgraded, "the upgrade");
  server.io.emit("ev");
  assert.equal(await ws.next(), '42["ev"]');
});

test("the head of the answer is written to its end before the first frame, however slowly the client reads", async (t) => {
  const server = await serve(t);
  // more than the buffers of both sockets hold
  const size = 8 * 1024 * 1024;
  server.io.engine.on("headers", (headers) => (headers["X-Large"] = "x".repeat(size)));
  const ws = server.keep(new RawWebSocket(server));
  ws.socket.pause();
  ws.write(upgradeRequest("/socket.io/?EIO=4&transport=websocket"));
  const connection = once(server.io.engine, "connection");
  await connection;
  for (let i = 0; i < 20; i++) {
    await turn();
  }
  const received = [];
  ws.onBytes = (chunk) => received.push(chunk);
  const complete = new Promise((resolve) => {
    let total = 0;
    ws.socket.on("data", (chunk) => {
      total += chunk.length;
      if (total > size && received.at(-1).includes('0{"sid"')) {
        resolve();
      }
    });
  });
  ws.socket.resume();
  await complete;
  delete ws.onBytes;
  ws.onBytes(Buffer.concat(received));
  assert.equal(ws.status, 101);
  assert.equal(ws.headers["x-large"].length, size);
  assert.match(await ws.next(), /^0\{"sid"/);
  ws.text("40");
  assert.match(await ws.next(), /^40\{"sid"/);
});

test("large messages right after the upgrade, both ways, wait for nobody", async (t) => {
  const server = await serve(t, { maxHttpBufferSize: 1e7 });
  const text = "x".repeat(2_000_000);
  server.io.on("connection", (socket) => {
    socket.emit("large", text);
    socket.on("large", (value, ack) => ack(value.length));
  });
  await Promise.all(
    Array.from({ length: 10 }, async () => {
      const client = server.client();
      const large = once(client, "large");
      const length = client.timeout(10_000).emitWithAck("large", text);
      assert.ok((await large)[0] === text);
      assert.equal(await length, text.length);
    }),
  );
});

test("clients that vanish in the middle of the upgrade leave nothing behind", async (t) => {
  const server = await serve(t);
  const request = upgradeRequest("/socket.io/?EIO=4&transport=websocket");
  for (let round = 0; round < 10; round++) {
    await Promise.all(
      Array.from({ length: 20 }, async (_, i) => {
        const ws = server.keep(new RawWebSocket(server));
        await once(ws.socket, server.secure ? "secureConnect" : "connect");
        ws.write(request);
        for (let n = 0; n < i % 6; n++) {
          await turn();
        }
        if (i % 2) {
          ws.reset();
        } else {
          ws.destroy();
        }
      }),
    );
  }
  await eventually(() => server.io.engine.clientsCount === 0, "all sessions are gone");
  const { client } = await server.pair();
  assert.equal(client.connected, true);
});

test("the answer that a client sends at once, in one segment with a FIN, is handled", async (t) => {
  const server = await serve(t);
  const { ws, socket, disconnected } = await server.rawPair();
  const got = once(socket, "last");
  ws.socket.end(frame({ payload: '42["last",1]' }));
  assert.deepEqual(await got, [1]);
  assert.equal((await disconnected)[0], "transport close");
});
