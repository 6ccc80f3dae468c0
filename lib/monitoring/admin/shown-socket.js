"use strict";

const { originalOf } = require("./watched-data");

/** How much of the id of a session is shown: who knows all of it can speak in its client's name. */
const SHOWN = 12;

/**
 * What an admin is shown of a socket.
 * @param {object} socket - of this server, or of another one of the cluster
 * @param {string} nsp - the name of its namespace
 * @returns {object}
 */
function showSocket(socket, nsp) {
  const { headers, query, issued, secure, time, url, xdomain, address } = socket.handshake;
  return {
    id: socket.id,
    ...connectionOf(socket),
    nsp,
    data: showData(socket.data),
    handshake: {
      address: headers["cf-connecting-ip"] || headers["x-forwarded-for"] || address,
      // not `auth`
      ...{ headers, query, issued, secure, time, url, xdomain },
    },
    rooms: [...socket.rooms],
  };
}

/**
 * What an admin is shown of a socket's connection. What is in another process has it in its data.
 * @param {object} socket
 * @returns {{ clientId: string|undefined, transport: string|undefined }}
 */
function connectionOf(socket) {
  if (socket.client === undefined) {
    const { clientId, transport } = socket.data?._admin ?? {};
    return { clientId, transport };
  }
  return { clientId: socket.client.id.slice(0, SHOWN), transport: socket.conn.transport.name };
}

/** What an admin is shown of a socket's data: not what is in there for us. */
function showData(data) {
  if (typeof data !== "object" || data === null) return data;
  const shown = { ...originalOf(data) };
  delete shown._admin;
  return shown;
}

module.exports = { connectionOf, showData, showSocket };
