"use strict";

// What arrives together is handed over as one text, of which an application may keep a small part: that part alone is
// to stay in memory. And what has been handed over is the application's to let go of.

const test = require("node:test");
const assert = require("node:assert/strict");
const { frame, RawWebSocket, RawPolling } = require("./support/harness");
const { startChild } = require("./support/child");

const KB = 1024;
const MB = 1024 * KB;

/** Starts a server of which the heap can be asked for. `keep` puts what is to be kept into the list that it is given. */
async function start(t, keep, hasParser = false) {
  const child = startChild(
    t,
    async ({ sio, listen, send, inbox, load, args }) => {
      const kept = [];
      const httpServer = await listen();
      const options = { maxHttpBufferSize: 1e8 };
      if (args.hasParser) {
        const { EventEmitter } = load("node:events");
        options.parser = {
          Encoder: class {
            encode = (packet) => [JSON.stringify(packet)];
          },
          Decoder: class extends EventEmitter {
            add(text) {
              if (text.startsWith("kept")) kept.push(text);
            }

            destroy() {}
          },
        };
      }
      const io = new sio.Server(httpServer, options);
      (0, eval)(`(${args.keep})`)(io, kept);
      inbox.on("memory", async ({ count }) => {
        while (kept.length < count) await new Promise(setImmediate);
        await new Promise(setImmediate);
        globalThis.gc();
        const { heapUsed, external } = process.memoryUsage();
        send("memory", { heapUsed, external, count: kept.length });
      });
      send("listening", { port: httpServer.address().port });
    },
    { keep: String(keep), hasParser },
    { execArgv: ["--expose-gc"] },
  );
  const { port } = await child.message("listening");
  return {
    server: { port, secure: false, keep: (thing) => t.after(() => thing.destroy()) },
    async memory(count) {
      child.send("memory", { count });
      return child.message("memory");
    },
  };
}

/** Messages of which every tenth counts, in one piece. */
function batchOf(count, message, between) {
  const frames = [];
  for (let i = 0; i < count; i++) {
    frames.push(frame({ payload: message(i) }));
    for (let k = 0; k < 9; k++) frames.push(frame({ payload: between }));
  }
  return Buffer.concat(frames);
}

const BETWEEN = `42["nobody","${"x".repeat(3000)}"]`;

for (const [what, keep, message, hasParser] of [
  [
    "texts of conn.on('message')",
    (io, kept) =>
      io.engine.on("connection", (conn) => {
        conn.on("message", (text) => {
          if (text.startsWith('2["kept"')) kept.push(text);
        });
      }),
    (i) => `42["kept","${String(i).padEnd(500, ".")}"]`,
  ],
  [
    "texts of conn.on('packet'), beyond ASCII",
    (io, kept) =>
      io.engine.on("connection", (conn) => {
        conn.prependListener("packet", ({ data }) => {
          if (data?.startsWith('2["kept"')) kept.push(data);
        });
      }),
    (i) => `42["kept","${String(i).padEnd(250, "ж")}"]`,
  ],
  [
    "arguments of events",
    (io, kept) => io.on("connection", (socket) => socket.on("kept", (text) => kept.push(text))),
    (i) => `42["kept","${String(i).padEnd(500, ".")}"]`,
  ],
  [
    "names of namespaces",
    (io, kept) => io.of(/^\/dynamic/).on("connection", (socket) => kept.push(socket)),
    (i) => `40/dynamic-namespace-of-some-length-${i},`,
  ],
  ["texts of a parser of the application", () => {}, (i) => `4kept ${String(i).padEnd(500, ".")}`, true],
]) {
  test(`${what} keep nothing of what has come with them`, async (t) => {
    const { server, memory } = await start(t, keep, hasParser);
    const ws = await (hasParser ? RawWebSocket.open(server) : RawWebSocket.connect(server));
    ws.write(batchOf(100, message, BETWEEN));
    await memory(100);
    const before = (await memory(100)).heapUsed;
    ws.write(batchOf(100, (i) => message(100 + i), BETWEEN));
    const after = (await memory(200)).heapUsed;
    // 200 KB of text at the most, or the sockets, rooms and listeners of 100 namespaces; the batches are 2.7 MB
    assert.ok(after - before < MB, `${Math.round((after - before) / KB)} KiB`);
  });
}

for (const transport of ["websocket", "polling"]) {
  test(`nothing is left of a binary message once its listener is done, over ${transport}`, async (t) => {
    const { server, memory } = await start(t, (io, kept) => {
      io.on("connection", (socket) => socket.on("upload", (data) => kept.push(data.length)));
    });
    const size = 20 * MB;
    let sent;
    const before = await memory(0);
    if (transport === "websocket") {
      const ws = await RawWebSocket.connect(server);
      ws.text('451-["upload",{"_placeholder":true,"num":0}]');
      ws.binary(Buffer.alloc(size));
      sent = ws;
    } else {
      const polling = await RawPolling.connect(server);
      const data = Buffer.alloc(size).toString("base64");
      await polling.post(`451-["upload",{"_placeholder":true,"num":0}]\x1eb${data}`);
    }
    await memory(1);
    const after = await memory(1);
    const kept = after.external + after.heapUsed - before.external - before.heapUsed;
    assert.ok(kept < MB, `${Math.round(kept / KB)} KiB`);
    assert.ok(sent === undefined || sent.end === null, "the client is connected");
  });
}
