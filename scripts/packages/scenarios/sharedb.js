"use strict";

// Documents of ShareDB over streams of @teamwork/websocket-json-stream, which get the application's WebSockets.

const assert = require("node:assert/strict");
const { once } = require("node:events");
const { promisify } = require("node:util");
const { close, connect, listen, until } = require("../support");

exports.packages = ["sharedb", "@teamwork/websocket-json-stream"];

exports.play = async ({ WebSocketServer, WebSocket }) => {
  const { createServer } = require("node:http");
  const ShareDB = require("sharedb");
  const { Connection } = require("sharedb/lib/client");
  const JsonStream = require("@teamwork/websocket-json-stream");

  const backend = new ShareDB();
  const httpServer = createServer();
  const wss = new WebSocketServer({ server: httpServer });
  wss.on("connection", (ws) => {
    const stream = new JsonStream(ws);
    stream.on("error", () => {});
    backend.listen(stream);
  });
  const url = `ws://127.0.0.1:${await listen(httpServer)}`;
  const join = async () => {
    const socket = await connect(WebSocket, url);
    const connection = new Connection(socket);
    // it has missed the event
    connection.socket.onopen?.();
    const doc = connection.get("notes", "one");
    const call = (name) => promisify(doc[name]).bind(doc);
    return {
      socket,
      connection,
      doc,
      create: call("create"),
      submit: call("submitOp"),
      subscribe: call("subscribe"),
    };
  };

  const [alice, bob] = await Promise.all([join(), join()]);
  await alice.create({ count: 0, text: "" });
  await Promise.all([alice.subscribe(), bob.subscribe()]);
  for (let i = 0; i < 50; i++) {
    await Promise.all([alice, bob].map(({ submit }) => submit([{ p: ["count"], na: 1 }])));
  }
  await until(() => alice.doc.data.count === 100 && bob.doc.data.count === 100);
  const op = once(bob.doc, "op");
  await alice.submit([{ p: ["text", 0], si: "x".repeat(200_000) }]);
  await op;
  assert.equal(bob.doc.data.text.length, 200_000);
  await assert.rejects(alice.create({}), { code: "ERR_DOC_ALREADY_CREATED" });

  const stranger = await connect(WebSocket, url);
  stranger.send("no json");
  await stranger.closed;
  alice.connection.close();
  await alice.socket.closed;
  bob.socket.terminate();
  await until(() => wss.clients.size === 0 && backend.agentsCount === 0);
  await promisify(backend.close).call(backend);
  await close(wss);
  await close(httpServer);
};
