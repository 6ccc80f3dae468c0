"use strict";

/** What the first bytes of the images that every browser shows look like; `?` stands for any byte. */
const SIGNATURES = [
  ["image/png", "\x89PNG\r\n\x1a\n"],
  ["image/jpeg", "\xff\xd8\xff"],
  ["image/gif", "GIF8"],
  ["image/webp", "RIFF????WEBP"],
];

/**
 * The type of an image by its bytes, since what a client calls it means nothing.
 *
 * @param {Buffer} data
 * @returns {string | undefined}
 */
function sniffImage(data) {
  const start = data.toString("latin1", 0, 16);
  const isAtStart = ([, signature]) =>
    [...signature].every((byte, index) => byte === "?" || start[index] === byte);
  return SIGNATURES.find(isAtStart)?.[0];
}

module.exports = { sniffImage };
