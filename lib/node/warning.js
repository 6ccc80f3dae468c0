"use strict";

/** Of what has been warned. */
const said = new Set();

/**
 * Warns of what goes wrong without anybody being called back or seeing an exception: once of each kind in the life of
 * the process, since it is likely to go wrong for every client.
 * @param {string} kind - what has gone wrong, as `code` of the warning
 * @param {string} message - the same in words
 * @param {Error} error - what has been caught; the detail of the warning
 */
function warnOnce(kind, message, error) {
  if (said.has(kind)) return;
  said.add(kind);
  process.emitWarning(`${message}: ${error.message}`, {
    type: "SockeyeWarning",
    code: kind,
    detail: error.stack,
  });
}

module.exports = { warnOnce };
