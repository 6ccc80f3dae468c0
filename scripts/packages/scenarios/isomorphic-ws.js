"use strict";

// isomorphic-ws, which is ws by another name.

const assert = require("node:assert/strict");
const { once } = require("node:events");
const { close, connect } = require("../support");

exports.packages = ["isomorphic-ws"];
exports.requiresWs = true;

exports.play = async () => {
  const WebSocket = require("isomorphic-ws");

  const wss = new WebSocket.Server({ port: 0, host: "127.0.0.1" });
  await once(wss, "listening");
  wss.on("connection", (ws) => {
    assert.ok(ws instanceof WebSocket);
    ws.onmessage = ({ data }) => {
      for (const client of wss.clients) if (client.readyState === WebSocket.OPEN) client.send(data);
    };
    ws.onclose = ({ code, reason }) => wss.emit("left", code, reason);
  });
  const url = `ws://127.0.0.1:${wss.address().port}`;
  const clients = await Promise.all([1, 2, 3].map(() => connect(WebSocket, url)));
  clients[0].send("to all");
  for (const client of clients) assert.equal(await client.next(), "to all");
  const left = once(wss, "left");
  clients[0].close(1000, "done");
  assert.deepEqual(await left, [1000, "done"]);
  for (const client of wss.clients) client.terminate();
  for (const client of clients.slice(1)) assert.equal((await client.closed).code, 1006);
  await close(wss);
};
