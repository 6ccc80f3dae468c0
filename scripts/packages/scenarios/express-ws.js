"use strict";

// Routes for WebSockets by express-ws, which makes its server by itself.

const assert = require("node:assert/strict");
const { close, connect, listen } = require("../support");

exports.packages = ["express-ws"];
exports.requiresWs = true;

exports.play = async ({ WebSocket }) => {
  const { createServer } = require("node:http");
  const express = require("express");
  const expressWs = require("express-ws");

  const app = express();
  const httpServer = createServer(app);
  const { getWss } = expressWs(app, httpServer, { leaveRouterUntouched: true });
  app.use((req, _res, next) => {
    req.greeting = "hello";
    next();
  });
  app.get("/", (_req, res) => res.send("ordinary"));
  app.ws("/echo/:name", (ws, req) => {
    ws.send(`${req.greeting} ${req.params.name}`);
    ws.on("message", (data, isBinary) => ws.send(data, { binary: isBinary }));
  });
  app.ws("/all", (ws) => {
    ws.on("message", (data) => {
      for (const client of getWss().clients) client.send(`all: ${data}`);
    });
  });
  app.ws("/failing", () => {
    throw new Error("the handler fails");
  });
  app.use((_error, _req, res, _next) => res.status(500).end());
  const address = `127.0.0.1:${await listen(httpServer)}`;

  const [alice, bob, carol] = await Promise.all(
    ["echo/alice", "echo/bob", "all"].map((path) => connect(WebSocket, `ws://${address}/${path}`)),
  );
  assert.equal(await alice.next(), "hello alice");
  assert.equal(await bob.next(), "hello bob");
  alice.send("text");
  assert.equal(await alice.next(), "text");
  bob.send(Buffer.alloc(300_000, "b"));
  assert.equal((await bob.next()).length, 300_000);
  carol.send("x");
  for (const client of [alice, bob, carol]) assert.equal(await client.next(), "all: x");

  const lost = await connect(WebSocket, `ws://${address}/nowhere`);
  assert.equal((await lost.closed).code, 1005);
  const failed = await connect(WebSocket, `ws://${address}/failing`);
  assert.equal((await failed.closed).code, 1005);
  assert.equal(await (await fetch(`http://${address}/`)).text(), "ordinary");

  alice.close(4000, "bye");
  assert.deepEqual(await alice.closed, { code: 4000, reason: "bye" });
  for (const client of getWss().clients) client.close(1001);
  assert.equal((await bob.closed).code, 1001);
  assert.equal((await carol.closed).code, 1001);
  await close(getWss());
  httpServer.closeAllConnections();
  await close(httpServer);
};
