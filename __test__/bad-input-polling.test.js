"use strict";

// What a client may do wrong on a long-polling session, and the exact answers.

const test = require("node:test");
const assert = require("node:assert/strict");
const {
  serve,
  isStock,
  fileScope,
  once,
  bystander,
  eventually,
  within,
  request,
  SEPARATOR,
} = require("./support/harness");

const file = fileScope(test);
let server;
let stillServed;

test.before(async () => {
  server = await serve(file);
  stillServed = await bystander(server);
});

test.afterEach(() => stillServed());

const pollOpen = (conn) => eventually(() => conn.transport.writable, "a poll is open");

/** A session, and what its "close" event says. */
async function session() {
  const { polling, conn } = await server.pollingSession();
  const closed = new Promise((resolve) => {
    conn.once("close", (reason, error) => resolve([reason, error?.message]));
  });
  return { polling, conn, closed };
}

async function assertAlive(polling, conn) {
  conn.send("alive");
  assert.equal(await polling.next(), "4alive");
}

for (const method of ["PUT", "DELETE", "PATCH", "OPTIONS"]) {
  test(`${method} on a live session: 500, and the session lives`, async () => {
    const { polling, conn } = await session();
    const answer = await request(server, { method, path: polling.url });
    assert.deepEqual([answer.status, answer.body], [500, ""]);
    await assertAlive(polling, conn);
  });
}

test("two polls at once: the first ends with a close packet, the second with 400", async () => {
  const { polling, conn, closed } = await session();
  const first = polling.poll();
  await pollOpen(conn);
  const second = await polling.poll();
  assert.deepEqual([second.status, second.body], [400, ""]);
  const answer = await first;
  assert.deepEqual([answer.status, answer.body], [200, "1"]);
  assert.deepEqual(await closed, ["transport error", "overlap from client"]);
});

test("two data requests at once: the first is dropped, the second gets 400", async () => {
  const { polling, closed } = await session();
  const first = server.startRequest({ method: "POST", path: polling.url });
  const dropped = once(first, "error");
  first.write("4");
  // the server has the head of the first one when it answers a request that was sent later
  await request(server, { path: "/socket.io/?EIO=4&transport=nope" });
  const second = await polling.post("4hello");
  assert.deepEqual([second.status, second.body], [400, ""]);
  assert.deepEqual(await closed, ["transport error", "data request overlap from client"]);
  assert.equal((await dropped)[0].code, "ECONNRESET");
});

test("a data request that is cut", async () => {
  const { polling, closed } = await session();
  const req = server.startRequest({
    method: "POST",
    path: polling.url,
    // the server tells when it has the head
    headers: { "Content-Length": "100", Expect: "100-continue" },
  });
  await once(req, "continue");
  req.write("4only the beginning");
  req.destroy();
  assert.deepEqual(await closed, ["transport error", "data request connection closed prematurely"]);
});

test("a poll that is cut", async () => {
  const { polling, conn, closed } = await session();
  const req = server.startRequest({ path: polling.url });
  req.end();
  await pollOpen(conn);
  req.destroy();
  assert.deepEqual(await closed, ["transport error", "poll connection closed prematurely"]);
});

test("a data request of a binary type", async () => {
  const { polling, closed } = await session();
  const answer = await polling.post("4x", { "Content-Type": "application/octet-stream" });
  assert.deepEqual([answer.status, answer.body], [400, ""]);
  assert.deepEqual(await closed, ["transport error", "invalid content"]);
});

for (const [name, body, headers] of [
  ["by its length", "x".repeat(1000), {}],
  ["by what has come of it", "x".repeat(1000), { "Transfer-Encoding": "chunked" }],
  // bytes are counted, not characters
  ["in bytes", "é".repeat(500), {}],
]) {
  test(`a body over the limit ${name}: 413, and the session ends`, async (t) => {
    const small = await serve(t, { maxHttpBufferSize: 1000 });
    const { polling, closed } = await small.pollingSession();
    const answer = await polling.post(`4${body}`, headers);
    assert.deepEqual([answer.status, answer.body], [413, ""]);
    const [reason, { message }] = await closed;
    assert.deepEqual([reason, message], ["transport error", "payload too large"]);
  });
}

test("a body of more pieces than are kept: 413, and the session ends", async (t) => {
  const few = await serve(t, { maxBufferedChunks: 2 });
  const { polling, closed } = await few.pollingSession();
  const req = few.startRequest({ method: "POST", path: polling.url });
  const answered = once(req, "response");
  let arrived;
  few.httpServer.on("request", (request) => request.on("data", () => arrived()));
  for (const piece of ["4", "a", "b"]) {
    const arrival = new Promise((resolve) => (arrived = resolve));
    req.write(piece);
    await arrival;
  }
  assert.equal((await answered)[0].statusCode, 413);
  const [reason, { message }] = await closed;
  assert.deepEqual([reason, message], ["transport error", "too many chunks"]);
});

test("a body that does not arrive in time: 408, and the session ends", async (t) => {
  const hasty = await serve(t, { httpRequestBodyTimeout: 50 });
  const { polling, closed } = await hasty.pollingSession();
  const req = hasty.startRequest({ method: "POST", path: polling.url });
  const answered = once(req, "response");
  req.write("4");
  assert.equal((await answered)[0].statusCode, 408);
  const [reason, { message }] = await closed;
  assert.deepEqual([reason, message], ["transport error", "http request timeout"]);
});

test("the time for a body ends with the body", async (t) => {
  const hasty = await serve(t, { httpRequestBodyTimeout: 50 });
  const { polling } = await hasty.pollingPair();
  assert.equal((await polling.post('42["ev"]')).body, "ok");
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal((await polling.post('42["ev"]')).body, "ok");
});

const PATIENT = { skip: isStock && "stock's timer takes such a limit for a millisecond" };

test("a body has all the time if the limit is longer than timers can be", PATIENT, async (t) => {
  const patient = await serve(t, { httpRequestBodyTimeout: 2 ** 31 }, { stream: "duplex" });
  const { polling, conn } = await patient.pollingSession();
  const req = patient.startRequest({ method: "POST", path: polling.url });
  const answered = once(req, "response");
  req.write("4");
  await eventually(() => Boolean(conn.transport.dataReq), "the request is there");
  await new Promise((resolve) => setTimeout(resolve, 100));
  const packet = once(conn, "packet");
  req.end("late");
  assert.equal((await answered)[0].statusCode, 200);
  assert.equal((await packet)[0].data, "late");
});

test("a body of exactly the limit is accepted", async (t) => {
  const small = await serve(t, { maxHttpBufferSize: 1000 });
  const { polling, conn } = await small.pollingSession();
  for (const body of [`6${"x".repeat(999)}`, `6x${"é".repeat(499)}`]) {
    const packet = once(conn, "packet");
    assert.deepEqual((await polling.post(body)).status, 200);
    assert.equal((await packet)[0].data, body.slice(1));
  }
});

for (const [name, body] of [
  ["empty", ""],
  ["9", "9"],
  ["x", "x"],
  ["a separator alone", SEPARATOR],
  ["a separator at the end", `6${SEPARATOR}`],
  ["a separator at the beginning", `${SEPARATOR}6`],
  ["a byte order mark", "\ufeff6"],
  ["a space before the packet", " 6"],
  ["invalid UTF-8", Buffer.from([0xff, 0x36])],
  ["JSON", '{"a":1}'],
]) {
  test(`a body that is no packet, ${name}: 200, then parse error`, async () => {
    const { polling, closed } = await session();
    const answer = await polling.post(body);
    assert.deepEqual([answer.status, answer.body], [200, "ok"]);
    assert.deepEqual(await closed, ["parse error", undefined]);
    assert.deepEqual((await polling.poll()).json, { code: 1, message: "Session ID unknown" });
  });
}

test("packets before a broken one are handled, those after it are not", async () => {
  const { polling, conn, closed } = await session();
  const seen = [];
  conn.on("packet", ({ type, data }) => seen.push([type, data]));
  await polling.post(["6one", "3two", "9", "6three"].join(SEPARATOR));
  assert.deepEqual(await closed, ["parse error", undefined]);
  assert.deepEqual(seen, [
    ["noop", "one"],
    ["pong", "two"],
    ["error", "parser error"],
  ]);
});

test("a parse error while a poll is open answers that poll", async () => {
  const { polling, conn, closed } = await session();
  const poll = polling.poll();
  await pollOpen(conn);
  await polling.post("9");
  assert.deepEqual(await closed, ["parse error", undefined]);
  assert.deepEqual((await within(poll, "the poll")).packets, ["1"]);
});

test("a ping from the client: invalid heartbeat direction", async () => {
  for (const body of ["2", "2probe"]) {
    const { polling, closed } = await session();
    const answer = await polling.post(body);
    assert.deepEqual([answer.status, answer.body], [200, "ok"]);
    assert.deepEqual(await closed, ["transport error", "invalid heartbeat direction"]);
  }
});

test("a close packet: transport close", async () => {
  const { polling, conn, closed } = await session();
  const poll = polling.poll();
  await pollOpen(conn);
  const answer = await polling.post("1");
  assert.deepEqual([answer.status, answer.body], [200, "ok"]);
  assert.deepEqual(await closed, ["transport close", undefined]);
  assert.deepEqual((await poll).packets, ["6"]);
});

test("packets that mean nothing here are ignored", async () => {
  const { polling, conn } = await session();
  for (const body of ["0", "3", "3probe", "5", "6", "0{}"]) {
    const answer = await polling.post(body);
    assert.deepEqual([body, answer.status, answer.body], [body, 200, "ok"]);
  }
  assert.equal(conn.readyState, "open");
  await assertAlive(polling, conn);
});

test("text that is not valid UTF-8 gets replacement characters", async () => {
  const { polling, conn } = await session();
  const packet = once(conn, "packet");
  await polling.post(Buffer.from([0x36, 0x61, 0xff, 0x62]));
  assert.equal((await packet)[0].data, "a\ufffdb");
});

test("base64 that is none decodes as far as it goes", async () => {
  const { polling, socket } = await server.pollingPair();
  const got = once(socket, "ev");
  await polling.post(`451-["ev",{"_placeholder":true,"num":0}]${SEPARATOR}b!!!AQI=***`);
  assert.deepEqual(await got, [Buffer.from([1, 2])]);
});

test("requests for a session that is gone", async () => {
  const { polling, closed } = await session();
  await polling.post("1");
  await closed;
  const unknown = { code: 1, message: "Session ID unknown" };
  const poll = await polling.poll();
  assert.deepEqual([poll.status, poll.json], [400, unknown]);
  const post = await polling.post("4x");
  assert.deepEqual([post.status, post.json], [400, unknown]);
});
