"use strict";

const { setTimeout: delay } = require("node:timers/promises");

/** So often, and after so many ms each time, it is looked whether memory has been given back. */
const LOOKS = 6;
const PAUSE = 500;
/** Bytes: so little is not looked at again. */
const LITTLE = 4e6;

/**
 * What a process holds of the memory that it has taken since it held `before`: the least within some seconds, for it may be
 * given back late.
 *
 * @param {import("./process").Process} server
 * @param {number} before resident bytes
 * @param {number} [looks]
 * @returns {Promise<number>} bytes, 0 or more
 */
async function memoryKept(server, before, looks = LOOKS) {
  let least = Infinity;
  for (let i = 0; i < looks && least > LITTLE; i++) {
    if (i > 0) await delay(PAUSE);
    await server.ask("gc");
    least = Math.min(least, server.totals().rss - before);
  }
  return Math.max(0, least);
}

module.exports = { memoryKept };
