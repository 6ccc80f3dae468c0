"use strict";

// Who speaks TLS with which client: a worker where that comes to the same, else Node. Either way clients get what they
// would get of stock.

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { spawnSync } = require("node:child_process");
const test = require("node:test");
const { RawWebSocket, isStock } = require("./support/harness");
const { startChild } = require("./support/child");
const { certificateFor, revocationList, selfSigned } = require("./support/certificate");
const { ask, has, isServed, onBoth, ownCertificate, roadsOf, runProgram } = require("./support/tls");

const OURS = { skip: isStock && "stock has Node's TLS only" };

/** What the clients of a server get, and the road that they come by. */
async function compare(t, tlsOptions, how, clients) {
  const [expected, actual] = await onBoth(t, tlsOptions, how, async (server, ofStock) => {
    const got = [];
    for (const client of clients) got.push(await ask(server, client));
    return ofStock ? { got } : { got, roads: roadsOf(server), isServed: await isServed(server) };
  });
  assert.deepEqual(actual.got, expected.got);
  assert.equal(actual.isServed, true);
  return { ...actual.roads, got: expected.got };
}

const ordinary = [{}, { maxVersion: "TLSv1.2" }, { servername: "localhost", ALPNProtocols: ["http/1.1"] }];

test("the clients of an ordinary server are the workers'", OURS, async (t) => {
  const { native, left, obstacle } = await compare(t, {}, {}, ordinary);
  assert.deepEqual({ native, left, obstacle }, { native: 3, left: 0, obstacle: undefined });
});

test("an option turns that off", OURS, async (t) => {
  const how = { options: { nativeTls: false } };
  const { native, obstacle } = await compare(t, {}, how, ordinary);
  assert.deepEqual({ native, obstacle }, { native: 0, obstacle: "the option nativeTls turns it off" });
});

test("an addon that was built without TLS leaves it to Node", OURS, async (t) => {
  const child = startChild(
    t,
    async ({ args: [certificate], inbox, listen, load, send }) => {
      load("../../lib/native/binding").TlsTerms = undefined;
      const { Server } = load("../../index.js");
      const httpServer = await listen(load("node:https").createServer(certificate));
      const io = new Server(httpServer);
      inbox.on("roads", () =>
        send("roads", { ...io.engine.tlsRoads(), ...io.engine._obstaclesAt(httpServer) }),
      );
      send("port", { port: httpServer.address().port });
    },
    [ownCertificate()],
  );
  const { port } = await child.message("port");
  const ws = await RawWebSocket.connect({ port, secure: true });
  const { native, websocket } = await child.ask("roads");
  assert.deepEqual([native, websocket], [0, "the addon has been built without TLS"]);
  ws.destroy();
});

const own = ownCertificate();
const second = selfSigned("RSA");
const authority = certificateFor({ name: "An authority", isAuthority: true });
const revoked = { ca: authority.cert, crl: revocationList(authority) };
const listening = (event, listener) => ({ prepare: (httpServer) => httpServer.on(event, listener) });

/** Makes a PKCS #12 archive, as others do. */
function pfxOf({ key, cert }) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-pfx-"));
  try {
    fs.writeFileSync(path.join(folder, "both"), key + cert);
    const args = ["pkcs12", "-export", "-in", path.join(folder, "both"), "-passout", "pass:secret"];
    return spawnSync("openssl", args).stdout;
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

for (const [name, tlsOptions, obstacle, how = {}] of [
  ["requestCert", { requestCert: true, rejectUnauthorized: false }, "the server has the option requestCert"],
  ["SNICallback", { SNICallback: (_host, done) => done(null) }, "the server may have the option snicallback"],
  [
    "pskCallback",
    { pskCallback: () => null, pskIdentityHint: "who" },
    "the server may have the option pskcallback",
  ],
  ["enableTrace", { enableTrace: false, sessionTimeout: 100 }, "the server has the option sessionTimeout"],
  ["ALPNProtocols", { ALPNProtocols: ["http/1.1", "ours"] }, "the server has the option ALPNProtocols"],
  ["no ALPNProtocols", { ALPNProtocols: [] }, "the server has the option ALPNProtocols"],
  ["ALPNCallback", { ALPNCallback: () => "http/1.1" }, "the server has the option ALPNCallback"],
  [
    "secureOptions",
    { secureOptions: crypto.constants.SSL_OP_NO_TLSv1 },
    "the server has the option secureOptions",
  ],
  ["secureProtocol", { secureProtocol: "TLS_method" }, "the server has the option secureProtocol"],
  ["sigalgs", { sigalgs: "ECDSA+SHA256" }, "the server has the option sigalgs"],
  ["ecdhCurve", { ecdhCurve: "P-256" }, "the server has the option ecdhCurve"],
  ["honorCipherOrder", { honorCipherOrder: false }, "the server has the option honorCipherOrder"],
  ["crl", revoked, "the server has the option crl"],
  ["ticketKeys", { ticketKeys: crypto.randomBytes(48) }, "the server has the option ticketKeys"],
  ["a short handshakeTimeout", { handshakeTimeout: 5000 }, "the server has a short handshakeTimeout"],
  [
    "several keys and certificates",
    { key: [own.key, second.key], cert: [own.cert, second.cert] },
    "the server has several of the option cert",
  ],
  [
    "addContext()",
    {},
    "there are certificates for several hosts",
    { prepare: (httpServer) => httpServer.addContext("localhost", second) },
  ],
  [
    "setTicketKeys()",
    {},
    "the application has keys for tickets",
    { prepare: (httpServer) => httpServer.setTicketKeys(crypto.randomBytes(48)) },
  ],
  [
    "getTicketKeys()",
    {},
    "the application has keys for tickets",
    { prepare: (httpServer) => httpServer.getTicketKeys() },
  ],
  [
    "newSession",
    {},
    "somebody listens for newSession",
    listening("newSession", (_id, _data, done) => done()),
  ],
  [
    "resumeSession",
    {},
    "somebody listens for resumeSession",
    listening("resumeSession", (_id, done) => done(null, null)),
  ],
  [
    "OCSPRequest",
    {},
    "somebody listens for OCSPRequest",
    listening("OCSPRequest", (_certificate, _issuer, done) => done(null, null)),
  ],
  ["keylog", {}, "somebody listens for keylog", listening("keylog", () => {})],
]) {
  test(`Node has the clients of a server with ${name}`, OURS, async (t) => {
    const roads = await compare(t, tlsOptions, how, ordinary);
    assert.deepEqual({ native: roads.native, obstacle: roads.obstacle }, { native: 0, obstacle });
    assert.equal(roads.got[0].status, "200");
  });
}

test("Node has the clients of a server with pfx", { skip: !has("openssl") && "no openssl" }, async (t) => {
  const pfx = pfxOf(own);
  const tlsOptions = { pfx, passphrase: "secret", key: undefined, cert: undefined };
  const { native, obstacle } = await compare(t, tlsOptions, {}, ordinary);
  assert.deepEqual({ native, obstacle }, { native: 0, obstacle: "the server has the option pfx" });
});

for (const event of ["secureConnection", "connection"]) {
  test(`Node has the clients of a server where somebody listens for ${event}`, OURS, async (t) => {
    let heard = 0;
    const how = listening(event, (socket) => socket.on("timeout", () => heard++) && heard++);
    const { native } = await compare(t, {}, how, ordinary);
    assert.equal(native, 0);
    // three clients of each package, and one of Socket.IO
    assert.equal(heard, 7);
  });
}

const old = { minVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" };

for (const [name, tlsOptions, client, why] of [
  ["speaks TLS 1.1 only", old, { ...old, maxVersion: "TLSv1.1" }, "of the version of its protocol"],
  ["speaks h2 only", {}, { ALPNProtocols: ["h2"] }, "of the protocol that it wants to speak"],
  ["has a cipher suite of Node's only", {}, { ciphers: "TLS_AES_128_CCM_SHA256" }, "of its cipher suites"],
  [
    "has a cipher suite of Node's only, with TLS 1.2",
    { ...second },
    { ciphers: "AES128-GCM-SHA256", maxVersion: "TLSv1.2" },
    "of its cipher suites",
  ],
  ["has a group of Node's only", {}, { ecdhCurve: "P-521" }, "of its groups"],
  [
    "has a signature scheme of Node's only",
    {},
    { sigalgs: "ECDSA+SHA512", maxVersion: "TLSv1.2" },
    "of its signature schemes",
  ],
  ["names a host that is none", {}, { servername: "a.host." }, "of what it begins with"],
]) {
  test(`Node has a client that ${name}`, OURS, async (t) => {
    const { native, node, obstacle } = await compare(t, tlsOptions, {}, [client]);
    assert.deepEqual({ native, node, obstacle }, { native: 0, node: { [why]: 1 }, obstacle: undefined });
  });
}

for (const kind of ["P-256", "P-384", "RSA", "Ed25519"]) {
  test(`a key of the kind ${kind}, as it is and encrypted`, OURS, async (t) => {
    const { key, cert } = selfSigned(kind);
    const passphrase = "a secret";
    const cipher = { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase };
    const encrypted = crypto.createPrivateKey(key).export(cipher);
    for (const tlsOptions of [
      { key, cert },
      { key: Buffer.from(key), cert: Buffer.from(cert) },
      { key: [key], cert: [cert] },
      { key: [{ pem: key }], cert },
      { key: [{ pem: Buffer.from(encrypted), passphrase }], cert },
      { key: encrypted, passphrase, cert },
    ]) {
      const { native, left, obstacle } = await compare(t, tlsOptions, {}, ordinary);
      assert.deepEqual({ native, left, obstacle }, { native: 3, left: 0, obstacle: undefined });
    }
  });
}

const ALL = tlsVersions("TLSv1.2", "TLSv1.3");

function tlsVersions(...versions) {
  return versions.map((version) => ({ minVersion: version, maxVersion: version }));
}

for (const [name, tlsOptions, native] of [
  ["versions up to 1.2", { maxVersion: "TLSv1.2" }, 1],
  ["versions from 1.3 on", { minVersion: "TLSv1.3" }, 1],
  ["one suite of each version", { ciphers: "TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES256-GCM-SHA384" }, 2],
  ["suites in another order", { ciphers: "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256" }, 2],
  ["suites by words of OpenSSL", { ciphers: "HIGH:!aNULL" }, 1],
  [
    "suites of which ours come second",
    { ciphers: "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES128-GCM-SHA256" },
    1,
  ],
  ["suites of version 1.3 in another order", { ciphers: "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384" }, 1],
  ["a level of security", { ciphers: "ECDHE-ECDSA-AES128-GCM-SHA256:@SECLEVEL=1" }, 2],
]) {
  test(`a server with ${name}`, OURS, async (t) => {
    const roads = await compare(t, tlsOptions, {}, ALL);
    assert.deepEqual({ native: roads.native }, { native }, JSON.stringify(roads, null, 2));
  });
}

// -- what clients are shown --

const root = certificateFor({ name: "The root", isAuthority: true });
const between = certificateFor({ name: "Between", issuer: root, isAuthority: true });
const leaf = certificateFor({ issuer: between });

/** How many certificates a server shows, by their subjects. */
async function shown(t, server, ...args) {
  const port = `127.0.0.1:${server.port}`;
  const { output } = await runProgram(t, "openssl", ["s_client", "-connect", port, "-showcerts", ...args]);
  return output.match(/^ *\d+ s:.*$/gm);
}

for (const [name, tlsOptions, count] of [
  ["the certificates that have issued it behind it", { cert: leaf.cert + between.cert }, 2],
  ["all of them behind it", { cert: leaf.cert + between.cert + root.cert }, 3],
  ["those among the authorities", { ca: [root.cert, between.cert] }, 3],
  ["only the next among the authorities", { ca: between.cert }, 2],
  ["others among the authorities", { ca: own.cert }, 1],
  ["authorities in one text", { ca: root.cert + between.cert }],
  ["the same authority twice", { ca: [between.cert, between.cert, root.cert] }, 3],
  ["a chain, and another authority", { cert: leaf.cert + between.cert, ca: root.cert }, 2],
  ["an empty list of authorities", { ca: [] }, 1],
]) {
  test(`a certificate with ${name}`, { skip: OURS.skip || (!has("openssl") && "no openssl") }, async (t) => {
    const [expected, actual] = await onBoth(t, { ...leaf, ...tlsOptions }, {}, async (server, ofStock) => {
      const got = [await shown(t, server, "-tls1_2"), await shown(t, server, "-tls1_3")];
      if (!ofStock) assert.deepEqual(roadsOf(server), { native: 2, left: 0, node: {}, obstacle: undefined });
      return got;
    });
    assert.deepEqual(actual, expected);
    if (count !== undefined) assert.equal(expected[0].length, count, `${expected[0]}`);
  });
}
