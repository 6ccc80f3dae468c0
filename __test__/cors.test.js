"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { serve, RawPolling, RawWebSocket } = require("./support/harness");

const HANDSHAKE = "/socket.io/?EIO=4&transport=polling";
const ORIGIN = "https://app.example";

/** The CORS headers of an answer. */
function corsHeaders({ headers }) {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.startsWith("access-control-") || name === "vary"),
  );
}

/** A preflight request as a browser sends it. */
function preflight(server, path = HANDSHAKE, headers = {}) {
  return server.request({
    method: "OPTIONS",
    path,
    headers: { Origin: ORIGIN, "Access-Control-Request-Method": "POST", ...headers },
  });
}

test("without the option there is no CORS header, on errors neither", async (t) => {
  const server = await serve(t);
  const headers = { Origin: ORIGIN };
  const { polling } = await server.pollingSession({ headers });
  const answers = [
    polling.answer,
    await polling.post("40", headers),
    await polling.poll(headers),
    await server.request({ path: "/socket.io/?EIO=4&transport=nope", headers }),
    await server.request({ path: `${HANDSHAKE}&sid=unknown`, headers }),
    await server.request({ path: "/socket.io/socket.io.js", headers }),
    await preflight(server),
  ];
  for (const answer of answers) {
    assert.deepEqual(corsHeaders(answer), {});
  }
  assert.equal(answers.at(-1).status, 400);
  assert.deepEqual(answers.at(-1).json, { code: 2, message: "Bad handshake method" });
});

test("a fixed origin", async (t) => {
  const server = await serve(t, { cors: { origin: ORIGIN } });
  const expected = { "access-control-allow-origin": ORIGIN, vary: "Origin" };
  const polling = await RawPolling.open(server, { headers: { Origin: ORIGIN } });
  assert.deepEqual(corsHeaders(polling.answer), expected);
  assert.deepEqual(corsHeaders(await polling.post("40", { Origin: ORIGIN })), expected);
  assert.deepEqual(corsHeaders(await polling.poll({ Origin: ORIGIN })), expected);
  const refused = await server.request({
    path: "/socket.io/?EIO=4&transport=nope",
    headers: { Origin: ORIGIN },
  });
  assert.equal(refused.status, 400);
  assert.deepEqual(corsHeaders(refused), expected);
});

test("origin: '*'", async (t) => {
  const server = await serve(t, { cors: { origin: "*" } });
  const { answer } = await RawPolling.open(server, { headers: { Origin: ORIGIN } });
  assert.deepEqual(corsHeaders(answer), { "access-control-allow-origin": "*" });
});

test("a list of origins", async (t) => {
  const server = await serve(t, { cors: { origin: [ORIGIN, /\.example\.org$/] } });
  const allowed = async (origin) => {
    const { answer } = await RawPolling.open(server, { headers: { Origin: origin } });
    return answer.headers["access-control-allow-origin"];
  };
  assert.equal(await allowed(ORIGIN), ORIGIN);
  assert.equal(await allowed("https://a.example.org"), "https://a.example.org");
  assert.equal(await allowed("https://evil.example"), undefined);
});

test("origin as a function", async (t) => {
  const server = await serve(t, {
    cors: { origin: (origin, callback) => setImmediate(callback, null, origin === ORIGIN) },
  });
  const { answer } = await RawPolling.open(server, { headers: { Origin: ORIGIN } });
  assert.equal(answer.headers["access-control-allow-origin"], ORIGIN);
});

test("the option as a function of the request", async (t) => {
  const server = await serve(t, {
    cors: (req, callback) => callback(null, { origin: req.headers["x-allow"] === "yes" ? ORIGIN : false }),
  });
  const yes = await RawPolling.open(server, { headers: { Origin: ORIGIN, "X-Allow": "yes" } });
  assert.equal(yes.answer.headers["access-control-allow-origin"], ORIGIN);
  const no = await RawPolling.open(server, { headers: { Origin: ORIGIN } });
  assert.equal(no.answer.headers["access-control-allow-origin"], undefined);
});

test("a preflight request with all the options", async (t) => {
  const server = await serve(t, {
    cors: {
      origin: ORIGIN,
      methods: ["GET", "POST"],
      allowedHeaders: ["X-Custom"],
      exposedHeaders: ["X-Shown"],
      credentials: true,
      maxAge: 123,
    },
  });
  const answer = await preflight(server);
  assert.equal(answer.status, 204);
  assert.equal(answer.body, "");
  assert.deepEqual(corsHeaders(answer), {
    "access-control-allow-origin": ORIGIN,
    "access-control-allow-credentials": "true",
    "access-control-allow-methods": "GET,POST",
    "access-control-allow-headers": "X-Custom",
    "access-control-expose-headers": "X-Shown",
    "access-control-max-age": "123",
    vary: "Origin",
  });
  const { answer: open } = await RawPolling.open(server, { headers: { Origin: ORIGIN } });
  assert.equal(open.headers["access-control-allow-credentials"], "true");
});

test("a preflight request with the defaults reflects the wanted headers", async (t) => {
  const server = await serve(t, { cors: {} });
  const answer = await preflight(server, HANDSHAKE, { "Access-Control-Request-Headers": "x-wanted" });
  assert.equal(answer.status, 204);
  assert.deepEqual(corsHeaders(answer), {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET,HEAD,PUT,PATCH,POST,DELETE",
    "access-control-allow-headers": "x-wanted",
    vary: "Access-Control-Request-Headers",
  });
});

test("a preflight request for a live session does not disturb it", async (t) => {
  const server = await serve(t, { cors: { origin: ORIGIN } });
  const { polling, socket } = await server.pollingPair();
  assert.equal((await preflight(server, polling.url)).status, 204);
  socket.emit("fine");
  assert.equal(await polling.next(), '42["fine"]');
});

test("the client bundle has the CORS headers too", async (t) => {
  const server = await serve(t, { cors: { origin: ORIGIN } });
  const answer = await server.request({ path: "/socket.io/socket.io.js", headers: { Origin: ORIGIN } });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers["access-control-allow-origin"], ORIGIN);
});

test("an upgrade gets the headers as well", async (t) => {
  const server = await serve(t, { cors: { origin: ORIGIN } });
  const ws = await RawWebSocket.open(server, { headers: { Origin: ORIGIN } });
  assert.equal(ws.headers["access-control-allow-origin"], ORIGIN);
});

test("other requests of the HTTP server are left alone", async (t) => {
  const server = await serve(
    t,
    { cors: { origin: ORIGIN } },
    { requestListener: (req, res) => res.end(`app ${req.method}`) },
  );
  const answer = await server.request({ method: "OPTIONS", path: "/other", headers: { Origin: ORIGIN } });
  assert.equal(answer.body, "app OPTIONS");
  assert.deepEqual(corsHeaders(answer), {});
});
