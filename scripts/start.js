"use strict";

// `npm start`: the chat example on http://localhost:3000, and on /live plots of a server under load. Whatever is still missing
// is installed and built first.

const path = require("node:path");
const { root, run } = require("./support");

if (!run(process.execPath, [path.join(__dirname, "build.js"), "--if-needed"])) {
  process.exit(1);
}

require(path.join(root, "examples", "chat", "server.js"));
