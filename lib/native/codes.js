"use strict";

/**
 * The numbers that this side and the workers have to agree on: `operations` and their `flags`, `events`, what else their
 * `words` are made of, what `requests` are looked at, and how connections can begin (`beginnings`). They are written down in src/, where src/bridge/codes.rs gathers them.
 */
module.exports = require("./binding").codes();
