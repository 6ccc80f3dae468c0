"use strict";

const assert = require("node:assert/strict");
const test = require("node:test");
const { gunzipSync } = require("node:zlib");
const { serve, once, request, RawWebSocket } = require("./support/harness");

// Clients of revision 3 of the Engine.IO protocol, on the wire: what socket.io-client 2 sends and expects.

const options = { allowEIO3: true, pingInterval: 25000, pingTimeout: 20000 };

async function open(server, query = "") {
  const { body } = await request(server, { path: `/socket.io/?EIO=3&transport=polling${query}` });
  return body;
}

/** The packets of a payload of text. */
function split(payload) {
  const packets = [];
  while (payload !== "") {
    const colon = payload.indexOf(":");
    const end = colon + 1 + Number(payload.slice(0, colon));
    packets.push(payload.slice(colon + 1, end));
    payload = payload.slice(end);
  }
  return packets;
}

test("a handshake over polling joins the main namespace at once", async (t) => {
  const server = await serve(t, options);
  const packets = split(await open(server));
  const { sid, upgrades, pingInterval } = JSON.parse(packets[0].slice(1));
  assert.equal(packets[0][0], "0");
  assert.deepEqual([upgrades, pingInterval], [["websocket"], 25000]);
  const rest = packets.length > 1 ? packets.slice(1) : split(await poll(server, sid));
  assert.deepEqual(rest, ["40"]);
});

test("a POST counts UTF-16 units, and its answers come back the same way", async (t) => {
  const server = await serve(t, options);
  server.io.on("connection", (socket) => socket.on("echo", (text) => socket.emit("echo", text)));
  const sid = await join(server);
  const packet = '42["echo","é😀"]';
  const answer = await post(server, sid, `${packet.length}:${packet}`);
  assert.deepEqual([answer.status, answer.body], [200, "ok"]);
  assert.deepEqual(split(await poll(server, sid)), [packet]);
});

test("binary data is base64 where the client asks for it", async (t) => {
  const server = await serve(t, options);
  server.io.on("connection", (socket) => socket.on("echo", (data) => socket.emit("echo", data)));
  const sid = await join(server, "&b64=1");
  const parts = ['451-["echo",{"_placeholder":true,"num":0}]', "b4AQID"];
  await post(server, sid, parts.map((part) => `${part.length}:${part}`).join(""));
  const received = [];
  while (received.length < 2) received.push(...split(await poll(server, sid, "&b64=1")));
  assert.deepEqual(received, parts);
});

test("a JSONP client gets a script and submits a form", async (t) => {
  const server = await serve(t, options);
  server.io.on("connection", (socket) => socket.on("echo", (text) => socket.emit("echo", text)));
  const script = await open(server, "&j=7");
  assert.match(script, /^___eio\[7\]\("/);
  const { sid } = JSON.parse(/\{.*?\}/.exec(JSON.parse(script.slice("___eio[7](".length, -2)))[0]);
  const packet = '42["echo","a\\nb"]';
  const body = `d=${encodeURIComponent(`${packet.length}:${packet}`.replaceAll("\\n", "\\\\n"))}`;
  const answer = await post(server, sid, body, "&j=7", "application/x-www-form-urlencoded");
  assert.equal(answer.body, "ok");
  let received = "";
  while (!received.includes("echo")) received = await poll(server, sid, "&j=7");
  // with or without the CONNECT packet, which the first poll may have taken
  const payload = JSON.parse(received.slice("___eio[7](".length, -2));
  assert.equal(payload.replace(/^2:40/, ""), `${packet.length}:${packet}`);
});

test("the client sends the pings over WebSocket", async (t) => {
  const server = await serve(t, options);
  const ws = await RawWebSocket.open(server, { query: "EIO=3&transport=websocket" });
  assert.equal(await ws.next(), "40");
  ws.text("2probe");
  assert.equal(await ws.next(), "3");
  ws.text("2");
  assert.equal(await ws.next(), "3");
});

test("a ping of the client is a heartbeat", async (t) => {
  const server = await serve(t, options);
  const { ws, conn } = await server.rawSession({ query: "EIO=3&transport=websocket" });
  const heartbeat = once(conn, "heartbeat");
  ws.text("2");
  await heartbeat;
});

test("binary payloads are compressed unless the application does not want it", async (t) => {
  const server = await serve(t, { ...options, httpCompression: { threshold: 0 } });
  const payloads = [];
  for (const compress of [true, false]) {
    const sid = await join(server);
    server.io.compress(compress).emit("data", Buffer.alloc(1000));
    const path = `/socket.io/?EIO=3&transport=polling&sid=${sid}`;
    const answer = await request(server, { path, headers: { "Accept-Encoding": "gzip" } });
    assert.equal(answer.headers["content-type"], "application/octet-stream");
    assert.equal(answer.headers["content-encoding"], compress ? "gzip" : undefined);
    payloads.push(compress ? gunzipSync(answer.bytes) : answer.bytes);
  }
  assert.deepEqual(payloads[0], payloads[1]);
});

test("without allowEIO3 such a client is refused", async (t) => {
  const server = await serve(t);
  assert.deepEqual(JSON.parse(await open(server)), { code: 5, message: "Unsupported protocol version" });
});

async function join(server, query = "") {
  const packets = split(await open(server, query));
  const { sid } = JSON.parse(packets[0].slice(1));
  if (packets.length === 1) await poll(server, sid, query);
  return sid;
}

async function poll(server, sid, query = "") {
  const { body } = await request(server, { path: `/socket.io/?EIO=3&transport=polling&sid=${sid}${query}` });
  return body;
}

function post(server, sid, body, query = "", type = "text/plain; charset=UTF-8") {
  const path = `/socket.io/?EIO=3&transport=polling&sid=${sid}${query}`;
  return request(server, { method: "POST", path, body, headers: { "Content-Type": type } });
}
