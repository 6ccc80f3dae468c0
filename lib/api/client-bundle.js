"use strict";

/**
 * Serves the builds of socket.io-client, for pages that load the client from the server.
 */

const fs = require("node:fs");
const path = require("node:path");
const { pipeline } = require("node:stream");
const zlib = require("node:zlib");
const accepts = require("accepts");
const debug = require("debug")("socket.io:server");

const DIRECTORY = path.join(__dirname, "../../client-dist");

const FILES = new Set(
  ["socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js"].flatMap((file) => [
    file,
    file + ".map",
  ]),
);

const COMPRESSORS = {
  br: zlib.createBrotliCompress,
  gzip: zlib.createGzip,
  deflate: zlib.createDeflate,
};

/**
 * @private
 * @param {string} file
 * @returns {boolean}
 */
function isClientFile(file) {
  return FILES.has(file);
}

/**
 * Answers a request for one of the files.
 *
 * @private
 * @param {string} file
 * @param {import("node:http").IncomingMessage} req
 * @param {import("node:http").ServerResponse} res
 * @param {typeof sendFile} send - sends the body
 */
function serve(file, req, res, send) {
  const etag = `"${clientVersion()}"`;
  const known = req.headers["if-none-match"];
  if (known === etag || known === "W/" + etag) {
    debug("%s has not changed", file);
    res.writeHead(304);
    res.end();
    return;
  }
  debug("serving %s", file);
  const type = file.endsWith(".map") ? "json" : "javascript";
  res.setHeader("Cache-Control", "public, max-age=0");
  res.setHeader("Content-Type", `application/${type}; charset=utf-8`);
  res.setHeader("ETag", etag);
  send(file, req, res);
}

/**
 * Sends the body of one of the files, compressed as the client likes it.
 *
 * @private
 * @param {string} file
 * @param {import("node:http").IncomingMessage} req
 * @param {import("node:http").ServerResponse} res
 */
function sendFile(file, req, res) {
  if (!fs.existsSync(DIRECTORY)) {
    refuse(res);
    return;
  }
  const encoding = accepts(req).encodings(Object.keys(COMPRESSORS));
  const source = fs.createReadStream(path.join(DIRECTORY, file));
  const end = (err) => {
    if (err) {
      res.end();
    }
  };
  if (encoding in COMPRESSORS) {
    res.writeHead(200, { "content-encoding": encoding });
    pipeline(source, COMPRESSORS[encoding](), res, end);
  } else {
    res.writeHead(200);
    pipeline(source, res, end);
  }
}

module.exports = { isClientFile, serve, sendFile };

let version;

/** The version that the served client names in its first lines. */
function clientVersion() {
  if (version === undefined) {
    try {
      const source = fs.readFileSync(path.join(DIRECTORY, "socket.io.js"), "utf8");
      version = /^ \* Socket\.IO v(\S+)$/m.exec(source)[1];
    } catch {
      // none there: whoever has replaced Server.sendFile still gets an ETag that changes with the package
      version = require("../../package.json").version;
    }
  }
  return version;
}

/** In a checkout, the files are the product of the build. */
function refuse(res) {
  const message =
    "The builds of socket.io-client are missing: run `npm run build`, or set the option serveClient to false.";
  process.emitWarning(message);
  res.removeHeader("ETag");
  res.writeHead(500, { "Content-Type": "text/plain; charset=utf-8" });
  res.end(message);
}
