"use strict";

const { fromStock } = require("../lib/fallback/stock");

module.exports = fromStock("./dist/socket-types.js") ?? ours();

function ours() {
  const { RESERVED_EVENTS } = require("../lib/api/packet");
  return { RESERVED_EVENTS };
}
