"use strict";

// The query of a request's URL is what URLSearchParams makes of it; of members with the same name, the last counts.

const test = require("node:test");
const assert = require("node:assert/strict");
const { parseQuery } = require("../lib/engine/query");

for (const query of [
  "",
  "EIO=4&transport=polling",
  "EIO=4&flag",
  "flag",
  "flag&EIO=4",
  "flag=",
  "=value",
  "=",
  "a=b=c",
  "a=1&a=2",
  "&&a=1&",
  "a=1+2",
  "a=%20b&%61=c",
  "a=é",
  "token=a.b-c_d~e",
  "a[]=1&a[b]=2",
  "a=?&b=/",
]) {
  test(`?${query}`, () => {
    const expected = Object.fromEntries(new URLSearchParams(query));
    assert.deepEqual(parseQuery(`/socket.io/?${query}`), expected);
  });
}

test("no query", () => {
  assert.deepEqual(parseQuery("/socket.io/"), {});
});

test("a member that is called __proto__ is a member", () => {
  const query = parseQuery("/?__proto__=x&EIO=4");
  assert.deepEqual(Object.keys(query), ["__proto__", "EIO"]);
  assert.equal(Object.getPrototypeOf(query), Object.prototype);
});
