"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { serve, once, record, isStock } = require("./support/harness");

const TRANSPORTS = ["websocket", "polling"];
const bytes = (...values) => Buffer.from(values);

for (const transport of TRANSPORTS) {
  const options = { transports: [transport] };

  test(`a Buffer from the client over ${transport}`, async (t) => {
    const server = await serve(t);
    const { client, socket } = await server.pair("/", options);
    const got = once(socket, "ev");
    client.emit("ev", bytes(0, 1, 127, 128, 255), "and text");
    const [data, text] = await got;
    assert.ok(Buffer.isBuffer(data));
    assert.deepEqual(data, bytes(0, 1, 127, 128, 255));
    assert.equal(text, "and text");
  });

  test(`a Buffer from the server over ${transport}`, async (t) => {
    const server = await serve(t);
    const { client, socket } = await server.pair("/", options);
    const got = once(client, "ev");
    socket.emit("ev", bytes(0, 1, 127, 128, 255), "and text");
    assert.deepEqual(await got, [bytes(0, 1, 127, 128, 255), "and text"]);
  });

  test(`binary values nested and mixed over ${transport}, both ways`, async (t) => {
    const server = await serve(t);
    const { client, socket } = await server.pair("/", options);
    const value = { a: [bytes(1), { b: bytes(2, 2) }], c: "é😀", d: bytes(), e: null };
    const up = once(socket, "ev");
    client.emit("ev", value, bytes(3, 3, 3));
    assert.deepEqual(await up, [value, bytes(3, 3, 3)]);
    const down = once(client, "ev");
    socket.emit("ev", value, bytes(3, 3, 3));
    assert.deepEqual(await down, [value, bytes(3, 3, 3)]);
  });

  test(`binary acks over ${transport}, both ways`, async (t) => {
    const server = await serve(t);
    const { client, socket } = await server.pair("/", options);
    socket.on("q", (data, ack) => ack(Buffer.concat([data, data]), "ok"));
    client.on("q", (data, ack) => ack(Buffer.concat([data, data]), "ok"));
    const up = await new Promise((resolve) => client.emit("q", bytes(1, 2), (...args) => resolve(args)));
    assert.deepEqual(up, [bytes(1, 2, 1, 2), "ok"]);
    const down = await new Promise((resolve) => socket.emit("q", bytes(3), (...args) => resolve(args)));
    assert.deepEqual(down, [bytes(3, 3), "ok"]);
  });

  test(`all 256 byte values and sizes around the limits of frames over ${transport}`, async (t) => {
    const server = await serve(t);
    const { client, socket } = await server.pair("/", options);
    socket.on("echo", (data, ack) => ack(data));
    for (const size of [0, 1, 2, 3, 125, 126, 127, 256, 65535, 65536, 200_000]) {
      const data = Buffer.alloc(size);
      for (let i = 0; i < size; i++) {
        data[i] = i & 255;
      }
      const answer = await client.timeout(10_000).emitWithAck("echo", data);
      assert.ok(data.equals(answer), `${size} bytes`);
    }
  });

  test(`text and binary events keep their order over ${transport}`, async (t) => {
    const server = await serve(t);
    const { client, socket } = await server.pair("/", options);
    const up = record(socket, "ev");
    const down = record(client, "ev");
    const expected = [];
    for (let i = 0; i < 60; i++) {
      const value = i % 3 === 0 ? bytes(i) : i % 3 === 1 ? `text ${i}` : { list: [bytes(i), bytes(i, i)] };
      expected.push([value]);
      client.emit("ev", value);
      socket.emit("ev", value);
    }
    await Promise.all([up.until(60), down.until(60)]);
    assert.deepEqual(up.list, expected);
    assert.deepEqual(down.list, expected);
  });
}

test("a binary event on the wire: header, then attachments", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  socket.emit("ev", bytes(1, 2), { x: bytes(3) });
  assert.equal(
    await ws.next(),
    '452-["ev",{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1}}]',
  );
  assert.deepEqual(await ws.next(), bytes(1, 2));
  assert.deepEqual(await ws.next(), bytes(3));
  const got = once(socket, "up");
  ws.text('452-["up",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]');
  ws.binary(bytes(7));
  ws.binary(bytes(8, 9));
  assert.deepEqual(await got, [bytes(8, 9), bytes(7)]);
});

test("a binary event in a namespace and with an ack id on the wire", async (t) => {
  const server = await serve(t);
  server.io.of("/chat");
  const { ws, socket } = await server.rawPair({ nsp: "/chat" });
  socket.on("q", (data, ack) => ack(data));
  ws.text('451-/chat,12["q",{"_placeholder":true,"num":0}]');
  ws.binary(bytes(5));
  assert.equal(await ws.next(), '461-/chat,12[{"_placeholder":true,"num":0}]');
  assert.deepEqual(await ws.next(), bytes(5));
});

test("binary data on the wire of long-polling is base64", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  socket.emit("ev", bytes(1, 2, 3, 4));
  assert.equal(await polling.next(), '451-["ev",{"_placeholder":true,"num":0}]');
  assert.equal(await polling.next(), "bAQIDBA==");
  const got = once(socket, "up");
  await polling.post('451-["up",{"_placeholder":true,"num":0}]\x1ebBQYH');
  assert.deepEqual(await got, [bytes(5, 6, 7)]);
});

test("attachments may come in another request than their header", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const got = once(socket, "up");
  await polling.post('452-["up",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]');
  await polling.post("bAQ==");
  await polling.post("bAg==");
  assert.deepEqual(await got, [bytes(1), bytes(2)]);
});

test("ten attachments are allowed", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const got = once(socket, "ev");
  const ten = Array.from({ length: 10 }, (_, i) => bytes(i));
  client.emit("ev", ...ten);
  assert.deepEqual(await got, ten);
});

test("the server may send more than ten attachments", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  const many = Array.from({ length: 50 }, (_, i) => bytes(i));
  socket.emit("ev", many);
  assert.match(await ws.next(), /^4550-\["ev",/);
  for (const one of many) {
    assert.deepEqual(await ws.next(), one);
  }
});

test("typed arrays, array buffers and views are sent as their bytes", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const whole = Uint8Array.from([9, 1, 2, 3, 9]);
  for (const data of [
    new Uint8Array([1, 2, 3]),
    new Uint8Array([1, 2, 3]).buffer,
    whole.subarray(1, 4),
    new DataView(whole.buffer, 1, 3),
    Buffer.from(whole.buffer, 1, 3),
  ]) {
    const got = once(client, "ev");
    socket.emit("ev", data);
    assert.deepEqual(await got, [bytes(1, 2, 3)]);
  }
});

test("a broadcast of binary data, to WebSocket and polling clients", async (t) => {
  const server = await serve(t);
  const pairs = [
    ...(await server.pairs(2)),
    await server.pair("/", { transports: ["polling"] }),
    await server.pair("/", { transports: ["polling", "websocket"] }),
  ];
  const got = Promise.all(pairs.map(({ client }) => once(client, "ev")));
  server.io.emit("ev", bytes(1, 2, 3), { nested: bytes(4) });
  for (const args of await got) {
    assert.deepEqual(args, [bytes(1, 2, 3), { nested: bytes(4) }]);
  }
});

test("broadcasts of binary data and text keep their order", async (t) => {
  const server = await serve(t);
  const pairs = await server.pairs(3);
  const recorders = pairs.map(({ client }) => record(client, "ev"));
  const expected = [];
  for (let i = 0; i < 30; i++) {
    const value = i % 2 ? bytes(i, i) : `text ${i}`;
    expected.push([value]);
    server.io.emit("ev", value);
  }
  for (const recorder of recorders) {
    await recorder.until(30);
    assert.deepEqual(recorder.list, expected);
  }
});

test("a Buffer that the server changes after the emit", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const got = once(client, "ev");
  const data = Buffer.alloc(1000, 1);
  socket.emit("ev", Buffer.from(data));
  data.fill(2);
  assert.deepEqual(await got, [Buffer.alloc(1000, 1)]);
});

test("received Buffers do not share memory that later messages overwrite", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const got = record(socket, "ev");
  for (let i = 0; i < 200; i++) {
    client.emit("ev", Buffer.alloc(500, i));
  }
  await got.until(200);
  got.list.forEach(([data], i) => assert.ok(data.equals(Buffer.alloc(500, i)), `message ${i}`));
});

test("more attachments than 16 bits can count, some of them the same, to one client and to many", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  const distinct = [bytes(0), bytes(1, 1), Buffer.alloc(10_000, 2)];
  const attachments = Array.from({ length: 70_000 }, (_, i) => distinct[i < 69_900 ? i & 1 : i % 3]);
  for (const emit of [() => socket.emit("many", attachments), () => server.io.emit("many", attachments)]) {
    emit();
    socket.emit("one", bytes(3));
    socket.emit("none");
    assert.equal((await ws.next()).slice(0, 47), '4570000-["many",[{"_placeholder":true,"num":0},');
    for (let i = 0; i < attachments.length; i++) {
      // looking at them one by one would take node:assert seconds
      if (!attachments[i].equals(await ws.next())) assert.fail(`attachment ${i} is another`);
    }
    assert.equal(await ws.next(), '451-["one",{"_placeholder":true,"num":0}]');
    assert.deepEqual(await ws.next(), bytes(3));
    assert.equal(await ws.next(), '42["none"]');
  }
});

test("the same buffer in several packets of a tick, and views of the same memory", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const got = record(client, "b");
  const memory = bytes(1, 2, 3, 4);
  const views = [
    memory,
    memory.subarray(0, 4),
    memory.subarray(1, 3),
    memory.subarray(1, 2),
    new Uint8Array(0),
  ];
  for (let i = 0; i < 3; i++) for (const view of views) socket.emit("b", view, [view, memory]);
  await got.until((list) => list.length === 15);
  const expected = views.map((view) => [Buffer.from(view), [Buffer.from(view), memory]]);
  assert.deepEqual(got.list, [...expected, ...expected, ...expected]);
});

test(
  "a packet that repeats an attachment beyond what one string can hold is an error of the emitter's",
  { skip: isStock && "stock sends it" },
  async (t) => {
    const server = await serve(t);
    const { client, socket } = await server.pair();
    const got = record(client, "n");
    const large = Buffer.alloc(1024 * 1024);
    socket.emit("n", 1, bytes(1));
    assert.throws(() => socket.emit("large", Array(513).fill(large)), {
      name: "RangeError",
      message: "a packet repeats its 1048576 bytes of attachments until they are 537919488",
    });
    assert.throws(() => server.io.emit("large", Array(513).fill(large)), RangeError);
    socket.emit("n", 2, bytes(2));
    await got.until((list) => list.length === 2);
    assert.deepEqual(got.list, [
      [1, bytes(1)],
      [2, bytes(2)],
    ]);
  },
);

test("something that is no binary data after all takes no other packet's attachment", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair();
  const got = record(client, "n");
  socket.emit("n", 1, bytes(1));
  try {
    socket.emit("blob", bytes(9), new Blob(["x"]));
  } catch (error) {
    assert.ok(error instanceof TypeError, error);
  }
  socket.emit("n", 2, bytes(2));
  if (isStock) return;
  await got.until((list) => list.length === 2);
  assert.deepEqual(got.list, [
    [1, bytes(1)],
    [2, bytes(2)],
  ]);
});

test(
  "a client whose placeholders repeat an attachment beyond measure",
  { skip: isStock && "stock hands it to the application" },
  async (t) => {
    const server = await serve(t, { maxHttpBufferSize: 1e8 });
    const { ws, socket, log, disconnected } = await server.rawPair();
    const got = record(socket, "e");
    const repeated = (count) => `451-["e",[${Array(count).fill('{"_placeholder":true,"num":0}').join()}]]`;
    // 40 MB
    ws.text(repeated(400));
    ws.binary(Buffer.alloc(100_000));
    await got.until((list) => list.length === 1);
    const [[list]] = got.list;
    assert.ok(list.length === 400 && list.every((one) => one === list[0]), "it is one buffer");
    // a large one that is used once
    ws.text(repeated(1));
    ws.binary(Buffer.alloc(80_000_000));
    await got.until((list) => list.length === 2);
    // 70 MB
    ws.text(repeated(700));
    ws.binary(Buffer.alloc(100_000));
    assert.equal((await disconnected)[0], "forced close");
    assert.deepEqual(log, [
      "error: illegal attachments",
      "disconnecting: forced close",
      "disconnect: forced close",
    ]);
    assert.equal(got.list.length, 2);
  },
);

// with stock, the client ends with "parse error", or the session does later
for (const transport of TRANSPORTS) {
  test(`a Blob is refused, and nobody's messages suffer, over ${transport}`, { skip: isStock }, async (t) => {
    const server = await serve(t);
    const [{ client, socket }, { client: other, socket: otherSocket }] = await server.pairs(2, "/", {
      transports: [transport],
    });
    const got = record(client, "ev");
    const gotByOther = record(other, "ev");
    const refusal = { name: "TypeError", message: /^a Blob has to be read before it can be sent/ };
    const blob = new Blob(["x"]);
    socket.emit("ev", 1);
    assert.throws(() => socket.emit("ev", { blob }), refusal);
    assert.throws(() => socket.volatile.emit("ev", blob, bytes(1)), refusal);
    otherSocket.emit("ev", bytes(2));
    assert.throws(() => server.io.emit("ev", bytes(1), blob), refusal);
    assert.throws(() => socket.broadcast.emit("ev", blob), refusal);
    server.io.emit("ev", bytes(3), "all");
    socket.emit("ev", "last");
    otherSocket.emit("ev", "last");
    assert.deepEqual(await got.until(3), [[1], [bytes(3), "all"], ["last"]]);
    assert.deepEqual(await gotByOther.until(3), [[bytes(2)], [bytes(3), "all"], ["last"]]);
  });

  test(
    `what cannot be read any more is refused, and nobody's messages suffer, over ${transport}`,
    { skip: isStock },
    async (t) => {
      const server = await serve(t);
      const [{ client, socket }, { client: other, socket: otherSocket }] = await server.pairs(2, "/", {
        transports: [transport],
      });
      const gotByOther = record(other, "ev");
      const { buffer } = new Uint8Array(4);
      structuredClone(buffer, { transfer: [buffer] });
      otherSocket.emit("ev", bytes(1));
      assert.throws(() => socket.conn.send(buffer), TypeError);
      otherSocket.emit("ev", bytes(2), "text");
      assert.deepEqual(await gotByOther.until(2), [[bytes(1)], [bytes(2), "text"]]);
      assert.ok(client.connected);
    },
  );
}
