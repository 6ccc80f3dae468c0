"use strict";

const { Socket } = require("../lib/socket");

module.exports = { Socket };
