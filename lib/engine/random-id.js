"use strict";

const { randomBytes } = require("node:crypto");

/** Random bytes are drawn for many ids at once: a call to the generator costs more than all else about an id. */
const ID_BYTES = 15;
const POOLED_IDS = 256;
let pool = Buffer.alloc(0);
let poolAt = 0;

/**
 * Makes an id that nobody can guess: 120 random bits, in the alphabet and length of the ids that clients know.
 *
 * @returns {string} 20 characters of URL-safe base64
 */
function generateId() {
  if (poolAt === pool.length) {
    pool = randomBytes(ID_BYTES * POOLED_IDS);
    poolAt = 0;
  }
  poolAt += ID_BYTES;
  return pool.toString("base64url", poolAt - ID_BYTES, poolAt);
}

module.exports = { generateId };
