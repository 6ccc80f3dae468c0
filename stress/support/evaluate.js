"use strict";

// Runs the text that it is given: for processes that have to be started from a file.

const { createRequire } = require("node:module");

new Function("require", process.argv[2])(createRequire(__filename));
