"use strict";

// docs/troubleshooting.md has everything that this package can say, and nothing that it does not.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const test = require("node:test");
const { ROOT, read } = require("./support/documents");

const PAGE = "docs/troubleshooting.md";
const page = read(PAGE).replace(/\s+/g, " ");

/** What is no message: a word that callers put into another one, or made to be told from others. */
const NO_MESSAGES = [
  "socket hang up", // Node's, as which a failed handshake is shown
  "read ECONNRESET",
  "TLS handshake timeout",
  "the server has several of the option ${what}", // reasons of tlsRoads()
  "the server has no certificate in PEM",
];

const sources = [
  "index.js",
  "engine.io.js",
  "ws.js",
  // what the command says is in docs/command.md
  ...filesOf("lib", ".js").filter((file) => !file.startsWith(path.join("lib", "command") + path.sep)),
  ...filesOf("src", ".rs").filter((file) => !file.includes("protocol")),
].map((file) => ({ file, text: withoutComments(read(file)) }));

test("codes of errors and of warnings", () => {
  const codes = found(/"((?:ERR_)?SOCKEYE_[A-Z_]+)"/g);
  assert.ok(codes.has("ERR_SOCKEYE_ADDON") && codes.has("SOCKEYE_REFUSED"));
  for (const code of codes) assert.ok(page.includes(`\`${code}\``), `${code} is not on the page`);
  for (const [, code] of page.matchAll(/`((?:ERR_)?SOCKEYE_[A-Z_]+)`/g)) {
    const isVariable = sources.some(({ text }) => text.includes(`env.${code}`)) || code === "SOCKEYE_NATIVE";
    assert.ok(codes.has(code) || isVariable, `nobody says ${code} any more`);
  }
});

test("messages of errors and of warnings", () => {
  const messages = [
    ...found(/new \w*Error\(\s*((?:(["'`])(?:\\.|(?!\2).)*\2\s*\+?\s*)+)/g),
    ...found(/warnOnce\("\w+", ("[^"]+")/g),
    ...found(/reason:\s*("[^"]+"|`[^`]+`)/g),
    ...found(/\.defect\(\s*("[^"]+")/g),
  ].map(unquote);
  assert.ok(messages.length > 25, messages.join("\n"));
  for (const message of messages.filter((one) => !NO_MESSAGES.includes(one))) {
    for (const part of message.split(/\$\{(?:[^{}]|\{.*?\})*\}/)) {
      assert.ok(page.includes(part.replace(/^[ .:]+|[ .:()]+$/g, "")), `not on the page: ${message}`);
    }
  }
});

test("requests that are refused", () => {
  const handshake = sources.find(({ file }) => file === path.join("lib", "engine", "handshake.js")).text;
  const codes = [...handshake.matchAll(/^ {2}(\d): "(.+)",$/gm)];
  assert.equal(codes.length, 8);
  for (const [, code, message] of codes) assert.ok(page.includes(`| ${code} | ${message} |`), message);
  const names = [...handshake.matchAll(/name: "([A-Z_]+)"/g)].map(([, name]) => name).sort();
  const shown = [...page.matchAll(/name: "([A-Z_]+)"/g)].map(([, name]) => name).sort();
  assert.deepEqual(shown, names);
  const upgrades = ["upgrade.js", "websocket-request.js"]
    .map((name) => sources.find(({ file }) => file === path.join("lib", "engine", name)).text)
    .join("\n");
  const bodies = [...upgrades.matchAll(/(?:abort\(attempt.socket, \d+, |\d, message: )"([^"]+)"/g)];
  assert.ok(bodies.length > 6, bodies.join("\n"));
  for (const [, body] of bodies) assert.ok(page.includes(`\`${body}\``), body);
});

test("scopes of DEBUG", () => {
  const scopes = found(/(?:createDebug|require\("debug"\))\("([\w:.-]+)"\)/g);
  const [, table] = /## DEBUG (.*?) ## /.exec(page);
  const shown = [...table.matchAll(/`([\w:.-]+)`(?:,| \|)/g)].map(([, scope]) => scope);
  assert.deepEqual(shown.sort(), [...scopes].sort());
});

/** What the first group of an expression matches in any source. */
function found(expression) {
  return new Set(
    sources.flatMap(({ text }) => [...text.matchAll(expression)].map(([, first]) => first.trim())),
  );
}

/** The text of literals that are put together, placeholders included. */
function unquote(literals) {
  return [...literals.matchAll(/(["'`])((?:\\.|(?!\1).)*)\1/g)]
    .map(([, , text]) => text.replaceAll('\\"', '"'))
    .join("");
}

/** Examples in comments throw errors, too. */
function withoutComments(text) {
  return text.replace(/^\s*(\/\/|\*|\/\*).*$/gm, "");
}

function filesOf(directory, ending) {
  return fs
    .readdirSync(path.join(ROOT, directory), { recursive: true })
    .filter((file) => file.endsWith(ending))
    .map((file) => path.join(directory, file));
}
