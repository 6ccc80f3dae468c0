"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { setTimeout: sleep } = require("node:timers/promises");
const { ServerResponse } = require("node:http");
const {
  serve,
  once,
  record,
  eventually,
  connected,
  isStock,
  frame,
  upgradeRequest,
  RawConnection,
  RawPolling,
  RawWebSocket,
} = require("./support/harness");

const pollOpen = (conn) => eventually(() => conn.transport.writable, "a poll is open");

/** The WebSocket that wants to take over a polling session, before any packet. */
function upgradeOf(polling, server) {
  return RawWebSocket.upgrade(server, { query: `EIO=4&transport=websocket&sid=${polling.sid}` });
}

test("the stock client upgrades from polling to WebSocket", async (t) => {
  const server = await serve(t);
  const client = server.client("/", { transports: ["polling", "websocket"] });
  const upgraded = once(client.io.engine, "upgrade");
  await connected(client);
  const socket = server.io.sockets.sockets.get(client.id);
  const serverUpgraded = once(socket.conn, "upgrade");
  await upgraded;
  const [transport] = await serverUpgraded;
  assert.equal(transport.name, "websocket");
  assert.equal(socket.conn.transport.name, "websocket");
  assert.equal(socket.conn.upgraded, true);
  assert.equal(client.io.engine.transport.name, "websocket");
  socket.on("up", (value, ack) => ack(value));
  assert.equal(await client.timeout(5000).emitWithAck("up", "after the upgrade"), "after the upgrade");
});

test("events sent before, during and after the upgrade arrive once and in order", async (t) => {
  const server = await serve(t);
  const total = 400;
  const downs = [];
  server.io.on("connection", (socket) => {
    let n = 0;
    const timer = setInterval(() => {
      for (let i = 0; i < 5 && n < total; i++) {
        socket.emit("down", n++);
      }
      if (n === total) {
        clearInterval(timer);
      }
    }, 1);
    socket.on("disconnect", () => clearInterval(timer));
  });
  const client = server.client("/", { transports: ["polling", "websocket"] });
  const down = record(client, "down");
  const connection = once(server.io, "connection");
  client.on("down", (n) => downs.push(n));
  const [socket] = await connection;
  const up = record(socket, "up");
  const upgraded = once(socket.conn, "upgrade");
  let sent = 0;
  const timer = setInterval(() => {
    for (let i = 0; i < 5 && sent < total; i++) {
      client.emit("up", sent++);
    }
  }, 1);
  t.after(() => clearInterval(timer));
  await Promise.all([up.until(total), down.until(total), upgraded]);
  const expected = Array.from({ length: total }, (_, n) => n);
  assert.deepEqual(
    up.list.map(([n]) => n),
    expected,
  );
  assert.deepEqual(downs, expected);
});

test("the upgrade on the wire", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const { conn } = socket;
  const poll = polling.poll();
  await pollOpen(conn);
  const ws = await upgradeOf(polling, server);
  assert.equal(ws.status, 101);
  const upgrading = once(conn, "upgrading");
  ws.text("2probe");
  assert.equal(await ws.next(), "3probe");
  assert.equal((await upgrading)[0].name, "websocket");
  assert.equal(conn.upgrading, true);
  assert.equal(conn.transport.name, "polling");
  // the open poll is answered, so that the client can stop polling
  assert.deepEqual((await poll).packets, ["6"]);
  socket.emit("waits", 1);
  const upgrade = once(conn, "upgrade");
  ws.text("5");
  assert.equal((await upgrade)[0], conn.transport);
  assert.equal(await ws.next(), '42["waits",1]');
  assert.equal(conn.upgrading, false);
  assert.equal(conn.upgraded, true);
  assert.equal(conn.transport.name, "websocket");
  const got = once(socket, "ev");
  ws.text('42["ev","over WebSocket"]');
  assert.deepEqual(await got, ["over WebSocket"]);
  assert.equal(server.io.engine.clientsCount, 1);
});

test("binary packets that waited during the upgrade arrive as binary frames", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const ws = await upgradeOf(polling, server);
  ws.text("2probe");
  assert.equal(await ws.next(), "3probe");
  socket.emit("waits", Buffer.from([1, 2]));
  ws.text("5");
  assert.equal(await ws.next(), '451-["waits",{"_placeholder":true,"num":0}]');
  assert.deepEqual(await ws.next(), Buffer.from([1, 2]));
});

test("while the probe runs, polling goes on", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const ws = await upgradeOf(polling, server);
  ws.text("2probe");
  assert.equal(await ws.next(), "3probe");
  const got = once(socket, "up");
  await polling.post('42["up"]');
  await got;
  socket.emit("down");
  const answer = await polling.poll();
  assert.ok(answer.packets.includes('42["down"]'), answer.body);
});

test("after the upgrade polling on the session is refused", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const ws = await upgradeOf(polling, server);
  ws.text("2probe");
  await ws.next();
  const upgrade = once(socket.conn, "upgrade");
  ws.text("5");
  await upgrade;
  const answer = await polling.poll();
  assert.equal(answer.status, 400);
  assert.deepEqual(answer.json, { code: 3, message: "Bad request" });
  socket.emit("fine");
  assert.equal(await ws.next(), '42["fine"]');
});

test("however often a client probes, its polls are not answered more often", async (t) => {
  const server = await serve(t);
  const { polling } = await server.pollingPair();
  const ws = await upgradeOf(polling, server);
  for (let probes = 0; probes < 20; probes++) {
    ws.text("2probe");
    assert.equal(await ws.next(), "3probe");
    await sleep(5);
  }
  const start = Date.now();
  for (let polls = 0; polls < 5; polls++) assert.deepEqual((await polling.poll()).packets, ["6"]);
  assert.ok(Date.now() - start >= 300, `five polls in ${Date.now() - start} ms`);
});

test("a GET that comes when one was to be answered is answered at once", { skip: isStock }, async (t) => {
  const server = await serve(t);
  const { polling } = await server.pollingPair();
  const ws = await upgradeOf(polling, server);
  ws.text("2probe");
  assert.equal(await ws.next(), "3probe");
  // none waits when the first check is due, nor for a while after it
  await sleep(50);
  const start = Date.now();
  assert.deepEqual((await polling.poll()).packets, ["6"]);
  assert.ok(Date.now() - start < 40, `after ${Date.now() - start} ms`);
  assert.deepEqual((await polling.poll()).packets, ["6"]);
  assert.ok(Date.now() - start >= 40, `another one after ${Date.now() - start} ms`);
});

test("an upgrade packet without a probe is accepted", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const ws = await upgradeOf(polling, server);
  const upgrade = once(socket.conn, "upgrade");
  ws.text("5");
  await upgrade;
  socket.emit("hello");
  assert.equal(await ws.next(), '42["hello"]');
});

test("another first packet closes the WebSocket and the polling session lives", async (t) => {
  const server = await serve(t);
  for (const packet of ["4hello", "3probe", "2", "2other", "6", "9", ""]) {
    const { polling, socket } = await server.pollingPair();
    const ws = await upgradeOf(polling, server);
    ws.text(packet);
    const { code, end } = await ws.closed();
    assert.deepEqual([packet, code, end], [packet, null, "FIN"]);
    socket.emit("alive");
    assert.equal(await polling.next(), '42["alive"]');
    assert.equal(socket.conn.upgrading, false);
    assert.equal(socket.conn.upgraded, false);
  }
});

test("a WebSocket that goes away during the probe leaves the polling session alone", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const ws = await upgradeOf(polling, server);
  ws.text("2probe");
  await ws.next();
  ws.reset();
  await eventually(() => socket.conn.upgrading === false, "the upgrade is given up");
  socket.emit("alive");
  assert.equal(await polling.next(), '42["alive"]');
  // and it may try again
  const second = await upgradeOf(polling, server);
  second.text("2probe");
  assert.equal(await second.next(), "3probe");
  const upgrade = once(socket.conn, "upgrade");
  second.text("5");
  await upgrade;
});

test("a session that closes during the probe takes the WebSocket with it", async (t) => {
  const server = await serve(t);
  const { polling, conn, closed } = await server.pollingSession();
  const ws = await upgradeOf(polling, server);
  ws.text("2probe");
  await ws.next();
  await polling.post("1");
  assert.equal((await closed)[0], "transport close");
  assert.equal((await ws.closed()).end, "FIN");
  assert.equal(conn.readyState, "closed");
});

test("an upgrade that is not completed is closed after upgradeTimeout", async (t) => {
  const server = await serve(t, { upgradeTimeout: 300 });
  const { polling, socket } = await server.pollingPair();
  const silent = await upgradeOf(polling, server);
  assert.equal((await silent.closed()).end, "FIN");
  const probed = await upgradeOf(polling, server);
  probed.text("2probe");
  assert.equal(await probed.next(), "3probe");
  assert.equal((await probed.closed()).end, "FIN");
  socket.emit("alive");
  let packet = await polling.next();
  while (packet === "6") {
    packet = await polling.next();
  }
  assert.equal(packet, '42["alive"]');
});

test("a second upgrade, and one after the upgrade, get 101 and an empty close frame", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const ws = await upgradeOf(polling, server);
  ws.text("2probe");
  await ws.next();
  const second = await upgradeOf(polling, server);
  assert.equal(second.status, 101);
  assert.deepEqual(await second.closed(), { code: null, reason: "", end: "FIN" });
  const upgrade = once(socket.conn, "upgrade");
  ws.text("5");
  await upgrade;
  const third = await upgradeOf(polling, server);
  assert.equal(third.status, 101);
  assert.deepEqual(await third.closed(), { code: null, reason: "", end: "FIN" });
  socket.emit("alive");
  assert.equal(await ws.next(), '42["alive"]');
});

test("a disconnect during the upgrade reaches the client over the WebSocket, if it goes on", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const ws = await upgradeOf(polling, server);
  ws.text("2probe");
  assert.equal(await ws.next(), "3probe");
  const closed = once(socket.conn, "close");
  socket.disconnect(true);
  ws.text("5");
  assert.equal(await ws.next(), "41");
  assert.deepEqual(await ws.closed(), { code: null, reason: "", end: "FIN" });
  assert.equal((await closed)[0], "forced close");
  assert.equal(server.io.engine.clientsCount, 0);
});

test("a disconnect during the upgrade reaches the client by polling, if it polls", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const ws = await upgradeOf(polling, server);
  ws.text("2probe");
  assert.equal(await ws.next(), "3probe");
  const closed = once(socket.conn, "close");
  socket.disconnect(true);
  assert.equal(await polling.next(), "41");
  while ((await polling.next()) !== "1") {
    // a noop, or none
  }
  assert.equal((await closed)[0], "forced close");
  assert.equal((await ws.closed()).end, "FIN");
});

test("a disconnect while the stock client upgrades", async (t) => {
  const server = await serve(t);
  let delay = 0;
  server.io.on("connection", (socket) => setTimeout(() => socket.disconnect(true), delay++ % 10));
  const clients = Array.from({ length: 20 }, () =>
    server.client("/", { transports: ["polling", "websocket"] }),
  );
  const reasons = await Promise.all(clients.map((client) => once(client, "disconnect")));
  for (const [reason] of reasons) {
    assert.match(reason, /^(io server disconnect|transport close)$/);
  }
  await eventually(() => server.io.engine.clientsCount === 0, "all sessions are gone");
});

test("allowUpgrades: false keeps the stock client on polling", async (t) => {
  const server = await serve(t, { allowUpgrades: false });
  const { client, socket } = await server.pair("/", { transports: ["polling", "websocket"] });
  socket.on("echo", (value, ack) => ack(value));
  for (let i = 0; i < 3; i++) {
    assert.equal(await client.timeout(5000).emitWithAck("echo", i), i);
  }
  assert.equal(socket.conn.transport.name, "polling");
});

test("the id, the rooms and the request stay over the upgrade", async (t) => {
  const server = await serve(t);
  const { polling, socket } = await server.pollingPair();
  const { id, request } = socket;
  socket.join("room");
  const ws = await upgradeOf(polling, server);
  ws.text("2probe");
  await ws.next();
  const upgrade = once(socket.conn, "upgrade");
  ws.text("5");
  await upgrade;
  assert.equal(socket.id, id);
  assert.equal(socket.request, request);
  server.io.to("room").emit("hello");
  assert.equal(await ws.next(), '42["hello"]');
  assert.equal(socket.conn.id, polling.sid);
});

test("twenty clients upgrade at once", async (t) => {
  const server = await serve(t);
  const clients = Array.from({ length: 20 }, () =>
    server.client("/", { transports: ["polling", "websocket"] }),
  );
  await Promise.all(clients.map((client) => once(client.io.engine, "upgrade")));
  await Promise.all(clients.map(connected));
  const got = Promise.all(clients.map((client) => once(client, "hello")));
  server.io.emit("hello");
  await got;
  assert.equal(server.io.engine.clientsCount, 20);
  const conns = [...server.io.sockets.sockets.values()].map(({ conn }) => conn);
  await eventually(() => conns.every(({ transport }) => transport.name === "websocket"), "all on WebSocket");
});

test("polling after a failed WebSocket", async (t) => {
  const server = await serve(t);
  const polling = await RawPolling.connect(server);
  const ws = await RawWebSocket.upgrade(server, { query: "EIO=4&transport=websocket&sid=unknown" });
  assert.equal(ws.status, 400);
  server.io.emit("hello");
  assert.equal(await polling.next(), '42["hello"]');
});

/** A GET of the application, and an upgrade request right behind it. */
const pipelined = (headers = "") =>
  `GET /slow HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n` +
  upgradeRequest("/socket.io/?EIO=4&transport=websocket");

test(
  "a request in front of an upgrade is answered first",
  { skip: isStock && "it answers inside the WebSocket" },
  async (t) => {
    let answer;
    const requestListener = (req, res) => (answer = () => res.end("slow"));
    const server = await serve(t, {}, { requestListener });
    const connection = server.keep(new RawConnection(server));
    connection.write(pipelined());
    await eventually(() => answer, "the request");
    await server.request({ path: "/socket.io/?EIO=4&transport=nope" });
    assert.equal(connection.received.length, 0);
    answer();
    await connection.changes.until(() => connection.received.includes('0{"sid"'));
    const [first, second] = connection.received.toString("latin1").split("HTTP/1.1 ").slice(1);
    assert.match(first, /^200 OK\r\n[^]*\r\n\r\n(4\r\n)?slow/);
    assert.match(second, /^101 Switching Protocols\r\n/);
    const connected = once(server.io, "connection");
    connection.write(frame({ payload: "40" }));
    const [socket] = await connected;
    const got = once(socket, "ev");
    connection.write(frame({ payload: '42["ev",1]' }));
    assert.deepEqual(await got, [1]);
  },
);

test(
  "several requests in front of an upgrade are answered first, in their order",
  { skip: isStock },
  async (t) => {
    const answers = [];
    const requestListener = (req, res) => answers.push(() => res.end(req.url));
    const server = await serve(t, {}, { requestListener });
    const connection = server.keep(new RawConnection(server));
    const get = (url) => `GET ${url} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    connection.write(
      get("/first") + get("/second") + upgradeRequest("/socket.io/?EIO=4&transport=websocket"),
    );
    await eventually(() => answers.length === 2, "both requests");
    answers[1]();
    answers[0]();
    await connection.changes.until(() => connection.received.includes('0{"sid"'));
    const bodies = connection.received.toString("latin1").match(/\/first|\/second|101 Switching/g);
    assert.deepEqual(bodies, ["/first", "/second", "101 Switching"]);
  },
);

test(
  "a request in front of an upgrade that closes the connection leaves nothing behind",
  { skip: isStock },
  async (t) => {
    const server = await serve(t, {}, { requestListener: (req, res) => res.end("last") });
    const connection = server.keep(new RawConnection(server));
    connection.write(pipelined("Connection: close\r\n"));
    assert.equal(await connection.ended(), "FIN");
    assert.match(connection.received.toString("latin1"), /^HTTP\/1\.1 200 OK\r\n/);
    assert.equal(server.io.engine.clientsCount, 0);
  },
);

test(
  "a client that goes while a request in front of its upgrade waits leaves nothing behind",
  { skip: isStock },
  async (t) => {
    let waiting;
    const requestListener = (req, res) => (waiting = res);
    const server = await serve(t, {}, { requestListener });
    const connection = server.keep(new RawConnection(server));
    connection.write(pipelined());
    await eventually(() => waiting, "the request");
    const closed = once(waiting, "close");
    connection.reset();
    await closed;
    await new Promise(setImmediate);
    assert.equal(server.io.engine.clientsCount, 0);
  },
);

test("an answer that somebody makes to the upgrade request itself is not waited for", async (t) => {
  const server = await serve(t);
  const { io, httpServer } = server;
  const [upgrade] = httpServer.listeners("upgrade");
  httpServer.removeAllListeners("upgrade");
  httpServer.on("upgrade", (req, socket, head) => {
    const res = new ServerResponse(req);
    res.assignSocket(socket);
    upgrade.call(httpServer, req, socket, head);
  });
  const ws = await RawWebSocket.connect(server);
  assert.ok(io.sockets.sockets.has(ws.id));
});

test("the socket of a connection that has served a request before its upgrade is the same, to its end", async (t) => {
  let seen;
  const requestListener = (req, res) => {
    seen = req.socket;
    res.end();
  };
  const server = await serve(t, {}, { requestListener });
  const connection = server.keep(new RawConnection(server));
  connection.write("GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await connection.changes.until(() => connection.received.includes("\r\n\r\n"));
  connection.write(upgradeRequest("/socket.io/?EIO=4&transport=websocket"));
  await connection.changes.until(() => connection.received.includes('0{"sid"'));
  const connected = once(server.io, "connection");
  connection.write(frame({ payload: "40" }));
  const [socket] = await connected;
  assert.equal(socket.request.socket, seen);
  assert.equal(socket.conn.transport.socket._socket, seen);
  const closed = once(seen, "close");
  connection.destroy();
  await closed;
});
