"use strict";

/** The native addon. This is the one place that loads it. */
module.exports = require("../../binding.js");
