"use strict";

const { ParentNamespace } = require("../lib/api/parent-namespace");

module.exports = { ParentNamespace };
