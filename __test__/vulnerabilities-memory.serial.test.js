"use strict";

// Attacks on the memory of the server, which is therefore a process of its own.

const test = require("node:test");
const assert = require("node:assert/strict");
const { isStock, once, frame, RawWebSocket, PING } = require("./support/harness");
const { startChild } = require("./support/child");

const MB = 1024 * 1024;

test("CVE-2020-36049: its memory stays in proportion to the input", async (t) => {
  const child = startChild(t, async ({ sio, listen, send }) => {
    const httpServer = await listen();
    const io = new sio.Server(httpServer);
    io.on("connection", (socket) => socket.on("n", (ack) => ack()));
    send("listening", { port: httpServer.address().port });
  });
  const { port } = await child.message("listening");
  const target = { port, secure: false, keep: (ws) => (t.after(() => ws.destroy()), ws) };
  const ws = await RawWebSocket.connect(target);
  const before = child.residentMemory();
  let peak = 0;
  for (let i = 0; i < 40; i++) {
    const packet = i % 2 ? `43${"1".repeat(990_000)}` : `42${"1".repeat(990_000)}`;
    ws.text(packet);
    ws.text(`42${i}["n"]`);
    assert.equal(await ws.next(), `43${i}[]`);
    peak = Math.max(peak, child.residentMemory() - before);
  }
  // 40 of them: what one leaves behind has to be collected, a few may be waiting for that
  assert.ok(peak < 100 * MB, `${Math.round(peak / MB)} MB`);
});

for (const prefix of ["45", "42", "42/"]) {
  test(`CVE-2020-36049: ${prefix} and 40 MB of digits take less than four times as much`, async (t) => {
    const child = startChild(t, async ({ sio, listen, send }) => {
      const httpServer = await listen();
      const io = new sio.Server(httpServer, { maxHttpBufferSize: 1e8, pingTimeout: 60_000 });
      io.on("connection", (socket) => {
        socket.on("disconnect", (reason) => send("end", { reason }));
        socket.on("next", () => send("end", { reason: "none" }));
      });
      send("listening", { port: httpServer.address().port });
    });
    const { port } = await child.message("listening");
    const ws = await RawWebSocket.connect({
      port,
      secure: false,
      keep: (one) => t.after(() => one.destroy()),
    });
    const size = 40 * MB;
    const bytes = frame({ payload: prefix + "1".repeat(size) });
    const before = child.residentMemory();
    const started = performance.now();
    ws.write(bytes);
    ws.text('42["next"]');
    // nothing but an acknowledgement id is an event without arguments
    assert.equal((await child.message("end")).reason, prefix === "42" ? "none" : "forced close");
    const ms = performance.now() - started;
    const growth = child.peakMemory() - before;
    assert.ok(growth < 4 * size, `${Math.round(growth / MB)} MB`);
    assert.ok(ms < 5000, `${ms} ms`);
  });
}

test("CVE-2016-10542: headers that claim a megabyte allocate none", async (t) => {
  const child = startChild(t, async ({ sio, listen, send }) => {
    const httpServer = await listen();
    new sio.Server(httpServer);
    send("listening", { port: httpServer.address().port });
  });
  const { port } = await child.message("listening");
  const target = { port, secure: false, keep: (ws) => (t.after(() => ws.destroy()), ws) };
  const clients = await Promise.all(Array.from({ length: 200 }, () => RawWebSocket.connect(target)));
  const before = child.residentMemory();
  const bytes = frame({ length: 1_000_000 });
  for (const ws of clients) {
    ws.write(bytes.subarray(0, bytes.length - 4));
  }
  const again = await RawWebSocket.connect(target);
  assert.ok(again.id);
  const growth = child.residentMemory() - before;
  assert.ok(growth < 60 * MB, `${Math.round(growth / MB)} MB for 200 claims of 1 MB`);
});

/** Starts a server in a child and a client of it that never reads. */
async function deafClient(t) {
  const child = startChild(t, async ({ sio, listen, send }) => {
    const httpServer = await listen();
    new sio.Server(httpServer);
    send("listening", { port: httpServer.address().port });
  });
  const { port } = await child.message("listening");
  const target = { port, secure: false, keep: (ws) => (t.after(() => ws.destroy()), ws) };
  const ws = await RawWebSocket.connect(target);
  ws.socket.pause();
  return { child, target, ws };
}

test(
  "a flood of pings from a client that never reads",
  {
    skip: isStock && "stock grows by hundreds of megabytes",
  },
  async (t) => {
    const { child, target, ws } = await deafClient(t);
    const before = child.residentMemory();
    const pings = Buffer.concat(Array(2000).fill(frame({ opcode: PING, payload: "x".repeat(125) })));
    // 100 MB of pings, or as many as the server takes
    for (let i = 0; i < 400; i++) {
      if (!ws.socket.write(pings)) {
        const drained = await Promise.race([
          once(ws.socket, "drain").then(() => true),
          new Promise((resolve) => setTimeout(resolve, 500, false)),
        ]);
        if (!drained) {
          break;
        }
      }
    }
    const growth = child.residentMemory() - before;
    assert.ok(growth < 50 * MB, `${Math.round(growth / MB)} MB`);
    assert.ok((await RawWebSocket.connect(target)).id);
  },
);

test(
  "six bytes of a frame whose rest never comes keep no read buffer",
  {
    skip: isStock && "stock keeps them: 83 MB",
  },
  async (t) => {
    const child = startChild(t, async ({ sio, listen, send }) => {
      const httpServer = await listen();
      const io = new sio.Server(httpServer);
      io.on("connection", (socket) => socket.on("echo", (value, ack) => ack(value)));
      send("listening", { port: httpServer.address().port });
    });
    const { port } = await child.message("listening");
    const target = { port, secure: false, keep: (ws) => (t.after(() => ws.destroy()), ws) };
    const clients = await Promise.all(Array.from({ length: 1000 }, () => RawWebSocket.connect(target)));
    const before = child.residentMemory();
    // behind more than a read takes at once
    const filler = frame({ opcode: 10, payload: "x".repeat(125) });
    const whole = Buffer.concat(Array(500).fill(filler));
    for (const [i, ws] of clients.entries()) {
      ws.write(whole);
      ws.text(`421["echo",${i}]`);
      ws.write(frame({ payload: "x".repeat(60_000) }).subarray(0, 6));
    }
    for (const [i, ws] of clients.entries()) {
      assert.equal(await ws.next(), `431[${i}]`);
    }
    const growth = child.residentMemory() - before;
    // 1,000 buffers of 64 KiB would be 64 MB
    assert.ok(growth < 30 * MB, `${Math.round(growth / MB)} MB`);
  },
);

test("small binary messages do not keep large buffers alive", async (t) => {
  const child = startChild(
    t,
    async ({ sio, listen, send, inbox }) => {
      const httpServer = await listen();
      const io = new sio.Server(httpServer);
      const kept = [];
      io.on("connection", (socket) => {
        socket.on("b", (data) => kept.push(data));
        socket.on("count", (ack) => ack(kept.length));
      });
      inbox.on("memory", () => {
        globalThis.gc();
        send("memory", { bytes: process.memoryUsage().rss, count: kept.length });
      });
      send("listening", { port: httpServer.address().port });
    },
    {},
    { execArgv: ["--expose-gc"] },
  );
  const { port } = await child.message("listening");
  const target = { port, secure: false, keep: (ws) => (t.after(() => ws.destroy()), ws) };
  const ws = await RawWebSocket.connect(target);
  const { bytes: before } = await child.ask("memory");
  const message = Buffer.concat([
    frame({ payload: '451-["b",{"_placeholder":true,"num":0}]' }),
    frame({ opcode: 2, payload: "x" }),
  ]);
  // one at a time, so that each comes in a read of its own
  for (let i = 0; i < 3000; i++) {
    ws.write(message);
    ws.text(`42${i}["count"]`);
    assert.equal(await ws.next(), `43${i}[${i + 1}]`);
  }
  const { bytes: after, count } = await child.ask("memory");
  assert.equal(count, 3000);
  // 3,000 buffers of 64 KiB would be 190 MB
  assert.ok(after - before < 80 * MB, `${Math.round((after - before) / MB)} MB`);
});

/** Reads at least `count` bytes from a paused socket, and resolves with how many. */
function readSome(socket, count) {
  return new Promise((resolve) => {
    let taken = 0;
    const onData = (data) => {
      taken += data.length;
      if (taken < count) return;
      socket.pause();
      socket.removeListener("data", onData);
      resolve(taken);
    };
    socket.on("data", onData);
    socket.resume();
  });
}

test("a client that reads as fast as it is sent to, but always leaves a little unread", async (t) => {
  const child = startChild(t, async ({ sio, listen, send, inbox }) => {
    const httpServer = await listen();
    const io = new sio.Server(httpServer, { pingInterval: 600_000 });
    const piece = "x".repeat(4000);
    io.on("connection", (socket) => {
      inbox.on("emit", ({ bytes }) => {
        for (let left = bytes; left > 0; left -= piece.length) socket.emit("n", piece);
        send("emit");
      });
    });
    send("listening", { port: httpServer.address().port });
  });
  const { port } = await child.message("listening");
  const target = { port, secure: false, keep: (ws) => (t.after(() => ws.destroy()), ws) };
  const { socket } = await RawWebSocket.connect(target);
  socket.removeAllListeners("data");
  socket.pause();
  // more than the kernel keeps for the two
  await child.ask("emit", { bytes: 16 * MB });
  const before = child.residentMemory();
  for (let round = 0; round < 150; round++) {
    const bytes = await readSome(socket, 2 * MB);
    await child.ask("emit", { bytes });
  }
  const growth = child.residentMemory() - before;
  // 300 MB went through
  assert.ok(growth < 60 * MB, `${Math.round(growth / MB)} MB`);
});

for (const how of ["broadcast", "itself"]) {
  test(`an attachment that a client names 2,000 times is relayed as one, ${how}`, async (t) => {
    const child = startChild(
      t,
      async ({ sio, listen, send, args }) => {
        const httpServer = await listen();
        const io = new sio.Server(httpServer);
        io.on("connection", (socket) => {
          socket.on("relay", (list) => {
            (args.how === "itself" ? socket : io).emit("relayed", list);
            setTimeout(send, 300, "relayed");
          });
        });
        send("listening", { port: httpServer.address().port });
      },
      { how },
    );
    const { port } = await child.message("listening");
    const target = { port, secure: false, keep: (ws) => (t.after(() => ws.destroy()), ws) };
    const ws = await RawWebSocket.connect(target);
    const before = child.residentMemory();
    ws.socket.pause();
    ws.text(`451-["relay",[${Array(2000).fill('{"_placeholder":true,"num":0}').join()}]]`);
    ws.binary(Buffer.alloc(32_000));
    await child.message("relayed");
    const growth = child.peakMemory() - before;
    // 2,000 copies would be 64 MB
    assert.ok(growth < 40 * MB, `${Math.round(growth / MB)} MB`);
  });
}
