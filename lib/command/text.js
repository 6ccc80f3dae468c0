"use strict";

/** What is printed for people. */

const util = require("util");

/** Whether colours are wanted: on a terminal, unless NO_COLOR says otherwise (no-color.org). */
function hasColours() {
  const { NO_COLOR, TERM } = process.env;
  return (
    process.stdout.isTTY === true && !NO_COLOR && TERM !== "dumb" && typeof util.styleText === "function"
  );
}

/**
 * Text in a colour, where there are any.
 * @param {string|string[]} style - see `util.styleText`
 * @param {string} text
 */
function paint(style, text) {
  return hasColours() ? util.styleText(style, text) : text;
}

/** Three digits, or all before the point. */
function format(value) {
  return Math.abs(value) >= 100 ? groups(Math.round(value)) : String(Number(value.toPrecision(3)));
}

/** A whole number with its thousands apart. */
function groups(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

/**
 * Lines of columns, the first of which is words, and the others figures.
 * @param {string[][]} rows
 * @returns {string[]}
 */
function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("   "),
  );
}

module.exports = { format, groups, paint, table };
