"use strict";

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const test = require("node:test");
const { io: connect } = require("socket.io-client");
const { target, within } = require("./support/harness");

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
