"use strict";

// Violations of RFC 6455 as the errors that ws makes of them: the worker says what is wrong (src/protocol/error.rs).

const { constants } = require("node:zlib");

/** The codes, by what the messages begin with behind their prefix. */
const CODES = [
  ["RSV2 and RSV3", "WS_ERR_UNEXPECTED_RSV_2_3"],
  ["RSV1", "WS_ERR_UNEXPECTED_RSV_1"],
  ["invalid opcode", "WS_ERR_INVALID_OPCODE"],
  ["FIN", "WS_ERR_EXPECTED_FIN"],
  ["invalid payload length", "WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH"],
  ["MASK", "WS_ERR_EXPECTED_MASK"],
  ["invalid status code", "WS_ERR_INVALID_CLOSE_CODE"],
  ["invalid UTF-8", "WS_ERR_INVALID_UTF8"],
  ["Unsupported WebSocket frame", "WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH"],
  ["Max payload size", "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH"],
  ["Too many message fragments", "WS_ERR_TOO_MANY_BUFFERED_PARTS"],
];

const PREFIX = "Invalid WebSocket frame: ";

/**
 * The error that a violation is.
 * @param {string} description - of the worker: the name of the class, and the message
 * @returns {Error} with ws's `code`, if it has one
 */
function errorOf(description) {
  const [, name, message] = /^(\w+): (.*)$/s.exec(description);
  const error = name === "RangeError" ? new RangeError(message) : new Error(message);
  const text = message.startsWith(PREFIX) ? message.slice(PREFIX.length) : message;
  const [, code] = CODES.find(([beginning]) => text.startsWith(beginning)) ?? [];
  if (code !== undefined) error.code = code;
  else if (message === "invalid compressed data")
    Object.assign(error, { errno: constants.Z_DATA_ERROR, code: "Z_DATA_ERROR" });
  return error;
}

module.exports = { errorOf };
