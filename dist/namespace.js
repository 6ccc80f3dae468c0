"use strict";

const { fromStock } = require("../lib/fallback/stock");

module.exports = fromStock("./dist/namespace.js") ?? ours();

function ours() {
  const { Namespace, RESERVED_EVENTS } = require("../lib/api/namespace");
  return { Namespace, RESERVED_EVENTS };
}
