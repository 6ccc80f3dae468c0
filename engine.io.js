"use strict";

const { fromStock } = require("./lib/fallback/stock");

module.exports = fromStock("engine.io") ?? require("./lib/engine/exports");
