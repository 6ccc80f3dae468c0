"use strict";

// `npm run test:mutants`: changes one place of the package at a time, and looks whether a test notices. So it tests the tests.
//
//   npm run test:mutants                      100 mutants of lib/ and 100 of src/, drawn by chance (hours)
//   npm run test:mutants -- --js 20 --rust 0  fewer
//   npm run test:mutants -- --seed 7          others
//   npm run test:mutants -- --known           those that were once not noticed (scripts/mutants/known.js)
//   npm run test:mutants -- --skip 50         without the first 50 of each language's draw, which were tried elsewhere
//   npm run test:mutants -- --name WORD       those whose names contain it
//   npm run test:mutants -- --fresh           also those that were tried already
//   npm run test:mutants -- --seconds 180     no longer for one mutant: what no test has noticed by then counts as not noticed
//
// What came of each is kept in target/mutants/outcomes.jsonl, so that a run that was stopped goes on where it was. Needs
// cargo-mutants, and an addon that is up to date (npm run build).

const fs = require("node:fs");
const path = require("node:path");
const { parseArgs } = require("node:util");
const { testFiles } = require("./checks");
const { ensureInstalled, root } = require("./support");

const FOLDER = path.join(root, "target", "mutants");
const OUTCOMES = path.join(FOLDER, "outcomes.jsonl");

/** Files of tests that look at the project, not at what the package does. */
const NOT_ABOUT_THE_PACKAGE =
  /\/(audit|bench|deploy|docs|pack|release.*|rust-dependencies|summary|troubleshooting|upstream|workflows|mutants|.*-browser)\.test\.js$/;

const { values: options } = parseArgs({
  options: {
    js: { type: "string", default: "100" },
    rust: { type: "string", default: "100" },
    seed: { type: "string", default: "1" },
    skip: { type: "string", default: "0" },
    name: { type: "string" },
    known: { type: "boolean", default: false },
    fresh: { type: "boolean", default: false },
    seconds: { type: "string", default: "Infinity" },
  },
});

main().then(
  (passed) => process.exit(passed ? 0 : 1),
  (error) => {
    console.error(error.message);
    process.exit(1);
  },
);

async function main() {
  ensureInstalled(path.join(__dirname, "mutants"));
  fs.mkdirSync(FOLDER, { recursive: true });
  // what they need was installed just now
  const { Copy } = require("./mutants/copy");
  const { coverageOf } = require("./mutants/coverage");
  const { Trial } = require("./mutants/trial");
  const { equivalent } = require("./mutants/equivalent");

  const copy = new Copy(root);
  const tested = await coverageOf(
    copy,
    testFiles().filter((file) => !NOT_ABOUT_THE_PACKAGE.test(file)),
  );
  const trial = new Trial(copy, tested, 1000 * Number(options.seconds));
  const known = options.fresh ? new Map() : readOutcomes();
  const results = [];
  for (const { mutants, count } of await draw()) {
    let viable = 0;
    for (const mutant of mutants) {
      if (viable === count) break;
      const result = known.get(mutant.name) ?? { name: mutant.name, ...(await trial.run(mutant)) };
      if (!known.has(mutant.name)) fs.appendFileSync(OUTCOMES, `${JSON.stringify(result)}\n`);
      console.log(`${result.outcome}: ${result.name}${result.by ? ` — ${result.by}` : ""}`);
      if (result.outcome === "unviable") continue;
      viable++;
      results.push(result);
    }
  }
  return report(results, equivalent);
}

/** What is to be tried: lists, and how many of each. */
async function draw() {
  const { drawn } = require("./mutants/naming");
  const { javascriptMutants } = require("./mutants/javascript");
  const { knownMutants } = require("./mutants/known");
  const { rustMutants } = require("./mutants/rust");
  if (options.known) return [{ mutants: knownMutants(root), count: Infinity }];
  const [js, rust] = [options.js, options.rust].map(Number);
  const all = [
    { mutants: js > 0 ? await javascriptMutants(root) : [], count: js },
    { mutants: rust > 0 ? rustMutants(root) : [], count: rust },
  ];
  if (options.name !== undefined) {
    const isMeant = ({ name }) => name.includes(options.name);
    return all.map(({ mutants }) => ({ mutants: mutants.filter(isMeant), count: Infinity }));
  }
  return all.map(({ mutants, count }) => ({
    mutants: drawn(mutants, options.seed).slice(Number(options.skip)),
    count,
  }));
}

function readOutcomes() {
  const lines = fs.existsSync(OUTCOMES) ? fs.readFileSync(OUTCOMES, "utf8").trim().split("\n") : [];
  return new Map(lines.map((line) => JSON.parse(line)).map((result) => [result.name, result]));
}

/**
 * @param {{ name: string, outcome: string }[]} results
 * @param {Object<string, string>} equivalent - why there is nothing to notice, by name
 * @returns {boolean} whether at least nine of ten were killed
 */
function report(results, equivalent) {
  const survivors = results.filter(({ outcome }) => outcome === "survived");
  const killed = results.length - survivors.length;
  console.log("\nSurvivors:");
  for (const { name } of survivors)
    console.log(`  ${name}${equivalent[name] ? `\n    ${equivalent[name]}` : ""}`);
  const share = results.length === 0 ? 0 : (100 * killed) / results.length;
  console.log(`\n${killed} of ${results.length} mutants killed (${share.toFixed(1)} %)`);
  return share >= 90;
}
