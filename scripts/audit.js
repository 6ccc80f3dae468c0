"use strict";

// `npm run audit`: whether something is known against what is shipped, that is, the dependencies of the package and the
// crates of the addon. The checks ask a data base: npm's registry, and that of RustSec. Where cargo-deny is installed, it looks
// at licences, sources and duplicates as well: see deny.toml.

const { check, finish } = require("./checks");
const { npm, run } = require("./support");

check("npm audit", () => {
  const { command, args, shell } = npm();
  return run(command, [...args, "audit", "--omit=dev"], { shell });
});
check("cargo audit", () => {
  if (run("cargo", ["audit", "--version"], { stdio: "ignore" })) return run("cargo", ["audit"]);
  console.log("cargo-audit is missing: `cargo install cargo-audit --locked` installs it.");
  return false;
});
if (run("cargo", ["deny", "--version"], { stdio: "ignore" })) {
  check("cargo deny", () => run("cargo", ["deny", "check"]));
}
finish();
