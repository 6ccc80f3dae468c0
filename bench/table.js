"use strict";

const { format, formatRatio, measures } = require("./measures");

const FIRST = 14;
const COLUMN = 20;

/** A scenario's results as lines of text; behind what a peer has, how many times as much ours has. */
function table(result) {
  const names = namesOf(result);
  const title = result.operation ? `${result.name} (${result.operation})` : result.name;
  const lines = [title, row("", names.map(heading))];
  for (const [server, { medians, ratios, failures }] of Object.entries(result.servers)) {
    if (Object.keys(medians).length > 0) {
      lines.push(
        row(
          server,
          names.map((name) => cell(medians[name], ratios?.[name])),
        ),
      );
    }
    for (const failure of new Set(failures)) {
      lines.push(`  ${server.padEnd(FIRST)}failed: ${failure}`);
    }
  }
  return lines.join("\n");
}

/** The measures that any of the servers has. */
function namesOf({ servers }) {
  const measured = Object.values(servers).flatMap(({ medians }) => Object.keys(medians));
  return Object.keys(measures).filter((name) => measured.includes(name));
}

function heading(name) {
  const { label, unit } = measures[name];
  return unit === "/s" ? label : `${label} ${unit}`;
}

function cell(value, ratio) {
  if (value === undefined) {
    return "–";
  }
  return ratio === undefined ? format(value) : `${format(value)} (${formatRatio(ratio)})`;
}

function row(first, cells) {
  return `  ${first.padEnd(FIRST)}${cells.map((cell) => cell.padStart(COLUMN)).join("")}`;
}

module.exports = table;
