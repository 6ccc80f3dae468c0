"use strict";

// The workflows call what can be run, and is tested, on a developer's machine; and nothing else.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const test = require("node:test");
const yaml = require("js-yaml");
const { NODES } = require("../scripts/runtimes");

const ROOT = path.join(__dirname, "..");
const FOLDER = path.join(ROOT, ".github", "workflows");
const { scripts } = JSON.parse(fs.readFileSync(path.join(ROOT, "package.json"), "utf8"));

const workflows = Object.fromEntries(
  fs.readdirSync(FOLDER).map((file) => [file, yaml.load(fs.readFileSync(path.join(FOLDER, file), "utf8"))]),
);

/** Whether a command of a workflow is one of ours, or installs a tool that one of ours wants. */
function isKnown(command) {
  const [, script] = /^npm run ([\w:]+)$/.exec(command) ?? [];
  if (script !== undefined) return script in scripts;
  if (command === "cargo install cargo-audit --locked") return true;
  return command.startsWith(".") && fs.statSync(path.join(ROOT, command)).isFile();
}

for (const [file, { name, on, permissions, jobs }] of Object.entries(workflows)) {
  test(`${file} is complete`, () => {
    assert.equal(`${name}.yml`, file);
    assert.ok(Object.keys(on).length > 0);
    assert.deepEqual(permissions, { contents: "read" });
    for (const [job, { "runs-on": machine, "timeout-minutes": limit, steps }] of Object.entries(jobs)) {
      assert.equal(machine, "ubuntu-latest", job);
      assert.ok(limit > 0, job);
      for (const step of steps) {
        if (step.uses !== undefined) assert.match(step.uses, /^actions\/(checkout|setup-node)@v\d+$/);
        else assert.ok(isKnown(step.run), step.run);
      }
    }
  });
}

test("the suite is run on the Nodes that people run", () => {
  assert.deepEqual(workflows["test.yml"].jobs.test.strategy.matrix, { node: NODES });
});

test("the oldest of them is the oldest that the package is for", () => {
  const { engines } = JSON.parse(fs.readFileSync(path.join(ROOT, "package.json"), "utf8"));
  assert.equal(engines.node, `>=${NODES[0]}`);
});
