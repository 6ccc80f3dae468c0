"use strict";

// NOTICES.md: whose code is in what is published, and on which terms.

const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { root } = require("../support");
const { bundledPackages, cratesOf } = require("./components");

const LICENSE_FILE = /^(un)?licen[cs]e|^copying|^notice/i;

/** The terms of the MIT License, for those who name it and leave no text. */
function mitLicense(holder) {
  const [title, , ...terms] = fs.readFileSync(path.join(root, "LICENSE"), "utf8").trim().split("\n\n");
  return [title, `Copyright (c) ${holder}`, ...terms].join("\n\n");
}

/**
 * The notices for what is in the addon of a target.
 * @param {string} triple - Rust's name of the target
 * @returns {string} Markdown
 * @throws {Error} when a crate has no terms that could be shown
 */
function noticesOfAddon(triple) {
  return [
    "# What is in this addon",
    section("Crates", "The addon is compiled from these crates as well.", cratesOf(triple).map(withTexts)),
    standardLibrary(),
  ].join("\n\n");
}

/**
 * The notices for what is in the client bundles.
 * @returns {string} Markdown
 */
function noticesOfBundles() {
  const introduction = "The bundles in `client-dist/` are those of Socket.IO's client, and have in them:";
  return [
    "# What is in this package",
    section("The client", introduction, bundledPackages().map(withTexts)),
  ].join("\n\n");
}

function withTexts(component) {
  const { name, directory, license } = component;
  const texts = fs
    .readdirSync(directory)
    .filter((file) => LICENSE_FILE.test(file))
    .map((file) => path.join(directory, file))
    .filter((file) => fs.statSync(file).isFile())
    .map((file) => fs.readFileSync(file, "utf8").replaceAll("\r\n", "\n").trim());
  if (texts.length !== 0) return { ...component, texts: chosen(texts, license) };
  if (!/\bMIT\b/.test(license)) throw new Error(`${name} has no text of its license, ${license}`);
  return { ...component, texts: [mitLicense(`the authors of ${name}`)] };
}

/** Where the license leaves the choice, the texts of those that ask for less. */
function chosen(texts, license) {
  const permissive = texts.filter((text) => !/Apache License\s+Version 2\.0/.test(text));
  return /\bOR\b|\//.test(license) && permissive.length !== 0 ? permissive : texts;
}

/** The same terms are shown once, after the notices of copyright of all whose they are. */
function section(title, introduction, components) {
  const groups = new Map();
  for (const { name, version, license, texts } of components) {
    for (const text of texts) {
      const { copyrights, terms } = split(text);
      const key = terms.toLowerCase().replace(/\W+/g, " ");
      if (!groups.has(key)) groups.set(key, { terms, owners: [] });
      groups.get(key).owners.push([`- ${name} ${version} (${license})`, ...copyrights].join("\n  "));
    }
  }
  const parts = [...groups.values()].flatMap(({ terms, owners }) => [owners.join("\n"), quote(terms)]);
  return [`## ${title}`, introduction, ...parts].join("\n\n");
}

/** Takes the notices of copyright out of a text, where they are lines of their own. */
function split(text) {
  const lines = text.split("\n").map((line) => line.trimEnd());
  const isCopyright = (line) => /^\s*(copyright|\(c\)|©) .*\d|^\s*copyright \(c\) /i.test(line);
  const terms = lines.filter((line) => !isCopyright(line)).join("\n");
  return {
    copyrights: lines.filter(isCopyright).map((line) => line.trim()),
    terms: terms.replace(/\n{3,}/g, "\n\n").trim(),
  };
}

function quote(text) {
  return `~~~text\n${text}\n~~~`;
}

/** What the toolchain says about its standard library, which is in the addon too. */
function standardLibrary() {
  const sysroot = execFileSync("rustc", ["--print", "sysroot"], { encoding: "utf8" }).trim();
  const page = path.join(sysroot, "share", "doc", "rust", "COPYRIGHT-library.html");
  const components = fs.existsSync(page) ? componentsOf(fs.readFileSync(page, "utf8")) : [];
  const introduction = "The addon has Rust's standard library in it, and what that is made of.";
  const std = { name: "std", version: "of Rust", license: "MIT OR Apache-2.0" };
  return section("The standard library", introduction, [
    { ...std, texts: [mitLicense("The Rust Project Developers")] },
    ...components,
  ]);
}

/** The parts of such a page: `<h3>📦 gimli-0.32.3</h3>`, the license, and each text in a `<pre>`. */
function componentsOf(page) {
  const parts = page.split(/(?=<h3>)/).slice(1);
  return parts.map((part) => {
    const [, name, version] = /^<h3>\S+ (.+?)-(\d[^<]*)<\/h3>/.exec(part);
    const [, license] = /<b>License:<\/b>([^<]+)</.exec(part);
    const texts = Array.from(part.matchAll(/<pre>([^]*?)<\/pre>/g), ([, text]) => unescape(text).trim());
    return { name, version, license: license.trim(), texts: chosen(texts, license) };
  });
}

function unescape(html) {
  const named = { lt: "<", gt: ">", quot: '"', amp: "&" };
  return html.replace(/&(?:#(\d+)|(\w+));/g, (entity, code, name) =>
    code === undefined ? (named[name] ?? entity) : String.fromCodePoint(Number(code)),
  );
}

module.exports = { noticesOfAddon, noticesOfBundles };
