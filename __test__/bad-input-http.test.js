"use strict";

// Requests that are no valid handshake, and their exact answers.

const test = require("node:test");
const assert = require("node:assert/strict");
const {
  serve,
  fileScope,
  once,
  record,
  bystander,
  request,
  RawPolling,
  RawWebSocket,
  RawConnection,
  upgradeRequest,
} = require("./support/harness");

const file = fileScope(test);
let server;
let stillServed;

test.before(async () => {
  server = await serve(file);
  stillServed = await bystander(server);
});

test.afterEach(() => stillServed());

const path = (query) => `/socket.io/?${query}`;

const UNKNOWN_TRANSPORT = { code: 0, message: "Transport unknown" };
const UNKNOWN_SID = { code: 1, message: "Session ID unknown" };
const BAD_METHOD = { code: 2, message: "Bad handshake method" };
const BAD_REQUEST = { code: 3, message: "Bad request" };
const UNSUPPORTED = { code: 5, message: "Unsupported protocol version" };

/** Requests without a session: query, expected error, method. */
const REQUESTS = [
  ["", UNKNOWN_TRANSPORT],
  ["EIO=4", UNKNOWN_TRANSPORT],
  ["EIO=4&transport=", UNKNOWN_TRANSPORT],
  ["EIO=4&transport=nope", UNKNOWN_TRANSPORT],
  ["EIO=4&transport=Polling", UNKNOWN_TRANSPORT],
  ["EIO=4&transport=webtransport", UNKNOWN_TRANSPORT],
  ["EIO=4&transport=constructor", UNKNOWN_TRANSPORT],
  ["EIO=4&transport=__proto__", UNKNOWN_TRANSPORT],
  ["EIO=4&transport=polling&sid=nope", UNKNOWN_SID],
  ["EIO=4&transport=polling&sid=__proto__", UNKNOWN_SID],
  ["EIO=4&transport=polling&sid=constructor", UNKNOWN_SID],
  ["EIO=4&transport=polling&sid=%00", UNKNOWN_SID],
  [`EIO=4&transport=polling&sid=${"x".repeat(5000)}`, UNKNOWN_SID],
  ["EIO=4&transport=polling&sid=nope", UNKNOWN_SID, "POST"],
  ["EIO=4&transport=polling", BAD_METHOD, "POST"],
  ["EIO=4&transport=polling", BAD_METHOD, "PUT"],
  ["EIO=4&transport=polling", BAD_METHOD, "OPTIONS"],
  ["EIO=4&transport=polling", BAD_METHOD, "DELETE"],
  ["EIO=4&transport=websocket", BAD_METHOD, "POST"],
  ["EIO=4&transport=websocket", BAD_REQUEST],
  ["EIO=3&transport=polling", UNSUPPORTED],
  ["EIO=5&transport=polling", UNSUPPORTED],
  ["EIO=04&transport=polling", UNSUPPORTED],
  ["EIO=&transport=polling", UNSUPPORTED],
  ["transport=polling", UNSUPPORTED],
];

for (const [query, expected, method = "GET"] of REQUESTS) {
  test(`${method} ${query.slice(0, 60) || "without a query"}: ${expected.message}`, async () => {
    const before = server.io.engine.clientsCount;
    const answer = await request(server, { method, path: path(query) });
    assert.equal(answer.status, 400);
    assert.equal(answer.headers["content-type"], "application/json");
    assert.equal(answer.body, JSON.stringify(expected));
    assert.equal(server.io.engine.clientsCount, before);
  });
}

test("an empty sid counts as none", async () => {
  const answer = await request(server, { path: path("EIO=4&transport=polling&sid=") });
  assert.equal(answer.status, 200);
  assert.equal(answer.body[0], "0");
});

test("websocket on a polling session without an upgrade, polling on a WebSocket session", async () => {
  const polling = await RawPolling.open(server);
  const ws = await RawWebSocket.open(server);
  const errors = record(server.io.engine, "connection_error");
  for (const query of [
    `EIO=4&transport=websocket&sid=${polling.sid}`,
    `EIO=4&transport=polling&sid=${ws.sid}`,
  ]) {
    const answer = await request(server, { path: path(query) });
    assert.deepEqual([answer.status, answer.json], [400, BAD_REQUEST]);
  }
  assert.deepEqual(
    errors.list.map(([{ context }]) => context.name),
    ["TRANSPORT_MISMATCH", "TRANSPORT_MISMATCH"],
  );
});

test("EIO=3 on a session of protocol 4", async () => {
  const polling = await RawPolling.open(server);
  const error = once(server.io.engine, "connection_error");
  const answer = await request(server, { path: path(`EIO=3&transport=polling&sid=${polling.sid}`) });
  assert.deepEqual([answer.status, answer.json], [400, BAD_REQUEST]);
  assert.equal((await error)[0].context.name, "PROTOCOL_MISMATCH");
  assert.equal((await polling.post("40")).body, "ok");
});

/** The answer to a refused upgrade, to the byte. */
function refusal(message) {
  return [
    "HTTP/1.1 400 Bad Request",
    "Connection: close",
    "Content-type: text/html",
    `Content-Length: ${Buffer.byteLength(message)}`,
    "",
    message,
  ].join("\r\n");
}

/** Sends an upgrade request and resolves with all that comes back. */
async function upgradeAnswer(query, headers, on = server) {
  const connection = on.keep(new RawConnection(on));
  connection.write(upgradeRequest(path(query), headers));
  const end = await connection.ended();
  assert.equal(end, "FIN");
  return connection.received.toString();
}

for (const [query, message] of [
  ["", "Transport unknown"],
  ["EIO=4&transport=nope", "Transport unknown"],
  ["EIO=4&transport=__proto__", "Transport unknown"],
  ["EIO=4&transport=websocket&sid=nope", "Session ID unknown"],
  ["EIO=4&transport=websocket&sid=__proto__", "Session ID unknown"],
]) {
  test(`upgrade ${query || "without a query"}: ${message}`, async () => {
    assert.equal(await upgradeAnswer(query), refusal(message));
  });
}

test("upgrade with EIO=3 on a session of protocol 4: Bad request", async () => {
  const polling = await RawPolling.open(server);
  const answer = await upgradeAnswer(`EIO=3&transport=websocket&sid=${polling.sid}`);
  assert.equal(answer, refusal("Bad request"));
});

test("an upgrade that allowRequest refuses", async (t) => {
  const messages = ["own message", null];
  const strict = await serve(t, { allowRequest: (req, callback) => callback(messages.shift(), false) });
  assert.equal(await upgradeAnswer("EIO=4&transport=websocket", {}, strict), refusal("own message"));
  assert.equal(await upgradeAnswer("EIO=4&transport=websocket", {}, strict), refusal("Forbidden"));
});

test("polling that allowRequest refuses, with and without a message", async (t) => {
  const messages = ["own message", null];
  const strict = await serve(t, { allowRequest: (req, callback) => callback(messages.shift(), false) });
  const own = await request(strict, { path: path("EIO=4&transport=polling") });
  assert.deepEqual([own.status, own.body], [403, '{"code":4,"message":"own message"}']);
  const plain = await request(strict, { path: path("EIO=4&transport=polling") });
  assert.deepEqual([plain.status, plain.body], [403, '{"code":4,"message":"Forbidden"}']);
});

for (const query of ["EIO=3&transport=websocket", "EIO=5&transport=websocket", "transport=websocket"]) {
  test(`upgrade ${query}: 101, then the error as text, then closed`, async () => {
    const error = once(server.io.engine, "connection_error");
    const answer = await upgradeAnswer(query);
    const [head, ...rest] = answer.split("\r\n\r\n");
    assert.match(head, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
    // the connection is destroyed right after the write, which over other streams takes the text with it
    const expected = ["http", "observed"].includes(server.stream)
      ? refusal("Unsupported protocol version")
      : "";
    assert.equal(rest.join("\r\n\r\n"), expected);
    assert.equal((await error)[0].code, 5);
  });
}

for (const [name, headers, message, extra] of [
  [
    "version 12",
    { "Sec-WebSocket-Version": "12" },
    "Missing or invalid Sec-WebSocket-Version header",
    "Sec-WebSocket-Version: 13, 8",
  ],
  [
    "no version",
    { "Sec-WebSocket-Version": undefined },
    "Missing or invalid Sec-WebSocket-Version header",
    "Sec-WebSocket-Version: 13, 8",
  ],
  ["a bad key", { "Sec-WebSocket-Key": "short" }, "Missing or invalid Sec-WebSocket-Key header"],
  ["no key", { "Sec-WebSocket-Key": undefined }, "Missing or invalid Sec-WebSocket-Key header"],
  ["Upgrade: foo", { Upgrade: "foo" }, "Invalid Upgrade header"],
  ["a bad subprotocol", { "Sec-WebSocket-Protocol": "a,,b" }, "Invalid Sec-WebSocket-Protocol header"],
]) {
  test(`upgrade with ${name}: ${message}`, async () => {
    const answer = await upgradeAnswer("EIO=4&transport=websocket", headers);
    const lines = [
      "HTTP/1.1 400 Bad Request",
      "Connection: close",
      "Content-Type: text/html",
      `Content-Length: ${message.length}`,
      ...(extra ? [extra] : []),
      "",
      message,
    ];
    assert.equal(answer, lines.join("\r\n"));
  });
}

test("upgrade with version 8 is accepted", async () => {
  const ws = await RawWebSocket.open(server, { headers: { "Sec-WebSocket-Version": "8" } });
  assert.ok(ws.sid);
});

test("an upgrade with transport=polling gets 101 and an empty close frame", async () => {
  const ws = await RawWebSocket.upgrade(server, { query: "EIO=4&transport=polling" });
  assert.equal(ws.status, 101);
  assert.deepEqual(await ws.closed(), { code: null, reason: "", end: "FIN" });
});

test("an upgrade on another path is silent and ended", async (t) => {
  const plain = await serve(t, { destroyUpgradeTimeout: 100 }, { stream: "http" });
  const ws = await RawWebSocket.upgrade(plain, { path: "/other/" });
  assert.deepEqual([ws.status, ws.end, ws.received.length], [null, "FIN", 0]);
});

test("what is not HTTP at all", async () => {
  for (const garbage of [
    "\0\0\0\0",
    "GET\r\n\r\n",
    "GET /socket.io/ HTTP/9.9\r\n\r\n",
    "x".repeat(100_000),
  ]) {
    const connection = server.keep(new RawConnection(server));
    connection.write(garbage);
    const end = await connection.ended();
    assert.match(end, /^(FIN|ECONNRESET|EPIPE)$/);
  }
});

test("requests that are cut in the middle of their head", async () => {
  const whole = upgradeRequest(path("EIO=4&transport=websocket"));
  for (const length of [1, 10, 30, 60, whole.length - 1]) {
    const connection = server.keep(new RawConnection(server));
    await once(connection.socket, server.secure ? "secureConnect" : "connect");
    await new Promise((resolve) => connection.socket.write(whole.slice(0, length), resolve));
    connection.reset();
  }
});
