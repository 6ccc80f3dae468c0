"use strict";

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const fs = require("node:fs");
const path = require("node:path");
const { createInterface } = require("node:readline");
const { MINUTES, execute } = require("./tarball");
const { within } = require("./waiting");

/** An application of stock socket.io, and what talks to it. */
const APP = path.join(__dirname, "..", "fixtures", "pack-app");

/** Puts it into a project, for which it has to import another package. */
function copyApp(project, name) {
  const stockApp = fs.readFileSync(path.join(APP, "server.js"), "utf8");
  const app = stockApp.replace('require("socket.io")', `require(${JSON.stringify(name)})`);
  fs.writeFileSync(path.join(project, "server.js"), app);
  fs.copyFileSync(path.join(APP, "client.js"), path.join(project, "client.js"));
  const lines = app.split("\n");
  assert.equal(stockApp.split("\n").filter((line, index) => line !== lines[index]).length, 1);
}

/**
 * Runs server.js and client.js of a folder.
 * @param {string} cwd
 * @param {object} env
 * @param {string[]} [node] - the program, and what it is given before the file
 * @returns {Promise<{ results: object, end: Array }>} what the client got, and how the server ended
 */
async function runApp(cwd, env, [node, ...args] = [process.execPath]) {
  const server = spawn(node, [...args, "server.js"], { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
  let errors = "";
  server.stderr.on("data", (data) => (errors += data));
  try {
    const ended = once(server, "exit");
    const port = within(once(createInterface(server.stdout), "line"), "the server's port");
    const [line] = await Promise.race([
      port,
      ended.then((end) => assert.fail(`the server ended: ${end}\n${errors}`)),
    ]);
    const { stdout } = await execute(node, [...args, "client.js", line], { cwd, env, timeout: MINUTES });
    server.kill("SIGTERM");
    return { results: JSON.parse(stdout), end: await within(ended, "the server's end") };
  } finally {
    server.kill("SIGKILL");
  }
}

module.exports = { APP, copyApp, runApp };
