"use strict";

const { RESERVED_EVENTS } = require("../lib/packet");

module.exports = { RESERVED_EVENTS };
