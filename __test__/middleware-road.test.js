"use strict";

// The application sees requests of connections that workers have: middlewares, allowRequest, ids of its own. What it lets
// pass is answered by a worker; anything else by JavaScript, with the objects that it was shown. Nobody can tell the
// difference from requests that come by Node's HTTP server.

const assert = require("node:assert/strict");
const http = require("node:http");
const test = require("node:test");
const {
  isStock,
  sio,
  adopt,
  eventually,
  once,
  upgradeRequest,
  RawConnection,
  RawWebSocket,
} = require("./support/harness");
const { accepted, newParsers, observe } = require("./support/parsers");

const NODE = "Node's HTTP server";
const WORKERS = "the workers";

/** A server that listens, and answers what is not its own. */
async function open(t, { use, io: engineOptions, road = WORKERS } = {}) {
  const httpServer = http.createServer((req, res) => res.end(`${req.method} ${req.url}`));
  const io = new sio.Server(httpServer, { serveClient: false, ...engineOptions });
  if (road === NODE) observe(httpServer);
  httpServer.listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  const server = adopt(t, io, httpServer.address().port);
  server.httpServer = httpServer;
  // the engine's by itself: Socket.IO would close it for messages that are none of its packets
  io.engine.removeAllListeners("connection");
  server.log = [];
  io.engine.on("connection", (conn) => {
    server.log.push(`connection ${conn.transport.name} ${conn.remoteAddress}`);
    conn.on("message", (message) => server.log.push(`message ${message}`));
    conn.on("close", (reason, description) =>
      server.log.push(`close ${reason} ${description?.message ?? ""}`),
    );
  });
  io.engine.on("connection_error", ({ code, message, context }) => {
    server.log.push(`connection_error ${code} ${message} ${context?.name ?? context?.message ?? ""}`);
  });
  if (use !== undefined) io.engine.use(use(server));
  // whether requests can be shown is tried out first
  io.engine._roads?.();
  newParsers();
  return server;
}

/** A connection whose answers are read one by one. */
class Wire extends RawConnection {
  /** The next answer, as text; what there is if the connection ends. */
  async answer() {
    let end;
    await this.changes.until(() => {
      const text = this.received.toString("latin1");
      const head = text.indexOf("\r\n\r\n");
      if (head === -1) return this.end !== null;
      const length = /^content-length: (\d+)$/im.exec(text.slice(0, head))?.[1];
      end = head + 4 + Number(length ?? 0);
      const isChunked = /^transfer-encoding: chunked$/im.test(text.slice(0, head));
      if (isChunked) end = text.indexOf("0\r\n\r\n", head) + 5;
      return (end > head && this.received.length >= end) || this.end !== null;
    });
    const text = this.received.subarray(0, end).toString("latin1");
    this.received = this.received.subarray(end ?? this.received.length);
    return text;
  }

  /** Sends a request, and resolves with its answer. */
  ask(text) {
    this.write(text);
    return this.answer();
  }
}

const wire = (server) => server.keep(new Wire(server));

const target = (sid, transport = "polling") =>
  `/socket.io/?EIO=4&transport=${transport}${sid === undefined ? "" : `&sid=${sid}`}`;

const get = (sid, more = "") => `GET ${target(sid)} HTTP/1.1\r\nHost: here\r\n${more}\r\n`;

const post = (sid, body) =>
  `POST ${target(sid)} HTTP/1.1\r\nHost: here\r\nContent-Type: text/plain;charset=UTF-8\r\n` +
  `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

const sidOf = (answer) => /"sid":"([^"]+)"/.exec(answer)?.[1];
const bodyOf = (answer) => answer.slice(answer.indexOf("\r\n\r\n") + 4);

/** What does not depend on when and for whom it was said. */
const anonymous = (text) =>
  String(text)
    .replaceAll(/Date: [^\r]+/g, "Date: <date>")
    .replaceAll(/"sid":"[^"]+"/g, "<sid>")
    .replaceAll(/(sid|io)=[-\w]+/g, "$1=<sid>");

/** A GET of a session waits. */
const waits = (conn) => eventually(() => conn.transport.writable, "a GET that waits");

/** Runs the same on both roads, and compares what it returns. */
function both(name, run, how = {}) {
  test(name, { skip: isStock }, async (t) => {
    const seen = [];
    for (const road of [NODE, WORKERS]) seen.push(await run(await open(t, { ...how, road }), road));
    assert.deepEqual(seen[1], seen[0]);
  });
}

/** Middlewares whose requests are answered by workers. */
const PASSING = {
  "one that lets everything pass": () => (req, res, next) => next(),
  "one that takes a while": () => (req, res, next) => setTimeout(next, 5),
  "one that is asynchronous": () => async (req, res, next) => {
    await new Promise(setImmediate);
    next();
  },
  "one that sets headers": () => (req, res, next) => {
    res.setHeader("X-One", "1");
    res.setHeader("x-number", 2);
    res.setHeader("X-List", ["a", "b"]);
    res.setHeader("Set-Cookie", ["a=1", "b=2"]);
    res.setHeader("X-Removed", "1");
    res.removeHeader("x-removed");
    next();
  },
  "one that looks at everything": (server) => (req, res, next) => {
    const { method, url, httpVersion, rawHeaders, headers, upgrade, _query, aborted, readable } = req;
    const isUpgrade = req.headers.upgrade !== undefined;
    const seen = { method, url, httpVersion, rawHeaders, headers, upgrade, _query, aborted, readable };
    server.log.push(anonymous(JSON.stringify(seen)));
    server.log.push(`${req instanceof http.IncomingMessage} ${res instanceof http.ServerResponse}`);
    server.log.push(
      `${req.socket === res.socket} ${req.connection === req.socket} ${req.client === req.socket}`,
    );
    server.log.push(`${req.socket.remoteAddress} ${req.socket.remotePort > 0} ${req.socket.localAddress}`);
    server.log.push(
      `${req.socket.server === server.httpServer} ${req.socket.readable} ${req.socket.writable}`,
    );
    server.log.push(`${req.socket.destroyed} ${req.socket.constructor.name} ${req.socket.encrypted}`);
    server.log.push(
      `${res.headersSent} ${res.statusCode} ${res.req === req} ${isUpgrade || req.res === res}`,
    );
    next();
  },
  "one that gives the objects other prototypes": () => {
    const [request, response] = [http.IncomingMessage, http.ServerResponse].map(({ prototype }) =>
      Object.create(prototype, { own: { get: () => "own" } }),
    );
    return (req, res, next) => {
      Object.setPrototypeOf(req, request);
      Object.setPrototypeOf(res, response);
      res.setHeader("X-Own", `${req.own} ${res.own} ${req.socket === res.socket}`);
      next();
    };
  },
};

/** Middlewares that do more than that. */
const TAKING = {
  "one that refuses": () => (req, res, next) => next(new Error("no")),
  "one that makes other headers of those of the request": () => (req, res, next) => {
    req.headers = { "x-other": "1" };
    res.once("finish", () => {});
    next();
  },
  "one that refuses requests of sessions": () => (req, res, next) =>
    next(req._query.sid === undefined ? undefined : new Error("no")),
  "one that throws": () => () => {
    throw new Error("no");
  },
  "one that answers": () => (req, res) => res.end("no"),
  "one that answers later": () => (req, res) => setTimeout(() => res.end("no"), 5),
  "one that answers with a head": () => (req, res) => res.writeHead(401, { "X-Own": "1" }).end("no"),
  "one that answers POSTs": () => (req, res, next) =>
    req.method === "POST" ? res.writeHead(403, { "X-Own": "1" }).end("no") : next(),
  "one that answers in parts": () => (req, res) => {
    res.write("n");
    setImmediate(() => res.end("o"));
  },
  "one that answers, and refuses": () => (req, res, next) => {
    res.writeHead(418).end("no");
    next(new Error("no"));
  },
  "one that says another status": () => (req, res, next) => {
    res.statusCode = 201;
    next();
  },
  "one that sets a header of the engine's": () => (req, res, next) => {
    res.setHeader("content-type", "text/own");
    res.setHeader("X-Last", "1");
    next();
  },
  "one that does without dates": () => (req, res, next) => {
    res.sendDate = false;
    next();
  },
  "one that closes connections": () => (req, res, next) => {
    res.setHeader("Connection", "close");
    next();
  },
  "one that waits for the head": () => (req, res, next) => {
    const { writeHead } = res;
    res.writeHead = function (...args) {
      this.setHeader("X-Late", "1");
      return writeHead.apply(this, args);
    };
    next();
  },
  "one that waits for the end": (server) => (req, res, next) => {
    res.on("finish", () => server.log.push(`finish ${res.statusCode} ${res.getHeader("content-length")}`));
    next();
  },
  "one that counts bytes": (server) => (req, res, next) => {
    const { end } = res;
    res.end = function (chunk, ...args) {
      server.log.push(`end ${chunk?.length}`);
      return end.call(this, chunk, ...args);
    };
    next();
  },
  "one that reads the body, and goes on": (server) => (req, res, next) => {
    if (req.method !== "POST") return next();
    let body = "";
    req.setEncoding("utf8");
    req.on("data", (chunk) => (body += chunk));
    req.on("end", () => {
      server.log.push(`body ${body}`);
      res.end("read");
    });
  },
  "one that asks for the body": (server) => async (req, res, next) => {
    if (req.method === "POST") {
      const chunks = await req.toArray();
      server.log.push(`chunks ${Buffer.concat(chunks)}`);
      res.end("read");
    } else {
      next();
    }
  },
  "one that destroys the response": () => (req, res) => void res.destroy(),
  "one that destroys the request": () => (req) => void req.destroy(),
  "one that destroys the socket": () => (req) => void req.socket.destroy(),
  "one that destroys the socket, and refuses": () => (req, res, next) => {
    req.socket.destroy();
    next(new Error("no"));
  },
  "one that writes to the socket": () => (req) =>
    void req.socket.end("HTTP/1.1 402 Own\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
};

const OWN = "GET /own HTTP/1.1\r\nHost: x\r\n\r\n";

/** A session that polls, with one request of each kind, one after the other; then one of the application's. */
async function poll(server) {
  const connection = wire(server);
  const answers = [await connection.ask(get())];
  const sid = sidOf(answers[0]);
  const conn = server.io.engine.clients[sid];
  for (const request of [() => post(sid, "4é"), () => get(sid), () => post(sid, "4b"), () => OWN]) {
    if (connection.end !== null) break;
    if (answers.length === 2) conn?.send("hello");
    answers.push(await connection.ask(request()));
  }
  connection.destroy();
  await accepted(server, 0);
  return answers.map(anonymous);
}

/** A session that begins with a WebSocket. */
async function openWebSocket(server) {
  const connection = wire(server);
  connection.write(upgradeRequest(target(undefined, "websocket")));
  const answer = await connection.answer();
  if (answer.includes("101 Switching")) {
    await connection.changes.until(
      () => connection.received.includes("maxPayload") || connection.end !== null,
    );
  } else {
    await connection.ended();
  }
  const rest = connection.received.toString("latin1").replace(/[^{]*/, "");
  connection.destroy();
  await accepted(server, 0);
  return [anonymous(answer), anonymous(rest), connection.end];
}

for (const [name, use] of Object.entries(PASSING)) {
  both(
    `${name}: polling`,
    async (server, road) => {
      const answers = await poll(server);
      if (road === WORKERS) assert.equal(newParsers(), 1, "one for the request of the application");
      return [answers, server.log];
    },
    { use },
  );

  both(
    `${name}: a WebSocket`,
    async (server, road) => {
      const seen = await openWebSocket(server);
      if (road === WORKERS) assert.equal(newParsers(), 0);
      await eventually(() => server.log.at(-1).startsWith("close"), "the end");
      return [seen, server.log];
    },
    { use },
  );
}

for (const [name, use] of Object.entries(TAKING)) {
  both(`${name}: polling`, async (server) => [await poll(server), server.log], { use });
  both(`${name}: a WebSocket`, async (server) => [await openWebSocket(server), server.log], { use });
}

/** Ways to look at requests for new sessions only. */
const DECIDING = {
  allowRequest: { io: { allowRequest: (req, decide) => decide(null, true) } },
  "allowRequest, later": { io: { allowRequest: (req, decide) => setTimeout(decide, 5, null, true) } },
  "allowRequest that refuses": { io: { allowRequest: (req, decide) => decide("no", false) } },
  "allowRequest that refuses later": {
    io: { allowRequest: (req, decide) => setImmediate(decide, "no", false) },
  },
  "a function for the option cors": {
    io: { cors: (req, decide) => decide(null, { origin: "http://here" }) },
  },
  "a function of the origin": { io: { cors: { origin: (origin, decide) => decide(null, "http://here") } } },
  "ids of the application": ({ engine }) => (engine.generateId = (req) => `own-${req.url.length}`),
  "ids that take a while": ({ engine }) => (engine.generateId = async () => "own"),
  "no ids": ({ engine }) => {
    engine.generateId = () => {
      throw new Error("no");
    };
  },
  "no ids, in the end": ({ engine }) => (engine.generateId = () => Promise.reject(new Error("no"))),
  "a listener for headers": ({ engine }) => {
    engine.on("initial_headers", (headers) => (headers["X-Initial"] = "1"));
    engine.on("headers", (headers) => (headers["X-Each"] = "1"));
  },
  "a cookie": { io: { cookie: true, allowRequest: (req, decide) => decide(null, true) } },
};

for (const [name, how] of Object.entries(DECIDING)) {
  const { io } = how;
  const prepare = (server) => io === undefined && how(server.io);
  both(
    `${name}: polling`,
    async (server) => {
      prepare(server);
      return [await poll(server), server.log];
    },
    { io },
  );
  both(
    `${name}: a WebSocket`,
    async (server) => {
      prepare(server);
      return [await openWebSocket(server), server.log];
    },
    { io },
  );
}

const PASS = () => (req, res, next) => next();

for (const workers of [1, 4]) {
  test(`what middlewares leave at requests is found at sockets, with ${workers} workers`, async (t) => {
    const server = await open(t, { io: { workers } });
    const { io } = server;
    io.engine.on("connection", io.onconnection.bind(io));
    let count = 0;
    const seen = [];
    io.engine.use((req, res, next) => {
      seen.push(req);
      req.user = { id: count++ };
      next();
    });
    for (const transports of [["polling"], ["websocket"], ["polling", "websocket"]]) {
      const { client, socket } = await server.pair("/", { transports });
      const first = seen.find((req) => req === socket.request);
      assert.ok(first !== undefined && first.user !== undefined);
      assert.equal(socket.handshake.address, "127.0.0.1");
      assert.equal(socket.request.socket.remoteAddress, "127.0.0.1");
      assert.equal(socket.request.socket, first.connection);
      socket.on("echo", (value, reply) => reply(value));
      assert.equal(await client.emitWithAck("echo", "é"), "é");
      if (transports.length > 1 && socket.conn.transport.name === "polling")
        await once(socket.conn, "upgrade");
      assert.equal(await client.emitWithAck("echo", "é"), "é");
      const gone = once(socket, "disconnect");
      client.disconnect();
      assert.equal((await gone)[0], isStock ? (await gone)[0] : "client namespace disconnect");
    }
    if (!isStock) assert.equal(newParsers(), 0);
    await accepted(server, 0);
  });
}

test("a middleware sees each request once", async (t) => {
  const seen = [];
  const use = () => (req, res, next) => {
    seen.push(`${req.method} ${req._query.transport} ${req._query.sid === undefined}`);
    next();
  };
  const server = await open(t, { use });
  const connection = wire(server);
  const sid = sidOf(await connection.ask(get()));
  const conn = server.io.engine.clients[sid];
  await connection.ask(post(sid, "4a"));
  // answered by a worker, by JavaScript because it is to be compressed, and by JavaScript because it is one too many
  conn.send("hello");
  await connection.ask(get(sid));
  conn.send("x".repeat(2000));
  assert.match(await connection.ask(get(sid, "Accept-Encoding: gzip\r\n")), /Content-Encoding: gzip/);
  const second = wire(server);
  second.write(get(sid));
  await waits(conn);
  const third = wire(server);
  assert.match(await third.ask(get(sid)), /^HTTP\/1.1 400 /);
  await second.answer();
  assert.deepEqual(seen, ["GET polling true", "POST polling false", ...Array(4).fill("GET polling false")]);
});

both(
  "a client that hangs up while its GET waits",
  async (server) => {
    const connection = wire(server);
    const sid = sidOf(await connection.ask(get()));
    connection.write(get(sid));
    await waits(server.io.engine.clients[sid]);
    connection.destroy();
    await accepted(server, 0);
    return server.log;
  },
  { use: PASS },
);

both(
  "a client that says more while its GET waits",
  async (server) => {
    const connection = wire(server);
    const sid = sidOf(await connection.ask(get()));
    connection.write(get(sid));
    await waits(server.io.engine.clients[sid]);
    connection.write(post(sid, "4a"));
    await eventually(() => server.log.includes("message a"), "the message");
    server.io.engine.clients[sid].send("b");
    return [bodyOf(await connection.answer()), bodyOf(await connection.answer()), server.log];
  },
  { use: PASS },
);

both(
  "a session that ends while a middleware thinks about a request of it",
  async (server) => {
    const connection = wire(server);
    const sid = sidOf(await connection.ask(get()));
    connection.write(get(sid));
    await eventually(() => server.go !== undefined, "the middleware");
    server.io.engine.clients[sid].close(true);
    server.go();
    return [anonymous(await connection.answer()), server.log];
  },
  {
    use: (server) => (req, res, next) => {
      if (req._query.sid === undefined) next();
      else server.go = next;
    },
  },
);

for (const transport of ["polling", "websocket"]) {
  both(
    `a client that hangs up while a middleware thinks: ${transport}`,
    async (server) => {
      const connection = wire(server);
      connection.write(transport === "polling" ? get() : upgradeRequest(target(undefined, transport)));
      await eventually(() => server.go !== undefined, "the middleware");
      connection.destroy();
      await accepted(server, transport === "polling" ? 0 : 1);
      server.go();
      await accepted(server, 0);
      return server.log.filter((line) => line.startsWith("res "));
    },
    {
      use: (server) => (req, res, next) => {
        res.on("close", () => server.log.push("res close"));
        server.go = next;
      },
    },
  );
}

both(
  "a client that hangs up on a middleware that never decides",
  async (server) => {
    const connection = wire(server);
    connection.write(get());
    await eventually(() => server.isAsked, "the middleware");
    connection.destroy();
    await accepted(server, 0);
    return server.log;
  },
  { use: (server) => () => void (server.isAsked = true) },
);

both(
  "a client that says more while a middleware thinks, and hangs up",
  async (server) => {
    const connection = wire(server);
    connection.write(get());
    await eventually(() => server.isAsked, "the middleware");
    connection.write(OWN);
    connection.destroy();
    await accepted(server, 0);
    return server.log;
  },
  { use: (server) => () => void (server.isAsked = true) },
);

both(
  "closeAllConnections() while a middleware thinks",
  async (server) => {
    const connection = wire(server);
    connection.write(get());
    await eventually(() => server.go !== undefined, "the middleware");
    server.httpServer.closeAllConnections();
    const end = await connection.ended();
    await eventually(() => server.log.includes("res close"), "its end");
    await accepted(server, 0);
    server.go();
    return end;
  },
  {
    use: (server) => (req, res, next) => {
      res.on("close", () => server.log.push("res close"));
      server.go = next;
    },
  },
);

both(
  "the socket of a request lives as long as its connection",
  async (server) => {
    const connection = wire(server);
    const sid = sidOf(await connection.ask(get()));
    await connection.ask(post(sid, "4a"));
    const [first, second] = server.sockets;
    assert.equal(first, second);
    connection.destroy();
    await eventually(() => server.log.includes("socket close"), "its end");
    await accepted(server, 0);
    return [first.destroyed, first.remotePort === connection.socket.localPort, server.log];
  },
  {
    use: (server) => {
      server.sockets = [];
      return (req, res, next) => {
        if (!server.sockets.includes(req.socket))
          req.socket.once("close", () => server.log.push("socket close"));
        server.sockets.push(req.socket);
        next();
      };
    },
  },
);

both(
  "a socket that is destroyed between two requests closes the connection",
  async (server) => {
    const connection = wire(server);
    await connection.ask(get());
    server.socket.destroy();
    const end = await connection.ended();
    await accepted(server, 0);
    return end;
  },
  {
    use: (server) => (req, res, next) => {
      server.socket = req.socket;
      next();
    },
  },
);

both(
  "the socket of a WebSocket that was asked for before it is one",
  async (server) => {
    const ws = await RawWebSocket.open(server);
    const conn = server.io.engine.clients[ws.sid];
    const isSame = [conn.request.socket === server.socket, conn.transport.socket._socket === server.socket];
    ws.text("4a");
    await eventually(() => server.log.includes("message a"), "the message");
    server.socket.destroy();
    await ws.closed();
    await accepted(server, 0);
    return [isSame, server.log];
  },
  {
    use: (server) => (req, res, next) => {
      server.socket = req.socket;
      res.on("close", () => server.log.push(`res close ${res.statusCode}`));
      next();
    },
  },
);

test("sessions that end leave nothing behind", { skip: isStock }, async (t) => {
  const server = await open(t, { use: TAKING["one that waits for the head"] });
  for (let i = 0; i < 5; i++)
    await Promise.all([poll(server), openWebSocket(server)].map((each) => each.catch(() => {})));
  await accepted(server, 0);
  await eventually(() => server.io.engine._bridge.streams.size === 0, "no stream");
});
