"use strict";

const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

/**
 * What a Dockerfile says, an instruction each.
 *
 * @param {string} text
 * @returns {{ name: string, value: string }[]}
 */
function parse(text) {
  return text
    .replace(/^\s*#.*\n/gm, "")
    .replace(/\\\n/g, " ")
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => {
      const [, name, value] = /^(\w+)\s+(.*)$/.exec(line);
      return { name, value };
    });
}

/**
 * Does what a Dockerfile says, without Docker: each stage has a folder for a root, and commands are run in there as those of
 * this machine.
 *
 * @param {string} text
 * @param {string} context - what COPY takes files from
 * @param {string} directory - where the roots go
 * @param {object} env - of the commands
 * @returns {{ root: string, workdir: string, env: object, command: string[], user?: string, ports: number[] }} the last stage
 */
function build(text, context, directory, env) {
  const stages = [];
  const byName = new Map();
  for (const { name, value } of parse(text)) {
    const stage = stages.at(-1);
    switch (name) {
      case "FROM": {
        const [, , alias] = /^(\S+)(?: AS (\S+))?$/.exec(value);
        const root = path.join(directory, `stage-${stages.length}`);
        fs.mkdirSync(root);
        stages.push({ root, workdir: root, env: {}, ports: [] });
        if (alias !== undefined) byName.set(alias, stages.at(-1));
        break;
      }
      case "WORKDIR":
        stage.workdir = path.join(stage.root, value);
        fs.mkdirSync(stage.workdir, { recursive: true });
        break;
      case "COPY": {
        const [, from, rest] = /^(?:--from=(\S+) )?(.*)$/.exec(value);
        const sources = rest.split(/\s+/);
        const target = path.resolve(stage.workdir, sources.pop());
        copy(sources, from === undefined ? context : byName.get(from).root, target, sources.length > 1);
        break;
      }
      case "RUN":
        execFileSync("/bin/sh", ["-ec", value], { cwd: stage.workdir, env: { ...env, ...stage.env } });
        break;
      case "ENV":
        for (const pair of value.split(/\s+/)) {
          const [key, content] = pair.split("=");
          stage.env[key] = content;
        }
        break;
      case "USER":
        stage.user = value;
        break;
      case "EXPOSE":
        stage.ports.push(Number(value));
        break;
      case "CMD":
        stage.command = JSON.parse(value);
        break;
      default:
        throw new Error(`what is ${name}?`);
    }
  }
  return stages.at(-1);
}

function copy(sources, from, target, isIntoFolder) {
  for (const source of sources) {
    const folder = path.join(from, path.dirname(source));
    const pattern = new RegExp(`^${path.basename(source).replaceAll(".", "\\.").replaceAll("*", ".*")}$`);
    const found = fs.readdirSync(folder).filter((name) => pattern.test(name));
    // what has no wildcard has to be there
    if (found.length === 0 && !source.includes("*")) throw new Error(`COPY: there is no ${source}`);
    for (const name of found) {
      fs.cpSync(path.join(folder, name), isIntoFolder ? path.join(target, name) : target, {
        recursive: true,
        verbatimSymlinks: true,
      });
    }
  }
}

module.exports = { build, parse };
