"use strict";

// Where code in Rust may do what the compiler cannot judge.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const test = require("node:test");

const ROOT = path.join(__dirname, "..");

/** The folders of sources in Rust; fuzz is a crate that may not be there. */
const FOLDERS = ["src", "stress", "fuzz", "bench"].filter((folder) => fs.existsSync(path.join(ROOT, folder)));

const KEYWORD = /\bunsafe\b/;

function sources() {
  return FOLDERS.flatMap((folder) =>
    fs
      .readdirSync(path.join(ROOT, folder), { recursive: true })
      .map((file) => path.join(folder, file))
      .filter((file) => file.endsWith(".rs") && !/[\\/](target|\.cache)[\\/]/.test(file)),
  );
}

/** The lines of a file without its comments and texts; their numbers stay. */
function codeOf(file) {
  const lines = fs.readFileSync(path.join(ROOT, file), "utf8").split("\n");
  return lines.map((line) => line.replace(/"(?:[^"\\]|\\.)*"/g, '""').replace(/\/\/.*/, ""));
}

test("unsafe is in src/os only", () => {
  const all = sources();
  assert.ok(all.length > 50, `${all.length} files`);
  const inOs = path.join("src", "os") + path.sep;
  const elsewhere = all.filter(
    (file) => !file.startsWith(inOs) && codeOf(file).some((line) => KEYWORD.test(line)),
  );
  assert.deepEqual(elsewhere, []);
  assert.ok(all.some((file) => file.startsWith(inOs) && codeOf(file).some((line) => KEYWORD.test(line))));
});

test("each place says why it is right, in front of it", () => {
  for (const file of sources().filter((name) => name.startsWith(path.join("src", "os")))) {
    const text = fs.readFileSync(path.join(ROOT, file), "utf8").split("\n");
    codeOf(file).forEach((line, at) => {
      if (!KEYWORD.test(line)) return;
      let above = at - 1;
      // a statement may begin in the line before
      if (/=$/.test(text[above])) above -= 1;
      while (/^\s*(\/\/|#\[)/.test(text[above]) && !text[above].includes("SAFETY:")) above -= 1;
      assert.match(text[above], /^\s*\/\/ SAFETY: \S/, `${file}:${at + 1}`);
    });
  }
});

test("the rooms that have none cannot get any", () => {
  for (const room of ["protocol", "worker"]) {
    const text = fs.readFileSync(path.join(ROOT, "src", room, "mod.rs"), "utf8");
    assert.match(text, /^#!\[forbid\(unsafe_code\)\]$/m, room);
  }
});
