"use strict";

const cluster = require("@socket.io/cluster-adapter");
const redis = require("redis");
const streams = require("@socket.io/redis-streams-adapter");

/**
 * What joins the processes: Redis, or, with no URL of one, the primary of node:cluster.
 *
 * @param {string} [redisUrl]
 * @returns {Function} to be given to the server as `adapter`
 */
function createAdapter(redisUrl) {
  if (!redisUrl) {
    // who asks for all sockets waits for a process that has died until it is missed
    return cluster.createAdapter({ heartbeatInterval: 500, heartbeatTimeout: 1500 });
  }
  const client = redis.createClient({ url: redisUrl });
  // without a listener, it would end the process; the client goes on trying
  client.on("error", (error) => console.error("Redis:", error.message));
  client.connect();
  return streams.createAdapter(client, { streamName: "chat", channelPrefix: "chat" });
}

module.exports = { createAdapter };
