"use strict";

// Tries mutants: whether the tests of the crate or the files of tests notice one.

const path = require("node:path");
const { coreOf, isSerial } = require("../checks");
const { filesThatRun, filesThatUse } = require("./coverage");
const { inTurns, JOBS, runProgram, runTestFile } = require("./test-run");

/** Milliseconds for a build, and for the tests of the crate, which take a quarter of a minute; a mutant may have them run for ever. */
const BUILD_LIMIT = 10 * 60_000;
const CRATE_LIMIT = 75_000;

/** An addon that is built quickly, and is quick enough for the tests. */
const QUICK_RELEASE = {
  CARGO_PROFILE_RELEASE_LTO: "off",
  CARGO_PROFILE_RELEASE_CODEGEN_UNITS: "16",
  CARGO_PROFILE_RELEASE_OPT_LEVEL: "1",
  CARGO_PROFILE_RELEASE_INCREMENTAL: "true",
};

/** How the core of the tests is run besides, as `npm test` does. */
const VARIANTS = [{ SIO_STREAM: "https", SIO_WORKERS: "3" }, { SIO_STREAM: "duplex" }, { SIO_WORKERS: "4" }];

/**
 * @typedef {object} Verdict
 * @property {"killed"|"survived"|"unviable"} outcome - `unviable`: it cannot be built
 * @property {string} [by] - what has noticed it first
 */

class Trial {
  /**
   * @param {import("./copy").Copy} copy
   * @param {Map<string, import("./coverage").Tested>} tested
   * @param {number} limit - milliseconds for the files of tests that judge one mutant
   */
  constructor(copy, tested, limit = Infinity) {
    this.copy = copy;
    this.tested = tested;
    this.limit = limit;
    this.cargoEnv = { CARGO_TARGET_DIR: path.join(copy.source, "target", "mutants", "build") };
  }

  /**
   * @param {import("./javascript").Mutant} mutant
   * @returns {Promise<Verdict>}
   */
  run(mutant) {
    return this.copy.with(mutant, () =>
      mutant.language === "rust" ? this._rust(mutant) : this._judge(filesThatRun(this.tested, mutant)),
    );
  }

  async _rust(mutant) {
    const build = await this._cargo(["test", "--lib", "--no-run"], BUILD_LIMIT);
    if (!build.passed) return { outcome: "unviable" };
    const tests = await this._cargo(["test", "--lib", "--quiet"], CRATE_LIMIT);
    if (!tests.passed) return { outcome: "killed", by: `cargo test: ${tests.why}` };
    const addon = await this._cargo(["build", "--lib", "--release"], BUILD_LIMIT, QUICK_RELEASE);
    // the tests are built with other features of the crates than the addon
    if (!addon.passed) return { outcome: "unviable" };
    this.copy.replaceAddon(path.join(this.cargoEnv.CARGO_TARGET_DIR, "release", "libsockeye.so"));
    try {
      return await this._judge(filesThatUse(this.tested, mutant.file));
    } finally {
      this.copy.restoreAddon();
    }
  }

  async _judge(files) {
    const end = performance.now() + this.limit;
    const core = coreOf([...this.tested.keys()]).filter((file) => this.tested.get(file).passed);
    const rounds = [
      { files: files.filter((file) => !isSerial(file)), jobs: JOBS },
      ...VARIANTS.map((env) => ({ files: files.length === 0 ? [] : core, env, jobs: JOBS })),
      { files: files.filter(isSerial), jobs: 1 },
    ];
    for (const round of rounds) {
      const by = await this._firstToFail(round, end);
      if (by !== undefined) return { outcome: "killed", by };
    }
    return { outcome: "survived" };
  }

  /** The file of tests that fails first, twice, and which test it is. */
  async _firstToFail({ files, env, jobs }, end) {
    const found = new AbortController();
    let by;
    const run = async (file) => {
      const options = { env, limit: this.tested.get(file).seconds * 2_500 + 10_000, stopped: found.signal };
      const first = await runTestFile(this.copy.root, file, options);
      if (by !== undefined || first.passed) return;
      // once may be chance
      const again = await runTestFile(this.copy.root, file, options);
      if (by !== undefined || again.passed) return;
      by = `${path.basename(file)}${env === undefined ? "" : ` (${Object.values(env).join(", ")})`}: ${again.why}`;
      found.abort();
    };
    await inTurns(files, jobs, run, () => by !== undefined || performance.now() >= end);
    return by;
  }

  _cargo(args, limit, env) {
    return runProgram("cargo", args, {
      cwd: this.copy.root,
      env: { ...this.cargoEnv, ...env },
      limit,
      explain: (output) => /^ {4}([\w:]+)$/m.exec(output)?.[1] ?? "failed",
    });
  }
}

module.exports = { Trial };
