"use strict";

const { Unavailable } = require("./cache");

/** The steps of a release as they go, and at the end what became of each. A step that fails does not keep others from running. */
class Report {
  constructor() {
    /** @type {{ name: string, outcome: "passed"|"failed"|"skipped", detail: string, seconds: number }[]} */
    this.steps = [];
  }

  /**
   * @param {string} name
   * @param {function(): any} body - what it returns or resolves with, if that is text, is shown beside the name; where it
   *   throws Unavailable, the step is skipped
   * @returns {Promise<boolean>} whether it has passed
   */
  async step(name, body) {
    const startedAt = performance.now();
    const finish = (outcome, detail = "") => {
      const seconds = (performance.now() - startedAt) / 1000;
      this.steps.push({ name, outcome, detail, seconds });
      console.log(lineOf(this.steps.at(-1)));
      return outcome === "passed";
    };
    try {
      const detail = await body();
      return finish("passed", typeof detail === "string" ? detail : "");
    } catch (error) {
      if (error instanceof Unavailable) return finish("skipped", error.message);
      console.error(error);
      return finish("failed", error.message.split("\n")[0]);
    }
  }

  /** Whether nothing has failed. */
  get passed() {
    return this.steps.every(({ outcome }) => outcome !== "failed");
  }

  /** Says once more what was left out and what went wrong, and how many steps there were. */
  close() {
    const having = (wanted) => this.steps.filter(({ outcome }) => outcome === wanted);
    console.log();
    for (const step of [...having("skipped"), ...having("failed")]) console.log(lineOf(step));
    const counts = ["passed", "skipped", "failed"].map((outcome) => `${having(outcome).length} ${outcome}`);
    console.log(`${this.steps.length} steps: ${counts.join(", ")}`);
  }
}

function lineOf({ name, outcome, detail, seconds }) {
  const sign = { passed: "✔", skipped: "-", failed: "✖" }[outcome];
  return `${sign} ${name}${detail && `: ${detail}`} (${seconds.toFixed(1)} s)`;
}

module.exports = { Report };
