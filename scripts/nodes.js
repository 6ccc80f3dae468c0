"use strict";

// Tests on other Nodes than the one that runs this.

const { check, checkNode } = require("./checks");
const { NODES, obtainNode, ownMajor, versionOf } = require("./runtimes");

/** What shows within seconds whether the package works on a Node, and whether it does so the fast way. */
const SMOKE = ["__test__/roads.test.js"];

/**
 * Runs files of tests on a Node.
 * @param {number} major - its version
 * @param {string[]} files
 */
function checkOnNode(major, files) {
  let node;
  try {
    node = obtainNode(major);
  } catch (error) {
    check(`Node ${major}`, () => (console.log(error.message), false));
    return;
  }
  checkNode(`Node ${versionOf(node)}`, files, { node });
}

/** The smoke test on all Nodes but this one, which `npm test` has it run on already. */
function smokeOtherNodes() {
  for (const major of NODES) if (major !== ownMajor()) checkOnNode(major, SMOKE);
}

module.exports = { SMOKE, checkOnNode, smokeOtherNodes };
