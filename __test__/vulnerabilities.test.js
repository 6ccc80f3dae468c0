"use strict";

// Published vulnerabilities of socket.io, engine.io, ws and their parsers: what each attack meets today.

const test = require("node:test");
const assert = require("node:assert/strict");
const {
  serve,
  fileScope,
  isStock,
  once,
  bystander,
  eventually,
  frame,
  request,
  upgradeRequest,
  RawConnection,
  RawPolling,
  RawWebSocket,
  CONTINUATION,
  PING,
  PONG,
} = require("./support/harness");
const { startChild } = require("./support/child");

const file = fileScope(test);
let server;
let stillServed;

test.before(async () => {
  server = await serve(file, { destroyUpgradeTimeout: 50 });
  stillServed = await bystander(server);
});

test.afterEach(() => stillServed());

const HANDSHAKE = "/socket.io/?EIO=4&transport=polling";

test("CVE-2017-16031: a million session ids are different, and no public id is one of them", async () => {
  // stock takes a minute for a million on a busy machine
  const count = isStock ? 1e5 : 1e6;
  const ids = new Set();
  const beginnings = new Set();
  for (let i = 0; i < count; i++) {
    const id = server.io.engine.generateId();
    ids.add(id);
    // the part that is not a counter
    beginnings.add(id.slice(0, 14));
  }
  assert.equal(ids.size, count);
  assert.ok(beginnings.size > count - 10, `${beginnings.size} beginnings`);
  for (const id of [...ids].slice(0, 1000)) {
    assert.match(id, /^[A-Za-z0-9_-]{20}$/);
  }
  const { socket } = await server.pair();
  assert.notEqual(socket.id, socket.conn.id);
});

test("CVE-2020-28481: without the cors option no answer allows another origin", async () => {
  const headers = { Origin: "https://evil.example" };
  for (const path of [HANDSHAKE, "/socket.io/?EIO=4", `${HANDSHAKE}&sid=x`, "/socket.io/socket.io.js"]) {
    for (const method of ["GET", "POST", "OPTIONS"]) {
      const answer = await request(server, { method, path, headers });
      assert.equal(answer.headers["access-control-allow-origin"], undefined, `${method} ${path}`);
    }
  }
});

test("CVE-2020-36048: a polling body of 1,000,001 bytes gets 413, one of 1,000,000 gets 200", async () => {
  const { polling, socket } = await server.pollingPair();
  const body = (size) => `42["ev","${"x".repeat(size - '42["ev",""]'.length)}"]`;
  for (const headers of [{}, { "Transfer-Encoding": "chunked" }]) {
    assert.equal((await polling.post(body(1_000_001), headers)).status, 413);
    const got = once(socket, "ev");
    assert.equal((await polling.post(body(1_000_000), headers)).status, 200);
    await got;
  }
  // the length alone is enough to refuse it: nothing of the body is there yet, or a little
  const req = server.startRequest({
    method: "POST",
    path: polling.url,
    headers: { "Content-Length": String(2 ** 31) },
  });
  const answered = once(req, "response");
  const closed = once(req, "close");
  req.write("x".repeat(1_000_001));
  const [res] = await answered;
  assert.equal(res.statusCode, 413);
  req.destroy();
  await closed;
});

for (const prefix of ["45", "42", "42/", "43", "451-"]) {
  test(`CVE-2020-36049: ${prefix} and a megabyte of digits takes linear time`, async () => {
    const { ws, conn } = await server.rawSession();
    ws.text("40");
    await ws.next();
    const took = async (size) => {
      const packet = once(conn, "packet");
      const started = performance.now();
      ws.text(prefix + "1".repeat(size));
      await packet;
      // what is behind it is answered when it was dealt with
      ws.frame({ opcode: PING });
      await ws.changes.until(
        () => ws.end !== null || ws.frames.some(({ opcode }) => opcode === PONG || opcode === 8),
      );
      return performance.now() - started;
    };
    const ms = await took(999_000);
    assert.ok(ms < 2000, `${ms} ms`);
    ws.destroy();
  });
}

for (const rsv of [1, 2]) {
  test(`CVE-2022-21676: a frame with RSV${4 - rsv} with the upgrade request, and right after the answer`, async () => {
    const bad = frame({ payload: "6", rsv });
    const glued = await RawWebSocket.upgrade(server, { head: bad });
    assert.equal(glued.status, 101);
    assert.equal((await glued.closed()).code, 1002);
    const after = await RawWebSocket.upgrade(server);
    after.write(bad);
    assert.equal((await after.closed()).code, 1002);
  });
}

for (const num of ['"splice"', '"length"', '"__proto__"', "-1", "1", "1e9", undefined]) {
  test(`CVE-2022-2421: a placeholder with num ${num}`, async () => {
    const { ws, log, disconnected } = await server.rawPair();
    ws.text(`451-["e",{"_placeholder":true${num === undefined ? "" : `,"num":${num}`}}]`);
    ws.binary(Buffer.from([1]));
    await disconnected;
    assert.deepEqual(log, [
      "error: illegal attachments",
      "disconnecting: forced close",
      "disconnect: forced close",
    ]);
    assert.equal((await ws.closed()).end, "FIN");
  });
}

test("CVE-2022-41940: upgrades with a bad transport, sid or path, then a reset", async () => {
  const requests = [
    "/socket.io/?EIO=4&transport=nope",
    "/socket.io/?EIO=4&transport=websocket&sid=nope",
    "/nope/?EIO=4&transport=websocket",
    "/socket.io/?EIO=3&transport=websocket",
    "/socket.io/?EIO=4&transport=websocket",
  ].map((path) => upgradeRequest(path));
  const before = server.io.engine.clientsCount;
  for (let round = 0; round < 60; round++) {
    await Promise.all(
      Array.from({ length: 30 }, async (_, i) => {
        const connection = new RawConnection(server);
        await once(connection.socket, server.secure ? "secureConnect" : "connect");
        await new Promise((resolve) => connection.socket.write(requests[i % requests.length], resolve));
        if (i % 3) {
          await new Promise(setImmediate);
        }
        connection.reset();
      }),
    );
  }
  await eventually(() => server.io.engine.clientsCount <= before, "no session of them is left");
});

test("CVE-2023-31125: parameters given twice, or named like parts of every object", async () => {
  for (const query of [
    "EIO=4&transport=websocket&transport=websocket&sid=x&sid=y",
    "EIO=4&EIO=4&transport=polling&transport=nope",
    "EIO=3&EIO=3&transport=polling",
    "EIO[]=4&transport[]=polling",
    "EIO=4&transport=__proto__",
    "EIO=4&transport=constructor",
    "EIO=4&transport=polling&sid=__proto__",
    "EIO=4&transport=polling&sid=constructor",
    "EIO=4&transport=polling&sid=hasOwnProperty",
    "EIO=__proto__&transport=polling",
    "__proto__[transport]=polling&EIO=4",
  ]) {
    const answer = await request(server, { path: `/socket.io/?${query}` });
    assert.equal(answer.status, 400, query);
    assert.ok([0, 1, 5].includes(answer.json.code), `${query}: ${answer.body}`);
    const ws = await RawWebSocket.upgrade(server, { query });
    assert.ok(ws.status === 400 || (ws.status === 101 && /EIO=(3|__proto__)/.test(query)), query);
    await ws.closed();
  }
});

for (const body of ['[{"toString":"foo"}]', '[["a"]]', "[null]", "[{}]", "[true]"]) {
  test(`CVE-2023-32695: an event whose name is no name, ${body}`, async () => {
    for (const type of ["42", "451-"]) {
      const { ws, log, disconnected } = await server.rawPair();
      ws.text(type + body);
      await disconnected;
      assert.deepEqual(log, [
        "error: invalid payload",
        "disconnecting: forced close",
        "disconnect: forced close",
      ]);
    }
  });
}

test("CVE-2024-38355: bad packets to a server that listens to nothing at all", async (t) => {
  const silent = await serve(t);
  for (const packet of [
    "4x",
    "42{}",
    '42["a"',
    "40[]",
    "41{}",
    "431{}",
    "45-",
    "4511-[]",
    "4",
    "44[]",
    "9",
    "2",
  ]) {
    const ws = await RawWebSocket.connect(silent);
    ws.text(packet);
    assert.equal((await ws.closed()).end, "FIN");
    const polling = await RawPolling.connect(silent);
    assert.equal((await polling.post(packet)).body, "ok");
    // takes the close packet, if the session did not end at once
    await polling.poll();
  }
  const { client } = await silent.pair();
  assert.equal(client.connected, true);
});

test("CVE-2026-33151: eleven attachments are too many, ten are not", async () => {
  const ten = await server.rawPair();
  const got = once(ten.socket, "ev");
  const placeholders = Array.from({ length: 10 }, (_, num) => `{"_placeholder":true,"num":${num}}`);
  ten.ws.text(`4510-["ev",${placeholders}]`);
  for (let i = 0; i < 10; i++) {
    ten.ws.binary(Buffer.from([i]));
  }
  assert.equal((await got).length, 10);
  const eleven = await server.rawPair();
  eleven.ws.text(`4511-["ev",${placeholders}]`);
  await eleven.disconnected;
  assert.equal(eleven.log[0], "error: too many attachments");
});

for (const payload of ["x", ""]) {
  test(`CVE-2026-48779: 16,385 fragments of ${payload.length} bytes get 1008`, async () => {
    const { ws, disconnected } = await server.rawPair();
    const middle = frame({ opcode: CONTINUATION, payload, fin: false });
    ws.write(Buffer.concat([frame({ payload: "6", fin: false }), ...Array(16_384).fill(middle)]));
    assert.equal((await disconnected)[0], "transport error");
    assert.equal((await ws.closed()).code, 1008);
  });
}

test("GHSA-3h5v-q93c-6h6q: an upgrade with 2,000 headers", async () => {
  const headers = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`h${i}`, "x"]));
  // the limit of Node's parser on the size, or on the number, of headers hits first or last
  const connection = server.keep(new RawConnection(server));
  const fields = Object.keys(headers).map((name) => `${name}:\r\n`);
  const upgrade = upgradeRequest("/socket.io/?EIO=4&transport=websocket");
  const firstLine = upgrade.indexOf("\r\n") + 2;
  connection.write(upgrade.slice(0, firstLine) + fields.join("") + upgrade.slice(firstLine));
  await connection.ended();
  assert.match(connection.received.toString(), /^HTTP\/1\.1 (400|431) /);
});

test("CVE-2021-32640: a subprotocol with 14,000 spaces is refused at once", async () => {
  const headers = { "Sec-WebSocket-Protocol": `b${" ".repeat(14_000)}x` };
  let fastest = Infinity;
  for (let i = 0; i < 10; i++) {
    const started = performance.now();
    const ws = await RawWebSocket.upgrade(server, { headers });
    fastest = Math.min(fastest, performance.now() - started);
    assert.equal(ws.status, 400);
    await ws.ended();
    assert.equal(ws.body, "Invalid Sec-WebSocket-Protocol header");
  }
  // the regular expression of old took a hundred times as long
  assert.ok(fastest < 5, `${fastest} ms`);
});

for (const length of [1_000_001n, 2n ** 32n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n]) {
  test(`CVE-2016-10542: a header that claims ${length} bytes gets 1009 by itself`, async () => {
    const { ws, disconnected } = await server.rawPair();
    const bytes = frame({ length });
    ws.write(bytes.subarray(0, bytes.length - 4));
    assert.equal((await disconnected)[0], "transport error");
    assert.equal((await ws.closed()).code, 1009);
  });
}

for (const cookie of [
  { name: "io\r\nInjected: 1" },
  { name: "io; Injected=1" },
  { path: "/\r\nInjected: 1" },
  { path: "/; Injected=1" },
]) {
  test(`GHSA-pxg6-pf52-xh8x: nothing is injected by the cookie option ${JSON.stringify(cookie)}`, async (t) => {
    const child = startChild(
      t,
      async ({ args, sio, listen, send }) => {
        const errors = [];
        const keep = (error) => errors.push(error.message);
        process.on("uncaughtException", keep);
        process.on("unhandledRejection", keep);
        const httpServer = await listen();
        try {
          const io = new sio.Server(httpServer, { cookie: args });
          io.engine.on("connection_error", ({ context }) => keep(context.error ?? new Error(context.name)));
        } catch (error) {
          keep(error);
        }
        const report = () => (errors.length > 0 ? send("errors", { errors }) : setTimeout(report, 5));
        httpServer.on("request", report);
        send("listening", { port: httpServer.address().port });
      },
      cookie,
    );
    const { port } = await child.message("listening");
    const connection = new RawConnection({ port, secure: false });
    t.after(() => connection.destroy());
    connection.write(`GET ${HANDSHAKE} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const { errors } = await child.message("errors");
    assert.doesNotMatch(connection.received.toString(), /Injected/);
    assert.equal(errors.length, 1);
    assert.match(errors[0], /invalid/);
  });
}
