"use strict";

// What is said where the native addon cannot be loaded.

const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const test = require("node:test");

const ROOT = path.join(__dirname, "..");
const LOADER = path.join("lib", "native", "binding.js");
const [ADDON] = fs.readdirSync(ROOT).filter((file) => /^sockeye\..*\.node$/.test(file));

/** A folder with the loader, and files beside where its package.json would be. */
function packageWith(t, files = {}) {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-addon-"));
  t.after(() => fs.rmSync(root, { recursive: true, force: true }));
  fs.mkdirSync(path.join(root, "lib", "native"), { recursive: true });
  fs.copyFileSync(path.join(ROOT, LOADER), path.join(root, LOADER));
  for (const [file, content] of Object.entries(files)) fs.writeFileSync(path.join(root, file), content);
  return root;
}

/**
 * Loads the addon of a package in a process of its own.
 * @param {string} root
 * @param {{ args?: string[], before?: string, env?: object }} [options] `before`: code that runs first
 * @returns {string|object} "loaded", or the error: code, message, the code of its cause
 */
function load(root, { args = [], before = "", env } = {}) {
  const code = `${before}
    try {
      require(${JSON.stringify(path.join(root, LOADER))});
      console.log('"loaded"');
    } catch ({ code, message, cause }) {
      console.log(JSON.stringify({ code, message, cause: cause.code }));
    }`;
  const options = { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "ignore"] };
  return JSON.parse(execFileSync(process.execPath, [...args, "-e", code], options));
}

const pretend = (properties) => `Object.defineProperties(process, ${JSON.stringify(properties)});`;

/** As a process with another C library would see itself. */
const pretendLibrary = (report) => `process.report.getReport = () => (${JSON.stringify(report)});`;

const MUSL = pretendLibrary({ header: {}, sharedObjects: ["/lib/ld-musl-x86_64.so.1"] });

const isLinux = process.platform === "linux";

test("the addon beside package.json is loaded", () => {
  assert.equal(load(ROOT), "loaded");
});

test("another file may be named by a variable of the environment", (t) => {
  const root = packageWith(t);
  const env = { NAPI_RS_NATIVE_LIBRARY_PATH: path.join(ROOT, ADDON) };
  assert.equal(load(root, { env }), "loaded");
  const { message } = load(root, { env: { NAPI_RS_NATIVE_LIBRARY_PATH: "/no/such/file.node" } });
  assert.match(message, /its native addon \/no\/such\/file\.node on /);
});

test("no addon at all", (t) => {
  const error = load(packageWith(t));
  assert.deepEqual([error.code, error.cause], ["ERR_SOCKEYE_ADDON", "MODULE_NOT_FOUND"]);
  assert.ok(
    error.message.startsWith(`sockeye.io cannot load its native addon ${ADDON} on ${process.platform}`),
  );
  assert.match(error.message, new RegExp(`Node ${process.versions.node}`));
  assert.match(error.message, /nor is any other: .* Install the package again, .*npm run build/);
  assert.doesNotMatch(error.message, /npm has a bug/);
});

test("no addon in a clone of the repository", (t) => {
  const { message } = load(packageWith(t, { "Cargo.toml": "" }));
  assert.match(message, /has not been built\. Run npm run build\.$/);
});

test("an addon of another platform only", (t) => {
  const root = packageWith(t, { "sockeye.sunos-sparc.node": "" });
  const { message } = load(root);
  assert.match(message, /it is not there, there is sockeye\.sunos-sparc\.node for another system\. Install/);
});

test("a platform of which there is no build", (t) => {
  const root = packageWith(t, { [ADDON]: "" });
  const before = pretend({ platform: { value: "sunos" }, arch: { value: "sparc" } });
  const { code, message } = load(root, { before });
  assert.equal(code, "ERR_SOCKEYE_ADDON");
  assert.ok(
    message.includes(`sockeye.sunos-sparc.node on sunos-sparc with Node ${process.versions.node}: `),
    message,
  );
  assert.ok(message.includes(ADDON), message);
});

test("an addon that somebody has built for a platform of their own", (t) => {
  const root = packageWith(t);
  fs.copyFileSync(path.join(ROOT, ADDON), path.join(root, "sockeye.sunos-sparc.node"));
  const before = pretend({ platform: { value: "sunos" }, arch: { value: "sparc" } });
  assert.equal(load(root, { before }), "loaded");
});

test("a file that is no addon", (t) => {
  const { code, cause, message } = load(packageWith(t, { [ADDON]: "not an addon at all" }));
  assert.deepEqual([code, cause], ["ERR_SOCKEYE_ADDON", "ERR_DLOPEN_FAILED"]);
  assert.match(message, /: .+\. Install the package on the system that it is to run on/);
});

test("addons of both C libraries: the one of this process is loaded", { skip: !isLinux }, (t) => {
  const files = { "sockeye.linux-x64-gnu.node": "", "sockeye.linux-x64-musl.node": "" };
  const x64 = pretend({ arch: { value: "x64" } });
  const root = packageWith(t, files);
  const gnu = x64 + pretendLibrary({ header: { glibcVersionRuntime: "2.36" } });
  assert.match(
    load(root, { before: gnu }).message,
    /linux-x64-gnu\.node on linux-x64 with glibc 2\.36 and Node/,
  );
  assert.match(
    load(root, { before: x64 + MUSL }).message,
    /linux-x64-musl\.node on linux-x64 with musl and Node/,
  );
  // a process that tells nothing of itself is taken for one with the usual library
  const dumb = `${x64} Object.defineProperty(process, "report", { value: undefined });`;
  assert.match(
    load(root, { before: dumb }).message,
    /linux-x64-gnu\.node on linux-x64 with an unknown C library/,
  );
});

test("an addon of one C library only is tried", { skip: !isLinux }, (t) => {
  const root = packageWith(t);
  fs.copyFileSync(path.join(ROOT, ADDON), path.join(root, ADDON));
  assert.equal(load(root, { before: MUSL }), "loaded");
});

test("an addon that needs a newer C library", (t) => {
  const root = packageWith(t, { [ADDON]: "" });
  const before = `process.dlopen = () => {
    const text = "/lib/libc.so.6: version \`GLIBC_2.99' not found (required by it)";
    throw Object.assign(new Error(text), { code: "ERR_DLOPEN_FAILED" });
  };`;
  assert.match(
    load(root, { before }).message,
    /: it needs a newer C library \(GLIBC 2\.99\)\. Use a newer system/,
  );
});

test("addons are turned off", () => {
  const { code, message, cause } = load(ROOT, { args: ["--no-addons"] });
  assert.deepEqual([code, cause], ["ERR_SOCKEYE_ADDON", "ERR_DLOPEN_DISABLED"]);
  assert.match(message, /addons are turned off \(--no-addons\)\. Leave that option out\.$/);
});

test("the permission model does not allow addons", () => {
  const flag = process.allowedNodeEnvironmentFlags.has("--permission")
    ? "--permission"
    : "--experimental-permission";
  const args = [flag, "--allow-fs-read=*"];
  const { code, message, cause } = load(ROOT, { args });
  assert.deepEqual([code, cause], ["ERR_SOCKEYE_ADDON", "ERR_DLOPEN_DISABLED"]);
  assert.match(message, /the permission model does not allow addons\. Add the option --allow-addons\.$/);
});
