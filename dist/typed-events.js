"use strict";

const { StrictEventEmitter } = require("../lib/api/typed-events");

module.exports = { StrictEventEmitter };
