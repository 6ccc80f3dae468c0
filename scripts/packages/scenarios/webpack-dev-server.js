"use strict";

// Hot reloading by webpack-dev-server, which makes its server by itself.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { connect } = require("../support");

exports.packages = ["webpack-dev-server"];
exports.requiresWs = true;

exports.play = async ({ WebSocket }) => {
  const webpack = require("webpack");
  const DevServer = require("webpack-dev-server");

  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "sockeye-packages-"));
  process.on("exit", () => fs.rmSync(folder, { recursive: true, force: true }));
  const entry = path.join(folder, "entry.js");
  fs.writeFileSync(entry, "console.log(1);\n");
  const compiler = webpack({
    mode: "development",
    context: folder,
    entry,
    infrastructureLogging: { level: "none" },
    stats: "none",
  });
  const server = new DevServer(
    {
      port: 0,
      host: "127.0.0.1",
      client: false,
      hot: false,
      liveReload: true,
      static: false,
      allowedHosts: "all",
    },
    compiler,
  );
  await server.start();
  const url = `ws://127.0.0.1:${server.server.address().port}/ws`;
  const clients = await Promise.all([1, 2].map(() => connect(WebSocket, url)));
  /** Reads on to a message, and says which came before. */
  const readTo = async (client, type) => {
    for (const types = []; ;) {
      const message = JSON.parse(await client.next());
      types.push(message.type);
      if (message.type === type) return types;
    }
  };
  for (const client of clients) assert.ok((await readTo(client, "ok")).includes("liveReload"));

  let pings = 0;
  clients[0].on("ping", () => pings++);
  fs.writeFileSync(entry, "console.log(2);\n");
  server.invalidate();
  for (const client of clients) assert.ok((await readTo(client, "ok")).includes("hash"));
  fs.writeFileSync(entry, "this is no JavaScript\n");
  server.invalidate();
  for (const client of clients) await readTo(client, "errors");

  // a client that answers pings stays, and one that is closed is forgotten
  while (pings < 2) await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(clients[0].readyState, WebSocket.OPEN);
  clients[1].close();
  await clients[1].closed;
  await server.stop();
  assert.equal((await clients[0].closed).code, 1006);
};
