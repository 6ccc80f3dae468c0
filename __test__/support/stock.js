"use strict";

const path = require("node:path");

/** Where stock is looked for: `npm run upstream` compares with a newer one that way. */
const folder = process.env.SIO_STOCK;

/**
 * A package of stock, as it is installed here, or in the folder that `SIO_STOCK` names.
 *
 * @param {string} name `socket.io`, `socket.io-client`, or what one of them depends on
 */
function requireStock(name) {
  return require(resolveStock(name));
}

/** The path of such a package, or of a file in it. */
function resolveStock(name) {
  if (!folder) {
    return require.resolve(name);
  }
  return require.resolve(name, { paths: [path.join(folder, "node_modules", "socket.io"), folder] });
}

module.exports = { requireStock, resolveStock };
