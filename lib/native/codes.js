"use strict";

/**
 * The numbers that this side and the workers have to agree on: `operations` and their `flags`, `events`, and what else
 * their `words` are made of. They are written down in src/, where src/bridge/codes.rs gathers them.
 */
module.exports = require("./binding").codes();
