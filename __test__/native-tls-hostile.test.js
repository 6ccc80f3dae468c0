"use strict";

// Over TLS, clients that do what they should not, or what few do: others are served meanwhile.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const net = require("node:net");
const os = require("node:os");
const path = require("node:path");
const test = require("node:test");
const { atEnd, eventually, isStock, once, record, within, RawWebSocket } = require("./support/harness");
const { connectionsOf, has, helloOf, isServed, onBoth, runProgram, serveTls } = require("./support/tls");

const OURS = { skip: isStock && "stock has Node's TLS only" };
const WITH_OPENSSL = { skip: OURS.skip || (!has("openssl") && "no openssl") };

test("a record that is spoilt after the handshake ends its connection only", OURS, async (t) => {
  for (const tlsOptions of [{ maxVersion: "TLSv1.2" }, {}]) {
    const [expected, actual] = await onBoth(t, {}, {}, async (server) => {
      const through = await spoiler(t, server);
      const other = await server.rawPair();
      const errors = record(server.httpServer, "clientError");
      const ws = await RawWebSocket.connect(
        { ...through.target, keep: (it) => server.keep(it) },
        { connect: tlsOptions },
      );
      const socket = server.io.of("/").sockets.get(ws.id);
      const gone = once(socket, "disconnect");
      through.spoil();
      ws.text('42["never read"]');
      const [reason] = await gone;
      await ws.ended();
      other.ws.text('420["echo",1]');
      assert.equal(await other.ws.next(), "430[1]");
      return { reason, errors: errors.list.length };
    });
    assert.deepEqual(actual, expected);
  }
});

/** Between a client and a server, it changes a bit of what the client says. */
async function spoiler(t, server) {
  let spoils = false;
  const sockets = [];
  const front = net.createServer((socket) => {
    const back = net.connect(server.port, "127.0.0.1");
    sockets.push(socket, back);
    back.pipe(socket);
    for (const it of [socket, back]) it.on("error", () => {});
    socket.on("data", (chunk) => {
      if (spoils) chunk[chunk.length - 1] ^= 1;
      back.write(chunk);
    });
    socket.on("end", () => back.end());
  });
  front.listen(0, "127.0.0.1");
  await once(front, "listening");
  atEnd(t, () => {
    for (const socket of sockets) socket.destroy();
    front.close();
  });
  return { target: { port: front.address().port, secure: true }, spoil: () => (spoils = true) };
}

test("a client that wants to renegotiate is told that this is not done", WITH_OPENSSL, async (t) => {
  const [expected, actual] = await onBoth(t, {}, {}, async (server) => {
    const args = ["s_client", "-tls1_2", "-connect", `127.0.0.1:${server.port}`];
    const { child, hear } = await runProgram(t, "openssl", args, {
      keepsInput: true,
      until: /Verify return/,
    });
    const closed = once(child, "close");
    child.stdin.write("R\n");
    await eventually(() => /RENEGOTIATING/.test(hear()), "the attempt");
    child.stdin.write("GET /application HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    await eventually(() => /no renegotiation|GET .application/.test(hear()), "an answer");
    child.stdin.end();
    await within(closed, "its end");
    assert.equal(await isServed(server), true);
    return /no renegotiation/.test(hear()) ? "told" : /GET .application/.exec(hear())?.[0];
  });
  // whatever OpenSSL does with it, rustls does not
  assert.deepEqual([expected, actual], ["GET /application", "told"]);
});

test("early data is not accepted, and what is sent then is answered", WITH_OPENSSL, async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-tls-"));
  atEnd(t, () => fs.rmSync(folder, { recursive: true }));
  const [session, early] = ["session", "early"].map((name) => path.join(folder, name));
  const request = "GET /application HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  fs.writeFileSync(early, request);
  const [expected, actual] = await onBoth(t, {}, {}, async (server) => {
    const args = ["s_client", "-tls1_3", "-ign_eof", "-connect", `127.0.0.1:${server.port}`];
    await runProgram(t, "openssl", [...args, "-sess_out", session], { input: request });
    const again = await runProgram(t, "openssl", [...args, "-sess_in", session, "-early_data", early], {
      input: request,
    });
    return {
      earlyData: /Early data was .*/.exec(again.output)?.[0],
      isReused: /^Reused, TLSv1.3/m.test(again.output),
      answers: again.output.match(/GET .application/g)?.length,
    };
  });
  assert.deepEqual(actual, expected);
  assert.equal(actual.isReused, true);
});

test("hundreds of handshakes that are half done", OURS, async (t) => {
  const server = await serveTls(t);
  const hello = await helloOf();
  const halves = Array.from({ length: 500 }, (_, i) => {
    const socket = server.keep(net.connect({ port: server.port, host: "127.0.0.1" }));
    socket.on("error", () => {});
    socket.write(i % 2 ? hello : hello.subarray(0, 100));
    return socket;
  });
  await Promise.all(halves.map((socket, i) => i % 2 && once(socket, "data")));
  assert.equal(await isServed(server), true);
  assert.ok((await connectionsOf(server)) >= 500);
  for (const socket of halves) socket.destroy();
  await eventually(async () => (await connectionsOf(server)) === 0, "the server has no connection");
  assert.equal(await isServed(server), true);
});
