"use strict";

// Options of servers that are numbers, and what those of ws mean to the workers.

const os = require("node:os");
const { inspect } = require("node:util");

/** Threads that an engine may have. */
const MOST_WORKERS = 31;

/**
 * How many workers an engine has: by default one for each core that the JavaScript thread leaves, at least one, at most four.
 * @param {object} opts - `workers`
 * @returns {number}
 * @throws {TypeError} if that is no such number
 */
function workersOf(opts) {
  const workers = opts.workers ?? Math.min(4, Math.max(1, os.availableParallelism() - 1));
  if (!Number.isInteger(workers) || workers < 1 || workers > MOST_WORKERS) {
    refuseOption(opts, "workers", `an integer from 1 to ${MOST_WORKERS}`);
  }
  return workers;
}

/**
 * The value of an option that bounds something, which nothing does unless it is given.
 * @param {object} opts
 * @param {string} name
 * @param {string} allowed - what it has to be
 * @returns {number}
 * @throws {TypeError} if it is not positive
 */
function boundOf(opts, name, allowed) {
  const value = Number(opts[name] ?? Infinity);
  if (!(value > 0)) refuseOption(opts, name, allowed);
  return value;
}

/** Says which option is wrong, what it was given, and what it may be. */
function refuseOption(opts, name, allowed) {
  throw new TypeError(`the "${name}" option must be ${allowed}, not ${inspect(opts[name], { depth: 0 })}`);
}

/** What of the option `perMessageDeflate` holds for all connections. */
function deflateSettings(options) {
  if (!options) return undefined;
  const level = options.zlibDeflateOptions?.level;
  return { level: level >= 0 ? level : undefined, threshold: options.threshold };
}

module.exports = { boundOf, deflateSettings, refuseOption, workersOf };
