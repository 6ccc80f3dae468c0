"use strict";

// What `npm run release` makes, as far as this machine's own addon goes: the packages, what is in them, and that they install
// from a registry and run, or say why they do not.

const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const { createRequire } = require("node:module");
const os = require("node:os");
const path = require("node:path");
const test = require("node:test");
const { ensureInstalled, root } = require("../scripts/support");
const { BUNDLED, cratesOf } = require("../scripts/release/components");
const { TARGETS, addonOf, hostTarget, packageOf } = require("../scripts/release/targets");
const { version } = require("../package.json");

const MINUTES = 60_000;

/** What is published beside the JavaScript and the types of bin/, lib/, dist/ and types/. */
const REST = [
  "LICENSE",
  "NOTICES.md",
  "README.md",
  "admin-ui.d.ts",
  "admin-ui.js",
  "engine.io.d.mts",
  "engine.io.d.ts",
  "engine.io.js",
  "engine.io.mjs",
  "index.d.mts",
  "index.d.ts",
  "index.js",
  "index.mjs",
  "opentelemetry.d.ts",
  "opentelemetry.js",
  "package.json",
  "prometheus.d.ts",
  "prometheus.js",
  "ws.d.mts",
  "ws.d.ts",
  "ws.js",
  "ws.mjs",
  ...["socket.io.esm.min.js", "socket.io.js", "socket.io.min.js", "socket.io.msgpack.min.js"].flatMap(
    (bundle) => [`client-dist/${bundle}`, `client-dist/${bundle}.map`],
  ),
];

test("the packages of a release", { timeout: 10 * MINUTES }, async (t) => {
  ensureInstalled(path.join(root, "scripts", "release"));
  const { assemble, writeSbom } = require("../scripts/release/assemble");
  const { inspectContents, inspectManifest, inspectSize } = require("../scripts/release/inspect");
  const { Report } = require("../scripts/release/report");
  const { Trial } = require("../scripts/release/trial");

  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-release-"));
  t.after(() => fs.rmSync(scratch, { recursive: true, force: true }));
  const host = hostTarget();
  const into = path.join(scratch, "release");
  const packages = await assemble(new Map([[host, path.join(root, addonOf(host))]]), into);
  const [platform, main] = packages;
  const read = ({ folder }, file) => fs.readFileSync(path.join(folder, file), "utf8");
  const manifestOf = (entry) => JSON.parse(read(entry, "package.json"));

  await t.test("the main one has what there is in the repository for it, and nothing else", () => {
    const folders = ["bin", "lib", "dist", "types"];
    const tracked = execFileSync("git", ["ls-files", ...folders], { cwd: root, encoding: "utf8" });
    assert.deepEqual(main.files, [...REST, ...tracked.trim().split("\n")].sort());
    inspectContents(main);
  });

  await t.test("its code is the repository's without comments, each line where it is there", () => {
    const { tokenizer } = createRequire(path.join(root, "scripts", "release", "x.js"))("acorn");
    const tokensOf = (code) =>
      Array.from(tokenizer(code, { ecmaVersion: 2023, locations: true }), ({ type, value, loc }) => [
        type.label,
        value?.pattern ?? value,
        loc.start.line,
      ]);
    for (const file of main.files.filter((name) => /^lib\/.*\.js$/.test(name))) {
      const code = read(main, file);
      assert.deepEqual(tokensOf(code), tokensOf(fs.readFileSync(path.join(root, file), "utf8")), file);
      assert.doesNotMatch(code, /^ *(\/\/|\/?\*)/m, file);
    }
  });

  await t.test("that of a platform has its addon, and what has to be said with it", () => {
    inspectContents(platform);
    assert.equal(platform.files.length, 5);
    const { name, os: systems, cpu, libc, main: entry } = manifestOf(platform);
    const expected = { name: packageOf(host), systems: [host.os], cpu: [host.cpu], entry: addonOf(host) };
    assert.deepEqual({ name, systems, cpu, entry }, expected);
    assert.deepEqual(libc, host.libc && [host.libc]);
  });

  await t.test("neither is too large", () => {
    for (const entry of packages) {
      assert.equal(entry.size, fs.statSync(entry.tarball).size);
      inspectSize(entry);
    }
  });

  await t.test("both are of one version, which the main one asks for exactly, and run nothing", () => {
    const { optionalDependencies, scripts, devDependencies, ...manifest } = manifestOf(main);
    assert.deepEqual([scripts, devDependencies, manifest.version], [undefined, undefined, version]);
    assert.deepEqual(optionalDependencies, { [packageOf(host)]: version });
    assert.equal(manifestOf(platform).version, version);
    for (const key of ["repository", "homepage", "bugs", "license"]) assert.ok(manifest[key], key);
  });

  await t.test("their manifests and types are as tools want them", async () => {
    for (const entry of packages) await inspectManifest(entry);
  });

  await t.test("they name whose code they contain", () => {
    const notices = read(platform, "NOTICES.md");
    const crates = cratesOf(host.rust);
    assert.ok(crates.some(({ name }) => name === "tokio"));
    for (const { name, version: own } of crates) assert.ok(notices.includes(`- ${name} ${own} (`), name);
    assert.match(notices, /^- std of Rust \(MIT OR Apache-2\.0\)$/m);
    assert.match(notices, /THE SOFTWARE IS PROVIDED "AS IS"/);
    const ofBundles = read(main, "NOTICES.md");
    for (const name of BUNDLED) assert.match(ofBundles, new RegExp(`^- ${name} \\d`, "m"));
    assert.match(ofBundles, /Copyright \(c\) 2014-present Guillermo Rauch/);
  });

  await t.test("the bundles contain nobody else's code, as their source maps have it", () => {
    const known = new Set(BUNDLED);
    for (const file of main.files.filter((name) => name.endsWith(".js.map"))) {
      for (const source of JSON.parse(read(main, file)).sources) {
        const name = /node_modules\/(@[^/]+\/[^/]+|[^/]+)|^\.\.\/\.\.\/([^/.]+[^/]*)/.exec(source);
        const owner = name?.[1] ?? name?.[2] ?? "socket.io-client";
        assert.ok(
          known.has(owner.replace("socket.io-component", "@socket.io/component")),
          `${file}: ${source}`,
        );
      }
    }
  });

  await t.test("there is a list of what they are made of", async () => {
    const { components, dependencies } = JSON.parse(fs.readFileSync(await writeSbom(version, into), "utf8"));
    const names = components.map(({ name }) => name);
    for (const name of ["tokio", "rustls", "rust-std", "socket.io-client"])
      assert.ok(names.includes(name), name);
    const tokio = components.find(({ name }) => name === "tokio");
    assert.match(tokio.purl, /^pkg:cargo\/tokio@\d/);
    assert.match(tokio.hashes[0].content, /^[0-9a-f]{64}$/);
    assert.ok(dependencies.some(({ ref, dependsOn }) => ref === tokio["bom-ref"] && dependsOn.length > 0));
  });

  await t.test(
    "installed from a registry, without Rust, an application runs after one import was changed",
    async () => {
      const trial = new Trial(new Report(), { version, packages }, scratch, { isWarm: true });
      await trial.open();
      try {
        await trial.tryManager();
      } finally {
        await trial.close();
      }
      assert.ok(trial.report.passed);
    },
  );
});

test("there is a package for each target that the loader knows", () => {
  const { TARGETS: known } = require("../lib/native/addon-failure");
  assert.deepEqual(
    TARGETS.map(({ name }) => name),
    known,
  );
});
