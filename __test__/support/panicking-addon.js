"use strict";

const { spawn } = require("node:child_process");
const { once } = require("node:events");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const root = path.join(__dirname, "..", "..");

/**
 * Builds the addon with the cargo feature "panics", by which it panics where it is told to. It is not optimised, and
 * shares what cargo has built for its own tests.
 *
 * @returns {Promise<string>} the file, for SOCKEYE_BINDING
 */
async function buildPanickingAddon() {
  const args = ["build", "--lib", "--features", "panics", "--message-format", "json-render-diagnostics"];
  const cargo = spawn("cargo", args, { cwd: root, stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  cargo.stdout.on("data", (chunk) => (output += chunk));
  const [code] = await once(cargo, "close");
  if (code !== 0) {
    throw new Error(`cargo ended with ${code}`);
  }
  const library = output
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))
    .filter(({ reason, target }) => reason === "compiler-artifact" && target.kind.includes("cdylib"))
    .flatMap(({ filenames }) => filenames)
    .find((file) => /\.(so|dylib|dll)$/.test(file));
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-panics-"));
  process.on("exit", () => fs.rmSync(directory, { recursive: true, force: true }));
  const addon = path.join(directory, "sockeye.node");
  fs.copyFileSync(library, addon);
  return addon;
}

module.exports = { buildPanickingAddon };
