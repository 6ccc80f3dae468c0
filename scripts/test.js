"use strict";

// `npm test`: installs, builds, and runs every check there is; the summary at the end names them all.
//
//   npm test                 everything
//   npm test -- chat pack    only the files of __test__ whose names contain one of the words
//   npm test -- --nodes      everything, and on each of the other Nodes that people run whether the package works there

const {
  check,
  checkCargo,
  checkNode,
  coreOf,
  finish,
  isSerial,
  lint,
  prepare,
  testFiles,
} = require("./checks");
const { smokeOtherNodes } = require("./nodes");
const { run } = require("./support");

const args = process.argv.slice(2);
const words = args.filter((arg) => arg !== "--nodes");
const files = testFiles(words);
const serialFiles = files.filter(isSerial);
const coreFiles = coreOf(files);
const otherFiles = files.filter((file) => !isSerial(file) && !coreFiles.includes(file));

if (!prepare()) finish();
if (words.length === 0) {
  lint();
  checkCargo();
}
if (files.some((file) => file.includes("panics"))) {
  // the test builds it too, but has less time for that
  check("addon that panics", () => run("cargo", ["build", "--lib", "--features", "panics"]));
}
checkNode("node --test", otherFiles);
checkNode("node --test, the core, with four workers", coreFiles, { env: { SIO_WORKERS: "4" } });
checkNode("node --test, the core, over TLS, with three workers", coreFiles, {
  stream: "https",
  env: { SIO_WORKERS: "3" },
});
checkNode("node --test, the core, over streams without a descriptor", coreFiles, { stream: "duplex" });
checkNode("node --test, one at a time", serialFiles, { concurrency: 1 });
if (args.includes("--nodes")) smokeOtherNodes();
if (files.length === 0) check(`a test file whose name contains ${words.join(" or ")}`, () => false);
finish();
