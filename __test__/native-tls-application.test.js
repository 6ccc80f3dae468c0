"use strict";

// What the application has of connections over TLS that workers have had first: what it would have of stock's.

const assert = require("node:assert/strict");
const https = require("node:https");
const test = require("node:test");
const tls = require("node:tls");
const { connected, eventually, isStock, once, record, within } = require("./support/harness");
const { RawPolling, RawWebSocket } = require("./support/harness");
const { ask, connectionsOf, dial, isServed, onBoth, roadsOf, serveTls } = require("./support/tls");

const OURS = { skip: isStock && "stock has Node's TLS only" };

/** What a socket tells of itself. */
function viewOf(socket) {
  return {
    encrypted: socket.encrypted,
    authorized: socket.authorized,
    authorizationError: socket.authorizationError,
    secureConnecting: socket.secureConnecting,
    servername: socket.servername,
    alpnProtocol: socket.alpnProtocol,
    peer: socket.getPeerCertificate(),
    detailedPeer: socket.getPeerCertificate(true),
    peerX509: socket.getPeerX509Certificate(),
    cipher: socket.getCipher(),
    protocol: socket.getProtocol(),
    certificate: socket.getCertificate(),
    x509: socket.getX509Certificate()?.fingerprint256,
    isReused: socket.isSessionReused(),
    remoteAddress: socket.remoteAddress,
    remoteFamily: socket.remoteFamily,
    hasPorts: [typeof socket.remotePort, typeof socket.localPort],
    localAddress: socket.localAddress,
    isTls: socket instanceof tls.TLSSocket,
    group: socket.getEphemeralKeyInfo(),
    states: [socket.destroyed, socket.connecting, socket.pending, socket.readyState, socket.allowHalfOpen],
  };
}

/** The same as it can be compared. */
function comparable(view) {
  return JSON.parse(JSON.stringify(view));
}

const clients = [
  {},
  { maxVersion: "TLSv1.2" },
  { servername: "localhost", ALPNProtocols: ["h2", "http/1.1"] },
  { ciphers: "TLS_CHACHA20_POLY1305_SHA256" },
  { ciphers: "ECDHE-ECDSA-AES256-GCM-SHA384", maxVersion: "TLSv1.2", servername: "elsewhere" },
];

for (const [i, client] of clients.entries()) {
  test(`the sockets of requests, by a client with ${JSON.stringify(client)}`, OURS, async (t) => {
    const views = [];
    const listener = (req, res) => {
      views.push(["request", comparable(viewOf(req.socket))]);
      res.end(
        String(req.socket === res.socket && req.connection === req.socket && req.client === req.socket),
      );
    };
    const play = async (server) => {
      views.length = 0;
      server.io.on("connection", (socket) => {
        const { secure, address, headers, url } = socket.handshake;
        views.push([
          "handshake",
          { secure, address, host: headers.host.replace(/:.*/, ""), url: url.replace(/&t=.*/, "") },
        ]);
        const { request } = socket;
        views.push([socket.conn.transport.name, comparable(viewOf(request.socket))]);
        views.push(["encrypted", request.connection.encrypted, socket.client.request.socket.encrypted]);
      });
      const socket = await dial(server, client);
      socket.write("GET /application HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
      let answer = "";
      socket.on("data", (chunk) => (answer += chunk));
      await once(socket, "end");
      assert.match(answer, /\r\n\r\ntrue$/);
      await RawWebSocket.connect(server, { connect: client });
      const agent = new https.Agent({ keepAlive: true, maxSockets: 2, ...client });
      server.keep(agent);
      const polling = await pollingOf(server, agent);
      await polling.post('420["x"]');
      return views.slice();
    };
    const [expected, actual] = await onBoth(t, {}, { listener }, async (server, ofStock) => {
      const seen = await play(server);
      if (!ofStock) assert.equal(roadsOf(server).left, 0, `client ${i}`);
      return seen;
    });
    assert.equal(expected.length, 7);
    assert.deepEqual(actual, expected);
  });
}

/** A client that polls by an agent. */
async function pollingOf(server, agent) {
  const target = { ...server, port: server.port, secure: true, keep: (it) => server.keep(it) };
  return class extends RawPolling {
    request(options) {
      return super.request({ ...options, agent });
    }
  }.connect(target);
}

test("the sockets that allowRequest and middlewares of the engine are shown", OURS, async (t) => {
  const views = [];
  const options = {
    allowRequest: (req, done) => {
      views.push(comparable(viewOf(req.socket)));
      done(null, true);
    },
  };
  const [expected, actual] = await onBoth(t, {}, { options }, async (server) => {
    views.length = 0;
    server.io.engine.use((req, _res, next) => {
      views.push(comparable(viewOf(req.socket)));
      next();
    });
    for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
      assert.equal(await isServed(server, { transports }), true);
    }
    return views.slice(0, 4);
  });
  assert.deepEqual(actual, expected);
});

const BODY = "x".repeat(200_000);

test("requests over one connection, of the application and of the engine", OURS, async (t) => {
  const listener = (req, res) => {
    let length = 0;
    req.on("data", (chunk) => (length += chunk.length));
    req.on("end", () => {
      res.setHeader("X-Reused", String(Boolean(req.socket.seen)));
      req.socket.seen = true;
      res.end(`${req.method} ${req.url} ${length}`);
    });
  };
  const [expected, actual] = await onBoth(t, {}, { listener }, async (server) => {
    const agent = server.keep(new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false }));
    const answers = [];
    const ask = async (options) => {
      const { status, headers, body } = await server.request({ agent, ...options });
      answers.push([status, headers["x-reused"], headers.connection, body.replace(/"sid":".*?"/, "")]);
    };
    await ask({ path: "/page" });
    await ask({ path: "/socket.io/?EIO=4&transport=polling" });
    await ask({ path: "/post", method: "POST", body: BODY });
    await ask({ path: "/socket.io/?EIO=4&transport=nothing" });
    await ask({ path: "/page" });
    await ask({ path: "/put", method: "PUT", body: BODY, headers: { "Transfer-Encoding": "chunked" } });
    return answers;
  });
  assert.deepEqual(actual, expected);
});

test("requests that come at once", OURS, async (t) => {
  const requests = Array.from({ length: 20 }, (_, i) => `GET /${i} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  const [expected, actual] = await onBoth(t, {}, {}, async (server) => {
    const socket = await dial(server);
    let answer = "";
    socket.on("data", (chunk) => (answer += chunk));
    socket.write(requests.join(""));
    await eventually(() => answer.includes("GET /19"), "all answers");
    return answer.replace(/Date: .*/g, "");
  });
  assert.equal(actual, expected);
});

const LARGE = Buffer.alloc(10 << 20, "0123456789abcdef");

test("a large answer for a client that is slow", OURS, async (t) => {
  const written = [];
  const listener = (_req, res) => {
    const took = res.write(LARGE.subarray(0, 5 << 20));
    written.push(took);
    res.once("drain", () => res.end(LARGE.subarray(5 << 20)));
  };
  const [expected, actual] = await onBoth(t, {}, { listener }, async (server) => {
    const socket = await dial(server);
    const chunks = [];
    socket.write("GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    socket.on("data", (chunk) => {
      chunks.push(chunk);
      if (chunks.length % 50) return;
      socket.pause();
      setImmediate(() => socket.resume());
    });
    await within(once(socket, "end"), "the end of the answer");
    return Buffer.concat(chunks)
      .toString("latin1")
      .replace(/Date: .*/, "");
  });
  assert.ok(expected.length > LARGE.length);
  assert.equal(actual === expected, true, `${actual.length} bytes instead of ${expected.length}`);
  assert.deepEqual(written, [false, false]);
});

test("a client that says that it is done before it is answered", OURS, async (t) => {
  const listener = (req, res) => req.socket.on("end", () => res.end("after its end"));
  const [expected, actual] = await onBoth(t, {}, { listener }, async (server) => {
    const socket = await dial(server, { allowHalfOpen: true });
    let answer = "";
    socket.on("data", (chunk) => (answer += chunk));
    socket.end("GET /half HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await within(once(socket, "end"), "the end");
    await eventually(async () => (await connectionsOf(server)) === 0, "the server has no connection");
    return answer.replace(/Date: .*/, "");
  });
  assert.equal(actual, expected);
});

for (const [name, act] of [
  ["the application destroys the socket", (req) => req.socket.destroy()],
  ["the application ends the socket", (req) => req.socket.end("nothing more")],
  [
    "the application destroys the socket in the middle of an answer",
    (_req, res) => res.write(BODY, () => res.destroy()),
  ],
  [
    "the application writes to the socket by itself",
    (req) => req.socket.end("HTTP/1.1 204 No Content\r\n\r\n"),
  ],
]) {
  test(`what a client sees when ${name}`, OURS, async (t) => {
    const events = [];
    const listener = (req, res) => {
      for (const event of ["end", "error", "close"]) req.socket.on(event, () => events.push(event));
      act(req, res);
    };
    const [expected, actual] = await onBoth(t, {}, { listener }, async (server) => {
      events.length = 0;
      const socket = await dial(server);
      let length = 0;
      socket.on("data", (chunk) => (length += chunk.length));
      const errors = record(socket, "error");
      socket.write("GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n");
      await within(once(socket, "close"), "the end");
      await eventually(async () => (await connectionsOf(server)) === 0, "the server has no connection");
      return {
        length: length < BODY.length && length,
        errors: errors.list.map(([{ code }]) => code),
        events: [...events],
      };
    });
    assert.deepEqual(actual, expected);
  });
}

for (const [name, act, idle, busy] of [
  ["close()", (httpServer) => httpServer.close(), true, false],
  ["closeAllConnections()", (httpServer) => httpServer.closeAllConnections(), true, true],
  ["closeIdleConnections()", (httpServer) => httpServer.closeIdleConnections(), true, false],
]) {
  test(`connections at ${name} of the HTTP server`, OURS, async (t) => {
    const listener = (req, res) => req.url !== "/busy" && res.end("done");
    const [expected, actual] = await onBoth(t, {}, { listener }, async (server) => {
      const sockets = {
        idle: await dial(server),
        busy: await dial(server),
      };
      const ends = Object.entries(sockets).map(([key, socket]) => [key, record(socket, "close")]);
      for (const socket of Object.values(sockets)) socket.on("error", () => {}).resume();
      const { httpServer } = server;
      sockets.idle.write("GET /idle HTTP/1.1\r\nHost: localhost\r\n\r\n");
      await once(sockets.idle, "data");
      const asked = once(httpServer, "request");
      sockets.busy.write("GET /busy HTTP/1.1\r\nHost: localhost\r\n\r\n");
      await asked;
      const client = await connected(server.client());
      act(httpServer);
      await eventually(
        () => ends.every(([key, { list }]) => list.length === Number({ idle, busy }[key])),
        "the ends",
      );
      if (client.connected) assert.equal(await client.timeout(5000).emitWithAck("echo", 1), 1);
      const closed = Object.fromEntries(ends.map(([key, { list }]) => [key, list.length]));
      return { ...closed, client: client.connected };
    });
    assert.deepEqual(actual, expected);
  });
}

test("a session that a worker has begun is not negotiated again", OURS, async (t) => {
  const refusals = [];
  const listener = (req, res) => {
    const began = req.socket.renegotiate({}, (error) => {
      refusals.push(error.message);
      res.end(String(began));
    });
  };
  const server = await serveTls(t, {}, { listener });
  assert.equal((await ask(server)).body, "false");
  assert.deepEqual(refusals, ["a session that a worker has begun is not negotiated again"]);
  assert.equal(roadsOf(server).native, 1);
});

test("a session that is on another worker is found at once", OURS, async (t) => {
  const server = await serveTls(t, {}, { options: { workers: 4 } });
  const begun = process.hrtime.bigint();
  for (let i = 0; i < 6; i++) {
    const client = server.client("/", { transports: ["polling"] });
    await connected(client);
    assert.equal(await client.emitWithAck("echo", i), i);
    client.disconnect();
  }
  const milliseconds = Number(process.hrtime.bigint() - begun) / 1e6;
  // a connection of which nothing is heard is given up after a second: that is not what they wait for
  assert.ok(milliseconds < 5000, `${milliseconds} ms`);
  assert.deepEqual(server.io.engine.tlsRoads().node, {});
});
