"use strict";

// TLS sessions that go on: taken up again by tickets, under new certificates, on other workers, with clients that do not
// read.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const test = require("node:test");
const { atEnd, connected, eventually, isStock, once, record, selfSigned } = require("./support/harness");
const {
  dial,
  has,
  isServed,
  onBoth,
  ownCertificate,
  roadsOf,
  runProgram,
  serveTls,
  termsOf,
} = require("./support/tls");

const OURS = { skip: isStock && "stock has Node's TLS only" };
const WITH_OPENSSL = { skip: OURS.skip || (!has("openssl") && "no openssl") };

const REQUEST = "GET /application HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/** A connection that asks for something, and a session to take up again. */
async function visit(server, tlsOptions) {
  const socket = await dial(server, tlsOptions);
  const terms = termsOf(socket);
  let session = socket.getSession();
  socket.on("session", (it) => (session = it));
  let answer = "";
  socket.on("data", (chunk) => (answer += chunk));
  socket.write(REQUEST);
  await once(socket, "end");
  socket.destroy();
  return { terms, session, body: answer.slice(answer.indexOf("\r\n\r\n") + 4) };
}

/** Whether a socket's client goes on with an earlier session, as client and server see it. */
const reuses = (_req, res) => res.end(String(res.socket.isSessionReused()));

for (const maxVersion of ["TLSv1.2", "TLSv1.3"]) {
  test(`Node's clients go on with their sessions, with ${maxVersion}`, OURS, async (t) => {
    const [expected, actual] = await onBoth(t, {}, { listener: reuses }, async (server, ofStock) => {
      const answers = [];
      let session;
      for (let i = 0; i < 3; i++) {
        const { terms, body, ...next } = await visit(server, { maxVersion, session });
        ({ session } = next);
        answers.push([terms.isReused, body, terms.protocol]);
      }
      if (!ofStock) assert.deepEqual(roadsOf(server), { native: 3, left: 0, node: {}, obstacle: undefined });
      return answers;
    });
    assert.deepEqual(actual, expected);
    assert.deepEqual(actual[1], [true, "true", maxVersion]);
  });

  test(`OpenSSL's clients go on with their sessions, with ${maxVersion}`, WITH_OPENSSL, async (t) => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-tls-"));
    atEnd(t, () => fs.rmSync(folder, { recursive: true }));
    const file = path.join(folder, "session");
    const flag = maxVersion === "TLSv1.2" ? "-tls1_2" : "-tls1_3";
    const [expected, actual] = await onBoth(t, {}, { listener: reuses }, async (server) => {
      const args = ["s_client", flag, "-ign_eof", "-connect", `127.0.0.1:${server.port}`];
      const first = await runProgram(t, "openssl", [...args, "-sess_out", file], { input: REQUEST });
      const again = await runProgram(t, "openssl", [...args, "-sess_in", file], { input: REQUEST });
      const told = ({ output }) => [/^(New|Reused), TLS/m.exec(output)[1], /^(true|false)/m.exec(output)[1]];
      return [told(first), told(again)];
    });
    assert.deepEqual(actual, expected);
    assert.deepEqual(actual, [
      ["New", "false"],
      ["Reused", "true"],
    ]);
  });

  test(`after setSecureContext(), with ${maxVersion}`, OURS, async (t) => {
    const others = { RSA: selfSigned("RSA"), "P-256": selfSigned() };
    const [expected, actual] = await onBoth(t, {}, {}, async (server, ofStock) => {
      const { session, terms } = await visit(server, { maxVersion });
      const seen = [terms];
      for (const other of Object.values(others)) {
        server.httpServer.setSecureContext(other);
        seen.push((await visit(server, { maxVersion, session })).terms);
      }
      if (!ofStock) assert.equal(roadsOf(server).left, 0);
      return seen.map(({ protocol, certificate, cipher }) => ({ protocol, certificate, cipher }));
    });
    assert.deepEqual(actual, expected);
    assert.notEqual(actual[1].certificate, actual[2].certificate);
  });
}

test("a certificate that is replaced all the time, under traffic", OURS, async (t) => {
  const server = await serveTls(t);
  const certificates = [ownCertificate(), selfSigned("RSA"), selfSigned("Ed25519"), selfSigned("P-384")];
  const clients = await Promise.all(
    Array.from({ length: 50 }, (_, i) => {
      return connected(server.client("/", i % 2 ? {} : { transports: ["polling", "websocket"] }));
    }),
  );
  const lost = clients.map((client) => record(client, "disconnect"));
  for (let round = 0; round < 20; round++) {
    server.httpServer.setSecureContext(certificates[round % certificates.length]);
    const echoes = clients.map((client, i) => client.timeout(5000).emitWithAck("echo", [round, i]));
    const arrivals = [isServed(server), isServed(server, { transports: ["polling"] })];
    assert.deepEqual(
      await Promise.all(echoes),
      clients.map((_, i) => [round, i]),
    );
    assert.deepEqual(await Promise.all(arrivals), [true, true]);
  }
  assert.equal(lost.flatMap(({ list }) => list).length, 0);
  assert.equal(roadsOf(server).left, 0);
});

test("sessions whose requests come to other workers", OURS, async (t) => {
  const server = await serveTls(t, {}, { options: { workers: 4 } });
  const clients = await Promise.all(
    Array.from({ length: 24 }, () => connected(server.client("/", { transports: ["polling", "websocket"] }))),
  );
  const lost = clients.map((client) => record(client, "disconnect"));
  for (let round = 0; round < 20; round++) {
    const echoes = clients.map((client, i) => client.timeout(5000).emitWithAck("echo", [round, i]));
    const answers = await Promise.all(echoes);
    assert.deepEqual(
      answers,
      clients.map((_, i) => [round, i]),
    );
  }
  await eventually(
    () => clients.every(({ io }) => io.engine.transport.name === "websocket"),
    "all have upgraded",
  );
  assert.equal(lost.flatMap(({ list }) => list).length, 0);
  assert.equal(roadsOf(server).left, 0);
});

const MB = 1 << 20;

for (const maxVersion of ["TLSv1.2", "TLSv1.3"]) {
  test(`a client that does not read, with ${maxVersion}`, OURS, async (t) => {
    const server = await serveTls(t);
    const { ws, socket } = await server.rawPair({ connect: { maxVersion } });
    ws.socket.pause();
    const SENT = 24;
    for (let n = 0; n < SENT; n++) socket.emit("n", n, "x".repeat(MB));
    await eventually(() => socket.conn.transport.socket.bufferedAmount > MB, "something waits");
    for (let i = 0; i < 10; i++) socket.volatile.emit("volatile", i);
    socket.emit("last");
    ws.socket.resume();
    await ws.changes.until(() => ws.messages.at(-1) === '42["last"]', 20_000);
    assert.equal(ws.messages.filter((it) => it.startsWith('42["n"')).length, SENT);
    assert.ok(ws.messages.every((it) => !it.startsWith('42["n"') || it.length > MB));
    assert.equal(ws.messages.filter((it) => it.startsWith('42["volatile"')).length, 0);
    socket.volatile.emit("volatile", "again");
    await ws.changes.until(() => ws.messages.at(-1) === '42["volatile","again"]');
  });

  test(`one that does not read costs no more than maxOutboundBuffer, with ${maxVersion}`, OURS, async (t) => {
    const server = await serveTls(t, {}, { options: { maxOutboundBuffer: MB } });
    const slow = record(server.io.engine, "slow_consumer");
    const { ws, socket, disconnected } = await server.rawPair({ connect: { maxVersion } });
    const other = await server.rawPair();
    ws.socket.pause();
    for (let n = 0; socket.connected && n < 1000; n++) {
      socket.emit("n", n, "x".repeat(100_000));
      await new Promise(setImmediate);
    }
    const [reason] = await disconnected;
    assert.equal(reason, "transport error");
    const [[, bytes]] = slow.list;
    assert.ok(bytes > MB && bytes < 1.2 * MB, `${bytes} bytes`);
    other.ws.text('420["echo",1]');
    assert.equal(await other.ws.next(), "430[1]");
  });
}

test("bufferedAmount counts what waits", OURS, async (t) => {
  const [expected, actual] = await onBoth(t, {}, {}, async (server) => {
    const { ws, socket } = await server.rawPair();
    ws.socket.pause();
    const amounts = [];
    const amount = () => socket.conn.transport.socket.bufferedAmount;
    amounts.push(amount());
    for (let n = 0; n < 8; n++) socket.emit("n", "x".repeat(MB));
    await new Promise(setImmediate);
    await eventually(() => amount() > 0, "something waits");
    ws.socket.resume();
    await ws.changes.until(() => ws.messages.length === 9);
    await eventually(() => amount() === 0, "nothing waits");
    return amounts;
  });
  assert.deepEqual(actual, expected);
});
