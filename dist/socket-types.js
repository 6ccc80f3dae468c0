"use strict";

const { RESERVED_EVENTS } = require("../lib/api/packet");

module.exports = { RESERVED_EVENTS };
