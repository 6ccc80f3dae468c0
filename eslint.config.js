"use strict";

const js = require("@eslint/js");
const globals = require("globals");

module.exports = [
  {
    ignores: [
      "target/",
      ".runtimes/",
      ".toolchains/",
      "release/",
      "addons/",
      "client-dist/",
      "stress/*/.cache/",
      "fuzz/target/",
    ],
  },
  js.configs.recommended,
  {
    languageOptions: { ecmaVersion: 2023, globals: globals.node },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "no-unused-vars": ["error", { argsIgnorePattern: "^_", caughtErrorsIgnorePattern: "^_" }],
      "no-var": "error",
      "prefer-const": "error",
      eqeqeq: ["error", "always", { null: "ignore" }],
      "object-shorthand": "error",
      "no-else-return": "error",
      "no-throw-literal": "error",
    },
  },
  { files: ["**/*.js"], languageOptions: { sourceType: "commonjs" }, rules: { strict: ["error", "global"] } },
  {
    files: ["examples/*/public/**/*.js"],
    languageOptions: { sourceType: "script", globals: { ...globals.browser, io: "readonly" } },
  },
  {
    files: ["examples/*/public/**/*.mjs"],
    languageOptions: { globals: { ...globals.browser, io: "readonly" } },
  },
];
