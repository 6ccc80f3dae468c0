"use strict";

const { ParentNamespace } = require("../lib/parent-namespace");

module.exports = { ParentNamespace };
