"use strict";

// Plays one scenario: `node trial.js graphql-ws ws`, or `node trial.js graphql-ws sockeye.io/ws`. Whatever of a package makes
// servers gets the class that is tried; clients are ws's in both. Ends by itself if everything has been closed; the exit
// code is 0 if all went as the scenario wants it.

const assert = require("node:assert/strict");
const Module = require("node:module");
const path = require("node:path");

/** The modules that are tried, by the names by which packages have them. */
const TRIED = { ws: "ws", "sockeye.io/ws": path.join(__dirname, "../../ws.js") };

/** Where packages that require ws by themselves are. */
const INSTALLED = path.join(__dirname, "node_modules") + path.sep;

/**
 * Has packages get another module when they require ws by themselves.
 * @param {string} file - of that module
 */
function replaceWs(file) {
  const { _resolveFilename: resolve } = Module;
  Module._resolveFilename = function (request, parent, ...rest) {
    if (request === "ws" && parent?.filename?.startsWith(INSTALLED)) return file;
    return resolve.call(this, request, parent, ...rest);
  };
}

/**
 * Counts the upgrades that servers of a class have answered.
 * @returns {function(): number}
 */
function countUpgrades({ prototype }) {
  const { handleUpgrade } = prototype;
  let count = 0;
  prototype.handleUpgrade = function (...args) {
    count++;
    return handleUpgrade.apply(this, args);
  };
  return () => count;
}

async function main([name, tried]) {
  const file = require.resolve(TRIED[tried]);
  const { WebSocketServer } = require(file);
  const WebSocket = require("ws");
  const upgrades = countUpgrades(WebSocketServer);
  const { play, requiresWs } = require(path.resolve(__dirname, "scenarios", name));
  if (requiresWs) replaceWs(file);
  await play({ WebSocketServer, WebSocket });
  assert.notEqual(upgrades(), 0, `no server of ${tried} has been asked for anything`);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
