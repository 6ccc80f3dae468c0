"use strict";

// Survivors that differ from the original in nothing that anybody could notice, and why.

/** @type {Object<string, string>} by the name of the mutant */
const equivalent = {};

module.exports = { equivalent };
