"use strict";

// Published vulnerabilities of socket.io, engine.io, ws and their parsers: what each attack meets today.

const test = require("node:test");
const assert = require("node:assert/strict");
const fs = require("node:fs");
const net = require("node:net");
const {
  serve,
  fileScope,
  isStock,
  once,
  within,
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
const { requireStock } = require("./support/stock");

const file = fileScope(test);
let server;
let stillServed;

test.before(async () => {
  server = await serve(file, { destroyUpgradeTimeout: 50 });
  stillServed = await bystander(server);
});

test.afterEach(() => stillServed());

/** The descriptors of this process, in which both the server and its clients live. */
const descriptors = () => fs.readdirSync("/proc/self/fd").length;

let opened;

test.before(() => (opened = descriptors()));

// this comes before the server is closed
test.after(async () => {
  for (const thing of server.kept) {
    if (thing instanceof RawConnection) {
      thing.destroy();
    }
  }
  await eventually(
    () => descriptors() <= opened + 2 && server.io.engine.clientsCount <= 1 + stillPolling(),
    () => `back to ${opened} descriptors, not ${descriptors()}`,
  );
});

/** Sessions of clients that have polled and said no goodbye: no descriptor is theirs. */
const stillPolling = () =>
  Object.values(server.io.engine.clients).filter((conn) => conn.transport.name === "polling").length;

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

test("CVE-2017-16031: session ids are made of the system's random bytes, and of nothing else", async (t) => {
  const child = startChild(
    t,
    async ({ load, send }) => {
      const crypto = load("node:crypto");
      // what comes from the generator can be told by its value
      crypto.randomBytes = (size) => Buffer.alloc(size, 0xff);
      const { Server } = load("./target").sio;
      const io = new Server(load("node:http").createServer());
      send("id", { id: io.engine.generateId() });
    },
    {},
  );
  const { id } = await child.message("id");
  // stock's are random bytes and a counter
  assert.match(id, isStock ? /^_{16}/ : /^_{20}$/);
});

test("CVE-2020-28481: without the cors option no answer allows another origin", async () => {
  const headers = { Origin: "https://evil.example" };
  for (const path of [HANDSHAKE, "/socket.io/?EIO=4", `${HANDSHAKE}&sid=x`, "/socket.io/socket.io.js"]) {
    for (const method of ["GET", "POST", "OPTIONS"]) {
      const answer = await request(server, { method, path, headers });
      assert.equal(answer.headers["access-control-allow-origin"], undefined, `${method} ${path}`);
    }
  }
  // of a session, and of upgrades
  const polling = await RawPolling.open(server, { headers });
  const answers = [polling.answer];
  const large = await RawPolling.open(server, { headers });
  answers.push(await large.post("x".repeat(1_000_001), headers), await polling.post("40", headers));
  answers.push(await polling.poll(headers));
  answers.push(await request(server, { method: "PUT", path: polling.url, headers }));
  for (const query of [
    "EIO=4&transport=websocket",
    "EIO=4&transport=nope",
    "EIO=4&transport=websocket&sid=x",
    `EIO=4&transport=websocket&sid=${polling.sid}`,
  ]) {
    answers.push(await RawWebSocket.upgrade(server, { query, headers }));
  }
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 413, 200, 200, 500, 101, 400, 400, 101],
  );
  for (const { headers: received } of answers) {
    assert.equal(received["access-control-allow-origin"], undefined);
  }
});

test("CVE-2020-36048: a polling body of 1,000,001 bytes gets 413, one of 1,000,000 gets 200", async () => {
  const body = (size) => `42["ev","${"x".repeat(size - '42["ev",""]'.length)}"]`;
  for (const headers of [{}, { "Transfer-Encoding": "chunked" }]) {
    const { polling, socket } = await server.pollingPair();
    const got = once(socket, "ev");
    assert.equal((await polling.post(body(1_000_000), headers)).status, 200);
    await got;
    assert.equal((await polling.post(body(1_000_001), headers)).status, 413);
  }
  // the length alone is enough to refuse it: nothing of the body is there yet, or a little
  const { polling } = await server.pollingPair();
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

test(
  "CVE-2022-41940: 10,000 upgrades with a bad transport, sid or path, each with a reset",
  {
    skip: isStock && "stock does not survive a reset on another path, within destroyUpgradeTimeout",
  },
  async (t) => {
    const child = startChild(
      t,
      async ({ fs, sio, listen, send, inbox }) => {
        const httpServer = await listen();
        const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
        const io = new sio.Server(httpServer, {
          destroyUpgradeTimeout: 50,
          allowRequest: (req, decide) =>
            req.url.includes("slow") ? later(20).then(() => decide(null, true)) : decide(null, true),
        });
        const { generateId } = io.engine;
        io.engine.generateId = (req) =>
          req.url.includes("late") ? later(20).then(() => generateId(req)) : generateId(req);
        inbox.on("state", () =>
          send("state", {
            left: io.engine.clientsCount,
            descriptors: fs.readdirSync("/proc/self/fd").length,
            memory: process.memoryUsage().rss,
          }),
        );
        send("listening", { port: httpServer.address().port });
      },
      {},
    );
    const { port } = await child.message("listening");
    const target = { port, secure: false, keep: (ws) => (t.after(() => ws.destroy()), ws) };
    const requests = [
      "/socket.io/?EIO=4&transport=nope",
      "/socket.io/?EIO=4&transport=websocket&sid=nope",
      "/nope/?EIO=4&transport=websocket",
      "/socket.io/?EIO=3&transport=websocket",
      "/socket.io/?EIO=4&transport=websocket",
      "/socket.io/?EIO=4&transport=websocket&slow",
      "/socket.io/?EIO=4&transport=websocket&late",
    ].map((path) => upgradeRequest(path));
    const attack = async (i) => {
      const socket = net.connect(port, "127.0.0.1");
      // the server may be the first to end it
      socket.on("error", () => {});
      socket.resume();
      const closed = new Promise((resolve) => socket.once("close", resolve));
      const connected = new Promise((resolve) => socket.once("connect", resolve));
      await Promise.race([connected, closed]);
      socket.write(requests[i % requests.length]);
      // some resets come before the answer, some after
      for (let turns = i % 3; turns > 0; turns--) {
        await new Promise(setImmediate);
      }
      socket.resetAndDestroy();
      await within(closed, "the end of a client");
    };
    const bystanding = await RawWebSocket.connect(target);
    const round = async (count) => {
      let next = 0;
      const lane = async () => {
        while (next < count) {
          await attack(next++);
        }
      };
      await Promise.all(Array.from({ length: 30 }, lane));
      return eventually(async () => {
        const state = await child.ask("state");
        return state.left === 1 && state;
      }, "no session of them is left");
    };
    const before = await round(1000);
    await round(9000);
    await eventually(
      async () => (await child.ask("state")).descriptors <= before.descriptors,
      "no descriptor of them is left",
    );
    const { memory } = await child.ask("state");
    assert.ok(memory < before.memory + 60e6, `${memory - before.memory} bytes more`);
    bystanding.text("41");
    assert.equal(bystanding.end, null);
    assert.equal(child.exited, null);
    assert.equal(child.errors, "");
  },
);

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
    "47",
    "48",
    "42{}",
    "42[]",
    '42["a"',
    '42["connect"]',
    '42["disconnect","x"]',
    "40[]",
    "40",
    "41{}",
    "431{}",
    "45-",
    "450-",
    "45x-[]",
    "4511-[]",
    '451-["a"]',
    "4",
    "44[]",
    '42/nope,["a"]',
    "9",
    "2",
    "",
  ]) {
    const ws = await RawWebSocket.connect(silent);
    ws.text(packet);
    // a text while attachments are awaited
    ws.text("4451-");
    assert.equal((await ws.closed()).end, "FIN");
    const polling = await RawPolling.connect(silent);
    assert.equal((await polling.post(packet)).body, "ok");
    await polling.post("4451-").catch(() => {});
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

test("CVE-2024-37890: an upgrade with 2,000 headers", async (t) => {
  const fields = Array.from({ length: 2000 }, (_, i) => `h${i}:\r\n`).join("");
  const upgrade = upgradeRequest("/socket.io/?EIO=4&transport=websocket");
  const firstLine = upgrade.indexOf("\r\n") + 2;
  const answerOf = async (asked) => {
    const connection = asked.keep(new RawConnection(asked));
    connection.write(upgrade.slice(0, firstLine) + fields + upgrade.slice(firstLine));
    await connection.ended();
    return connection.received.toString();
  };
  const answer = await answerOf(server);
  // Node drops the headers behind its limit on their number, so that the key is missing; newer ones refuse the request
  assert.match(answer, /^HTTP\/1\.1 (400 Bad Request|431 Request Header Fields Too Large)\r\n/);
  assert.equal(answer, await answerOf(await serve(t, {}, { of: requireStock("socket.io") })));
});

test("GHSA-5v72-xg48-5rpm: hostile Sec-WebSocket-Extensions", async (t) => {
  const compressing = await serve(t, { perMessageDeflate: true });
  for (const value of [
    "",
    ",",
    ";",
    "=",
    "permessage-deflate;",
    "permessage-deflate; constructor",
    "permessage-deflate; __proto__=1",
    "__proto__; permessage-deflate",
    "constructor, __proto__, toString",
    `permessage-deflate; server_max_window_bits=${"9".repeat(5000)}`,
    'permessage-deflate; client_max_window_bits="',
    `permessage-deflate${"; client_max_window_bits".repeat(300)}`,
    `x${" ".repeat(7000)}y`,
    `${"a,".repeat(3500)}b`,
    "\t",
    "permessage-deflate; server_max_window_bits=-1",
  ]) {
    for (const one of [server, compressing]) {
      const started = performance.now();
      const ws = await RawWebSocket.upgrade(one, { headers: { "Sec-WebSocket-Extensions": value } });
      assert.ok([101, 400].includes(ws.status), `${value.slice(0, 50)}: ${ws.status}`);
      assert.ok(performance.now() - started < 1000);
      ws.destroy();
    }
  }
  const { client } = await compressing.pair();
  assert.equal(client.connected, true);
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
  { name: "io\nInjected: 1" },
  { name: "io\rInjected: 1" },
  { name: "io; Injected=1" },
  { path: "/\r\nInjected: 1" },
  { path: "/\nInjected: 1" },
  { path: "/\rInjected: 1" },
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
