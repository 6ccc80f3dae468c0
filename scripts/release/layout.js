"use strict";

// The packages as they are published: one of JavaScript, types and client bundles, and one for each target, with an addon.
// They are folders below `release/`, complete, so that nothing runs when they are packed.

const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { npm, root } = require("../support");
const { noticesOfAddon, noticesOfBundles } = require("./notices");
const { addonOf, packageOf } = require("./targets");

/** What package.json has for whoever works on the package, and no user needs. */
const OURS = ["scripts", "devDependencies", "overrides", "napi", "files"];
const NOTICES = "NOTICES.md";
const PROVENANCE = { access: "public", provenance: true };

/**
 * Makes the folder of the main package.
 * @param {string} folder - which must not exist
 * @param {import("./targets").Target[]} targets - those that there will be packages for: yarn wants all of them to exist
 */
function layMain(folder, targets) {
  const files = filesToPack().filter((file) => !file.endsWith(".node") && file !== NOTICES);
  for (const file of files) copy(path.join(root, file), path.join(folder, file));
  for (const file of files.filter((name) => /^lib\/.*\.js$/.test(name))) leaveOutComments(path.join(folder, file));
  const manifest = readManifest();
  for (const key of OURS) delete manifest[key];
  const { version } = manifest;
  write(folder, "package.json", {
    ...manifest,
    optionalDependencies: Object.fromEntries(targets.map((target) => [packageOf(target), version])),
    publishConfig: PROVENANCE,
  });
  write(folder, NOTICES, noticesOfBundles());
}

/**
 * Makes the folder of the package for a target.
 * @param {import("./targets").Target} target
 * @param {string} addon - the file
 * @param {string} folder - which must not exist
 */
function layPlatform(target, addon, folder) {
  const { version, license, repository, homepage, bugs, engines } = readManifest();
  const { os, cpu, libc } = target;
  copy(addon, path.join(folder, addonOf(target)));
  copy(path.join(root, "LICENSE"), path.join(folder, "LICENSE"));
  write(folder, "package.json", {
    name: packageOf(target),
    version,
    description: `The native addon of sockeye.io for ${target.name}`,
    license,
    repository,
    homepage,
    bugs,
    main: addonOf(target),
    engines,
    os: [os],
    cpu: [cpu],
    ...(libc && { libc: [libc] }),
    publishConfig: PROVENANCE,
  });
  write(
    folder,
    "README.md",
    `# ${packageOf(target)}\n\nThe native addon of [sockeye.io](${homepage}) for ${target.rust}. It is installed together with \`sockeye.io\`, and is of no use without it.\n`,
  );
  write(folder, NOTICES, noticesOfAddon(target.rust));
}

/**
 * Packs a folder.
 * @param {string} folder
 * @param {string} destination - the folder for the tarball
 * @returns {{ file: string, size: number, files: string[] }} the tarball, its bytes, what is in it
 */
function pack(folder, destination) {
  const [{ filename, size, files }] = runPack(folder, ["--pack-destination", destination]);
  return { file: path.join(destination, filename), size, files: files.map(({ path: name }) => name).sort() };
}

/**
 * Comments are a third of the code, and for who works on it: they are in the repository. What is left stays on its line, so that
 * stack traces point to the same places there.
 */
function leaveOutComments(file) {
  const { parse } = require("acorn");
  const code = fs.readFileSync(file, "utf8");
  let rest = "";
  let end = 0;
  parse(code, {
    ecmaVersion: 2023,
    onComment(_isBlock, text, from, to) {
      rest += code.slice(end, from).replace(/[ \t]+$/, "") + "\n".repeat(text.split("\n").length - 1);
      end = to;
    },
  });
  fs.writeFileSync(file, rest + code.slice(end));
}

/** What `npm pack` takes in here. */
function filesToPack() {
  const [{ files }] = runPack(root, ["--dry-run"]);
  return files.map(({ path: name }) => name);
}

function runPack(cwd, args) {
  const { command, args: first, shell } = npm();
  const all = [...first, "pack", "--json", "--ignore-scripts", "--loglevel=error", ...args];
  return JSON.parse(execFileSync(command, all, { cwd, shell, encoding: "utf8" }));
}

function readManifest() {
  return JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));
}

function copy(from, to) {
  fs.mkdirSync(path.dirname(to), { recursive: true });
  fs.copyFileSync(from, to);
}

function write(folder, name, content) {
  fs.mkdirSync(folder, { recursive: true });
  const text = typeof content === "string" ? content : `${JSON.stringify(content, null, 2)}\n`;
  fs.writeFileSync(path.join(folder, name), text);
}

module.exports = { layMain, layPlatform, pack };
