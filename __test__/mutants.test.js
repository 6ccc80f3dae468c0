"use strict";

// The list of mutants that no test noticed once has to fit the code; `npm run test:mutants -- --known` tries them.

const test = require("node:test");
const assert = require("node:assert/strict");
const path = require("node:path");
const { knownMutants } = require("../scripts/mutants/known");
const { patch } = require("../scripts/mutants/rust");
const { drawn, named } = require("../scripts/mutants/naming");

const root = path.join(__dirname, "..");

test("each known mutant finds its place in the code, and changes it", () => {
  const mutants = knownMutants(root);
  assert.ok(mutants.length >= 20);
  for (const mutant of mutants) assert.notEqual(mutant.apply(), undefined);
  assert.equal(new Set(mutants.map(({ name }) => name)).size, mutants.length);
});

test("a diff is applied to the text that it was made of, and to no other", () => {
  const diff = ["--- a", "+++ b", "@@ -2,3 +2,4 @@", " two", "-three", "+3", "+3.5", " four"].join("\n");
  assert.equal(patch("one\ntwo\nthree\nfour\nfive\n", diff), "one\ntwo\n3\n3.5\nfour\nfive\n");
  assert.throws(() => patch("one\ntwo\nthree\nsix\n", diff), /line 4 is not "four"/);
});

test("a mutant is called by its change and its line, and by its number where both occur again", () => {
  const twice = { file: "a.js", change: "1 → 2", text: "  return 1;" };
  const names = named([twice, { ...twice, change: "1 → 3" }, twice]).map(({ name }) => name);
  assert.deepEqual(names, [
    "a.js: 1 → 2 — return 1;",
    "a.js: 1 → 3 — return 1;",
    "a.js: 1 → 2 — return 1; (2)",
  ]);
});

test("what is drawn is the same for the same seed, whatever else there is to draw", () => {
  const mutants = Array.from({ length: 50 }, (_, i) => ({ name: `mutant ${i}` }));
  const order = drawn(mutants, "1");
  assert.deepEqual(
    [...order].sort((a, b) => mutants.indexOf(a) - mutants.indexOf(b)),
    mutants,
  );
  assert.notDeepEqual(order, drawn(mutants, "2"));
  const some = mutants.filter((_, i) => i % 3 !== 0);
  assert.deepEqual(
    drawn(some, "1"),
    order.filter((mutant) => some.includes(mutant)),
  );
});
