"use strict";

// Commands of one tick take effect in the order in which they were given.

const test = require("node:test");
const assert = require("node:assert/strict");
const { serve, isStock, once, within, eventually, RawPolling, RawWebSocket } = require("./support/harness");

const ROUNDS = 10_000;

/** Clients that connect together, where each round takes new ones. */
const CROWD = 200;

const turn = () => new Promise(setImmediate);

/** The names and numbers of the events that a raw client got, up to "last". */
async function untilLast(ws) {
  await ws.changes.until(() => ws.messages.includes('42["last"]'));
  return ws.messages.slice(2, -1).map((message) => JSON.parse(message.slice(2)));
}

test("1,000 emits, then disconnect(true): 1,000 arrive", async (t) => {
  const server = await serve(t);
  const expected = Array.from({ length: 1000 }, (_, n) => `42["n",${n}]`);
  for (let round = 0; round < 10; round++) {
    const { ws, socket } = await server.rawPair();
    for (let n = 0; n < 1000; n++) {
      socket.emit("n", n);
    }
    socket.disconnect(true);
    assert.equal((await ws.closed()).end, "FIN");
    assert.deepEqual(ws.messages.slice(2), [...expected, "41"]);
  }
});

test("the same with large messages and a slow client", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  ws.socket.pause();
  const text = "x".repeat(20_000);
  for (let n = 0; n < 1000; n++) {
    socket.emit("n", n, text);
  }
  socket.disconnect(true);
  await turn();
  ws.socket.resume();
  await ws.closed();
  assert.equal(ws.messages.length, 2 + 1000 + 1);
  ws.messages.slice(2, -1).forEach((message, n) => assert.ok(message.startsWith(`42["n",${n},"x`)));
});

test("the same over long-polling", async (t) => {
  const server = await serve(t);
  const polling = await RawPolling.connect(server);
  const [socket] = server.io.sockets.sockets.values();
  for (let n = 0; n < 1000; n++) {
    socket.emit("n", n);
  }
  socket.disconnect(true);
  const { packets } = await polling.poll();
  assert.deepEqual(packets, [...Array.from({ length: 1000 }, (_, n) => `42["n",${n}]`), "41"]);
  assert.deepEqual((await polling.poll()).packets, ["6", "1"]);
});

test("emits of the connection handler, then disconnect(true) there", async (t) => {
  const server = await serve(t);
  server.io.on("connection", (socket) => {
    for (let n = 0; n < 20; n++) {
      socket.emit("n", n);
    }
    socket.disconnect(true);
  });
  await Promise.all(
    Array.from({ length: 100 }, async () => {
      const ws = await RawWebSocket.connect(server);
      await ws.closed();
      assert.deepEqual(ws.messages.slice(2), [...Array.from({ length: 20 }, (_, n) => `42["n",${n}]`), "41"]);
    }),
  );
});

test("a broadcast after a join in the same tick includes, after a leave it excludes", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  for (let n = 0; n < ROUNDS; n++) {
    const room = `room ${n % 7}`;
    server.io.to(room).emit("before", n);
    socket.join(room);
    server.io.to(room).emit("in", n);
    socket.leave(room);
    server.io.to(room).emit("after", n);
    if (n % 100 === 99) {
      await turn();
    }
  }
  socket.emit("last");
  assert.deepEqual(
    await untilLast(ws),
    Array.from({ length: ROUNDS }, (_, n) => ["in", n]),
  );
});

test("the same with socketsJoin and socketsLeave, and with except", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  const expected = [];
  for (let n = 0; n < 1000; n++) {
    server.io.socketsJoin("room");
    server.io.to("room").emit("in", n);
    server.io.except("room").emit("excepted", n);
    server.io.in(socket.id).socketsLeave("room");
    server.io.to("room").emit("after", n);
    server.io.except("room").emit("not excepted", n);
    expected.push(["in", n], ["not excepted", n]);
  }
  socket.emit("last");
  assert.deepEqual(await untilLast(ws), expected);
});

test("a broadcast, then disconnectSockets(true): everybody got it", async (t) => {
  const server = await serve(t);
  for (let round = 0; round < ROUNDS / CROWD; round++) {
    const clients = await Promise.all(Array.from({ length: CROWD }, () => RawWebSocket.connect(server)));
    server.io.emit("bye", round);
    server.io.disconnectSockets(true);
    await Promise.all(clients.map((ws) => ws.closed()));
    for (const ws of clients) {
      assert.deepEqual(ws.messages.slice(2), [`42["bye",${round}]`, "41"]);
    }
  }
});

test("a broadcast, then io.close(): everybody got it", async (t) => {
  for (let round = 0; round < ROUNDS / CROWD; round++) {
    const server = await serve(t);
    const clients = await Promise.all(Array.from({ length: CROWD }, () => RawWebSocket.connect(server)));
    const { polling, socket } = await server.pollingPair();
    const poll = polling.poll();
    await eventually(() => socket.conn.transport.writable, "a poll is open");
    server.io.emit("bye", "x".repeat(10_000));
    const bye = `42["bye","${"x".repeat(10_000)}"]`;
    const closing = within(server.io.close(), "io.close()");
    assert.ok((await poll).packets[0] === bye);
    await Promise.all(clients.map((ws) => ws.closed()));
    for (const ws of clients) {
      assert.equal(ws.messages.length, 3);
      assert.ok(ws.messages[2] === bye);
    }
    await closing;
  }
});

test("1,000 emits, then io.close(): all arrived, of which stock sends only the first", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  for (let n = 0; n < 1000; n++) {
    socket.emit("n", n);
  }
  const closing = within(server.io.close(), "io.close()");
  await ws.closed();
  assert.deepEqual(
    ws.messages.slice(2),
    Array.from({ length: isStock ? 1 : 1000 }, (_, n) => `42["n",${n}]`),
  );
  await closing;
});

test("an ack, then disconnect(true): the ack arrived", async (t) => {
  const server = await serve(t);
  server.io.on("connection", (socket) => {
    socket.on("bye", (ack) => {
      ack("got it");
      socket.disconnect(true);
    });
  });
  for (let round = 0; round < 100; round++) {
    const ws = await RawWebSocket.connect(server);
    ws.text('427["bye"]');
    await ws.closed();
    assert.deepEqual(ws.messages.slice(2), ['437["got it"]', "41"]);
  }
});

test("broadcasts and emits to one, in turns, keep their order", async (t) => {
  const server = await serve(t);
  const pairs = await Promise.all([server.rawPair(), server.rawPair(), server.rawPair()]);
  const expected = pairs.map(() => []);
  for (let n = 0; n < ROUNDS; n++) {
    const i = n % 4;
    if (i === 3) {
      server.io.emit("all", n);
      expected.forEach((list) => list.push(["all", n]));
    } else {
      pairs[i].socket.emit("one", n);
      expected[i].push(["one", n]);
    }
    if (n % 1000 === 500) {
      await turn();
    }
  }
  server.io.emit("last");
  for (const [i, { ws }] of pairs.entries()) {
    assert.deepEqual(await untilLast(ws), expected[i]);
  }
});

/** Numbers that look random and are the same in every run. */
function generator(seed) {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

for (const seed of [1, 2, 3]) {
  test(`${ROUNDS} commands of all kinds agree with a model, seed ${seed}`, async (t) => {
    const server = await serve(t);
    const pairs = await Promise.all(Array.from({ length: 6 }, () => server.rawPair()));
    const random = generator(seed);
    const rooms = ["a", "b", "c", "d"];
    const members = new Map(rooms.map((room) => [room, new Set()]));
    const expected = pairs.map(() => []);
    const everybody = pairs.map((_, i) => i);
    const expect = (indices, n) => indices.forEach((i) => expected[i].push(["n", n]));
    for (let n = 0; n < ROUNDS; n++) {
      const i = random(pairs.length);
      const { socket } = pairs[i];
      const room = rooms[random(rooms.length)];
      const other = rooms[random(rooms.length)];
      const inRoom = (index) => members.get(room).has(index);
      const inOther = (index) => members.get(other).has(index);
      switch (random(10)) {
        case 0:
        case 1:
          socket.join(room);
          members.get(room).add(i);
          break;
        case 2:
          socket.leave(room);
          members.get(room).delete(i);
          break;
        case 3:
          socket.emit("n", n);
          expect([i], n);
          break;
        case 4:
          server.io.emit("n", n);
          expect(everybody, n);
          break;
        case 5:
          server.io.to(room).emit("n", n);
          expect(everybody.filter(inRoom), n);
          break;
        case 6:
          server.io.to(room).to(other).emit("n", n);
          expect(
            everybody.filter((index) => inRoom(index) || inOther(index)),
            n,
          );
          break;
        case 7:
          server.io.to(room).except(other).emit("n", n);
          expect(
            everybody.filter((index) => inRoom(index) && !inOther(index)),
            n,
          );
          break;
        case 8:
          socket.to(room).emit("n", n);
          expect(
            everybody.filter((index) => index !== i && inRoom(index)),
            n,
          );
          break;
        case 9:
          server.io.in(room).socketsLeave(other);
          members.get(room).forEach((index) => members.get(other).delete(index));
          break;
      }
      if (random(50) === 0) {
        await turn();
      }
    }
    server.io.emit("last");
    for (const [i, { ws }] of pairs.entries()) {
      assert.deepEqual(await untilLast(ws), expected[i], `client ${i}`);
    }
  });
}

test("a socket that disconnects is out of its rooms at once", async (t) => {
  const server = await serve(t);
  for (let round = 0; round < 100; round++) {
    const { ws, socket } = await server.rawPair();
    socket.join("room");
    socket.disconnect();
    server.io.to("room").emit("late");
    server.io.emit("late");
    ws.text("40");
    assert.equal(await ws.next(), "41");
    assert.match(await ws.next(), /^40\{"sid"/);
    ws.destroy();
  }
});

test("events of a client stay in order while others flood", async (t) => {
  const server = await serve(t);
  const pairs = await Promise.all(Array.from({ length: 10 }, () => server.rawPair()));
  const seen = pairs.map(() => []);
  const done = Promise.all(pairs.map(({ socket }) => once(socket, "last")));
  pairs.forEach(({ socket }, i) => socket.on("n", (n) => seen[i].push(n)));
  for (let n = 0; n < 1000; n++) {
    for (const { ws } of pairs) {
      ws.text(`42["n",${n}]`);
    }
  }
  for (const { ws } of pairs) {
    ws.text('42["last"]');
  }
  await done;
  const expected = Array.from({ length: 1000 }, (_, n) => n);
  for (const list of seen) {
    assert.deepEqual(list, expected);
  }
});
