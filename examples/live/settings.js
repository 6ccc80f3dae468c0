"use strict";

// What both servers and their clients go by, and what the page says of it.

/** How the servers are told to run. All else is their default. */
const serverOptions = {
  // A tenth of the defaults (25 s and 20 s), so that a block of 5 s does what one of 50 s would do with those.
  pingInterval: 2500,
  pingTimeout: 2000,
};

/** What the clients do. Each has a room, in which it says something now and then, and sometimes wants an answer. */
const load = {
  roomSize: 50,
  /** ms between two messages of a client to its room */
  sayEvery: 10_000,
  /** ms between two messages of a client that only the server answers */
  echoEvery: 5_000,
  /** clients that begin to connect in a second, at the most */
  connectsPerSecond: 500,
  /** clients that may be about to connect at the same time */
  connectsAtOnce: 100,
};

const limits = {
  clientsAtFirst: 200,
  clientsMore: 1000,
  maxClients: 5_000,
  /** ms that the event loop is blocked for */
  block: 5_000,
  /** ms from one look at all figures to the next */
  interval: 500,
  /** looks that are kept for whoever opens the page */
  history: 120,
  /** ms that everything goes on when nobody looks any more: a page that is reloaded finds it as it was */
  patience: 10_000,
};

/** Descriptors that a process needs for other things than clients. */
const RESERVED_DESCRIPTORS = 200;

/**
 * How many clients there may be: each has a descriptor in the process of its server, and one in that of the clients.
 *
 * @param {number} wanted
 * @param {number} descriptors what a process may have
 */
function clientLimit(wanted, descriptors) {
  return Math.max(0, Math.min(wanted, descriptors - RESERVED_DESCRIPTORS));
}

/** @returns {number} the soft limit, which Node has raised to the hard one for itself and its children */
function descriptorLimit() {
  process.report.excludeNetwork = true; // else names are looked up
  const soft = process.report.getReport().userLimits?.open_files.soft;
  return Number.isFinite(Number(soft)) ? Number(soft) : Infinity;
}

module.exports = { serverOptions, load, limits, clientLimit, descriptorLimit };
