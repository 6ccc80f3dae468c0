"use strict";

// How many connections an HTTP server counts, and which of them it has seen: it makes a parser for each of those.

const { createHook } = require("node:async_hooks");
const { isStock, eventually, Recorder } = require("./harness");

// they are tried out with some of their own
if (!isStock) {
  const { whyUnkept, whyUnshown } = require("../../lib/node/internals");
  whyUnkept();
  whyUnshown();
}

/** The parsers that have been made. */
const parsers = new Recorder();
createHook({ init: (id, type) => void (type === "HTTPINCOMINGMESSAGE" && parsers.push(id)) }).enable();

/** How many parsers there are of which the tests before know nothing. */
function newParsers() {
  return parsers.list.splice(0).length;
}

/** How many connections the HTTP server of a server counts. */
function connections({ httpServer }) {
  return new Promise((resolve, reject) =>
    httpServer.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  );
}

/** Waits until it counts so many. */
function accepted(server, count) {
  return eventually(async () => (await connections(server)) === count, `${count} connections`);
}

/** Has all connections of an HTTP server be Node's: the application wants to hear of more than their end. */
function observe(httpServer) {
  httpServer.on("connection", (socket) => socket.on("timeout", () => {}));
}

module.exports = { accepted, connections, newParsers, observe, parsers };
