"use strict";

// Taking leave of clients: `io.drain()`, and `io.close({ keepHttpServer: true })`.

const test = require("node:test");
const assert = require("node:assert/strict");
const http = require("node:http");
const {
  RawWebSocket,
  Recorder,
  connected,
  eventually,
  isStock,
  once,
  request,
  serve,
  sio,
  within,
} = require("./support/harness");

const OURS = { skip: isStock && "stock has none" };

test("new sessions are refused with 503, in both ways", OURS, async (t) => {
  const server = await serve(t, {}, { stream: "http" });
  const held = await server.pair("/", { transports: ["websocket"] });
  held.socket.emit("question", () => {});
  const drained = server.io.drain({ timeout: 5000, patience: 300 });
  assert.equal(server.io.isDraining, true);
  const polling = await request(server, { path: "/socket.io/?EIO=4&transport=polling" });
  assert.equal(polling.status, 503);
  assert.equal(polling.headers["retry-after"], "1");
  assert.deepEqual(polling.json, { code: 6, message: "Server shutting down" });
  const upgrade = await request(server, {
    path: "/socket.io/?EIO=4&transport=websocket",
    headers: {
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    },
  });
  assert.equal(upgrade.status, 503);
  assert.equal(upgrade.headers["retry-after"], "1");
  assert.deepEqual(server.io.metrics().engine.sessions.refusals, { "Server shutting down": 2 });
  await drained;
});

test(
  "sessions go on until their turn, and no more are closed in a second than the rate says",
  OURS,
  async (t) => {
    const server = await serve(t);
    const clients = await Promise.all(Array.from({ length: 20 }, () => RawWebSocket.connect(server)));
    let ended = 0;
    server.io.sockets.sockets.forEach((socket) => socket.on("disconnect", () => ended++));
    const answered = Promise.all(clients.map((ws) => ws.closed()));
    const begun = performance.now();
    const progress = [];
    const drained = server.io.drain({ rate: 20, onProgress: (now) => progress.push(now) });
    await eventually(() => ended > 0, "the first has ended");
    assert.ok(ended < 10, `${ended} at once`);
    assert.deepEqual(await drained, { total: 20, closed: 20, forced: 0, remaining: 0 });
    assert.ok(performance.now() - begun > 800, `${performance.now() - begun} ms`);
    assert.equal(ended, 20);
    assert.ok(progress.length > 5);
    assert.ok(progress.some(({ remaining }) => remaining > 0 && remaining < 20));
    assert.deepEqual(progress.at(-1), { total: 20, closed: 20, forced: 0, remaining: 0 });
    await answered;
  },
);

for (const transports of [["websocket"], ["polling"]]) {
  test(
    `what was emitted arrives, and acknowledgements are waited for, over ${transports}`,
    OURS,
    async (t) => {
      const server = await serve(t);
      const { client, socket } = await server.pair("/", { transports });
      const over = once(socket, "disconnect");
      let save;
      socket.on("save", (reply) => (save = reply));
      const saved = client.emitWithAck("save");
      await eventually(() => save !== undefined, "the event is there");
      let asked;
      client.on("question", (reply) => (asked = reply));
      const answered = socket.emitWithAck("question");
      await eventually(() => asked !== undefined, "the question is there");
      const drained = server.io.drain({ timeout: 10_000, patience: 8000 });
      await new Promise((resolve) => setTimeout(resolve, 200));
      assert.equal(client.connected, true);
      asked("answer");
      assert.equal(await answered, "answer");
      await new Promise((resolve) => setTimeout(resolve, 150));
      assert.equal(client.connected, true);
      const gone = once(client, "disconnect");
      socket.emit("last");
      const last = once(client, "last");
      save("saved");
      assert.equal(await within(saved, "the acknowledgement"), "saved");
      await last;
      assert.equal((await gone)[0], "transport close");
      assert.deepEqual(await drained, { total: 1, closed: 1, forced: 0, remaining: 0 });
      const [reason, details] = await over;
      assert.equal(reason, "server shutting down");
      assert.deepEqual(details.context, { limit: "drain" });
    },
  );
}

test("who owes an acknowledgement for too long is closed all the same", OURS, async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair("/", { transports: ["websocket"] });
  socket.on("never", () => {});
  client.emit("never", () => {});
  await eventually(() => socket._unanswered === 1, "the event is there");
  const begun = performance.now();
  const result = await server.io.drain({ patience: 200 });
  assert.deepEqual(result, { total: 1, closed: 1, forced: 1, remaining: 0 });
  assert.ok(performance.now() - begun >= 200);
});

test("what is left when the time is up is closed at once", OURS, async (t) => {
  const server = await serve(t);
  const clients = await Promise.all(Array.from({ length: 10 }, () => RawWebSocket.connect(server)));
  const begun = performance.now();
  const result = await server.io.drain({ rate: 1, timeout: 300 });
  assert.ok(performance.now() - begun < 3000);
  assert.equal(result.closed, 10);
  assert.ok(result.forced >= 8, JSON.stringify(result));
  assert.equal(server.io.engine.clientsCount, 0);
  await Promise.all(clients.map((ws) => ws.closed()));
});

test("who is closed by the application meanwhile is left to that", OURS, async (t) => {
  const server = await serve(t);
  const { client, socket } = await server.pair("/", { transports: ["websocket"] });
  const over = once(socket, "disconnect");
  socket.on("never", () => {});
  client.emit("never", () => {});
  await eventually(() => socket._unanswered === 1, "the event is there");
  // between the look at what it owes and the end of the time
  const onProgress = () => socket.conn.close();
  const result = await server.io.drain({ timeout: 0, onProgress });
  assert.deepEqual(result, { total: 1, closed: 1, forced: 0, remaining: 0 });
  assert.equal((await over)[0], "forced close");
});

test("sessions that have joined no namespace are closed too", OURS, async (t) => {
  const server = await serve(t);
  const { ws } = await server.rawSession();
  const answered = ws.closed();
  assert.deepEqual(await server.io.drain(), { total: 1, closed: 1, forced: 0, remaining: 0 });
  await answered;
});

test("a server is drained when all that was said has left", OURS, async (t) => {
  const server = await serve(t, { pingInterval: 60_000 });
  const { ws, socket } = await server.rawPair();
  ws.socket.pause();
  for (let n = 0; n < 30; n++) socket.emit("large", "x".repeat(1024 * 1024));
  await eventually(() => socket.conn.bufferedAmount > 0, "there is no room for it");
  const progress = new Recorder();
  let isDrained = false;
  const drained = server.io.drain({ onProgress: (now) => progress.push(now) }).then(() => (isDrained = true));
  // it looks again and again
  await progress.until(() => progress.list.filter(({ remaining }) => remaining === 0).length >= 3);
  assert.equal(isDrained, false);
  const answered = ws.closed();
  ws.socket.resume();
  await answered;
  await drained;
  assert.equal(ws.messages.filter((message) => message.startsWith('42["large"')).length, 30);
});

test("clients of every HTTP server that it is attached to are closed", OURS, async (t) => {
  const io = new sio.Server();
  const ports = [];
  for (let i = 0; i < 2; i++) {
    const httpServer = http.createServer();
    io.attach(httpServer);
    await new Promise((resolve) => httpServer.listen(0, "127.0.0.1", resolve));
    t.after(() => httpServer.close());
    ports.push(httpServer.address().port);
  }
  const clients = await Promise.all(ports.map((port) => RawWebSocket.connect({ port })));
  // one of them has joined no namespace
  clients.push(await RawWebSocket.open({ port: ports[0] }));
  const answered = Promise.all(clients.map((ws) => ws.closed()));
  assert.deepEqual(await io.drain(), { total: 3, closed: 3, forced: 0, remaining: 0 });
  await answered;
  for (const port of ports) {
    const late = await RawWebSocket.upgrade({ port });
    assert.equal(late.status, 503, `port ${port}`);
  }
});

test("a client goes on at another server, with its session where the adapter has it", OURS, async (t) => {
  const sessions = new Map();
  const { SessionAwareAdapter } = require("../lib/adapter/session-aware-adapter");
  /** Two servers of one process know of each other's sessions. */
  class Shared extends SessionAwareAdapter {
    async persistSession(session) {
      super.persistSession(session);
      await new Promise((resolve) => setTimeout(resolve, 50));
      sessions.set(session.pid, session);
    }

    restoreSession(pid) {
      const session = sessions.get(pid);
      return Promise.resolve(session && { ...session, missedPackets: [] });
    }
  }
  const options = { adapter: Shared, connectionStateRecovery: {} };
  const [first, second] = [await serve(t, options), await serve(t, options)];
  const { client, socket } = await first.pair("/", { transports: ["websocket"], reconnection: true });
  socket.data.name = "ada";
  socket.emit("offset");
  await once(client, "offset");
  const back = once(second.io, "connection");
  const gone = once(client, "disconnect");
  const drained = first.io.drain();
  await gone;
  client.io.uri = second.url;
  await drained;
  assert.equal(sessions.size, 1, "the adapter has been waited for");
  const [again] = await within(back, "it comes back");
  assert.equal(again.recovered, true);
  assert.deepEqual(again.data, { name: "ada" });
});

test("who is let in by the application after it has begun is refused", OURS, async (t) => {
  let decide;
  const server = await serve(t, { allowRequest: (req, fn) => (decide = fn) });
  const asked = request(server, { path: "/socket.io/?EIO=4&transport=polling" });
  await eventually(() => decide !== undefined, "the request is there");
  const first = await server.io.drain({ timeout: 2000 });
  decide(null, true);
  assert.equal((await asked).status, 503);
  assert.equal(server.io.engine.clientsCount, 0);
  assert.equal(await server.io.drain(), first, "the first call decides");
});

test("a session whose id takes its time is closed as well", OURS, async (t) => {
  const server = await serve(t);
  let name;
  server.io.engine.generateId = () => new Promise((resolve) => (name = resolve));
  const asked = request(server, { path: "/socket.io/?EIO=4&transport=polling" });
  await eventually(() => name !== undefined, "the request is there");
  const held = server.io.drain({ timeout: 2000 });
  name("late");
  await Promise.allSettled([asked, held]);
  await eventually(() => server.io.engine.clientsCount === 0, "nobody is left");
});

test("a listener that throws, and a callback that does, hold up nobody", OURS, async (t) => {
  const server = await serve(t);
  const clients = await Promise.all(Array.from({ length: 4 }, () => RawWebSocket.connect(server)));
  const answered = Promise.all(clients.map((ws) => ws.closed()));
  const thrown = [];
  const onError = (error) => thrown.push(error.message);
  process.setUncaughtExceptionCaptureCallback(onError);
  t.after(() => process.setUncaughtExceptionCaptureCallback(null));
  let calls = 0;
  server.io.sockets.sockets.forEach((socket) =>
    socket.on("disconnect", () => {
      assert.equal(server.io.isDraining, true);
      throw new Error("listener");
    }),
  );
  const onProgress = () => {
    if (calls++ === 0) throw new Error("progress");
  };
  assert.deepEqual(await server.io.drain({ onProgress }), { total: 4, closed: 4, forced: 0, remaining: 0 });
  await answered;
  await eventually(() => thrown.length === 5, "all of it was thrown");
  process.setUncaughtExceptionCaptureCallback(null);
  assert.deepEqual(thrown.sort(), ["listener", "listener", "listener", "listener", "progress"]);
});

test("an adapter that does not come to an end is not waited for beyond the time", OURS, async (t) => {
  const server = await serve(t, { connectionStateRecovery: {} });
  await Promise.all([0, 1].map(() => RawWebSocket.connect(server)));
  const { adapter } = server.io.of("/");
  let calls = 0;
  adapter.persistSession = () => (calls++ === 0 ? new Promise(() => {}) : Promise.reject(new Error("away")));
  const begun = performance.now();
  const result = await within(server.io.drain({ timeout: 300 }), "drain()");
  assert.deepEqual(result, { total: 2, closed: 2, forced: 0, remaining: 0 });
  assert.ok(performance.now() - begun < 4000);
});

test("a drained server that is attached again takes clients", OURS, async (t) => {
  const io = new sio.Server();
  const first = http.createServer();
  io.attach(first);
  await io.drain();
  assert.equal(io.isDraining, true);
  await io.close();
  const next = http.createServer();
  io.attach(next);
  t.after(() => io.close());
  assert.equal(io.isDraining, false);
  await new Promise((resolve) => next.listen(0, "127.0.0.1", resolve));
  const path = "/socket.io/?EIO=4&transport=polling";
  assert.equal((await request({ port: next.address().port }, { path })).status, 200);
});

test("over HTTP/2 as well", OURS, async (t) => {
  const http2 = require("node:http2");
  const httpServer = http2.createServer();
  const io = new sio.Server(httpServer);
  await new Promise((resolve) => httpServer.listen(0, "127.0.0.1", resolve));
  t.after(() => httpServer.close());
  await io.drain();
  const session = http2.connect(`http://127.0.0.1:${httpServer.address().port}`);
  t.after(() => session.destroy());
  const stream = session.request({ ":path": "/socket.io/?EIO=4&transport=polling" });
  const [headers] = await once(stream, "response");
  assert.deepEqual([headers[":status"], headers["retry-after"]], [503, "1"]);
});

test("drain() of a server without clients is done at once", OURS, async (t) => {
  const { io } = await serve(t);
  assert.deepEqual(await io.drain(), { total: 0, closed: 0, forced: 0, remaining: 0 });
  const detached = new sio.Server();
  assert.deepEqual(await detached.drain(), { total: 0, closed: 0, forced: 0, remaining: 0 });
});

test("options of drain() that make no sense are refused", OURS, async (t) => {
  const { io } = await serve(t);
  for (const options of [
    { timeout: "soon" },
    { patience: "1000" },
    { patience: -1 },
    { rate: 0 },
    { timeout: NaN },
  ]) {
    assert.throws(() => io.drain(options), { name: "TypeError", message: /^drain\(\): / });
  }
  assert.equal(io.isDraining, false);
});

test(
  "io.close({ keepHttpServer }) leaves the HTTP server to others, and to another server",
  OURS,
  async (t) => {
    const server = await serve(t, {}, { stream: "http" });
    const { httpServer } = server;
    const { client } = await server.pair("/", { transports: ["websocket"] });
    const gone = once(client, "disconnect");
    const others = [];
    httpServer.on("request", (req, res) => {
      others.push(req.url);
      if (!res.headersSent) res.end("mine");
    });
    await server.io.close({ keepHttpServer: true });
    await gone;
    assert.equal(httpServer.listening, true);
    const path = "/socket.io/?EIO=4&transport=polling";
    assert.equal((await request(server, { path })).body, "mine");
    assert.equal((await request(server, { path: "/socket.io/socket.io.js" })).body, "mine");
    assert.deepEqual(others, [path, "/socket.io/socket.io.js"]);
    httpServer.removeAllListeners("request");
    const next = new sio.Server(httpServer);
    t.after(() => next.close());
    const joined = once(next, "connection");
    const again = server.client("/", { transports: ["websocket"] });
    await connected(again);
    await joined;
    let called = 0;
    await next.close({ keepHttpServer: true }, () => called++);
    assert.equal(called, 1);
  },
);
