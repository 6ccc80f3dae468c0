"use strict";

// The results as a picture for the README: a panel for each scenario, a bar for each server. One file for light and dark
// pages.

const fs = require("node:fs");
const { measures, format } = require("./measures");

const COLUMNS = 2;
const PANEL = { width: 400, gap: 32, margin: 24 };
const TITLE_HEIGHT = 34;
const BAR = { height: 15, step: 21, left: 96, right: 62 };

const STYLE = `
  text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #424a53 }
  .title { font-size: 13px; font-weight: 600; fill: #1f2328 }
  .unit { fill: #6e7781 }
  .name { text-anchor: end }
  .ours { font-weight: 600; fill: #1f2328 }
  rect { fill: #afb8c1 }
  rect.ours { fill: #0a7ea4 }
  rect.floor { fill: none; stroke: #afb8c1; stroke-dasharray: 3 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #b1bac4 }
    .title, .ours { fill: #f0f6fc }
    .unit { fill: #8b949e }
    rect { fill: #57606a }
    rect.ours { fill: #39b8e0 }
    rect.floor { fill: none; stroke: #6e7681 }
  }
`;

/**
 * Writes the chart of all results that are to be in it.
 *
 * @param {string} file
 * @param {object[]} results of ./results.js
 */
function write(file, results) {
  fs.writeFileSync(file, draw(results));
}

function draw(results) {
  const panels = results.flatMap(panelsOf).filter(({ bars }) => bars.length > 0);
  const columns = Math.min(COLUMNS, Math.max(1, panels.length));
  const width = 2 * PANEL.margin + columns * PANEL.width + (columns - 1) * PANEL.gap;
  const drawn = [];
  let top = PANEL.margin;
  for (let index = 0; index < panels.length; index += columns) {
    const line = panels.slice(index, index + columns);
    line.forEach((panel, column) => {
      drawn.push(drawPanel(panel, PANEL.margin + column * (PANEL.width + PANEL.gap), top));
    });
    top += Math.max(...line.map(heightOf)) + PANEL.gap;
  }
  const height = top - PANEL.gap + PANEL.margin;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" ` +
    `viewBox="0 0 ${width} ${height}" role="img">\n` +
    `<title>sockeye.io and its peers</title>\n<style>${STYLE}</style>\n${drawn.join("\n")}\n</svg>\n`
  );
}

function panelsOf(result) {
  return (result.charts ?? []).map((name) => panelOf(result, name));
}

function panelOf({ name, operation, servers }, chart) {
  const { label, unit, moreIsBetter } = measures[chart];
  const what = unit === "/s" ? `${operation} ${label}` : `${label}, ${unit}`;
  const bars = Object.entries(servers)
    .map(([server, { medians }], index) => ({ server, value: medians[chart], isOurs: index === 0 }))
    .filter(({ value }) => value !== undefined);
  return { title: name, unit: moreIsBetter ? what : `${what}: less is better`, bars };
}

function heightOf({ bars }) {
  return TITLE_HEIGHT + bars.length * BAR.step;
}

function drawPanel({ title, unit, bars }, left, top) {
  const largest = Math.max(...bars.map(({ value }) => value));
  const room = PANEL.width - BAR.left - BAR.right;
  const drawn = bars.map(({ server, value, isOurs }, index) => {
    const y = TITLE_HEIGHT + index * BAR.step;
    const length = Math.max(1, (Math.max(0, value) / largest) * room);
    const kind = isOurs ? "ours" : server === "floor" ? "floor" : "peer";
    const baseline = y + BAR.height - 3;
    return (
      `<text class="name ${kind}" x="${BAR.left - 8}" y="${baseline}">${escape(server)}</text>` +
      `<rect class="${kind}" x="${BAR.left}" y="${y}" width="${round(length)}" height="${BAR.height}" rx="2"/>` +
      `<text class="${kind}" x="${round(BAR.left + length + 6)}" y="${baseline}">${format(value)}</text>`
    );
  });
  return (
    `<g transform="translate(${left} ${top})">\n` +
    `<text class="title" y="10">${escape(title)}</text>` +
    `<text class="unit" y="25">${escape(unit)}</text>\n${drawn.join("\n")}\n</g>`
  );
}

function round(value) {
  return Number(value.toFixed(1));
}

function escape(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}

module.exports = { write };
