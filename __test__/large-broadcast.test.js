"use strict";

// Broadcasts to more clients than the engine writes to at a time: what one of them gets may wait while others are
// written to, and commands are executed meanwhile.

const test = require("node:test");
const assert = require("node:assert/strict");
const {
  serve,
  isStock,
  defaultStream,
  defaultWorkers,
  within,
  once,
  RawWebSocket,
  frame,
  closePayload,
  CLOSE,
} = require("./support/harness");
const { startChild } = require("./support/child");

const COUNT = 300;
/** More than a socket's frames have in common with those of others, and less than it takes to be shared. */
const PAD = "x".repeat(4000);
const LARGE = "y".repeat(20_000);
const LAST = '42["last"]';

/** While a stream in JavaScript is being written to, volatile messages are dropped for a reason of its own. */
const DESCRIPTORS = { skip: defaultStream !== "http" && "streams without a descriptor write in JavaScript" };

/** A server with one worker, so that all its clients are in one backlog, unless another number is asked for; its clients. */
async function crowd(t, options, count = COUNT) {
  const server = await serve(t, { workers: defaultWorkers ?? 1, ...options });
  const pairs = await Promise.all(Array.from({ length: count }, () => server.rawPair()));
  return { server, io: server.io, pairs };
}

/** Of the clients of one worker, what has reached the first is on its way to all. */
const ONE_BACKLOG = { workers: 1 };

/** The messages that a client has got since it connected. */
function heard(ws) {
  return ws.messages.slice(ws.taken);
}

/** Resolves when a client has got `message`, or its connection has ended. */
function until(ws, message) {
  return ws.changes.until(() => ws.messages.includes(message, ws.taken) || ws.end !== null);
}

function tick() {
  return new Promise(setImmediate);
}

/** Messages are long: a difference is told by where it is, not by printing both lists. */
function assertHeard(ws, expected, who) {
  const got = heard(ws);
  const at = expected.findIndex((message, i) => message !== got[i]);
  const found = at === -1 ? got.length : at;
  const short = (message) => String(message).slice(0, 40);
  assert.ok(
    at === -1 && got.length === expected.length,
    `${who}: message ${found} is ${short(got[found])}, not ${short(expected[found])}`,
  );
}

test("broadcasts and messages to some and to one arrive complete and in order", async (t) => {
  const { io, pairs } = await crowd(t);
  pairs.forEach(({ socket }, i) => i % 3 === 0 && socket.join("third"));
  const expected = pairs.map(() => []);
  const expect = (message, isFor = () => true) =>
    expected.forEach((list, i) => isFor(i) && list.push(message));
  for (let n = 0; n < 200; n++) {
    const one = (n * 7) % COUNT;
    switch (n % 5) {
      case 0:
        io.emit("all", n, PAD);
        expect(`42["all",${n},"${PAD}"]`);
        break;
      case 1:
        pairs[one].socket.emit("one", n);
        expect(`42["one",${n}]`, (i) => i === one);
        break;
      case 2:
        io.to("third").emit("third", n);
        expect(`42["third",${n}]`, (i) => i % 3 === 0);
        break;
      case 3:
        pairs[one].socket.broadcast.emit("others", n, LARGE);
        expect(`42["others",${n},"${LARGE}"]`, (i) => i !== one);
        break;
      case 4:
        pairs.forEach(({ socket }) => socket.emit("each", n));
        expect(`42["each",${n}]`);
    }
    if (n % 3 === 0) {
      await tick();
    }
  }
  io.emit("last");
  expect(LAST);
  await Promise.all(pairs.map(({ ws }) => until(ws, LAST)));
  pairs.forEach(({ ws }, i) => assertHeard(ws, expected[i], `client ${i}`));
});

/** How clients leave, and whether the server had a say in it: then they get what was emitted before. */
const DEPARTURES = [
  [({ ws }) => ws.destroy(), false],
  [({ ws }) => ws.reset(), false],
  [({ ws }) => ws.text("41"), false],
  [({ ws }) => ws.frame({ opcode: CLOSE, payload: closePayload(1000) }), false],
  [({ ws }) => ws.write(frame({ rsv: 7, payload: "4" })), false],
  [({ socket }) => socket.disconnect(), true],
  [({ socket }) => socket.disconnect(true), true],
  [({ socket }) => socket.conn.close(), true],
];

test("clients that leave, and new ones in their places, cost nobody a message", async (t) => {
  const { server, io, pairs } = await crowd(t);
  const sent = [];
  const leavers = new Map();
  const newcomers = [];
  for (let n = 0; n < 80; n++) {
    io.emit("n", n, PAD);
    sent.push(`42["n",${n},"${PAD}"]`);
    const [depart, isServers] = DEPARTURES[n % DEPARTURES.length];
    const leaver = pairs[(n * 3) % COUNT];
    leavers.set(leaver.ws, isServers && sent.length);
    depart(leaver);
    newcomers.push(RawWebSocket.connect(server));
    await tick();
  }
  const latecomers = await Promise.all(newcomers);
  io.emit("last");
  sent.push(LAST);
  for (const [i, { ws }] of pairs.entries()) {
    if (!leavers.has(ws)) {
      await until(ws, LAST);
      assertHeard(ws, sent, `client ${i}`);
    }
  }
  for (const [i, ws] of latecomers.entries()) {
    await until(ws, LAST);
    assertHeard(ws, sent.slice(-heard(ws).length), `newcomer ${i}`);
  }
  for (const [ws, count] of leavers) {
    if (count !== false) {
      await ws.changes.until(() => ws.closeFrame !== null || ws.end !== null || ws.messages.includes("41"));
      const events = heard(ws).filter((message) => message.startsWith("42"));
      assert.deepEqual(events.length, count, "what was emitted before the server's disconnect");
    }
  }
});

test("volatile broadcasts one after the other reach clients that read", DESCRIPTORS, async (t) => {
  const { io, pairs } = await crowd(t, ONE_BACKLOG);
  const expected = [];
  for (let n = 0; n < 100; n++) {
    io.volatile.emit("n", n, PAD);
    const message = `42["n",${n},"${PAD}"]`;
    expected.push(message);
    // whoever is written to first has it; others may not have been written to yet
    await until(pairs[0].ws, message);
  }
  io.emit("last");
  expected.push(LAST);
  await Promise.all(pairs.map(({ ws }) => until(ws, LAST)));
  pairs.forEach(({ ws }, i) => assertHeard(ws, expected, `client ${i}`));
});

test(
  "of two volatile messages in one tick one arrives, also while a broadcast leaves",
  DESCRIPTORS,
  async (t) => {
    const { io, pairs } = await crowd(t, ONE_BACKLOG);
    const expected = [];
    for (let n = 0; n < 50; n++) {
      const before = `42["before",${n},"${PAD}"]`;
      io.emit("before", n, PAD);
      await until(pairs[0].ws, before);
      if (n % 2 === 0) {
        io.volatile.emit("one", n);
        io.volatile.emit("two", n);
      } else {
        pairs.forEach(({ socket }) => socket.volatile.emit("one", n));
        pairs.forEach(({ socket }) => socket.volatile.emit("two", n));
      }
      expected.push(before, `42["one",${n}]`);
      await until(pairs[0].ws, `42["one",${n}]`);
    }
    io.emit("last");
    expected.push(LAST);
    await Promise.all(pairs.map(({ ws }) => until(ws, LAST)));
    pairs.forEach(({ ws }, i) => assertHeard(ws, expected, `client ${i}`));
  },
);

for (const isClosed of [false, true]) {
  test(`disconnectSockets(${isClosed}) comes after the broadcasts before it`, async (t) => {
    const { io, pairs } = await crowd(t);
    const sent = [];
    for (let n = 0; n < 5; n++) {
      io.emit("n", n, PAD);
      sent.push(`42["n",${n},"${PAD}"]`);
    }
    io.disconnectSockets(isClosed);
    io.emit("nobody is left");
    for (const [i, { ws, disconnected }] of pairs.entries()) {
      await until(ws, "41");
      assertHeard(ws, [...sent, "41"], `client ${i}`);
      if (isClosed) {
        assert.equal((await ws.closed()).end, "FIN");
      }
      assert.equal((await disconnected)[0], "server namespace disconnect");
    }
  });
}

test("callbacks of send() and a drain follow, also behind a broadcast", async (t) => {
  const { io, pairs } = await crowd(t);
  io.emit("n", PAD);
  const sent = pairs.map(
    ({ socket }) => new Promise((resolve) => socket.conn.send('2["last"]', {}, resolve)),
  );
  await within(Promise.all(sent), "callbacks");
  const drained = once(pairs[0].socket.conn, "drain");
  io.emit("n", PAD);
  await drained;
  io.emit("last");
  const expected = [`42["n","${PAD}"]`, LAST, `42["n","${PAD}"]`, LAST];
  for (const [i, { ws }] of pairs.entries()) {
    await ws.changes.until(() => heard(ws).length >= expected.length || ws.end !== null);
    assertHeard(ws, expected, `client ${i}`);
  }
});

test("a client that reads may have more waiting than maxOutboundBuffer for as long as others come first", async (t) => {
  const { io, pairs } = await crowd(t, { ...ONE_BACKLOG, maxOutboundBuffer: 10_000 });
  const expected = [];
  for (let n = 0; n < 100; n++) {
    io.emit("n", n, PAD.slice(0, 300));
    expected.push(`42["n",${n},"${PAD.slice(0, 300)}"]`);
    if (n % 2 === 0) {
      await tick();
    }
    if (n % 20 === 19) {
      // streams in JavaScript need its turns to be written
      await Promise.all(pairs.map(({ ws }) => until(ws, expected.at(-1))));
    }
  }
  pairs.forEach(({ ws }, i) => assertHeard(ws, expected, `client ${i}`));
});

test("pings to all at once, during broadcasts without a pause, keep everybody alive", async (t) => {
  const { io, pairs } = await crowd(t, { ...ONE_BACKLOG, pingInterval: 100, pingTimeout: 5000 });
  const lost = [];
  for (const { socket, ws } of pairs) {
    socket.on("disconnect", (reason) => lost.push(reason));
    ws.pongs = 0;
    ws.socket.on("data", () => {
      const pings = ws.messages.filter((message) => message === "2").length;
      for (; ws.pongs < pings; ws.pongs++) {
        ws.text("3");
      }
    });
  }
  let isOver = false;
  let emitted = 0;
  // the next one leaves as soon as the first client has got the last but some
  const flood = (async () => {
    while (!isOver) {
      io.emit("n", emitted++);
      if (emitted > 5) {
        await until(pairs[0].ws, `42["n",${emitted - 5}]`);
      }
    }
  })();
  await Promise.all(pairs.map(({ ws }) => ws.changes.until(() => ws.pongs >= 4 || ws.end !== null, 30_000)));
  isOver = true;
  await flood;
  io.emit("last");
  await Promise.all(pairs.map(({ ws }) => until(ws, LAST)));
  assert.deepEqual(lost, []);
  const expected = [...Array.from({ length: emitted }, (_, n) => `42["n",${n}]`), LAST];
  for (const [i, { ws }] of pairs.entries()) {
    // pings may have come while the client was still connecting
    ws.messages = ws.messages.slice(ws.taken).filter((message) => message !== "2");
    ws.taken = 0;
    assertHeard(ws, expected, `client ${i}`);
  }
});

/** An application whose process ends right after its last broadcast. */
async function application({ args, sio, listen, inbox, send }) {
  const httpServer = await listen();
  const io = new sio.Server(httpServer, { workers: 1 });
  inbox.on("end", () => {
    for (let n = 0; n < args.count; n++) {
      io.emit("n", n, args.pad);
    }
    // behind the engine's listener: what it has not written by then is lost
    process.on("exit", () => process.kill(process.pid, "SIGKILL"));
    process.exit();
  });
  send("listening", { port: httpServer.address().port });
}

/** Has a crowd connect to a child that broadcasts five times and ends, and hear all of it. */
async function assertCrowdHears(t, port, child) {
  const opened = [];
  t.after(() => opened.forEach((ws) => ws.destroy()));
  const server = { port, secure: false, keep: (ws) => opened.push(ws) };
  const crowd = await Promise.all(Array.from({ length: COUNT }, () => RawWebSocket.connect(server)));
  child.send("end");
  const expected = Array.from({ length: 5 }, (_, n) => `42["n",${n},"${PAD}"]`);
  for (const [i, ws] of crowd.entries()) {
    await ws.ended();
    assertHeard(ws, expected, `client ${i}`);
  }
}

const SETTLES = { skip: isStock && "stock keeps all but the first for another tick, which never comes" };

test("what was broadcast right before process.exit() arrives", SETTLES, async (t) => {
  const child = startChild(t, application, { count: 5, pad: PAD });
  const { port } = await child.message("listening");
  await assertCrowdHears(t, port, child);
  assert.deepEqual(await child.ended(), { code: null, signal: "SIGKILL" });
});

/** An application in a thread that is terminated by another once its broadcast is on its way. */
async function threads({ args, load, send, inbox }) {
  const { Worker } = load("node:worker_threads");
  const source = `
    const { parentPort, workerData } = require("node:worker_threads");
    const { Server } = require(workerData.target);
    const httpServer = require("node:http").createServer();
    const io = new Server(httpServer, { workers: 1 });
    httpServer.listen(0, "127.0.0.1", () => parentPort.postMessage(httpServer.address().port));
    parentPort.on("message", () => {
      for (let n = 0; n < workerData.count; n++) io.emit("n", n, workerData.pad);
      setImmediate(() => parentPort.postMessage("emitted"));
    });
  `;
  const workerData = { ...args, target: load("./target").target };
  const worker = new Worker(source, { eval: true, workerData });
  worker.on("message", (message) => {
    if (message === "emitted") {
      worker.terminate().then(() => send("terminated"));
    } else {
      send("listening", { port: message });
    }
  });
  inbox.on("end", () => worker.postMessage("end"));
}

test("what was broadcast before the thread of a server is terminated arrives", async (t) => {
  const child = startChild(t, threads, { count: 5, pad: PAD });
  const { port } = await child.message("listening");
  await assertCrowdHears(t, port, child);
  await child.message("terminated");
});
