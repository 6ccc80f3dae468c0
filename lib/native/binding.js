"use strict";

/**
 * The native addon. This is the one place that loads it: the file that `SOCKEYE_BINDING` names, else one that lies beside
 * package.json, where builds of a clone are put, else the one of the package for this platform.
 */

const fs = require("fs");
const path = require("path");
const { version } = require("../../package.json");
const { explain, explainVersion, isMissing } = require("./addon-failure");
const { candidates, ownTarget } = require("./system");

const ROOT = path.join(__dirname, "..", "..");

/**
 * @throws {Error} with `code` "ERR_SOCKEYE_ADDON" when there is no addon that can be loaded (`cause` says why), or it is
 *   of another version
 */
function load() {
  const override = process.env.SOCKEYE_BINDING;
  const source = override ? { file: path.resolve(override) } : { target: chooseTarget() };
  const addon = override ? requireFile(source) : (requireBeside(source) ?? requirePackage(source));
  if (addon.VERSION !== version) throw explainVersion(source, addon.VERSION);
  return addon;
}

function chooseTarget() {
  const targets = candidates();
  if (targets.length === 1) return targets[0];
  const present = targets.filter(isPresent);
  return present.length === 1 ? present[0] : ownTarget();
}

function isPresent(target) {
  return fs.existsSync(path.join(ROOT, `sockeye.${target}.node`)) || canResolve(`@sockeye.io/${target}`);
}

function canResolve(name) {
  try {
    return require.resolve(name) !== undefined;
  } catch {
    return false;
  }
}

function requireFile(source) {
  try {
    return require(source.file);
  } catch (error) {
    throw explain(source, error);
  }
}

/** The addon beside package.json; `undefined` if it is not there. */
function requireBeside(source) {
  // literally, so that bundlers and tracers of files see what is needed; where `try` is, they put up with what is missing
  try {
    switch (source.target) {
      case "darwin-arm64":
        return require("../../sockeye.darwin-arm64.node");
      case "darwin-x64":
        return require("../../sockeye.darwin-x64.node");
      case "linux-arm64-gnu":
        return require("../../sockeye.linux-arm64-gnu.node");
      case "linux-arm64-musl":
        return require("../../sockeye.linux-arm64-musl.node");
      case "linux-x64-gnu":
        return require("../../sockeye.linux-x64-gnu.node");
      case "linux-x64-musl":
        return require("../../sockeye.linux-x64-musl.node");
      case "win32-arm64-msvc":
        return require("../../sockeye.win32-arm64-msvc.node");
      case "win32-x64-msvc":
        return require("../../sockeye.win32-x64-msvc.node");
      default:
        // whoever builds it for a platform of their own finds it as well
        return require(`../../sockeye.${source.target}.node`);
    }
  } catch (error) {
    if (!isMissing(error)) throw explain(source, error);
  }
}

/** The addon of the package for a platform. */
function requirePackage(source) {
  try {
    switch (source.target) {
      case "darwin-arm64":
        return require("@sockeye.io/darwin-arm64");
      case "darwin-x64":
        return require("@sockeye.io/darwin-x64");
      case "linux-arm64-gnu":
        return require("@sockeye.io/linux-arm64-gnu");
      case "linux-arm64-musl":
        return require("@sockeye.io/linux-arm64-musl");
      case "linux-x64-gnu":
        return require("@sockeye.io/linux-x64-gnu");
      case "linux-x64-musl":
        return require("@sockeye.io/linux-x64-musl");
      case "win32-arm64-msvc":
        return require("@sockeye.io/win32-arm64-msvc");
      case "win32-x64-msvc":
        return require("@sockeye.io/win32-x64-msvc");
      default:
        return require(`@sockeye.io/${source.target}`);
    }
  } catch (error) {
    throw explain(source, error);
  }
}

module.exports = load();
