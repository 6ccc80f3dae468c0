"use strict";

// The compilers for other targets than the machine's own.

const { spawnSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { CACHE, Unavailable, findCommand, obtainFolder } = require("./cache");
const { MULTIARCH, unpackDebian } = require("./debian");
const { unpackPython } = require("./python");
const { root, run } = require("../support");

/** What links for any target, with the C library's symbols of the version that is asked for. */
const ZIG = ["ziglang==0.17.1", "cargo-zigbuild==0.24.1"];

/** The compiler that Debian keeps new enough for browsers, its cargo, and the sources of the standard library. */
const RUST = ["rustc-web", "cargo-web", "rust-web-src"];

/**
 * How cargo is to be run.
 * @typedef {object} Toolchain
 * @property {string} name - what it compiles goes to a folder of this name
 * @property {Record<string, string>} env - in addition to the environment
 * @property {string[]} path - folders that go before PATH
 * @property {string[]} cargo - arguments for cargo
 * @property {string} sources - the folder of the standard library's
 */

/**
 * A Rust that compiles for a target: the one on PATH if it has the target's standard library, else Debian's, which
 * compiles that as well.
 * @param {string} triple - Rust's name of the target
 * @returns {Toolchain}
 * @throws {Unavailable} when there is none
 */
function obtainRust(triple) {
  const sysroot = ownSysroot();
  if (sysroot !== undefined && fs.existsSync(path.join(sysroot, "lib", "rustlib", triple, "lib"))) {
    return { name: "rust", env: {}, path: [], cargo: [], sources: sourcesIn(sysroot) };
  }
  const remedy =
    sysroot === undefined ? "no `rustc` is on PATH" : `rustup target add ${triple} would bring it`;
  const what = `Rust's standard library for ${triple} (${remedy}; else it would be Debian's)`;
  if (process.platform !== "linux") throw new Unavailable(`${what} is not there`);
  return debianRust(what);
}

function ownSysroot() {
  const { status, stdout } = spawnSync("rustc", ["--print", "sysroot"], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}

/** @returns {Toolchain} */
function debianRust(what) {
  const home = obtainFolder("debian-rust", (draft) => unpackDebian(what, RUST, draft, { onTop: true }));
  const lib = path.join(home, "usr", "lib", MULTIARCH[process.arch]);
  return {
    name: "debian-rust",
    env: { RUSTC_BOOTSTRAP: "1", LD_LIBRARY_PATH: lib },
    path: [path.join(home, "usr", "bin")],
    cargo: ["-Zbuild-std=std,panic_unwind"],
    sources: sourcesIn(path.join(home, "usr")),
  };
}

function sourcesIn(sysroot) {
  return path.join(sysroot, "lib", "rustlib", "src", "rust");
}

/**
 * What links with zig.
 * @returns {{ env: Record<string, string>, path: string[] }}
 * @throws {Unavailable} when it cannot be had
 */
function obtainZig() {
  if (process.platform !== "linux") throw new Unavailable("addons for other systems are made on Linux");
  const home = obtainFolder("zig", (draft) => unpackPython("zig", ZIG, draft));
  return {
    env: {
      CARGO_ZIGBUILD_ZIG_PATH: path.join(home, "ziglang", "zig"),
      CARGO_ZIGBUILD_CACHE_DIR: path.join(CACHE, "zigbuild"),
      ZIG_GLOBAL_CACHE_DIR: path.join(CACHE, "zig-cache"),
    },
    path: [path.join(home, "bin")],
  };
}

/**
 * Runs cargo for a target, with its output shown.
 * @param {"build"|"check"} command
 * @param {string} triple - Rust's name of the target
 * @param {object} how
 * @param {Toolchain} how.rust
 * @param {ReturnType<obtainZig>} [how.zig] - links and compiles C, else the machine's own tools do
 * @param {string} [how.glibc] - the version of glibc that zig links for
 * @param {string[]} [how.flags] - for rustc
 * @param {Record<string, string>} [how.env]
 * @returns {string} the folder with what it has made
 * @throws {Error} when it fails; what is wrong has been shown
 */
function cargo(command, triple, { rust, zig, glibc, flags = [], env = {} }) {
  const folder = path.join(CACHE, "target", `${rust.name}-${command}`);
  const versioned = zig !== undefined && glibc !== undefined ? `${triple}.${glibc}` : triple;
  const args = [...rust.cargo, "--release", "--locked", "--lib", "--target", versioned];
  const [program, subcommand] =
    zig === undefined ? ["cargo", command] : ["cargo-zigbuild", command === "build" ? "zigbuild" : command];
  const succeeded = run(program, [subcommand, ...args], {
    env: {
      ...process.env,
      ...zig?.env,
      ...rust.env,
      ...env,
      PATH: [...rust.path, ...(zig?.path ?? []), process.env.PATH].join(path.delimiter),
      CARGO_TARGET_DIR: folder,
      CARGO_ENCODED_RUSTFLAGS: [...flags, ...remapped(rust)].join("\x1f"),
    },
  });
  if (!succeeded) throw new Error(`cargo ${command} has failed for ${triple}; what is wrong stands above`);
  return path.join(folder, triple, "release");
}

/** Flags with which what is compiled does not show where that was. */
function remapped({ sources }) {
  const home = process.env.CARGO_HOME ?? path.join(os.homedir(), ".cargo");
  // the last that fits is taken
  return [
    [home, "/cargo"],
    [root, "/sockeye"],
    [sources, "/rust"],
  ].flatMap(([folder, shown]) => spellings(folder).map((from) => `--remap-path-prefix=${from}=${shown}`));
}

/** How cargo may name a folder: from the root of the file system, and, inside of the checkout, from there. */
function spellings(folder) {
  const relative = path.relative(root, folder);
  return relative === "" || relative.startsWith("..") ? [folder] : [folder, relative];
}

/**
 * @throws {Unavailable} when what every build needs is not there
 */
function requireCargo() {
  if (!findCommand("cargo"))
    throw new Unavailable("`cargo` was not found: install Rust from https://rustup.rs");
  if (process.platform === "linux" && !["cc", "gcc", "clang"].some(findCommand)) {
    throw new Unavailable("no C compiler was found, which cargo needs for what it runs itself");
  }
}

module.exports = { obtainRust, obtainZig, requireCargo, cargo };
