"use strict";

const { IncomingMessage } = require("http");
const { giveHeaders } = require("./internals");

/** The bytes of an upgrade request, or less if it has more white space than it needs. */
function lengthOf(req) {
  let length = "GET  HTTP/1.1\r\n\r\n".length + req.url.length;
  const { rawHeaders } = req;
  for (let i = 0; i < rawHeaders.length; i++) length += rawHeaders[i].length + 2;
  return length;
}

/** What `remakeRequest` needs, as one text: neither a URL nor a header can have a line break. */
function memorize(req) {
  const { rawHeaders, url } = req;
  rawHeaders.push(url);
  const raw = rawHeaders.join("\n");
  rawHeaders.pop();
  return raw;
}

/**
 * Makes a request again from what `memorize` has made of it.
 * @param {string} raw
 * @param {net.Socket} socket
 * @param {boolean} isUpgrade - whether it asks for a WebSocket
 * @returns {IncomingMessage}
 */
function remakeRequest(raw, socket, isUpgrade) {
  const rawHeaders = raw.split("\n");
  const url = rawHeaders.pop();
  const req = new IncomingMessage(socket);
  req.httpVersionMajor = 1;
  req.httpVersionMinor = 1;
  req.httpVersion = "1.1";
  req.method = "GET";
  req.url = url;
  giveHeaders(req, rawHeaders);
  req.upgrade = isUpgrade;
  req.complete = true;
  return req;
}

module.exports = { lengthOf, memorize, remakeRequest };
