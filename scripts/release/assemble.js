"use strict";

// Everything of a release below one folder: the packages, their tarballs, and what they are made of.

const fs = require("node:fs");
const path = require("node:path");
const { promisify } = require("node:util");
const zlib = require("node:zlib");
const { layMain, layPlatform, pack } = require("./layout");
const { makeSbom } = require("./sbom");
const { packageOf } = require("./targets");

/** How often Zopfli looks for a better way to say the same; more than this gains less than a thousandth. */
const ROUNDS = 2;

/**
 * @typedef {object} Package
 * @property {string} name
 * @property {string} folder
 * @property {string} tarball
 * @property {number} size - of the tarball, in bytes
 * @property {string[]} files - in it, ordered
 * @property {import("./targets").Target} [target] - whose addon it has
 */

/**
 * Makes the packages of a release.
 * @param {Map<import("./targets").Target, string>} addons - the files
 * @param {string} into - the folder, which is emptied
 * @returns {Promise<Package[]>} in the order in which they are to be published: what others need comes first
 */
async function assemble(addons, into) {
  fs.rmSync(into, { recursive: true, force: true });
  const targets = [...addons.keys()];
  for (const [target, addon] of addons) layPlatform(target, addon, path.join(into, target.name));
  layMain(path.join(into, "main"), targets);
  const packages = [
    ...targets.map((target) => ({ name: packageOf(target), folder: path.join(into, target.name), target })),
    { name: "sockeye.io", folder: path.join(into, "main") },
  ];
  for (const entry of packages) {
    const { file, files } = pack(entry.folder, into);
    Object.assign(entry, { tarball: file, files, size: await squeeze(file) });
  }
  return packages;
}

/**
 * Writes what a release contains beside it.
 * @returns {Promise<string>} the file
 */
async function writeSbom(version, into) {
  const file = path.join(into, `sockeye.io-${version}.cdx.json`);
  fs.writeFileSync(file, await makeSbom(version));
  return file;
}

/** Says the same in fewer bytes than npm's gzip does, which is a twentieth of what everybody downloads. */
async function squeeze(tarball) {
  const { gzip } = require("@gfx/zopfli");
  const tar = zlib.gunzipSync(fs.readFileSync(tarball));
  const squeezed = await promisify(gzip)(tar, { numiterations: ROUNDS });
  fs.writeFileSync(tarball, squeezed);
  return squeezed.length;
}

module.exports = { assemble, writeSbom };
