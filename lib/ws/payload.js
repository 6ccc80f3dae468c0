"use strict";

// What applications may send, and what of it may not be sent.

/** RFC 6455 section 5.5: a control frame has up to 125 bytes, of which the status of a Close frame takes two. */
const LONGEST_REASON = 123;

/**
 * Data of the application as what can be sent.
 * @param {*} data - nothing, a text, binary data of any kind, or what `Buffer.from()` takes
 * @returns {string|Buffer|Promise<Buffer>} a promise for a Blob
 * @throws {TypeError} if it is nothing of the kind
 */
function payloadOf(data) {
  if (typeof data === "string" || Buffer.isBuffer(data)) return data;
  if (!data) return Buffer.alloc(0);
  if (isBlob(data)) return data.arrayBuffer().then((bytes) => Buffer.from(bytes));
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return Buffer.from(data);
}

/** Bytes of data of the application. */
function sizeOf(data) {
  if (isBlob(data)) return data.size;
  return typeof data === "string" ? Buffer.byteLength(data) : payloadOf(data).length;
}

function isBlob(data) {
  return typeof Blob !== "undefined" && data instanceof Blob;
}

/**
 * The payload of a Close frame (RFC 6455 section 5.5.1).
 * @param {number} [code] - the status
 * @param {string|Buffer} [reason]
 * @returns {Buffer}
 * @throws {TypeError} if the status may not be sent; {RangeError} if the reason is too long
 */
function closePayload(code, reason) {
  if (code === undefined) return Buffer.alloc(0);
  if (typeof code !== "number" || !mayBeSent(code)) {
    throw new TypeError("First argument must be a valid error code number");
  }
  // what has no length is none, as with ws
  const size = reason === undefined || !reason.length ? 0 : Buffer.byteLength(reason);
  if (size > LONGEST_REASON) {
    throw new RangeError(`The message must not be greater than ${LONGEST_REASON} bytes`);
  }
  const payload = Buffer.alloc(2 + size);
  payload.writeUInt16BE(code);
  if (typeof reason === "string") payload.write(reason, 2);
  else if (size !== 0) payload.set(reason, 2);
  return payload;
}

/** Whether a status may appear on the wire (RFC 6455 section 7.4). */
function mayBeSent(code) {
  if (code >= 3000 && code <= 4999) return true;
  return code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006;
}

module.exports = { closePayload, payloadOf, sizeOf };
