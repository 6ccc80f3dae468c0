"use strict";

/**
 * The errors of handshakes that workers have begun, as OpenSSL would call them.
 */

const { constants } = require("os");
const { isOpenSslNewer } = require("./internals");

/** What the descriptions of alerts are called (RFC 8446 section 6). */
const ALERTS = {
  10: "sslv3 alert unexpected message",
  20: "sslv3 alert bad record mac",
  21: "tlsv1 alert decryption failed",
  22: "tlsv1 alert record overflow",
  30: "sslv3 alert decompression failure",
  40: "sslv3 alert handshake failure",
  41: "sslv3 alert no certificate",
  42: "sslv3 alert bad certificate",
  43: "sslv3 alert unsupported certificate",
  44: "sslv3 alert certificate revoked",
  45: "sslv3 alert certificate expired",
  46: "sslv3 alert certificate unknown",
  47: "sslv3 alert illegal parameter",
  48: "tlsv1 alert unknown ca",
  49: "tlsv1 alert access denied",
  50: "tlsv1 alert decode error",
  51: "tlsv1 alert decrypt error",
  70: "tlsv1 alert protocol version",
  71: "tlsv1 alert insufficient security",
  80: "tlsv1 alert internal error",
  86: "tlsv1 alert inappropriate fallback",
  90: "tlsv1 alert user cancelled",
  100: "tlsv1 alert no renegotiation",
  109: "tlsv13 alert missing extension",
  110: "tlsv1 unsupported extension",
  112: "tlsv1 unrecognized name",
  115: "tlsv1 alert unknown psk identity",
  116: "tlsv13 alert certificate required",
  120: "tlsv1 alert no application protocol",
};

/** OpenSSL's number of an alert that was received is this one, and that of the alert. */
const RECEIVED = 0x0a0003e8;

/** The first of the codes that stand for alerts: see `Refusal` in src/worker/event.rs. */
const FIRST_ALERT = 256;

const TOO_SLOW = 3;
const WRONG_VERSION = 6;
const BAD_TYPE = 7;

/** What a code is in the lowest bits of; above them is which version was agreed on. */
const CODE = 0xfff;

/** Other codes, by what the error is like. */
const FAILURES = {
  1: () => Object.assign(new Error("socket hang up"), { code: "ECONNRESET" }),
  2: () =>
    Object.assign(new Error("read ECONNRESET"), {
      errno: -constants.errno.ECONNRESET,
      code: "ECONNRESET",
      syscall: "read",
    }),
  [TOO_SLOW]: () => Object.assign(new Error("TLS handshake timeout"), { code: "ERR_TLS_HANDSHAKE_TIMEOUT" }),
  4: () => sslError(0x0a000119, "decryption failed or bad record mac"),
  5: () => sslError(0x0a0000f4, "unexpected message"),
  [WRONG_VERSION]: () => sslError(0x0a00010b, "wrong version number"),
  [BAD_TYPE]: () => sslError(0x0a0001bb, "bad record type"),
  8: () => sslError(0x1c8000a4, "failed during derivation", "Provider routines"),
};

/**
 * @param {number} refusal - why a handshake has failed: see `Refusal` in src/worker/event.rs
 * @returns {Error} what `tlsClientError` is emitted with
 */
function handshakeError(refusal) {
  const code = refusal & CODE;
  if (IS_NEW && code === WRONG_VERSION && refusal >> 12 === OF_1_3) return FAILURES[BAD_TYPE]();
  if (code < FIRST_ALERT) return FAILURES[code]();
  const alert = code - FIRST_ALERT;
  const name = ALERTS[alert] ?? `alert number ${alert}`;
  return sslError(RECEIVED + alert, IS_NEW ? name.replace("sslv3", "ssl/tls") : name);
}

/** Of a refusal, above its code: TLS 1.3 was agreed on. */
const OF_1_3 = 2;

/** Whether this OpenSSL has the names of 3.5, which looks at the type of a record of TLS 1.3 before its version. */
const IS_NEW = isOpenSslNewer(3, 5);

/** Whether a handshake was given up because nothing came of it. */
function isTooSlow(refusal) {
  return (refusal & CODE) === TOO_SLOW;
}

/** Whether it is still known who the client was whose handshake has failed. */
function isRemembered(refusal) {
  return (refusal & CODE) > TOO_SLOW;
}

function sslError(number, reason, library = "SSL routines") {
  const hex = number.toString(16).toUpperCase().padStart(8, "0");
  const error = new Error(`error:${hex}:${library}::${reason}`);
  const code = `ERR_SSL_${reason.toUpperCase().replace(/ /g, "_")}`;
  return Object.assign(error, { library, reason, code });
}

/** What is known of a TLS session of which nothing has come. */
class RefusedFacts {
  /** @param {number} refusal */
  constructor(refusal) {
    this._version = refusal >> 12;
    this.servername = null;
    this.alpnProtocol = null;
    this.certificate = undefined;
    this.isReused = false;
    this.cipher = undefined;
  }

  /** Which version of the protocol was agreed on, if any was. */
  get protocol() {
    return [null, "TLSv1.2", "TLSv1.3"][this._version];
  }
}

module.exports = { RefusedFacts, handshakeError, isRemembered, isTooSlow };
