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
  const ratios = (parts.length > 0 ? ` Ours ÷ stock: ${parts.join(", ")}.` : "") + worstDetail(compared);
  const ofStock = stockBroken.length > 0 ? ` Stock breaks ${count(stockBroken.length)}.` : "";
  if (broken.length === 0) {
    return `  kept.${ofStock}${ratios}`;
  }
  return [
    `  NOT kept: ours breaks ${count(broken.length)}.${ofStock}${ratios}`,
    ...broken.map((one) => `    ${one.split("\n")[0]}`),
  ].join("\n");
}

/** Of the many figures those in which ours does worst, apart from noise. */
function worstDetail(rows) {
  const details = rows.filter(({ isDetail, noWorse }) => isDetail && noWorse);
  if (details.length === 0) return "";
  const badness = ({ ratio, moreIsBetter }) => (moreIsBetter ? 1 / ratio : ratio);
  const [worst] = details
    .filter(({ ours, stock, noise = 0 }) => Math.abs(ours - stock) > noise)
    .sort((a, b) => badness(b) - badness(a));
  const told = worst ? `${worst.label} ${formatRatio(worst.ratio)}` : "no difference beyond noise";
  return ` At worst of ${details.length} in detail: ${told}.`;
}

function count(number) {
  return number === 1 ? "one promise" : `${number} promises`;
}

function value({ unit }, number) {
  return unit ? `${format(number)} ${unit}` : format(number);
}

module.exports = { line, value, verdict };
