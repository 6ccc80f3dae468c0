"use strict";

const { Client } = require("../lib/client");

module.exports = { Client };
