"use strict";

// What becomes of messages for clients that do not read as fast as they are sent to: see src/worker/held.rs.

const { inspect } = require("node:util");
const { flags, policies } = require("../native/codes");

const POLICIES = new Map([
  ["close", policies.CLOSE],
  ["drop-oldest", policies.DROP_OLDEST],
  ["drop-newest", policies.DROP_NEWEST],
  ["latest", policies.LATEST],
]);

/** Stands for "what holds for all". */
const NO_RULE = { policy: flags.NO_POLICY, maxBytes: Infinity, maxAge: Infinity };

/**
 * A rule, as the workers want it.
 * @param {{ policy?: string, maxBytes?: number, maxAge?: number }} options - bytes, milliseconds
 * @param {number} maxBytes - what may wait if they do not say it
 * @returns {{ policy: number, maxBytes: number, maxAge: number }}
 * @throws {TypeError} if they are none
 */
function ruleOf(options, maxBytes = Infinity) {
  if (typeof options !== "object" || options === null) {
    refuse("", "an object with policy, maxBytes, maxAge", options);
  }
  const policy = options.policy ?? "close";
  if (!POLICIES.has(policy)) refuse(".policy", `one of "${[...POLICIES.keys()].join('", "')}"`, policy);
  return {
    policy: POLICIES.get(policy),
    maxBytes: boundOf(options, "maxBytes", "a positive number of bytes", maxBytes),
    maxAge: boundOf(options, "maxAge", "a positive number of milliseconds", Infinity),
  };
}

function boundOf(options, name, allowed, missing) {
  const value = Number(options[name] ?? missing);
  if (!(value > 0)) refuse(`.${name}`, allowed, options[name]);
  return value;
}

function refuse(member, allowed, value) {
  throw new TypeError(`"slowConsumer${member}" must be ${allowed}, not ${inspect(value, { depth: 0 })}`);
}

module.exports = { NO_RULE, ruleOf };
