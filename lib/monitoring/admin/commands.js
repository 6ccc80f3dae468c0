"use strict";

const debug = require("debug")("socket.io-admin");

/** What an admin may have the server do, by the events that ask for it. `filter`: a room, an id, or undefined for everybody. */
const COMMANDS = {
  emit: (io, nsp, filter, ...event) => audience(io, nsp, filter).emit(...event),
  join: (io, nsp, room, filter) => audience(io, nsp, filter).socketsJoin(room),
  leave: (io, nsp, room, filter) => audience(io, nsp, filter).socketsLeave(room),
  _disconnect: (io, nsp, close, filter) => audience(io, nsp, filter).disconnectSockets(close),
};

/** What the user interface is told that it may ask for. */
const FEATURES = ["EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT"];

/**
 * Has the server do what an admin asks for. What cannot be done is not: it is no error of the application.
 * @param {import("../../api/server").Server} io
 * @param {import("../../api/socket").Socket} admin
 */
function obey(io, admin) {
  for (const [name, command] of Object.entries(COMMANDS)) {
    admin.on(name, (nsp, ...args) => {
      debug("%s in %s: %j", name, nsp, args);
      if (typeof nsp !== "string") return;
      try {
        command(io, nsp, ...args);
      } catch (error) {
        debug("%s has failed: %s", name, error);
      }
    });
  }
}

function audience(io, nsp, filter) {
  return filter ? io.of(nsp).in(filter) : io.of(nsp);
}

module.exports = { FEATURES, obey };
