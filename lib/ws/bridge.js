"use strict";

const { limitsOf } = require("../engine/limits");
const {
  boundOf,
  deflateSettings,
  outboundOptions,
  rateOptions,
  refuseOption,
  workersOf,
} = require("../engine/options");
const { Bridge } = require("../native/bridge");

/** Milliseconds between two pings, and that a client has to answer one, if heartbeats are on. */
const HEARTBEAT = { interval: 30_000, timeout: 30_000 };

/** What of the limits of Socket.IO's side there is here. */
const RATES = ["packetsPerSecond", "bytesPerSecond", "burst", "action"];

const MOST_FRAGMENTS = 2 ** 32 - 1;

/** The limits, of which there may be no others. */
function only(names, limits) {
  if (limits == null) return undefined;
  for (const name in limits) {
    if (!names.includes(name)) {
      const known = names.join('", "');
      throw new TypeError(`"limits.${name}" is none of "${known}"`);
    }
  }
  return limits;
}

/** How clients are pinged, if they are. */
function heartbeatOf(options) {
  const { heartbeat } = options;
  if (heartbeat == null || typeof heartbeat === "boolean") return HEARTBEAT;
  if (typeof heartbeat !== "object") {
    refuseOption(options, "heartbeat", "true, or an object with interval, timeout");
  }
  return { ...HEARTBEAT, ...heartbeat };
}

/** The value of an option of ws that is a number, as it takes it. */
function numberOf(options, name) {
  const value = Number(options[name] ?? 0);
  if (Number.isNaN(value)) refuseOption(options, name, "a number");
  return Math.max(0, value);
}

/**
 * The way to the workers of a server of WebSockets.
 * @param {WebSocketServer} server
 * @param {object} options - of it
 * @returns {Bridge}
 * @throws {TypeError} when one makes no sense
 */
function bridgeOf(server, options) {
  const heartbeat = heartbeatOf(options);
  return new Bridge(server, {
    workers: workersOf(options),
    pingInterval: boundOf(heartbeat, "interval", "a positive number of milliseconds"),
    pingTimeout: boundOf(heartbeat, "timeout", "a positive number of milliseconds"),
    upgradeTimeout: 0,
    raw: {
      closeTimeout: numberOf(options, "closeTimeout"),
      pings: Boolean(options.heartbeat),
      answersPings: Boolean(options.autoPong),
      maxFragments: numberOf(options, "maxFragments") || MOST_FRAGMENTS,
      isLax: Boolean(options.skipUTF8Validation),
    },
    maxPayload: numberOf(options, "maxPayload") || Infinity,
    limits: "",
    parsePackets: false,
    ...outboundOptions(options),
    ...rateOptions(limitsOf(only(RATES, options.limits), true)),
    maxSessionAge: Infinity,
    idleTimeout: Infinity,
    deflate: deflateSettings(options.perMessageDeflate),
  });
}

module.exports = { bridgeOf };
