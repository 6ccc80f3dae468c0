"use strict";

// Mutants of src/: those that cargo-mutants would make.

const { spawnSync } = require("node:child_process");
const { named } = require("./naming");

/**
 * @param {string} root
 * @returns {import("./javascript").Mutant[]}
 * @throws {Error} if cargo-mutants is not installed
 */
function rustMutants(root) {
  const { status, stdout, stderr } = spawnSync("cargo", ["mutants", "--list", "--json", "--diff"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: Infinity,
  });
  if (status !== 0) throw new Error(`cargo mutants: ${stderr || "not found"}; cargo install cargo-mutants`);
  // models.rs and scene.rs are tests, the first of which only `npm run test:loom` builds
  const isMeant = ({ file }) => file.startsWith("src/") && !/(panics|models|scene)\.rs$/.test(file);
  const changes = JSON.parse(stdout)
    .filter(isMeant)
    .map(({ name, file, diff }) => {
      const change = name.replace(/^[^:]+:\d+:\d+: /, "");
      return { file, diff, change, text: /^-(?!-- )(.*)/m.exec(diff)?.[1] ?? "" };
    });
  return named(changes).map(({ name, file, diff }) => ({
    name,
    language: "rust",
    file,
    apply: (text) => patch(text, diff),
  }));
}

/**
 * Applies a unified diff of one file.
 * @param {string} text
 * @param {string} diff
 * @throws {Error} if the text is not what the diff was made of
 */
function patch(text, diff) {
  const lines = text.split("\n");
  const result = [];
  let at = 0;
  for (const line of diff.split("\n").slice(2)) {
    const header = /^@@ -(\d+)/.exec(line);
    if (header) {
      while (at < Number(header[1]) - 1) result.push(lines[at++]);
    } else if (line.startsWith("+")) {
      result.push(line.slice(1));
    } else if (line.startsWith("-") || line.startsWith(" ")) {
      if (lines[at] !== line.slice(1))
        throw new Error(`line ${at + 1} is not ${JSON.stringify(line.slice(1))}`);
      if (line.startsWith(" ")) result.push(lines[at]);
      at++;
    }
  }
  return [...result, ...lines.slice(at)].join("\n");
}

module.exports = { rustMutants, patch };
