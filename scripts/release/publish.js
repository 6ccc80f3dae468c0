"use strict";

const { runNpm } = require("../processes");

/**
 * Publishes packages in their order. One whose version is there already is left out, so that a release which broke off can be
 * taken up again.
 * @param {import("./assemble").Package[]} packages - what others need comes first
 * @param {string} version
 * @param {object} to
 * @param {string} to.cwd - a folder without a package of its own
 * @param {string[]} [to.args] - for npm: which registry, who publishes
 * @returns {Promise<string[]>} the names of those that were published
 */
async function publish(packages, version, { cwd, args = [] }) {
  const published = [];
  for (const { name, tarball } of packages) {
    if (await isPublished(`${name}@${version}`, { cwd, args })) continue;
    await runNpm(["publish", tarball, ...args], { cwd });
    published.push(name);
  }
  return published;
}

async function isPublished(specifier, { cwd, args }) {
  try {
    const { stdout } = await runNpm(["view", specifier, "version", ...args], { cwd });
    return stdout.trim() !== "";
  } catch (error) {
    if (/E404/.test(error.message)) return false;
    throw error;
  }
}

module.exports = { publish };
