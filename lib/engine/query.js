"use strict";

/** Characters that only a real parser of URLs understands. */
const NOT_PLAIN = /[%+#\\\s]|[^\x21-\x7e]/;

/**
 * The members of a URL's query; of those with the same name, the last.
 * @param {string} url
 * @returns {object}
 */
function parseQuery(url) {
  const start = url.indexOf("?");
  if (start === -1) return {};
  if (NOT_PLAIN.test(url)) {
    return Object.fromEntries(new URL(url, "https://socket.io").searchParams.entries());
  }
  const query = {};
  for (const member of url.slice(start + 1).split("&")) {
    if (member === "") continue;
    const at = member.indexOf("=");
    const name = at === -1 ? member : member.slice(0, at);
    const value = at === -1 ? "" : member.slice(at + 1);
    if (name === "__proto__") Object.defineProperty(query, name, { value, ...PLAIN_PROPERTY });
    else query[name] = value;
  }
  return query;
}

const PLAIN_PROPERTY = { writable: true, enumerable: true, configurable: true };

module.exports = { parseQuery };
