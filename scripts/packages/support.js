"use strict";

// What the scenarios share.

const assert = require("node:assert/strict");
const { once } = require("node:events");

/**
 * Has a server listen on a port of its own.
 * @param {http.Server} server
 * @returns {Promise<number>} the port
 */
async function listen(server) {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server.address().port;
}

/** Waits until a server of anything that has Node's `close()` is closed. */
function close(server) {
  return new Promise((resolve, reject) => {
    server.close((error) => (error ? reject(error) : resolve()));
  });
}

/**
 * A client that keeps what it gets until it is asked for.
 * @param {function} WebSocket
 * @param {string} url
 * @param {string[]} [protocols]
 * @returns {Promise<WebSocket>} open; `next()` promises its next message as text, `closed` its code and reason
 */
async function connect(WebSocket, url, protocols) {
  const ws = new WebSocket(url, protocols);
  const waiting = [];
  const messages = [];
  ws.on("message", (data) => {
    const text = String(data);
    if (waiting.length !== 0) waiting.shift()(text);
    else messages.push(text);
  });
  ws.next = () =>
    new Promise((resolve) => {
      if (messages.length !== 0) resolve(messages.shift());
      else waiting.push(resolve);
    });
  ws.closed = once(ws, "close").then(([code, reason]) => ({ code, reason: String(reason) }));
  await once(ws, "open");
  return ws;
}

/**
 * Waits until something holds. For what a package says nothing of: where there is an event, wait for that.
 * @param {function(): boolean} condition
 */
async function until(condition) {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Asserts that a URL is refused with an HTTP status. */
async function assertRefused(WebSocket, url, status) {
  const ws = new WebSocket(url);
  ws.on("error", () => {});
  const [, response] = await once(ws, "unexpected-response");
  assert.equal(response.statusCode, status);
  response.destroy();
}

module.exports = { assertRefused, close, connect, listen, until };
