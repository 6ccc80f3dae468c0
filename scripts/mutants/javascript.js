"use strict";

// Mutants of lib/: those that Stryker would make, but written into the file one at a time. Its own way, all of them in one
// program that asks for each expression which one it is, changes what the package looks at in itself (the identity and the
// names of functions) and how long everything takes.

const fs = require("node:fs");
const path = require("node:path");
const { named } = require("./naming");

/**
 * @typedef {object} Mutant
 * @property {string} name - tells it from all others
 * @property {"js"|"rust"} language
 * @property {string} file - from the root of the project
 * @property {number} [at] - of a file of lib/, the first character that is changed
 * @property {function(string): string} apply - makes the mutated text of the file of its text
 */

/**
 * @param {string} root
 * @returns {Promise<Mutant[]>}
 */
async function javascriptMutants(root) {
  const { createInstrumenter } = await import("@stryker-mutator/instrumenter");
  const { createInjector } = await import("typed-inject");
  const instrumenter = createInstrumenter(createInjector().provideValue("logger", quiet));
  const files = fs
    .readdirSync(path.join(root, "lib"), { recursive: true })
    .filter((file) => file.endsWith(".js"))
    .sort()
    .map((file) => path.join("lib", file));
  const contents = new Map(files.map((file) => [file, fs.readFileSync(path.join(root, file), "utf8")]));
  const { mutants } = await instrumenter.instrument(
    files.map((file) => ({ name: path.join(root, file), mutate: true, content: contents.get(file) })),
    { plugins: null, excludedMutations: [], ignorers: [], noHeader: true },
  );
  const changes = mutants.map(({ fileName, location, mutatorName, replacement }) => {
    const file = path.relative(root, fileName);
    const text = contents.get(file);
    const [start, end] = [offsetOf(text, location.start), offsetOf(text, location.end)];
    const change = `${mutatorName}: ${brief(text.slice(start, end))} → ${brief(replacement)}`;
    return { file, start, end, replacement, change, text: lineAt(text, start) };
  });
  const isMeant = ({ file, start, end, text }) => !isTalk(contents.get(file), { start, end, line: text });
  return named(changes.filter(isMeant)).map(({ name, file, start, end, replacement }) => ({
    name,
    language: "js",
    file,
    at: start,
    apply: (text) => text.slice(0, start) + replacement + text.slice(end),
  }));
}

/** Whether a mutant changes nothing but what is printed with `DEBUG`. */
function isTalk(text, { start, end, line }) {
  if (/^\s*debug\(|= debugModule\(|require\("debug"\)|if \(debug\.enabled\)/.test(line)) return true;
  // within a block that is there for it alone
  const before = text.lastIndexOf("if (debug.enabled) {\n", start);
  if (before === -1) return false;
  const indent = /[^\n]*$/.exec(text.slice(0, before))[0];
  return end <= text.indexOf(`\n${indent}}`, before);
}

function lineAt(text, offset) {
  return text.slice(text.lastIndexOf("\n", offset - 1) + 1, text.indexOf("\n", offset));
}

/** @param {{ line: number, column: number }} position - both from 0 */
function offsetOf(text, { line, column }) {
  let at = 0;
  for (let i = 0; i < line; i++) at = text.indexOf("\n", at) + 1;
  return at + column;
}

function brief(code) {
  const line = code.replaceAll(/\s+/g, " ");
  return line.length <= 60 ? line : `${line.slice(0, 57)}...`;
}

const nothing = () => {};
const quiet = {
  debug: nothing,
  info: nothing,
  warn: console.warn,
  error: console.error,
  isDebugEnabled: () => false,
};

module.exports = { javascriptMutants };
