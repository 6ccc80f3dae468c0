"use strict";

/** What the option `cors` adds to answers that are not Node's. */

const { IncomingMessage, STATUS_CODES } = require("http");
const { linesOf } = require("./upgrade-response");
const { fillRequest } = require("../node/request");

/** The lines that the option `cors` adds to an answer. */
function corsHeaders(server, origin) {
  if (server._plainCors === undefined) return [];
  const answer = new CorsAnswer();
  server._plainCors({ method: "GET", headers: origin === undefined ? {} : { origin } }, answer, noop);
  return linesOf(answer.headers);
}

/** The same, with their ends. */
function corsLines(server, origin) {
  return corsHeaders(server, origin)
    .map((line) => `${line}\r\n`)
    .join("");
}

/**
 * What the option `cors` answers to a browser that asks whether it may send a request.
 * @param {Server} server
 * @param {string} rawRequest - see `fillRequest`
 * @returns {string|undefined} status line and headers, with their ends; undefined if that is left to others
 */
function preflightAnswer(server, rawRequest) {
  const req = new IncomingMessage(null);
  fillRequest(req, "OPTIONS", rawRequest);
  const answer = new CorsAnswer();
  server._plainCors(req, answer, noop);
  const { isEnded, statusCode, headers } = answer;
  if (!isEnded || STATUS_CODES[statusCode] === undefined) return undefined;
  const lines = [`HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode]}`, ...linesOf(headers)];
  return lines.map((line) => `${line}\r\n`).join("");
}

/** As much of a response as the middleware of the option `cors` needs of it. */
class CorsAnswer {
  constructor() {
    this.headers = {};
    this.statusCode = 200;
    this.isEnded = false;
  }

  end() {
    this.isEnded = true;
  }

  getHeader(name) {
    return this.headers[name];
  }

  setHeader(name, value) {
    this.headers[name] = value;
  }
}

/** The origin, of which Node takes the first only, among names and values by turns. */
function originIn(rawHeaders) {
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (rawHeaders[i].toLowerCase() === "origin") return rawHeaders[i + 1];
  }
  return undefined;
}

/** All headers of a name, in lower case, as one, as Node joins them. */
function headersIn(rawHeaders, name) {
  const values = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (rawHeaders[i].toLowerCase() === name) values.push(rawHeaders[i + 1]);
  }
  return values.length === 0 ? undefined : values.join(", ");
}

function noop() {}

module.exports = { corsHeaders, corsLines, headersIn, originIn, preflightAnswer };
