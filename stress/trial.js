"use strict";

// One run of one program against one target, at the end of which all that was started is gone.

const { within } = require("../__test__/support/waiting");
const { Process } = require("./support/process");

/**
 * What a program gets.
 *
 * @typedef {object} Context
 * @property {{ name: string, package: string }} target
 * @property {boolean} isStock
 * @property {object} scale of the program's `scales`
 * @property {"short" | "normal" | "long"} size the name of that
 * @property {number} [workers] native threads, if they were asked for
 * @property {number} seed
 * @property {string} [variant]
 * @property {number} [minutes]
 * @property {(role: string, args?: object, options?: object) => Promise<Process>} serve starts a server: see {@link serve}
 * @property {(role: string, args?: object, options?: object) => Process} start starts another process with a role of the
 *   program
 * @property {(close: () => any) => void} atEnd what else is to be closed, last opened first
 * @property {(sentence: string) => void} say tells who waits what is going on
 */

/**
 * @param {import("./programs").Program} program
 * @param {{ name: string, package: string }} target
 * @param {object} options of run.js
 * @returns {Promise<{ figures: Record<string, number>, failures: string[], seconds: number }>} a run that did not come to
 *   its end has that for a failure
 */
async function trial(program, target, { scale: size, workers, seed, variant, minutes }) {
  // a run that was given up does not know of it
  let isOver = false;
  const closers = [];
  const processes = [];
  const scale = program.scales[size];
  const context = {
    target,
    isStock: target.name === "socket.io",
    scale,
    size,
    workers,
    seed,
    variant,
    minutes,
    start(role, args = {}, options = {}) {
      if (isOver) throw new Error("the run is over");
      const child = new Process({
        program: program.file ?? program.name,
        role,
        args,
        package: target.package,
        ...options,
      });
      processes.push(child);
      closers.push(() => child.kill());
      return child;
    },
    async serve(role, args = {}, options = {}) {
      const server = { ...(workers && { workers }), ...options.server };
      const child = context.start(role, args, { ...options, server });
      Object.assign(child, await child.message("listening"));
      return child;
    },
    atEnd: (close) => closers.push(close),
    say: (sentence) => process.stderr.write(`  ${program.name}, ${target.name}: ${sentence}\n`),
  };
  const limit = minutes ? Math.max(scale.limit, minutes * 60 + 300) : scale.limit;
  const begin = performance.now();
  let result;
  try {
    result = await within(program.run(context), "the end of the run", limit * 1000);
  } catch (error) {
    const said = processes.map(({ said: { stderr } }) => stderr.trim().slice(-2000)).filter(Boolean);
    result = { figures: {}, failures: [`did not come to its end: ${[error.stack, ...said].join("\n")}`] };
  }
  const seconds = (performance.now() - begin) / 1000;
  isOver = true;
  while (closers.length > 0) {
    await closers.pop()();
  }
  return { figures: result.figures, failures: result.failures, seconds };
}

module.exports = trial;
