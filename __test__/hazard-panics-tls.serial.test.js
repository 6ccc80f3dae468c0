"use strict";

// A panic of the native engine while it speaks TLS: it costs one connection, and others are served.

const test = require("node:test");
const assert = require("node:assert/strict");
const { isStock, request, RawWebSocket } = require("./support/harness");
const { startChild } = require("./support/child");
const { buildPanickingAddon } = require("./support/panicking-addon");

const OURS = { skip: isStock && "stock has no native engine" };

test.before(async () => {
  if (!isStock) process.env.SOCKEYE_BINDING = await buildPanickingAddon();
});

async function server({ sio, load, send, inbox }) {
  const { panicAt } = load(process.env.SOCKEYE_BINDING);
  const { selfSigned } = load("./certificate");
  const failures = [];
  process.on("uncaughtException", (error) => failures.push(error.stack));
  const httpServer = load("node:https").createServer(selfSigned(), (req, res) => res.end("page"));
  const io = new sio.Server(httpServer, { workers: 1 });
  io.on("connection", (socket) => socket.on("echo", (value, ack) => ack(value)));
  inbox.on("arm", ({ point }) => send("arm", { left: panicAt(point, 1), failures }));
  httpServer.listen(0, "127.0.0.1", () => send("listening", { port: httpServer.address().port }));
}

const connect = (server) => RawWebSocket.connect(server);
const visit = (server, headers) => request(server, { path: "/page", headers });

/** Points at which it panics, and what has a client come there. */
const POINTS = [
  ["hello", connect],
  ["handshake", connect],
  ["lookAtHello", connect],
  ["takeSession", visit],
  ["sessionReceive", visit],
  ["sessionWrite", visit],
  ["sessionFinish", (server) => visit(server, { Connection: "close" })],
];

for (const [point, act] of POINTS) {
  test(`in "${point}"`, OURS, async (t) => {
    const child = startChild(t, server);
    const { port } = await child.message("listening");
    const to = { port, secure: true, keep: (ws) => (t.after(() => ws.destroy()), ws) };
    const near = await RawWebSocket.connect(to);
    await child.ask("arm", { point });
    // it may get what it wants: some of it is tried twice, or Node's
    await act(to).catch((error) => error);
    const { left, failures } = await child.ask("arm", { point: "nothing" });
    assert.equal(left, 0, "the panic has happened");
    assert.deepEqual(failures, []);
    near.text('421["echo",7]');
    assert.equal(await near.next(), "431[7]");
    await RawWebSocket.connect(to);
    assert.equal((await visit(to)).body, "page");
  });
}
