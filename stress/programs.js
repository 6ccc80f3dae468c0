"use strict";

/**
 * A program, as each file of this folder that is named here exports one. `run` conducts it; what else it exports are the
 * roles of the processes that it starts (see support/process.js and support/main.js).
 *
 * @typedef {object} Program
 * @property {string} name also that of its file, unless it says otherwise with `file`, a path from this folder
 * @property {string} shows what it shows, in a sentence
 * @property {string[]} [variants] its forms, the usual one first
 * @property {Row[]} rows its figures
 * @property {Record<"short" | "normal" | "long", { limit: number }>} scales what is done at each size, and the seconds
 *   that a run may take at most
 * @property {(context: import("./trial").Context) => Promise<{ figures: Record<string, number>, failures: string[] }>} run
 *   `failures` are broken promises, each as a sentence with the figures in it
 *
 * @typedef {object} Row
 * @property {string} figure its name in `figures`; one that a run does not have is left out
 * @property {string} label
 * @property {string} [unit]
 * @property {boolean} [moreIsBetter]
 * @property {boolean} [noWorse] ours must not be worse than stock by more than a tenth: of medians, so more than one round
 *   is what tells
 * @property {number} [noise] by which the two may differ besides, in the unit: what two runs of the same thing differ by
 * @property {boolean} [isDetail] one of many of its kind: on the line of a run only with --verbose, in the document folded away
 */

/** In the order in which they are run. @type {Program[]} */
const programs = [
  "nothing-lost",
  "load",
  "slow-consumers",
  "overrun",
  "fairness",
  "hostile",
  "flood",
  "life",
  "rolling-restart",
  "soak",
].map((name) => require(`./${name}`));

module.exports = programs;
