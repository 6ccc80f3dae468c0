"use strict";

const { crc32, deflateSync } = require("node:zlib");

/**
 * A real PNG of a given length: a few coloured stripes, and a chunk of padding that every decoder skips.
 *
 * @param {number} length in bytes
 */
function testImage(length) {
  const [width, height] = [48, 32];
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2], 8); // 8 bits each of red, green and blue
  const row = (y) => Buffer.from([0, ...Array.from({ length: width }, (_, x) => [x * 5, 120, y * 8]).flat()]);
  const pixels = deflateSync(Buffer.concat(Array.from({ length: height }, (_, y) => row(y))));
  const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  const parts = [signature, chunk("IHDR", header), chunk("IDAT", pixels), chunk("IEND", Buffer.alloc(0))];
  const padding = length - Buffer.concat(parts).length - chunk("paDd", Buffer.alloc(0)).length;
  // every byte value, so that a transport that mistakes it for text is found out
  const bytes = Uint8Array.from({ length: padding }, (_, index) => index);
  parts.splice(3, 0, chunk("paDd", bytes));
  return Buffer.concat(parts);
}

function chunk(type, data) {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(data.length, 0);
  head.write(type, 4, "latin1");
  const check = Buffer.alloc(4);
  check.writeUInt32BE(crc32(Buffer.concat([head.subarray(4), data])), 0);
  return Buffer.concat([head, data, check]);
}

module.exports = { testImage };
