"use strict";

// Clients that poll are answered by the workers, where nobody could tell. What cannot be answered there is Node's, with
// all its bytes unread: so the two roads have to say the same, to the byte.

const assert = require("node:assert/strict");
const { randomBytes } = require("node:crypto");
const diagnostics = require("node:diagnostics_channel");
const fs = require("node:fs");
const http = require("node:http");
const test = require("node:test");
const { gunzipSync, inflateSync } = require("node:zlib");
const {
  isStock,
  sio,
  adopt,
  connected,
  eventually,
  once,
  record,
  upgradeRequest,
  RawPolling,
  RawWebSocket,
  Recorder,
} = require("./support/harness");
const { accepted, connections, newParsers, observe, parsers } = require("./support/parsers");
const { bodyOf, get, post, readChunks, sidOf, target, wire } = require("./support/wire");

const NODE = "Node's HTTP server";
const WORKERS = "the workers";

/** A server that listens, and answers what is not its own. */
async function open(t, { http: options = {}, io: engineOptions, attach, road = WORKERS } = {}) {
  const httpServer = http.createServer(options, (req, res) => res.end(`${req.method} ${req.url}`));
  const io = new sio.Server(httpServer, { serveClient: false, ...engineOptions });
  if (road === NODE) observe(httpServer);
  attach?.(httpServer, io);
  httpServer.listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  const server = adopt(t, io, httpServer.address().port);
  server.httpServer = httpServer;
  newParsers();
  return server;
}

/** The first argument of each event. */
function recordFirst(emitter, event) {
  const recorder = new Recorder();
  emitter.on(event, (argument) => recorder.push(argument));
  return recorder;
}

/** A session that was opened on its own connection. */
async function session(server, headers) {
  // the engine's by itself: Socket.IO would close it for messages that are none of its packets
  server.io.engine.removeAllListeners("connection");
  const connection = wire(server);
  const opened = await connection.ask(get(undefined, headers));
  const sid = sidOf(opened);
  const conn = server.io.engine.clients[sid];
  const log = recordFirst(conn, "message");
  const ends = record(conn, "close");
  return { connection, opened, sid, conn, log, ends };
}

/** A GET of a session waits. */
const waits = (conn) => eventually(() => conn.transport.writable, "a GET that waits");

/** What does not depend on when and for whom it was said. */
const anonymous = (text, sid) =>
  text.replaceAll(/Date: [^\r]+/g, "Date: <date>").replaceAll(sid ?? /"sid":"[^"]+"/g, "<sid>");

/** Runs the same on both roads, and compares what it returns. */
function both(name, run, how = {}) {
  test(name, { skip: isStock }, async (t) => {
    const seen = [];
    for (const road of [NODE, WORKERS]) seen.push(await run(await open(t, { ...how, road }), t, road));
    assert.deepEqual(seen[1], seen[0]);
  });
}

test("a client that polls makes no parser", { skip: isStock }, async (t) => {
  const server = await open(t);
  server.io.on("connection", (socket) => socket.on("echo", (value, reply) => reply(value)));
  const { client, socket } = await server.pair("/", { transports: ["polling"] });
  for (const value of ["a", "é😀", "x".repeat(20_000)])
    assert.equal(await client.emitWithAck("echo", value), value);
  socket.emit("bin", Buffer.from([1, 2]));
  assert.deepEqual(await once(client, "bin"), [Buffer.from([1, 2])]);
  assert.equal(newParsers(), 0);
  const gone = once(socket, "disconnect");
  client.disconnect();
  assert.equal((await gone)[0], "client namespace disconnect");
  await accepted(server, 0);
});

for (const workers of [1, 3]) {
  test(`default clients make no parser, with ${workers} workers`, { skip: isStock }, async (t) => {
    const server = await open(t, { io: { workers } });
    server.io.on("connection", (socket) => socket.on("echo", (value, reply) => reply(value)));
    const ends = new Recorder();
    server.io.engine.on("connection", (conn) => conn.on("close", (...args) => ends.push(args)));
    const clients = Array.from({ length: 20 }, () =>
      server.client("/", { transports: ["polling", "websocket"] }),
    );
    await Promise.all(
      clients.map(async (client, i) => {
        await connected(client);
        assert.equal(await client.emitWithAck("echo", i), i);
        if (client.io.engine.transport.name === "polling") await once(client.io.engine, "upgrade");
        assert.equal(await client.emitWithAck("echo", i), i);
      }),
    );
    assert.equal(newParsers(), 0);
    await accepted(server, 20);
    assert.deepEqual(ends.list, []);
  });

  test(
    `connections that are kept serve any session, with ${workers} workers`,
    { skip: isStock },
    async (t) => {
      const server = await open(t, { io: { workers } });
      const sessions = await Promise.all(Array.from({ length: 6 }, () => session(server)));
      for (const { connection } of sessions) {
        for (const { sid, conn, log } of sessions) {
          assert.equal(bodyOf(await connection.ask(post(sid, "4é"))), "ok");
          assert.equal(log.list.pop(), "é");
          const answer = connection.ask(get(sid));
          await waits(conn);
          conn.send("hello");
          assert.equal(bodyOf(await answer), "4hello");
        }
      }
      assert.equal(await connections(server), 6);
      assert.equal(newParsers(), 0);
    },
  );
}

both(
  "an answer is the same to the byte",
  async (server) => {
    const { connection, opened, sid, conn } = await session(server, { Origin: "http://here" });
    const answers = [opened, await connection.ask(post(sid, "4a", { Origin: "http://here" }))];
    conn.send("é");
    conn.send(Buffer.from([1, 2, 3]));
    assert.equal(conn.writeBuffer.length, 2);
    answers.push(await connection.ask(get(sid, { Origin: "http://here" })));
    answers.push(await connection.ask(post(sid, "4b", { Origin: "http://here", Connection: "close" })));
    return [...answers.map((text) => anonymous(text, sid)), await connection.ended()];
  },
  { io: { cors: { origin: ["http://here", "http://there"], credentials: true }, cookie: true } },
);

both(
  "a page from elsewhere gets the headers that are its own",
  async (server) => {
    const { connection, sid, conn } = await session(server, { Origin: "http://here" });
    conn.send("a");
    const answers = [await connection.ask(get(sid, { Origin: "http://there" }))];
    answers.push(await connection.ask(post(sid, "4b", { Origin: "http://nowhere" })));
    return answers.map((text) => anonymous(text, sid));
  },
  { io: { cors: { origin: ["http://here", "http://there"] } } },
);

/** Requests about which two parsers could differ; each is sent on a connection of its own to a session that lives. */
const ODD = {
  "no host": (sid) => get(sid, { Host: undefined }),
  "two hosts": (sid) => get(sid, { host: "there" }),
  "two lengths": (sid) => post(sid, "4a", { "content-length": "2" }),
  "two lengths that differ": (sid) => post(sid, "4a", { "content-length": "1" }),
  "a length and chunks": (sid) => post(sid, "2\r\n4a\r\n0\r\n\r\n", { "Transfer-Encoding": "chunked" }),
  chunks: (sid) =>
    post(sid, "2\r\n4a\r\n0\r\n\r\n", { "Transfer-Encoding": "chunked", "Content-Length": undefined }),
  "chunks with an extension": (sid) =>
    post(sid, "2;a=b\r\n4a\r\n0\r\n\r\n", { "Transfer-Encoding": "chunked", "Content-Length": undefined }),
  "a length of another base": (sid) => post(sid, "4a", { "Content-Length": "0x2" }),
  "a length with a sign": (sid) => post(sid, "4a", { "Content-Length": "+2" }),
  "a length with zeros": (sid) => post(sid, "4a", { "Content-Length": "002" }),
  "a length in a list": (sid) => post(sid, "4a", { "Content-Length": "2, 2" }),
  "an empty length": (sid) => post(sid, "", { "Content-Length": "" }),
  "a body of no length": (sid) => post(sid, "", { "Content-Length": undefined }),
  "an empty body": (sid) => post(sid, ""),
  "a GET with a body": (sid) => get(sid, { "Content-Length": "2" }) + "4a",
  "a GET with an empty body": (sid) => get(sid, { "Content-Length": "0" }),
  "white space in front of a colon": (sid) => get(sid).replace("Host:", "Host :"),
  "no white space behind a colon": (sid) => get(sid).replace("Host: ", "Host:"),
  "a tab behind a colon": (sid) => get(sid).replace("Host: ", "Host:\t"),
  "white space at the end": (sid) => get(sid).replace("here", "here  "),
  "a folded header": (sid) => get(sid, { X: "a\r\n b" }),
  "a bare line feed": (sid) => get(sid, { X: "a\nY: b" }),
  "a bare carriage return": (sid) => get(sid, { X: "a\rY: b" }),
  "a header without a name": (sid) => get(sid, { "": "a" }),
  "a header in Latin-1": (sid) => get(sid, { X: "\xe9" }),
  "a control character": (sid) => get(sid, { X: "a\x01b" }),
  "an empty header": (sid) => get(sid, { X: "" }),
  "HTTP/1.0": (sid) => get(sid).replace("HTTP/1.1", "HTTP/1.0"),
  "HTTP/1.2": (sid) => get(sid).replace("HTTP/1.1", "HTTP/1.2"),
  "two spaces": (sid) => get(sid).replace("GET ", "GET  "),
  "an absolute target": (sid) => get(sid).replace("/socket.io", "http://here/socket.io"),
  "a fragment": (sid) => get(sid).replace(" HTTP", "#x HTTP"),
  percents: (sid) => get(sid).replace("t=abc", "t=%61bc"),
  "a path in percents": (sid) => get(sid).replace("socket.io", "socket%2eio"),
  "a longer path": (sid) => get(sid).replace("io/?", "io/more?"),
  "two sids": (sid) => get(sid).replace(" HTTP", "&sid=other HTTP"),
  "two transports": (sid) => get(sid).replace(" HTTP", "&transport=websocket HTTP"),
  "a revision that is another": (sid) => get(sid).replace("EIO=4", "EIO=3"),
  "an unknown session": () => get("unknown"),
  JSONP: (sid) => get(sid).replace(" HTTP", "&j=0 HTTP"),
  "a method in small letters": (sid) => get(sid).replace("GET", "get"),
  PUT: (sid) => get(sid).replace("GET", "PUT"),
  HEAD: (sid) => get(sid).replace("GET", "HEAD"),
  OPTIONS: (sid) => get(sid).replace("GET", "OPTIONS"),
  "a line in front": (sid) => `\r\n${get(sid)}`,
  "an expectation": (sid) => post(sid, "4a", { Expect: "100-continue" }),
  "another expectation": (sid) => post(sid, "4a", { Expect: "x" }),
  "a protocol to switch to": (sid) => get(sid, { Connection: "Upgrade", Upgrade: "h2c" }),
  "a list of connection options": (sid) => get(sid, { Connection: "close, x" }),
  "a proxy's connection": (sid) => get(sid, { "Proxy-Connection": "close" }),
  "an old browser": (sid) => get(sid, { "User-Agent": "Mozilla/4.0 (compatible;MSIE 8)" }),
  "a body of bytes": (sid) => post(sid, "4a", { "Content-Type": "application/octet-stream" }),
  "a body of a form": (sid) => post(sid, "4a", { "Content-Type": "application/x-www-form-urlencoded" }),
  "a body of no type": (sid) => post(sid, "4a", { "Content-Type": undefined }),
  "a body that is no UTF-8": (sid) => post(sid, "4\xff", { "Content-Length": 2 }),
  "packets that end the session": (sid) => post(sid, "4a\x1e1"),
  "a packet that is none": (sid) => post(sid, "x"),
  "many headers": (sid) => get(sid, Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`X-${i}`, i]))),
  "long headers": (sid) => get(sid, { X: "x".repeat(9000) }),
  "a body that is too large": (sid) => post(sid, `4${"x".repeat(3000)}`),
  "a request behind it": (sid) => post(sid, "4a") + post(sid, "4b"),
  "a request of somebody else's behind it": (sid) =>
    post(sid, "4a") + "GET /other HTTP/1.1\r\nHost: x\r\n\r\n",
};

for (const [name, request] of Object.entries(ODD)) {
  both(
    `an odd request means the same on both roads: ${name}`,
    async (server) => {
      const { sid, conn, log, ends } = await session(server);
      conn.send("hello");
      const other = wire(server);
      other.socket.write(request(sid), "latin1");
      const answers = [await other.answer()];
      if (name.endsWith("behind it") || name === "an expectation") answers.push(await other.answer());
      const said = answers.map((text) => anonymous(text, sid));
      // what the session has heard by now
      const { status } = await new RawPolling(server, "/socket.io/", "EIO=4&transport=nope").poll();
      assert.equal(status, 400);
      return [said, log.list, ends.list.map(([reason, error]) => [reason, error?.message])];
    },
    { io: { maxHttpBufferSize: 2000 } },
  );
}

for (const [name, request] of Object.entries(ODD)) {
  both(
    `an odd request means the same behind ordinary ones: ${name}`,
    async (server) => {
      const { connection, sid, conn, log, ends } = await session(server);
      const said = [await connection.ask(post(sid, "4before"))];
      for (const hello of ["hello", "again"]) {
        conn.send(hello);
        connection.socket.write(request(sid), "latin1");
        said.push(await connection.answer());
        if (name.endsWith("behind it") || name === "an expectation") said.push(await connection.answer());
        if (/^connection: close\r$/im.test(said.at(-1))) {
          // to write more would be a race between the end and a reset
          said.push(await connection.ended());
          break;
        }
        said.push(await connection.ask(post(sid, "4behind")));
      }
      return [
        said.map((text) => anonymous(text, sid)),
        log.list,
        ends.list.map(([reason, error]) => [reason, error?.message]),
      ];
    },
    { io: { maxHttpBufferSize: 2000 } },
  );
}

const PREFLIGHT = {
  Origin: "https://page.example",
  "Access-Control-Request-Method": "POST",
  "Access-Control-Request-Headers": "authorization,x-mine",
};

const preflight = (sid, headers) => get(sid, { ...PREFLIGHT, ...headers }).replace("GET", "OPTIONS");

/** Options, whether a worker answers preflights then, and headers of those. */
const CORS = {
  "any origin": [{}, true],
  "a fixed origin": [{ origin: "https://page.example", credentials: true, maxAge: 60 }, true],
  "another origin": [{ origin: "https://other.example" }, true],
  "a list": [{ origin: ["https://other.example", /page/], methods: ["GET"], exposedHeaders: "X" }, true],
  "the origin of the request": [{ origin: true, allowedHeaders: ["x-mine"] }, true],
  "another status": [{ optionsSuccessStatus: 200 }, true],
  "a status that Node does not know": [{ optionsSuccessStatus: 599 }, false],
  "to be gone on with": [{ preflightContinue: true }, false],
  "no origin": [{ origin: false }, false],
  "no option": [undefined, false],
  "a function": [{ origin: (origin, callback) => callback(null, true) }, false],
  "nothing asked for": [{}, true, { "Access-Control-Request-Headers": undefined, Origin: undefined }],
  "the last of its connection": [{}, true, { Connection: "close" }],
  "headers that are asked for twice": [{}, true, { "ACCESS-CONTROL-REQUEST-HEADERS": "x-more" }],
};

for (const [name, [cors, isAnswered, headers]] of Object.entries(CORS)) {
  for (const isKept of [false, true]) {
    both(
      `a preflight request ${isKept ? "behind ordinary ones" : "at first"}: ${name}`,
      async (server, _t, road) => {
        const { connection, sid } = await session(server);
        const asked = isKept ? connection : wire(server);
        if (isKept) await asked.ask(post(sid, "4a"));
        const said = [await asked.ask(preflight(sid, headers))];
        const isClosed = headers?.Connection === "close";
        if (isClosed) said.push(await asked.ended());
        else said.push(await asked.ask(preflight(undefined, headers)), await asked.ask(post(sid, "4b")));
        // the session is opened by a worker only if nobody has to be asked
        if (road === WORKERS && typeof cors?.origin !== "function") {
          assert.equal(newParsers(), isAnswered ? 0 : 1);
        }
        return said.map((text) => anonymous(text, sid));
      },
      { io: { cors } },
    );
  }
}

both(
  "a preflight request with more behind it, and in parts",
  async (server) => {
    const { sid, log } = await session(server);
    const connection = wire(server);
    connection.socket.write(preflight(sid) + post(sid, "4a"));
    const said = [await connection.answer(), await connection.answer()];
    const text = preflight(sid);
    const other = wire(server);
    other.socket.write(text.slice(0, 4));
    await accepted(server, 3);
    other.socket.write(text.slice(4));
    said.push(await other.answer());
    return [said.map((answer) => anonymous(answer, sid)), log.list];
  },
  { io: { cors: {} } },
);

both("a connection that is shared with the application", async (server) => {
  const { connection, sid, log } = await session(server);
  const answers = [];
  for (const request of [
    post(sid, "4a"),
    "GET /mine HTTP/1.1\r\nHost: x\r\n\r\n",
    post(sid, "4b"),
    "GET /more HTTP/1.1\r\nHost: x\r\n\r\n",
    post(sid, "4c"),
  ]) {
    answers.push(await connection.ask(request));
  }
  assert.equal(await connections(server), 1);
  return [answers.map((text) => anonymous(text, sid)), log.list];
});

both("a request that comes in two parts, wherever it is cut", async (server) => {
  const { connection, sid, conn, log } = await session(server);
  const bodies = [];
  const [whole, poll] = [post(sid, "4é"), get(sid)];
  for (let at = 1; at < whole.length; at += 3) {
    connection.write(whole.slice(0, at));
    await new Promise(setImmediate);
    bodies.push(bodyOf(await connection.ask(whole.slice(at))));
  }
  for (let at = 1; at < poll.length; at += 5) {
    conn.send(String(at));
    connection.write(poll.slice(0, at));
    await new Promise(setImmediate);
    bodies.push(bodyOf(await connection.ask(poll.slice(at))));
  }
  return [bodies, log.list];
});

test("a request that comes before JavaScript has read the one before it", { skip: isStock }, async (t) => {
  const server = await open(t);
  const { connection, sid, log } = await session(server);
  const started = performance.now();
  for (const body of ["4a", "4b"]) {
    connection.write(post(sid, body));
    // the worker takes it meanwhile, and sees the next one come
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  }
  assert.deepEqual([bodyOf(await connection.answer()), bodyOf(await connection.answer())], ["ok", "ok"]);
  assert.deepEqual(log.list, ["a", "b"]);
  assert.ok(performance.now() - started < 4000);
  assert.equal(newParsers(), 0);
});

test("a request whose end is long in coming", async (t) => {
  const server = await open(t);
  const { connection, sid, log, ends } = await session(server);
  const whole = post(sid, "4slow");
  connection.write(whole.slice(0, -3));
  if (!isStock) await parsers.until(1);
  assert.equal(bodyOf(await connection.ask(whole.slice(-3))), "ok");
  assert.equal(bodyOf(await connection.ask(post(sid, "4more"))), "ok");
  assert.deepEqual([log.list, ends.list], [["slow", "more"], []]);
});

both("a client that hangs up in the middle of a body", async (server) => {
  const { sid, ends, log } = await session(server);
  const other = wire(server);
  other.socket.end(post(sid, "4abc").slice(0, -1));
  const [[reason, error]] = await ends.until(1);
  return [reason, error.message, log.list];
});

/** What a client has sent, on a connection of its session, when it resets that. */
const UNDER_WAY = {
  nothing: () => "",
  "half a GET": (sid) => get(sid).slice(0, 30),
  "a GET": (sid) => get(sid),
  "half a POST": (sid) => post(sid, "4abc").slice(0, -1),
};

for (const page of [false, true]) {
  for (const [name, request] of Object.entries(UNDER_WAY)) {
    both(`a client that resets a connection${page ? " of Node's" : ""}, behind ${name}`, async (server) => {
      const faults = new Recorder();
      server.httpServer.on("clientError", (error, socket) => {
        faults.push(`${error.code} ${error.message}`);
        socket.destroy();
      });
      server.io.engine.removeAllListeners("connection");
      const connection = wire(server);
      if (page) await connection.ask("GET /page HTTP/1.1\r\nHost: here\r\n\r\n");
      const sid = sidOf(await connection.ask(get()));
      const conn = server.io.engine.clients[sid];
      const ends = record(conn, "close");
      connection.write(request(sid));
      if (name === "a GET") await waits(conn);
      // it has been looked at
      for (let i = 0; i < 5; i++) await server.request({ path: "/" });
      connection.reset();
      const [fault] = await faults.until(1);
      await accepted(server, 0);
      return [fault, ends.list.map(([reason, error]) => [reason, error.message]), conn.readyState];
    });
  }
}

test("a client that resets its connection behind the GET for a session", async (t) => {
  const server = await open(t);
  const opened = once(server.io.engine, "connection");
  const connection = wire(server);
  // a reset takes with it what has not been read
  server.io.engine.once("connection", () => connection.reset());
  connection.write(get());
  const [conn] = await opened;
  const ends = record(conn, "close");
  await accepted(server, 0);
  // it may have another one
  const other = wire(server);
  conn.send("a");
  let payload = bodyOf(await other.ask(get(conn.id)));
  // the handshake is still there if its answer was not written, and may leave before the message is
  if (/^0\{[^}]+\}$/.test(payload)) payload = bodyOf(await other.ask(get(conn.id)));
  assert.match(payload, /4a$/);
  assert.deepEqual(ends.list, []);
});

for (const how of ["ends its side", "resets the connection"]) {
  both(`a client that ${how} while its GET waits`, async (server) => {
    const { sid, conn, ends } = await session(server);
    const other = wire(server);
    other.write(get(sid));
    await waits(conn);
    if (how === "ends its side") other.socket.end();
    else other.reset();
    const [[reason, error]] = await ends.until(1);
    return [reason, error.message];
  });
}

both("a client that hangs up between two requests does no harm", async (server) => {
  const { connection, conn, sid, ends } = await session(server);
  connection.socket.end();
  await connection.ended();
  await accepted(server, 0);
  conn.send("later");
  const other = wire(server);
  return [bodyOf(await other.ask(get(sid))), ends.list];
});

/** A request that is Node's, wherever others go. */
const ODDLY = { "X-Odd": "\xe9" };

for (const [first, second] of [
  ["{}", "{}"],
  ["{}", "ODDLY"],
  ["ODDLY", "{}"],
]) {
  both(`two GETs at once: ${first}, then ${second}`, async (server) => {
    const headers = { "{}": {}, ODDLY };
    const { sid, conn, ends } = await session(server);
    const [one, two] = [wire(server), wire(server)];
    one.socket.write(get(sid, headers[first]), "latin1");
    await waits(conn);
    two.socket.write(get(sid, headers[second]), "latin1");
    const [[reason, error]] = await ends.until(1);
    return [reason, error.message, bodyOf(await one.answer()), anonymous(await two.answer())];
  });
  both(`two POSTs at once: ${first}, then ${second}`, async (server) => {
    const headers = { "{}": {}, ODDLY };
    const { sid, conn, ends, log } = await session(server);
    const [one, two] = [wire(server), wire(server)];
    one.socket.write(post(sid, "4a", headers[first]).slice(0, -1), "latin1");
    // it has been looked at
    if (first === "ODDLY") await eventually(() => conn._polling.post !== undefined, "it has come to Node");
    for (let i = 0; i < 3; i++) await server.request({ path: "/" });
    two.socket.write(post(sid, "4b", headers[second]), "latin1");
    const [[reason, error]] = await ends.until(1);
    return [reason, error.message, anonymous(await two.answer()), log.list, await one.ended()];
  });
}

test("a connection that is silent between two requests is closed after a while", async (t) => {
  const server = await open(t, { http: { keepAliveTimeout: 1000 } });
  const { connection, opened, conn } = await session(server);
  assert.match(opened, /\r\nKeep-Alive: timeout=1\r\n/);
  assert.equal(await connection.ended(), "FIN");
  await accepted(server, 0);
  assert.equal(conn.readyState, "open");
  assert.equal(newParsers(), isStock ? 1 : 0);
});

both("closeIdleConnections() closes those between whose requests nothing is under way", async (server) => {
  const idle = await session(server);
  const busy = await session(server);
  busy.connection.write(get(busy.sid));
  await waits(busy.conn);
  server.httpServer.closeIdleConnections();
  const end = await idle.connection.ended();
  await accepted(server, 1);
  busy.conn.send("still here");
  return [end, bodyOf(await busy.connection.answer()), busy.ends.list];
});

both("closeAllConnections() ends the sessions whose requests are under way", async (server) => {
  const idle = await session(server);
  const polling = await session(server);
  polling.connection.write(get(polling.sid));
  await waits(polling.conn);
  server.httpServer.closeAllConnections();
  const [[reason, error]] = await polling.ends.until(1);
  await accepted(server, 0);
  await Promise.all([idle.connection.ended(), polling.connection.ended()]);
  return [reason, error.message, idle.ends.list];
});

both("closeAllConnections() ends the session of a POST that is arriving", async (server) => {
  const posting = await session(server);
  const whole = post(posting.sid, "4".repeat(100));
  posting.connection.write(whole.slice(0, -50));
  // whoever asks now is answered by whoever has seen that
  const other = await session(server);
  for (let i = 0; i < 3; i++) assert.equal(bodyOf(await other.connection.ask(post(other.sid, "4x"))), "ok");
  server.httpServer.closeAllConnections();
  const [[reason, error]] = await posting.ends.until(1);
  await accepted(server, 0);
  await posting.connection.ended();
  return [reason, error.message];
});

test("a closed HTTP server ends when its clients have hung up", async (t) => {
  const server = await open(t);
  const { connection, sid, conn } = await session(server);
  connection.write(get(sid));
  await waits(conn);
  const closed = new Promise((resolve) => server.httpServer.close(resolve));
  conn.close();
  assert.match(bodyOf(await connection.answer()), /^1$/);
  connection.destroy();
  await closed;
});

/** Ways for the application to begin to see, while a GET waits, what is answered. */
const BEGINNINGS = {
  "a listener for headers": ({ io }) => {
    io.engine.on("headers", (headers) => (headers["x-seen"] = "yes"));
  },
  "a listener for the headers of one transport": (_, conn) => {
    conn.transport.on("headers", (headers) => (headers["x-seen"] = "yes"));
  },
  "a listener for requests": ({ httpServer }) => {
    httpServer.prependListener("request", (req, res) => res.setHeader("x-seen", "yes"));
  },
};

for (const [name, begin] of Object.entries(BEGINNINGS)) {
  test(`${name} sees the answer to a GET that waits, and what comes then`, { skip: isStock }, async (t) => {
    const server = await open(t);
    const { connection, sid, conn } = await session(server);
    connection.write(get(sid));
    await waits(conn);
    begin(server, conn);
    conn.send("hello");
    const answers = [await connection.answer(), await connection.ask(post(sid, "4a"))];
    const other = wire(server);
    conn.send("more");
    answers.push(await other.ask(get(sid)));
    for (const answer of answers) assert.match(answer, /\r\nx-seen: yes\r\n/);
    assert.deepEqual(answers.map(bodyOf), ["4hello", "ok", "4more"]);
  });
}

test("a middleware that is added while a GET waits sees what comes then", async (t) => {
  const server = await open(t);
  const { connection, sid, conn } = await session(server);
  connection.write(get(sid));
  await waits(conn);
  server.io.engine.use((req, res, next) => {
    res.setHeader("x-seen", "yes");
    next();
  });
  conn.send("hello");
  const answers = [await connection.answer(), await connection.ask(post(sid, "4a"))];
  const other = wire(server);
  conn.send("more");
  answers.push(await other.ask(get(sid)));
  assert.deepEqual(
    answers.map((answer) => answer.includes("\r\nx-seen: yes\r\n")),
    [false, true, true],
  );
  assert.deepEqual(answers.map(bodyOf), ["4hello", "ok", "4more"]);
});

test("a subscriber of Node's channels for requests hears of each", async (t) => {
  const server = await open(t);
  const seen = new Recorder();
  const listener = ({ request }) => seen.push(request.method);
  diagnostics.subscribe("http.server.request.start", listener);
  t.after(() => diagnostics.unsubscribe("http.server.request.start", listener));
  const { connection, sid } = await session(server);
  await connection.ask(post(sid, "4a"));
  assert.deepEqual(seen.list, ["GET", "POST"]);
});

test("what is watched is told of each message", async (t) => {
  const server = await open(t);
  const { connection, sid, conn } = await session(server);
  const flushed = record(conn, "flush");
  conn.send("one");
  assert.equal(conn.writeBuffer.length, 1);
  assert.equal(bodyOf(await connection.ask(get(sid))), "4one");
  assert.deepEqual(
    (await flushed.until(1)).map(([packets]) => packets.map(({ data }) => data)),
    [["one"]],
  );
});

both("what conn.transport and conn.writeBuffer tell", async (server) => {
  const { connection, sid, conn } = await session(server);
  const told = [];
  const tell = () =>
    told.push([conn.transport.writable, conn.writeBuffer.map(({ type, data }) => [type, data])]);
  tell();
  conn.send("one");
  conn.send(Buffer.from([1]));
  tell();
  const answer = await connection.ask(get(sid));
  tell();
  connection.write(get(sid));
  await waits(conn);
  tell();
  conn.send("two");
  tell();
  return [told, bodyOf(answer), bodyOf(await connection.answer())];
});

both("volatile messages are sent to whom a GET waits for", async (server) => {
  server.io.on("connection", (socket) => {
    socket.on("now", () => {
      socket.volatile.emit("lost");
      socket.emit("kept");
    });
  });
  const polling = await RawPolling.connect(server);
  const [socket] = server.io.of("/").sockets.values();
  await polling.post('42["now"]');
  const packets = [await polling.next()];
  const poll = polling.poll();
  await waits(socket.conn);
  socket.volatile.emit("bin", Buffer.from([1]));
  packets.push(...(await poll).packets);
  while (packets.length < 3) packets.push(await polling.next());
  return packets;
});

test("what the application puts into writeBuffer is there when the session ends", async (t) => {
  const server = await open(t);
  const ended = new Promise((resolve) => {
    server.io.engine.once("connection", (conn) => {
      conn.on("close", () => resolve(conn.writeBuffer));
      conn.writeBuffer.push({ type: "message", data: "foo" });
      conn.onError(new Error("over"));
    });
  });
  // the answer to its first request may or may not come
  await RawPolling.open(server).catch(() => {});
  assert.deepEqual(await ended, [{ type: "message", data: "foo" }]);
});

test(
  "nobody waits for a worker to say what was not sent, unless somebody listens for the end",
  { skip: isStock },
  async (t) => {
    const server = await open(t);
    const { native } = server.io.engine._bridge;
    for (const listens of [true, false]) {
      const { sid } = await RawPolling.open(server);
      const conn = server.io.engine.clients[sid];
      if (listens) conn.on("close", () => {});
      conn.send("a");
      const asked = t.mock.method(native, "askPolling");
      conn.onError(new Error("over"));
      assert.equal(asked.mock.callCount() > 0, listens);
      asked.mock.restore();
    }
  },
);

const LONG = "x".repeat(2000);
const INFLATE = { gzip: gunzipSync, deflate: inflateSync };

/** Splits an answer with a body that is plain, or compressed and in chunks. */
function unpack(bytes, sid) {
  const end = bytes.indexOf("\r\n\r\n") + 4;
  const head = anonymous(bytes.subarray(0, end).toString(), sid);
  const encoding = /\r\nContent-Encoding: (\w+)\r\n/.exec(head)?.[1];
  const body =
    encoding === undefined ? bytes.subarray(end) : INFLATE[encoding](readChunks(bytes.subarray(end)).body);
  return { head, encoding, body: body.toString() };
}

/** Has a session answer a GET with a message, and what has been sent before. */
async function answerWith({ connection, sid, conn }, data, headers, options) {
  conn.send(data, options);
  // the worker has it before the GET comes
  assert.notEqual(conn.writeBuffer.length, 0);
  return unpack(await connection.askBytes(get(sid, headers)), sid);
}

/** What clients say that they accept, and what they get. */
const ENCODINGS = [
  [undefined, undefined],
  ["gzip, deflate, br, zstd", "gzip"],
  ["gzip, deflate", "gzip"],
  ["gzip", "gzip"],
  ["GZIP", "gzip"],
  ["deflate", "deflate"],
  ["deflate, gzip", "deflate"],
  ["gzip;q=1.0,deflate;q=0.6,identity;q=0.3", "gzip"],
  ["gzip;q=0.5, deflate;q=0.501", "deflate"],
  ["gzip;q=0, *", "deflate"],
  ["*", "gzip"],
  ["*, deflate", "deflate"],
  ["*;q=0", undefined],
  ["identity", undefined],
  ["identity, *;q=0.1", "gzip"],
  ["br", undefined],
  ["", undefined],
];

/** The same in forms about which there can be two opinions. */
const UNCLEAR_ENCODINGS = [
  ["gzip;q=.5, deflate;q=0.4", "gzip"],
  ["gzip;q=0.1;x=y, deflate", "deflate"],
  ["gzip;Q=0.1, deflate", "gzip"],
  ["gzip;x=y;q=0, deflate;q=0.1", "deflate"],
  ["gzip deflate", undefined],
];

for (const [accepted, expected] of [...ENCODINGS, ...UNCLEAR_ENCODINGS]) {
  test(`an answer to who accepts ${JSON.stringify(accepted)}`, async (t) => {
    const server = await open(t, { io: { cors: { origin: "http://here" } } });
    const talk = await session(server, { Origin: "http://here" });
    const headers = { Origin: "http://here", "Accept-Encoding": accepted };
    const isPlain = (await answerWith(talk, LONG, headers, { compress: false })).encoding === undefined;
    const { head, body } = await answerWith(talk, LONG, headers);
    assert.ok(isPlain);
    assert.equal(body, `4${LONG}`);
    const plain = expected === undefined;
    assert.equal(
      head,
      "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: http://here\r\nVary: Origin\r\n" +
        "Content-Type: text/plain; charset=UTF-8\r\n" +
        (plain ? "Content-Length: 2001\r\n" : `Content-Encoding: ${expected}\r\n`) +
        "cache-control: no-store\r\nDate: <date>\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n" +
        (plain ? "\r\n" : "Transfer-Encoding: chunked\r\n\r\n"),
    );
    // the connection is as good as before
    assert.equal(bodyOf(await talk.connection.ask(post(talk.sid, "4a", headers))), "ok");
    if (!isStock) assert.equal(newParsers(), ENCODINGS.some(([it]) => it === accepted) ? 0 : 1);
  });
}

const GZIP = { "Accept-Encoding": "gzip" };

both(
  "an answer is compressed from the threshold on",
  async (server) => {
    const talk = await session(server);
    const seen = [];
    for (const length of [98, 99, 100]) seen.push(await answerWith(talk, "x".repeat(length), GZIP));
    for (const length of [72, 73, 76]) seen.push(await answerWith(talk, Buffer.alloc(length), GZIP));
    talk.conn.send("éx");
    seen.push(await answerWith(talk, "é".repeat(47), GZIP));
    assert.deepEqual(
      seen.map(({ encoding }) => encoding),
      [undefined, "gzip", "gzip", undefined, "gzip", "gzip", "gzip"],
    );
    return seen;
  },
  { io: { httpCompression: { threshold: 100 } } },
);

both(
  "the first answer is compressed as well",
  async (server) => {
    server.io.engine.generateId = () => "first";
    const answers = [];
    for (const accepted of ["gzip, deflate", "deflate", "identity", "gzip;q=.5"]) {
      const connection = wire(server);
      answers.push(
        unpack(await connection.askBytes(get(undefined, { "Accept-Encoding": accepted })), "first"),
      );
      connection.destroy();
      server.io.engine.clients.first.close();
    }
    const encodings = answers.map(({ encoding }) => encoding);
    assert.deepEqual(encodings, ["gzip", "deflate", undefined, "gzip"]);
    return answers;
  },
  { io: { httpCompression: { threshold: 0 }, cookie: true } },
);

test("an answer is not compressed if none of its packets may be", async (t) => {
  const server = await open(t);
  const polling = await RawPolling.connect(server);
  const [socket] = server.io.of("/").sockets.values();
  const seen = [];
  const see = async () => {
    const { headers } = await polling.poll(GZIP);
    seen.push(headers["content-encoding"]);
  };
  for (const emitter of [server.io.compress(false), socket.compress(false), server.io, socket]) {
    emitter.emit("long", LONG);
    await see();
  }
  socket.compress(false).emit("long", LONG);
  socket.emit("short");
  assert.equal(socket.conn.writeBuffer.length, 2);
  await see();
  assert.deepEqual(seen, [undefined, undefined, "gzip", "gzip", "gzip"]);
  if (!isStock) assert.equal(newParsers(), 0);
});

/** What middlewares do, and the encoding that it leads to for who has asked for gzip. */
const MIDDLEWARES = {
  "one that adds a header": [(req, res) => res.setHeader("x-seen", req.headers["accept-encoding"]), "gzip"],
  "one that forbids encodings": [(req) => delete req.headers["accept-encoding"], undefined],
  "one that wants another": [(req) => (req.headers["accept-encoding"] = "deflate"), "deflate"],
  "one that makes headers anew": [
    (req) => (req.headers = { ...req.headers, "accept-encoding": "deflate" }),
    "deflate",
  ],
};

for (const [name, [act, expected]] of Object.entries(MIDDLEWARES)) {
  test(`a middleware and a compressed answer: ${name}`, async (t) => {
    const server = await open(t, { io: { httpCompression: { threshold: 10 } } });
    server.io.engine.use((req, res, next) => {
      act(req, res);
      next();
    });
    server.io.engine.removeAllListeners("connection");
    server.io.engine.generateId = () => "same";
    const opened = unpack(await wire(server).askBytes(get(undefined, GZIP)), "same");
    newParsers();
    const talk = { connection: wire(server), sid: "same", conn: server.io.engine.clients.same };
    const answer = await answerWith(talk, LONG, GZIP);
    assert.deepEqual([opened.encoding, answer.encoding], [expected, expected]);
    assert.equal(answer.body, `4${LONG}`);
    assert.equal(answer.head.includes("\r\nx-seen: gzip\r\n"), name === "one that adds a header");
    if (!isStock) assert.equal(newParsers(), expected === "gzip" ? 0 : 1);
  });
}

test("a connection is closed behind a compressed answer if the client wants that", async (t) => {
  const server = await open(t);
  const talk = await session(server);
  const { head, body } = await answerWith(talk, LONG, { ...GZIP, Connection: "close" });
  assert.equal(body, `4${LONG}`);
  assert.match(head, /\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n$/);
  assert.equal(await talk.connection.ended(), "FIN");
  if (!isStock) assert.equal(newParsers(), 0);
});

/** Values of the option `httpCompression`, the encoding that they lead to, and who it is that answers. */
const COMPRESSIONS = [
  [false, undefined, WORKERS],
  [true, "gzip", WORKERS],
  [{}, "gzip", WORKERS],
  [{ threshold: 2001, level: 0 }, "gzip", WORKERS],
  [{ threshold: 2001, level: 9 }, "gzip", WORKERS],
  [{ threshold: 2001, level: -1 }, "gzip", WORKERS],
  [{ threshold: 2002 }, undefined, WORKERS],
  [{ threshold: 100, memLevel: 1 }, "gzip", NODE],
  [{ threshold: 100, level: 1.5 }, "gzip", NODE],
];

for (const [httpCompression, expected, road] of COMPRESSIONS) {
  test(`httpCompression: ${JSON.stringify(httpCompression)}`, async (t) => {
    const server = await open(t, { io: { httpCompression } });
    const talk = await session(server);
    newParsers();
    talk.conn.send(LONG);
    const bytes = await talk.connection.askBytes(get(talk.sid, GZIP));
    const { encoding, body } = unpack(bytes, talk.sid);
    assert.deepEqual([encoding, body], [expected, `4${LONG}`]);
    assert.equal(bytes.length > 2000, encoding === undefined || httpCompression.level === 0);
    if (!isStock) assert.equal(newParsers(), road === NODE ? 1 : 0);
  });
}

test("a long compressed answer to a client that takes its time", async (t) => {
  const server = await open(t);
  const { connection, sid, conn } = await session(server);
  // text that deflate makes little of
  const text = randomBytes(3e6).toString("base64");
  conn.send(text);
  connection.socket.pause();
  connection.write(get(sid, GZIP));
  await eventually(() => conn.writeBuffer.length === 0, "the answer on its way");
  connection.socket.resume();
  const { encoding, body } = unpack(await connection.answerBytes(), sid);
  assert.equal(encoding, "gzip");
  assert.ok(body === `4${text}`);
  assert.equal(bodyOf(await connection.ask(post(sid, "4a"))), "ok");
  if (!isStock) assert.equal(newParsers(), 0);
});

for (const accepted of ["gzip", "gzip;q=.5"]) {
  both(
    `the last answer of a session that the application closes, to who accepts ${accepted}`,
    async (server) => {
      const { connection, sid, conn, ends } = await session(server);
      conn.send(LONG);
      conn.close();
      const headers = { "Accept-Encoding": accepted };
      const answers = [unpack(await connection.askBytes(get(sid, headers)), sid)];
      if (ends.list.length === 0) answers.push(unpack(await connection.askBytes(get(sid, headers)), sid));
      return [answers, await ends.until(1)];
    },
  );
}

for (const how of ["resets the connection", "leaves by the session's end"]) {
  both(`a client that ${how} in the middle of a compressed answer`, async (server) => {
    const { sid, conn, ends } = await session(server);
    const other = wire(server);
    conn.send(randomBytes(6e6).toString("base64"));
    other.write(get(sid, GZIP));
    await other.changes.until(1);
    if (how === "resets the connection") other.reset();
    else conn.close();
    return [ends.list.length, await accepted(server, 1)];
  });
}

both("an answer of many megabytes to a client that takes its time", async (server) => {
  const { connection, sid, conn } = await session(server);
  conn.send("x".repeat(8e6));
  connection.socket.pause();
  connection.write(get(sid));
  await eventually(() => conn.writeBuffer.length === 0, "the answer on its way");
  connection.socket.resume();
  const answer = await connection.answer();
  return [bodyOf(answer).length, bodyOf(await connection.ask(post(sid, "4a")))];
});

both("the request that a session began with", async (server) => {
  const { connection, conn } = await session(server, { Cookie: "a=b", "X-Same": "1" });
  const { request } = conn;
  const { url, method, httpVersion, headers, rawHeaders, complete, _query } = request;
  const { remoteAddress, remoteFamily, localAddress, localPort, remotePort, destroyed } = request.socket;
  assert.equal(conn.request, request);
  assert.deepEqual([remotePort, localPort], [connection.socket.localPort, server.port]);
  assert.equal(request.socket.server, server.httpServer);
  connection.socket.end();
  await eventually(() => request.socket.destroyed, "the end of the socket");
  return [
    { url, method, httpVersion, headers, rawHeaders, complete, _query },
    { remoteAddress, remoteFamily, localAddress, destroyed, now: conn.remoteAddress },
  ];
});

both("the application destroys the socket of the first request", async (server) => {
  const { connection, conn, sid, ends } = await session(server);
  const { socket } = conn.request;
  connection.write(get(sid));
  await waits(conn);
  socket.destroy();
  const [[reason, error]] = await ends.until(1);
  await connection.ended();
  await accepted(server, 0);
  return [reason, error.message];
});

for (const workers of [1, 4]) {
  test(
    `an upgrade of a session that polls past Node, with ${workers} workers`,
    { skip: isStock },
    async (t) => {
      const server = await open(t, { io: { workers } });
      for (let i = 0; i < 6; i++) {
        const { connection, sid, conn } = await session(server);
        connection.write(get(sid));
        await waits(conn);
        const ws = await RawWebSocket.upgrade(server, { query: `EIO=4&transport=websocket&sid=${sid}` });
        ws.text("2probe");
        assert.equal(await ws.next(), "3probe");
        assert.equal(bodyOf(await connection.answer()), "6");
        conn.send("by the WebSocket");
        const upgraded = once(conn, "upgrade");
        ws.text("5");
        await upgraded;
        assert.equal(await ws.next(), "4by the WebSocket");
        assert.match(await connection.ask(get(sid)), /^HTTP\/1.1 400 /);
        assert.equal(conn.request.url, target());
      }
      // each of the last requests
      assert.equal(newParsers(), 6);
    },
  );
}

both("a second WebSocket for a session that is upgrading", async (server) => {
  const { sid, ends } = await session(server);
  const query = `EIO=4&transport=websocket&sid=${sid}`;
  await RawWebSocket.upgrade(server, { query });
  const second = server.keep(new RawWebSocket(server));
  second.write(upgradeRequest(`/socket.io/?${query}`));
  await second.answered();
  return [second.status, await second.closed(), ends.list];
});

test("descriptors are closed when clients are gone", { skip: process.platform !== "linux" }, async (t) => {
  const server = await open(t, { io: isStock ? {} : { workers: 2 } });
  const round = async () => {
    const clients = await server.pairs(10, "/", { transports: ["polling"] });
    for (const { client } of clients) client.disconnect();
    await eventually(() => server.io.engine.clientsCount === 0, "the ends");
    await accepted(server, 0);
  };
  await round();
  const open1 = () => fs.readdirSync("/proc/self/fd").length;
  await eventually(() => true, "a moment");
  const before = open1();
  await round();
  await eventually(() => open1() <= before, "as few descriptors as before");
});
