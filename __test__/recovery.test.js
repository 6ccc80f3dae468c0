"use strict";

// Connection state recovery: who is who while several connections are the same session.

const test = require("node:test");
const assert = require("node:assert/strict");
const { SessionAwareAdapter } = require("socket.io-adapter");
const { serve, once, RawWebSocket } = require("./support/harness");

/** More than are named one by one in a broadcast. */
const MANY = 12;

const END = '42["end"]';

/** A raw client that joins, with the ids that it was given, and its socket. */
async function join(server, auth) {
  const connection = once(server.io, "connection");
  const ws = await RawWebSocket.open(server);
  ws.text(`40${auth ? JSON.stringify(auth) : ""}`);
  // what was missed comes in front of it
  const answer = () => ws.messages.find((message) => message.startsWith("40"));
  await ws.changes.until(answer);
  const [socket] = await connection;
  return { ws, socket, disconnected: once(socket, "disconnect"), ...JSON.parse(answer().slice(2)) };
}

function joinAll(server, count) {
  return Promise.all(Array.from({ length: count }, () => server.rawPair()));
}

/** The names of the events that a client has got by now. Its connection is asked, as the id may not lead to it. */
async function eventsOf({ ws, conn }) {
  conn.send(END.slice(1));
  await ws.changes.until(() => ws.messages.includes(END));
  return ws.messages
    .filter((message) => message.startsWith("42") && message !== END)
    .map((message) => JSON.parse(message.slice(2))[0]);
}

/** A server with a large room, and a session that was in it and has lost its connection. */
async function lostSession(t, adapter) {
  const server = await serve(t, { adapter, connectionStateRecovery: {} });
  const others = await joinAll(server, MANY);
  for (const { socket } of others) socket.join("room");
  const lost = await join(server);
  lost.socket.join("room");
  server.io.to("room").emit("seen");
  const seen = () => lost.ws.messages.find((message) => message.startsWith("42"));
  await lost.ws.changes.until(seen);
  lost.ws.destroy();
  await lost.disconnected;
  const auth = { pid: lost.pid, offset: JSON.parse(seen().slice(2)).at(-1) };
  async function recover() {
    const found = await join(server, auth);
    assert.equal(found.sid, lost.sid);
    assert.equal(found.socket.recovered, true);
    return { ...found, conn: found.socket.conn };
  }
  return { server, io: server.io, recover };
}

/** Has new clients connect, more than have gone, and tells what they get of a message to the room. */
async function strangersHear({ server, io }) {
  const strangers = await joinAll(server, 8);
  io.to("room").emit("private");
  const heard = await Promise.all(strangers.map(({ ws, socket }) => eventsOf({ ws, conn: socket.conn })));
  return heard.flat();
}

for (const [name, adapter] of [
  ["the default adapter", undefined],
  ["that of socket.io-adapter", SessionAwareAdapter],
]) {
  test(`${name}: of two connections that have recovered one session, the later one is in its rooms`, async (t) => {
    const { io, recover } = await lostSession(t, adapter);
    const b = await recover();
    io.to("room").emit("one");
    const c = await recover();
    io.to("room").emit("two");
    io.emit("three");
    b.socket.emit("four");
    b.socket.leave("room");
    io.to("room").emit("five");
    assert.deepEqual(await eventsOf(b), ["one"]);
    assert.deepEqual(await eventsOf(c), ["one", "two", "three", "four"], "one was missed and sent again");
  });

  test(`${name}: the earlier of two connections with one session goes: no stranger is in its rooms`, async (t) => {
    const lost = await lostSession(t, adapter);
    const b = await lost.recover();
    const c = await lost.recover();
    b.ws.destroy();
    await b.disconnected;
    assert.deepEqual(await strangersHear(lost), []);
    // both have one id, which has left the rooms
    assert.deepEqual(await eventsOf(c), []);
  });

  test(`${name}: the later of two connections with one session goes: no stranger is in its rooms`, async (t) => {
    const lost = await lostSession(t, adapter);
    const b = await lost.recover();
    const c = await lost.recover();
    lost.io.emit("to all");
    c.ws.destroy();
    await c.disconnected;
    lost.io.to("room").emit("to nobody");
    assert.deepEqual(await eventsOf(b), []);
    b.ws.destroy();
    await b.disconnected;
    assert.deepEqual(await strangersHear(lost), []);
  });
}
