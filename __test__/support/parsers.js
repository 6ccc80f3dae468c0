"use strict";

// Which connections Node's HTTP servers have seen: they make a parser for each.

const { createHook } = require("node:async_hooks");
const { Recorder } = require("./harness");

/** The parsers that have been made. */
const parsers = new Recorder();
createHook({ init: (id, type) => void (type === "HTTPINCOMINGMESSAGE" && parsers.push(id)) }).enable();

/** How many parsers there are of which the tests before know nothing. */
function newParsers() {
  return parsers.list.splice(0).length;
}

module.exports = { newParsers, parsers };
