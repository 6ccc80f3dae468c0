"use strict";

const { fromStock } = require("../lib/fallback/stock");

module.exports = fromStock("./dist/client.js") ?? ours();

function ours() {
  const { Client } = require("../lib/api/client");
  return { Client };
}
