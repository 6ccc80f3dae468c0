"use strict";

// `npm run test:nodes`: the tests, but for those that need the machine for themselves, on each of the Nodes that people
// run.
//
//   npm run test:nodes                    on all of them, see NODES in runtimes.js
//   npm run test:nodes -- 22 24           on these
//   npm run test:nodes -- 22 chat rooms   only the files whose names contain one of the words
//   npm run test:nodes -- --smoke         only what shows that the package works there, the fast way

const { check, finish, isSerial, prepare, testFiles } = require("./checks");
const { SMOKE, checkOnNode } = require("./nodes");
const { NODES } = require("./runtimes");

const args = process.argv.slice(2).filter((arg) => arg !== "--smoke");
const majors = args.filter((arg) => /^\d+$/.test(arg)).map(Number);
const words = args.filter((arg) => !/^\d+$/.test(arg));
const files = process.argv.includes("--smoke") ? SMOKE : testFiles(words).filter((file) => !isSerial(file));

if (!prepare()) finish();
if (files.length === 0) check(`a test file whose name contains ${words.join(" or ")}`, () => false);
for (const major of majors.length > 0 ? majors : NODES) checkOnNode(major, files);
finish();
