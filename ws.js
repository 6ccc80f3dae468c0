"use strict";

module.exports = require("./lib/ws/exports");
