"use strict";

// A registry on loopback, to publish to and install from. What it does not have comes from the one that npm is configured for.

const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { npm } = require("../support");

/**
 * @typedef {object} Registry
 * @property {string} url - ends with a slash
 * @property {string[]} args - what npm needs to publish to it
 * @property {() => Promise<void>} close
 */

/**
 * @param {string} folder - for what it keeps
 * @returns {Promise<Registry>}
 */
async function startRegistry(folder) {
  // a devDependency of the release only
  const { runServer } = require("verdaccio");
  fs.mkdirSync(folder, { recursive: true });
  const app = await runServer({
    self_path: path.join(folder, "config.yaml"),
    storage: path.join(folder, "storage"),
    auth: { htpasswd: { file: path.join(folder, "htpasswd"), max_users: -1 } },
    uplinks: { upstream: { url: upstreamUrl(), maxage: "1h" } },
    packages: {
      "sockeye.io": { access: "$all", publish: "$all" },
      "@sockeye.io/*": { access: "$all", publish: "$all" },
      "**": { access: "$all", proxy: "upstream" },
    },
    log: { type: "file", path: path.join(folder, "log"), format: "pretty", level: "warn" },
    web: { enable: false },
  });
  const server = await new Promise((resolve, reject) => {
    const listening = app.listen(0, "127.0.0.1", () => resolve(listening));
    listening.once("error", reject);
  });
  const url = `http://127.0.0.1:${server.address().port}/`;
  return {
    url,
    args: writeCredentials(url, folder),
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

/** A token has to be there, though nobody looks at it; nothing on loopback can attest where a build comes from. */
function writeCredentials(url, folder) {
  const npmrc = path.join(folder, "npmrc");
  fs.writeFileSync(npmrc, `registry=${url}\n${url.replace(/^http:/, "")}:_authToken=loopback\n`);
  return ["--userconfig", npmrc, "--provenance=false"];
}

function upstreamUrl() {
  const { command, args, shell } = npm();
  return execFileSync(command, [...args, "config", "get", "registry"], { shell, encoding: "utf8" }).trim();
}

module.exports = { startRegistry };
