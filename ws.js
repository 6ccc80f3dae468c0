"use strict";

const { isStockWanted } = require("./lib/fallback/stock");

// ws is there in any case
module.exports = isStockWanted() ? require("ws") : require("./lib/ws/exports");
