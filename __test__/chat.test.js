"use strict";

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { once: onceEvent } = require("node:events");
const path = require("node:path");
const test = require("node:test");
const { createInterface } = require("node:readline");
const stock = require("socket.io");
const { isStock, sio, target, within } = require("./support/harness");
const { runChat } = require("./support/chat-script");

let expected;

test("the chat's scripted run on stock socket.io", async (t) => {
  expected = await runChat(t, stock.Server);
  const { guests } = expected;
  assert.deepEqual(reasons(guests.Bob), ["io client disconnect", "transport close"]);
  assert.deepEqual(reasons(guests.Dan)[0], "io server disconnect");
  assert.ok(!JSON.stringify(guests.Bob).includes("Just us"), "who is not in a room hears nothing of it");
});

test(`the chat's scripted run has the same event log on ${isStock ? target : "sockeye.io"}`, async (t) => {
  const actual = await runChat(t, sio.Server);
  for (const part of Object.keys(expected)) {
    for (const name of Object.keys(expected[part])) {
      assert.deepStrictEqual(actual[part][name], expected[part][name], `${part}: ${name}`);
    }
  }
  assert.deepStrictEqual(actual, expected);
});

test("the example's server starts, serves the page, and ends when it is told to", async (t) => {
  const file = path.join(__dirname, "..", "examples", "chat", "server.js");
  const server = spawn(process.execPath, [file], { env: { ...process.env, PORT: "0" } });
  t.after(() => server.kill("SIGKILL"));
  server.stderr.pipe(process.stderr);
  const ended = onceEvent(server, "exit");
  const lines = createInterface(server.stdout);
  const [line] = await within(Promise.race([onceEvent(lines, "line"), ended]), "the server's address");
  const [url] = /http:\/\/localhost:\d+/.exec(line) ?? assert.fail(`the server ended with ${line}`);
  for (const resource of ["/", "/client.js", "/style.css", "/favicon.svg", "/socket.io/socket.io.js"]) {
    const response = await fetch(url + resource);
    await response.arrayBuffer(); // else the connection stays busy
    assert.equal(response.status, 200, resource);
  }
  server.kill("SIGTERM");
  assert.deepEqual(await within(ended, "the server's end"), [0, null]);
});

function reasons(log) {
  return log.filter(([event]) => event === "disconnect").map(([, reason]) => reason);
}
