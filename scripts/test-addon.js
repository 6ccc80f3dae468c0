"use strict";

// `npm run test:addon -- TARGET`: whether an addon from the folder `addons` works on this system, which needs no Rust for it.

const fs = require("node:fs");
const path = require("node:path");
const { check, checkNode, coreOf, finish, testFiles } = require("./checks");
const { SMOKE } = require("./nodes");
const { addonOf } = require("./release/targets");
const { ensureInstalled, root, run } = require("./support");

const [target] = process.argv.slice(2);
const addon = path.join(root, "addons", addonOf({ name: target }));

ensureInstalled();
check("client bundles", () => run(process.execPath, [path.join(__dirname, "build.js"), "--no-addon"]));
if (check(`addon for ${target}`, () => fs.existsSync(addon))) {
  checkNode("node --test", [...SMOKE, ...coreOf(testFiles())], { env: { SOCKEYE_BINDING: addon } });
}
finish();
