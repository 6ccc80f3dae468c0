"use strict";

const { StrictEventEmitter } = require("../lib/typed-events");

module.exports = { StrictEventEmitter };
