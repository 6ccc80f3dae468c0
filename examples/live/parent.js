"use strict";

/**
 * Does what the process that has started this one says, and ends with it, however that ends: the channel closes even if
 * it is killed.
 *
 * @param {Record<string, Function>} commands
 */
function obey(commands) {
  process.on("message", ([command, ...args]) => commands[command](...args));
  process.on("disconnect", () => process.exit());
  process.on("SIGINT", () => {}); // Ctrl-C reaches all processes; the first one says when to end
}

function tell(...message) {
  if (process.connected) {
    process.send(message, () => {}); // that nobody listens any more is told by `disconnect`
  }
}

module.exports = { obey, tell };
