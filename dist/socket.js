"use strict";

const { Socket } = require("../lib/api/socket");

module.exports = { Socket };
