"use strict";

// Plays scenarios on npm's ws and on `sockeye.io/ws`, and compares what everybody who took part saw.
//
// A scenario is
//   {
//     name,
//     isolated?,  whether it wants a process of its own
//     skip?,      why it is not played
//     differs?,   { why, logs: { actor: { stock: [line], ours: [line] } } }: where this package means to differ
//     run(stage)
//   }

const assert = require("node:assert/strict");
const { fork } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { setApart } = require("./differential");
const { LIMIT, within } = require("./waiting");
const { WsStage } = require("./ws-stage");

const FOLDER = path.join(__dirname, "..", "differential", "ws");
const OURS = path.join(__dirname, "..", "..", "ws.js");

/** Without our own, stock is asked twice, which shows whether a scenario always sees the same. */
const PACKAGES = { stock: "ws", ours: fs.existsSync(OURS) ? OURS : "ws" };

/**
 * What there is to be tested. The tests themselves are made by whoever asks, so that each belongs to the file that is run.
 *
 * @returns {Iterable<[name: string, options: object, body: () => Promise<void>]>} arguments of `test()`
 */
function* comparisons() {
  for (const subject of fs.readdirSync(FOLDER).sort()) {
    for (const scenario of require(path.join(FOLDER, subject))) {
      const name = `${path.basename(subject, ".js")}: ${scenario.name}`;
      yield [name, { skip: scenario.skip }, () => compare(scenario, subject)];
    }
  }
}

async function compare(scenario, subject) {
  const [expected, actual] = [await ask(scenario, subject, "stock"), await ask(scenario, subject, "ours")];
  assert.ok(Object.values(expected).flat().length > 0, "something is seen");
  if (scenario.differs !== undefined && PACKAGES.ours === OURS) {
    setApart(scenario.differs, expected, actual);
  }
  assert.deepStrictEqual(actual, expected);
}

function ask(scenario, subject, which) {
  return scenario.isolated ? playElsewhere(scenario, subject, which) : play(scenario, which);
}

/** Plays a scenario on one of the packages and returns what was seen. */
async function play(scenario, which) {
  const stage = new WsStage(require(PACKAGES[which]));
  const alive = setInterval(() => {}, 2 ** 31 - 1);
  try {
    await within(Promise.resolve(scenario.run(stage)), "the scenario", 2 * LIMIT);
    return stage.events.close();
  } catch (error) {
    error.message = `on ${which}: ${error.message}\n${JSON.stringify(stage.events.close(), null, 2)}`;
    throw error;
  } finally {
    await stage.end();
    clearInterval(alive);
  }
}

/** The same in a process of its own. */
function playElsewhere(scenario, subject, which) {
  const env = { ...process.env };
  // a child of node:test would report as a test file
  delete env.NODE_TEST_CONTEXT;
  const child = fork(__filename, [subject, scenario.name, which], { env });
  const answer = new Promise((resolve, reject) => {
    child.on("message", ({ log, error }) => (error ? reject(new Error(error)) : resolve(log)));
    child.on("exit", (code) => reject(new Error(`on ${which}: the process ended with ${code}`)));
  });
  return within(answer, "the process", 3 * LIMIT).finally(() => child.kill("SIGKILL"));
}

async function main([subject, name, which]) {
  // the parent ends this when it has the answer
  setInterval(() => {}, 2 ** 31 - 1);
  const scenario = require(path.join(FOLDER, subject)).find((one) => one.name === name);
  const answer = await play(scenario, which).then(
    (log) => ({ log }),
    (error) => ({ error: error.stack }),
  );
  process.send(answer);
}

if (require.main === module) {
  main(process.argv.slice(2));
}

module.exports = { comparisons };
