"use strict";

// Documents that several clients write to, by the server of y-websocket, whose servers of WebSockets are the application's.

const assert = require("node:assert/strict");
const { createServer } = require("node:http");
const { close, listen, until } = require("../support");

exports.packages = ["@y/websocket-server", "y-websocket"];

/** More than fits into one read. */
const LONG = "a long text ".repeat(50_000);

exports.play = async ({ WebSocketServer, WebSocket }) => {
  const Y = require("yjs");
  const { WebsocketProvider } = require("y-websocket");
  const { docs, setupWSConnection } = require("@y/websocket-server/utils");

  const httpServer = createServer();
  const wss = new WebSocketServer({ noServer: true });
  wss.on("connection", (ws, request) => setupWSConnection(ws, request));
  httpServer.on("upgrade", (request, socket, head) => {
    wss.handleUpgrade(request, socket, head, (ws) => wss.emit("connection", ws, request));
  });
  const url = `ws://127.0.0.1:${await listen(httpServer)}`;
  const join = (room) => {
    const doc = new Y.Doc();
    const provider = new WebsocketProvider(url, room, doc, { WebSocketPolyfill: WebSocket, disableBc: true });
    return { doc, provider, text: doc.getText("text") };
  };

  const [alice, bob, other] = [join("room"), join("room"), join("another")];
  alice.text.insert(0, "hello");
  await until(() => bob.text.toString() === "hello");
  bob.text.insert(5, " world");
  alice.text.insert(0, LONG);
  await until(() => bob.text.length === alice.text.length && alice.text.toString().endsWith("hello world"));
  assert.equal(alice.text.toString(), `${LONG}hello world`);
  assert.equal(bob.text.toString(), alice.text.toString());

  const late = join("room");
  await until(() => late.provider.synced);
  assert.equal(late.text.toString(), alice.text.toString());
  assert.equal(other.text.toString(), "");

  const states = alice.provider.awareness.getStates();
  bob.provider.awareness.setLocalState({ name: "Bob" });
  await until(() => [...states.values()].some((state) => state.name === "Bob"));
  bob.provider.disconnect();
  await until(() => ![...states.values()].some((state) => state.name === "Bob"));
  bob.text.insert(0, "offline ");
  bob.provider.connect();
  await until(() => alice.text.toString().startsWith("offline "));

  for (const { doc, provider } of [alice, bob, other, late]) {
    provider.destroy();
    doc.destroy();
  }
  await until(() => wss.clients.size === 0);
  for (const doc of docs.values()) doc.destroy();
  await close(wss);
  await close(httpServer);
};
