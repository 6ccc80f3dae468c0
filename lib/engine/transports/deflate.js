"use strict";

/**
 * The negotiation of permessage-deflate (RFC 7692 section 7.1), which is that of ws. The compression itself happens in the
 * worker.
 */

// Bun has a ws of its own, which lacks these
const { PerMessageDeflate, extension } = require("ws");

const NAME = "permessage-deflate";

/** The size of a window if nothing else has been agreed on, as a logarithm. */
const DEFAULT_WINDOW_BITS = 15;

/**
 * Answers a client's offers.
 *
 * @param {string|undefined} header - the value of Sec-WebSocket-Extensions
 * @param {object} options - the option `perMessageDeflate`: serverNoContextTakeover, clientNoContextTakeover,
 *   serverMaxWindowBits, clientMaxWindowBits
 * @returns {{ response: string, agreed: number }|undefined} the value for the answer, and what was agreed on as the
 *   native engine wants it; nothing if the client does not offer the extension, or ws does not have it
 * @throws {Error} when an offer is malformed, or none can be accepted
 */
function negotiate(header, options) {
  if (header === undefined || PerMessageDeflate === undefined) return undefined;
  const offers = extension.parse(header)[NAME];
  if (offers === undefined) return undefined;
  const params = new PerMessageDeflate({ ...options, isServer: true }).accept(offers);
  const agreed =
    (params.server_max_window_bits ?? DEFAULT_WINDOW_BITS) |
    ((params.client_max_window_bits ?? DEFAULT_WINDOW_BITS) << 4) |
    (params.server_no_context_takeover ? 256 : 0) |
    (params.client_no_context_takeover ? 512 : 0);
  return { response: extension.format({ [NAME]: [params] }), agreed };
}

module.exports = { negotiate };
