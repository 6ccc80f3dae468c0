"use strict";

// Browsers send everything over the connections that they have: pages, requests of the application, those of clients that
// poll. What Node has answered comes back to the workers, and to Node again with what is not theirs; nobody can tell.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");
const test = require("node:test");
const { isStock, sio, adopt, eventually, once, record, Recorder } = require("./support/harness");
const { accepted, connections, newParsers, observe } = require("./support/parsers");
const { bodyOf, get, post, sidOf, wire } = require("./support/wire");

const NODE = "Node's HTTP server";
const WORKERS = "the workers";

const PAGE = "GET /page HTTP/1.1\r\nHost: here\r\n\r\n";

/** A server that listens, and whose application notes the sockets that it sees. */
async function open(t, { http: options = {}, io: engineOptions, use, road = WORKERS, app = answer } = {}) {
  const sockets = [];
  const httpServer = http.createServer(options, (req, res) => {
    sockets.push(req.socket);
    app(req, res);
  });
  const io = new sio.Server(httpServer, { serveClient: false, ...engineOptions });
  // this makes all requests Node's
  if (road === NODE) observe(httpServer);
  if (use !== undefined) io.engine.use(use);
  httpServer.listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  const server = adopt(t, io, httpServer.address().port);
  // the engine's by itself: Socket.IO would close it for messages that are none of its packets
  io.engine.removeAllListeners("connection");
  // what it takes is tried out first
  io.engine._roads?.();
  return Object.assign(server, { httpServer, road, sockets });
}

function answer(req, res) {
  res.end(`${req.method} ${req.url}`);
}

/** Runs the same where all is Node's, and where it is not, and compares what it returns. */
function both(name, run, how = {}) {
  test(name, { skip: isStock }, async (t) => {
    const seen = [];
    for (const road of [NODE, WORKERS]) seen.push(await run(await open(t, { ...how, road }), t));
    assert.deepEqual(seen[1], seen[0]);
  });
}

const anonymous = (text, sid) => text.replaceAll(/Date: [^\r]+/g, "Date: <date>").replaceAll(sid, "<sid>");

/** How many connections of Node's are with the workers. */
const keptBy = ({ io }) => io.engine._roads().streams.KeptArrival ?? 0;

/** Waits until so many are. */
async function kept(server, count = 1) {
  if (server.road === WORKERS) await eventually(() => keptBy(server) === count, `${count} kept connections`);
}

/** A GET of a session waits. */
const waits = (conn) => eventually(() => conn.transport.writable, "a GET that waits");

/** A connection that begins with a page, and goes on with a session. */
async function session(server, headers) {
  const connection = wire(server);
  const before = server.road === WORKERS ? keptBy(server) : 0;
  const page = await connection.ask(PAGE);
  const opened = await connection.ask(get(undefined, headers));
  const sid = sidOf(opened);
  const conn = server.io.engine.clients[sid];
  await kept(server, before + 1);
  const log = new Recorder();
  conn.on("message", (message) => log.push(message));
  return {
    connection,
    page,
    opened,
    sid,
    conn,
    log,
    ends: record(conn, "close"),
    socket: server.sockets.at(-1),
  };
}

/** How many bytes Node itself has read of a connection. */
const readByNode = (socket) => socket._handle.bytesRead;

for (const workers of [1, 3]) {
  both(
    `a page, then polling, then requests of the application, with ${workers} workers`,
    async (server) => {
      const { connection, page, opened, sid, conn, log, socket, ends } = await session(server);
      const answers = [page, opened];
      const before = readByNode(socket);
      for (let round = 0; round < 3; round++) {
        answers.push(await connection.ask(post(sid, "4é")));
        conn.send(`hello ${round}`);
        answers.push(await connection.ask(get(sid)));
        const waiting = connection.ask(get(sid));
        await waits(conn);
        conn.send("later");
        answers.push(await waiting);
        answers.push(await connection.ask(PAGE));
        await kept(server);
      }
      if (server.road === WORKERS) assert.equal(readByNode(socket) - before, 3 * PAGE.length);
      assert.ok(server.sockets.every((it) => it === socket));
      assert.equal(await connections(server), 1);
      connection.socket.end();
      return [answers.map((text) => anonymous(text, sid)), log.list, ends.list, await connection.ended()];
    },
    { io: { workers, cors: { origin: "http://here" } } },
  );
}

test("polling, then a request of the application, then polling", { skip: isStock }, async (t) => {
  const server = await open(t);
  newParsers();
  const connection = wire(server);
  const sid = sidOf(await connection.ask(get()));
  for (let round = 0; round < 3; round++) {
    for (let posts = 0; posts < 3; posts++) assert.equal(bodyOf(await connection.ask(post(sid, "4a"))), "ok");
    if (round === 0) assert.equal(newParsers(), 0);
    await connection.ask(PAGE);
    await kept(server);
  }
  assert.equal(newParsers(), 1);
  assert.equal(readByNode(server.sockets[0]), 3 * PAGE.length);
});

test("who sends nothing more for a session stays with Node", { skip: isStock }, async (t) => {
  const server = await open(t);
  const pages = wire(server);
  const { connection, sid, socket } = await session(server);
  await pages.ask(PAGE);
  await connection.ask(PAGE);
  const before = readByNode(socket);
  for (let count = 0; count < 3; count++) {
    await connection.ask(PAGE);
    await pages.ask(PAGE);
    assert.equal(keptBy(server), 0);
  }
  assert.equal(readByNode(socket) - before, 3 * PAGE.length);
  for (let posts = 0; posts < 2; posts++) await connection.ask(post(sid, "4a"));
  await kept(server);
});

test("a session that is none of the workers' stays with Node", { skip: isStock }, async (t) => {
  const server = await open(t, { io: { allowEIO3: true } });
  for (const more of ["EIO=3", "EIO=4&j=0", "EIO=4&b64=1"]) {
    const connection = wire(server);
    await connection.ask(PAGE);
    const legacy = (text) => text.replace("EIO=4", more);
    const sid = /"sid\\?":\\?"([^"\\]+)/.exec(await connection.ask(legacy(get())))[1];
    await connection.ask(legacy(post(sid, more === "EIO=3" ? "2:4a" : "4a")));
    const before = keptBy(server);
    await connection.ask(PAGE);
    assert.equal(keptBy(server), before, more);
  }
});

/** What the application does to a socket so that it would notice, or wants to have it as it is. */
const CLAIMS = {
  "a listener for data": (socket) => socket.on("data", () => {}),
  "a listener for its end": (socket) => socket.on("end", () => {}),
  "a listener for its timeout": (socket) => socket.on("timeout", () => {}),
  "a time limit of its own": (socket) => socket.setTimeout(60_000),
};

for (const [name, claim] of Object.entries(CLAIMS)) {
  test(`a connection to which the application lays claim stays with Node: ${name}`, async (t) => {
    const server = await open(t, {
      app(req, res) {
        // the server has set its own time limit by then
        res.on("finish", () => claim(req.socket));
        res.end("page");
      },
    });
    const connection = wire(server);
    const sid = sidOf(await connection.ask(get()));
    await connection.ask(PAGE);
    if (!isStock) assert.equal(keptBy(server), 0);
    const request = post(sid, "4a");
    assert.equal(bodyOf(await connection.ask(request)), "ok");
    const [socket] = server.sockets;
    assert.ok(socket.bytesRead >= PAGE.length + request.length);
  });
}

both("what Node has read of a connection counts for those who are shown a later request", async (server) => {
  const counts = [];
  server.io.engine.use((req, res, next) => {
    counts.push(req.socket.bytesRead);
    next();
  });
  const connection = wire(server);
  const page = PAGE.replace("/page", `/page?${"x".repeat(1000)}`);
  await connection.ask(page);
  const sid = sidOf(await connection.ask(get()));
  await kept(server);
  await connection.ask(post(sid, "4a"));
  assert.equal(counts.length, 2);
  for (const count of counts) assert.ok(count >= page.length, `${count} of at least ${page.length}`);
});

/** Has a connection be with the workers, and be worth it. */
async function comeBack(server, connection, sid) {
  if (server.road === NODE) return;
  while (keptBy(server) === 0) await connection.ask(post(sid, "4."));
  for (let posts = 0; posts < 3; posts++) await connection.ask(post(sid, "4."));
}

/** What was not said for that. */
const said = ({ list }) => list.filter((message) => message !== ".");

both("requests that come together", async (server) => {
  const { connection, sid, log } = await session(server);
  const answers = [];
  await comeBack(server, connection, sid);
  for (const requests of [
    [PAGE, PAGE],
    [post(sid, "4a"), PAGE],
    [PAGE, post(sid, "4b")],
    [post(sid, "4c"), post(sid, "4d")],
    [post(sid, "4e"), PAGE, post(sid, "4f")],
  ]) {
    connection.write(requests.join(""));
    for (let count = 0; count < requests.length; count++) answers.push(await connection.answer());
    await comeBack(server, connection, sid);
  }
  return [answers.map((text) => anonymous(text, sid)), said(log)];
});

both("a request that comes in two parts, wherever it is cut", async (server) => {
  const { connection, sid, log } = await session(server);
  const bodies = [];
  for (const request of [post(sid, "4é"), PAGE]) {
    for (let at = 1; at < request.length; at += 7) {
      connection.write(request.slice(0, at));
      await new Promise(setImmediate);
      bodies.push(bodyOf(await connection.ask(request.slice(at))));
      await comeBack(server, connection, sid);
    }
  }
  return [bodies, said(log)];
});

test("a connection that is silent after an answer of Node's is closed after a while", async (t) => {
  const server = await open(t, { http: { keepAliveTimeout: 1000 } });
  const connection = wire(server);
  await connection.ask(PAGE);
  await connection.ask(get());
  if (!isStock) await kept(server);
  const closed = once(server.sockets[0], "close");
  assert.equal(await connection.ended(), "FIN");
  assert.deepEqual(await closed, [false]);
  await accepted(server, 0);
});

both(
  "a GET that waits is answered, however long that takes",
  async (server) => {
    const { connection, sid, conn } = await session(server);
    const waiting = connection.ask(get(sid));
    await waits(conn);
    await new Promise((resolve) => setTimeout(resolve, 2500));
    conn.send("late");
    return bodyOf(await waiting);
  },
  { http: { keepAliveTimeout: 1000 } },
);

both("closeIdleConnections() closes those between whose requests nothing is under way", async (server) => {
  const idle = await session(server);
  const busy = await session(server);
  busy.connection.write(get(busy.sid));
  await waits(busy.conn);
  server.httpServer.closeIdleConnections();
  const end = await idle.connection.ended();
  await accepted(server, 1);
  busy.conn.send("still here");
  return [end, bodyOf(await busy.connection.answer()), busy.ends.list, idle.socket.destroyed];
});

both("closeAllConnections() ends the sessions whose requests are under way", async (server) => {
  const idle = await session(server);
  const busy = await session(server);
  busy.connection.write(get(busy.sid));
  await waits(busy.conn);
  server.httpServer.closeAllConnections();
  const [[reason, error]] = await busy.ends.until(1);
  await accepted(server, 0);
  await Promise.all([idle.connection.ended(), busy.connection.ended()]);
  return [reason, error.message, idle.ends.list];
});

for (const how of ["ends its side", "resets the connection"]) {
  for (const where of ["between two requests", "while its GET waits"]) {
    both(`a client that ${how} ${where}`, async (server) => {
      const faults = new Recorder();
      server.httpServer.on("clientError", (error, socket) => {
        faults.push(error.code);
        socket.destroy();
      });
      const { connection, sid, conn, ends, socket } = await session(server);
      const closed = once(socket, "close");
      if (where === "while its GET waits") {
        connection.write(get(sid));
        await waits(conn);
      }
      if (how === "ends its side") connection.socket.end();
      else connection.reset();
      await closed;
      await accepted(server, 0);
      return [ends.list.map(([reason, error]) => [reason, error?.message]), faults.list];
    });
  }
}

both("the application destroys the socket while a GET waits", async (server) => {
  const { connection, sid, conn, ends, socket } = await session(server);
  connection.write(get(sid));
  await waits(conn);
  socket.destroy();
  const [[reason, error]] = await ends.until(1);
  await accepted(server, 0);
  return [reason, error.message, await connection.ended()];
});

both("a listener for requests sees the next of a connection that a worker had", async (server) => {
  const { connection, sid } = await session(server);
  await connection.ask(post(sid, "4a"));
  const urls = [];
  server.httpServer.prependListener("request", ({ url }) => urls.push(url));
  await connection.ask(post(sid, "4b"));
  await connection.ask(PAGE);
  return urls.map((url) => url.replace(sid, "<sid>"));
});

both("an upgrade over a connection that has carried requests", async (server) => {
  const { connection, sid, conn } = await session(server);
  await connection.ask(post(sid, "4a"));
  const key = "dGhlIHNhbXBsZSBub25jZQ==";
  const upgraded = await connection.ask(
    get(sid, {
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Key": key,
      "Sec-WebSocket-Version": "13",
    }).replace("polling", "websocket"),
  );
  const upgrading = once(conn, "upgrading");
  // "2probe", masked with zeros
  connection.write(Buffer.from("8186000000003270726f6265", "hex"));
  await upgrading;
  return [anonymous(upgraded, sid), conn.request.url, conn.request.socket === server.sockets[0]];
});

both("the request that a session began with", async (server) => {
  const { conn, connection, socket, sid } = await session(server, { Cookie: "a=b" });
  const { request } = conn;
  await connection.ask(post(sid, "4a"));
  const second = wire(server);
  await second.ask(PAGE);
  const other = server.io.engine.clients[sidOf(await connection.ask(get()))];
  return [
    [request, other.request].map((it) => [
      it.url,
      it.headers.cookie,
      it.socket === socket,
      it.socket.destroyed,
    ]),
    other.remoteAddress,
  ];
});

/** Middlewares, and what they do. */
const MIDDLEWARES = {
  "one that answers some handshakes by itself, and lets the rest pass": (req, res, next) => {
    if (req._query.sid) return next();
    // as express-session does
    const { end } = res;
    res.end = function (...args) {
      return end.apply(this, args);
    };
    next();
  },
  "one that adds a header": (req, res, next) => {
    res.setHeader("X-Seen", req.method);
    next();
  },
  "one that refuses": (req, res, next) => (req.headers.refused ? next(new Error("no")) : next()),
};

for (const [name, use] of Object.entries(MIDDLEWARES)) {
  both(
    `middlewares see each request once: ${name}`,
    async (server) => {
      const { connection, page, opened, sid, conn, log } = await session(server);
      const answers = [page, opened];
      for (let round = 0; round < 2; round++) {
        answers.push(await connection.ask(post(sid, "4a")));
        conn.send("b");
        answers.push(await connection.ask(get(sid)));
        answers.push(await connection.ask(get(sid, { refused: "yes" }).replace("sid=", `sid=${round}`)));
        answers.push(await connection.ask(PAGE));
      }
      return [answers.map((text) => anonymous(text, sid)), log.list];
    },
    { use },
  );
}

test(
  "a middleware that answers everything by itself keeps everything with Node",
  { skip: isStock },
  async (t) => {
    const seen = [];
    const server = await open(t, {
      use(req, res, next) {
        seen.push(req);
        res.on("finish", () => {});
        next();
      },
    });
    const travelling = [];
    for (let count = 0; count < 6; count++) {
      const connection = wire(server);
      const before = keptBy(server);
      await connection.ask(PAGE);
      const sid = sidOf(await connection.ask(get()));
      travelling.push(server.io.engine.clients[sid]._polling.isTravelling);
      for (let posts = 0; posts < 5; posts++) {
        assert.equal(bodyOf(await connection.ask(post(sid, "4a"))), "ok");
      }
      if (!travelling.at(-1)) assert.equal(keptBy(server), before);
    }
    assert.equal(seen.length, 36);
    // two for each, until it has become clear that nothing comes of it
    assert.deepEqual(travelling, [true, true, true, true, false, false]);
  },
);

test("a server with kept connections ends when they are closed", async (t) => {
  const server = await open(t);
  const connection = wire(server);
  await connection.ask(PAGE);
  await connection.ask(get());
  if (!isStock) await kept(server);
  const closed = new Promise((resolve) => server.httpServer.close(resolve));
  assert.equal(await connection.ended(), "FIN");
  await closed;
});

test("requests over one connection of a Unix socket, as proxies send them", async (t) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "kept-"));
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const socketPath = path.join(directory, "socket");
  const httpServer = http.createServer(answer);
  const io = new sio.Server(httpServer, { serveClient: false });
  t.after(() => io.close());
  httpServer.listen(socketPath);
  await once(httpServer, "listening");
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const ask = (target) =>
    new Promise((resolve, reject) => {
      const request = http.get({ socketPath, agent, path: target }, (response) => {
        response.resume().on("end", () => resolve(response.statusCode));
      });
      request.on("error", reject);
    });
  for (let count = 0; count < 5; count++) {
    assert.equal(await ask("/socket.io/?EIO=4&transport=polling"), 200);
    assert.equal(await ask("/page"), 200);
  }
  assert.equal(io.engine.clientsCount, 5);
});
