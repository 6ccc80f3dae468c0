"use strict";

/** A reporter for `node --test` that names what was skipped, and why, so that the summary can say it last. */
module.exports = async function* skippedReporter(source) {
  for await (const { type, data } of source) {
    if (type === "test:pass" && (data.skip !== undefined || data.todo !== undefined)) {
      const reason = data.skip ?? data.todo;
      yield `skipped ${data.name}${typeof reason === "string" && reason !== "" ? `: ${reason}` : ""}\n`;
    }
  }
};
