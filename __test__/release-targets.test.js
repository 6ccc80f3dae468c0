"use strict";

// That releases are made of what the loader looks for, and what they say where they cannot be made.

const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const test = require("node:test");
const { TARGETS } = require("../scripts/release/targets");

const SCRIPTS = path.join(__dirname, "..", "scripts", "release");
const ON_LINUX = { skip: process.platform !== "linux" && "addons for other systems are made on Linux" };

const names = TARGETS.map(({ name }) => name).sort();

test("the loader names the addon and the package of every target, and no others", () => {
  const source = fs.readFileSync(path.join(__dirname, "..", "lib", "native", "binding.js"), "utf8");
  const requiredBy = (pattern) => Array.from(source.matchAll(pattern), ([, name]) => name).sort();
  assert.deepEqual(requiredBy(/require\("\.\.\/\.\.\/sockeye\.([\w-]+)\.node"\)/g), names);
  assert.deepEqual(requiredBy(/require\("@sockeye\.io\/([\w-]+)"\)/g), names);
});

test("targets for glibc say the oldest that they load with, and no others do", () => {
  for (const { name, libc, glibc } of TARGETS) assert.equal(/^2\.\d+$/.test(glibc), libc === "glibc", name);
});

/**
 * Calls something in a process that finds nothing but these commands.
 * @param {object} t
 * @param {string[]} commands - files of these names, which cannot be run
 * @param {string} code - its value is what comes back
 * @param {string[]} [cached] - folders that are taken for what was obtained before
 */
function ask(t, commands, code, cached = []) {
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-release-"));
  t.after(() => fs.rmSync(scratch, { recursive: true, force: true }));
  const bin = path.join(scratch, "bin");
  const cache = path.join(scratch, "cache");
  for (const folder of [bin, ...cached.map((name) => path.join(cache, name))]) {
    fs.mkdirSync(folder, { recursive: true });
  }
  for (const command of commands) fs.writeFileSync(path.join(bin, command), "");
  const script = `process.stdout.write(JSON.stringify(${code}))`;
  const env = { PATH: bin, SOCKEYE_TOOLCHAINS: cache };
  return JSON.parse(
    execFileSync(process.execPath, ["--eval", script], { cwd: SCRIPTS, env, encoding: "utf8" }),
  );
}

/** Why each target cannot be built, by name. */
function reasons(t, commands, cached) {
  const code = `Object.fromEntries(require("./targets").TARGETS.map((target) =>
    [target.name, require("./build").build(target, { into: "/nowhere" }).skipped]))`;
  return Object.entries(ask(t, commands, code, cached));
}

test("without Rust, no target is built", (t) => {
  for (const [name, reason] of reasons(t, [])) assert.match(reason, /^`cargo` was not found: install/, name);
});

test("without a C compiler, no target is built", ON_LINUX, (t) => {
  for (const [name, reason] of reasons(t, ["cargo"])) assert.match(reason, /^no C compiler was found/, name);
});

/** Why there are no addons for systems other than Linux here. */
const ELSEWHERE = /^linkers for (darwin|win32) are used on \1 only$/;

test("without Python, nothing is built for Linux", ON_LINUX, (t) => {
  for (const [name, reason] of reasons(t, ["cargo", "cc"])) {
    const pattern = /^zig cannot be had: there is no `python3`/;
    assert.match(reason, name.startsWith("linux") ? pattern : ELSEWHERE, name);
  }
});

test(
  "without Rust's standard library for a target, and Debian's packages, it is not built",
  ON_LINUX,
  (t) => {
    for (const [name, reason] of reasons(t, ["cargo", "cc"], ["zig"])) {
      const pattern = /^Rust's .* for \S+ \(no `rustc` is on PATH; .*\) cannot be had: .* no `apt-get`$/;
      assert.match(reason, name.startsWith("linux") ? pattern : ELSEWHERE, name);
    }
  },
);

test("what a tool says is why something cannot be had", ON_LINUX, (t) => {
  const fetchFrom = (script) =>
    ask(
      t,
      [],
      `(() => {
        try { require("./cache").fetchWith("zig", ${JSON.stringify(process.execPath)}, ["--eval", ${JSON.stringify(script)}]) }
        catch (error) { return error.message }
      })()`,
    );
  assert.equal(
    fetchFrom("console.error('Reading\\nE: Unable to locate\\nmore'); process.exitCode = 1"),
    "zig cannot be had: E: Unable to locate",
  );
  assert.equal(fetchFrom("process.exitCode = 1"), "zig cannot be had: nothing is said of why");
});

test("types are checked of the targets that cannot be tried out, or it is said why not", (t) => {
  const checked = ask(
    t,
    [],
    `require("./check").CHECKED.map((target) => require("./check").checkTypes(target))`,
  );
  assert.equal(checked.length, TARGETS.filter(({ os: system }) => system !== "linux").length);
  for (const { skipped } of checked) assert.match(skipped, /^`cargo` was not found/);
});

test("foreign systems that cannot be had are said", ON_LINUX, (t) => {
  const code = `require("./foreign").FOREIGN.map((name) => require("./foreign").smokeForeign(name, "/nowhere"))`;
  const results = ask(t, [], code);
  assert.deepEqual(
    results.map(({ name }) => name),
    ["linux-arm64-gnu", "linux-x64-musl", "linux-arm64-musl"],
  );
  for (const { skipped } of results)
    assert.match(skipped, /there is no `apt-get`$|are tried out on Linux and x64$/);
});
