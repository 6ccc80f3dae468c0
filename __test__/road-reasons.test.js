"use strict";

// Whoever looks into what is slow is told in words why connections come to Node's HTTP server, or events go the long way.

const assert = require("node:assert/strict");
const diagnostics = require("node:diagnostics_channel");
const http = require("node:http");
const test = require("node:test");
const { adopt, once, serve, sio, isStock, defaultStream, RawPolling } = require("./support/harness");

const NATIVE = {
  skip:
    (isStock && "stock has no native roads") ||
    (process.platform === "win32" && "on Windows, streams stay in JavaScript") ||
    (defaultStream !== "http" && "the HTTP server is to be a plain one"),
};

/** What an application does, and why clients over WebSockets, and those that poll, come to its HTTP server then. */
const CASES = {
  nothing: [() => {}, undefined, undefined],
  "a listener for requests": [
    ({ httpServer }) => httpServer.on("request", () => {}),
    undefined,
    /^others listen for request/,
  ],
  "a listener for headers": [
    ({ io }) => io.engine.on("headers", () => {}),
    undefined,
    /^the application sees the headers/,
  ],
  "a listener for drain": [
    ({ io }) => io.engine.on("drain", () => {}),
    undefined,
    /^somebody listens for packetCreate/,
  ],
  "a limit of connections": [({ httpServer }) => (httpServer.maxConnections = 9), /maxConnections set$/],
  "a short time limit for headers": [
    ({ httpServer }) => (httpServer.headersTimeout = 900),
    /^the HTTP server has headersTimeout set$/,
  ],
  "a short time limit for requests": [
    ({ httpServer }) => (httpServer.requestTimeout = 900),
    /^the HTTP server has requestTimeout set$/,
  ],
  "a short keepAliveTimeout": [
    ({ httpServer }) => (httpServer.keepAliveTimeout = 9),
    undefined,
    /keepAliveTimeout below/,
  ],
  "an emit() of its own": [({ io }) => (io.engine.emit = () => {}), /^io\.engine\.emit\(\) is replaced$/],
  "another engine": [
    ({ httpServer }) => new sio.Server(httpServer, { path: "/other" }),
    /^another Engine\.IO server/,
  ],
  "upgrades handled": [
    ({ io }) => (io.engine.handleUpgrade = () => {}),
    /^the application handles upgrade requests/,
  ],
};

for (const [name, [act, websocket, polling = websocket]] of Object.entries(CASES)) {
  test(`why clients come to the HTTP server: ${name}`, NATIVE, async (t) => {
    const server = await serve(t);
    act(server);
    const [found] = server.io.engine._roads().servers;
    for (const [road, expected] of Object.entries({ websocket, polling })) {
      if (expected === undefined) assert.equal(found[road], undefined);
      else assert.match(found[road], expected);
    }
  });
}

for (const [options, expected] of [
  [{ wsEngine: require("ws").Server }, /^the option wsEngine/],
  [{ transports: ["polling"] }, /^the option transports leaves WebSockets out/],
  [{ initialPacket: "x" }, /^there is the option initialPacket/],
]) {
  test(`why clients come to the HTTP server: the option ${Object.keys(options)}`, NATIVE, async (t) => {
    const { io } = await serve(t, options);
    assert.match(io.engine._roads().servers[0].websocket, expected);
  });
}

test("why clients that poll come to the HTTP server: answers of its own", NATIVE, async (t) => {
  const answers = [];
  class Answer extends http.ServerResponse {
    constructor(...args) {
      super(...args);
      answers.push(this);
    }
  }
  const httpServer = http.createServer({ ServerResponse: Answer });
  const io = new sio.Server(httpServer);
  httpServer.listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  const server = adopt(t, io, httpServer.address().port);
  const [found] = io.engine._roads().servers;
  assert.equal(found.websocket, undefined);
  assert.equal(found.polling, "the HTTP server has a ServerResponse of its own");
  await RawPolling.open(server);
  assert.equal(answers.length, 1);
});

test("why connections are pumped", NATIVE, async (t) => {
  const server = await serve(t, {}, { stream: "duplex" });
  await server.pair("/", { transports: ["websocket"] });
  assert.deepEqual(server.io.engine._roads().pumped, { "it is no plain socket": 1 });
});

test("why events go the long way", NATIVE, async (t) => {
  const server = await serve(t);
  const { socket } = await server.pair("/", { transports: ["websocket"] });
  assert.deepEqual(socket._detours(), []);
  socket.use((_event, next) => next());
  socket.onAny(() => {});
  socket.onAnyOutgoing(() => {});
  socket.onevent = Object.getPrototypeOf(socket).onevent.bind(socket);
  assert.deepEqual(socket._detours(), [
    "socket.onevent() is replaced",
    "socket.use()",
    "socket.onAny()",
    "socket.onAnyOutgoing()",
  ]);
});

test("whoever subscribes is told of servers and their engines", { skip: NATIVE.skip }, (t) => {
  const told = [];
  for (const name of ["sockeye.io:attach", "sockeye.io:bind"]) {
    const listener = (message) => told.push([name, message]);
    diagnostics.subscribe(name, listener);
    t.after(() => diagnostics.unsubscribe(name, listener));
  }
  const httpServer = http.createServer();
  const io = new sio.Server(httpServer);
  assert.deepEqual(
    told.map(([name]) => name),
    ["sockeye.io:attach", "sockeye.io:bind"],
  );
  assert.deepEqual(
    [told[0][1].engine, told[0][1].httpServer, told[0][1].path],
    [io.engine, httpServer, "/socket.io/"],
  );
  assert.equal(told[1][1].io, io);
});
