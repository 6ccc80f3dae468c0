"use strict";

// A server keeps its process alive as long as it has something to do, and not a moment longer.

const test = require("node:test");
const assert = require("node:assert/strict");
const { RawPolling, RawWebSocket, frame, request, eventually, isStock } = require("./support/harness");
const { startChild } = require("./support/child");

/** After what counts as closed, a process may take this long to its end. */
const LIMIT_MS = 50;

/** How long something is watched that must not happen. */
const WATCH_MS = 500;

const watch = () => new Promise((resolve) => setTimeout(resolve, WATCH_MS));

/** A server as raw clients want it. */
const at = (t, port) => ({ port, secure: false, keep: (ws) => (t.after(() => ws.destroy()), ws) });

/**
 * A server that ends when it is told to, and says how long its process lived on. What it was told with `args.end`:
 * "close" is io.close(), "http" closes the HTTP server only, "unref" takes away what the listening socket holds.
 */
async function ender({ args, sio, fs, listen, send, inbox }) {
  const httpServer = await listen();
  const io = new sio.Server(httpServer, args.options);
  let since;
  process.on("exit", () => fs.writeSync(1, `lived on for ${(performance.now() - since).toFixed(1)} ms\n`));
  io.on("connection", (socket) => {
    socket.on("echo", (value, ack) => ack(value));
    socket.on("disconnect", () => (since = performance.now()));
  });
  inbox.on("end", async () => {
    since = performance.now();
    if (args.end === "conn.close, close") {
      Object.values(io.engine.clients).forEach((conn) => conn.close());
    }
    if (args.end.endsWith("close")) {
      await io.close();
      since = performance.now();
    } else if (args.end === "http") {
      httpServer.close();
    } else if (args.end === "unref") {
      httpServer.unref();
    }
    send("ending");
  });
  send("listening", { port: httpServer.address().port });
}

/**
 * Asserts that a process ends by itself in time. The machine may be busy: `scenario` runs up to three times, and the
 * best time counts.
 *
 * @param {() => Promise<Child>} scenario up to the point where nothing should hold the process any more
 */
async function assertEnds(scenario) {
  const times = [];
  while (times.length < 3 && !(times.at(-1) < LIMIT_MS)) {
    const child = await scenario();
    assert.deepEqual(await child.ended(), { code: 0, signal: null });
    times.push(Number(/lived on for ([\d.]+) ms/.exec(child.output)[1]));
  }
  assert.ok(times.at(-1) < LIMIT_MS, `lived on for ${times.join(", ")} ms`);
}

test("requiring the package does not keep a process alive", async (t) => {
  const child = startChild(t, ({ sio }) => typeof sio.Server);
  assert.deepEqual(await child.ended(), { code: 0, signal: null });
});

test("a server that listens to nothing does not keep a process alive", async (t) => {
  const child = startChild(t, ({ sio, http }) => {
    new sio.Server();
    new sio.Server(http.createServer());
  });
  assert.deepEqual(await child.ended(), { code: 0, signal: null });
});

test("a server that listens lives without any client, until io.close()", async (t) => {
  await assertEnds(async () => {
    const child = startChild(t, ender, { end: "close" });
    await child.message("listening");
    await watch();
    assert.equal(child.exited, null);
    child.send("end");
    return child;
  });
});

test("it still lives when all its clients are gone", async (t) => {
  const child = startChild(t, ender, { end: "close" });
  const { port } = await child.message("listening");
  const ws = await RawWebSocket.connect(at(t, port));
  ws.destroy();
  await watch();
  assert.equal(child.exited, null);
  const again = await RawWebSocket.connect(at(t, port));
  assert.ok(again.id);
});

for (const count of [1, 100]) {
  test(`io.close() with ${count} WebSocket clients ends the process`, async (t) => {
    await assertEnds(async () => {
      const child = startChild(t, ender, { end: "close" });
      const { port } = await child.message("listening");
      const clients = await Promise.all(
        Array.from({ length: count }, () => RawWebSocket.connect(at(t, port))),
      );
      const closed = Promise.all(clients.map((ws) => ws.closed()));
      child.send("end");
      await closed;
      return child;
    });
  });
}

test("io.close() with clients that poll ends the process", async (t) => {
  await assertEnds(async () => {
    const child = startChild(t, ender, { end: "close" });
    const { port } = await child.message("listening");
    const clients = await Promise.all(Array.from({ length: 5 }, () => RawPolling.connect(at(t, port))));
    const polls = clients.map((client) => client.poll());
    // an answer that came behind the polls shows that the server has them
    await request(at(t, port), { path: "/socket.io/?EIO=4&transport=nope" });
    child.send("end");
    for (const { body } of await Promise.all(polls)) {
      assert.equal(body, "1");
    }
    return child;
  });
});

test("io.close() with clients between two polls ends the process", async (t) => {
  await assertEnds(async () => {
    const child = startChild(t, ender, { end: "close" });
    const { port } = await child.message("listening");
    await Promise.all(Array.from({ length: 5 }, () => RawPolling.connect(at(t, port))));
    child.send("end");
    return child;
  });
});

test(
  "io.close() right after conn.close() of clients between two polls ends the process",
  { skip: isStock && "stock waits 30 s for the next poll" },
  async (t) => {
    await assertEnds(async () => {
      const child = startChild(t, ender, { end: "conn.close, close" });
      const { port } = await child.message("listening");
      await Promise.all(Array.from({ length: 5 }, () => RawPolling.connect(at(t, port))));
      child.send("end");
      return child;
    });
  },
);

test("io.close() after clients that have come and gone ends the process", async (t) => {
  await assertEnds(async () => {
    const child = startChild(t, ender, { end: "close" });
    const { port } = await child.message("listening");
    for (let i = 0; i < 20; i++) {
      const ws = await RawWebSocket.connect(at(t, port));
      ws.text(`421["echo",${i}]`);
      assert.equal(await ws.next(), `431[${i}]`);
      ws.socket.end();
      await ws.ended();
    }
    child.send("end");
    return child;
  });
});

for (const end of ["http", "unref"]) {
  test(`a client keeps the process alive when nobody listens any more (${end})`, async (t) => {
    await assertEnds(async () => {
      const child = startChild(t, ender, { end });
      const { port } = await child.message("listening");
      const ws = await RawWebSocket.connect(at(t, port));
      child.send("end");
      await child.message("ending");
      await watch();
      assert.equal(child.exited, null);
      ws.text('421["echo","still here"]');
      assert.equal(await ws.next(), '431["still here"]');
      ws.socket.end();
      return child;
    });
  });
}

test("process.exit() in the middle of traffic ends the process with its code", async (t) => {
  for (let round = 0; round < 3; round++) {
    const child = startChild(t, async ({ sio, listen, send }) => {
      const httpServer = await listen();
      const io = new sio.Server(httpServer);
      let n = 0;
      io.on("connection", (socket) => {
        socket.on("n", () => {
          io.emit("n", Buffer.alloc(100));
          if (++n === 2000) {
            process.exit(7);
          }
        });
      });
      send("listening", { port: httpServer.address().port });
    });
    const { port } = await child.message("listening");
    const clients = await Promise.all(Array.from({ length: 20 }, () => RawWebSocket.connect(at(t, port))));
    const batch = Buffer.concat(Array(200).fill(frame({ payload: '42["n"]' })));
    for (const ws of clients) {
      ws.write(batch);
    }
    assert.deepEqual(await child.ended(), { code: 7, signal: null });
    assert.equal(child.errors, "");
  }
});

test("a signal ends the process at once, with clients connected", async (t) => {
  const child = startChild(t, ender, { end: "close" });
  const { port } = await child.message("listening");
  const clients = await Promise.all(Array.from({ length: 10 }, () => RawWebSocket.connect(at(t, port))));
  child.process.kill("SIGTERM");
  assert.deepEqual(await child.ended(1000), { code: null, signal: "SIGTERM" });
  await Promise.all(clients.map((ws) => ws.ended()));
});

test("the threads of the process are gone with the server", async (t) => {
  const child = startChild(t, async ({ sio, fs, listen, send, inbox }) => {
    const threads = () => fs.readdirSync("/proc/self/task").length;
    const run = async () => {
      const httpServer = await listen();
      const io = new sio.Server(httpServer);
      send("listening", { port: httpServer.address().port });
      await new Promise((resolve) => inbox.once("close", resolve));
      await io.close();
    };
    const counts = [];
    for (let i = 0; i < 20; i++) {
      await run();
      counts.push(threads());
    }
    send("counts", { counts });
  });
  for (let i = 0; i < 20; i++) {
    const { port } = await child.message("listening");
    const ws = await RawWebSocket.connect(at(t, port));
    ws.closed().catch(() => {});
    child.send("close");
  }
  const { counts } = await child.message("counts");
  await eventually(() => child.exited !== null, "the end of the child");
  // one more round may be on its way out
  assert.ok(counts.at(-1) <= counts[0] + 4, `threads after each of 20 servers: ${counts}`);
});
