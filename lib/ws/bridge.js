"use strict";

const { limitsOf } = require("../engine/limits");
const { boundOf, deflateSettings, workersOf } = require("../engine/options");
const { ruleOf } = require("../engine/slow-consumer");
const { Bridge } = require("../native/bridge");

/** Bytes from which on a message is compressed, if nothing else is said. */
const DEFLATE_THRESHOLD = 1024;

/** Milliseconds between two pings, and that a client has to answer one, if heartbeats are on. */
const HEARTBEAT = { interval: 30_000, timeout: 30_000 };

/**
 * The way to the workers of a server of WebSockets.
 * @param {WebSocketServer} server
 * @param {object} options - of it
 * @returns {Bridge}
 * @throws {TypeError} when one makes no sense
 */
function bridgeOf(server, options) {
  const { slowConsumer, perMessageDeflate } = options;
  const maxOutbound = boundOf(options, "maxOutboundBuffer", "a positive number");
  const rule = slowConsumer == null ? undefined : ruleOf(slowConsumer, maxOutbound);
  const limits = limitsOf(options.limits ?? undefined, true);
  const heartbeat = options.heartbeat === true ? HEARTBEAT : { ...HEARTBEAT, ...options.heartbeat };
  return new Bridge(server, {
    workers: workersOf(options),
    pingInterval: boundOf(heartbeat, "interval", "a positive number of milliseconds"),
    pingTimeout: boundOf(heartbeat, "timeout", "a positive number of milliseconds"),
    upgradeTimeout: 0,
    raw: {
      closeTimeout: options.closeTimeout,
      pings: Boolean(options.heartbeat),
      answersPings: Boolean(options.autoPong),
      maxFragments: options.maxFragments || 2 ** 32 - 1,
      isLax: Boolean(options.skipUTF8Validation),
    },
    maxPayload: options.maxPayload || Infinity,
    limits: "",
    parsePackets: false,
    maxOutbound: rule === undefined ? maxOutbound : Infinity,
    maxOutboundTotal: boundOf(options, "maxOutboundTotal", "a positive number"),
    slowPolicy: rule?.policy,
    slowBytes: rule?.maxBytes ?? Infinity,
    slowAge: rule?.maxAge ?? Infinity,
    packetRate: limits.packetsPerSecond,
    byteRate: limits.bytesPerSecond,
    burst: limits.burst,
    rateAction: limits.actionCode,
    maxSessionAge: Infinity,
    idleTimeout: Infinity,
    deflate: deflateSettings(perMessageDeflate && { threshold: DEFLATE_THRESHOLD, ...perMessageDeflate }),
  });
}

module.exports = { bridgeOf };
