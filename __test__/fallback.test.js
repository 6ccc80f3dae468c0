"use strict";

// SOCKEYE_NATIVE=0: the application, as it is, on stock's engine.

const assert = require("node:assert/strict");
const path = require("node:path");
const test = require("node:test");
const { APP, copyApp, runApp } = require("./support/pack-app");
const { Project } = require("./support/project");
const { resolveStock } = require("./support/stock");

const STOCK_MANIFEST = resolveStock("socket.io/package.json");

/** Whose what is exported is, and what of ours has been loaded. */
const REPORT = `
  const { createRequire } = require("module");
  const stock = createRequire(${JSON.stringify(STOCK_MANIFEST)});
  const { Server, Namespace, Socket } = all;
  const theirs = stock("./dist/index.js");
  process.stdout.write(JSON.stringify({
    isStock: Server === theirs.Server && Namespace === theirs.Namespace && Socket === theirs.Socket,
    addons: process.report.getReport().sharedObjects.filter((file) => /sockeye[^/]*[.]node$/.test(file)).length,
    native: Object.keys(require.cache).filter((file) => /lib.(native|engine|api|adapter)./.test(file)
      && !file.startsWith(stock.resolve("engine.io").split("engine.io")[0])).length,
  }));
`;

const USES_STOCK = { isStock: true, addons: 0, native: 0 };

/** A project in which both are installed. */
function projectWithBoth(t) {
  const project = new Project(t);
  project.installOurs();
  project.install("socket.io");
  return project;
}

/** Runs `code`, which sees what is exported as `all`, and `REPORT`, if it is not JSON that it prints itself. */
async function evaluate(project, env, name = "sockeye.io", code = REPORT) {
  const { stdout, stderr } = await project.node(["-e", `const all = require("${name}");${code}`], env);
  return { ...JSON.parse(stdout), stderr };
}

/** The error that keeps the package from being loaded. */
async function failure(project, env, name = "sockeye.io") {
  const code = `try { require("${name}"); } catch ({ code, message }) {
    console.log(JSON.stringify({ code, message })); }`;
  return JSON.parse((await project.node(["-e", code], env)).stdout);
}

test("an application answers the same, on stock's engine", async (t) => {
  const project = projectWithBoth(t);
  for (const name of ["express", "socket.io-client"]) project.install(name);
  copyApp(project.root, "sockeye.io");
  const env = { ...process.env, SOCKEYE_NATIVE: undefined };
  const [expected, actual] = await Promise.all([
    runApp(APP, env),
    // the addon could not be loaded if somebody tried
    runApp(project.root, { ...env, SOCKEYE_NATIVE: "0", SOCKEYE_BINDING: "/no/such/file.node" }),
  ]);
  assert.deepEqual(actual, expected);
});

test("the classes are stock's, and nothing native is loaded", async (t) => {
  const project = projectWithBoth(t);
  const { stderr, ...report } = await evaluate(project, { SOCKEYE_NATIVE: "0" });
  assert.deepEqual(report, USES_STOCK);
  assert.match(stderr, /\[SOCKEYE_STOCK\] SockeyeWarning: SOCKEYE_NATIVE=0: .* socket\.io 4\.8\.\d+ in /);
  const native = await evaluate(project, {});
  assert.equal(native.stderr, "");
  assert.deepEqual([native.isStock, native.addons], [false, 1]);
});

test("so they are for ES modules, for the files of dist, and for the engine by itself", async (t) => {
  const project = projectWithBoth(t);
  const code = `
    import * as all from "sockeye.io";
    import * as engine from "sockeye.io/engine.io";
    import { createRequire } from "node:module";
    const stock = createRequire(${JSON.stringify(STOCK_MANIFEST)});
    const ours = createRequire(${JSON.stringify(project.path("node_modules", "sockeye.io", "package.json"))});
    const same = (a, b) => Object.keys(b).every((name) => a[name] === b[name]) && Object.keys(b).length;
    const files = ["broadcast-operator", "client", "namespace", "parent-namespace", "socket", "socket-types", "typed-events"];
    console.log(JSON.stringify([
      same(all, stock("./dist/index.js")),
      same(engine, stock("engine.io")),
      ...files.map((file) => ours("./dist/" + file) === stock("./dist/" + file)),
      new all.Server() instanceof ours("./index.js").Server,
    ]));`;
  const { stdout } = await project.node(["--input-type=module", "-e", code], { SOCKEYE_NATIVE: "0" });
  assert.deepEqual(JSON.parse(stdout), [3, 9, ...Array(7).fill(true), true]);
});

test("what the variable may be", async (t) => {
  const project = projectWithBoth(t);
  const file = project.path("node_modules", "sockeye.io", "lib", "fallback", "stock.js");
  const values = ["0", "false", " OFF", "no", undefined, "", "1", "True", "on", "yes"];
  const code = `
    const ask = (value) => {
      if (value === null) delete process.env.SOCKEYE_NATIVE;
      else process.env.SOCKEYE_NATIVE = value;
      delete require.cache[${JSON.stringify(file)}];
      return require(${JSON.stringify(file)}).isStockWanted();
    };
    console.log(JSON.stringify(${JSON.stringify(values)}.map(ask)));`;
  const { stdout } = await project.node(["-e", code]);
  assert.deepEqual(JSON.parse(stdout), [...Array(4).fill(true), ...Array(6).fill(false)]);
  assert.deepEqual(await failure(project, { SOCKEYE_NATIVE: "2" }), {
    code: "ERR_SOCKEYE_STOCK",
    message: 'SOCKEYE_NATIVE is "2", which is neither 0 (stock\'s engine) nor 1 (the native one).',
  });
});

test("stock is not installed", async (t) => {
  const project = new Project(t);
  project.installOurs();
  assert.deepEqual(await failure(project, { SOCKEYE_NATIVE: "off" }), {
    code: "ERR_SOCKEYE_STOCK",
    message:
      "SOCKEYE_NATIVE=off asks for stock's engine, which takes socket.io 4.8 or a later 4.x, but that is not " +
      "installed: run npm install socket.io@4.",
  });
});

test("stock of other versions is refused", async (t) => {
  const project = new Project(t);
  project.installOurs({ hasAddon: false });
  const refusals = ["2.5.1", "4.7.5", "5.0.0"].map(async (version) => {
    const into = version;
    const root = project.path(into, "node_modules", "socket.io");
    project.write(path.join(root, "package.json"), { name: "socket.io", version });
    const main = project.write(path.join(into, "main.js"), 'require("sockeye.io")');
    await assert.rejects(project.node([main], { SOCKEYE_NATIVE: "0" }), ({ message }) => {
      assert.match(message, /ERR_SOCKEYE_STOCK/);
      assert.ok(message.includes(`but that is ${version} in ${root}: run npm install socket.io@4.`), message);
      return true;
    });
  });
  await Promise.all(refusals);
});

test("where this package goes by the name of stock, stock is looked for under another", async (t) => {
  const project = new Project(t);
  project.installOurs({ name: "socket.io" });
  const { code, message } = await failure(project, { SOCKEYE_NATIVE: "0" }, "socket.io");
  assert.equal(code, "ERR_SOCKEYE_STOCK");
  assert.match(
    message,
    /is not installed: run npm install socket\.io-stock@npm:socket\.io@4, since socket\.io is a name of sockeye\.io here\.$/,
  );
  project.install("socket.io", { as: "socket.io-stock" });
  const { stderr, ...report } = await evaluate(project, { SOCKEYE_NATIVE: "0" }, "socket.io");
  assert.deepEqual(report, USES_STOCK);
  assert.match(stderr, /SOCKEYE_STOCK/);
});

for (const [kind, file] of [
  ["CommonJS", "main.js"],
  ["an ES module", "main.mjs"],
]) {
  test(`stock that only the application can find, which is ${kind}`, async (t) => {
    const project = new Project(t);
    // as pnpm and links do it: where this package is, nothing leads to what the application has
    const ours = project.installOurs({ into: "store" });
    project.install("socket.io", { into: "app", as: "socket.io-stock" });
    const load =
      kind === "CommonJS"
        ? `const { createRequire } = require("node:module");
           const { Server } = require(${JSON.stringify(ours)});`
        : `import { createRequire } from "node:module";
           const { Server } = createRequire(import.meta.url)(${JSON.stringify(ours)});`;
    const code = `${load}
      console.log(Server === createRequire(${JSON.stringify(STOCK_MANIFEST)})("./dist/index.js").Server);`;
    const main = project.write(path.join("app", file), code);
    const { stdout } = await project.node([main], { SOCKEYE_NATIVE: "0" });
    assert.equal(stdout, "true\n");
  });
}
