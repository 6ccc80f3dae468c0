"use strict";

// Names and the order of mutants that stay the same while other places of the code change.

const { createHash } = require("node:crypto");

/**
 * Names each mutant by its file, what is changed, and the text of the line, but not by where that line is.
 * @template {{ file: string, change: string, text: string }} T - `text`: the line that is changed, or where it begins
 * @param {T[]} mutants - in the order of the code
 * @returns {(T & { name: string })[]}
 */
function named(mutants) {
  const times = new Map();
  return mutants.map((mutant) => {
    const name = `${mutant.file}: ${mutant.change} — ${mutant.text.trim()}`;
    const time = (times.get(name) ?? 0) + 1;
    times.set(name, time);
    return { ...mutant, name: time === 1 ? name : `${name} (${time})` };
  });
}

/**
 * Mutants in an order of chance, in which each keeps its place among the others when more come or some go.
 * @template {{ name: string }} T
 * @param {T[]} mutants
 * @param {string} seed
 * @returns {T[]}
 */
function drawn(mutants, seed) {
  const lot = ({ name }) => createHash("sha256").update(`${seed}\n${name}`).digest("hex");
  return mutants
    .map((mutant) => ({ mutant, lot: lot(mutant) }))
    .sort((a, b) => (a.lot < b.lot ? -1 : 1))
    .map(({ mutant }) => mutant);
}

module.exports = { drawn, named };
