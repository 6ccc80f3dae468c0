"use strict";

// A reporter for `node --test` that says what a person wants to read: one line for each file when it is done, its
// failures in full together with what it has printed, and at the end the runner's own counts.

const path = require("node:path");
const { inspect } = require("node:util");
const { Tally } = require("./tally");

module.exports = async function* reporter(source) {
  const files = new Map();
  const counts = [];
  for await (const { type, data } of source) {
    if (type === "test:diagnostic" && data.file === undefined) counts.push(`# ${data.message}\n`);
    if (data?.file === undefined) continue;
    // which Node gives relative to where it runs, or not
    const name = path.resolve(data.file);
    if (!files.has(name)) files.set(name, new FileReport(name));
    const file = files.get(name);
    if (type === "test:stdout" || type === "test:stderr") file.output += data.message;
    if (type === "test:complete" && file.take(data)) {
      files.delete(name);
      yield file.text(data.details.duration_ms);
    }
  }
  // tests are where test() is called: of a file that others call, it is not known when it is done
  for (const file of files.values()) if (!file.isEmpty) yield file.text();
  yield `\n${counts.join("")}`;
};

/** What has become of the tests of one file. They come as they end, which several files do at the same time. */
class FileReport {
  constructor(file) {
    this.file = file;
    this.output = "";
    this.tally = new Tally();
    this.failures = [];
  }

  /**
   * @param {object} result - of a test, or of the file as a whole
   * @returns {boolean} whether that was the last of the file
   */
  take(result) {
    const isWhole = result.nesting === 0 && path.resolve(result.name) === this.file;
    // of a file as a whole nothing is new, unless it has ended before its time
    if (isWhole && (result.details.passed || hasFailedWithin(result))) return true;
    this.tally.add(result);
    if (!result.details.passed && result.todo === undefined) this.failures.push(result);
    return isWhole;
  }

  get isEmpty() {
    return this.tally.executed + this.tally.skipped === 0;
  }

  /** What is to be said of it. */
  text(milliseconds) {
    const { tally, failures } = this;
    const parts = [`${tally.passed} passed`];
    if (tally.failed > 0) parts.push(`${tally.failed} failed`);
    if (tally.skipped > 0) parts.push(`${tally.skipped} skipped`);
    if (milliseconds !== undefined) parts.push(seconds(milliseconds));
    const name = path.relative(process.cwd(), this.file);
    const line = `${failures.length > 0 ? "FAILED" : "ok    "}  ${name}: ${parts.join(", ")}\n`;
    if (failures.length === 0) return line;
    const output = this.output === "" ? "" : `what it has printed:\n${indent(this.output.trimEnd())}\n\n`;
    return `\n${line}\n${failures.map(describe).join("\n")}\n${output}`;
  }
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
