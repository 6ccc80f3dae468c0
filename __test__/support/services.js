"use strict";

// Redis, PostgreSQL and NATS for tests: those that run on this machine, or some of the test's own.

const { spawnSync } = require("node:child_process");
const net = require("node:net");
const { Pool } = require("pg");
const {
  NatsBroker,
  POSTGRES,
  PostgresBroker,
  RedisBroker,
  daemonBinary,
  freePort,
  isListening,
  postgresBinary,
  redisBinary,
} = require("./brokers");
const { atEnd } = require("./harness");
const { once } = require("./waiting");

const INSTALL = "apt-get install redis-server postgresql";

const REDIS_PORT = 6379;
const NATS_PORT = 4222;

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

/** The same, at once. */
function isListeningNow(port) {
  const script = `require("net").connect(${port}, "127.0.0.1").on("connect", () => process.exit(0))`;
  return spawnSync(process.execPath, ["-e", script], { stdio: "ignore" }).status === 0;
}
