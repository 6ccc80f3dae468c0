"use strict";

// Before `npm pack` makes a tarball of the checkout, which has the addon of this platform in it: builds what is missing, and
// says in NOTICES.md whose code it contains.

const fs = require("node:fs");
const path = require("node:path");
const { noticesOfAddon, noticesOfBundles } = require("./release/notices");
const { hostTarget } = require("./release/targets");
const { root, run } = require("./support");

if (!run(process.execPath, [path.join(__dirname, "build.js")])) process.exit(1);
fs.writeFileSync(
  path.join(root, "NOTICES.md"),
  `${noticesOfBundles()}\n\n${noticesOfAddon(hostTarget()?.rust)}\n`,
);
