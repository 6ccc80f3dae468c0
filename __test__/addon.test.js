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
const PARTS = [
  LOADER,
  path.join("lib", "native", "addon-failure.js"),
  path.join("lib", "native", "system.js"),
];
const [ADDON] = fs.readdirSync(ROOT).filter((file) => /^sockeye\..*\.node$/.test(file));
const TARGET = ADDON.split(".")[1];
const { version } = require("../package.json");

/** The package as it lies in node_modules, but with the loader only, and files beside its package.json. */
function packageWith(t, files = {}) {
  const project = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-addon-"));
  t.after(() => fs.rmSync(project, { recursive: true, force: true }));
  const root = path.join(project, "node_modules", "sockeye.io");
  fs.mkdirSync(path.join(root, "lib", "native"), { recursive: true });
  for (const part of PARTS) fs.copyFileSync(path.join(ROOT, part), path.join(root, part));
  fs.writeFileSync(path.join(root, "package.json"), JSON.stringify({ version }));
  for (const [file, content] of Object.entries(files)) fs.writeFileSync(path.join(root, file), content);
  return root;
}

/**
 * Puts the package for a platform beside a package.
 * @param {string} root
 * @param {string} target
 * @param {string|Buffer} [addon] - its content, this system's addon unless given
 */
function installPlatform(root, target, addon = fs.readFileSync(path.join(ROOT, ADDON))) {
  const folder = path.join(root, "..", "@sockeye.io", target);
  const main = `sockeye.${target}.node`;
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, "package.json"), JSON.stringify({ version, main }));
  fs.writeFileSync(path.join(folder, main), addon);
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
      console.log(JSON.stringify({ code, message, cause: cause?.code }));
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

test("the addon of the package for this platform is loaded", (t) => {
  const root = packageWith(t);
  installPlatform(root, TARGET);
  assert.equal(load(root), "loaded");
});

test("an addon beside package.json comes before the package for this platform", (t) => {
  const root = packageWith(t, { [ADDON]: "not an addon at all" });
  installPlatform(root, TARGET);
  assert.equal(load(root).cause, "ERR_DLOPEN_FAILED");
});

test("another file may be named by a variable of the environment", (t) => {
  const root = packageWith(t);
  assert.equal(load(root, { env: { SOCKEYE_BINDING: path.join(ROOT, ADDON) } }), "loaded");
  const { message } = load(root, { env: { SOCKEYE_BINDING: "/no/such/file.node" } });
  assert.match(
    message,
    /its native addon \/no\/such\/file\.node on .*: there is no such file\. Correct SOCKEYE_BINDING/,
  );
});

test("a file named by a relative path is looked for from where the process is", (t) => {
  const env = { SOCKEYE_BINDING: ADDON };
  const before = `process.chdir(${JSON.stringify(ROOT)});`;
  assert.equal(load(packageWith(t), { env, before }), "loaded");
});

test("no addon at all", (t) => {
  const error = load(packageWith(t));
  assert.deepEqual([error.code, error.cause], ["ERR_SOCKEYE_ADDON", "MODULE_NOT_FOUND"]);
  assert.ok(
    error.message.startsWith(
      `sockeye.io cannot load its native addon @sockeye.io/${TARGET} on ${process.platform}-${process.arch} with `,
    ),
    error.message,
  );
  assert.match(error.message, new RegExp(`Node ${process.versions.node}: the package is not installed: `));
  assert.match(error.message, /optional dependencies were left out \(--omit=optional, /);
  assert.ok(
    error.message.endsWith(`. Install it with them (npm install --include=optional sockeye.io@${version}).`),
    error.message,
  );
  assert.doesNotMatch(error.message, /npm has a bug|\n/);
});

test("no addon in a clone of the repository", (t) => {
  const { message } = load(packageWith(t, { "Cargo.toml": "" }));
  assert.match(message, /it has not been built\. Run npm run build\.$/);
});

test("a package of another platform only", (t) => {
  const root = packageWith(t);
  installPlatform(root, "sunos-sparc");
  assert.match(
    load(root).message,
    /the package is not installed, there is @sockeye\.io\/sunos-sparc for another system\. Install .*\(npm ci\)/,
  );
});

test("an addon of another platform only", (t) => {
  const root = packageWith(t, { "sockeye.sunos-sparc.node": "" });
  const { message } = load(root);
  assert.match(message, /not installed, there is sockeye\.sunos-sparc\.node for another system\. Install/);
});

test("an addon of another version", (t) => {
  const root = packageWith(t, { "package.json": JSON.stringify({ version: "4.8.999" }) });
  installPlatform(root, TARGET);
  const { code, message } = load(root);
  assert.equal(code, "ERR_SOCKEYE_ADDON");
  assert.ok(
    message.includes(`@sockeye.io/${TARGET} on `) &&
      message.endsWith(
        `: it is of version ${version}, while sockeye.io is 4.8.999. Install both again, of one version (npm install sockeye.io@4.8.999).`,
      ),
    message,
  );
});

test("an addon of another version that is named by a variable of the environment", (t) => {
  const root = packageWith(t, { "package.json": JSON.stringify({ version: "4.8.999" }) });
  const { message } = load(root, { env: { SOCKEYE_BINDING: path.join(ROOT, ADDON) } });
  assert.match(message, /it is of version .*, while sockeye\.io is 4\.8\.999/);
});

test("an addon that was built before the version in a clone has changed", (t) => {
  const files = { "package.json": JSON.stringify({ version: "4.8.999" }), "Cargo.toml": "" };
  const root = packageWith(t, { ...files, [ADDON]: fs.readFileSync(path.join(ROOT, ADDON)) });
  assert.match(load(root).message, /while sockeye\.io is 4\.8\.999\. Run npm run build\.$/);
});

test("package.json and Cargo.toml have one version", () => {
  assert.equal(require(path.join(ROOT, LOADER)).VERSION, version);
});

test("a platform of which there is no build", (t) => {
  const root = packageWith(t);
  installPlatform(root, TARGET);
  const before = pretend({ platform: { value: "sunos" }, arch: { value: "sparc" } });
  const { code, message } = load(root, { before });
  assert.equal(code, "ERR_SOCKEYE_ADDON");
  assert.ok(
    message.includes(`@sockeye.io/sunos-sparc on sunos-sparc with Node ${process.versions.node}: `),
    message,
  );
  assert.match(
    message,
    /there is no build for this system, only for darwin-arm64, .*, win32-x64-msvc\. Build/,
  );
  assert.match(message, /npm run build in a clone of its repository, then SOCKEYE_BINDING=/);
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

for (const [where, put] of [
  ["addons", (root, target) => fs.writeFileSync(path.join(root, `sockeye.${target}.node`), "")],
  ["packages", (root, target) => installPlatform(root, target, "")],
]) {
  test(`${where} of both C libraries: the one of this process is loaded`, { skip: !isLinux }, (t) => {
    const root = packageWith(t);
    put(root, "linux-x64-gnu");
    put(root, "linux-x64-musl");
    const x64 = pretend({ arch: { value: "x64" } });
    const messageOf = (before) => load(root, { before: x64 + before }).message;
    const gnu = pretendLibrary({ header: { glibcVersionRuntime: "2.36" } });
    assert.match(messageOf(gnu), /linux-x64-gnu on linux-x64 with glibc 2\.36 and Node/);
    assert.match(messageOf(MUSL), /linux-x64-musl on linux-x64 with musl and Node/);
    // a process that tells nothing of itself is taken for one with the usual library
    const dumb = `Object.defineProperty(process, "report", { value: undefined });`;
    assert.match(messageOf(dumb), /linux-x64-gnu on linux-x64 with an unknown C library/);
  });
}

test("an addon of one C library only is tried", { skip: !isLinux }, (t) => {
  const root = packageWith(t);
  installPlatform(root, TARGET);
  assert.equal(load(root, { before: MUSL }), "loaded");
});

test("what may be loaded is what there are packages for", () => {
  const loader = fs.readFileSync(path.join(ROOT, LOADER), "utf8");
  const { TARGETS } = require("../lib/native/addon-failure");
  const required = (pattern) => [...loader.matchAll(pattern)].map((match) => match[1]);
  assert.deepEqual(required(/require\("\.\.\/\.\.\/sockeye\.([^"]+)\.node"\)/g), TARGETS);
  assert.deepEqual(required(/require\("@sockeye\.io\/([^"]+)"\)/g), TARGETS);
});

test("an addon that needs a newer C library", (t) => {
  const root = packageWith(t, { [ADDON]: "" });
  const before = `process.dlopen = () => {
    const text = "/lib/libc.so.6: version \`GLIBC_2.99' not found (required by it)";
    throw Object.assign(new Error(text), { code: "ERR_DLOPEN_FAILED" });
  };`;
  assert.match(
    load(root, { before }).message,
    /: it needs a newer C library \(glibc 2\.99\)\. Use a newer system/,
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
