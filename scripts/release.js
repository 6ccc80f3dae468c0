"use strict";

// `npm run release`: the packages of a release.
//
//   --dry                     builds every addon that this machine can, makes the packages, looks them over, publishes them
//                             to a registry on loopback, and tries out whether they install and run; changes nothing else
//   --build TARGET            builds the addon of one target, such as linux-x64-gnu, into the folder `addons`
//   --publish                 makes the packages of the addons in that folder, which has to have all, and publishes them to
//                             the registry that npm is configured for
//   --addons FOLDER           another folder than `addons`
//
// What a release is made with is installed into scripts/release/node_modules.

const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { parseArgs } = require("node:util");
const { ensureInstalled, root } = require("./support");

const { values: options } = parseArgs({
  options: {
    dry: { type: "boolean" },
    build: { type: "string" },
    publish: { type: "boolean" },
    addons: { type: "string", default: path.join(root, "addons") },
  },
});

const RELEASE = path.join(root, "release");

ensureInstalled();
ensureInstalled(path.join(__dirname, "release"));

const { assemble, writeSbom } = require("./release/assemble");
const { build } = require("./release/build");
const { Unavailable } = require("./release/cache");
const { CHECKED, checkTypes } = require("./release/check");
const { inspectContents, inspectManifest, inspectSize } = require("./release/inspect");
const { publish } = require("./release/publish");
const { Report } = require("./release/report");
const { TARGETS, addonOf } = require("./release/targets");
const { Trial } = require("./release/trial");
const { version } = require("../package.json");

const report = new Report();
main().then(() => {
  report.close();
  process.exitCode = report.passed ? 0 : 1;
});

async function main() {
  if (options.build !== undefined) return buildOne(options.build);
  if (options.publish) return release();
  if (options.dry) return dryRun();
  throw new Error("say what is to be done: --dry, --build TARGET or --publish");
}

async function buildOne(name) {
  const target = TARGETS.find((candidate) => candidate.name === name);
  if (target === undefined) {
    throw new Error(`there is no target ${name}, only ${TARGETS.map((known) => known.name).join(", ")}`);
  }
  await buildStep(target);
}

/** Builds an addon into the folder of addons. */
function buildStep(target) {
  return report.step(`builds ${target.name}`, () => {
    const { file, skipped } = build(target, { into: options.addons });
    if (skipped !== undefined) throw new Unavailable(skipped);
    return `${Math.round(fs.statSync(file).size / 1000)} kB`;
  });
}

/** The addons that there are. */
function builtAddons() {
  const files = TARGETS.map((target) => [target, path.join(options.addons, addonOf(target))]);
  return new Map(files.filter(([, file]) => fs.existsSync(file)));
}

async function dryRun() {
  fs.rmSync(options.addons, { recursive: true, force: true });
  for (const target of TARGETS) await buildStep(target);
  for (const target of CHECKED) {
    await report.step(`compiles without a warning for ${target.name}`, () => {
      const { skipped, passed } = checkTypes(target);
      if (skipped !== undefined) throw new Unavailable(skipped);
      if (!passed) throw new Error("there are warnings or errors");
    });
  }
  const packages = await prepare();
  if (!report.passed) return;
  const scratch = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-release-"));
  try {
    await new Trial(report, { version, packages }, scratch).run();
  } finally {
    fs.rmSync(scratch, { recursive: true, force: true });
  }
}

/** Makes the packages of what was built, and looks them over. */
async function prepare() {
  let packages = [];
  await report.step("makes packages", async () => {
    packages = await assemble(builtAddons(), RELEASE);
    return packages.map(({ name, size }) => `${name} ${Math.round(size / 1000)} kB`).join(", ");
  });
  await report.step("says what they are made of", () => writeSbom(version, RELEASE));
  for (const entry of packages) {
    await report.step(`${entry.name} is not too large`, () => inspectSize(entry));
    await report.step(`${entry.name} has in it what it needs, and no more`, () => inspectContents(entry));
    await report.step(`${entry.name} has a manifest without faults`, () => inspectManifest(entry));
  }
  return packages;
}

async function release() {
  const built = builtAddons();
  const missing = TARGETS.filter((target) => !built.has(target));
  if (missing.length !== 0) {
    throw new Error(`there are no addons for ${missing.map(({ name }) => name).join(", ")}`);
  }
  const packages = await prepare();
  if (!report.passed) return;
  await report.step("publishes", async () => {
    const published = await publish(packages, version, { cwd: RELEASE });
    return published.length === 0 ? "everything is there already" : published.join(", ");
  });
}
