"use strict";

// A reporter for `node --test` that leaves its counts as JSON: the summary of all checks is made of them.

const path = require("node:path");
const { Tally } = require("./tally");

module.exports = async function* tallyReporter(source) {
  const tally = new Tally();
  for await (const { type, data } of source) {
    if (type !== "test:pass" && type !== "test:fail") continue;
    const details = { ...data.details, passed: type === "test:pass" };
    tally.add({ ...data, name: nameOf(data), details });
  }
  yield JSON.stringify(tally);
};

function nameOf({ file = "", name }) {
  // a file that has ended before its time is reported as a test
  return path.resolve(name) === path.resolve(file) ? path.basename(file) : `${path.basename(file)}: ${name}`;
}
