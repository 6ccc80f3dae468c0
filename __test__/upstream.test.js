"use strict";

// `npm run upstream`: whether stock has moved on. The registry is one of the test's own.

const assert = require("node:assert/strict");
const { execFile } = require("node:child_process");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");
const test = require("node:test");
const { PACKAGES, compareVersions, lockedVersions, newerNames, report } = require("../scripts/upstream");
const { withoutNpm } = require("./support/tarball");
const { once, within } = require("./support/waiting");

const ROOT = path.join(__dirname, "..");
const LOCKED = lockedVersions(fs.readFileSync(path.join(ROOT, "package-lock.json"), "utf8"));

test("versions are compared by their numbers", () => {
  const inOrder = [
    "0.9.10",
    "1.0.0-alpha.2",
    "1.0.0-alpha.10",
    "1.0.0-beta",
    "1.0.0",
    "1.0.1",
    "1.10.0",
    "2.0",
  ];
  for (const [i, a] of inOrder.entries()) {
    for (const [j, b] of inOrder.entries()) {
      assert.equal(Math.sign(compareVersions(a, b)), Math.sign(i - j), `${a} and ${b}`);
    }
  }
  assert.equal(compareVersions("2.0.0+build", "2.0.0"), 0);
  assert.equal(compareVersions("2.0.0", "2.0"), 0);
});

test("the lock file has a version of each package, and names no registry", () => {
  for (const name of PACKAGES) {
    assert.match(LOCKED[name], /^\d+\.\d+\.\d+$/, name);
  }
  assert.doesNotMatch(
    fs.readFileSync(path.join(ROOT, "package-lock.json"), "utf8"),
    /"resolved"|https?:\/\/registry/,
  );
});

test("the report names what is newer, and nothing else", () => {
  assert.deepEqual(newerNames(LOCKED, LOCKED), []);
  assert.ok(report(LOCKED, LOCKED).every((line) => line.endsWith("the latest")));
  const latest = { ...LOCKED, ws: "99.0.0", "engine.io": "0.0.1" };
  assert.deepEqual(newerNames(LOCKED, latest), ["ws"]);
  const lines = report(LOCKED, latest);
  assert.equal(lines.length, PACKAGES.length);
  assert.deepEqual(
    lines.filter((line) => !line.endsWith("the latest")),
    [`ws                 ${LOCKED.ws.padEnd(8)}  npm has 99.0.0`],
  );
});

/** Runs the script as npm would; resolves with its exit code and what it has printed. */
function upstream(registry, ...args) {
  const cache = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-npm-"));
  const env = { ...withoutNpm(process.env), npm_config_registry: registry, npm_config_cache: cache };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [path.join(ROOT, "scripts", "upstream.js"), ...args],
      { env },
      (error, stdout, stderr) => {
        fs.rmSync(cache, { recursive: true, force: true });
        resolve({ code: error?.code ?? 0, stdout, stderr });
      },
    );
  });
}

/** A registry that has one version of each package; resolves with its address. */
async function serveRegistry(t, versions) {
  const registry = http.createServer((req, res) => {
    const name = decodeURIComponent(req.url.slice(1));
    const version = versions[name];
    const manifest = { name, version, dist: { tarball: `http://${req.headers.host}/${name}.tgz` } };
    res.writeHead(version === undefined ? 404 : 200, { "Content-Type": "application/json" });
    res.end(JSON.stringify({ name, "dist-tags": { latest: version }, versions: { [version]: manifest } }));
  });
  registry.listen(0, "127.0.0.1");
  await once(registry, "listening");
  t.after(() => within(new Promise((resolve) => registry.close(resolve)), "the registry's end"));
  return `http://127.0.0.1:${registry.address().port}`;
}

test("exit code 0: nothing is newer", async (t) => {
  const { code, stdout, stderr } = await upstream(await serveRegistry(t, LOCKED));
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  assert.equal(stdout, `${report(LOCKED, LOCKED).join("\n")}\n`);
});

test("exit code 2: something is newer", async (t) => {
  const latest = { ...LOCKED, "engine.io": "99.1.0" };
  const { code, stdout } = await upstream(await serveRegistry(t, latest), "--list");
  assert.equal(code, 2);
  assert.match(stdout, /^engine\.io +\S+ +npm has 99\.1\.0$/m);
});

test("exit code 1, and a sentence: the registry does not answer", async () => {
  const registry = http.createServer();
  registry.listen(0, "127.0.0.1");
  await once(registry, "listening");
  const { port } = registry.address();
  await new Promise((resolve) => registry.close(resolve));
  const { code, stdout, stderr } = await upstream(`http://127.0.0.1:${port}`);
  assert.deepEqual({ code, stdout }, { code: 1, stdout: "" });
  assert.match(stderr, /^npm's registry could not be asked for \S+ \(ECONNREFUSED\), .*\n$/);
});

test("SIO_STOCK names the folder in which stock is looked for", async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-stock-"));
  t.after(() => fs.rmSync(folder, { recursive: true, force: true }));
  for (const name of ["socket.io", "socket.io-parser"]) {
    const home = path.join(folder, "node_modules", name);
    fs.mkdirSync(home, { recursive: true });
    fs.writeFileSync(path.join(home, "index.js"), `module.exports = "the other ${name}";\n`);
  }
  const code = `
    const { requireStock } = require("./__test__/support/stock");
    console.log(JSON.stringify([requireStock("socket.io"), requireStock("socket.io-parser")]));
  `;
  const env = { ...process.env, SIO_STOCK: folder };
  const stdout = await new Promise((resolve, reject) =>
    execFile(process.execPath, ["--eval", code], { cwd: ROOT, env }, (error, out) =>
      error ? reject(error) : resolve(out),
    ),
  );
  assert.deepEqual(JSON.parse(stdout), ["the other socket.io", "the other socket.io-parser"]);
});
