"use strict";

// Sessions that poll: requests and answers to the byte, valid and not.

const { caughtEarlier, goneBy } = require("../support/differential");
const { SEPARATOR } = require("../support/raw-polling");

const BODIES = [
  ["", "empty"],
  ["9"],
  ["x"],
  [SEPARATOR, "a separator alone"],
  [`6${SEPARATOR}`, "a separator at the end"],
  [`${SEPARATOR}6`, "a separator at the beginning"],
  ["\ufeff6", "a byte order mark"],
  [" 6"],
  [Buffer.from([0xff, 0x36]), "invalid UTF-8"],
  ['{"a":1}'],
  ["2"],
  ["2probe"],
  ["1"],
  ["4x"],
  ["42{}"],
  ["4"],
  ["44"],
  ["4510-[]"],
  [["6one", "3two", "9", "6three"].join(SEPARATOR), "a broken packet between good ones"],
  [
    ["42[1]", "1", "42[2]"].join(SEPARATOR),
    "a close packet between events",
    caughtEarlier("1", goneBy("transport close")),
  ],
];

const HARMLESS = [
  ["0"],
  ["3"],
  ["3probe"],
  ["5"],
  ["6"],
  ["0{}"],
  ["42"],
  [Buffer.from([0x36, 0x61, 0xff, 0x62]), "invalid UTF-8 inside"],
  ['42["é😀","\u2028"]'],
  [['42["one"]', '42["two"]'].join(SEPARATOR), "two events"],
  [`451-["bin",{"_placeholder":true,"num":0}]${SEPARATOR}bAQIDBA==`, "an attachment"],
  [`451-["bin",{"_placeholder":true,"num":0}]${SEPARATOR}b!!!AQI=***`, "broken base64"],
  [`451-["bin",{"_placeholder":true,"num":0}]${SEPARATOR}b`, "an empty attachment"],
  [`451-["bin",{"_placeholder":true,"num":0}]${SEPARATOR}bAQ`, "base64 without padding"],
  [`451-["bin",{"_placeholder":true,"num":0}]${SEPARATOR}b-_-_`, "base64 for URLs"],
];

const pollOpen = (stage, conn) => stage.eventually(() => conn.transport.writable, "a poll is open");

/** A session, and what its conn says logged. */
async function open(stage, ...events) {
  const polling = await stage.polling("client");
  const conn = stage.io.engine.clients[polling.sid];
  stage.watch("conn", conn, "close", ...events);
  return { polling, conn };
}

async function joined(stage) {
  stage.watchSockets();
  const polling = await stage.joinPolling("client");
  const conn = stage.io.engine.clients[polling.sid];
  stage.watch("conn", conn, "close");
  return { polling, conn };
}

/** A request that is sent by parts. */
function startRequest(stage, actor, options) {
  const req = stage.server.startRequest(options);
  req.on("error", (error) => stage.log(actor, "error", error.code));
  req.on("response", (res) => {
    stage.log(actor, "response", res.statusCode);
    res.resume();
  });
  return req;
}

/** Resolves when the server has seen all that was sent before. */
const seen = (stage) => stage.server.request({ path: "/socket.io/?EIO=4&transport=nope" });

const name = (body, given) => given ?? JSON.stringify(body.toString());

module.exports = [
  ...BODIES.map(([body, given, differs]) => ({
    name: `a body that ends the session: ${name(body, given)}`,
    differs,
    async run(stage) {
      const { polling } = await joined(stage);
      await polling.post(body);
      // a session that is closing takes its leave with the next poll
      await stage.http("after", { path: polling.url });
      await Promise.all([stage.until("server", "disconnect "), stage.until("conn", "close")]);
    },
  })),
  ...HARMLESS.map(([body, given]) => ({
    name: `a body that is fine: ${name(body, given)}`,
    async run(stage) {
      const { polling, conn } = await joined(stage);
      await polling.post(body);
      await polling.post('42["last"]');
      await stage.until("server", "event last");
      conn.send("alive");
      await polling.poll();
    },
  })),
  ...["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"].map((method) => ({
    name: `${method} on a live session`,
    async run(stage) {
      const { polling, conn } = await open(stage);
      await polling.request({ method, path: polling.url });
      conn.send("alive");
      await polling.poll();
    },
  })),
  {
    name: "two polls at once",
    async run(stage) {
      const { polling, conn } = await open(stage);
      const first = stage.http("first", { path: polling.url });
      await pollOpen(stage, conn);
      await stage.http("second", { path: polling.url });
      await first;
      await stage.until("conn", "close");
    },
  },
  {
    name: "two data requests at once",
    async run(stage) {
      const { polling } = await open(stage);
      const first = startRequest(stage, "first", { method: "POST", path: polling.url });
      first.write("4");
      await seen(stage);
      await stage.http("second", { method: "POST", path: polling.url, body: "4hello" });
      await stage.until("conn", "close");
      await stage.until("first", "error");
    },
  },
  {
    name: "a data request that is cut",
    async run(stage) {
      const { polling } = await open(stage);
      const headers = { "Content-Length": "100" };
      const req = startRequest(stage, "cut", { method: "POST", path: polling.url, headers });
      req.write("4only the beginning");
      await seen(stage);
      req.destroy();
      await stage.until("conn", "close");
    },
  },
  {
    name: "a poll that is cut",
    async run(stage) {
      const { polling, conn } = await open(stage);
      const req = startRequest(stage, "cut", { path: polling.url });
      req.end();
      await pollOpen(stage, conn);
      req.destroy();
      await Promise.all([stage.until("conn", "close"), stage.until("cut", "error")]);
    },
  },
  {
    name: "a data request of a binary type",
    async run(stage) {
      const { polling } = await open(stage);
      await polling.post("4x", { "Content-Type": "application/octet-stream" });
      await stage.until("conn", "close");
    },
  },
  ...[{}, { "Transfer-Encoding": "chunked" }].map((headers) => ({
    name: `a body over the limit and one of exactly the limit, ${JSON.stringify(headers)}`,
    options: { maxHttpBufferSize: 1000 },
    async run(stage) {
      const { polling, conn } = await open(stage, "packet");
      for (const body of [`4${"x".repeat(1000)}`, `4${"é".repeat(500)}`, `6${"x".repeat(999)}`]) {
        await polling.post(body, headers);
      }
      conn.send("alive");
      await polling.poll();
    },
  })),
  {
    name: "a body of 1,000,001 bytes, and one of 1,000,000",
    async run(stage) {
      const { polling } = await joined(stage);
      for (const length of [1_000_000, 1_000_001]) {
        await polling.post(`42["ev","${"x".repeat(length - '42["ev",""]'.length)}"]`);
      }
      await stage.until("server", "event ev");
      await stage.until("server", "disconnect ");
    },
  },
  ...[false, true].map((isPolled) => ({
    name: `a body over the limit${isPolled ? " while a poll is open" : ""}, byte by byte`,
    options: { maxHttpBufferSize: 10 },
    async run(stage) {
      const { polling, conn } = await open(stage, "packet");
      let poll;
      if (isPolled) {
        poll = stage.http("poll", { path: polling.url });
        await pollOpen(stage, conn);
      }
      const req = startRequest(stage, "large", { method: "POST", path: polling.url });
      for (let i = 0; i < 11; i++) await new Promise((resolve) => req.write(i === 0 ? "4" : "x", resolve));
      await stage.until("large", "response");
      await stage.until("conn", "close");
      await poll;
    },
  })),
  {
    name: "a body in more pieces than are kept",
    options: { maxBufferedChunks: 3 },
    async run(stage) {
      const { polling } = await open(stage, "packet");
      const req = startRequest(stage, "pieces", { method: "POST", path: polling.url });
      let arrived;
      stage.httpServer.on("request", (request) => request.on("data", () => arrived()));
      for (let i = 0; i < 4; i++) {
        const arrival = new Promise((resolve) => (arrived = resolve));
        req.write(i === 0 ? "4" : "x");
        await arrival;
      }
      await stage.until("pieces", "response");
      await stage.until("conn", "close");
    },
  },
  {
    name: "a body in as many pieces as are kept, characters cut in two",
    options: { maxBufferedChunks: 3 },
    async run(stage) {
      const { polling } = await open(stage, "packet");
      const req = startRequest(stage, "pieces", { method: "POST", path: polling.url });
      let arrived;
      stage.httpServer.on("request", (request) => request.on("data", () => arrived()));
      const body = Buffer.from("4é€");
      for (const piece of [body.subarray(0, 2), body.subarray(2, 4), body.subarray(4)]) {
        const arrival = new Promise((resolve) => (arrived = resolve));
        req.write(piece);
        await arrival;
      }
      req.end();
      await stage.until("pieces", "response");
      await stage.until("conn", "packet");
    },
  },
  ...[false, true].map((isPolled) => ({
    name: `a body that does not arrive in time${isPolled ? ", while a poll is open" : ""}`,
    options: { httpRequestBodyTimeout: 50 },
    async run(stage) {
      const { polling, conn } = await open(stage, "packet");
      let poll;
      if (isPolled) {
        poll = stage.http("poll", { path: polling.url });
        await pollOpen(stage, conn);
      }
      const req = startRequest(stage, "slow", { method: "POST", path: polling.url });
      req.write("4");
      await stage.until("slow", "response");
      await stage.until("conn", "close");
      await poll;
    },
  })),
  {
    name: "a length alone that is over the limit",
    options: { maxHttpBufferSize: 1000 },
    async run(stage) {
      const { polling } = await open(stage);
      const headers = { "Content-Length": String(2 ** 31) };
      const req = startRequest(stage, "large", { method: "POST", path: polling.url, headers });
      req.write("x".repeat(1001));
      await stage.until("large", "response");
    },
  },
  {
    name: "a parse error while a poll is open",
    async run(stage) {
      const { polling, conn } = await open(stage, "packet");
      const poll = stage.http("poll", { path: polling.url });
      await pollOpen(stage, conn);
      await polling.post("9");
      await poll;
      await stage.until("conn", "close");
    },
  },
  {
    name: "a close packet while a poll is open",
    async run(stage) {
      const { polling, conn } = await open(stage, "packet");
      const poll = stage.http("poll", { path: polling.url });
      await pollOpen(stage, conn);
      await polling.post("1");
      await poll;
      await stage.until("conn", "close");
    },
  },
  {
    name: "events both ways, and an answer",
    async run(stage) {
      stage.io.on("connection", (socket) => {
        socket.on("ask", (value, answer) => answer(value, Buffer.from([1, 2])));
        socket.on("say", (value) => socket.emit("said", value, Buffer.from([3])));
      });
      const { polling } = await joined(stage);
      await polling.post('427["ask","é"]');
      await polling.poll();
      await polling.post('42["say",[]]');
      await polling.poll();
    },
  },
  {
    name: "several packets wait for one poll",
    async run(stage) {
      const { polling, conn } = await joined(stage);
      stage.io.emit("one");
      stage.io.emit("two", Buffer.from([0xff, 0xfe]));
      conn.send("three");
      conn.send(Buffer.from([1]));
      await polling.poll();
    },
  },
  {
    name: "a poll waits for an event",
    async run(stage) {
      const { polling, conn } = await joined(stage);
      const poll = polling.poll();
      await pollOpen(stage, conn);
      stage.io.emit("one");
      await poll;
    },
  },
  {
    name: "the server disconnects a client that polls",
    async run(stage) {
      const { polling, conn } = await joined(stage);
      const poll = polling.poll();
      await pollOpen(stage, conn);
      stage.io.disconnectSockets();
      await poll;
      conn.send("the session lives");
      await polling.poll();
    },
  },
  {
    name: "the server disconnects the client while a poll is open, which answers with a close packet",
    async run(stage) {
      const { polling, conn } = await joined(stage);
      const poll = polling.poll();
      await pollOpen(stage, conn);
      stage.io.disconnectSockets(true);
      await poll;
      await stage.http("goodbye", { method: "POST", path: polling.url, body: "1" });
      await stage.until("conn", "close");
    },
  },
  {
    name: "the server closes the session while a poll is open",
    async run(stage) {
      const { polling, conn } = await joined(stage);
      const poll = polling.poll();
      await pollOpen(stage, conn);
      conn.close();
      await poll;
      await stage.until("conn", "close");
      await stage.http("after", { path: polling.url });
    },
  },
  {
    name: "the server closes the session between two polls",
    async run(stage) {
      const { polling, conn } = await joined(stage);
      conn.send("last words");
      conn.close();
      await polling.poll();
      await polling.poll();
      await stage.until("conn", "close");
    },
  },
  ...["Mozilla/5.0 (compatible;MSIE 9.0)", "Trident/7.0"].map((agent) => ({
    name: `answers to ${agent}`,
    async run(stage) {
      const headers = { "User-Agent": agent };
      const polling = await stage.polling("client", { headers });
      await polling.post("40", headers);
      await polling.poll(headers);
    },
  })),
  {
    name: "a POST without a type",
    async run(stage) {
      const { polling } = await joined(stage);
      await polling.post('42["ev"]', {});
      await stage.until("server", "event ev");
    },
  },
  {
    name: "a JSONP callback is ignored without the old protocol",
    async run(stage) {
      await stage.http("client", { path: "/socket.io/?EIO=4&transport=polling&j=0" });
    },
  },
  {
    name: "a heartbeat by polling",
    options: { pingInterval: 200, pingTimeout: 5000 },
    async run(stage) {
      stage.io.engine.on("connection", (conn) => {
        stage.watch("conn", conn, "packet", "packetCreate", "heartbeat");
      });
      const polling = await stage.polling("client");
      await polling.poll();
      await polling.post("3");
      await stage.until("conn", "heartbeat");
    },
  },
  {
    name: "no answer to a ping by polling",
    options: { pingInterval: 20, pingTimeout: 40 },
    async run(stage) {
      stage.io.engine.on("connection", (conn) => stage.watch("conn", conn, "packetCreate", "close"));
      await stage.polling("client");
      await stage.until("conn", "close");
    },
  },
  {
    name: "the requests that are under way, as the application sees them",
    async run(stage) {
      const shown = (request) => request && [request.method, request.headers["x-request"]];
      const show = (when, { req, res, dataReq, dataRes }) => {
        const requests = [shown(req) ?? null, shown(dataReq) ?? null];
        stage.log("transport", when, ...requests, res?.writableEnded ?? null, dataRes?.writableEnded ?? null);
      };
      const raw = await stage.joinPolling("client");
      const conn = stage.io.engine.clients[raw.sid];
      const { transport } = conn;
      conn.on("data", () => show("data", transport));
      show("opened", transport);
      await raw.post('42["ev"]', { "Content-Type": "text/plain;charset=UTF-8", "X-Request": "post" });
      await stage.until("transport", "data");
      const poll = raw.poll({ "X-Request": "get" });
      await stage.eventually(() => transport.writable, "a poll is open");
      show("polled", transport);
      conn.send("answer");
      await poll;
      show("answered", transport);
    },
  },
  ...["conn.close()", "conn.transport.close()"].map((way) => ({
    name: `${way} while a poll is open`,
    async run(stage) {
      const { polling, conn } = await joined(stage);
      const poll = polling.poll();
      await pollOpen(stage, conn);
      if (way === "conn.close()") conn.close();
      else conn.transport.close();
      stage.log("server", "it returns", conn.readyState);
      await poll;
      await stage.until("server", "disconnect ");
      await stage.http("after", { path: polling.url });
    },
  })),
  {
    name: "a message, then conn.close(), while a poll is open",
    async run(stage) {
      const { polling, conn } = await joined(stage);
      const poll = polling.poll();
      await pollOpen(stage, conn);
      conn.send("bye");
      conn.close();
      stage.log("server", "it returns", conn.readyState);
      await poll;
      await polling.poll();
      await stage.until("server", "disconnect ");
      stage.log("server", "later", conn.readyState);
    },
  },
];
