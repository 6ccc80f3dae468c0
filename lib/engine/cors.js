"use strict";

/** What the option `cors` adds to answers that are not Node's. */

const { linesOf } = require("./upgrade-response");

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

/** As much of a response as the middleware of the option `cors` needs of it. */
class CorsAnswer {
  constructor() {
    this.headers = {};
  }

  getHeader(name) {
    return this.headers[name];
  }

  setHeader(name, value) {
    this.headers[name] = value;
  }
}

/** The first header of the name, of which Node takes no other, among names and values by turns. */
function originIn(rawHeaders) {
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (rawHeaders[i].toLowerCase() === "origin") return rawHeaders[i + 1];
  }
  return undefined;
}

function noop() {}

module.exports = { corsHeaders, corsLines, originIn };
