"use strict";

// The command `sockeye.io`, as it is called in the folder of an application.

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once } = require("node:events");
const fs = require("node:fs");
const path = require("node:path");
const test = require("node:test");
const { WebSocketServer } = require("ws");
const { Child } = require("../lib/command/children");
const { main } = require("../lib/command/main");
const { selfSigned } = require("./support/certificate");
const { Project } = require("./support/project");
const { eventually, within } = require("./support/waiting");

const { version, bin, devDependencies, engines } = require("../package.json");

const isWindows = process.platform === "win32";

/** Runs the command of a project. */
async function run(project, args, { env, shell, name = "sockeye.io" } = {}) {
  const file = project.path("node_modules", name, bin["sockeye.io"]);
  const { code = 0, stdout, stderr } = await project.attempt([file, ...args], env, shell);
  return { code, stdout, stderr };
}

/** What `doctor --json` says; `told`: its findings on a topic, as lines. */
async function doctor(project, args = [], how = {}) {
  const { code, stdout, stderr } = await run(project, ["doctor", "--json", ...args], how);
  assert.equal(stderr, "");
  const report = JSON.parse(stdout);
  assert.equal(code, report.healthy ? 0 : 1);
  for (const { level, text, remedy } of report.findings) {
    assert.ok(["ok", "note", "wrong"].includes(level));
    assert.doesNotMatch(`${text}${remedy}`, /\n|undefined|\[object/);
    assert.equal(typeof remedy, level === "ok" ? "object" : "string", text);
    assert.notEqual(remedy, "", text);
  }
  const told = (topic) =>
    report.findings.filter((it) => it.topic === topic).map(({ level, text }) => `${level}: ${text}`);
  return { ...report, told };
}

/** Asserts that a line is among those of a topic. */
function assertTold(report, topic, pattern) {
  const lines = report.told(topic);
  assert.ok(
    lines.some((line) => pattern.test(line)),
    `${pattern} among\n${lines.join("\n")}`,
  );
}

/** In which both packages are installed; tests add what they need under other names. */
const both = new Project(test);
both.installOurs();
both.install("socket.io");

/** What the command prints that stays in this process. */
async function call(t, args) {
  const said = { stdout: "", stderr: "" };
  t.mock.method(console, "log", (text) => (said.stdout += `${text}\n`));
  t.mock.method(console, "error", (text) => (said.stderr += `${text}\n`));
  return { code: await main(args), ...said };
}

test("how it is called", async () => {
  const told = await run(both, ["--version"]);
  assert.deepEqual(told, { code: 0, stdout: `${version}\n`, stderr: "" });
  assert.equal((await run(both, ["doctr"])).code, 2);
});

for (const args of [["--help"], ["-h"], ["help"], ["doctor", "--help"], ["compare", "-h"]]) {
  test(`its help: ${args.join(" ")}`, async (t) => {
    const { code, stdout, stderr } = await call(t, args);
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /^usage: sockeye\.io <command>/);
  });
}

for (const [args, complaint] of [
  [[], /a command is missing/],
  [["doctr"], /there is no command doctr/],
  [["constructor"], /there is no command constructor/],
  [["doctor", "--what"], /'--what'/],
  [["compare", "file.js"], /'file\.js'/],
  [["compare", "--rounds", "1.5"], /--rounds has to be a positive whole number, not 1\.5/],
  [["compare", "--clients", "0"], /--clients has to be a positive whole number, not 0/],
  [["doctor", "--seconds", "soon"], /--seconds has to be a positive number, not soon/],
]) {
  test(`what it does not understand: ${args.join(" ")}`, async (t) => {
    const { code, stdout, stderr } = await call(t, args);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr, /^sockeye\.io: [^\n]+\nTry sockeye\.io --help\.\n$/);
    assert.match(stderr, complaint);
  });
}

test("doctor, where all is well", async () => {
  const report = await doctor(both);
  assert.deepEqual(
    Object.keys(report).filter((key) => key !== "told"),
    [
      "command",
      "version",
      "system",
      "native",
      "addon",
      "roads",
      "limits",
      "packages",
      "application",
      "findings",
      "healthy",
    ],
  );
  assert.equal(report.healthy, true);
  assert.equal(report.system.platform, process.platform);
  assert.equal(report.addon.version, version);
  assert.match(report.addon.file, /sockeye\..*\.node$/);
  assert.deepEqual(Object.keys(report.roads), ["descriptors", "remaking", "entrance", "showing", "keeping"]);
  assert.deepEqual(
    report.packages.sockeye.map((it) => it.path),
    [both.path("node_modules", "sockeye.io")],
  );
  assert.deepEqual([report.packages.stock.length, report.packages.stockUsers.length], [1, 0]);
  assert.equal(report.native.stock.version, report.packages.stock[0].version);
  assert.equal(report.application, null);
});

test("doctor, for people", async () => {
  const { code, stdout } = await run(both, ["doctor"]);
  assert.equal(code, 0);
  // in the order of the topics, without colours where there is no terminal
  assert.match(stdout, /^ok {5}system {7}sockeye\.io [\d.]+ in .*\nok {5}addon {8}[\d.]+ is loaded/);
  assert.ok(!stdout.includes("\x1b"));
});

test("doctor, where the addon cannot be loaded", async () => {
  const report = await doctor(both, [], { env: { SOCKEYE_BINDING: "/no/such/file.node" } });
  assert.equal(report.healthy, false);
  assert.equal(report.addon.error.code, "ERR_SOCKEYE_ADDON");
  const finding = report.findings.find(({ level }) => level === "wrong");
  assert.match(finding.text, /^sockeye\.io cannot load its native addon .*: there is no such file\.$/);
  assert.match(finding.remedy, /^Correct SOCKEYE_BINDING, or unset it/);
  // which need no addon
  assert.notEqual(report.roads, null);
});

test("doctor, where loading the addon ends the process", { skip: isWindows }, async () => {
  const env = { SOCKEYE_BINDING: both.write("kill.js", "process.kill(process.pid, 'SIGKILL'); for (;;);") };
  const report = await doctor(both, [], { env });
  assertTold(report, "addon", /^wrong: loading the native addon ends the process \(signal SIGKILL\)$/);
});

test("doctor, where stock's engine is asked for", async () => {
  const report = await doctor(both, ["none.js"], { env: { SOCKEYE_NATIVE: "0" } });
  assert.equal(report.healthy, true);
  assert.equal(report.native.wanted, false);
  assertTold(report, "system", /^note: SOCKEYE_NATIVE=0: applications run on stock's engine, socket\.io 4/);
  assertTold(report, "application", /^note: it was not run/);
  const mistyped = await doctor(both, [], { env: { SOCKEYE_NATIVE: "O" } });
  assert.equal(mistyped.healthy, false);
  assertTold(mistyped, "system", /^wrong: SOCKEYE_NATIVE is "O"/);
});

test("doctor, where few files may be open", { skip: isWindows }, async () => {
  const report = await doctor(both, [], { shell: "ulimit -n 300" });
  assert.deepEqual(report.limits, { openFiles: { soft: 300, hard: 300 }, clients: 250 });
  assertTold(report, "limits", /^note: 300 open files: at most about 250 clients/);
});

test("doctor, on packages that do not go together", async (t) => {
  const project = new Project(t);
  project.installOurs({ hasAddon: false });
  const dependencies = { "socket.io": "4.8.4", "sockeye.io": "*" };
  const stock = { name: "socket.io", version: "4.8.1" };
  project.fake("socket.io", stock);
  project.fake("framework", { name: "framework", dependencies });
  project.fake("framework/node_modules/sockeye.io", { name: "sockeye.io", version: "4.8.99" });
  project.fake("@some/plugin", { name: "@some/plugin", peerDependencies: { "socket.io": "4" } });
  project.fake(".pnpm/x@1/node_modules/x", { name: "x", dependencies });
  project.fake(".pnpm/x@1/node_modules/socket.io", { ...stock, version: "4.8.2" });
  project.fake("@socket.io/redis-adapter", { name: "@socket.io/redis-adapter", version: "7.2.0" });
  const report = await doctor(project);
  assert.equal(report.healthy, false);
  const at = (...parts) => project.path("node_modules", ...parts);
  const text = report.told("packages").join("\n");
  for (const line of [
    `wrong: there are 2 copies of sockeye.io: ${version} in ${at("sockeye.io")}, 4.8.99 in ${at("framework/node_modules/sockeye.io")}`,
    `wrong: framework 1.0.0 gets stock socket.io 4.8.1 in ${at("socket.io")}`,
    `wrong: x 1.0.0 gets stock socket.io 4.8.2 in ${at(".pnpm/x@1/node_modules/socket.io")}`,
    `note: @some/plugin 1.0.0 gets stock socket.io 4.8.1 in ${at("socket.io")} as a peer, should it load that`,
    `note: @socket.io/redis-adapter 7.2.0 in ${at("@socket.io/redis-adapter")} has not been tried with this version`,
  ]) {
    assert.ok(
      text.split("\n").some((it) => it.startsWith(line)),
      `${line}\namong\n${text}`,
    );
  }
  assert.equal(report.packages.stockUsers.length, 3);
});

test("doctor, on adapters next to the versions that have been tried", async (t) => {
  const name = "@socket.io/redis-adapter";
  const [first, second, third] = devDependencies[name].match(/\d+/g).map(Number);
  assert.ok(first > 0 && second > 0, "there are older ones with the same first digit");
  for (const [installed, level] of [
    [`${first}.${second}.${third}`, "ok"],
    [`${first}.${second}.${third + 1}`, "ok"],
    [`${first}.${second + 1}.0`, "ok"],
    [`${first}.${second - 1}.${third + 1}`, "note"],
    [`${first + 1}.${second}.${third}`, "note"],
  ]) {
    const project = new Project(t);
    project.installOurs({ hasAddon: false });
    project.fake(name, { name, version: installed });
    const lines = (await doctor(project)).told("packages").filter((line) => line.includes(name));
    assert.equal(lines.length, 1);
    assert.ok(lines[0].startsWith(`${level}: ${name} ${installed} in `), lines[0]);
  }
});

test("doctor, where this package goes by the name of stock", async (t) => {
  const project = new Project(t);
  project.installOurs({ name: "socket.io" });
  project.fake("framework", { name: "framework", dependencies: { "socket.io": "4.8.4" } });
  // which gets this package, whatever others have
  project.fake("other", { name: "other" });
  project.fake("other/node_modules/socket.io", { name: "socket.io", version: "4.8.1" });
  project.write("app.js", 'const { Server } = require("socket.io"); new Server(0);');
  const report = await doctor(project, ["app.js"], { name: "socket.io" });
  assert.deepEqual(
    // not every Node has all roads
    report.findings.filter(({ level, topic }) => level !== "ok" && topic !== "roads"),
    [],
  );
  assertTold(report, "packages", /^ok: sockeye\.io [\d.]+ as socket\.io in /);
  assert.deepEqual([report.packages.stock.length, report.packages.stockUsers.length], [1, 0]);
  assert.equal(report.application.loaded[0].path, project.path("node_modules", "socket.io"));
});

/** An application with much of what turns short cuts off. */
const SLOW_APP = `
  const { createServer } = require("http");
  const { Adapter } = require("socket.io-adapter");
  const { Server } = require("sockeye.io");
  class Own extends Adapter { apply(opts, callback) { return super.apply(opts, callback); } }
  const httpServer = createServer();
  const io = new Server(httpServer, { path: "/ws", adapter: Own });
  httpServer.on("request", () => {});
  io.on("connection", (socket) => {
    socket.use((event, next) => next());
    socket.conn.on("packetCreate", () => {});
  });
  io.of("/closed").use((socket, next) => next(new Error("not, here")));
  setTimeout(() => httpServer.listen(0), 50);
`;

test("doctor, on an application that gives short cuts away", { skip: isWindows }, async () => {
  both.write("slow.js", SLOW_APP);
  const report = await doctor(both, ["slow.js"]);
  assert.equal(report.healthy, true);
  const [engine] = report.application.engines;
  assert.deepEqual([engine.path, engine.isSecure, engine.client.stream], ["/ws/", false, "TakenSocket"]);
  for (const pattern of [
    /^ok: \/ws\/: a client has connected to port \d+; its bytes go straight to a native thread$/,
    /^ok: \/ws\/: what has happened to the client: opened websocket; joined \/; refused \/closed: not, here$/,
    /^note: \/ws\/: clients that poll come to Node's HTTP server: /,
    /^note: \/ws\/: every message sent is listened for/,
    /^note: \/ws\/: broadcasts in namespace \/ go socket by socket: Own: it has an apply\(\) of its own$/,
    /^note: \/ws\/: short cuts in namespace \/ are off: socket\.use\(\)$/,
    /^note: \/ws\/: the client did not get into namespace \/closed: refused: not, here$/,
  ]) {
    assertTold(report, "application", pattern);
  }
});

test("doctor, on an application to which it sends no client", { skip: isWindows }, async () => {
  both.write(
    "unsent.js",
    `const { createServer } = require("http");
     const { Server } = require("sockeye.io");
     const httpServer = createServer();
     new Server(httpServer);
     httpServer.listen(process.argv[2] ?? 0);`,
  );
  const port = await doctor(both, ["unsent.js", "--no-connect"]);
  assertTold(port, "application", /its HTTP server listens on port \d+, where no client was sent$/);
  const socket = both.path("unsent.sock");
  const unix = await doctor(both, ["unsent.js", "--", socket]);
  assert.equal(unix.application.engines[0].address, socket);
  assertTold(unix, "application", /its HTTP server listens on .*unsent\.sock, where no client was sent$/);
});

test("doctor, on an application that lets nobody in", { skip: isWindows }, async () => {
  both.write(
    "closed.js",
    `const { Server } = require("sockeye.io");
     new Server(0, { allowRequest: (request, decide) => decide("closed", false) });`,
  );
  const report = await doctor(both, ["closed.js"]);
  assertTold(report, "application", /^note: \/socket\.io\/: a client could not connect to port \d+: closed$/);
  assert.deepEqual(report.application.engines[0].client.steps, []);
});

test("doctor, on an application that ends its client's session", { skip: isWindows }, async () => {
  both.write(
    "ends.js",
    `const { Server } = require("sockeye.io");
     const io = new Server(0);
     io.of("/a").on("connection", (socket) => socket.disconnect(true));`,
  );
  const report = await doctor(both, ["ends.js"]);
  assertTold(
    report,
    "application",
    /^note: .*: the client's session was ended: opened websocket; joined \/.*left \/a: server namespace disconnect.*; closed: /,
  );
});

test("doctor, on an ES module over TLS that Node has to speak", { skip: isWindows }, async () => {
  const { key, cert } = selfSigned();
  both.write(
    "secure.mjs",
    `import { createServer } from "node:https";
     import { Server } from "sockeye.io";
     const httpServer = createServer(${JSON.stringify({ key: String(key), cert: String(cert) })});
     new Server(httpServer, { nativeTls: process.argv[2] === "native" });
     httpServer.listen(0, "127.0.0.1");`,
  );
  const node = await doctor(both, ["secure.mjs"]);
  assertTold(
    node,
    "application",
    /^note: \/socket\.io\/: clients come to Node's HTTP server first: the option nativeTls/,
  );
  assertTold(
    node,
    "application",
    /^note: \/socket\.io\/: bytes of clients pass through JavaScript: it is no plain socket$/,
  );
  const native = await doctor(both, ["secure.mjs", "--", "native"]);
  assert.deepEqual(native.application.engines[0].tls, { native: 1, node: {}, obstacle: null });
  assertTold(native, "application", /^ok: .* its bytes go straight to a native thread$/);
});

test("doctor, on applications that nothing can be said of", async () => {
  both.write("broken.js", 'throw new RangeError("too much");');
  both.write("unhappy.js", 'process.exitCode = 3; console.error("one\\ntwo\\nthree");');
  both.write(
    "killed.js",
    'console.error("one\\ntwo\\nthree"); process.kill(process.pid, "SIGKILL"); for (;;);',
  );
  both.write(
    "deaf.js",
    'const { Server } = require("sockeye.io"); new Server(require("http").createServer()); setInterval(() => {}, 1000);',
  );
  both.write("stock.js", 'const { Server } = require("socket.io"); new Server(0);');
  both.write("none.js", "setInterval(() => {}, 1000)");
  both.write("brief.js", "");
  const names = ["broken", "unhappy", "killed", "deaf", "stock", "none", "brief", "missing"];
  const [broken, unhappy, killed, deaf, stock, none, brief, missing] = await Promise.all(
    names.map((name) => doctor(both, ["--seconds", "1", `${name}.js`])),
  );
  assertTold(broken, "application", /^wrong: it has ended with code 1: RangeError: too much$/);
  assertTold(unhappy, "application", /^wrong: it has ended with code 3: three$/);
  assertTold(killed, "application", /^wrong: nothing could be seen of it: it has ended with .*: three$/);
  assertTold(deaf, "application", /^note: \/socket\.io\/: its HTTP server does not listen$/);
  assertTold(stock, "application", /^wrong: it loads stock socket\.io 4\.8\.\d+ from /);
  assertTold(none, "application", /^note: no server of sockeye\.io was made within 1 s$/);
  assertTold(brief, "application", /^note: it has ended without a server of sockeye\.io$/);
  assertTold(missing, "application", /^wrong: there is no file /);
});

test("compare measures both", async () => {
  const args = ["compare", "--json", "--rounds", "1", "--seconds", "0.1", "--clients", "8"];
  // whatever the environment asks for
  const { code, stdout, stderr } = await run(both, args, { env: { SOCKEYE_NATIVE: "0" } });
  assert.deepEqual([code, stderr], [0, ""]);
  const { results, ratios, ...rest } = JSON.parse(stdout);
  assert.deepEqual(Object.keys(rest), ["command", "version", "machine", "runtime", "options"]);
  assert.deepEqual(rest.options, { rounds: 1, seconds: 0.1, clients: 8 });
  assert.deepEqual(
    results.map(({ name }) => name),
    ["sockeye.io", "socket.io"],
  );
  const names = [
    "cpuPerConnect",
    "memoryPerClient",
    "cpuPerEcho",
    "cpuPerDelivery",
    "connectsPerSecond",
    "echoesPerSecond",
    "echoLatency",
    "deliveriesPerSecond",
  ];
  for (const { medians, rounds } of results) {
    assert.deepEqual(Object.keys(medians), names);
    assert.deepEqual(rounds, [medians]);
    for (const name of names) {
      if (name !== "memoryPerClient") assert.ok(medians[name] > 0, `${name}: ${medians[name]}`);
    }
  }
  for (const name of names) assert.equal(ratios[name], results[0].medians[name] / results[1].medians[name]);
});

test("compare has the next message broadcast when one has come back to its sender", async (t) => {
  const wss = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  t.after(() => wss.close());
  await once(wss, "listening");
  let broadcasts = 0;
  let underWay = 0;
  let most = 0;
  const broadcast = async (sender, text) => {
    broadcasts++;
    most = Math.max(most, ++underWay);
    const others = [...wss.clients].filter((ws) => ws !== sender);
    for (const ws of others) ws.send(text);
    // by then they have received it
    const answers = others.map((ws) => once(ws, "pong"));
    for (const ws of others) ws.ping();
    await Promise.all(answers);
    underWay--;
    sender.send(text);
  };
  wss.on("connection", (ws) => {
    ws.setMaxListeners(Infinity);
    ws.on("message", (data) => (String(data) === "40" ? ws.send("40{}") : broadcast(ws, String(data))));
    ws.send("0{}");
  });
  const child = new Child(require.resolve("../lib/command/compare-load"));
  t.after(() => child.end());
  await child.ask("connect", { port: wss.address().port, count: 4 });
  const { operations } = await child.ask("broadcast", { seconds: 0.1 });
  assert.ok(broadcasts > 2, `${broadcasts} broadcasts`);
  assert.equal(operations, broadcasts * 4);
  assert.equal(most, 2);
});

test("compare, where stock is not installed", async (t) => {
  const project = new Project(t);
  project.installOurs();
  const args = ["compare", "--rounds", "1", "--seconds", "0.1", "--clients", "8"];
  const { code, stdout } = await run(project, args);
  assert.equal(code, 0);
  assert.match(stdout, /^ +sockeye\.io [\d.]+\nCPU for a connect, µs +[\d.,]+\n/);
  assert.match(
    stdout,
    /\nStock socket\.io is not installed here; to compare with it: npm install --no-save socket\.io@4\n$/,
  );
});

test("compare, where the addon cannot be loaded", async () => {
  const { code, stdout, stderr } = await run(both, ["compare"], {
    env: { SOCKEYE_BINDING: "/no/such/file.node" },
  });
  assert.deepEqual([code, stdout], [1, ""]);
  assert.match(
    stderr,
    /^sockeye\.io: it could not be measured: Error: sockeye\.io cannot load its native addon .*\nTry sockeye\.io doctor\.\n$/,
  );
});

test("compare takes its processes along", { skip: process.platform !== "linux" }, async (t) => {
  const file = both.path("node_modules", "sockeye.io", bin["sockeye.io"]);
  const child = spawn(process.execPath, [file, "compare", "--seconds", "60"], {
    cwd: both.root,
    stdio: "ignore",
  });
  t.after(() => child.kill("SIGKILL"));
  const ended = once(child, "exit");
  const children = () =>
    fs.readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ");
  await eventually(() => children().length === 2, "a server and its clients");
  const pids = children();
  child.kill("SIGTERM");
  assert.deepEqual(await within(ended, "its end"), [1, null]);
  await eventually(() => pids.every((pid) => !fs.existsSync(`/proc/${pid}`)), "the end of its processes");
});

test("colours are for terminals, unless NO_COLOR is set", (t) => {
  const { paint } = require("../lib/command/text");
  const { isTTY } = process.stdout;
  const { NO_COLOR, TERM, FORCE_COLOR } = process.env;
  t.after(() => {
    process.stdout.isTTY = isTTY;
    for (const [name, value] of Object.entries({ NO_COLOR, TERM, FORCE_COLOR })) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });
  process.env.TERM = "xterm-256color";
  delete process.env.NO_COLOR;
  delete process.env.FORCE_COLOR;
  process.stdout.isTTY = false;
  assert.equal(paint("red", "x"), "x");
  process.stdout.isTTY = true;
  assert.equal(paint("red", "x"), "\x1b[31mx\x1b[39m");
  process.env.NO_COLOR = "1";
  assert.equal(paint("red", "x"), "x");
});

test("what the command needs is packed", () => {
  const { files } = require("../package.json");
  assert.ok(files.includes("bin/") && files.includes("lib/"));
  assert.equal(
    fs.readFileSync(path.join(__dirname, "..", bin["sockeye.io"]), "utf8").split("\n")[0],
    "#!/usr/bin/env node",
  );
  assert.equal(engines.node, ">=20");
});
