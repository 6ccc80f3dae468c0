"use strict";

module.exports = require("./lib/monitoring/prometheus");
