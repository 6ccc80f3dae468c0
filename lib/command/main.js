"use strict";

/**
 * The command `sockeye.io`. Nothing that needs the addon is loaded here: where that cannot be loaded, the command is wanted
 * most.
 */

const { parseArgs } = require("util");
const { version } = require("../../package.json");
const { compare } = require("./compare");
const { doctor } = require("./doctor");

/** What a shell is told: all is well, something is wrong, the command was called in a wrong way. */
const EXIT = { well: 0, wrong: 1, usage: 2 };

const USAGE = `usage: sockeye.io <command> [options]

  doctor [file] [-- argument ...]
             tells whether the native engine can be loaded here, and what keeps connections from their shortest way;
             given the application's main file, runs that for a moment, connects to it, and tells the same of it
    --seconds N      how long the application may take until it listens (10)
    --no-connect     do not connect to it

  compare    measures this package and stock socket.io, if that is installed, by turns, for about half a minute
    --rounds N       how often each is measured (3)
    --seconds N      how long echoes, and broadcasts, are measured in a round (1.5)
    --clients N      how many clients there are (500)

  --json     prints JSON
  --help     prints this
  --version  prints the version of this package

exit code: 0 all is well, 1 something is wrong, 2 the arguments are`;

const COMMON = { json: { type: "boolean" }, help: { type: "boolean", short: "h" } };

const COMMANDS = {
  doctor: {
    run: doctor,
    takesFile: true,
    options: { seconds: { type: "string" }, "no-connect": { type: "boolean" } },
    numbers: { seconds: 10 },
  },
  compare: {
    run: compare,
    takesFile: false,
    options: { rounds: { type: "string" }, seconds: { type: "string" }, clients: { type: "string" } },
    numbers: { rounds: 3, seconds: 1.5, clients: 500 },
  },
};

/** Of these, there cannot be a part. */
const WHOLE = ["rounds", "clients"];

/**
 * Runs the command.
 * @param {string[]} args
 * @returns {Promise<number>} the exit code
 */
async function main(args) {
  let task;
  try {
    task = read(args);
  } catch (error) {
    console.error(`sockeye.io: ${error.message}\nTry sockeye.io --help.`);
    return EXIT.usage;
  }
  return (await task()) ? EXIT.well : EXIT.wrong;
}

/**
 * What the arguments ask for.
 * @returns {function(): boolean|Promise<boolean>} does it, and tells whether all is well
 * @throws {Error} when they make no sense
 */
function read(args) {
  const [name, ...rest] = args;
  if (name === "--version" || name === "-v") return () => print(version);
  if (name === "--help" || name === "-h" || name === "help") return () => print(USAGE);
  if (name === undefined) throw new Error("a command is missing: doctor or compare");
  if (!Object.hasOwn(COMMANDS, name)) throw new Error(`there is no command ${name}, only doctor and compare`);
  const { run, takesFile, options, numbers } = COMMANDS[name];
  const { values, positionals } = parseArgs({
    args: rest,
    options: { ...COMMON, ...options },
    allowPositionals: takesFile,
  });
  if (values.help) return () => print(USAGE);
  for (const [option, usual] of Object.entries(numbers)) {
    values[option] = readNumber(option, values[option] ?? usual);
  }
  return () => run(values, positionals);
}

function readNumber(name, text) {
  const value = Number(text);
  const isWhole = WHOLE.includes(name);
  if (value > 0 && value <= 1e6 && !(isWhole && !Number.isInteger(value))) return value;
  throw new Error(`--${name} has to be a positive ${isWhole ? "whole " : ""}number, not ${text}`);
}

function print(text) {
  console.log(text);
  return true;
}

module.exports = { main };
