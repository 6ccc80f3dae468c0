"use strict";

// What goes wrong inside, where no exception could reach the application, is told by a warning of the process.

const test = require("node:test");
const assert = require("node:assert/strict");
const { serve, isStock, record, connected, RawWebSocket } = require("./support/harness");

const OURS = { skip: isStock && "stock has no native engine" };

/** Warnings of the package from now on. */
function warnings(t) {
  const list = [];
  const onWarning = (warning) => {
    if (warning.name === "SockeyeWarning") list.push(warning);
  };
  process.on("warning", onWarning);
  t.after(() => process.removeListener("warning", onWarning));
  return list;
}

test("a native engine that cannot answer an upgrade is warned of once", OURS, async (t) => {
  const list = warnings(t);
  const server = await serve(t, {}, { stream: "observed" });
  server.io.engine._switchingProtocols = () => {
    throw new Error("of the addon");
  };
  for (let i = 0; i < 2; i++) {
    const ws = await RawWebSocket.upgrade(server);
    assert.equal(ws.status, 500);
    await ws.closed();
  }
  assert.deepEqual(
    list.map(({ code, message }) => [code, message]),
    [["SOCKEYE_UPGRADES", "upgrade requests are answered with 500: of the addon"]],
  );
  assert.match(list[0].detail, /warnings\.test\.js/);
});

test(
  "a native engine that cannot take accepted connections leaves them to Node, and is warned of once",
  OURS,
  async (t) => {
    const list = warnings(t);
    const server = await serve(t, {}, { stream: "http" });
    server.io.engine._bridge.native.receive = () => {
      throw new Error("no more of these");
    };
    const connections = record(server.io, "connection");
    for (let i = 0; i < 2; i++) await connected(server.client());
    await connections.until(2);
    assert.deepEqual(
      list.map(({ code, message }) => [code, message]),
      [["SOCKEYE_ARRIVALS", "accepted connections are left to Node's HTTP server: no more of these"]],
    );
  },
);
