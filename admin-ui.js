"use strict";

module.exports = require("./lib/monitoring/admin/instrument");
