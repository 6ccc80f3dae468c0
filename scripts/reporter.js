"use strict";

// A reporter for `node --test` that says what a person wants to read: one line for each file when it is done, its
// failures in full together with what it has printed, and at the end the runner's own counts.

const path = require("node:path");
const { inspect } = require("node:util");
const { Tally } = require("./tally");

module.exports = async function* reporter(source) {
  const outputs = new Map();
  const times = new Map();
  const counts = [];
  // the results of one file come together, whichever files run at the same time
  let file;
  for await (const { type, data } of source) {
    if (type === "test:diagnostic" && data.file === undefined) counts.push(`# ${data.message}\n`);
    if (data?.file === undefined) continue;
    // which Node gives relative to where it runs, or not
    const name = path.resolve(data.file);
    if (type === "test:stdout" || type === "test:stderr") {
      outputs.set(name, (outputs.get(name) ?? "") + data.message);
    } else if (type === "test:pass" || type === "test:fail") {
      if (file !== undefined && file.name !== name) yield file.text(times, outputs);
      if (file?.name !== name) file = new FileReport(name);
      file.add(data, type === "test:pass");
    } else if (type === "test:complete" && isWhole(data)) {
      times.set(name, data.details.duration_ms);
      // what is wrong with the file as a whole is still to come
      if (file?.name !== name || !(data.details.passed || hasFailedWithin(data))) continue;
      yield file.text(times, outputs);
      file = undefined;
    }
  }
  if (file !== undefined) yield file.text(times, outputs);
  yield `\n${counts.join("")}`;
};

/** What has become of the tests of one file. */
class FileReport {
  constructor(name) {
    this.name = name;
    this.tally = new Tally();
    this.failures = [];
  }

  add(result, passed) {
    this.tally.add({ ...result, details: { ...result.details, passed } });
    if (!passed && result.todo === undefined) this.failures.push(result);
  }

  /**
   * What is to be said of it.
   * @param {Map<string, number>} times - how long each file has taken, in milliseconds
   * @param {Map<string, string>} outputs - what each file has printed
   * @returns {string}
   */
  text(times, outputs) {
    const { name, tally, failures } = this;
    const parts = [`${tally.passed} passed`];
    if (tally.failed > 0) parts.push(`${tally.failed} failed`);
    if (tally.skipped > 0) parts.push(`${tally.skipped} skipped`);
    if (times.has(name)) parts.push(seconds(times.get(name)));
    const line = `${failures.length > 0 ? "FAILED" : "ok    "}  ${path.relative(process.cwd(), name)}: ${parts.join(", ")}\n`;
    if (failures.length === 0) return line;
    const output = outputs.has(name)
      ? `what it has printed:\n${indent(outputs.get(name).trimEnd())}\n\n`
      : "";
    return `\n${line}\n${failures.map(describe).join("\n")}\n${output}`;
  }
}

/** Whether a result is that of a file as a whole. */
function isWhole({ nesting, name, file }) {
  return nesting === 0 && path.resolve(name) === path.resolve(file);
}

/** Whether a test has failed only because one of those that it consists of has. */
function hasFailedWithin({ details }) {
  return details.error?.failureType === "subtestsFailed";
}

function describe(result) {
  const { error, duration_ms } = result.details;
  const where = result.line === undefined ? "" : ` (line ${result.line})`;
  const headline = `  ✖ ${result.name}${where}, ${seconds(duration_ms)}\n`;
  if (hasFailedWithin(result)) return `${headline}    see above\n`;
  const thrown = error?.code === "ERR_TEST_FAILURE" && error.cause !== undefined ? error.cause : error;
  // the message of an assertion shows the difference, what else it carries would show both sides again
  const text =
    thrown?.code === "ERR_ASSERTION" || typeof thrown === "string"
      ? (thrown.stack ?? thrown)
      : inspect(thrown);
  return `${headline}${indent(text)}\n`;
}

function indent(text) {
  return text.replace(/^/gm, "    ");
}

function seconds(milliseconds) {
  return `${(milliseconds / 1000).toFixed(1)} s`;
}
