"use strict";

/**
 * WebSocket frames, for what carries messages rather than bytes: it talks to the native engine as a client would, so
 * that a session is the same whatever carries it.
 */

/** Opcodes (RFC 6455 section 5.2). */
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;

const FIN = 0x80;
const MASKED = 0x80;

/**
 * Calls a function with every frame that a server has written: whole ones, unmasked, a message in each.
 * @param {Buffer} data
 * @param {function(number, Buffer, boolean)} callback - gets the opcode, the payload, and whether it is the last one
 */
function forEachFrame(data, callback) {
  for (let at = 0; at < data.length;) {
    const opcode = data[at] & 0x0f;
    let length = data[at + 1];
    at += 2;
    if (length === 126) {
      length = data.readUInt16BE(at);
      at += 2;
    } else if (length === 127) {
      length = Number(data.readBigUInt64BE(at));
      at += 8;
    }
    const payload = data.subarray(at, at + length);
    at += length;
    callback(opcode, payload, at === data.length);
  }
}

/**
 * A frame of a client.
 * @param {number} opcode
 * @param {Buffer} payload
 * @returns {Buffer}
 */
function makeFrame(opcode, payload) {
  return Buffer.concat([headerOf(opcode, payload.length), payload]);
}

/** The mask is zero, which leaves the payload as it is. */
function headerOf(opcode, length) {
  let header;
  if (length < 126) {
    header = Buffer.alloc(6);
    header[1] = MASKED | length;
  } else if (length < 0x10000) {
    header = Buffer.alloc(8);
    header[1] = MASKED | 126;
    header.writeUInt16BE(length, 2);
  } else {
    header = Buffer.alloc(14);
    header[1] = MASKED | 127;
    header.writeBigUInt64BE(BigInt(length), 2);
  }
  header[0] = FIN | opcode;
  return header;
}

module.exports = { TEXT, BINARY, CLOSE, FIN, forEachFrame, makeFrame };
