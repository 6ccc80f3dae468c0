"use strict";

const { Namespace, RESERVED_EVENTS } = require("../lib/namespace");

module.exports = { Namespace, RESERVED_EVENTS };
