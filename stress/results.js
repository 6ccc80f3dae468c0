"use strict";

// What the runs of a program come to, the file that it is kept in, and the table that shows it.

const fs = require("node:fs");
const path = require("node:path");
const { tableOf } = require("../bench/documents");
const { median } = require("../bench/measures");
const { describeMachine } = require("../bench/results");
const { value } = require("./report");

const FILE = path.join(__dirname, "results.json");
const DOCUMENT = path.join(__dirname, "..", "docs", "reliability.md");

const OURS = "sockeye.io";
const STOCK = "socket.io";

/** So much worse than stock may be what must not be worse: what two runs of the same thing differ by. */
const TOLERANCE = 0.1;

/**
 * @param {import("./programs").Program} program
 * @param {Record<string, { figures: object, failures: string[] }[]>} runs by target, one a round
 * @param {{ scale: string, rounds: number, variant?: string, workers?: number, minutes?: number }} options
 */
function summarise(program, runs, { scale, rounds, variant, workers, minutes }) {
  const rows = program.rows.map((row) => {
    const [ours, stock] = [OURS, STOCK].map((name) => middle(runs[name], row.figure));
    return {
      ...row,
      ours,
      stock,
      ratio: ours !== undefined && stock !== undefined ? ours / stock : undefined,
    };
  });
  const failuresOf = (name) => (runs[name] ?? []).flatMap(({ failures }) => failures);
  return {
    name: program.name,
    shows: program.shows,
    scale,
    rounds,
    variant,
    workers,
    minutes,
    measured: new Date().toISOString().slice(0, 10),
    machine: describeMachine(),
    rows: rows.filter(({ ours, stock }) => ours !== undefined || stock !== undefined),
    broken: [...failuresOf(OURS), ...rows.filter(isWorse).map(worse)],
    stockBroken: failuresOf(STOCK),
  };
}

function middle(runs = [], figure) {
  const values = runs.map(({ figures }) => figures[figure]).filter((one) => one !== undefined);
  return values.length > 0 ? Number(median(values).toPrecision(6)) : undefined;
}

function isWorse({ noWorse, moreIsBetter, noise = 0, ours, stock }) {
  if (!noWorse || ours === undefined || stock === undefined) return false;
  return moreIsBetter ? ours < stock * (1 - TOLERANCE) - noise : ours > stock * (1 + TOLERANCE) + noise;
}

function worse(row) {
  return `${row.label} is worse than stock's: ${value(row, row.ours)}, not ${value(row, row.stock)}`;
}

/** The results that are kept. */
function load() {
  return fs.existsSync(FILE) ? JSON.parse(fs.readFileSync(FILE, "utf8")).programs : [];
}

/** Replaces what is kept of these programs, in the same variant, and fills the document. */
function write(measured) {
  const key = ({ name, variant = "" }) => `${name} ${variant}`;
  const kept = load().filter((old) => !measured.some((result) => key(result) === key(old)));
  const programs = [...kept, ...measured].sort((a, b) => (key(a) < key(b) ? -1 : 1));
  fs.writeFileSync(FILE, JSON.stringify({ programs }, undefined, 2) + "\n");
  fs.writeFileSync(DOCUMENT, fill(fs.readFileSync(DOCUMENT, "utf8"), programs));
}

/** A document with its tables, each between two comments of which the first names the program, as the results have it. */
function fill(text, programs) {
  return text.replace(
    /(<!-- stress: (.+?) -->\n).*?(<!-- \/stress -->)/gs,
    (_, begin, name, end) =>
      `${begin}\n${tablesOf(programs.filter((result) => result.name === name))}\n\n${end}`,
  );
}

function tablesOf(found) {
  return found.length > 0 ? found.map(tableOfOne).join("\n\n") : "Not measured yet.";
}

function tableOfOne(result) {
  const { rows, variant, workers, scale, rounds, minutes, measured, machine, broken, stockBroken } = result;
  const cell = (row, number) => (number === undefined ? "–" : value(row, number));
  const form = [
    variant ?? [],
    workers ? `${workers} workers` : [],
    minutes ? `${minutes} minutes` : `--${scale}`,
    rounds > 1 ? `medians of ${rounds} rounds` : "one round",
  ].flat();
  const lineOf = (row) => [row.label, cell(row, row.ours), cell(row, row.stock)];
  const columns = [form.slice(0, -1).join(", "), "sockeye.io", "socket.io 4.8.4"];
  const details = rows.filter(({ isDetail }) => isDetail);
  return [
    tableOf(columns, [
      ...rows.filter(({ isDetail }) => !isDetail).map(lineOf),
      ["promises broken", broken.length, stockBroken.length],
    ]),
    details.length > 0
      ? ["<details><summary>One by one</summary>", tableOf(columns, details.map(lineOf)), "</details>"]
      : [],
    `${form.at(-1)}, ${measured}; ${machine}.`.replace(/^./, (letter) => letter.toUpperCase()),
  ]
    .flat()
    .join("\n\n");
}

module.exports = { DOCUMENT, fill, load, summarise, write };
