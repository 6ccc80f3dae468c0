"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const http = require("node:http");
const {
  serve,
  once,
  record,
  eventually,
  within,
  request,
  RawPolling,
  SEPARATOR,
} = require("./support/harness");

const pollOpen = (conn) => eventually(() => conn.transport.writable, "a poll is open");

test("a client that only polls: events and acks both ways", async (t) => {
  const server = await serve(t, { transports: ["polling"] });
  const { client, socket } = await server.pair("/", { transports: ["polling"] });
  assert.equal(socket.conn.transport.name, "polling");
  assert.equal(client.io.engine.transport.name, "polling");
  socket.on("up", (value, ack) => ack([value]));
  client.on("down", (value, ack) => ack([value]));
  assert.deepEqual(await client.timeout(5000).emitWithAck("up", "é😀"), ["é😀"]);
  assert.deepEqual(await socket.timeout(5000).emitWithAck("down", "é😀"), ["é😀"]);
});

test("the answer to a handshake", async (t) => {
  const server = await serve(t, { pingInterval: 11111, pingTimeout: 22222 });
  const { answer, sid } = await RawPolling.open(server);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["content-type"], "text/plain; charset=UTF-8");
  assert.equal(answer.headers["cache-control"], "no-store");
  assert.equal(
    answer.body,
    `0{"sid":"${sid}","upgrades":["websocket"],"pingInterval":11111,"pingTimeout":22222,"maxPayload":1000000}`,
  );
});

test("upgrades are announced only when they are allowed", async (t) => {
  const upgrades = async (options) => (await RawPolling.open(await serve(t, options))).handshake.upgrades;
  assert.deepEqual(await upgrades({}), ["websocket"]);
  assert.deepEqual(await upgrades({ allowUpgrades: false }), []);
  assert.deepEqual(await upgrades({ transports: ["polling"] }), []);
});

test("the answer to a data request", async (t) => {
  const server = await serve(t);
  const { polling } = await server.pollingSession();
  const answer = await polling.post("40");
  assert.equal(answer.status, 200);
  assert.equal(answer.body, "ok");
  assert.equal(answer.headers["content-type"], "text/html");
  assert.equal(answer.headers["content-length"], "2");
  assert.equal(answer.headers["cache-control"], "no-store");
});

test("a poll without data stays open until there is some", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  let answered = false;
  const poll = polling.poll().then((answer) => {
    answered = true;
    return answer;
  });
  await pollOpen(socket.conn);
  socket.on("echo", (value, ack) => ack(value));
  assert.equal(answered, false);
  socket.emit("ev", "x");
  const answer = await poll;
  assert.equal(answer.headers["content-type"], "text/plain; charset=UTF-8");
  assert.deepEqual(answer.packets, ['42["ev","x"]']);
});

test("packets that wait are answered together, separated", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  socket.emit("one");
  socket.emit("two", "é");
  server.io.emit("three");
  const answer = await polling.poll();
  assert.equal(answer.body, `42["one"]${SEPARATOR}42["two","é"]${SEPARATOR}42["three"]`);
});

test("several packets in one data request are handled in order", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const got = record(socket, "n");
  await polling.post([1, 2, 3].map((n) => `42["n",${n}]`).join(SEPARATOR));
  await got.until(3);
  assert.deepEqual(got.list, [[1], [2], [3]]);
});

test("the body of a data request may come in pieces, split inside a character", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const got = once(socket, "ev");
  const req = server.startRequest({ method: "POST", path: polling.url });
  req.setNoDelay(true);
  const body = Buffer.from('42["ev","aé語😀z"]');
  for (const byte of body) {
    req.write(Buffer.from([byte]));
    await new Promise(setImmediate);
  }
  const response = once(req, "response");
  req.end();
  const [res] = await response;
  res.resume();
  assert.equal(res.statusCode, 200);
  assert.deepEqual(await got, ["aé語😀z"]);
});

test("a large body is read as a small one is, in order with others", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const got = record(socket, "ev");
  const text = "aé語😀\u001d".repeat(20_000);
  const data = Buffer.alloc(100_001, "attachment");
  // what Node reads as characters that replace others
  const invalid = Buffer.from([0xe8, 0xaa, 0xf0, 0x9f, 0x98, 0xc3, 0xff, 0xed, 0xa0, 0x80]);
  const bodies = [
    Buffer.from(`42["ev",${JSON.stringify(text)}]`),
    Buffer.from('42["ev","small"]'),
    Buffer.from(`451-["ev",{"_placeholder":true,"num":0}]${SEPARATOR}b${data.toString("base64")}`),
    Buffer.concat([Buffer.from(`42["ev","${"x".repeat(70_000)}`), invalid, Buffer.from('"]')]),
  ];
  for (const body of bodies) {
    const { status } = await polling.post(body);
    assert.equal(status, 200);
  }
  await got.until(4);
  const last = JSON.parse(bodies[3].toString().slice(2))[1];
  assert.deepEqual(got.list, [[text], ["small"], [data], [last]]);
});

test("the first of several emits in a tick answers the open poll, the others the next", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const poll = polling.poll();
  await pollOpen(socket.conn);
  for (let n = 0; n < 3; n++) {
    socket.emit("n", n);
  }
  server.io.emit("n", 3);
  assert.deepEqual((await poll).packets, ['42["n",0]']);
  assert.deepEqual(
    (await polling.poll()).packets,
    [1, 2, 3].map((n) => `42["n",${n}]`),
  );
});

test("the first packet of a broadcast with attachments answers the open poll", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const poll = polling.poll();
  await pollOpen(socket.conn);
  server.io.emit("data", Buffer.of(1, 2, 3));
  assert.deepEqual((await poll).packets, ['451-["data",{"_placeholder":true,"num":0}]']);
  assert.deepEqual((await polling.poll()).packets, ["bAQID"]);
});

test("the handshake and the initial packet are an answer of their own", async (t) => {
  const server = await serve(t, { initialPacket: "hello" });
  server.io.engine.on("connection", (conn) => {
    conn.send("one");
    conn.send("two");
  });
  const polling = await RawPolling.open(server);
  assert.deepEqual(polling.queue, ["4hello"]);
  assert.deepEqual((await polling.poll()).packets, ["4one", "4two"]);
});

test("a poll answers while a data request is still coming in", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const req = server.startRequest({ method: "POST", path: polling.url });
  req.write('42["ev"');
  socket.emit("meanwhile");
  assert.deepEqual((await polling.poll()).packets, ['42["meanwhile"]']);
  const got = once(socket, "ev");
  const response = once(req, "response");
  req.end(",1]");
  assert.deepEqual(await got, [1]);
  assert.equal((await response)[0].resume().statusCode, 200);
});

test("an event triggers an answer in the same session only", async (t) => {
  const server = await serve(t);
  const [one, two] = [await server.pollingPair(), await server.pollingPair()];
  const polls = [one.polling.poll(), two.polling.poll()];
  await Promise.all([pollOpen(one.socket.conn), pollOpen(two.socket.conn)]);
  one.socket.emit("for one");
  assert.deepEqual((await polls[0]).packets, ['42["for one"]']);
  assert.equal(two.socket.conn.transport.writable, true);
  two.socket.emit("for two");
  assert.deepEqual((await polls[1]).packets, ['42["for two"]']);
});

test("other methods on a live session are refused without harm", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  for (const method of ["PUT", "DELETE", "PATCH"]) {
    const answer = await request(server, { method, path: polling.url });
    assert.deepEqual([method, answer.status, answer.body], [method, 500, ""]);
  }
  socket.emit("fine");
  assert.equal(await polling.next(), '42["fine"]');
});

test("user agents of old browsers get their header", async (t) => {
  const server = await serve(t);
  const headers = { "User-Agent": "Mozilla/4.0 (compatible;MSIE 8.0)" };
  const { answer } = await RawPolling.open(server, { headers });
  assert.equal(answer.headers["x-xss-protection"], "0");
});

test("an exchange of 300 messages each way in order over polling", async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair("/", { transports: ["polling"] });
  const up = record(socket, "n");
  const down = record(client, "n");
  for (let n = 0; n < 300; n++) {
    client.emit("n", n);
    socket.emit("n", n);
    if (n % 50 === 49) {
      await new Promise(setImmediate);
    }
  }
  await Promise.all([up.until(300), down.until(300)]);
  const expected = Array.from({ length: 300 }, (_, n) => [n]);
  assert.deepEqual(up.list, expected);
  assert.deepEqual(down.list, expected);
});

test("keep-alive connections carry many requests of many sessions", async (t) => {
  const server = await serve(t, {}, { stream: "http" });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  let connections = 0;
  server.httpServer.on("connection", () => connections++);
  for (let i = 0; i < 10; i++) {
    const open = await request(server, { path: "/socket.io/?EIO=4&transport=polling", agent });
    const { sid } = JSON.parse(open.body.slice(1));
    const path = `/socket.io/?EIO=4&transport=polling&sid=${sid}`;
    assert.equal((await request(server, { path, method: "POST", body: "40", agent })).body, "ok");
    assert.match((await request(server, { path, agent })).body, /^40\{"sid":/);
  }
  assert.equal(connections, 1);
  assert.equal(server.io.engine.clientsCount, 10);
});

test("disconnecting ends an open poll at once", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const poll = polling.poll();
  await pollOpen(socket.conn);
  const closed = once(socket.conn, "close");
  socket.conn.close();
  assert.deepEqual((await within(poll, "the poll")).packets, ["1"]);
  assert.equal((await closed)[0], "forced close");
});

test("a client that says goodbye while it is waited for need not be waited for", async (t) => {
  const server = await serve(t);
  const { polling, conn } = await server.pollingSession();
  const closed = record(conn, "close");
  conn.close();
  assert.equal(conn.readyState, "closing");
  const answer = await polling.post("1");
  assert.equal(answer.status, 200);
  await closed.until(1);
  assert.equal(server.io.engine.clientsCount, 0);
});
