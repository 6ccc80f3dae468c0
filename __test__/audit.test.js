"use strict";

// `npm run audit`: both data bases are the test's own.

const assert = require("node:assert/strict");
const { execFile } = require("node:child_process");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");
const test = require("node:test");
const { ROOT, withoutNpm } = require("./support/tarball");
const { once } = require("./support/waiting");

/** A cargo that has `audit`, which ends with an exit code; or that has not. */
const CARGO = {
  good: '#!/bin/sh\n[ "$1" = audit ] || exit 9\n',
  bad: '#!/bin/sh\n[ "$2" = --version ] || { echo "1 vulnerability found!"; exit 1; }\n',
  without: "#!/bin/sh\nexit 101\n",
  strict: '#!/bin/sh\n[ "$2" = --version ] || [ "$1" = audit ] || { echo "licenses FAILED"; exit 4; }\n',
};

const ADVISORY = {
  id: 1,
  url: "https://example.com",
  title: "something is wrong with ws",
  severity: "high",
  vulnerable_versions: "*",
  cwe: [],
  cvss: { score: 0, vectorString: null },
};

/** Runs the script; resolves with its exit code and what it has printed. */
async function audit(t, cargo, advisories) {
  const registry = http.createServer((req, res) => {
    req.resume();
    res.setHeader("Content-Type", "application/json");
    res.statusCode = req.url === "/-/npm/v1/security/advisories/bulk" ? 200 : 404;
    res.end(JSON.stringify(res.statusCode === 200 ? advisories : {}));
  });
  registry.listen(0, "127.0.0.1");
  await once(registry, "listening");
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-audit-"));
  t.after(() => {
    registry.close();
    fs.rmSync(scratch, { recursive: true, force: true });
  });
  fs.writeFileSync(path.join(scratch, "cargo"), CARGO[cargo], { mode: 0o755 });
  const env = {
    ...withoutNpm(process.env),
    PATH: [scratch, process.env.PATH].join(path.delimiter),
    npm_config_registry: `http://127.0.0.1:${registry.address().port}`,
    npm_config_cache: path.join(scratch, "cache"),
  };
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [path.join(ROOT, "scripts", "audit.js")],
      { cwd: ROOT, env },
      (error, stdout) => {
        resolve({ code: error?.code ?? 0, stdout });
      },
    );
  });
}

const SH = { skip: process.platform === "win32" && "the cargo of the test is a shell script" };

test("nothing is known against what is shipped", SH, async (t) => {
  const { code, stdout } = await audit(t, "good", {});
  assert.equal(code, 0, stdout);
  assert.match(stdout, /found 0 vulnerabilities/);
  assert.match(stdout, /\n2 passed, 0 failed\n$/);
});

test("something is known against a dependency", SH, async (t) => {
  const { code, stdout } = await audit(t, "good", { ws: [ADVISORY] });
  assert.equal(code, 1);
  assert.match(stdout, /something is wrong with ws/);
  assert.match(stdout, /^FAILED {2}npm audit/m);
  assert.match(stdout, /^passed {2}cargo audit/m);
});

test("something is known against a crate", SH, async (t) => {
  const { code, stdout } = await audit(t, "bad", {});
  assert.equal(code, 1);
  assert.match(stdout, /1 vulnerability found!/);
  assert.match(stdout, /^FAILED {2}cargo audit/m);
});

test("a crate has a licence that is not allowed", SH, async (t) => {
  const { code, stdout } = await audit(t, "strict", {});
  assert.equal(code, 1);
  assert.match(stdout, /licenses FAILED/);
  assert.match(stdout, /^passed {2}cargo audit/m);
  assert.match(stdout, /^FAILED {2}cargo deny/m);
});

test("without cargo-audit, it says how to get it", SH, async (t) => {
  const { code, stdout } = await audit(t, "without", {});
  assert.equal(code, 1);
  assert.match(stdout, /cargo install cargo-audit --locked/);
});
