"use strict";

// README.md and docs/: what blocks of code, commands and links are in them.

const fs = require("node:fs");
const path = require("node:path");

const ROOT = path.join(__dirname, "..", "..");

/** Where readers of the package's page in a registry find the files of the repository. */
const ONLINE =
  /^https:\/\/(?:github\.com|raw\.githubusercontent\.com)\/sockeye-io\/sockeye\.io\/(?:blob\/)?main\//;

/** What is written for users: paths from the root. */
function names() {
  const docs = fs.readdirSync(path.join(ROOT, "docs")).filter((name) => name.endsWith(".md"));
  return ["README.md", ...docs.map((name) => path.join("docs", name))];
}

function read(name) {
  return fs.readFileSync(path.join(ROOT, name), "utf8");
}

/**
 * The blocks of code of all documents.
 *
 * @param {string[]} languages
 * @returns {{ where: string, language: string, code: string, mark?: string }[]} `mark`: what the comment in front of it
 *   names, `<!-- try: mark -->`
 */
function blocks(...languages) {
  return names().flatMap((name) => {
    const text = read(name);
    const matches = [...text.matchAll(/(?:<!-- try: (\S+) -->\n+)?^```(\w+)\n(.*?)^```$/gms)];
    return matches
      .filter(([, , language]) => languages.includes(language))
      .map(({ 1: mark, 2: language, 3: code, index }) => ({
        where: `${name}:${text.slice(0, index).split("\n").length}`,
        language,
        code,
        mark,
      }));
  });
}

/** The commands of all documents, without comments. */
function commands() {
  return blocks("sh").flatMap(({ where, code }) =>
    code
      .replaceAll("\\\n", " ")
      .split("\n")
      .map((line) => line.replace(/(^|\s)#.*/, "").trim())
      .filter(Boolean)
      .map((command) => ({ where, command })),
  );
}

/**
 * The links of a document to files of the repository, and to places in them.
 *
 * @param {string} name
 * @returns {{ link: string, file: string, place?: string, isOnline: boolean }[]} `file`: a path from the root
 */
function links(name) {
  const text = read(name).replace(/^```.*?^```$/gms, "");
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link]) => link)
    .filter((link) => ONLINE.test(link) || !/^[a-z]+:/.test(link))
    .map((link) => {
      const isOnline = ONLINE.test(link);
      const [target, place] = link.replace(ONLINE, "").split("#");
      const directory = isOnline ? "" : path.dirname(name);
      return { link, file: target === "" ? name : path.join(directory, target), place, isOnline };
    });
}

/** The places in a document that a link can name, as GitHub calls them. */
function places(name) {
  const text = read(name).replace(/^```.*?^```$/gms, "");
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replaceAll(" ", "-"),
  );
}

module.exports = { ROOT, blocks, commands, links, names, places, read };
