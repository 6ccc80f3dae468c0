"use strict";

// Handshakes that go wrong: the application hears of them what it would hear with stock, and others are served.

const assert = require("node:assert/strict");
const net = require("node:net");
const test = require("node:test");
const tls = require("node:tls");
const { eventually, isStock, once, record, sio, within } = require("./support/harness");
const {
  connectionsOf,
  dial,
  has,
  helloOf,
  isServed,
  onBoth,
  ownCertificate,
  roadsOf,
  runProgram,
  serveTls,
  stock,
} = require("./support/tls");

const OURS = { skip: isStock && "stock has Node's TLS only" };
const WITH_OPENSSL = { skip: OURS.skip || (!has("openssl") && "no openssl") };

/** What the bytes of a client lead to: what it is sent, how it ends, and what the application hears. */
async function play(server, script) {
  const heard = [];
  const { httpServer } = server;
  for (const event of ["tlsClientError", "clientError"]) {
    httpServer.on(event, (error, socket) => {
      heard.push([event, error.code, error.reason, error.library, socket instanceof tls.TLSSocket]);
      heard.push([Object.keys(error), socket.destroyed, socket.encrypted, socket.authorized]);
      heard.push([socket.getProtocol(), socket.servername, socket.alpnProtocol, socket.remoteAddress]);
      if (event === "tlsClientError" && !socket.destroyed) socket.destroy();
    });
  }
  const socket = net.connect({ port: server.port, host: "127.0.0.1", allowHalfOpen: true });
  server.keep(socket);
  const received = [];
  let end;
  socket.on("data", (chunk) => received.push(chunk));
  socket.on("end", () => (end ??= "FIN"));
  socket.on("error", ({ code }) => (end = code));
  const ended = new Promise((resolve) => socket.on("end", resolve).on("error", resolve));
  await once(socket, "connect");
  await script(socket, server);
  await within(ended, "the end of the connection");
  socket.destroy();
  await eventually(async () => (await connectionsOf(server)) === 0, "the server has no connection");
  assert.equal(await isServed(server), true);
  return { heard, end, received: recordsIn(Buffer.concat(received)) };
}

/** The kinds of records, and what alerts say. */
function recordsIn(bytes) {
  const records = [];
  let last;
  for (let at = 0; at < bytes.length;) {
    const [kind] = bytes.subarray(at);
    if (kind < 20 || kind > 23) return [...records, bytes.subarray(at).toString("latin1")];
    const length = bytes.readUInt16BE(at + 3);
    const isAlert = kind === 21 && length === 2;
    // how many there are for one flight is everybody's own affair
    if (isAlert || kind !== last) {
      records.push(isAlert ? `alert ${[...bytes.subarray(at + 5, at + 7)]}` : kind);
    }
    last = kind;
    at += 5 + length;
  }
  return records;
}

/** A ClientHello in records of so many bytes at the most. */
function inRecords(hello, size) {
  const message = hello.subarray(5);
  const records = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    records.push(Buffer.from([22, 3, 1, part.length >> 8, part.length & 0xff]), part);
  }
  return Buffer.concat(records);
}

const wait = (socket) => once(socket, "data");

const scripts = {
  "hangs up at once": (socket) => socket.end(),
  "hangs up after a byte": (socket) => socket.end(Buffer.from([22])),
  "hangs up in the middle of its hello": async (socket) => {
    const hello = await helloOf();
    socket.end(hello.subarray(0, hello.length / 2));
  },
  "hangs up after its hello": async (socket) => socket.end(await helloOf()),
  "hangs up after the server's hello": async (socket) => {
    socket.write(await helloOf());
    await wait(socket);
    socket.end();
  },
  "hangs up after the server's hello of TLS 1.2": async (socket) => {
    socket.write(await helloOf({ maxVersion: "TLSv1.2" }));
    await wait(socket);
    socket.end();
  },
  "sends something else after the server's hello": async (socket) => {
    socket.write(await helloOf());
    await wait(socket);
    socket.write("GET / HTTP/1.1\r\n\r\n");
  },
  "sends something else after the server's hello of TLS 1.2": async (socket) => {
    socket.write(await helloOf({ maxVersion: "TLSv1.2" }));
    await wait(socket);
    socket.write("GET / HTTP/1.1\r\n\r\n");
  },
  "sends what cannot be decrypted": async (socket) => {
    socket.write(await helloOf());
    await wait(socket);
    socket.write(Buffer.from([20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 40, ...Buffer.alloc(40, 7)]));
  },
  "sends a second hello": async (socket) => {
    const hello = await helloOf();
    socket.write(hello);
    await wait(socket);
    socket.write(hello);
  },
  "sends a second hello in TLS 1.2": async (socket) => {
    const hello = await helloOf({ maxVersion: "TLSv1.2" });
    socket.write(hello);
    await wait(socket);
    socket.write(hello);
  },
  "sends an alert in place of a hello": (socket) => socket.end(Buffer.from([21, 3, 1, 0, 2, 2, 40])),
  "sends an alert after the server's hello": async (socket) => {
    socket.write(await helloOf({ maxVersion: "TLSv1.2" }));
    await wait(socket);
    socket.write(Buffer.from([21, 3, 3, 0, 2, 2, 42]));
  },
  "sends a warning after the server's hello": async (socket) => {
    socket.write(await helloOf({ maxVersion: "TLSv1.2" }));
    await wait(socket);
    socket.end(Buffer.from([21, 3, 3, 0, 2, 1, 90]));
  },
  "closes properly after the server's hello": async (socket) => {
    socket.write(await helloOf({ maxVersion: "TLSv1.2" }));
    await wait(socket);
    socket.end(Buffer.from([21, 3, 3, 0, 2, 1, 0]));
  },
  "sends garbage": (socket) => socket.write(Buffer.alloc(100, 0xa5)),
  "speaks plain HTTP": (socket) => socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
  "speaks plain HTTP for Socket.IO": (socket) =>
    socket.write("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: localhost\r\n\r\n"),
  "announces a record that is too long": (socket) => socket.write(Buffer.from([22, 3, 1, 0xff, 0xff, 1])),
  "announces a message that is too long": (socket) =>
    socket.end(Buffer.from([22, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff, 3, 3])),
  "sends an empty record": (socket) => socket.end(Buffer.from([22, 3, 1, 0, 0])),
  "speaks TLS 1.0 only": async (socket) => {
    const hello = await helloOf({ maxVersion: "TLSv1.2" });
    hello[10] = 1;
    socket.write(hello);
  },
  "speaks SSL 3.0 only": async (socket) => {
    const hello = await helloOf({ maxVersion: "TLSv1.2" });
    hello[10] = 0;
    socket.write(hello);
  },
  "offers nothing that the server has": async (socket) =>
    socket.write(await helloOf({ ciphers: "AES256-SHA256", maxVersion: "TLSv1.2" })),
  "wants to speak h2": async (socket) => socket.write(await helloOf({ ALPNProtocols: ["h2"] })),
  "sends a key that is none": async (socket) => {
    const hello = await helloOf({ ecdhCurve: "X25519" });
    // the key of X25519 that it sends is all zeros
    const at = hello.indexOf(Buffer.from([0, 29, 0, 32]));
    assert.ok(at > 0, "a key of X25519");
    hello.fill(0, at + 4, at + 36);
    socket.write(hello);
  },
};

/** What is not as with stock: rustls calls by other names what is wrong, where that is no news to anybody. */
const differences = {
  "sends something else after the server's hello of TLS 1.2": (it) =>
    replace("alert 2,70", "alert 2,50", it.received),
  "sends a second hello in TLS 1.2": (it) => {
    replace("alert 2,70", "alert 2,10", it.received);
    // OpenSSL has begun to negotiate anew by then
    for (const line of it.heard) replace("TLSv1", "TLSv1.2", line);
  },
};

function replace(from, to, list) {
  for (const [i, item] of list.entries()) if (item === from) list[i] = to;
}

for (const [name, script] of Object.entries(scripts)) {
  test(`a client that ${name}`, OURS, async (t) => {
    const [expected, actual] = await onBoth(t, {}, {}, (server) => play(server, script));
    if (name in differences) {
      assert.notDeepEqual(actual, expected);
      differences[name](expected);
    }
    assert.deepEqual(actual, expected);
  });
}

test("clients that are left to Node before their hello is complete are counted by that", OURS, async (t) => {
  const server = await serveTls(t);
  await play(server, scripts["hangs up in the middle of its hello"]);
  assert.deepEqual(server.io.engine.tlsRoads().node, { "of what comes first": 1 });
});

test("a client that resets after the server's hello", OURS, async (t) => {
  const [expected, actual] = await onBoth(t, {}, {}, async (server) => {
    const errors = record(server.httpServer, "tlsClientError");
    const socket = net.connect({ port: server.port, host: "127.0.0.1" });
    socket.on("error", () => {});
    socket.write(await helloOf());
    await wait(socket);
    socket.resetAndDestroy();
    const [[error, from]] = await errors.until(1);
    assert.equal(await isServed(server), true);
    return { message: error.message, remoteAddress: from.remoteAddress, ...error };
  });
  assert.deepEqual(actual, expected);
});

for (const [name, pieces] of [
  ["in records of a byte", (hello) => [inRecords(hello, 1)]],
  ["in records of a hundred bytes", (hello) => [inRecords(hello, 100)]],
  ["byte by byte", (hello) => Array.from(hello, (byte) => Buffer.from([byte]))],
]) {
  test(`a hello ${name}`, OURS, async (t) => {
    const [expected, actual] = await onBoth(t, {}, {}, (server) => {
      return play(server, async (socket) => {
        socket.setNoDelay(true);
        for (const piece of pieces(await helloOf())) {
          socket.write(piece);
          await new Promise(setImmediate);
        }
        await wait(socket);
        socket.end();
      });
    });
    assert.deepEqual(actual, expected);
    assert.equal(actual.received[0], 22);
  });
}

/** A client's handshake, whatever comes of it. */
async function attempt(server, tlsOptions) {
  const heard = record(server.httpServer, "tlsClientError");
  const failure = await dial(server, tlsOptions).then(
    async (socket) => {
      // with TLS 1.3, a client is done before its certificate is judged
      const [[error]] = await Promise.race([
        record(socket, "error").until(1),
        record(socket, "close").until(1),
      ]);
      return error.code;
    },
    ({ code }) => code,
  );
  await eventually(async () => (await connectionsOf(server)) === 0, "the server has no connection");
  return { failure, heard: heard.list.map(([{ code, reason, library }]) => [code, reason, library]) };
}

for (const [name, tlsOptions] of [
  ["does not trust the server, with TLS 1.2", { maxVersion: "TLSv1.2", rejectUnauthorized: true }],
  ["does not trust the server, with TLS 1.3", { rejectUnauthorized: true }],
  ["expects another host", { rejectUnauthorized: true, ca: ownCertificate().cert, servername: "elsewhere" }],
  ["has nothing in common with it", { maxVersion: "TLSv1.2", ciphers: "AES256-SHA256" }],
  ["speaks old versions only", { maxVersion: "TLSv1.1", minVersion: "TLSv1", ciphers: "ALL:@SECLEVEL=0" }],
]) {
  test(`a client of Node that ${name}`, OURS, async (t) => {
    const [expected, actual] = await onBoth(t, {}, {}, (server) => attempt(server, tlsOptions));
    assert.deepEqual(actual, expected);
    assert.ok(expected.failure);
  });
}

for (const version of ["-tls1_2", "-tls1_3"]) {
  test(`a client of OpenSSL that does not trust the server, with ${version}`, WITH_OPENSSL, async (t) => {
    const [expected, actual] = await onBoth(t, {}, {}, async (server) => {
      const errors = record(server.httpServer, "tlsClientError");
      const connect = ["-connect", `127.0.0.1:${server.port}`, "-verify_return_error"];
      const { output } = await runProgram(t, "openssl", ["s_client", version, ...connect]);
      assert.match(output, /verify error/);
      const [[{ code, reason, library }]] = await errors.until(1);
      assert.equal(await isServed(server), true);
      return { code, reason, library };
    });
    assert.deepEqual(actual, expected);
    assert.equal(actual.code, "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA");
  });
}

test("a hello that is longer than workers look at", OURS, async (t) => {
  const protocols = Array.from({ length: 120 }, (_, i) => String(i).padStart(200, "x"));
  const ALPNProtocols = ["http/1.1", ...protocols];
  const [expected, actual] = await onBoth(t, {}, {}, async (server, ofStock) => {
    const socket = await dial(server, { ALPNProtocols });
    if (!ofStock) assert.equal(roadsOf(server).left, 1);
    return [socket.alpnProtocol, socket.getProtocol()];
  });
  assert.deepEqual(actual, expected);
});

test("a client that never finishes its handshake", OURS, async (t) => {
  const hello = await helloOf();
  const results = await Promise.all(
    [stock, sio].map(async (of) => {
      const server = await serveTls(t, { handshakeTimeout: 10_000 }, { of });
      const begin = Date.now();
      const result = await play(server, (socket) => {
        socket.write(hello);
        return once(socket, "end", 20_000);
      });
      const took = Date.now() - begin;
      assert.ok(took >= 9_900 && took < 15_000, `${took} ms`);
      if (of === sio) assert.equal(server.io.engine.tlsRoads().obstacle, undefined);
      return result;
    }),
  );
  assert.deepEqual(results[1], results[0]);
  assert.equal(results[1].heard[0][1], "ERR_TLS_HANDSHAKE_TIMEOUT");
});
