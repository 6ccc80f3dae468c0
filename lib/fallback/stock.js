"use strict";

/**
 * The way back: with `SOCKEYE_NATIVE=0` in the environment, everything that this package exports is that of stock
 * `socket.io`, which the application has installed beside it. Nothing else of this package is loaded then, the addon
 * least of all. It is decided once in the life of a process.
 *
 * Stock is no peer dependency: that would keep this package from being installed beside an older one, and have Yarn's
 * Plug'n'Play load a copy of this package for each that depends on it.
 */

const fs = require("fs");
const { createRequire } = require("module");
const path = require("path");

const VARIABLE = "SOCKEYE_NATIVE";

/** What the variable may be, in any case. Anything else is refused: a typing error must not pass for either. */
const NATIVE = ["", "1", "true", "on", "yes"];
const STOCK = ["0", "false", "off", "no"];

/** Names that stock may be installed under: the second where this package itself goes by the first. */
const NAMES = ["socket.io", "socket.io-stock"];

/** What its own package.json calls it, whatever it is installed under. */
const [GENUINE] = NAMES;

/**
 * Where stock is.
 * @typedef {{ name: string, root: string, version: string }} Stock - `name`: what it is installed under; `root`: its folder
 */

const value = process.env[VARIABLE];
let found;

/**
 * Something of stock's, if it is to be used.
 * @param {string} id - what stock itself would require from the folder of its package.json: "./dist/socket.js", "engine.io"
 * @returns {any} undefined: the native engine is to be used
 * @throws {Error} with `code` "ERR_SOCKEYE_STOCK" when stock is to be used and is not there, or the variable makes no sense
 */
function fromStock(id) {
  if (!isStockWanted()) return undefined;
  found ??= announce(obtainStock());
  return createRequire(path.join(found.root, "package.json"))(id);
}

/**
 * Whether the environment asks for stock.
 * @throws {Error} with `code` "ERR_SOCKEYE_STOCK" when it asks for something that there is not
 */
function isStockWanted() {
  const wanted = (value ?? "").trim().toLowerCase();
  if (NATIVE.includes(wanted)) return false;
  if (STOCK.includes(wanted)) return true;
  throw failure(`${VARIABLE} is "${value}", which is neither 0 (stock's engine) nor 1 (the native one)`);
}

function obtainStock() {
  const { fit, unfit, isAlias } = findStock();
  if (fit !== undefined) return fit;
  const what = unfit === undefined ? "is not installed" : `is ${unfit.version} in ${unfit.root}`;
  throw failure(
    `${VARIABLE}=${value} asks for stock's engine, which takes ${GENUINE} 4.8 or a later 4.x, but that ${what}: ${remedy(isAlias)}`,
  );
}

/**
 * The command that installs stock beside this package.
 * @param {boolean} isAlias - whether this package goes by the name of stock
 */
function remedy(isAlias) {
  return isAlias
    ? `run npm install ${NAMES[1]}@npm:${GENUINE}@4, since ${GENUINE} is a name of sockeye.io here`
    : `run npm install ${GENUINE}@4`;
}

function failure(sentence) {
  const error = new Error(`${sentence}.`);
  error.code = "ERR_SOCKEYE_STOCK";
  return error;
}

/**
 * Looks for stock where it could be, nearest first.
 * @param {string[]} [places] - files to look from
 * @returns {{ fit: Stock|undefined, unfit: Stock|undefined, isAlias: boolean }} `unfit`: one of a version that is of no
 *   use; `isAlias`: something else goes by its name, this package most likely
 */
function findStock(places = usualPlaces()) {
  let unfit;
  let isAlias = false;
  for (const place of places) {
    for (const name of NAMES) {
      const it = lookFrom(place, name);
      if (it === undefined) continue;
      const { ownName, ...stock } = it;
      if (ownName !== GENUINE) isAlias = true;
      else if (isFit(stock.version)) return { fit: stock, unfit, isAlias };
      else unfit ??= stock;
    }
  }
  return { fit: undefined, unfit, isAlias };
}

/** Where this package is, and the application. */
function usualPlaces() {
  const [, script] = process.argv;
  const mains = [require.main?.filename, script].filter(
    (file) => file !== undefined && path.isAbsolute(file),
  );
  return [__filename, ...mains, path.resolve("package.json")];
}

/**
 * What goes by a name where a file would look for it.
 * @param {string} place - the file
 * @param {string} name
 * @returns {{ name: string, root: string, version: string, ownName: string }|undefined} `ownName`: what its own package.json
 *   calls it; undefined: nothing does
 */
function lookFrom(place, name) {
  try {
    const file = createRequire(place).resolve(`${name}/package.json`);
    const manifest = JSON.parse(fs.readFileSync(file, "utf8"));
    return { name, root: path.dirname(file), version: manifest.version, ownName: manifest.name };
  } catch {
    return undefined;
  }
}

function isFit(version) {
  const [major, minor] = version.split(".").map(Number);
  return major === 4 && minor >= 8;
}

/** Whoever looks at the output of the process is to know what it runs on. */
function announce(stock) {
  process.emitWarning(
    `${VARIABLE}=${value}: sockeye.io runs on stock's engine, that of socket.io ${stock.version} in ${stock.root}`,
    { type: "SockeyeWarning", code: "SOCKEYE_STOCK" },
  );
  return stock;
}

module.exports = { NAMES, findStock, fromStock, isStockWanted, lookFrom };
