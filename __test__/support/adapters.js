"use strict";

// The official adapters, with every client library that they support, for tests over real services.

const { Redis } = require("ioredis");
const { Pool } = require("pg");
const redis4 = require("redis");
const redis5 = require("redis5");
const classic = require("@socket.io/redis-adapter");
const streams = require("@socket.io/redis-streams-adapter");
const postgres = require("@socket.io/postgres-adapter");
const redisEmitter = require("@socket.io/redis-emitter");
const { withoutRedis, withoutPostgres, redisPort, postgresOptions } = require("./services");

/**
 * A client of Redis, by library.
 *
 * @type {{ [library: string]: (port: number) => Promise<{ client: object, close: Function }> }}
 */
const REDIS_CLIENTS = {
  async "redis 4"(port) {
    const client = redis4.createClient({ socket: { port, host: "127.0.0.1", reconnectStrategy: 100 } });
    client.on("error", () => {});
    await client.connect();
    return { client, close: () => client.quit() };
  },

  async "redis 5"(port) {
    const client = redis5.createClient({ socket: { port, host: "127.0.0.1", reconnectStrategy: 100 } });
    client.on("error", () => {});
    await client.connect();
    return { client, close: () => client.close() };
  },

  async ioredis(port) {
    const client = new Redis({ port, host: "127.0.0.1", retryStrategy: () => 100 });
    return { client, close: () => client.quit() };
  },
};

/**
 * What makes the adapter of one node: `connect(where, name)` gets what `where(t)` resolved with, and a name that the nodes
 * of one cluster share. `waits`: a broadcast is delivered, also to the node's own clients, when the broker has taken it. The clients that it opens are closed by `close`, which comes after the server's.
 */
const KINDS = [
  ...Object.keys(REDIS_CLIENTS).map((library) => ({
    name: `redis-adapter, ${library}`,
    skip: withoutRedis,
    where: redisPort,
    connect: (port, key) =>
      withClients(REDIS_CLIENTS[library], port, 2, ([pub, sub]) =>
        classic.createAdapter(pub, sub, {
          key,
          requestsTimeout: 1000,
          publishOnSpecificResponseChannel: true,
        }),
      ),
    emitter: (port, key) =>
      withClients(REDIS_CLIENTS[library], port, 1, ([client]) => new redisEmitter.Emitter(client, { key })),
  })),
  ...Object.keys(REDIS_CLIENTS).map((library) => ({
    name: `redis-adapter, sharded, ${library}`,
    waits: true,
    skip: withoutRedis,
    where: redisPort,
    connect: (port, channelPrefix) =>
      withClients(REDIS_CLIENTS[library], port, 2, ([pub, sub]) =>
        classic.createShardedAdapter(pub, sub, { channelPrefix }),
      ),
  })),
  ...Object.keys(REDIS_CLIENTS).map((library) => ({
    name: `redis-streams-adapter, ${library}`,
    waits: true,
    skip: withoutRedis,
    where: redisPort,
    recovers: true,
    connect: (port, name) =>
      withClients(REDIS_CLIENTS[library], port, 1, ([client]) =>
        streams.createAdapter(client, {
          streamName: name,
          channelPrefix: name,
          sessionKeyPrefix: name,
          blockTimeInMs: 200,
        }),
      ),
  })),
  // its emitter (0.1.1) speaks to older versions of it
  {
    name: "postgres-adapter",
    skip: withoutPostgres,
    where: postgresOptions,
    connect: connectPostgres,
  },
];

module.exports = { KINDS, REDIS_CLIENTS };

async function withClients(connect, port, count, make) {
  const clients = [];
  const errors = [];
  for (let i = 0; i < count; i++) {
    const opened = await connect(port);
    opened.client.on("error", (error) => errors.push(error));
    clients.push(opened);
  }
  const made = make(clients.map(({ client }) => client));
  return {
    adapter: made,
    emitter: made,
    errors,
    close: () => Promise.all(clients.map(({ close }) => close())),
  };
}

async function connectPostgres(options, name) {
  // one connection listens, so that one is left to publish: several would not keep the order
  const pool = new Pool({ max: 2, ...options });
  const errors = [];
  pool.on("error", (error) => errors.push(error));
  // without it, a connection that is lost while the adapter has it would be an uncaught exception
  pool.on("connect", (client) => client.on("error", (error) => errors.push(error)));
  await pool.query(
    `CREATE TABLE IF NOT EXISTS ${name} (
       id bigserial UNIQUE, created_at timestamptz DEFAULT NOW(), payload bytea)`,
  );
  const adapter = postgres.createAdapter(pool, {
    channelPrefix: name,
    tableName: name,
    heartbeatInterval: 500,
    heartbeatTimeout: 2000,
    errorHandler: (error) => errors.push(error),
  });
  return {
    adapter,
    errors,
    async close() {
      await pool.query(`DROP TABLE IF EXISTS ${name}`).catch(() => {});
      // does not wait for connections that the adapter has lost
      pool.end();
    },
  };
}
