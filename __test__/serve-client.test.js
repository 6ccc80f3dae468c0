"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const zlib = require("node:zlib");
const { serve, request, connected, sio } = require("./support/harness");

const FILES = [
  ["socket.io.js", "application/javascript"],
  ["socket.io.min.js", "application/javascript"],
  ["socket.io.msgpack.min.js", "application/javascript"],
  ["socket.io.esm.min.js", "application/javascript"],
  ["socket.io.js.map", "application/json"],
  ["socket.io.min.js.map", "application/json"],
  ["socket.io.msgpack.min.js.map", "application/json"],
  ["socket.io.esm.min.js.map", "application/json"],
];

/** The same file out of the package of socket.io-client. */
function original(file) {
  const directory = path.dirname(require.resolve("socket.io-client/package.json"));
  return fs.readFileSync(path.join(directory, "dist", file));
}

// the served files are those of socket.io-client, and so is their version
const { version } = require("socket.io-client/package.json");
const ETAG = `"${version}"`;

for (const [file, type] of FILES) {
  test(`serves ${file}`, async (t) => {
    const server = await serve(t);
    const answer = await request(server, { path: `/socket.io/${file}` });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["content-type"], `${type}; charset=utf-8`);
    assert.equal(answer.headers["cache-control"], "public, max-age=0");
    assert.equal(answer.headers.etag, ETAG);
    assert.equal(answer.headers["content-encoding"], undefined);
    assert.ok(answer.bytes.equals(original(file)), "the content of the client's package");
  });
}

test("compresses what the browser accepts", async (t) => {
  const server = await serve(t);
  for (const [accepted, encoding, decode] of [
    ["br, gzip, deflate", "br", zlib.brotliDecompressSync],
    ["gzip, deflate, br", "gzip", zlib.gunzipSync],
    ["gzip;q=0.5, br", "br", zlib.brotliDecompressSync],
    ["deflate", "deflate", zlib.inflateSync],
  ]) {
    const answer = await request(server, {
      path: "/socket.io/socket.io.js",
      headers: { "Accept-Encoding": accepted },
    });
    assert.equal(answer.headers["content-encoding"], encoding);
    assert.ok(decode(answer.bytes).equals(original("socket.io.js")), encoding);
  }
});

test("answers 304 for a known ETag, strong or weak", async (t) => {
  const server = await serve(t);
  for (const etag of [ETAG, `W/${ETAG}`]) {
    const answer = await request(server, {
      path: "/socket.io/socket.io.js",
      headers: { "If-None-Match": etag },
    });
    assert.deepEqual([answer.status, answer.body], [304, ""]);
  }
  const answer = await request(server, {
    path: "/socket.io/socket.io.js",
    headers: { "If-None-Match": '"other"' },
  });
  assert.equal(answer.status, 200);
});

for (const encoding of ["identity", "gzip"]) {
  test(`a listener that comes later sees that the file is on its way: ${encoding}`, async (t) => {
    const server = await serve(t);
    const seen = [];
    server.httpServer.on("request", (req, res) => {
      seen.push(res.headersSent);
      if (!res.headersSent) res.writeHead(404).end();
    });
    const options = { path: "/socket.io/socket.io.js", headers: { "accept-encoding": encoding } };
    assert.equal((await request(server, options)).status, 200);
    assert.deepEqual(seen, [true]);
  });
}

test("a query string does not matter", async (t) => {
  const server = await serve(t);
  const answer = await request(server, { path: "/socket.io/socket.io.js?v=1" });
  assert.equal(answer.status, 200);
});

test("below another path", async (t) => {
  const server = await serve(t, { path: "/own" });
  assert.equal((await request(server, { path: "/own/socket.io.js" })).status, 200);
});

test("no other file is served", async (t) => {
  const server = await serve(t);
  for (const unknown of [
    "/socket.io/nope.js",
    "/socket.io/../package.json",
    "/socket.io/..%2fpackage.json",
    "/socket.io/__proto__",
    "/socket.io/socket.io.js/",
  ]) {
    const answer = await request(server, { path: unknown });
    assert.notEqual(answer.status, 200, unknown);
    assert.deepEqual(answer.json, { code: 0, message: "Transport unknown" }, unknown);
  }
});

test("serveClient: false serves none", async (t) => {
  const server = await serve(t, { serveClient: false });
  const answer = await request(server, { path: "/socket.io/socket.io.js" });
  assert.equal(answer.status, 400);
  assert.deepEqual(answer.json, { code: 0, message: "Transport unknown" });
  await connected(server.client());
});

test("the getter and setter io.serveClient()", () => {
  const io = new sio.Server({ serveClient: false });
  assert.equal(io.serveClient(), false);
  assert.equal(io.serveClient(true), io);
  assert.equal(io.serveClient(), true);
  assert.equal(new sio.Server().serveClient(), true);
});
