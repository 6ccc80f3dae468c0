"use strict";

const { Client } = require("../lib/api/client");

module.exports = { Client };
