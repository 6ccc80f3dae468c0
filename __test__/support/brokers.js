"use strict";

// Redis, PostgreSQL and NATS of one's own, each on a port of its own, which can be killed and started again.

const { spawn, execFileSync } = require("node:child_process");
const fs = require("node:fs");
const net = require("node:net");
const os = require("node:os");
const path = require("node:path");
const { Pool } = require("pg");
const { eventually, once } = require("./waiting");

const POSTGRES = { host: "127.0.0.1", port: 5432, user: "postgres", database: "test" };

/** Postgres refuses to run as root. */
const isRoot = process.getuid?.() === 0;

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

module.exports = {
  NatsBroker,
  POSTGRES,
  PostgresBroker,
  RedisBroker,
  daemonBinary,
  freePort,
  isListening,
  postgresBinary,
  redisBinary,
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
