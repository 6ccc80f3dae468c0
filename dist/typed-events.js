"use strict";

const { fromStock } = require("../lib/fallback/stock");

module.exports = fromStock("./dist/typed-events.js") ?? ours();

function ours() {
  const { StrictEventEmitter } = require("../lib/api/typed-events");
  return { StrictEventEmitter };
}
