"use strict";

// What clients may do, at the most: the option `limits`. How many packets and bytes a client sends is for the workers to
// count, see src/worker/traffic.rs; who may come is decided here.

const { BlockList, isIP } = require("node:net");
const { actions } = require("../native/codes");
const { Members } = require("./members");

const ACTIONS = new Map([
  ["pause", actions.PAUSE],
  ["drop", actions.DROP],
  ["close", actions.CLOSE],
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

/** Addresses of which handshakes are counted at a time, before those are looked at that need not be remembered. */
const MANY_ADDRESSES = 10_000;

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
  for (const entry of trusted) {
    const [address, prefix] = String(entry).split("/");
    const version = isIP(address);
    if (version === 0) members.refuse(".proxies.trusted", "an array of addresses and networks", entry);
    const family = `ipv${version}`;
    if (prefix === undefined) list.addAddress(address, family);
    else list.addSubnet(address, Number(prefix), family);
  }
  return { header: header.toLowerCase(), list };
}

/** What may still come: it fills itself with time. */
class Bucket {
  constructor(rate, burst) {
    this.rate = rate;
    this.capacity = Math.max(1, rate * burst);
    this.tokens = this.capacity;
    this.since = performance.now();
  }

  /** Whether there is something in it. */
  get isOpen() {
    this._fill();
    return this.tokens >= 1;
  }

  /** Whether it is as if it were new. */
  get isFull() {
    this._fill();
    return this.tokens >= this.capacity;
  }

  take() {
    this.tokens--;
  }

  _fill() {
    if (this.rate === Infinity) return;
    const now = performance.now();
    this.tokens = Math.min(this.capacity, this.tokens + ((now - this.since) / 1000) * this.rate);
    this.since = now;
  }
}

/** Lets sessions in, as far as the limits for addresses and handshakes allow. */
class Gate {
  /** @param {object} limits - see `limitsOf()` */
  constructor(limits) {
    this._limits = limits;
    this._handshakes = new Bucket(limits.handshakesPerSecond, limits.burst);
    /** How many sessions there are of each address. */
    this._sessions = new Map();
    /** The handshakes of each address. */
    this._buckets = new Map();
    /** With how many of these, those are forgotten that say nothing. */
    this._sweepAt = MANY_ADDRESSES;
    /** The address that each session is counted for. */
    this._addresses = new WeakMap();
  }

  /**
   * Whether somebody limits who may come.
   * @param {object} limits - see `limitsOf()`
   */
  static isNeeded({ connectionsPerAddress, handshakesPerSecond, handshakesPerSecondPerAddress }) {
    return Math.min(connectionsPerAddress, handshakesPerSecond, handshakesPerSecondPerAddress) !== Infinity;
  }

  /**
   * Which limit is against another session.
   * @param {string} address - see `addressBehind()`
   * @returns {string|undefined} its name
   */
  obstacle(address) {
    const { connectionsPerAddress } = this._limits;
    if ((this._sessions.get(address) ?? 0) >= connectionsPerAddress) return "connectionsPerAddress";
    if (!this._handshakes.isOpen) return "handshakesPerSecond";
    if (this._buckets.get(address)?.isOpen === false) return "handshakesPerSecondPerAddress";
    return undefined;
  }

  /** A session has begun. */
  enter(conn, address) {
    const { handshakesPerSecondPerAddress: rate, burst } = this._limits;
    this._addresses.set(conn, address);
    this._sessions.set(address, (this._sessions.get(address) ?? 0) + 1);
    this._handshakes.take();
    if (rate === Infinity) return;
    if (!this._buckets.has(address)) {
      if (this._buckets.size >= this._sweepAt) this._forgetFull();
      this._buckets.set(address, new Bucket(rate, burst));
    }
    this._buckets.get(address).take();
  }

  /** A session has ended. */
  leave(conn) {
    const address = this._addresses.get(conn);
    const count = this._sessions.get(address);
    if (count === undefined) return;
    this._addresses.delete(conn);
    if (count === 1) this._sessions.delete(address);
    else this._sessions.set(address, count - 1);
  }

  _forgetFull() {
    for (const [address, bucket] of this._buckets) if (bucket.isFull) this._buckets.delete(address);
    this._sweepAt = Math.max(MANY_ADDRESSES, 2 * this._buckets.size);
  }
}

/**
 * Whom a request comes from: its peer, or, if that is a proxy that is trusted, whom the proxies say.
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

module.exports = { Gate, addressBehind, limitsOf };
