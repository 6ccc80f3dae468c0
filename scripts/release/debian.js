"use strict";

// Packages of Debian, unpacked into folders: neither is anything installed on the machine, nor are rights of root needed.
// apt gets lists, a cache and a status of its own for that.

const fs = require("node:fs");
const path = require("node:path");
const { Unavailable, fetchWith, findCommand } = require("./cache");

/** Debian's names of architectures, by those of Node. */
const ARCHITECTURES = { x64: "amd64", arm64: "arm64" };
/** The folder of an architecture's libraries, below `/usr/lib`, by Node's name of it. */
const MULTIARCH = { x64: "x86_64-linux-gnu", arm64: "aarch64-linux-gnu" };

/**
 * Unpacks packages, and those that they depend on.
 * @param {string} what - what cannot be had without them, in words
 * @param {string[]} packages
 * @param {string} into
 * @param {object} [options]
 * @param {string} [options.cpu] - Node's name of the architecture that they are for
 * @param {string} [options.suite] - `trixie`: of another Debian than this one
 * @param {boolean} [options.onTop] - leaves out what is installed on this machine
 * @throws {Unavailable} when they cannot be had
 */
function unpackDebian(what, packages, into, { cpu = process.arch, suite, onTop = false } = {}) {
  for (const command of ["apt-get", "dpkg-deb"]) {
    if (!findCommand(command)) {
      throw new Unavailable(
        `${what} cannot be had: it comes from Debian's packages, and there is no \`${command}\``,
      );
    }
  }
  const state = path.join(into, ".apt");
  const archives = path.join(state, "cache", "archives");
  fs.mkdirSync(path.join(state, "lists", "partial"), { recursive: true });
  fs.mkdirSync(path.join(archives, "partial"), { recursive: true });
  fs.writeFileSync(path.join(state, "apt.conf"), configurationOf(what, state, { cpu, suite, onTop }));
  const env = { ...process.env, APT_CONFIG: path.join(state, "apt.conf"), LC_ALL: "C.UTF-8" };
  fetchWith(what, "apt-get", ["-q", "update"], { env });
  const args = ["-q", "-y", "--no-install-recommends", "--download-only", "install"];
  fetchWith(what, "apt-get", [...args, ...packages], { env });
  for (const file of fs.readdirSync(archives).filter((name) => name.endsWith(".deb"))) {
    fetchWith(what, "dpkg-deb", ["-x", path.join(archives, file), into]);
  }
  fs.rmSync(state, { recursive: true });
}

/** What apt is told, beside what the machine's own configuration says. */
function configurationOf(what, state, { cpu, suite, onTop }) {
  const architecture = ARCHITECTURES[cpu];
  const status = path.join(state, "status");
  fs.writeFileSync(status, "");
  const lines = [
    `Dir::State "${state}";`,
    `Dir::State::lists "${path.join(state, "lists")}";`,
    `Dir::State::status "${onTop ? "/var/lib/dpkg/status" : status}";`,
    `Dir::Cache "${path.join(state, "cache")}";`,
    `APT::Architecture "${architecture}";`,
    `APT::Architectures { "${architecture}"; };`,
    'APT::Sandbox::User "";',
    'Debug::NoLocking "true";',
  ];
  if (suite !== undefined) {
    const list = path.join(state, "sources.list");
    fs.writeFileSync(list, `${sourceOf(what, suite)}\n`);
    lines.push(`Dir::Etc::SourceList "${list}";`, 'Dir::Etc::SourceParts "-";');
  }
  return `${lines.join("\n")}\n`;
}

/** Where another suite is: beside the one that this machine's packages come from. */
function sourceOf(what, suite) {
  const format = ["--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Identifier: Packages"];
  const lines = fetchWith(what, "apt-get", ["indextargets", ...format]).split("\n");
  const [uri] = lines.map((line) => line.split(" ")).find(([site]) => /\/debian\/?$/.test(site ?? "")) ?? [];
  if (uri === undefined)
    throw new Unavailable(`${what} cannot be had: this machine's packages are not Debian's`);
  return `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${uri} ${suite} main`;
}

module.exports = { MULTIARCH, unpackDebian };
