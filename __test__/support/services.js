"use strict";

// Redis, PostgreSQL and NATS for tests: those that run on this machine, or some of the test's own.

const { spawn, spawnSync, execFileSync } = require("node:child_process");
const fs = require("node:fs");
const net = require("node:net");
const os = require("node:os");
const path = require("node:path");
const { Pool } = require("pg");
const { atEnd } = require("./harness");
const { eventually, once } = require("./waiting");

const INSTALL = "apt-get install redis-server postgresql";

const REDIS_PORT = 6379;
const NATS_PORT = 4222;
const POSTGRES = { host: "127.0.0.1", port: 5432, user: "postgres", database: "test" };

/** Postgres refuses to run as root. */
const isRoot = process.getuid?.() === 0;

/** Why tests that need Redis are skipped, or false. */
const withoutRedis =
  redisBinary() === undefined && !isListeningNow(REDIS_PORT) && `no Redis here: ${INSTALL}`;

/** Why tests that need PostgreSQL are skipped, or false. */
const withoutPostgres =
  postgresBinary("postgres") === undefined &&
  !isListeningNow(POSTGRES.port) &&
  `no PostgreSQL here: ${INSTALL}`;

/** Why tests that need NATS are skipped, or false. */
const withoutNats =
  daemonBinary("nats-server") === undefined &&
  !isListeningNow(NATS_PORT) &&
  "no NATS here: apt-get install nats-server";

/** Why tests that kill what they have started themselves are skipped, or false. */
const withoutOwnRedis = redisBinary() === undefined && `no redis-server here: ${INSTALL}`;
const withoutOwnPostgres = postgresBinary("postgres") === undefined && `no PostgreSQL here: ${INSTALL}`;

/** A name that nobody else uses, for channels, keys and tables on a shared service. */
function uniqueName() {
  return `sockeye_${process.pid}_${Date.now().toString(36)}_${uniqueName.count++}`;
}
uniqueName.count = 0;

/** The port of a Redis: the machine's, or one that is started and ends with the test. */
async function redisPort(t) {
  if (await isListening(REDIS_PORT)) return REDIS_PORT;
  const broker = new RedisBroker();
  atEnd(t, () => broker.close());
  await broker.start();
  return broker.port;
}

/** The port of a NATS server, alike. */
async function natsPort(t) {
  if (await isListening(NATS_PORT)) return NATS_PORT;
  const broker = new NatsBroker();
  atEnd(t, () => broker.close());
  await broker.start();
  return broker.port;
}

/** How to connect to a PostgreSQL: the machine's, or one that is started and ends with the test. */
async function postgresOptions(t) {
  const pool = new Pool({ ...POSTGRES, max: 1, connectionTimeoutMillis: 2000 });
  pool.on("error", () => {});
  const isUsable = await pool.query("SELECT 1").then(
    () => true,
    () => false,
  );
  await pool.end();
  if (isUsable) return POSTGRES;
  const broker = new PostgresBroker();
  atEnd(t, () => broker.close());
  await broker.start();
  return broker.options;
}

/** None of them outlives the process, even if that gives up on a test that hangs. */
const running = new Set();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** A service of the test's own, on a port of its own, which can be killed and started again. */
class Broker {
  port = undefined;
  directory = undefined;
  process = undefined;

  async start() {
    if (this.directory === undefined) {
      this.directory = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-broker-"));
      this.port = await freePort();
      this.prepare();
    }
    const [command, args, options] = this.command();
    this.process = spawn(command, args, { stdio: "ignore", ...options });
    running.add(this.process);
    await eventually(() => this.isReady(), `${command} answers`);
  }

  /** kill -9 */
  async kill() {
    const { process: child } = this;
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
    running.delete(child);
    this.process = undefined;
  }

  async close() {
    if (this.process !== undefined) await this.kill();
    if (this.directory !== undefined) fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

class RedisBroker extends Broker {
  prepare() {}

  command() {
    // as it is installed by default, streams and keys are kept on disk: fsync each second
    const args = ["--port", this.port, "--bind", "127.0.0.1", "--dir", this.directory, "--save", ""];
    return [redisBinary(), [...args, "--appendonly", "yes", "--appendfsync", "always"].map(String), {}];
  }

  isReady() {
    return isListening(this.port);
  }
}

class NatsBroker extends Broker {
  prepare() {}

  command() {
    return [
      daemonBinary("nats-server"),
      ["--addr", "127.0.0.1", "--port", String(this.port)],
      { cwd: this.directory },
    ];
  }

  isReady() {
    return isListening(this.port);
  }
}

class PostgresBroker extends Broker {
  get options() {
    return { ...POSTGRES, port: this.port, database: "postgres" };
  }

  prepare() {
    this.user = isRoot ? { uid: idOf("-u"), gid: idOf("-g") } : {};
    if (isRoot) fs.chownSync(this.directory, this.user.uid, this.user.gid);
    execFileSync(
      postgresBinary("initdb"),
      ["-D", this.directory, "-U", "postgres", "--auth=trust", "--no-sync"],
      {
        stdio: "ignore",
        cwd: this.directory,
        ...this.user,
      },
    );
  }

  command() {
    const args = ["-D", this.directory, "-p", this.port, "-h", "127.0.0.1", "-k", this.directory];
    return [postgresBinary("postgres"), args.map(String), { cwd: this.directory, ...this.user }];
  }

  async isReady() {
    const pool = new Pool({ ...this.options, max: 1 });
    pool.on("error", () => {});
    const isUsable = await pool.query("SELECT 1").then(
      () => true,
      () => false,
    );
    await pool.end();
    return isUsable;
  }

  /** Its processes share memory: all of them have to go before it can start again. */
  async kill() {
    await super.kill();
    const file = path.join(this.directory, "postmaster.pid");
    await eventually(() => {
      try {
        // the children end by themselves when they notice, unless they are at work
        execFileSync("pgrep", ["-f", `postgres.*${this.directory}`], { stdio: "ignore" });
        return false;
      } catch {
        return true;
      }
    }, "the processes of PostgreSQL have ended");
    fs.rmSync(file, { force: true });
  }
}

/**
 * Forwards connections to a port, which can be changed for those to come, after a delay of each chunk.
 */
class TcpProxy {
  /** @param {number} target a port */
  constructor(target) {
    this.target = target;
    this.delay = 0;
    this.pairs = new Set();
    this.server = net.createServer((near) => this.connect(near));
  }

  async listen() {
    this.server.listen(0, "127.0.0.1");
    await once(this.server, "listening");
    this.port = this.server.address().port;
    return this;
  }

  connect(near) {
    const far = net.connect(this.target, "127.0.0.1");
    const pair = [near, far];
    this.pairs.add(pair);
    this.forward(near, far, pair);
    this.forward(far, near, pair);
  }

  forward(from, to, pair) {
    // whichever timer is first does what is next, so that the order stays when the delay changes
    const waiting = [];
    const later = (action) => {
      if (this.delay === 0 && waiting.length === 0) {
        action();
      } else {
        waiting.push(action);
        setTimeout(() => waiting.shift()(), this.delay);
      }
    };
    from.setNoDelay();
    from.on("data", (chunk) => later(() => to.writable && to.write(chunk)));
    from.on("end", () => later(() => to.end()));
    from.on("error", () => {});
    from.on("close", () => {
      later(() => to.destroy());
      this.pairs.delete(pair);
    });
  }

  cut() {
    for (const pair of this.pairs) for (const socket of pair) socket.destroy();
  }

  close() {
    this.server.close();
    this.cut();
  }
}

/** A proxy that ends with the test. */
function proxy(t, target) {
  const tcpProxy = new TcpProxy(target);
  atEnd(t, () => tcpProxy.close());
  return tcpProxy.listen();
}

module.exports = {
  withoutRedis,
  withoutPostgres,
  withoutOwnRedis,
  withoutOwnPostgres,
  withoutNats,
  uniqueName,
  redisPort,
  natsPort,
  postgresOptions,
  RedisBroker,
  PostgresBroker,
  daemonBinary,
  freePort,
  isListening,
  proxy,
};

function isListening(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

/** The same, at once. */
function isListeningNow(port) {
  const script = `require("net").connect(${port}, "127.0.0.1").on("connect", () => process.exit(0))`;
  return spawnSync(process.execPath, ["-e", script], { stdio: "ignore" }).status === 0;
}

async function freePort() {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function redisBinary() {
  return findBinary("redis-server", process.env.PATH.split(path.delimiter));
}

/** A daemon; Debian puts those where only root has its PATH. */
function daemonBinary(name) {
  return findBinary(name, [...process.env.PATH.split(path.delimiter), "/usr/sbin"]);
}

/** Debian keeps them out of the PATH, by version. */
function postgresBinary(name) {
  const root = "/usr/lib/postgresql";
  const versions = fs.existsSync(root) ? fs.readdirSync(root).sort((a, b) => b - a) : [];
  return findBinary(name, [
    ...versions.map((version) => path.join(root, version, "bin")),
    ...process.env.PATH.split(path.delimiter),
  ]);
}

function findBinary(name, directories) {
  return directories.map((directory) => path.join(directory, name)).find((file) => fs.existsSync(file));
}

/** The user or group of Debian's PostgreSQL. */
function idOf(flag) {
  return Number(execFileSync("id", [flag, "postgres"], { encoding: "utf8" }));
}
