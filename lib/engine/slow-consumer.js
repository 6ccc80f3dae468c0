"use strict";

// What becomes of messages for clients that do not read as fast as they are sent to: see src/worker/held.rs.

const { flags, policies } = require("../native/codes");
const { Members } = require("./members");

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
  const members = new Members("slowConsumer", options, "an object with policy, maxBytes, maxAge");
  return {
    policy: POLICIES.get(members.choice("policy", POLICIES, "close")),
    maxBytes: members.positive("maxBytes", "a positive number of bytes", maxBytes),
    maxAge: members.positive("maxAge", "a positive number of milliseconds", Infinity),
  };
}

module.exports = { NO_RULE, ruleOf };
