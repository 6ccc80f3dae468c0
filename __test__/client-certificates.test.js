"use strict";

const assert = require("node:assert/strict");
const https = require("node:https");
const test = require("node:test");
const { adopt, connected, once, selfSigned, sio, within } = require("./support/harness");

const OWN = selfSigned();
const KNOWN = selfSigned();
const UNKNOWN = selfSigned();

/** A server that asks clients for a certificate. */
async function serveHttps(t, tlsOptions, options) {
  const httpServer = https.createServer({ ...OWN, requestCert: true, ca: KNOWN.cert, ...tlsOptions });
  const io = new sio.Server(httpServer, options);
  httpServer.listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  return adopt(t, io, httpServer.address().port, "https");
}

for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
  const how = transports.join(", then ");

  test(`the certificate of a client by ${how}`, async (t) => {
    let asked;
    const allowRequest = (req, callback) => {
      asked = req.socket.getPeerCertificate();
      callback(null, req.client.authorized);
    };
    const server = await serveHttps(t, { rejectUnauthorized: true }, { allowRequest });
    const connection = once(server.io, "connection");
    const client = server.client("/", { transports, ...KNOWN });
    await connected(client);
    const [socket] = await connection;
    if (transports.length > 1 && !socket.conn.upgraded) await once(socket.conn, "upgrade");
    assert.equal(asked.subject.CN, "localhost");
    assert.equal(asked.raw.toString("base64"), KNOWN.cert.replace(/-----.*?-----|\s/g, ""));
    for (const { request } of [socket, socket.client, socket.conn]) {
      assert.equal(request.client.authorized, true);
      assert.equal(request.socket.encrypted, true);
      assert.equal(request.connection, request.socket);
      // the connection of the first poll has served its purpose
      if (transports[0] === "polling") continue;
      assert.deepEqual(request.socket.getPeerCertificate().raw, asked.raw);
      assert.equal(request.socket.getProtocol(), "TLSv1.3");
    }
    assert.equal(socket.handshake.secure, true);
  });

  test(`a client without a certificate, or with an unknown one, by ${how}`, async (t) => {
    const server = await serveHttps(t, { rejectUnauthorized: false });
    const authorized = [];
    server.io.on("connection", ({ request: { client } }) => {
      authorized.push([client.authorized, String(client.authorizationError)]);
    });
    await connected(server.client("/", { transports }));
    await connected(server.client("/", { transports, ...UNKNOWN }));
    assert.deepEqual(authorized, [
      [false, "UNABLE_TO_GET_ISSUER_CERT"],
      [false, "DEPTH_ZERO_SELF_SIGNED_CERT"],
    ]);
  });

  test(`such clients are refused with rejectUnauthorized by ${how}`, async (t) => {
    const server = await serveHttps(t, { rejectUnauthorized: true });
    for (const certificate of [{}, UNKNOWN]) {
      const client = server.client("/", { transports, ...certificate });
      const refused = new Promise((resolve) => client.once("connect_error", resolve));
      assert.match((await within(refused, "connect_error")).message, /^(websocket|xhr poll) error$/);
    }
    assert.equal(server.io.engine.clientsCount, 0);
    await connected(server.client("/", { transports, ...KNOWN }));
  });
}
