"use strict";

/**
 * The negotiation of permessage-deflate (RFC 7692 section 7.1). The compression itself happens in the worker.
 */

const NAME = "permessage-deflate";

/** The size of a window if nothing else has been agreed on, as a logarithm. */
const DEFAULT_WINDOW_BITS = 15;

/** RFC 7230 section 3.2.6. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * Answers a client's offers.
 *
 * @param {string|undefined} header - the value of Sec-WebSocket-Extensions
 * @param {object} options - the option `perMessageDeflate`: serverNoContextTakeover, clientNoContextTakeover,
 *   serverMaxWindowBits, clientMaxWindowBits
 * @returns {{ response: string, agreed: number }|undefined} the value for the answer, and what was agreed on as the
 *   native engine wants it; nothing if the client does not offer the extension
 * @throws {Error} when an offer is malformed, or none can be accepted
 */
function negotiate(header, options) {
  if (header === undefined) return undefined;
  const offers = parse(header).filter(({ name }) => name === NAME);
  if (offers.length === 0) return undefined;
  const offer = offers
    .map(({ parameters }) => checked(parameters))
    .find((each) => isAcceptable(each, options));
  if (offer === undefined) throw new Error("None of the extension offers can be accepted");
  return answer(offer, options);
}

function parse(header) {
  return header.split(",").map((extension) => {
    const [name, ...members] = extension.split(";").map((part) => part.trim());
    if (!TOKEN.test(name)) throw new Error("invalid extension");
    const parameters = new Map();
    for (const member of members) {
      const [key, ...values] = member.split("=").map((part) => part.trim());
      const value = values.length === 0 ? true : unquote(values.join("="));
      if (!TOKEN.test(key) || (value !== true && !TOKEN.test(value))) throw new Error("invalid parameter");
      if (parameters.has(key)) throw new Error(`Parameter "${key}" must have only a single value`);
      parameters.set(key, value);
    }
    return { name, parameters };
  });
}

function unquote(value) {
  return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
}

/** An offer whose parameters have the values that they may have. */
function checked(parameters) {
  for (const [key, value] of parameters) {
    switch (key) {
      case "server_no_context_takeover":
      case "client_no_context_takeover":
        if (value !== true) throw new Error(`Invalid value for parameter "${key}": ${value}`);
        break;
      case "client_max_window_bits":
      case "server_max_window_bits": {
        if (value === true && key === "client_max_window_bits") break;
        const bits = Number(value);
        if (value === true || !Number.isInteger(bits) || bits < 8 || bits > 15) {
          throw new Error(`Invalid value for parameter "${key}": ${value}`);
        }
        parameters.set(key, bits);
        break;
      }
      default:
        throw new Error(`Unknown parameter "${key}"`);
    }
  }
  return parameters;
}

function isAcceptable(offer, options) {
  const { serverNoContextTakeover, serverMaxWindowBits, clientMaxWindowBits } = options;
  if (serverNoContextTakeover === false && offer.has("server_no_context_takeover")) return false;
  const serverBits = offer.get("server_max_window_bits");
  if (serverBits !== undefined) {
    if (serverMaxWindowBits === false || serverMaxWindowBits > serverBits) return false;
  }
  if (typeof clientMaxWindowBits === "number") {
    const clientBits = offer.get("client_max_window_bits");
    if (clientBits === undefined || (clientBits !== true && clientMaxWindowBits > clientBits)) return false;
  }
  return true;
}

function answer(offer, options) {
  if (options.serverNoContextTakeover) offer.set("server_no_context_takeover", true);
  if (options.clientNoContextTakeover) offer.set("client_no_context_takeover", true);
  if (typeof options.serverMaxWindowBits === "number") {
    offer.set("server_max_window_bits", options.serverMaxWindowBits);
  }
  if (typeof options.clientMaxWindowBits === "number") {
    offer.set("client_max_window_bits", options.clientMaxWindowBits);
  } else if (offer.get("client_max_window_bits") === true || options.clientMaxWindowBits === false) {
    offer.delete("client_max_window_bits");
  }
  let response = NAME;
  for (const [key, value] of offer) response += value === true ? `; ${key}` : `; ${key}=${value}`;
  const serverBits = offer.get("server_max_window_bits") ?? DEFAULT_WINDOW_BITS;
  const clientBits = offer.get("client_max_window_bits") ?? DEFAULT_WINDOW_BITS;
  const agreed =
    serverBits |
    (clientBits << 4) |
    (offer.has("server_no_context_takeover") ? 256 : 0) |
    (offer.has("client_no_context_takeover") ? 512 : 0);
  return { response, agreed };
}

module.exports = { negotiate };
