"use strict";

const { fromStock } = require("../lib/fallback/stock");

module.exports = fromStock("./dist/parent-namespace.js") ?? ours();

function ours() {
  const { ParentNamespace } = require("../lib/api/parent-namespace");
  return { ParentNamespace };
}
