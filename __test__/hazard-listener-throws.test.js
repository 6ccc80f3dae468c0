"use strict";

// A listener that throws: `uncaughtException` exactly once, and nothing else is lost.

const test = require("node:test");
const assert = require("node:assert/strict");
const { frame, RawWebSocket, within } = require("./support/harness");
const { startChild } = require("./support/child");

/** A server whose listeners throw where the test wants, and that writes down everything. */
async function thrower({ args, sio, listen, send, inbox }) {
  const log = [];
  process.on("uncaughtException", (error) => log.push(`uncaught: ${error.message}`));
  process.on("unhandledRejection", (error) => log.push(`unhandled: ${error.message}`));
  const httpServer = await listen();
  const io = new sio.Server(httpServer);
  const boom = (where) => {
    throw new Error(where);
  };
  if (args.where === "middleware") {
    io.use((socket) => socket.handshake.auth.throws && boom("middleware"));
  }
  if (args.where === "engine connection") {
    io.engine.once("connection", () => boom("engine connection"));
  }
  let first = true;
  io.on("connection", (socket) => {
    const { where } = args;
    if (where === "connection" && first) {
      first = false;
      boom("connection");
    }
    socket.on("n", (n, ack) => {
      log.push(`n ${n}`);
      ack?.(n);
      if (where === "event" && n === 3) {
        boom("event");
      }
    });
    socket.on("disconnect", () => {
      log.push("disconnect");
      if (where === "disconnect") {
        boom("disconnect");
      }
    });
    if (where === "any") {
      socket.onAny((name, n) => n === 3 && boom("any"));
    }
    if (where === "use") {
      socket.use(([, n], next) => (n === 3 ? boom("use") : next()));
    }
    if (where === "ack") {
      socket.emit("ask", () => boom("ack"));
    }
    if (where === "data") {
      socket.conn.on("data", (data) => data.includes("3") && boom("data"));
    }
    if (where === "async") {
      socket.on("n", async (n) => n === 3 && boom("async"));
    }
  });
  inbox.on("log", () => send("log", { log }));
  send("listening", { port: httpServer.address().port });
}

/** Starts the server above, with a client and another one that is used to see that all is well. */
async function start(t, where) {
  const child = startChild(t, thrower, { where });
  const { port } = await child.message("listening");
  const server = { port, secure: false, keep: (ws) => (t.after(() => ws.destroy()), ws) };
  const log = async () => (await child.ask("log")).log;
  return { child, server, log };
}

/** Ten events in one segment. */
const batch = (first = 0) =>
  Buffer.concat(Array.from({ length: 10 }, (_, i) => frame({ payload: `42${i}["n",${first + i}]` })));

/** Resolves when the acks of a batch have come, and gives the numbers. */
async function acks(ws, count) {
  const numbers = [];
  while (numbers.length < count) {
    const match = /^43\d+\[(\d+)\]$/.exec(await ws.next());
    if (match) {
      numbers.push(Number(match[1]));
    }
  }
  return numbers;
}

const ALL = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
const uncaught = (log) => log.filter((line) => /^u/.test(line));

test("in an event's listener", async (t) => {
  const { server, log } = await start(t, "event");
  const ws = await RawWebSocket.connect(server);
  ws.write(batch());
  assert.deepEqual(await acks(ws, 10), ALL);
  const lines = await log();
  assert.deepEqual(uncaught(lines), ["uncaught: event"]);
  assert.deepEqual(
    lines.filter((line) => line.startsWith("n ")),
    ALL.map((n) => `n ${n}`),
  );
  ws.write(batch(10));
  assert.deepEqual(
    await acks(ws, 10),
    ALL.map((n) => n + 10),
  );
});

test("in an event's listener, while other clients send as well", async (t) => {
  const { server, log } = await start(t, "event");
  const clients = await Promise.all(Array.from({ length: 10 }, () => RawWebSocket.connect(server)));
  for (const ws of clients) {
    ws.write(batch());
  }
  for (const ws of clients) {
    assert.deepEqual(await acks(ws, 10), ALL);
  }
  assert.equal(uncaught(await log()).length, 10);
});

for (const [where, kind] of [
  ["any", "uncaught"],
  ["use", "uncaught"],
  ["async", "unhandled"],
]) {
  test(`in ${where === "async" ? "an async listener" : `a function of ${where}`}`, async (t) => {
    const { server, log } = await start(t, where);
    const ws = await RawWebSocket.connect(server);
    ws.write(batch());
    const expected = where === "async" ? ALL : ALL.filter((n) => n !== 3);
    assert.deepEqual(await acks(ws, expected.length), expected);
    assert.deepEqual(uncaught(await log()), [`${kind}: ${where}`]);
  });
}

/** A server that holds events back, and lets go of two at once, later: the listener of the first of which throws. */
async function holder({ sio, listen, send }) {
  const log = [];
  process.on("uncaughtException", (error) => log.push(`uncaught: ${error.message}`));
  const httpServer = await listen();
  const io = new sio.Server(httpServer);
  io.on("connection", (socket) => {
    const letGo = {};
    socket.use(([name], next) => {
      letGo[name] = next;
      if (name !== "fourth") return;
      setImmediate(() => {
        letGo.first();
        letGo.second();
      });
    });
    for (const name of ["first", "second", "third", "fourth"]) socket.on(name, () => log.push(name));
    socket.on("first", () => {
      letGo.third();
      throw new Error("first");
    });
    socket.on("second", () => {
      process.nextTick(() => log.push("tick"));
      letGo.fourth();
    });
    socket.on("fourth", () => setImmediate(() => send("log", { log })));
  });
  send("listening", { port: httpServer.address().port });
}

test("in the listener of an event that was held back: what others let go of waits for its tick", async (t) => {
  const child = startChild(t, holder);
  const { port } = await child.message("listening");
  const ws = await RawWebSocket.connect({
    port,
    secure: false,
    keep: (it) => (t.after(() => it.destroy()), it),
  });
  const names = ["first", "second", "third", "fourth"];
  ws.write(Buffer.concat(names.map((name) => frame({ payload: `42["${name}"]` }))));
  const { log } = await child.message("log");
  assert.deepEqual(log, ["first", "uncaught: first", "second", "third", "tick", "fourth"]);
});

test("in the callback of an ack", async (t) => {
  const { server, log } = await start(t, "ack");
  const ws = await RawWebSocket.connect(server);
  const id = /^42(\d+)\["ask"\]$/.exec(await ws.next())[1];
  ws.write(Buffer.concat([frame({ payload: `43${id}[]` }), batch()]));
  assert.deepEqual(await acks(ws, 10), ALL);
  assert.deepEqual(uncaught(await log()), ["uncaught: ack"]);
});

test("in 'disconnect'", async (t) => {
  const { server, log } = await start(t, "disconnect");
  const [ws, other] = await Promise.all([RawWebSocket.connect(server), RawWebSocket.connect(server)]);
  ws.text("41");
  other.write(batch());
  assert.deepEqual(await acks(other, 10), ALL);
  // the session of the first one is still there
  ws.text("40");
  assert.match(await ws.next(), /^40\{"sid"/);
  assert.deepEqual(uncaught(await log()), ["uncaught: disconnect"]);
});

test("in 'disconnect' of many clients that leave at once", async (t) => {
  const { server, log } = await start(t, "disconnect");
  const clients = await Promise.all(Array.from({ length: 20 }, () => RawWebSocket.connect(server)));
  for (const ws of clients) {
    ws.destroy();
  }
  let lines;
  await within(
    (async () => {
      do {
        lines = await log();
      } while (uncaught(lines).length < 20);
    })(),
    "20 errors",
  );
  assert.equal(lines.filter((line) => line === "disconnect").length, 20);
  assert.equal(uncaught(lines).length, 20);
  const ws = await RawWebSocket.connect(server);
  ws.write(batch());
  assert.deepEqual(await acks(ws, 10), ALL);
});

test("in 'connection'", async (t) => {
  const { server, log } = await start(t, "connection");
  const ws = await RawWebSocket.connect(server);
  const other = await RawWebSocket.connect(server);
  other.write(batch());
  assert.deepEqual(await acks(other, 10), ALL);
  assert.deepEqual(uncaught(await log()), ["uncaught: connection"]);
  assert.equal(ws.end, null);
});

test("in a middleware of the namespace", async (t) => {
  const { server, log } = await start(t, "middleware");
  const ws = await RawWebSocket.open(server);
  ws.text('40{"throws":true}');
  const other = await RawWebSocket.open(server);
  other.text('40{"throws":true}');
  let lines;
  await within(
    (async () => {
      do {
        lines = await log();
      } while (uncaught(lines).length < 2);
    })(),
    "two errors",
  );
  assert.equal(uncaught(lines).length, 2);
  for (const line of lines) {
    assert.match(line, /^(uncaught|unhandled): middleware$/);
  }
});

test("in a listener of conn's 'data'", async (t) => {
  const { server, log } = await start(t, "data");
  const ws = await RawWebSocket.connect(server);
  const other = await RawWebSocket.connect(server);
  ws.write(frame({ payload: '423["n",3]' }));
  other.write(frame({ payload: '421["n",1]' }));
  assert.deepEqual(await acks(other, 1), [1]);
  assert.deepEqual(uncaught(await log()), ["uncaught: data"]);
});

test("without a handler the process ends, as with any error", async (t) => {
  const child = startChild(t, async ({ sio, listen, send }) => {
    const httpServer = await listen();
    const io = new sio.Server(httpServer);
    io.on("connection", (socket) =>
      socket.on("n", () => {
        throw new Error("nobody catches this");
      }),
    );
    send("listening", { port: httpServer.address().port });
  });
  const { port } = await child.message("listening");
  const ws = await RawWebSocket.connect({ port, secure: false, keep: (one) => t.after(() => one.destroy()) });
  ws.text('42["n"]');
  assert.deepEqual(await child.ended(), { code: 1, signal: null });
  assert.match(child.errors, /Error: nobody catches this/);
});
