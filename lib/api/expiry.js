"use strict";

// Sockets that are to be disconnected at a time. The workers keep one time for each connection, the next.

const { inspect } = require("node:util");
const { limited } = require("../engine/conn");

/** Of clients that have any, the sockets that are to be disconnected, with the times in milliseconds since 1970. */
const times = new WeakMap();

/** How soon a socket is looked at again that middleware still holds when its time comes. */
const MIDDLEWARE_TIME = 1000;

/**
 * Has a socket be disconnected at a time, or not any more.
 * @param {import("./socket").Socket} socket
 * @param {Date|number|null} when - a number is milliseconds since 1970
 * @throws {TypeError} if that is no time
 * @throws {Error} if the socket's connection is of an engine that is another package's
 */
function expireAt(socket, when) {
  const time = when === null ? Infinity : Number(when);
  if (Number.isNaN(time) || !(when === null || when instanceof Date || typeof when === "number")) {
    throw new TypeError(`expireAt() takes a Date, milliseconds or null, not ${inspect(when, { depth: 0 })}`);
  }
  if (typeof socket.conn._expireAt !== "function") {
    throw new Error("expireAt() needs a connection of this package's engine");
  }
  const { client } = socket;
  if (!times.has(client)) times.set(client, new Map());
  if (time === Infinity) times.get(client).delete(socket);
  else times.get(client).set(socket, time);
  watch(client);
}

/** Sees to it that the next time is told of. */
function watch(client) {
  client.conn._expireAt(Math.min(...times.get(client).values()));
}

/**
 * @param {import("./socket").Socket} socket
 * @returns {number|undefined} when it is to be disconnected, if it is
 */
function expiryOf(socket) {
  return times.get(socket.client)?.get(socket);
}

/** A socket has left its namespace, or will not join it. */
function forgetExpiry(socket) {
  times.get(socket.client)?.delete(socket);
}

/** The time may have come for some sockets of a client: clocks can be set. */
function onExpiry(client) {
  const now = Date.now();
  const expired = [];
  for (const [socket, time] of times.get(client)) {
    if (time > now) continue;
    if (socket.connected) expired.push(socket);
    // middleware holds it still
    else times.get(client).set(socket, now + MIDDLEWARE_TIME);
  }
  if (expired.length !== 0) {
    client.conn.server._onLimit(client.conn, "expireAt");
    const why = limited("expireAt", "the time that was set with expireAt() has come");
    if (expired.length === client._listSockets().length && !isJoining(client)) client._disconnect(why);
    else for (const socket of expired) socket._disconnect(why);
  }
  watch(client);
}

/** Whether a client is on its way to a namespace. */
function isJoining(client) {
  for (const nsp of client.server._nsps.values()) {
    for (const socket of nsp._preConnectSockets.values()) if (socket.client === client) return true;
  }
  return false;
}

module.exports = { expireAt, expiryOf, forgetExpiry, onExpiry };
