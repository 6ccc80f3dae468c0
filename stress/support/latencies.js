"use strict";

/** Milliseconds on a clock that all processes of the machine share, and that nobody sets. */
function now() {
  return Number(process.hrtime.bigint()) / 1e6;
}

/**
 * @param {number[]} values in ms; are sorted
 * @returns {{ p50?: number, p99?: number, max?: number, count: number }}
 */
function summary(values) {
  const sorted = Float64Array.from(values).sort();
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return { p50: at(0.5), p99: at(0.99), max: at(1), count: sorted.length };
}

module.exports = { now, summary };
