"use strict";

// Options of servers that are numbers, and what those of ws mean to the workers.

const os = require("node:os");
const { inspect } = require("node:util");
const { ruleOf } = require("./slow-consumer");

/** Bytes from which on a message is compressed, if nothing else is said. */
const DEFLATE_THRESHOLD = 1024;

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

/**
 * What the workers are told of what may wait for clients.
 * @param {object} opts - `maxOutboundBuffer`, `maxOutboundTotal`, `slowConsumer`
 * @returns {{ maxOutbound: number, maxOutboundTotal: number, slowPolicy: number|undefined, slowBytes: number, slowAge: number }} see
 *   `EngineOptions` in src/bridge/engine.rs
 * @throws {TypeError} if one makes no sense
 */
function outboundOptions(opts) {
  const { slowConsumer } = opts;
  const maxOutbound = boundOf(opts, "maxOutboundBuffer", "a positive number");
  const maxOutboundTotal = boundOf(opts, "maxOutboundTotal", "a positive number");
  const rule = slowConsumer == null ? undefined : ruleOf(slowConsumer, maxOutbound);
  return {
    // a rule says what may wait in its place
    maxOutbound: rule === undefined ? maxOutbound : Infinity,
    maxOutboundTotal,
    slowPolicy: rule?.policy,
    slowBytes: rule?.maxBytes ?? Infinity,
    slowAge: rule?.maxAge ?? Infinity,
  };
}

/**
 * What the workers are told of how much a client may send.
 * @param {object} limits - see `limitsOf()`
 * @returns {{ packetRate: number, byteRate: number, burst: number, rateAction: number }} likewise
 */
function rateOptions({ packetsPerSecond, bytesPerSecond, burst, actionCode }) {
  return { packetRate: packetsPerSecond, byteRate: bytesPerSecond, burst, rateAction: actionCode };
}

/** What of the option `perMessageDeflate` holds for all connections. */
function deflateSettings(options) {
  if (!options) return undefined;
  const { threshold = DEFLATE_THRESHOLD } = options;
  const level = options.zlibDeflateOptions?.level;
  return { level: level >= 0 ? level : undefined, threshold };
}

module.exports = {
  DEFLATE_THRESHOLD,
  boundOf,
  deflateSettings,
  outboundOptions,
  rateOptions,
  refuseOption,
  workersOf,
};
