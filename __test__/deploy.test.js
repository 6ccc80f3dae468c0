"use strict";

// examples/deploy, what docs/production.md is about: each file does what it is for, as far as what it is for is installed.

const assert = require("node:assert/strict");
const { fork, spawn, spawnSync } = require("node:child_process");
const fs = require("node:fs");
const net = require("node:net");
const os = require("node:os");
const path = require("node:path");
const test = require("node:test");
const yaml = require("js-yaml");
const dockerfile = require("./support/dockerfile");
const { daemonBinary, freePort, isListening } = require("./support/services");
const { ROOT, MINUTES, execute, install, packInto, withoutNpm } = require("./support/tarball");
const { atEnd, connect, connected, eventually, once, selfSigned, within } = require("./support/harness");

const DIRECTORY = path.join(ROOT, "examples", "deploy");
const ANY_PORT = path.join(__dirname, "fixtures", "docs", "any-port.js");

/** The longest silence of a session that lives, in seconds. */
const PING_INTERVAL = 25;

const read = (name) => fs.readFileSync(path.join(DIRECTORY, name), "utf8");

/** A process of server.js, or of what was made of it, on a free port. */
class Node {
  constructor(t, { file = path.join(DIRECTORY, "server.js"), env = {} } = {}) {
    this.child = fork(file, {
      cwd: path.dirname(file),
      execArgv: ["--require", ANY_PORT],
      env: {
        ...process.env,
        NODE_TEST_CONTEXT: undefined,
        DRAIN_DELAY: "0",
        DRAIN_TIME: "100",
        PORT: "3000",
        ...env,
      },
    });
    this.exit = once(this.child, "exit", MINUTES);
    this.ready = new Promise((resolve) => {
      this.child.on("message", (message) => {
        if (message.port !== undefined) this.port = message.port;
        if (message === "ready") resolve();
      });
    });
    atEnd(t, async () => {
      this.child.kill("SIGKILL");
      await this.exit;
    });
  }

  /** @returns {Promise<Node>} when it takes clients */
  static async start(t, options) {
    const node = new Node(t, options);
    await within(node.ready, "the node is ready");
    return node;
  }

  get(url) {
    return fetch(`http://127.0.0.1:${this.port}${url}`);
  }
}

/** A client that is closed at the end. */
async function client(t, url, options) {
  const socket = connect(url, { forceNew: true, reconnection: false, rejectUnauthorized: false, ...options });
  atEnd(t, () => socket.disconnect());
  return connected(socket);
}

const ask = (socket, ...args) => within(socket.emitWithAck(...args), `the answer to ${args[0]}`);

test("the server tells how it is, and goes in peace", async (t) => {
  const [first, second] = await Promise.all([Node.start(t), Node.start(t)]);
  const door = net.createServer((near) => {
    const far = net.connect(door.target, "127.0.0.1");
    near.pipe(far).pipe(near);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ]) {
      one.on("error", () => other.destroy());
    }
  });
  door.target = first.port;
  door.listen(0, "127.0.0.1");
  await once(door, "listening");
  atEnd(t, () => door.close());

  assert.equal((await first.get("/healthz")).status, 200);
  assert.equal((await first.get("/readyz")).status, 200);
  const url = `http://127.0.0.1:${door.address().port}`;
  const sockets = await Promise.all(
    [["websocket"], ["polling"], ["polling", "websocket"]].map((transports) =>
      client(t, url, { transports, reconnection: true, reconnectionDelay: 50 }),
    ),
  );
  assert.equal(await ask(sockets[0], "echo", "x"), "x");
  const metrics = await (await first.get("/metrics")).text();
  assert.match(metrics, /^sockeye_clients 3$/m);
  assert.match(metrics, /^sockeye_event_loop_utilization \d\.\d+$/m);

  const gone = sockets.map((socket) => once(socket, "disconnect"));
  const back = sockets.map((socket) => once(socket, "connect"));
  door.target = second.port;
  first.child.kill("SIGTERM");
  for (const [reason] of await Promise.all(gone)) assert.equal(reason, "transport close");
  await Promise.all(back);
  for (const socket of sockets) assert.equal((await ask(socket, "who are you")).pid, second.child.pid);
  assert.deepEqual(await first.exit, [0, null]);
});

test("while it ends, it is alive, and not ready", async (t) => {
  const node = await Node.start(t, { env: { DRAIN_DELAY: "600000" } });
  node.child.kill("SIGTERM");
  await eventually(async () => (await node.get("/readyz")).status === 503, "it is not ready");
  assert.equal((await node.get("/healthz")).status, 200);
});

test("the Dockerfiles make an application that runs", { timeout: 4 * MINUTES }, async (t) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-docker-"));
  atEnd(t, () => fs.rmSync(directory, { recursive: true, force: true }));
  const context = path.join(directory, "context");
  fs.mkdirSync(context);
  const tarball = path.basename(await packInto(context));
  const dependencies = { "sockeye.io": `file:./${tarball}` };
  fs.writeFileSync(path.join(context, "package.json"), JSON.stringify({ private: true, dependencies }));
  fs.copyFileSync(path.join(DIRECTORY, "server.js"), path.join(context, "server.js"));
  await install(context, ["--package-lock-only"]);

  // of Alpine, it is the same but for the base
  const [debian, alpine] = ["Dockerfile", "Dockerfile.alpine"].map(read);
  const withoutBase = (text) => dockerfile.parse(text.replaceAll(/node:24-\w+/g, "node:24"));
  assert.deepEqual(withoutBase(alpine), withoutBase(debian));

  const env = { ...withoutNpm(process.env), npm_config_prefer_offline: "true", npm_config_audit: "false" };
  const image = dockerfile.build(debian, context, directory, env);
  assert.equal(image.user, "node");
  assert.deepEqual(image.ports, [3000]);
  const [command, file] = image.command;
  assert.equal(command, "node");
  assert.deepEqual(fs.readdirSync(image.workdir).sort(), ["node_modules", "package.json", "server.js"]);
  const node = await Node.start(t, { file: path.join(image.workdir, file), env: image.env });
  const socket = await client(t, `http://127.0.0.1:${node.port}`);
  assert.equal(await ask(socket, "echo", "x"), "x");

  const ignored = read(".dockerignore").split("\n");
  for (const name of ["package.json", "package-lock.json", "*.tgz", "server.js"]) {
    assert.ok(ignored.includes(`!${name}`), name);
  }
});

test("systemd takes the unit", { skip: missing("systemd-analyze") }, async (t) => {
  const unit = read("sockeye.service");
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-systemd-"));
  atEnd(t, () => fs.rmSync(directory, { recursive: true, force: true }));
  const file = path.join(directory, "sockeye.service");
  fs.writeFileSync(file, unit.replace("/usr/bin/node", process.execPath));
  const { stdout, stderr } = await execute("systemd-analyze", ["verify", "--man=no", file]);
  const ours = `${stdout}${stderr}`.split("\n").filter((line) => line.includes("sockeye"));
  assert.deepEqual(ours, []);
  const [, seconds] = /^TimeoutStopSec=(\d+)$/m.exec(unit);
  assert.ok(Number(seconds) > drainSeconds());
});

test("pm2's file starts it, waits for it, and lets it end", async (t) => {
  const [app, ...others] = require(path.join(DIRECTORY, "ecosystem.config.js")).apps;
  assert.deepEqual(others, []);
  assert.deepEqual([app.exec_mode, app.instances, app.wait_ready], ["fork", 1, true]);
  assert.ok(app.kill_timeout > drainSeconds() * 1000);
  const node = await Node.start(t, { file: path.join(DIRECTORY, app.script), env: app.env });
  node.child.kill("SIGINT");
  assert.deepEqual(await node.exit, [0, null]);
});

test("Kubernetes' manifests fit the server", async (t) => {
  const [deployment, service, ingress] = yaml.loadAll(read("kubernetes.yaml"));
  const { metadata, spec } = deployment.spec.template;
  const [container] = spec.containers;
  const env = Object.fromEntries(container.env.map(({ name, value }) => [name, value]));
  assert.ok(container.env.every(({ value }) => typeof value === "string"));
  assert.deepEqual(deployment.spec.selector.matchLabels, metadata.labels);
  assert.deepEqual(service.spec.selector, metadata.labels);
  const [port] = container.ports;
  assert.equal(String(port.containerPort), env.PORT);
  assert.equal(service.spec.ports[0].targetPort, port.name);
  const [{ backend }] = ingress.spec.rules[0].http.paths;
  assert.deepEqual([backend.service.name, backend.service.port.name], [service.metadata.name, port.name]);

  const [command, sleep] = container.lifecycle.preStop.exec.command;
  assert.equal(command, "sleep");
  const drain = (Number(env.DRAIN_DELAY) + Number(env.DRAIN_TIME)) / 1000;
  assert.ok(spec.terminationGracePeriodSeconds > Number(sleep) + drain);
  const timeout = ingress.metadata.annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"];
  assert.ok(Number(timeout) > PING_INTERVAL);

  const node = await Node.start(t);
  for (const probe of ["startupProbe", "readinessProbe", "livenessProbe"]) {
    const { path: url, port: name } = container[probe].httpGet;
    assert.equal(name, port.name);
    assert.equal((await node.get(url)).status, 200, probe);
  }
});

/** What makes a configuration of a proxy one for a test, how it is checked, and how it is run. */
const PROXIES = {
  nginx: {
    file: "nginx.conf",
    configure(text, { port, nodes, directory, certificate }) {
      const chat = replaceAll(text, {
        "listen 443 ssl": `listen 127.0.0.1:${port} ssl`,
        "127.0.0.1:3001": `127.0.0.1:${nodes[0].port}`,
        "127.0.0.1:3002": `127.0.0.1:${nodes[1].port}`,
        "/etc/ssl/chat.pem": certificate,
        "/etc/ssl/chat.key": certificate,
      });
      const kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
      const folders = kinds.map((kind) => `${kind}_temp_path ${directory}/${kind};`);
      return (
        `daemon off; master_process off; pid ${directory}/pid; error_log stderr; events {}\n` +
        `http { access_log off; ${folders.join(" ")}\n${chat}\n}\n`
      );
    },
    check: (file) => ["-t", "-q", "-c", file],
    run: (file) => ["-c", file],
    timeouts: /proxy_(?:read|send)_timeout (\d+)s;/g,
  },
  haproxy: {
    file: "haproxy.cfg",
    configure: (text, { port, nodes, certificate }) =>
      replaceAll(text, {
        "maxconn 100000": "maxconn 100",
        "bind :443": `bind 127.0.0.1:${port}`,
        "127.0.0.1:3001": `127.0.0.1:${nodes[0].port}`,
        "127.0.0.1:3002": `127.0.0.1:${nodes[1].port}`,
        "/etc/ssl/chat.pem": certificate,
      }),
    check: (file) => ["-c", "-q", "-f", file],
    run: (file) => ["-db", "-q", "-f", file],
    timeouts: /timeout (?:client|server|tunnel) (\d+)s/g,
    spreads: true,
  },
};

for (const [name, proxy] of Object.entries(PROXIES)) {
  test(`through ${name}`, { skip: missing(name) }, async (t) => {
    const text = read(proxy.file);
    const timeouts = [...text.matchAll(proxy.timeouts)].map(([, seconds]) => Number(seconds));
    assert.ok(timeouts.length >= 2 && timeouts.every((seconds) => seconds > PING_INTERVAL));

    const directory = fs.mkdtempSync(path.join(os.tmpdir(), `sockeye-${name}-`));
    atEnd(t, () => fs.rmSync(directory, { recursive: true, force: true }));
    const { key, cert } = selfSigned();
    const certificate = path.join(directory, "chat.pem");
    fs.writeFileSync(certificate, `${key}\n${cert}`);
    const nodes = await Promise.all([Node.start(t), Node.start(t)]);
    const port = await freePort();
    const file = path.join(directory, proxy.file);
    fs.writeFileSync(file, proxy.configure(text, { port, nodes, directory, certificate }));
    const { status, stderr } = spawnSync(daemonBinary(name), proxy.check(file), { encoding: "utf8" });
    assert.equal(status, 0, stderr);

    const child = spawn(daemonBinary(name), proxy.run(file), { stdio: "ignore" });
    const end = once(child, "exit", MINUTES);
    atEnd(t, async () => {
      child.kill("SIGKILL");
      await end;
    });
    await eventually(() => isListening(port), `${name} listens`);

    const url = `https://127.0.0.1:${port}`;
    const all = [];
    for (const transports of [
      ["polling"],
      ["polling"],
      ["websocket"],
      ["websocket"],
      ["polling", "websocket"],
    ]) {
      const options = { transports, withCredentials: true, reconnection: true, reconnectionDelay: 50 };
      const socket = await client(t, url, options);
      all.push(socket);
      const { pid, for: address } = await ask(socket, "who are you");
      assert.equal(address, "127.0.0.1");
      socket.pid = pid;
      for (let i = 0; i < 5; i++)
        assert.equal(await ask(socket, "echo", "x".repeat(i * 1000)), "x".repeat(i * 1000));
      assert.equal((await ask(socket, "who are you")).pid, pid);
    }
    const last = all.at(-1).io.engine;
    await eventually(() => last.transport.name === "websocket", "the upgrade");
    assert.equal(new Set(all.map(({ pid }) => pid)).size, proxy.spreads ? 2 : 1);

    const [{ pid }] = all;
    const [old, young] = nodes[0].child.pid === pid ? nodes : nodes.toReversed();
    const back = Promise.all(
      all.filter((socket) => socket.pid === pid).map((socket) => untilServedBy(socket, young.child.pid)),
    );
    old.child.kill("SIGTERM");
    await within(back, "the other node has the clients");
    assert.deepEqual(await old.exit, [0, null]);
  });
}

/** Resolves when a client that comes again has come to a node. */
function untilServedBy(socket, pid) {
  return new Promise((resolve) => {
    socket.on("connect", async () => {
      // it may be sent away once more before it has the answer
      const answer = await socket
        .timeout(2_000)
        .emitWithAck("who are you")
        .catch(() => ({}));
      if (answer.pid === pid) resolve();
    });
  });
}

/** How long server.js takes to end, unless its environment says otherwise. */
function drainSeconds() {
  const [, delay, time] = /DRAIN_DELAY = ([\d_]+), DRAIN_TIME = ([\d_]+)/.exec(read("server.js"));
  return [delay, time].reduce((sum, text) => sum + Number(text.replace("_", "")) / 1000, 0);
}

function replaceAll(text, replacements) {
  for (const [from, to] of Object.entries(replacements)) {
    assert.ok(text.includes(from), from);
    text = text.replaceAll(from, to);
  }
  return text;
}

/** Why tests that need a program are skipped, or false. */
function missing(name) {
  return daemonBinary(name) === undefined && `no ${name} here`;
}
