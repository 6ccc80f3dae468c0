"use strict";

// A copy of the project in target/mutants, in which mutants are made and tried. What git does not know is not in it, but
// what was installed and built.

const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");

/** The copy. Only one process may work with it. */
class Copy {
  /** @param {string} root - of the project */
  constructor(root) {
    this.source = root;
    this.root = path.join(root, "target", "mutants", "tree");
    fs.rmSync(this.root, { recursive: true, force: true });
    const files = execFileSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8" })
      .split("\0")
      .filter((file) => file !== "" && fs.existsSync(path.join(root, file)));
    for (const file of files) {
      const place = path.join(this.root, file);
      fs.mkdirSync(path.dirname(place), { recursive: true });
      // with their times, so that cargo takes up what it has built of the copy before
      fs.cpSync(path.join(root, file), place, { preserveTimestamps: true });
    }
    fs.symlinkSync(path.join(root, "node_modules"), path.join(this.root, "node_modules"));
    fs.cpSync(path.join(root, "client-dist"), path.join(this.root, "client-dist"), { recursive: true });
    this.addon = fs.readdirSync(root).find((file) => file.endsWith(".node"));
    this.restoreAddon();
  }

  /** Puts the addon there that is the project's. */
  restoreAddon() {
    this.replaceAddon(path.join(this.source, this.addon));
  }

  /**
   * Puts an addon there.
   * @param {string} library - the file that cargo has made
   */
  replaceAddon(library) {
    // never written over: a process of a trial that was stopped may still have the old one in its memory
    fs.rmSync(path.join(this.root, this.addon), { force: true });
    fs.copyFileSync(library, path.join(this.root, this.addon));
  }

  read(file) {
    return fs.readFileSync(path.join(this.root, file), "utf8");
  }

  /**
   * Has a mutant be there while something runs.
   * @param {import("./javascript").Mutant} mutant
   * @param {function(): Promise<T>} body
   * @returns {Promise<T>}
   * @template T
   */
  async with({ file, apply }, body) {
    const original = this.read(file);
    const mutated = apply(original);
    if (mutated === original) throw new Error("the mutant is the original");
    const place = path.join(this.root, file);
    fs.writeFileSync(place, mutated);
    try {
      return await body();
    } finally {
      fs.writeFileSync(place, original);
    }
  }
}

module.exports = { Copy };
