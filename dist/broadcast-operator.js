"use strict";

const { fromStock } = require("../lib/fallback/stock");

module.exports = fromStock("./dist/broadcast-operator.js") ?? ours();

function ours() {
  const { BroadcastOperator, RemoteSocket } = require("../lib/api/broadcast-operator");
  return { BroadcastOperator, RemoteSocket };
}
