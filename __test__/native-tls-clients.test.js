"use strict";

// TLS with clients of other makes than Node.

const assert = require("node:assert/strict");
const { spawnSync } = require("node:child_process");
const test = require("node:test");
const tls = require("node:tls");
const { isStock } = require("./support/harness");
const { selfSigned } = require("./support/certificate");
const { has, isServed, onBoth, roadsOf, runProgram } = require("./support/tls");

const skipWithout = (program) => ({
  skip: (isStock && "stock has Node's TLS only") || (!has(program) && `no ${program}`),
});

/** Tells of a request, and over what it has come. */
function listener(req, res) {
  let length = 0;
  req.on("data", (chunk) => (length += chunk.length));
  req.on("end", () => {
    const { socket } = req;
    const facts = [
      req.method,
      req.url,
      length,
      socket.getProtocol(),
      socket.getCipher().name,
      Boolean(socket.seen),
    ];
    socket.seen = true;
    res.end(JSON.stringify(facts));
  });
}

const BODY = "x".repeat(300_000);

for (const version of ["1.2", "1.3"]) {
  test(`curl with TLS ${version}`, skipWithout("curl"), async (t) => {
    const [expected, actual] = await onBoth(t, {}, { listener }, async (server, ofStock) => {
      const curl = async (...args) => {
        const versions = ["--tls-max", version, `--tlsv${version}`];
        const { output } = await runProgram(t, "curl", ["--http1.1", "-sk", ...versions, ...args], {
          input: BODY,
        });
        return output.replace(/"sid":".*?"/, "").replaceAll(String(server.port), "");
      };
      const urls = ["/a", "/b", "/c"].map((path) => server.url + path);
      const engine = `${server.url}/socket.io/?EIO=4&transport=polling`;
      const answers = [
        await curl(urls[0]),
        // over one connection
        await curl(...urls),
        await curl("-d", "a=1", urls[0]),
        await curl("-d", "@-", urls[1]),
        await curl("-T", "-", urls[2]),
        await curl(urls[0], engine, urls[1]),
        await curl("-d", "40", engine),
      ];
      if (!ofStock) assert.deepEqual(roadsOf(server), { native: 7, left: 0, node: {}, obstacle: undefined });
      return answers;
    });
    assert.deepEqual(actual, expected);
    assert.match(actual[0], new RegExp(`^\\["GET","/a",0,"TLSv${version}","`));
    assert.match(actual[1], /true/);
    assert.match(actual[3], /300000/);
  });

  test(`curl that wants HTTP/2, with TLS ${version}`, skipWithout("curl"), async (t) => {
    const [expected, actual] = await onBoth(t, {}, { listener }, async (server) => {
      const args = ["--http2", "-sk", "--tls-max", version, `${server.url}/a`];
      return (await runProgram(t, "curl", args)).output;
    });
    assert.equal(actual, expected);
    assert.match(actual, /^\["GET","\/a"/);
  });
}

/** The cipher suites that OpenSSL's clients offer, of those that Node has by default. */
function suites() {
  const { stdout } = spawnSync("openssl", ["ciphers", tls.DEFAULT_CIPHERS], { encoding: "utf8" });
  return (stdout ?? "").trim().split(":").filter(Boolean);
}

const REQUEST = "GET /a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

for (const kind of ["P-256", "RSA"]) {
  test(`OpenSSL with each cipher suite, and a key of the kind ${kind}`, skipWithout("openssl"), async (t) => {
    const all = suites();
    assert.ok(all.length > 10, `${all}`);
    const [expected, actual] = await onBoth(t, selfSigned(kind), { listener }, async (server, ofStock) => {
      const answers = {};
      for (const suite of all) {
        const version = suite.startsWith("TLS_") ? ["-tls1_3", "-ciphersuites"] : ["-tls1_2", "-cipher"];
        const args = ["s_client", ...version, suite, "-ign_eof", "-connect", `127.0.0.1:${server.port}`];
        const { output } = await runProgram(t, "openssl", args, { input: REQUEST });
        answers[suite] = /\["GET.*/.exec(output)?.[0] ?? /alert number \d+/.exec(output)?.[0];
      }
      if (!ofStock) {
        const { native, left } = roadsOf(server);
        assert.ok(native >= 5 && left > 0, `${native} native, ${left} left`);
      }
      assert.equal(await isServed(server), true);
      return answers;
    });
    assert.deepEqual(actual, expected);
  });
}

for (const [name, ...flags] of [
  ["X25519", "-groups", "X25519"],
  ["P-256", "-groups", "P-256"],
  ["P-384", "-groups", "P-384"],
  ["P-521", "-groups", "P-521"],
  ["a key for a group that is not the server's first", "-groups", "P-384:X25519"],
  ["a key for a group that only Node has", "-groups", "X448:X25519"],
  ["a finite field", "-groups", "ffdhe2048:P-256"],
  ["PKCS #1 signatures", "-sigalgs", "RSA+SHA256:RSA+SHA512"],
  ["PSS signatures", "-sigalgs", "RSA-PSS+SHA384"],
  ["no name of a host", "-noservername"],
  ["a name of a host", "-servername", "chat.example"],
  ["small records", "-max_send_frag", "512", "-split_send_frag", "512"],
  ["a limit for records", "-maxfraglen", "1024"],
  ["no tickets", "-no_ticket"],
  ["no middlebox compatibility", "-no_middlebox"],
  ["a wish for OCSP", "-status"],
  ["a second protocol", "-alpn", "h2,http/1.1"],
  ["h2 only", "-alpn", "h2"],
]) {
  test(`OpenSSL with ${name}`, skipWithout("openssl"), async (t) => {
    const [expected, actual] = await onBoth(t, selfSigned("RSA"), { listener }, async (server) => {
      const answers = [];
      for (const version of ["-tls1_2", "-tls1_3"]) {
        const args = ["s_client", version, ...flags, "-ign_eof", "-connect", `127.0.0.1:${server.port}`];
        const { output } = await runProgram(t, "openssl", args, { input: REQUEST });
        const facts = [
          /^Peer signing digest: .*/m,
          /^Peer signature type: .*/m,
          /^Server Temp Key: .*/m,
          /^ALPN protocol: .*/m,
        ];
        const line = (pattern) => pattern.exec(output)?.[0];
        answers.push([...facts.map(line), line(/\["GET.*/) ?? line(/alert number \d+/)]);
      }
      assert.equal(await isServed(server), true);
      return answers;
    });
    assert.deepEqual(actual, expected);
  });
}
