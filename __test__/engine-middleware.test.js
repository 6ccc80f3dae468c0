"use strict";

// The response that middlewares of the engine get to see, by what well-known ones do with it.

const test = require("node:test");
const assert = require("node:assert/strict");
const { once } = require("node:events");
const { ServerResponse } = require("node:http");
const { startChild } = require("./support/child");
const { serve, isStock, defaultStream, RawWebSocket, RawPolling } = require("./support/harness");
const { startRequest } = require("./support/raw-polling");

/** The transports over which a response is to be the same, as far as it goes. */
const OPEN = {
  polling: (server) => RawPolling.open(server),
  websocket: (server) => RawWebSocket.open(server),
};

const OURS = { skip: isStock && "on an upgrade, stock has a part of a response" };

/** Runs a middleware over a handshake of each transport. */
function overBoth(name, options, run) {
  for (const transport of Object.keys(OPEN)) {
    const skip = isStock && transport === "websocket" && "on an upgrade, stock has a part of a response";
    test(`${name}: ${transport}`, { skip }, async (t) => {
      const server = await serve(t, options);
      await run(server, () => OPEN[transport](server), transport);
    });
  }
}

overBoth("the response is one of Node's", {}, async ({ io }, open) => {
  let seen;
  io.engine.use((req, res, next) => {
    seen = [res instanceof ServerResponse, res.req === req, res.socket === req.socket];
    seen.push(res.statusCode, res.headersSent, res.writableEnded, res.finished);
    next();
  });
  await open();
  assert.deepEqual(seen, [true, true, true, 200, false, false, false]);
});

overBoth("headers are found whatever the case of their names", {}, async ({ io }, open) => {
  let seen;
  io.engine.use((req, res, next) => {
    res.setHeader("X-One", "1");
    res.setHeader("x-one", "2");
    res.appendHeader("X-One", "3");
    res.setHeader("X-Two", ["a", "b"]);
    res.removeHeader("X-TWO");
    seen = [res.hasHeader("x-ONE"), res.getHeader("X-ONE"), res.getHeaderNames(), res.getHeaders()["x-one"]];
    next();
  });
  await open();
  assert.deepEqual(seen, [true, ["2", "3"], ["x-one"], ["2", "3"]]);
});

// a plain Duplex has none
if (defaultStream !== "duplex") {
  overBoth("a time limit of the response is one of its connection", {}, async ({ io }, open) => {
    let seen;
    io.engine.use((req, res, next) => {
      seen = [res.setTimeout(60_000) === res, req.socket.timeout];
      next();
    });
    await open();
    assert.deepEqual(seen, [true, 60_000]);
  });
}

test("a header that would be two is refused, and the upgrade with it", OURS, async (t) => {
  const server = await serve(t);
  server.io.engine.use((req, res, next) => {
    res.setHeader("X-One", "1\r\nX-Two: 2");
    next();
  });
  const ws = await RawWebSocket.upgrade(server);
  assert.equal(ws.status, 400);
  assert.equal((await ws.closed()).end, "FIN");
});

test("each cookie has a line of its own in the answer to an upgrade", OURS, async (t) => {
  const server = await serve(t);
  server.io.engine.use((req, res, next) => {
    res.setHeader("Set-Cookie", ["a=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT", "b=2"]);
    next();
  });
  const ws = await RawWebSocket.open(server);
  const cookies = ws.headerLines.filter((line) => line.startsWith("Set-Cookie"));
  assert.deepEqual(cookies, ["Set-Cookie: a=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT", "Set-Cookie: b=2"]);
});

test("one that logs requests when they are over hears when the WebSocket is closed", OURS, async (t) => {
  const server = await serve(t);
  const log = [];
  let answer;
  server.io.engine.use((req, res, next) => {
    answer = res;
    res.on("finish", () => log.push("finish"));
    res.once("close", () => log.push(`close ${res.statusCode} ${res.headersSent} ${res.writableEnded}`));
    next();
  });
  const ws = await RawWebSocket.open(server);
  assert.deepEqual(log, []);
  const closed = once(answer, "close");
  ws.destroy();
  await closed;
  assert.deepEqual(log, ["close 101 true false"]);
  assert.equal(answer.destroyed, true);
});

test(
  "one that adds its cookie when the head is written gets it into the answer to an upgrade",
  OURS,
  async (t) => {
    const server = await serve(t);
    const codes = [];
    server.io.engine.use((req, res, next) => {
      const { writeHead } = res;
      res.writeHead = function (...args) {
        res.writeHead = writeHead;
        codes.push(args[0]);
        const before = res.getHeader("Set-Cookie") ?? [];
        res.setHeader("Set-Cookie", before.concat("sid=1"));
        return writeHead.apply(res, args);
      };
      next();
    });
    const ws = await RawWebSocket.open(server);
    assert.ok(ws.headerLines.includes("Set-Cookie: sid=1"));
    assert.deepEqual(codes, [101]);
  },
);

test(
  "one that wraps the response and asks for its head to be sent does not get in the way",
  OURS,
  async (t) => {
    const server = await serve(t);
    server.io.engine.use((req, res, next) => {
      const { end } = res;
      res.end = (...args) => end.apply(res, args);
      res.setHeader("X-One", "1");
      res.flushHeaders();
      next();
    });
    const ws = await RawWebSocket.open(server);
    assert.ok(ws.headerLines.includes("X-One: 1"));
  },
);

test(
  "one that refuses by an answer of its own ends the upgrade, and says when it is done",
  OURS,
  async (t) => {
    const server = await serve(t);
    let answer;
    const log = [];
    server.io.engine.use((req, res) => {
      answer = res;
      res.statusCode = 401;
      res.setHeader("WWW-Authenticate", "Bearer");
      res.writeHead(401, "No", { "X-One": "1" });
      res.on("finish", () => log.push("finish"));
      assert.equal(res.write("a"), true);
      res.end("b", () => log.push("ended"));
      log.push(res.headersSent, res.writableEnded, res.statusMessage, res.getHeader("x-one"));
      res.end(() => log.push("ended again"));
    });
    const ws = await RawWebSocket.upgrade(server);
    await ws.closed();
    if (!answer.destroyed) await once(answer, "close");
    assert.deepEqual(log, ["finish", "ended", true, true, "No", "1", "ended again"]);
    assert.equal(server.io.engine.clientsCount, 0);
  },
);

test("what one that decides late refuses is not kept", async (t) => {
  const server = await serve(t);
  let decide;
  server.io.engine.use((req, res, next) => (decide = next));
  const answered = RawWebSocket.upgrade(server);
  while (decide === undefined) await new Promise(setImmediate);
  decide(new Error("no"));
  const ws = await answered;
  assert.equal(ws.status, 400);
  await ws.closed();
});

test("an exception of allowRequest() behind a middleware is not the middleware's", async (t) => {
  const child = startChild(t, async ({ sio, listen, send }) => {
    process.on("uncaughtException", ({ message }) => send("uncaught", { message }));
    const httpServer = await listen();
    const io = new sio.Server(httpServer, {
      allowRequest() {
        throw new Error("of allowRequest");
      },
    });
    io.engine.use((req, res, next) => next());
    io.engine.on("connection_error", ({ context }) => send("uncaught", { context }));
    send("ready", { port: httpServer.address().port });
  });
  const { port } = await child.message("ready");
  const request = startRequest({ port }, { path: "/socket.io/?EIO=4&transport=polling" });
  request.on("error", () => {});
  t.after(() => request.destroy());
  request.end();
  assert.equal((await child.message("uncaught")).message, "of allowRequest");
});
