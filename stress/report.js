"use strict";

// What a run and a program have come to, as lines of text.

const { format, formatRatio } = require("../bench/measures");

/** One run: its figures on one line, the details too if they are asked for, and broken promises below. */
function line(program, target, { figures, failures, seconds }, { verbose = false } = {}) {
  const cells = program.rows
    .filter(({ figure, isDetail }) => figures[figure] !== undefined && (verbose || !isDetail))
    .map((row) => `${row.label} ${value(row, figures[row.figure])}`);
  return [
    `  ${target.name.padEnd(11)}${cells.join(" · ")}${cells.length > 0 ? " · " : ""}${Math.round(seconds)} s`,
    ...failures.map((failure) => `    BROKEN: ${failure}`),
  ].join("\n");
}

/** Ours against stock. */
function verdict({ rows, broken, stockBroken }) {
  const compared = rows.filter(({ ratio }) => ratio !== undefined && Number.isFinite(ratio));
  const parts = compared
    .filter(({ isDetail }) => !isDetail)
    .map(({ label, ratio }) => `${label} ${formatRatio(ratio)}`);
  const ratios = parts.length > 0 ? ` Ours ÷ stock: ${parts.join(", ")}.` : "";
  const ofStock = stockBroken.length > 0 ? ` Stock breaks ${count(stockBroken.length)}.` : "";
  if (broken.length === 0) {
    return `  kept.${ofStock}${ratios}`;
  }
  return [
    `  NOT kept: ours breaks ${count(broken.length)}.${ofStock}${ratios}`,
    ...broken.map((one) => `    ${one.split("\n")[0]}`),
  ].join("\n");
}

function count(number) {
  return number === 1 ? "one promise" : `${number} promises`;
}

function value({ unit }, number) {
  return unit ? `${format(number)} ${unit}` : format(number);
}

module.exports = { line, value, verdict };
