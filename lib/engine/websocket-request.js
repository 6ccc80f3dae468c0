"use strict";

// Requests for a WebSocket: what may be wrong with them, and how they are refused.

const { STATUS_CODES } = require("node:http");

/** RFC 6455 section 4.1: 16 bytes in base64. */
const KEY = /^[+/0-9A-Za-z]{22}==$/;

/**
 * What is wrong with a request (RFC 6455 section 4.2.1), but for subprotocols and extensions.
 * @param {string} method
 * @param {function(string): string|undefined} header - the value of a header
 * @returns {{ status: number, message: string, headers: object|undefined }|undefined} the answer that it deserves, if any
 */
function findFault(method, header) {
  if (method !== "GET") return { status: 405, message: "Invalid HTTP method" };
  if (header("Upgrade")?.toLowerCase() !== "websocket") {
    return { status: 400, message: "Invalid Upgrade header" };
  }
  const key = header("Sec-WebSocket-Key");
  if (key === undefined || !KEY.test(key)) {
    return { status: 400, message: "Missing or invalid Sec-WebSocket-Key header" };
  }
  const version = Number(header("Sec-WebSocket-Version"));
  if (version !== 13 && version !== 8) {
    const headers = { "Sec-WebSocket-Version": "13, 8" };
    return { status: 400, message: "Missing or invalid Sec-WebSocket-Version header", headers };
  }
  return undefined;
}

/**
 * Refuses a request, and ends its connection.
 * @param {Duplex} socket
 * @param {number} status
 * @param {string} [message] - the body; by default, what the status means
 * @param {object} [headers] - more of them, or others
 * @returns {false}
 */
function abortHandshake(socket, status, message = STATUS_CODES[status], headers) {
  const all = {
    Connection: "close",
    "Content-Type": "text/html",
    "Content-Length": Buffer.byteLength(message),
    ...headers,
  };
  const lines = Object.keys(all).map((name) => `${name}: ${all[name]}\r\n`);
  socket.once("finish", socket.destroy);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join("")}\r\n${message}`);
  return false;
}

module.exports = { abortHandshake, findFault };
