"use strict";

// The list of mutants that no test noticed once has to fit the code; `npm run test:mutants -- --known` tries them.

const test = require("node:test");
const assert = require("node:assert/strict");
const path = require("node:path");
const { knownMutants } = require("../scripts/mutants/known");
const { patch } = require("../scripts/mutants/rust");
const { Random } = require("../scripts/random");

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

test("what is drawn is the same for the same seed", () => {
  const list = Array.from({ length: 50 }, (_, i) => i);
  const drawn = new Random(1).shuffle(list);
  assert.deepEqual(drawn, new Random(1).shuffle(list));
  assert.notDeepEqual(drawn, new Random(2).shuffle(list));
  assert.deepEqual(
    [...drawn].sort((a, b) => a - b),
    list,
  );
});
