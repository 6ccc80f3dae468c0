"use strict";

/**
 * What an `https.Server` has been told of TLS, as far as workers can do the same with it.
 */

const { X509Certificate, createPrivateKey, getFips } = require("crypto");
const tls = require("tls");
const { precede } = require("./entrance");
const { isOpenSslNewer, symbolOf } = require("./internals");

/** Cipher suites by OpenSSL's names; what is not here is not to be had of the workers. */
const SUITES = {
  TLS_AES_128_GCM_SHA256: 0x1301,
  TLS_AES_256_GCM_SHA384: 0x1302,
  TLS_CHACHA20_POLY1305_SHA256: 0x1303,
  "ECDHE-ECDSA-AES128-GCM-SHA256": 0xc02b,
  "ECDHE-ECDSA-AES256-GCM-SHA384": 0xc02c,
  "ECDHE-RSA-AES128-GCM-SHA256": 0xc02f,
  "ECDHE-RSA-AES256-GCM-SHA384": 0xc030,
  "ECDHE-RSA-CHACHA20-POLY1305": 0xcca8,
  "ECDHE-ECDSA-CHACHA20-POLY1305": 0xcca9,
};

/** A number that no cipher suite has. */
const UNKNOWN_SUITE = 0xffff;

/** The suites of version 1.3 that are used whatever else is asked for. */
const SUITES_1_3 = [0x1302, 0x1303, 0x1301];

/** Versions of the protocol, oldest first. */
const VERSIONS = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];

/** Milliseconds: of a shorter limit for handshakes, it could be told that it begins to count a second late. */
const SHORTEST_TIMEOUT = 10000;

/** What the protocol inside is agreed on as, if on anything (RFC 7301). */
const HTTP = Buffer.from("\x08http/1.1");

/** What changes how TLS is spoken in a way that workers do not know; each has to be unset. */
const UNKNOWN = [
  "pfx",
  "requestCert",
  "ALPNCallback",
  "crl",
  "secureOptions",
  "secureProtocol",
  "sessionTimeout",
  "sigalgs",
  "ticketKeys",
  "clientCertEngine",
  "privateKeyEngine",
  "privateKeyIdentifier",
];

/** The same for what is kept under symbols, which have to be there. */
const UNKNOWN_SYMBOLS = ["snicallback", "pskcallback", "enableTrace"];

/** Events by which the application takes part in handshakes. */
const EVENTS = ["newSession", "resumeSession", "OCSPRequest", "keylog"];

/** The terms of one server: they are made again when its certificate is replaced. */
class TlsTermsOf {
  /**
   * @param {https.Server} httpServer
   * @param {function(new: TlsTerms, object)} TlsTerms - of the native addon
   */
  constructor(httpServer, TlsTerms) {
    this.httpServer = httpServer;
    this._TlsTerms = TlsTerms;
    /** What they were made of. */
    this._credentials = undefined;
    this._terms = undefined;
    /** Why there are none; undefined: there are. */
    this.obstacle = undefined;
    /** Whether the application has asked for the keys of tickets, which workers do not have. */
    this._hasTicketKeys = false;
    /** The server's certificate. */
    this.certificate = undefined;
    for (const name of ["getTicketKeys", "setTicketKeys"]) {
      precede(httpServer, name, () => (this._hasTicketKeys = true));
    }
  }

  /**
   * @returns {TlsTerms|undefined} on what terms the next connection is spoken to; undefined: Node speaks to it, see
   *   `obstacle`
   */
  get current() {
    const { httpServer } = this;
    if (httpServer._sharedCreds !== this._credentials) {
      this._credentials = httpServer._sharedCreds;
      this._make();
    }
    if (this._terms === undefined) return undefined;
    return this._findDisturbance() === undefined ? this._terms : undefined;
  }

  /** What may come and go without a new certificate. */
  _findDisturbance() {
    const { httpServer } = this;
    const listened = EVENTS.find((event) => httpServer.listenerCount(event) > 0);
    if (listened !== undefined) return `somebody listens for ${listened}`;
    if (httpServer._contexts.length > 0) return "there are certificates for several hosts";
    if (this._hasTicketKeys) return "the application has keys for tickets";
    return undefined;
  }

  _make() {
    const { httpServer, _TlsTerms: TlsTerms } = this;
    this._terms = undefined;
    this.certificate = undefined;
    this.obstacle = findObstacle(httpServer);
    if (this.obstacle !== undefined) return;
    try {
      const chain = chainOf(httpServer);
      this._terms = new TlsTerms({
        ...versionsOf(httpServer),
        key: keyOf(httpServer),
        chain: chain.map(({ raw }) => raw),
        ciphers: suitesOf(httpServer),
        // OpenSSL does from 3.5 on
        prefersHybrid: isOpenSslNewer(3, 5),
        handshakeTimeout: timeoutOf(httpServer),
      });
      [this.certificate] = chain;
    } catch (error) {
      this.obstacle = error.message;
    }
  }

  /** In words, why Node speaks to clients. */
  why() {
    return this.obstacle ?? this._findDisturbance();
  }
}

function findObstacle(httpServer) {
  const { env, execArgv } = process;
  if (httpServer._sharedCreds === undefined) return "there is no certificate";
  if (!/^3\./.test(process.versions.openssl))
    return "the runtime has another OpenSSL than ours is compared with";
  if (getFips() !== 0) return "the runtime keeps to FIPS 140";
  if (env.OPENSSL_CONF || execArgv.some((it) => it.startsWith("--openssl")))
    return "OpenSSL has a configuration";
  const option = UNKNOWN.find((name) => Boolean(httpServer[name]));
  if (option !== undefined) return `the server has the option ${option}`;
  for (const name of UNKNOWN_SYMBOLS) {
    const symbol = symbolOf(httpServer, name);
    if (symbol === undefined || Boolean(httpServer[symbol])) return `the server may have the option ${name}`;
  }
  const { ecdhCurve = tls.DEFAULT_ECDH_CURVE, honorCipherOrder, ALPNProtocols } = httpServer;
  if (ecdhCurve !== "auto") return "the server has the option ecdhCurve";
  if (!honorCipherOrder) return "the server has the option honorCipherOrder";
  if (!(ALPNProtocols instanceof Uint8Array) || !HTTP.equals(ALPNProtocols)) {
    return "the server has the option ALPNProtocols";
  }
  if (!(timeoutOf(httpServer) >= SHORTEST_TIMEOUT)) return "the server has a short handshakeTimeout";
  return undefined;
}

function timeoutOf(httpServer) {
  return httpServer[symbolOf(httpServer, "handshake-timeout")];
}

/** @throws {Error} when there is not exactly one */
function onlyOne(what, values) {
  if (!Array.isArray(values)) return values;
  if (values.length !== 1) throw new Error(`the server has several of the option ${what}`);
  return values[0];
}

/** @throws {Error} when there is no key, or none that can be read */
function keyOf({ key, passphrase }) {
  const one = onlyOne("key", key);
  const pem = one?.pem ?? one;
  const own = one?.passphrase ?? passphrase;
  return createPrivateKey({ key: pem, passphrase: own }).export({ type: "pkcs8", format: "der" });
}

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function certificatesIn(pem) {
  return (String(pem).match(PEM) ?? []).map((text) => new X509Certificate(text));
}

/**
 * The certificates that clients are shown.
 * @throws {Error} when there is none, or none that can be read
 */
function chainOf({ cert, ca }) {
  const chain = certificatesIn(onlyOne("cert", cert));
  if (chain.length === 0) throw new Error("the server has no certificate in PEM");
  if (chain.length === 1) {
    // OpenSSL looks for the others among those that it trusts
    const others = [ca].flat(Infinity).flatMap(certificatesIn);
    for (let last = chain[0]; !isSelfSigned(last); [last] = chain.slice(-1)) {
      const issuer = others.find((it) => !chain.includes(it) && last.checkIssued(it));
      if (issuer === undefined) break;
      chain.push(issuer);
    }
  }
  return chain;
}

function isSelfSigned(certificate) {
  return certificate.checkIssued(certificate);
}

/** Which versions of the protocol the server speaks, of those that workers speak. */
function versionsOf({ minVersion = tls.DEFAULT_MIN_VERSION, maxVersion = tls.DEFAULT_MAX_VERSION }) {
  const [from, to] = [VERSIONS.indexOf(minVersion), VERSIONS.indexOf(maxVersion)];
  const has = (version) => from <= VERSIONS.indexOf(version) && VERSIONS.indexOf(version) <= to;
  return { has12: has("TLSv1.2"), has13: has("TLSv1.3") };
}

/** The cipher suites of the server, best first, up to where it cannot be told what comes next. */
function suitesOf({ ciphers = tls.DEFAULT_CIPHERS }) {
  const names = ciphers.split(":");
  const numbers = [];
  for (const name of names) {
    const number = SUITES[name];
    numbers.push(number ?? UNKNOWN_SUITE);
    if (number === undefined) break;
  }
  return names.some((name) => name.startsWith("TLS_")) ? numbers : [...SUITES_1_3, ...numbers];
}

/** Cipher suites by their numbers, as `getCipher()` tells of them. */
const CIPHERS = new Map(
  Object.entries(SUITES).map(([name, number]) => {
    const isNew = name.startsWith("TLS_");
    const standardName = isNew ? name : standardNameOf(name);
    return [number, { name, standardName, version: isNew ? "TLSv1.3" : "TLSv1.2" }];
  }),
);

/** The IANA's name of a suite of version 1.2. */
function standardNameOf(name) {
  const [exchange, signature, ...rest] = name.split("-");
  const cipher = rest.join("_").replace("AES128", "AES_128").replace("AES256", "AES_256");
  return `TLS_${exchange}_${signature}_WITH_${cipher}${cipher.endsWith("POLY1305") ? "_SHA256" : ""}`;
}

const HAS_1_3 = 1 << 17;
const IS_REUSED = 1 << 18;
const HAS_PROTOCOL = 1 << 19;

/** What is known of the TLS session that a connection has. */
class TlsFacts {
  /**
   * @param {number} word - see `security_word` in src/worker/event.rs
   * @param {string} host - which the client wants to reach; empty if it has not said so
   * @param {X509Certificate|undefined} certificate - the server's
   */
  constructor(word, host, certificate) {
    this._word = word;
    this._host = host;
    this.certificate = certificate;
  }

  get servername() {
    return this._host || false;
  }

  get alpnProtocol() {
    return (this._word & HAS_PROTOCOL) !== 0 && "http/1.1";
  }

  get protocol() {
    return (this._word & HAS_1_3) !== 0 ? "TLSv1.3" : "TLSv1.2";
  }

  get isReused() {
    return (this._word & IS_REUSED) !== 0;
  }

  get cipher() {
    return { ...CIPHERS.get(this._word & 0xffff) };
  }
}

module.exports = { TlsFacts, TlsTermsOf };
