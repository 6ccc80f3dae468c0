"use strict";

const test = require("node:test");
const { comparisons } = require("./support/differential");

for (const comparison of comparisons("node-tls")) test(...comparison);
