"use strict";

// `npm run lint`: formats, lints and types, of JavaScript and of Rust, as `npm test` checks them too.

const { finish, lint, prepare } = require("./checks");

// the types of what is built are looked at as well
if (!prepare()) finish();
lint();
finish();
