"use strict";

// What clients may do, at the most: the option `limits`. How many packets and bytes a client sends is for the workers to
// count, see src/worker/traffic.rs; so is who may come, see src/worker/gate.rs and gate.js.

const { BlockList, isIP } = require("node:net");
const codes = require("../native/codes");
const { Members } = require("./members");

const ACTIONS = new Map([
  ["pause", codes.actions.PAUSE],
  ["drop", codes.actions.DROP],
  ["close", codes.actions.CLOSE],
]);

/** The members of the option that are numbers, and what they are without it. */
const NUMBERS = {
  packetsPerSecond: Infinity,
  bytesPerSecond: Infinity,
  burst: 1,
  namespaces: Infinity,
  unansweredAcks: Infinity,
  connectionsPerAddress: Infinity,
  handshakesPerSecond: Infinity,
  handshakesPerSecondPerAddress: Infinity,
};

/**
 * The option, with everything in it.
 * @param {object} [options]
 * @param {boolean} canDrop - whether the workers know which packets belong together
 * @returns {object} its numbers, `action` and `proxies`
 * @throws {TypeError} if it makes no sense
 */
function limitsOf(options = {}, canDrop) {
  const members = new Members("limits", options);
  const limits = {};
  for (const name in NUMBERS) limits[name] = members.positive(name, "a positive number", NUMBERS[name]);
  const action = members.choice("action", ACTIONS, "pause");
  if (action === "drop" && !canDrop) {
    members.refuse(".action", '"pause" or "close" with a custom parser', action);
  }
  limits.action = action;
  limits.actionCode = ACTIONS.get(action);
  limits.proxies = options.proxies === undefined ? undefined : proxiesOf(members, options.proxies);
  return limits;
}

/** Who may say for whom a request comes, and in which header. */
function proxiesOf(members, options) {
  const { header = "x-forwarded-for", trusted } = options ?? {};
  if (typeof header !== "string") members.refuse(".proxies.header", "the name of a header", header);
  if (!Array.isArray(trusted))
    members.refuse(".proxies.trusted", "an array of addresses and networks", trusted);
  const list = new BlockList();
  const networks = [];
  for (const entry of trusted) {
    const [address, prefix] = String(entry).split("/");
    const version = isIP(address);
    if (version === 0) members.refuse(".proxies.trusted", "an array of addresses and networks", entry);
    const family = `ipv${version}`;
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
    networks.push(prefix === undefined ? address : `${address}/${Number(prefix)}`);
  }
  return { header: header.toLowerCase(), list, networks };
}

/**
 * Whom a request comes from: its peer, or, if that is a proxy that is trusted, whom the proxies say. For requests that workers
 * refuse by themselves, src/protocol/http/forwarded.rs has the same rules.
 * @param {object|undefined} proxies - see `limitsOf()`
 * @param {string} peer - the address of the other end of the connection
 * @param {function(string): string|undefined} header - the value of a header
 * @returns {string}
 */
function addressBehind(proxies, peer, header) {
  let address = plain(peer);
  if (proxies === undefined) return address;
  // a Unix socket has no address: who can write to it is a proxy of this machine
  const isLocal = address === "";
  const said = (header(proxies.header) ?? "").split(",").map((part) => plain(withoutPort(part.trim())));
  // the last one is what the proxy next to us has seen
  while (isTrusted(proxies.list, address) || (isLocal && address === "")) {
    const before = said.pop();
    if (before === undefined || isIP(before) === 0) break;
    address = before;
  }
  return address;
}

/** Some proxies add the port. */
function withoutPort(address) {
  return address.replace(/^\[(.+)\](:\d+)?$/, "$1").replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, "$1");
}

/** An address of IPv4 that is written as one of IPv6 is the same. */
function plain(address = "") {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice("::ffff:".length) : address;
}

function isTrusted(list, address) {
  const version = isIP(address);
  return version !== 0 && list.check(address, `ipv${version}`);
}

/** The member of the option that a client has come to with what it sends, by the number that workers have for it. */
function nameOfRate(limit) {
  return limit === codes.limits.PACKETS ? "packetsPerSecond" : "bytesPerSecond";
}

module.exports = { addressBehind, limitsOf, nameOfRate };
