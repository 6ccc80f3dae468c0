"use strict";

/** The packages that have to do with Socket.IO in the folders of an application: how often, which versions, who gets which. */

const fs = require("fs");
const path = require("path");
const { devDependencies } = require("../../package.json");
const { NAMES, lookFrom } = require("../fallback/stock");

/** The copy that this command belongs to. */
const OWN_ROOT = fs.realpathSync(path.join(__dirname, "..", ".."));

const OURS = "sockeye.io";
const STOCK = "socket.io";

/** Adapters, and what goes with them. */
const ADAPTER = /^@socket\.io\/.+-adapter$|^socket\.io-(adapter|redis|mongo)|^@socket\.io\/sticky$/;

/** Where pnpm has the packages themselves. */
const STORE = ".pnpm";

/**
 * A package that was found.
 * @typedef {{ name: string, version: string, path: string, folder: string, manifest: object }} Package - `name`: what its own
 *   package.json says; `path`: where it really is; `folder`: what it is installed under
 */

/**
 * @param {import("./findings").Findings} findings
 * @param {string} cwd - the folder of the application
 * @returns {object} see docs/command.md
 */
function examinePackages(findings, cwd) {
  const isPnp = process.versions.pnp !== undefined;
  const packages = isPnp ? resolvedPackages(cwd) : [...findPackages(cwd)];
  if (isPnp) {
    findings.ok(
      "packages",
      "Yarn's Plug'n'Play has them: nothing is told but what the application itself gets",
    );
  }
  // those that are nested in others last
  const ours = packages.filter(({ name }) => name === OURS).sort((a, b) => a.path.length - b.path.length);
  const stock = packages.filter(({ name }) => name === STOCK);
  tellCopies(findings, ours);
  const users = findUsers(packages, stock, ours.length > 0);
  tellStock(findings, ours, stock, users, cwd);
  const adapters = packages.filter(({ name }) => ADAPTER.test(name));
  adapters.forEach((adapter) => tellAdapter(findings, adapter));
  return {
    sockeye: ours.map(describe),
    stock: stock.map(describe),
    stockUsers: users.map(({ user, stock: used, isPeer }) => ({
      ...describe(user),
      uses: used.path,
      isPeer,
    })),
    adapters: adapters.map(describe),
    resolved: { [OURS]: resolve(cwd, OURS), [STOCK]: resolve(cwd, STOCK) },
  };
}

function describe({ name, version, path: at, folder }) {
  return { name, version, path: at, folder };
}

/** What an application gets by their names, where there are no folders to look through. */
function resolvedPackages(cwd) {
  const found = new Map();
  for (const folder of [OURS, ...NAMES]) {
    const it = resolve(cwd, folder);
    if (it !== null && !found.has(it.path)) found.set(it.path, { ...it, folder, manifest: {} });
  }
  return [...found.values()];
}

/** All packages below the folders named node_modules in which an application in a folder looks for them. */
function* findPackages(cwd) {
  const seen = new Set();
  for (let at = cwd; ; at = path.dirname(at)) {
    yield* packagesIn(path.join(at, "node_modules"), seen);
    if (path.dirname(at) === at) return;
  }
}

function* packagesIn(modules, seen) {
  for (const entry of list(modules)) {
    const at = path.join(modules, entry);
    if (entry.startsWith("@")) {
      for (const name of list(at)) yield* packageAt(path.join(at, name), `${entry}/${name}`, seen);
    } else if (entry === STORE) {
      for (const name of list(at)) yield* packagesIn(path.join(at, name, "node_modules"), seen);
    } else if (!entry.startsWith(".")) {
      yield* packageAt(at, entry, seen);
    }
  }
}

/** One package, and those that are nested in it. A package to which several links lead is one. */
function* packageAt(at, folder, seen) {
  let real;
  let manifest;
  try {
    real = fs.realpathSync(at);
    if (seen.has(real)) return;
    seen.add(real);
    manifest = JSON.parse(fs.readFileSync(path.join(real, "package.json"), "utf8"));
  } catch {
    return;
  }
  yield { name: String(manifest.name), version: String(manifest.version), path: real, folder, manifest };
  yield* packagesIn(path.join(real, "node_modules"), seen);
}

function list(folder) {
  try {
    return fs.readdirSync(folder).sort();
  } catch {
    return [];
  }
}

/** What a file in a folder would get by a name; null if nothing. */
function resolve(folder, name) {
  const it = lookFrom(path.join(folder, "package.json"), name);
  return it === undefined ? null : { name: it.ownName, version: it.version, path: fs.realpathSync(it.root) };
}

function tellCopies(findings, ours) {
  if (ours.length === 0) {
    findings.note(
      "packages",
      "sockeye.io is not installed here",
      "npm install sockeye.io, or run this in the folder of the application",
    );
    return;
  }
  if (!ours.some(({ path: at }) => at === OWN_ROOT)) {
    findings.note(
      "packages",
      `this command belongs to another copy, in ${OWN_ROOT}: what it says of the addon is about that one`,
      "npm exec --no sockeye.io doctor, in the folder of the application",
    );
  }
  if (ours.length === 1) {
    const [{ version, path: at, folder }] = ours;
    findings.ok("packages", `sockeye.io ${version}${folder === OURS ? "" : ` as ${folder}`} in ${at}`);
  } else {
    findings.wrong(
      "packages",
      `there are ${ours.length} copies of sockeye.io: ${ours.map(({ version, path: at }) => `${version} in ${at}`).join(", ")}`,
      "Keep one: npm dedupe, or overrides that name one version",
    );
  }
}

/** Packages that get stock when they ask for socket.io. */
function findUsers(packages, stock, hasOurs) {
  if (stock.length === 0 || !hasOurs) return [];
  return packages.flatMap((user) => {
    const { dependencies, optionalDependencies, peerDependencies } = user.manifest;
    const isDependent = Boolean(dependencies?.[STOCK] ?? optionalDependencies?.[STOCK]);
    if (user.name === OURS || !(isDependent || peerDependencies?.[STOCK])) return [];
    const got = resolve(user.path, STOCK);
    const used = stock.find(({ path: at }) => at === got?.path);
    return used === undefined ? [] : [{ user, stock: used, isPeer: !isDependent }];
  });
}

const ONE_COPY =
  'In package.json: "dependencies": { "socket.io": "npm:sockeye.io@…" } and "overrides": { "socket.io": "$socket.io" }';

function tellStock(findings, ours, stock, users, cwd) {
  if (ours.length === 0) return;
  for (const { user, stock: used, isPeer } of users) {
    const text = `${user.name} ${user.version} gets stock socket.io ${used.version} in ${used.path}`;
    if (isPeer) findings.note("packages", `${text} as a peer, should it load that`, ONE_COPY);
    else findings.wrong("packages", text, ONE_COPY);
  }
  if (stock.length === 0) {
    findings.ok(
      "packages",
      "stock socket.io is not installed: SOCKEYE_NATIVE=0 would need npm install socket.io@4",
    );
  } else if (users.length === 0) {
    const [{ version, path: at }] = stock;
    const isDirect = resolve(cwd, STOCK)?.name === STOCK;
    findings.ok(
      "packages",
      `stock socket.io ${version} in ${at} ${isDirect ? "is what the application gets by that name, and" : "is"} there for SOCKEYE_NATIVE=0`,
    );
  }
}

function tellAdapter(findings, { name, version, path: at }) {
  const tried = devDependencies?.[name]?.replace(/^[^\d]*/, "");
  if (tried === undefined || isLike(version, tried)) {
    findings.ok("packages", `${name} ${version} in ${at}`);
  } else {
    findings.note(
      "packages",
      `${name} ${version} in ${at} has not been tried with this version, ${tried} has`,
      `npm install ${name}@^${tried}, or try it`,
    );
  }
}

/** Whether a version is in the range that begins with another: no older, and with the same first digit that is not 0. */
function isLike(version, other) {
  const [one, two] = [version, other].map((text) => text.split(".").map((part) => Number.parseInt(part, 10)));
  const first = two.findIndex((part) => part > 0);
  for (let i = 0; i < 3; i++) if (one[i] !== two[i]) return i > first && one[i] > two[i];
  return true;
}

module.exports = { examinePackages, findPackages };
