"use strict";

const { Namespace, RESERVED_EVENTS } = require("../lib/api/namespace");

module.exports = { Namespace, RESERVED_EVENTS };
