"use strict";

// Routes for WebSockets by @fastify/websocket, which makes its server by itself.

const assert = require("node:assert/strict");
const { assertRefused, connect } = require("../support");

exports.packages = ["@fastify/websocket"];
exports.requiresWs = true;

exports.play = async ({ WebSocket }) => {
  const fastify = require("fastify")();
  await fastify.register(require("@fastify/websocket"), { options: { maxPayload: 1_000_000 } });
  fastify.addHook("preValidation", async (request, reply) => {
    if (request.query.token === "wrong") await reply.code(401).send("no");
  });
  fastify.register(async (app) => {
    app.get("/echo/:name", { websocket: true }, (socket, request) => {
      socket.send(`hello ${request.params.name}`);
      socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
    });
    app.get("/all", { websocket: true }, (socket) => {
      socket.on("message", (data) => {
        for (const client of app.websocketServer.clients) client.send(`all: ${data}`);
      });
    });
    app.get("/failing", { websocket: true }, async () => {
      throw new Error("the handler fails");
    });
    app.get("/", async () => "ordinary");
  });
  const http = await fastify.listen({ port: 0, host: "127.0.0.1" });
  const url = http.replace("http", "ws");

  const [alice, bob, carol] = await Promise.all(
    ["echo/alice", "echo/bob", "all"].map((route) => connect(WebSocket, `${url}/${route}`)),
  );
  assert.equal(await alice.next(), "hello alice");
  assert.equal(await bob.next(), "hello bob");
  bob.send("x".repeat(500_000));
  assert.equal((await bob.next()).length, 500_000);
  carol.send("x");
  for (const client of [alice, bob, carol]) assert.equal(await client.next(), "all: x");

  bob.send("x".repeat(1_000_001));
  assert.equal((await bob.closed).code, 1009);
  const failed = await connect(WebSocket, `${url}/failing`);
  assert.equal((await failed.closed).code, 1006);
  await assertRefused(WebSocket, `${url}/echo/mallory?token=wrong`, 401);
  await assertRefused(WebSocket, `${url}/nowhere`, 404);
  assert.equal(await (await fetch(http)).text(), "ordinary");

  // a WebSocket without a network, for tests of applications
  let greeted;
  const greeting = new Promise((resolve) => (greeted = resolve));
  const onInit = (ws) => ws.on("message", (data) => greeted(String(data)));
  const injected = await fastify.injectWS("/echo/tester", {}, { onInit });
  assert.equal(await greeting, "hello tester");
  injected.terminate();

  await fastify.close();
  for (const client of [alice, carol]) assert.equal((await client.closed).code, 1005);
};
