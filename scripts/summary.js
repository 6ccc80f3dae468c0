"use strict";

// The last lines of a run: what was checked, what has failed, what was skipped and why, and the counts.

const { Tally } = require("./tally");

/** Of so many tests that have failed the name is repeated at the end. */
const MOST_NAMES = 50;

/**
 * @typedef {object} Result - what has become of one check
 * @property {string} name
 * @property {boolean} passed
 * @property {number} seconds - how long it took
 * @property {"cargo"|"node"} [runner] - what has counted its tests
 * @property {Tally} [tally] - of its tests, if it has any
 */

/**
 * The summary of a run. Its last line is `N passed, N failed`, with `, N skipped` behind it if there are any. A check
 * that fails without a test that does (a format, a lint, a crash) counts as one failure.
 * @param {Result[]} results
 * @returns {string[]} its lines
 */
function summarise(results) {
  const width = Math.max(0, ...results.map(({ name }) => name.length));
  const lines = results.map(({ name, passed, seconds, tally }) => {
    const counts = tally === undefined ? "" : `  ${describe(tally)}`;
    return `${passed ? "passed" : "FAILED"}  ${name.padEnd(width)}  ${seconds.toFixed(1).padStart(6)} s${counts}`;
  });
  const total = new Tally();
  for (const result of results) total.merge(tallyOf(result));
  // where there were no tests to run, the checks are what counts
  if (results.every(({ runner }) => runner === undefined)) {
    total.passed = results.filter(({ passed }) => passed).length;
  }
  if (total.failed > 0) {
    lines.push("", "failed:");
    lines.push(...total.failures.slice(0, MOST_NAMES).map((name) => `  ${name}`));
    if (total.failed > MOST_NAMES) lines.push(`  … and ${total.failed - MOST_NAMES} more, see above`);
  }
  if (total.skipped > 0) {
    lines.push("", "skipped:");
    const reasons = Object.entries(total.reasons).sort(([, a], [, b]) => b - a);
    const digits = String(reasons[0][1]).length;
    lines.push(...reasons.map(([reason, count]) => `  ${String(count).padStart(digits)} × ${reason}`));
  }
  lines.push("");
  for (const runner of ["cargo", "node"]) {
    const ofRunner = results.filter((result) => result.runner === runner && result.tally !== undefined);
    if (ofRunner.length === 0) continue;
    const sum = new Tally();
    for (const { tally } of ofRunner) sum.merge(tally);
    lines.push(`${runner.padEnd(5)}  ${sum.executed} executed, ${describe(sum)}`);
  }
  const took = Math.round(results.reduce((sum, { seconds }) => sum + seconds, 0));
  lines.push(`time   ${Math.floor(took / 60)} min ${took % 60} s`, describe(total));
  return lines;
}

/** What a check adds to the counts. */
function tallyOf({ name, passed, tally = new Tally() }) {
  if (passed || tally.failed > 0) return tally;
  const own = new Tally().merge(tally);
  own.fail(name);
  return own;
}

function describe({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

module.exports = { summarise };
