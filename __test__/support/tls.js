"use strict";

// Servers over TLS, and clients that tell what they have got of them.

const { spawn, spawnSync } = require("node:child_process");
const https = require("node:https");
const net = require("node:net");
const tls = require("node:tls");
const { adopt, atEnd, connected, deferred, once, selfSigned, sio, within } = require("./harness");
const { requireStock } = require("./stock");

const stock = requireStock("socket.io");

let certificate;

/** The certificate of whoever does not care which. */
function ownCertificate() {
  certificate ??= selfSigned();
  return certificate;
}

/**
 * A Socket.IO server on an `https.Server`.
 *
 * @param {{ after: Function }} t
 * @param {object} [tlsOptions] of the `https.Server`
 * @param {{ options?: object, listener?: Function, prepare?: (httpServer: https.Server) => void, of?: object }} [how]
 *   `options`: of Socket.IO; `listener`: for requests; `prepare`: does more to the server; `of`: the package
 */
async function serveTls(t, tlsOptions, { options, listener = answer, prepare, of = sio } = {}) {
  const httpServer = https.createServer({ ...ownCertificate(), ...tlsOptions }, listener);
  const io = new of.Server(httpServer, options);
  io.on("connection", (socket) => socket.on("echo", (value, ack) => ack(value)));
  await prepare?.(httpServer, io);
  httpServer.listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  return adopt(t, io, httpServer.address().port, "https");
}

/** Says what was asked for. */
function answer(req, res) {
  res.end(`${req.method} ${req.url}`);
}

/** The same on stock and on the package under test, with what both lead to. */
async function onBoth(t, tlsOptions, how, play) {
  const results = [];
  for (const of of [stock, sio]) {
    const server = await serveTls(t, tlsOptions, { ...how, of });
    results.push(await play(server, of === stock));
  }
  return results;
}

/** A TLS connection to a server, its handshake done. */
async function dial(server, tlsOptions) {
  const socket = tls.connect({
    port: server.port,
    host: "127.0.0.1",
    rejectUnauthorized: false,
    ...tlsOptions,
  });
  server.keep(socket);
  const failed = new Promise((_, reject) => socket.once("error", reject));
  await within(Promise.race([once(socket, "secureConnect"), failed]), "the handshake");
  return socket;
}

/** What a client has got of a server. */
function termsOf(socket) {
  const { name, standardName, version } = socket.getCipher();
  return {
    protocol: socket.getProtocol(),
    cipher: [name, standardName, version],
    group: socket.getEphemeralKeyInfo(),
    alpn: socket.alpnProtocol,
    certificate: socket.getPeerCertificate().fingerprint256,
    isReused: socket.isSessionReused(),
  };
}

/**
 * Connects, asks for something and resolves with what came of it.
 *
 * @returns {Promise<object>} `refusal`: the code of what the client's attempt has failed with
 */
async function ask(server, tlsOptions, path = "/application") {
  let socket;
  try {
    socket = await dial(server, tlsOptions);
  } catch (error) {
    return { refusal: error.code };
  }
  const terms = termsOf(socket);
  socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  let answer = "";
  socket.setEncoding("utf8").on("data", (text) => (answer += text));
  await once(socket, "end");
  socket.destroy();
  return { ...terms, status: answer.slice(9, 12), body: answer.slice(answer.indexOf("\r\n\r\n") + 4) };
}

/** How many connections an HTTP server has. */
function connectionsOf({ httpServer }) {
  return new Promise((resolve, reject) => {
    httpServer.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });
}

/** The first bytes that a client of Node sends. */
async function helloOf(options) {
  const server = net.createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = tls.connect({ port: server.address().port, host: "127.0.0.1", ...options });
  client.on("error", () => {});
  const [socket] = await once(server, "connection");
  const [bytes] = await once(socket, "data");
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}

/** A client of Socket.IO is served. */
async function isServed(server, options) {
  const client = await connected(server.client("/", options));
  const answer = await client.timeout(5000).emitWithAck("echo", "served");
  client.disconnect();
  return answer === "served";
}

/** How many connections each road has had. */
function roadsOf(server) {
  const { native, node, obstacle } = server.io.engine.tlsRoads();
  const left = Object.values(node).reduce((sum, count) => sum + count, 0);
  return { native, left, node, obstacle };
}

/** Whether a program is there. */
function has(program) {
  return spawnSync(program, ["--version"], { stdio: "ignore" }).error === undefined;
}

/** Runs a program until its end, or what it says matches. */
function runProgram(t, program, args, { input, until, env, keepsInput = false } = {}) {
  const child = spawn(program, args, { stdio: "pipe", env: { ...process.env, ...env } });
  const ended = deferred();
  let output = "";
  const hear = (chunk) => {
    output += chunk;
    if (until?.test(output)) ended.resolve();
  };
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  child.on("error", ended.reject);
  child.on("close", ended.resolve);
  // who has ended does not read
  child.stdin.on("error", () => {});
  if (input !== undefined) child.stdin.write(input);
  if (!keepsInput) child.stdin.end();
  atEnd(t, () => child.kill("SIGKILL"));
  return within(ended.promise, `${program} ${args.join(" ")}`, 20_000).then(
    () => ({ output, child, hear: () => output }),
    (error) => {
      error.message += `\n${output}`;
      throw error;
    },
  );
}

module.exports = {
  ask,
  connectionsOf,
  dial,
  has,
  helloOf,
  isServed,
  onBoth,
  ownCertificate,
  roadsOf,
  runProgram,
  serveTls,
  stock,
  termsOf,
};
