"use strict";

const crypto = require("node:crypto");

/** One DER element: tag, length, content. */
function der(tag, ...parts) {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

const sequence = (...parts) => der(0x30, ...parts);
const oid = (hex) => der(0x06, Buffer.from(hex, "hex"));
const integer = (...bytes) => der(0x02, Buffer.from(bytes));

const COMMON_NAME = oid("550403");
const SUBJECT_ALT_NAME = oid("551d11");
const BASIC_CONSTRAINTS = oid("551d13");

/** Kinds of keys: how one is made, and how it signs a certificate. */
const KINDS = {
  "P-256": {
    make: () => crypto.generateKeyPairSync("ec", { namedCurve: "P-256" }),
    algorithm: sequence(oid("2a8648ce3d040302")),
    hash: "sha256",
  },
  "P-384": {
    make: () => crypto.generateKeyPairSync("ec", { namedCurve: "P-384" }),
    algorithm: sequence(oid("2a8648ce3d040303")),
    hash: "sha384",
  },
  RSA: {
    make: () => crypto.generateKeyPairSync("rsa", { modulusLength: 2048 }),
    algorithm: sequence(oid("2a864886f70d01010b"), der(0x05)),
    hash: "sha256",
  },
  Ed25519: {
    make: () => crypto.generateKeyPairSync("ed25519"),
    algorithm: sequence(oid("2b6570")),
    hash: null,
  },
};

/** 20250101000000Z, the form that UTCTime wants. */
function utcTime(date) {
  const text = date.toISOString().replace(/[-:T]|\.\d+/g, "");
  return der(0x17, Buffer.from(text.slice(2)));
}

/**
 * Makes a certificate for localhost, so that no key lies in the repository and no openssl is needed.
 *
 * @param {{ kind?: string, name?: string, issuer?: object, isAuthority?: boolean }} [options] `kind`: of its key, see
 *   `KINDS`; `issuer`: what this has returned for another; else it is self-signed
 * @returns {{ key: string, cert: string }} both as PEM
 */
function certificateFor({ kind = "P-256", name = "localhost", issuer, isAuthority = false } = {}) {
  const { privateKey, publicKey } = KINDS[kind].make();
  const own = { kind, privateKey, subject: nameOf(name) };
  const { subject: issuerName, privateKey: signingKey, kind: signedBy } = issuer?.[kOwn] ?? own;
  const { algorithm, hash } = KINDS[signedBy];
  const day = 24 * 3600 * 1000;
  const altNames = sequence(der(0x82, Buffer.from("localhost")), der(0x87, Buffer.from([127, 0, 0, 1])));
  const constraints = sequence(der(0x01, Buffer.from([0xff])));
  const extension = isAuthority
    ? sequence(BASIC_CONSTRAINTS, der(0x01, Buffer.from([0xff])), der(0x04, constraints))
    : sequence(SUBJECT_ALT_NAME, der(0x04, altNames));
  const toBeSigned = sequence(
    der(0xa0, integer(2)),
    integer(1, ...crypto.randomBytes(8)),
    algorithm,
    issuerName,
    sequence(utcTime(new Date(Date.now() - day)), utcTime(new Date(Date.now() + day))),
    own.subject,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(extension)),
  );
  const signature = crypto.sign(hash, toBeSigned, signingKey);
  const certificate = sequence(toBeSigned, algorithm, der(0x03, Buffer.from([0]), signature));
  const base64 = certificate
    .toString("base64")
    .match(/.{1,64}/g)
    .join("\n");
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }),
    cert: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
    [kOwn]: own,
  };
}

/** The certificates that somebody has withdrawn: none. */
function revocationList(issuer) {
  const { subject, privateKey, kind } = issuer[kOwn];
  const { algorithm, hash } = KINDS[kind];
  const toBeSigned = sequence(integer(1), algorithm, subject, utcTime(new Date(Date.now() - 60_000)));
  const signature = crypto.sign(hash, toBeSigned, privateKey);
  const list = sequence(toBeSigned, algorithm, der(0x03, Buffer.from([0]), signature));
  return `-----BEGIN X509 CRL-----\n${list.toString("base64")}\n-----END X509 CRL-----\n`;
}

/** Of a certificate: what those that it issues are made with. */
const kOwn = Symbol("own");

function nameOf(name) {
  return sequence(der(0x31, sequence(COMMON_NAME, der(0x0c, Buffer.from(name)))));
}

/** One that has signed itself. */
function selfSigned(kind) {
  return certificateFor({ kind });
}

module.exports = { certificateFor, revocationList, selfSigned };
