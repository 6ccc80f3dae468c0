"use strict";

// pm2 start ecosystem.config.js

module.exports = {
  apps: [
    {
      name: "sockeye",
      script: "server.js",
      // One process: the native threads use the other cores. pm2's cluster mode deals out connections one by one, so that the
      // requests of a session that polls reach processes that do not know it. It is for transports: ["websocket"], on both
      // sides; or several of these apps, each with a PORT of its own, behind a sticky proxy.
      exec_mode: "fork",
      instances: 1,
      env: { NODE_ENV: "production", PORT: "3000" },
      // it says when it takes clients
      wait_ready: true,
      listen_timeout: 10_000,
      // SIGINT, then DRAIN_DELAY and DRAIN_TIME
      kill_timeout: 30_000,
      max_memory_restart: "2G",
    },
  ],
};
