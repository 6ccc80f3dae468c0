"use strict";

// Which files of tests run which code of lib/, and how long they take: asked once of V8, and kept in target/mutants.

const { createHash } = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const { pathToFileURL } = require("node:url");
const { isSerial } = require("../checks");
const { inTurns, JOBS, runTestFile } = require("./test-run");

/**
 * @typedef {object} Tested - of a file of tests
 * @property {boolean} passed - whether it passes without a mutant
 * @property {number} seconds
 * @property {Object<string, number[][]>} covered - of a file of lib/, the places that are run: starts and ends
 */

/** All of a file. */
const EVERYTHING = [[0, Number.MAX_SAFE_INTEGER]];

/**
 * Of a file of lib/ that has changed since it was asked, only which files of tests load it is taken for known; a file of tests
 * that has changed is asked again.
 * @param {import("./copy").Copy} copy
 * @param {string[]} testFiles
 * @returns {Promise<Map<string, Tested>>}
 */
async function coverageOf(copy, testFiles) {
  const cache = path.join(copy.source, "target", "mutants", "coverage.json");
  const known = readJson(cache) ?? { digests: {}, tested: {} };
  const digests = digestsOf(copy, testFiles);
  const isSame = (file) => known.digests[file] === digests[file];
  const tested = new Map(
    Object.entries(known.tested).filter(([file]) => testFiles.includes(file) && isSame(file)),
  );
  for (const { covered } of tested.values()) {
    for (const file of Object.keys(covered)) {
      if (!isSame(file)) covered[file] = EVERYTHING;
    }
  }
  const save = () => fs.writeFileSync(cache, JSON.stringify({ digests, tested: Object.fromEntries(tested) }));
  const left = testFiles.filter((file) => !tested.has(file));
  const ask = async (file) => {
    const folder = path.join(copy.source, "target", "mutants", "v8", path.basename(file));
    fs.rmSync(folder, { recursive: true, force: true });
    const run = () => runTestFile(copy.root, file, { env: { NODE_V8_COVERAGE: folder } });
    const first = await run();
    // once may be chance
    const { passed, seconds, why } = first.passed ? first : await run();
    console.log(`${file}: ${passed ? "passes" : `fails without a mutant (${why})`}, ${seconds.toFixed(1)} s`);
    tested.set(file, { passed, seconds, covered: readCoverage(copy, folder) });
    fs.rmSync(folder, { recursive: true, force: true });
    save();
  };
  await inTurns(
    left.filter((file) => !isSerial(file)),
    JOBS,
    ask,
  );
  await inTurns(left.filter(isSerial), 1, ask);
  return tested;
}

/** @returns {Object<string, string>} of the files of lib/, and of files of tests */
function digestsOf(copy, testFiles) {
  const code = fs
    .readdirSync(path.join(copy.root, "lib"), { recursive: true })
    .filter((file) => file.endsWith(".js"))
    .map((file) => path.join("lib", file));
  const digestOf = (file) => createHash("sha256").update(copy.read(file)).digest("hex");
  return Object.fromEntries([...code, ...testFiles].map((file) => [file, digestOf(file)]));
}

function readJson(file) {
  try {
    return JSON.parse(fs.readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}

/** What V8 has written of all processes of a run. */
function readCoverage(copy, folder) {
  const base = pathToFileURL(path.join(copy.root, "lib")).href;
  /** Of each file, a byte for each character that says whether it was run. */
  const marks = new Map();
  for (const report of fs.existsSync(folder) ? fs.readdirSync(folder) : []) {
    // a process that was stopped while it wrote
    const scripts = readJson(path.join(folder, report))?.result ?? [];
    for (const { url, functions } of scripts) {
      if (!url.startsWith(`${base}/`)) continue;
      const file = path.join("lib", url.slice(base.length + 1));
      if (!marks.has(file)) marks.set(file, new Uint8Array(copy.read(file).length + 1));
      mark(marks.get(file), functions);
    }
  }
  return Object.fromEntries([...marks].map(([file, bytes]) => [file, rangesOf(bytes)]));
}

/** What one process has run of a file. Inner ranges come after those around them, and overrule them. */
function mark(marks, functions) {
  const counts = new Float64Array(marks.length);
  const ranges = functions.flatMap((one) => one.ranges);
  ranges.sort((a, b) => a.startOffset - b.startOffset || b.endOffset - a.endOffset);
  for (const { startOffset, endOffset, count } of ranges) counts.fill(count, startOffset, endOffset);
  counts.forEach((count, at) => {
    if (count > 0) marks[at] = 1;
  });
}

function rangesOf(bytes) {
  const ranges = [];
  let start = -1;
  bytes.forEach((byte, at) => {
    if (byte === 1 && start === -1) start = at;
    if (byte === 0 && start !== -1) {
      ranges.push([start, at]);
      start = -1;
    }
  });
  return ranges;
}

/**
 * The files of tests that run a place, those first that say most and take least.
 * @param {Map<string, Tested>} tested
 * @param {{ file: string, at: number }} mutant
 * @returns {string[]}
 */
function filesThatRun(tested, { file, at }) {
  const runs = ({ covered }) => covered[file]?.some(([start, end]) => start <= at && at < end);
  // nobody knows what is run by processes that are killed or have another environment, or from a copy of the package
  const names = [...tested].filter(([name, test]) => runs(test) || isAbout(name, file)).map(([name]) => name);
  return inOrder(tested, names, file);
}

/** All files of tests that use the package. */
function filesThatUse(tested, file) {
  return inOrder(
    tested,
    [...tested].filter(([, { covered }]) => Object.keys(covered).length > 0).map(([name]) => name),
    file,
  );
}

/** Those about the mutated file come first, then the quick ones; those that fail by themselves are out. */
function inOrder(tested, names, file) {
  return names
    .filter((name) => tested.get(name).passed)
    .sort(
      (a, b) =>
        Number(isAbout(b, file)) - Number(isAbout(a, file)) || tested.get(a).seconds - tested.get(b).seconds,
    );
}

/** Whether a file of tests has a word of the mutated file in its name, or the name of its room. */
function isAbout(name, file) {
  const test = path.basename(name);
  const words = path.basename(file).split(/[-.]/).slice(0, -1);
  const room = path.basename(path.dirname(file));
  return test.startsWith(`${room}.`) || words.some((word) => word.length > 3 && test.includes(word));
}

module.exports = { coverageOf, filesThatRun, filesThatUse };
