"use strict";

const { IncomingMessage } = require("http");
const { giveHeaders, symbolOf } = require("./internals");

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
 * @param {string} raw - see `fillRequest`
 * @param {net.Socket} socket
 * @param {boolean} isUpgrade - whether it asks for a WebSocket
 * @returns {IncomingMessage}
 */
function remakeRequest(raw, socket, isUpgrade) {
  const req = new IncomingMessage(socket);
  fillRequest(req, "GET", raw);
  req.upgrade = isUpgrade;
  req.complete = true;
  return req;
}

/**
 * Makes a request what it is.
 * @param {IncomingMessage} req
 * @param {string} method
 * @param {string} raw - names and values of its headers, by turns, and its URL, on a line each
 */
function fillRequest(req, method, raw) {
  const rawHeaders = raw.split("\n");
  const url = rawHeaders.pop();
  req.httpVersionMajor = 1;
  req.httpVersionMinor = 1;
  req.httpVersion = "1.1";
  req.method = method;
  req.url = url;
  giveHeaders(req, rawHeaders);
}

/** Where a request keeps what `req.headers` is, once somebody has asked for it; null until then. */
const kHeaders = symbolOf(new IncomingMessage(), "kHeaders");

/** Whether `req.headers` may say something else than the raw ones: somebody has had it. */
function hasHeaders(req) {
  return kHeaders === undefined || req[kHeaders] !== null;
}

/** Whether a header of a request, named in small letters, says something else by now than it did when it came. */
function isChanged(req, name) {
  if (!hasHeaders(req)) return false;
  const { rawHeaders } = req;
  let at = 0;
  while (at < rawHeaders.length && rawHeaders[at].toLowerCase() !== name) at += 2;
  return req.headers?.[name] !== rawHeaders[at + 1];
}

module.exports = { fillRequest, hasHeaders, isChanged, lengthOf, memorize, remakeRequest };
