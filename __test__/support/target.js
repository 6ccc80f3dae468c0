"use strict";

const path = require("node:path");

/**
 * The package under test: this one, or what `SIO_TARGET` names. `SIO_TARGET=socket.io node --test` runs the same tests
 * against stock.
 */
const target = resolve(process.env.SIO_TARGET);
const sio = require(target);
const isStock = /[\\/]node_modules[\\/]socket\.io[\\/]/.test(require.resolve(target));

function resolve(name) {
  if (!name) {
    return path.join(__dirname, "..", "..", "index.js");
  }
  return name.startsWith(".") ? path.resolve(name) : name;
}

module.exports = { target, sio, isStock };
