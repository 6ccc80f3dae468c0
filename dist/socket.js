"use strict";

const { fromStock } = require("../lib/fallback/stock");

module.exports = fromStock("./dist/socket.js") ?? ours();

function ours() {
  const { Socket } = require("../lib/api/socket");
  return { Socket };
}
