"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const test = require("node:test");
const { withoutRust } = require("../scripts/processes");
const { ROOT, MINUTES, packInto, install, execute, versionOf } = require("./support/tarball");
const { APP, copyApp, runApp } = require("./support/pack-app");

const CLIENT_BUNDLES = fs.readdirSync(path.join(ROOT, "node_modules", "socket.io-client", "dist")).sort();

test("the packed tarball works in an empty project without Rust", { timeout: 8 * MINUTES }, async (t) => {
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-pack-"));
  t.after(() => fs.rmSync(scratch, { recursive: true, force: true }));
  const project = path.join(scratch, "project");
  fs.mkdirSync(project);
  const installed = path.join(project, "node_modules", "sockeye.io");
  const env = withoutRust(process.env, path.join(scratch, "bin"));
  let tarball;

  await t.test("npm pack makes it", async () => {
    tarball = await packInto(scratch);
    assert.match(path.basename(tarball), /^sockeye\.io-\d+\.\d+\.\d+\.tgz$/);
  });

  await t.test("it installs next to express and socket.io-client", async () => {
    await assert.rejects(execute("cargo", ["--version"], { env }), { code: "ENOENT" });
    await assert.rejects(execute("rustc", ["--version"], { env }), { code: "ENOENT" });
    fs.writeFileSync(path.join(project, "package.json"), JSON.stringify({ name: "app", private: true }));
    const packages = [
      tarball,
      ...["express", "socket.io-client"].map((name) => `${name}@${versionOf(name)}`),
    ];
    await install(project, packages, env);
    assert.equal(fs.existsSync(path.join(project, "node_modules", "socket.io")), false);
  });

  await t.test("it contains the addon and the client bundles, and nothing to build or test with", () => {
    const entries = fs.readdirSync(installed);
    assert.ok(
      entries.some((entry) => entry.endsWith(".node")),
      `an addon among ${entries}`,
    );
    for (const entry of ["index.js", "index.mjs", "index.d.ts", "lib", "dist", "LICENSE"]) {
      assert.ok(entries.includes(entry), `${entry} among ${entries}`);
    }
    for (const entry of ["src", "target", "__test__", "examples", "scripts", "Cargo.toml", "build.rs"]) {
      assert.ok(!entries.includes(entry), `no ${entry}`);
    }
    assert.deepEqual(fs.readdirSync(path.join(installed, "client-dist")).sort(), CLIENT_BUNDLES);
  });

  await t.test("an app of stock socket.io runs on it after changing the import", async () => {
    copyApp(project, "sockeye.io");
    const expected = await runApp(APP, process.env);
    const actual = await runApp(project, env);
    assert.deepEqual(actual, expected);
    assert.deepEqual(actual.results.Bob.said, ["Bob", "Grüße \u{1F41F}"]);
  });

  await t.test("it can be imported as an ES module", async () => {
    const code = 'import * as all from "sockeye.io"; console.log(Object.keys(all).sort().join())';
    const { stdout } = await execute(process.execPath, ["--input-type=module", "--eval", code], {
      cwd: project,
      env,
    });
    assert.equal(stdout.trim(), "Namespace,Server,Socket");
  });
});
