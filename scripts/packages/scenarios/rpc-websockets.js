"use strict";

// JSON-RPC by rpc-websockets, which makes its server by itself.

const assert = require("node:assert/strict");
const { once } = require("node:events");
const { connect } = require("../support");

exports.packages = ["rpc-websockets"];
exports.requiresWs = true;

exports.play = async ({ WebSocket }) => {
  const { Client, Server } = require("rpc-websockets");

  const server = new Server({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  const url = `ws://127.0.0.1:${server.wss.address().port}`;
  server.register("sum", (numbers) => numbers.reduce((a, b) => a + b));
  server.register("echo", (params) => params);
  server.register("secret", () => "treasure").protected();
  server.setAuth(({ password }) => password === "sesame");
  server.event("news");

  const clients = await Promise.all(
    [1, 2, 3].map(async () => {
      const client = new Client(url, { reconnect: false });
      await once(client, "open");
      return client;
    }),
  );
  const sums = await Promise.all(clients.map((client, i) => client.call("sum", [i, 10])));
  assert.deepEqual(sums, [10, 11, 12]);
  const long = { text: "x".repeat(400_000) };
  assert.deepEqual(await clients[0].call("echo", long), long);
  await assert.rejects(clients[0].call("nothing"), { code: -32601 });
  await assert.rejects(clients[0].call("secret"), { code: -32605 });
  assert.equal(await clients[0].login({ password: "sesame" }), true);
  assert.equal(await clients[0].call("secret"), "treasure");

  await clients[1].subscribe("news");
  const news = once(clients[1], "news");
  server.emit("news", { title: "it works" });
  assert.deepEqual(await news, [{ title: "it works" }]);

  const raw = await connect(WebSocket, url);
  raw.send("no json");
  assert.equal(JSON.parse(await raw.next()).error.code, -32700);
  const gone = once(server, "disconnection");
  raw.terminate();
  await gone;

  const closed = Promise.all(clients.map((client) => once(client, "close")));
  for (const client of clients) client.close();
  await closed;
  await server.close();
};
