"use strict";

// `npm run build`: the native addon, and the client bundles that the server serves.
//
//   --force       run cargo even if nothing changed
//   --if-needed   say nothing when there is nothing to do
//   --no-addon    the client bundles only, for an addon that was built elsewhere

const fs = require("node:fs");
const path = require("node:path");
const { usesMusl } = require("../lib/native/system");
const { canRun, ensureInstalled, root, run } = require("./support");

const CLIENT_BUNDLES = [
  "socket.io.esm.min.js",
  "socket.io.js",
  "socket.io.min.js",
  "socket.io.msgpack.min.js",
];
const INPUTS = ["Cargo.toml", "Cargo.lock", "build.rs", "src", ".cargo/config.toml", "rust-toolchain.toml"];
/** What the addon offers, for whoever works on it. */
const TYPES = "binding.d.ts";

const force = process.argv.includes("--force");
const quiet = process.argv.includes("--if-needed");

ensureInstalled();
copyClientBundles();

if (process.argv.includes("--no-addon")) process.exit();
if (force || !isUpToDate()) {
  requireToolchain();
  build();
} else if (!quiet) {
  console.log("The addon is up to date (--force builds it all the same).");
}

function copyClientBundles() {
  const from = path.join(root, "node_modules", "socket.io-client", "dist");
  const to = path.join(root, "client-dist");
  fs.mkdirSync(to, { recursive: true });
  for (const file of CLIENT_BUNDLES.flatMap((bundle) => [bundle, `${bundle}.map`])) {
    // a running server may be reading them, so those that are right already are left alone
    if (!isSameFile(path.join(from, file), path.join(to, file))) {
      fs.copyFileSync(path.join(from, file), path.join(to, file));
    }
  }
}

function isSameFile(a, b) {
  return fs.existsSync(b) && fs.readFileSync(a).equals(fs.readFileSync(b));
}

function isUpToDate() {
  const addon = findAddon();
  if (!addon || !fs.existsSync(path.join(root, TYPES))) {
    return false;
  }
  const builtAt = fs.statSync(addon).mtimeMs;
  return INPUTS.every((input) => newestIn(path.join(root, input)) <= builtAt);
}

/** The addon that this process would load, named as napi names it: sockeye.linux-x64-gnu.node. */
function findAddon() {
  const libc = process.platform === "linux" ? (usesMusl() ? "-musl" : "-gnu") : "";
  const prefix = `sockeye.${process.platform}-${process.arch}${libc}`;
  const name = fs.readdirSync(root).find((file) => file.startsWith(prefix) && file.endsWith(".node"));
  return name && path.join(root, name);
}

/** The latest change of a file, or of anything in a directory; 0 if it is not there. */
function newestIn(file) {
  const stats = fs.statSync(file, { throwIfNoEntry: false });
  if (!stats?.isDirectory()) {
    return stats?.mtimeMs ?? 0;
  }
  const children = fs.readdirSync(file).map((child) => newestIn(path.join(file, child)));
  return Math.max(stats.mtimeMs, ...children);
}

function requireToolchain() {
  if (!canRun("cargo")) {
    fail(
      "The native part of sockeye.io is built with Rust, and `cargo` was not found: install Rust from " +
        "https://rustup.rs, and a C linker (on Debian or Ubuntu the package build-essential, on macOS " +
        "`xcode-select --install`), then run this again in a new shell.",
    );
  }
  if (process.platform !== "win32" && !["cc", "gcc", "clang"].some(canRun)) {
    fail(
      "Rust needs a C linker, and no `cc` was found: install one (on Debian or Ubuntu the package " +
        "build-essential, on macOS `xcode-select --install`), then run this again.",
    );
  }
}

function build() {
  console.log("Building the native addon; the first build takes a few minutes …");
  const startedAt = new Date();
  const napi = path.join(root, "node_modules", "@napi-rs", "cli", "dist", "cli.js");
  const args = ["build", "--platform", "--release", "--no-js", "--dts", TYPES];
  if (!run(process.execPath, [napi, ...args])) {
    fail("The native addon could not be built; what is wrong stands above.");
  }
  // A source saved while cargo was running must count as newer than the addon.
  fs.utimesSync(findAddon(), startedAt, startedAt);
}

function fail(sentence) {
  console.error(sentence);
  process.exit(1);
}
