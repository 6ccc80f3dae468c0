"use strict";

// New sessions for which there is no room: workers refuse them by themselves where the application could not tell the
// difference, and JavaScript hears nothing of them.

const test = require("node:test");
const assert = require("node:assert/strict");
const diagnostics = require("node:diagnostics_channel");
const {
  serve,
  isStock,
  defaultStream,
  eventually,
  once,
  RawConnection,
  RawWebSocket,
} = require("./support/harness");
const { upgradeRequest } = require("./support/raw-websocket");

const NATIVE = {
  skip:
    (isStock && "stock has no such option") ||
    (process.platform === "win32" && "on Windows, streams stay in JavaScript") ||
    (defaultStream !== "http" && "the HTTP server is to be a plain one"),
};
const OURS = { skip: isStock && "stock has no such option" };

const POLL = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: here\r\n";
const UPGRADE = upgradeRequest("/socket.io/?EIO=4&transport=websocket");
const REFUSED = "Too many sessions";

/** All that a server says to a request, with a date that does not change. */
async function answerTo(server, request) {
  const connection = new RawConnection(server);
  server.keep(connection);
  connection.write(request);
  assert.equal(await connection.ended(), "FIN");
  return connection.received.toString().replace(/Date: [^\r]+/, "Date: now");
}

/** How many clients workers have refused, and JavaScript. */
function refusedBy({ io: { engine } }) {
  const workers = Object.values(engine._roads().gate.refused).reduce((sum, count) => sum + count, 0);
  return { workers, javascript: engine._counts.refusals.read()[REFUSED] ?? 0 };
}

for (const stream of ["http", "https"]) {
  for (const [name, cors] of Object.entries({
    "no cors": undefined,
    "any origin": { origin: "*" },
    "one origin": { origin: "http://here", credentials: true, exposedHeaders: ["A", "B"] },
  })) {
    test(`a worker refuses in the same words as JavaScript, ${name}, over ${stream}`, NATIVE, async (t) => {
      const server = await serve(t, { limits: { connectionsPerAddress: 1 }, cors }, { stream });
      await RawWebSocket.open(server);
      const requests = [
        UPGRADE,
        `${UPGRADE}and what a client says too early`,
        `${POLL}\r\n`,
        `${POLL}Connection: close\r\nOrigin: http://there\r\nAccept-Encoding: gzip\r\n\r\n`,
      ];
      const answers = [];
      for (const request of requests) answers.push(await answerTo(server, request));
      assert.deepEqual(refusedBy(server), { workers: 4, javascript: 0 });
      assert.deepEqual(server.io.metrics().engine.sessions.refusals, { [REFUSED]: 4 });
      const { native } = server.io.engine.tlsRoads();
      assert.equal(native, stream === "https" ? 5 : 0);
      server.io.engine.on("connection_error", () => {});
      for (const [n, request] of requests.entries())
        assert.equal(await answerTo(server, request), answers[n]);
      assert.deepEqual(refusedBy(server), { workers: 4, javascript: 4 });
      assert.deepEqual(server.io.metrics().engine.sessions.refusals, { [REFUSED]: 8 });
      assert.match(answers[0], /^HTTP\/1\.1 429 .*Too many sessions$/s);
      assert.match(answers[2], /^HTTP\/1\.1 429 .*\{"code":7,"message":"Too many sessions"\}/s);
    });
  }
}

test("an answer that depends on the page is JavaScript's", NATIVE, async (t) => {
  const cors = { origin: ["http://here", "http://there"] };
  const server = await serve(t, { limits: { connectionsPerAddress: 1 }, cors });
  await RawWebSocket.open(server);
  const answer = await answerTo(server, `${POLL}Origin: http://there\r\n\r\n`);
  assert.match(answer, /^HTTP\/1\.1 429 .*Access-Control-Allow-Origin: http:\/\/there\r\n/s);
  assert.deepEqual(refusedBy(server), { workers: 0, javascript: 1 });
  await answerTo(server, UPGRADE);
  assert.deepEqual(refusedBy(server), { workers: 1, javascript: 1 });
});

test("a flood comes to nobody in JavaScript", NATIVE, async (t) => {
  const limits = { handshakesPerSecond: 0.001, burst: 3000 };
  const server = await serve(t, { limits, workers: 2 });
  const asked = [];
  const { engine } = server.io;
  for (const name of ["obstacle", "enter"]) {
    const method = engine._gate[name];
    engine._gate[name] = function (...args) {
      asked.push(name);
      return method.apply(this, args);
    };
  }
  const all = await Promise.all(Array.from({ length: 300 }, () => RawWebSocket.upgrade(server)));
  const count = (status) => all.filter((ws) => ws.status === status).length;
  assert.deepEqual([count(101), count(429)], [3, 297]);
  assert.deepEqual(refusedBy(server), { workers: 297, javascript: 0 });
  assert.deepEqual(asked, []);
  assert.deepEqual(engine._roads().gate.refused, {
    connectionsPerAddress: 0,
    handshakesPerSecond: 297,
    handshakesPerSecondPerAddress: 0,
  });
  await eventually(() => engine._roads().streams.Arrival === undefined, "their connections are closed");
  assert.equal(engine.clientsCount, 3);
});

/** Whether the HTTP server gets to see clients, and workers do not refuse them, because of what the application does. */
const BROUGHT_BY_NODE = {
  "past Node's HTTP server": () => {},
  "through Node's HTTP server": ({ io }) => io.engine.on("headers", () => {}),
};

for (const [name, act] of Object.entries(BROUGHT_BY_NODE)) {
  test(`of clients that race for the last places, so many get them, ${name}`, NATIVE, async (t) => {
    const server = await serve(t, { limits: { connectionsPerAddress: 5 }, workers: 4 });
    act(server);
    for (let round = 0; round < 3; round++) {
      const upgrades = Array.from({ length: 40 }, () => RawWebSocket.upgrade(server));
      const polls = Array.from({ length: 40 }, () =>
        server.request({ path: "/socket.io/?EIO=4&transport=polling" }),
      );
      const all = await Promise.all([...upgrades, ...polls]);
      const statuses = all.map(({ status }) => status);
      assert.equal(statuses.filter((status) => status === 101 || status === 200).length, 5);
      assert.equal(statuses.filter((status) => status === 429).length, 75);
      for (const conn of Object.values(server.io.engine.clients)) conn.close(true);
      await eventually(() => server.io.engine.clientsCount === 0, "they have gone");
    }
  });
}

test("a place that was kept for a client is free again if it hangs up", NATIVE, async (t) => {
  const server = await serve(t, { limits: { connectionsPerAddress: 2 }, workers: 2 });
  for (let round = 0; round < 30; round++) {
    const connection = new RawConnection(server);
    connection.write(round % 2 ? UPGRADE : `${POLL}\r\n`);
    await once(connection.socket, "connect");
    if (round % 3) connection.reset();
    else connection.destroy();
  }
  const { engine } = server.io;
  await eventually(() => {
    for (const conn of Object.values(engine.clients)) conn.close(true);
    return engine.clientsCount === 0 && Object.keys(engine._roads().streams).length === 0;
  }, "they have gone");
  const all = await Promise.all(Array.from({ length: 4 }, () => RawWebSocket.upgrade(server)));
  assert.deepEqual(all.map(({ status }) => status).sort(), [101, 101, 429, 429]);
});

test("a place that was kept for a client that is Node's after all is not taken twice", NATIVE, async (t) => {
  const server = await serve(t, { limits: { connectionsPerAddress: 1 }, perMessageDeflate: true });
  const headers = { "Sec-WebSocket-Extensions": "permessage-deflate" };
  for (let round = 0; round < 3; round++) {
    const ws = await RawWebSocket.upgrade(server, { headers });
    assert.equal(ws.status, 101);
    assert.equal((await RawWebSocket.upgrade(server, { headers })).status, 429);
    ws.destroy();
    await eventually(() => server.io.engine.clientsCount === 0, "it has gone");
  }
  assert.deepEqual(refusedBy(server), { workers: 3, javascript: 0 });
});

test("a client that polls gets in again over the connection on which it was", NATIVE, async (t) => {
  const server = await serve(t, { limits: { connectionsPerAddress: 1 } });
  const connection = new RawConnection(server);
  server.keep(connection);
  for (let round = 1; round <= 3; round++) {
    connection.write(`${POLL}\r\n`);
    await connection.changes.until(() => connection.received.toString().split("HTTP/1.1 200").length > round);
    const [conn] = Object.values(server.io.engine.clients);
    conn.close(true);
    await eventually(() => server.io.engine.clientsCount === 0, "it has gone");
  }
  connection.destroy();
});

test("workers find the address behind proxies as well", NATIVE, async (t) => {
  const limits = { connectionsPerAddress: 1, proxies: { trusted: ["127.0.0.0/8"], header: "X-Real-IP" } };
  const server = await serve(t, { limits });
  const statuses = [];
  for (const address of ["203.0.113.5", "203.0.113.5:80", "::ffff:203.0.113.5", "203.0.113.6"]) {
    statuses.push((await RawWebSocket.upgrade(server, { headers: { "x-real-ip": address } })).status);
  }
  const poll = await answerTo(server, `${POLL}X-REAL-IP: 203.0.113.9, 203.0.113.6\r\n\r\n`);
  assert.deepEqual([...statuses, Number(poll.split(" ")[1])], [101, 429, 429, 101, 429]);
  assert.deepEqual(refusedBy(server), { workers: 3, javascript: 0 });
});

test("whom a request comes from, behind proxies", OURS, () => {
  const { addressBehind, limitsOf } = require("../lib/engine/limits");
  for (const row of require("./fixtures/forwarded.json")) {
    const { proxies } = limitsOf({ proxies: { trusted: row.trusted } });
    const address = addressBehind(proxies, row.peer ?? undefined, () => row.said ?? undefined);
    assert.equal(address, row.address, JSON.stringify(row));
  }
});

/** What an application does, and why it is JavaScript that refuses clients then. */
const CASES = {
  nothing: [() => {}, undefined],
  "a listener for connection_error": [
    ({ io }) => io.engine.on("connection_error", () => {}),
    /^somebody listens for connection_error/,
  ],
  "a subscriber to refusals": [
    (_server, t) => {
      const noop = () => {};
      diagnostics.subscribe("sockeye.io:refusal", noop);
      t.after(() => diagnostics.unsubscribe("sockeye.io:refusal", noop));
    },
    /^somebody subscribes to the channel sockeye\.io:refusal/,
  ],
  middleware: [({ io }) => io.engine.use((_req, _res, next) => next()), /^the application sees requests/],
  "a listener for upgrade requests": [
    ({ httpServer }) => httpServer.on("upgrade", () => {}),
    /^the application sees requests/,
  ],
  "a listener for connections": [
    ({ httpServer }) => httpServer.on("connection", () => {}),
    /^the application sees connections/,
  ],
  "a limit of connections": [({ httpServer }) => (httpServer.maxConnections = 99), /maxConnections set$/],
};

for (const [name, [act, expected]] of Object.entries(CASES)) {
  test(`who refuses a client: ${name}`, NATIVE, async (t) => {
    const server = await serve(t, { limits: { connectionsPerAddress: 1 } });
    await RawWebSocket.open(server);
    act(server, t);
    const { why } = server.io.engine._roads().gate;
    if (expected === undefined) assert.equal(why, undefined);
    else assert.match(why, expected);
    assert.equal((await RawWebSocket.upgrade(server)).status, 429);
    const byWorker = expected === undefined ? 1 : 0;
    assert.deepEqual(refusedBy(server), { workers: byWorker, javascript: 1 - byWorker });
  });
}

test("without such a limit, nobody is asked", OURS, async (t) => {
  const { io } = await serve(t, { limits: { packetsPerSecond: 10 } });
  assert.equal(io.engine._roads().gate, undefined);
});
