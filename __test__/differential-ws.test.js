"use strict";

const { describe, it } = require("node:test");
const { comparisons } = require("./support/differential-ws");

describe("on ws and on ours", { concurrency: 4 }, () => {
  for (const comparison of comparisons()) it(...comparison);
});
