"use strict";

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const test = require("node:test");
const { io: connect } = require("socket.io-client");
const { RawWebSocket, eventually, isStock, serve, target, within } = require("./support/harness");

const APP = `
  const { Server } = require(process.argv[1]);
  const io = new Server(0);
  io.on("connection", (socket) => {
    socket.on("die", () => {
      for (let i = 0; i < 100; i++) io.emit("last words", i);
      process.exit(7);
    });
  });
  io.httpServer.on("listening", () => console.log(io.httpServer.address().port));
`;

test("what was emitted right before process.exit() arrives", async (t) => {
  const child = spawn(process.execPath, ["-e", APP, target], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const [port] = await within(once(child.stdout, "data"), "the port");
  const client = connect(`http://localhost:${Number(port)}`, {
    transports: ["websocket"],
    reconnection: false,
  });
  t.after(() => client.close());
  const words = [];
  client.on("last words", (word) => words.push(word));
  const gone = new Promise((resolve) => client.on("disconnect", resolve));
  const ended = once(child, "exit");
  client.emit("die");
  await within(gone, "the disconnection");
  assert.deepEqual(
    words,
    Array.from({ length: 100 }, (_, i) => i),
  );
  assert.deepEqual(await within(ended, "the end of the process"), [7, null]);
});

test("what was broadcast right before process.exit() reaches many", { skip: isStock }, async (t) => {
  const child = spawn(process.execPath, ["-e", APP, target], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const [port] = await within(once(child.stdout, "data"), "the port");
  const server = { port: Number(port) };
  const clients = await Promise.all(Array.from({ length: 100 }, () => RawWebSocket.connect(server)));
  clients[0].text('42["die"]');
  for (const ws of clients) {
    for (let i = 0; i < 100; i++) assert.equal(await ws.next(), `42["last words",${i}]`);
    ws.destroy();
  }
});

test(
  "the end of the process is listened for only while there are connections",
  { skip: isStock },
  async (t) => {
    const [first, second] = [await serve(t), await serve(t)];
    const before = process.listenerCount("exit");
    for (let round = 0; round < 2; round++) {
      const [{ ws: one }, { ws: other }] = [await first.rawPair(), await second.rawPair()];
      assert.equal(process.listenerCount("exit"), before + 1);
      one.destroy();
      await eventually(() => first.io.engine._bridge.isIdle, "the first has gone");
      assert.equal(process.listenerCount("exit"), before + 1);
      other.destroy();
      await eventually(() => second.io.engine._bridge.isIdle, "the other has gone");
      assert.equal(process.listenerCount("exit"), before);
    }
  },
);
