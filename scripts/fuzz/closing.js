"use strict";

/**
 * What a run of libFuzzer has come to, by the last lines of its output (https://llvm.org/docs/LibFuzzer.html#output).
 *
 * @param {string} output
 * @returns {{executions: number, perSecond: number, edges: number, corpus: number, seconds: number, crashes: string[]}}
 *   `corpus`: how many inputs; `crashes`: the files that it has written, of inputs that crash, leak, take too long or too much
 * @throws {Error} if it has not come to an end that libFuzzer tells of
 */
function readClosing(output) {
  const number = (pattern) => Number(last(output, pattern)?.[1] ?? NaN);
  const crashes = [...output.matchAll(/Test unit written to (\S+)/g)].map(([, file]) => file);
  const executions = number(/^stat::number_of_executed_units:\s+(\d+)/gm);
  const closing = {
    executions,
    perSecond: number(/^stat::average_exec_per_sec:\s+(\d+)/gm),
    // lines such as "#2 INITED cov: 7 ft: 8 corp: 1/1b exec/s: 0 rss: 30Mb"
    edges: number(/^#\d+\s+\S+\s+cov: (\d+)/gm),
    corpus: number(/^#\d+\s.*\bcorp: (\d+)\//gm),
    seconds: number(/^Done \d+ runs in (\d+) second/gm),
    crashes,
  };
  const hasEnded = crashes.length > 0 || !Number.isNaN(closing.seconds);
  if (!hasEnded || Number.isNaN(executions)) {
    throw new Error("libFuzzer has not come to its end");
  }
  return closing;
}

function last(text, pattern) {
  return [...text.matchAll(pattern)].at(-1);
}

/** A line that says it to people. */
function describe(target, { executions, perSecond, edges, corpus, crashes }) {
  const outcome = crashes.length === 0 ? "no crash" : `crashes: ${crashes.join(", ")}`;
  return `${target}: ${executions} executions, ${perSecond} a second, ${edges} edges, ${corpus} inputs kept, ${outcome}`;
}

module.exports = { describe, readClosing };
