"use strict";

// Plays one scenario: `node trial.js graphql-ws ws`, or `node trial.js graphql-ws sockeye.io/ws`. Whatever of a package makes
// servers gets the class that is tried; clients are ws's in both. Ends by itself if everything has been closed; the exit
// code is 0 if all went as the scenario wants it.

const assert = require("node:assert/strict");
const path = require("node:path");

/** The modules that are tried, by the names by which packages have them. */
const TRIED = { ws: "ws", "sockeye.io/ws": path.join(__dirname, "../../ws.js") };

/**
 * Has a package that requires ws by itself get another module, as an application can do it.
 * @param {string} name - of the package
 * @param {string} file - of that module
 */
function replaceWs(name, file) {
  const replaced = require.resolve("ws", { paths: [path.dirname(require.resolve(name))] });
  require.cache[replaced] = require.cache[file];
}

/**
 * Counts the servers of a class that are closed, which every scenario does. What is replaced has nothing to do with connections:
 * they come as they do in an application.
 * @returns {function(): number}
 */
function countClosed({ prototype }) {
  const { close } = prototype;
  let count = 0;
  prototype.close = function (...args) {
    count++;
    return close.apply(this, args);
  };
  return () => count;
}

async function main([name, tried]) {
  const file = require.resolve(TRIED[tried]);
  const { WebSocketServer } = require(file);
  const WebSocket = require("ws");
  const closed = countClosed(WebSocketServer);
  const { packages, play, requiresWs } = require(path.resolve(__dirname, "scenarios", name));
  if (requiresWs) for (const one of packages) replaceWs(one, file);
  await play({ WebSocketServer, WebSocket });
  assert.notEqual(closed(), 0, `no server has been one of ${tried}`);
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
