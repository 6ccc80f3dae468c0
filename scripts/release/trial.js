"use strict";

// Installs a release from a registry on loopback, as people would, and sees whether it runs, or says why it does not.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { NEST } = require("../../__test__/fixtures/alias-app/frameworks");
const { root } = require("../support");
const { Unavailable } = require("./cache");
const { FOREIGN, smokeForeign, smokeRuntimes } = require("./foreign");
const { layMain, pack } = require("./layout");
const { MANAGERS } = require("./managers");
const { Project } = require("./project");
const { publish } = require("./publish");
const { startRegistry } = require("./registry");
const { hostTarget, packageOf } = require("./targets");

/** Within this the package is to be installed, in seconds, whatever it is that has to be fetched beside it. */
const PATIENCE = 30;

/** An application whose framework loads socket.io itself. */
const NEST_APP = path.join(root, "__test__", "fixtures", "alias-app", "nest.js");

class Trial {
  /**
   * @param {import("./report").Report} report
   * @param {object} release
   * @param {string} release.version
   * @param {import("./assemble").Package[]} release.packages
   * @param {string} scratch - a folder for registry and projects
   * @param {object} [how]
   * @param {boolean} [how.isWarm] - whether what npm's cache has need not be fetched again
   */
  constructor(report, { version, packages }, scratch, { isWarm = false } = {}) {
    Object.assign(this, { report, version, packages, scratch, isWarm, host: hostTarget() });
  }

  /** @returns {Promise<void>} when all has been tried */
  async run() {
    const { report } = this;
    await this.open();
    try {
      for (const manager of Object.values(MANAGERS)) {
        await report.step(`installs with ${manager.name}`, () => this.tryManager(manager));
        await report.step(`in the place of socket.io, below NestJS, with ${manager.name}`, () =>
          this.tryAlias(manager),
        );
      }
      await this.tryFailures();
      await this.tryElsewhere();
    } finally {
      await this.close();
    }
  }

  /** Starts the registry and publishes the release to it, twice: the second time there is nothing left to do. */
  async open() {
    this.registry = await startRegistry(path.join(this.scratch, "registry"));
    const to = { cwd: this.scratch, args: this.registry.args };
    await this.report.step("is published, what others need first", async () => {
      const published = await publish(this.packages, this.version, to);
      assert.deepEqual(
        published,
        this.packages.map(({ name }) => name),
      );
      assert.deepEqual(await publish(this.packages, this.version, to), []);
    });
  }

  async close() {
    await this.registry.close();
  }

  /** An application of stock's runs after one import was changed. */
  async tryManager(manager = MANAGERS.npm) {
    const project = this.project(manager.name, manager);
    const startedAt = performance.now();
    await project.install(this.dependencies());
    const seconds = (performance.now() - startedAt) / 1000;
    await project.tryApp("sockeye.io");
    assert.ok(seconds < PATIENCE, `it took ${seconds.toFixed(1)} s to install`);
    return `installed within ${seconds.toFixed(1)} s`;
  }

  /** There is one copy, also below a framework that asks for an exact version of stock. */
  async tryAlias(manager) {
    const project = this.project(`${manager.name}-alias`, manager);
    const alias = `npm:sockeye.io@${this.version}`;
    const dependencies = { ...NEST, ...this.dependencies(), "socket.io": alias };
    delete dependencies["sockeye.io"];
    await project.install(dependencies, { replaced: { "socket.io": alias } });
    fs.copyFileSync(NEST_APP, path.join(project.folder, "nest.js"));
    const { isOurs, doubled } = JSON.parse(await project.run("nest.js"));
    assert.deepEqual({ isOurs, doubled }, { isOurs: true, doubled: 42 });
  }

  /** Where the package cannot work, one sentence says so. */
  async tryFailures() {
    const { report, version } = this;
    const { name, os, cpu } = this.host;
    await report.step("without optional dependencies, it says so", () =>
      this.tryFailure("omit", ["--omit=optional"], /optional dependencies were left out \(--omit=optional/),
    );
    const other = this.packages.find(({ target }) => target !== undefined && target.name !== name)?.target;
    await report.step("installed for another system, it says so", () => {
      if (other === undefined) throw new Unavailable("there is an addon for this system only");
      const args = [`--os=${other.os}`, `--cpu=${other.cpu}`, `--libc=${other.libc ?? ""}`];
      const isTried = other.os === os && other.cpu === cpu;
      return this.tryFailure(
        "foreign",
        args,
        isTried
          ? /it was built for another system/
          : new RegExp(`there is ${packageOf(other)} for another system`),
      );
    });
    await report.step("with an addon of another version, it says so", async () => {
      const newer = version.replace(/\d+$/, (last) => Number(last) + 1);
      await this.publishMain(newer);
      const project = this.project("version");
      const replaced = { [packageOf(this.host)]: version };
      await project.install({ "sockeye.io": newer }, { replaced });
      assert.match(
        await failureOf(project),
        new RegExp(`it is of version ${version}, while sockeye.io is ${newer}\\.`),
      );
    });
  }

  async tryFailure(name, args, expected) {
    const project = this.project(name);
    await project.install({ "sockeye.io": this.version }, { args });
    const message = await failureOf(project);
    assert.match(message, expected);
    return message;
  }

  /** Publishes the main package once more, under another version. */
  async publishMain(version) {
    const folder = path.join(this.scratch, version);
    layMain(folder, [this.host]);
    const file = path.join(folder, "package.json");
    const manifest = { ...JSON.parse(fs.readFileSync(file, "utf8")), version };
    fs.writeFileSync(file, JSON.stringify(manifest));
    const { file: tarball } = pack(folder, this.scratch);
    const to = { cwd: this.scratch, args: [...this.registry.args, "--tag=next"] };
    await publish([{ name: "sockeye.io", tarball }], version, to);
  }

  /** On other runtimes, and on other systems as far as this one can be made to look like them. */
  async tryElsewhere() {
    const project = this.project("runtimes");
    await this.report.step("is there for other runtimes", () => project.install(this.dependencies()));
    for (const result of smokeRuntimes(project.folder)) await this.take(result);
    for (const name of FOREIGN) {
      const entry = this.packages.find(({ target }) => target?.name === name);
      if (entry === undefined) continue;
      const { os, cpu, libc } = entry.target;
      const elsewhere = this.project(name);
      await this.report.step(`is there for ${name}`, () =>
        elsewhere.install(this.dependencies(), { args: [`--os=${os}`, `--cpu=${cpu}`, `--libc=${libc}`] }),
      );
      await this.take(smokeForeign(name, elsewhere.folder));
    }
  }

  /** @param {import("./foreign").Result} result */
  take({ name, skipped, passed, seconds, output }) {
    return this.report.step(`serves with ${name}`, () => {
      if (skipped !== undefined) throw new Unavailable(skipped);
      assert.ok(passed, output);
      return `within ${seconds.toFixed(1)} s`;
    });
  }

  project(name, manager) {
    const folder = path.join(this.scratch, name.replace(/\W+/g, "-"));
    return new Project(folder, { registry: this.registry.url, manager, isWarm: this.isWarm });
  }

  /** What the application that is tried imports. */
  dependencies() {
    const { devDependencies } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));
    const { express, "socket.io-client": client } = devDependencies;
    return { "sockeye.io": this.version, express, "socket.io-client": client };
  }
}

/** What is said when the package is loaded where it cannot be; asserts that nothing more is. */
async function failureOf(project) {
  const code = `try { require("sockeye.io"); } catch ({ code, message }) { console.log(code, message); }`;
  const output = await project.run("-e", code);
  assert.match(output, /^ERR_SOCKEYE_ADDON sockeye\.io cannot load its native addon .+\.$/);
  return output.slice(output.indexOf(" ") + 1);
}

module.exports = { Trial };
