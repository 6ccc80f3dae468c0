"use strict";

// MQTT over WebSockets: aedes as the broker, over ws's createWebSocketStream(), and clients of mqtt.

const assert = require("node:assert/strict");
const { once } = require("node:events");
const { close, listen, until } = require("../support");

exports.packages = ["aedes", "mqtt"];

exports.play = async ({ WebSocketServer, WebSocket }) => {
  const { createServer } = require("node:http");
  const { Aedes } = await import("aedes");
  const mqtt = require("mqtt");

  const broker = await Aedes.createBroker();
  broker.authenticate = (_client, username, _password, done) => done(null, username !== "mallory");
  const httpServer = createServer();
  const wss = new WebSocketServer({ server: httpServer, handleProtocols: (protocols) => [...protocols][0] });
  wss.on("connection", (ws, request) => {
    assert.equal(ws.protocol, "mqtt");
    broker.handle(WebSocket.createWebSocketStream(ws), request);
  });
  const url = `ws://127.0.0.1:${await listen(httpServer)}`;
  const join = (username, options) =>
    mqtt.connectAsync(url, { username, clientId: username, reconnectPeriod: 0, ...options });

  const [alice, bob, carol] = await Promise.all([
    join("alice"),
    join("bob", { will: { topic: "gone", payload: "bob is gone" } }),
    join("carol", { keepalive: 1 }),
  ]);
  const heard = { alice: [], carol: [] };
  alice.on("message", (topic, payload) => heard.alice.push([topic, payload.toString()]));
  carol.on("message", (topic, payload) => heard.carol.push([topic, payload.length]));
  await alice.subscribeAsync(["news/#", "gone"], { qos: 2 });
  await carol.subscribeAsync("large", { qos: 1 });
  for (const qos of [0, 1, 2]) await bob.publishAsync(`news/${qos}`, `text ${qos}`, { qos });
  await bob.publishAsync("large", Buffer.alloc(500_000), { qos: 1 });
  await until(() => heard.alice.length === 3 && heard.carol.length === 1);
  assert.deepEqual(heard.alice.sort(), [
    ["news/0", "text 0"],
    ["news/1", "text 1"],
    ["news/2", "text 2"],
  ]);
  assert.deepEqual(heard.carol, [["large", 500_000]]);

  // one that is cut off without taking leave has its will carried out
  bob.stream.destroy();
  await until(() => heard.alice.length === 4);
  assert.deepEqual(heard.alice.at(-1), ["gone", "bob is gone"]);
  await assert.rejects(join("mallory"), /Not authorized/i);

  // the broker has to hear of a client that keeps alive
  await new Promise((resolve) => setTimeout(resolve, 1800));
  assert.equal(carol.connected, true);

  const closed = once(alice, "close");
  await alice.endAsync();
  await closed;
  const lost = once(carol, "close");
  await new Promise((resolve) => broker.close(resolve));
  await lost;
  await carol.endAsync(true);
  await bob.endAsync(true);
  await until(() => wss.clients.size === 0);
  await close(wss);
  await close(httpServer);
};
