"use strict";

/** How many tests have passed, failed and been skipped, which have failed, and why some were skipped. */
class Tally {
  constructor() {
    this.passed = 0;
    this.failed = 0;
    this.skipped = 0;
    /** Names of the tests that have failed. */
    this.failures = [];
    /** Reason → how many tests were skipped for it. */
    this.reasons = {};
  }

  get executed() {
    return this.passed + this.failed;
  }

  /**
   * Counts a test in.
   * @param {{ name: string, skip?: string|boolean, todo?: string|boolean, details: object }} result - as
   *   node's test runner reports it, with `details.passed`
   */
  add({ name, skip, todo, details }) {
    // a suite is no test, but what it consists of is
    if (details.type === "suite") return;
    if (skip !== undefined) this.skip(textOf(skip));
    else if (todo !== undefined) this.skip(`to do: ${textOf(todo)}`);
    else if (details.passed) this.passed++;
    else this.fail(name);
  }

  fail(name) {
    this.failed++;
    this.failures.push(name);
  }

  skip(reason, count = 1) {
    this.skipped += count;
    this.reasons[reason] = (this.reasons[reason] ?? 0) + count;
  }

  /**
   * Adds what another one has counted.
   * @param {Tally} other - or what JSON has left of one
   * @returns {Tally} this
   */
  merge(other) {
    this.passed += other.passed;
    this.failed += other.failed;
    this.failures.push(...other.failures);
    for (const [reason, count] of Object.entries(other.reasons)) this.skip(reason, count);
    return this;
  }
}

function textOf(reason) {
  return typeof reason === "string" && reason !== "" ? reason : "no reason given";
}

/**
 * Reads what `cargo test` has printed.
 * @param {string} output
 * @returns {Tally}
 */
function tallyOfCargo(output) {
  const tally = new Tally();
  for (const [, passed, , ignored] of output.matchAll(
    /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/gm,
  )) {
    tally.passed += Number(passed);
    if (ignored !== "0") tally.skip("ignored by cargo test", Number(ignored));
  }
  for (const [, name] of output.matchAll(/^---- (.+) stdout ----$/gm)) tally.fail(name);
  return tally;
}

module.exports = { Tally, tallyOfCargo };
