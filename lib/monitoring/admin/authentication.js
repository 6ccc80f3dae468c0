"use strict";

const { randomBytes } = require("node:crypto");
const { inspect } = require("node:util");
const debug = require("debug")("socket.io-admin");

/** A hash of bcrypt: version, cost, salt and digest. */
const BCRYPT = /^\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{53}$/;

/**
 * Who decides about the admins that want to connect.
 * @param {false|{ type: "basic", username: string, password: string }} auth - `password`: its hash
 * @param {{ doesSessionExist: (id: string) => Promise<boolean>, saveSession: (id: string) => any }} store
 * @returns {(socket: object) => Promise<boolean>|boolean}
 * @throws {TypeError} if it is not said who may connect, or in another way
 * @throws {Error} if bcryptjs is needed, and not installed
 */
function judgeOf(auth, store) {
  if (auth === false) {
    debug("everybody may connect");
    return () => true;
  }
  const { type, username, password } = auth ?? {};
  if (type !== "basic" || typeof username !== "string") {
    const allowed = '{ type: "basic", username, password }, or false for everybody';
    throw new TypeError(
      `instrument() wants to know who may connect: auth is ${inspect(auth, { depth: 0 })}, not ${allowed}`,
    );
  }
  if (!BCRYPT.test(password)) {
    throw new TypeError("instrument() wants the password as a hash that bcrypt has made");
  }
  if (typeof store?.doesSessionExist !== "function" || typeof store.saveSession !== "function") {
    throw new TypeError("instrument() wants a store with the methods doesSessionExist and saveSession");
  }
  const bcrypt = loadBcrypt();
  return async (socket) => {
    const credentials = socket.handshake.auth ?? {};
    if (await isSession(store, credentials.sessionId)) return true;
    const isAdmin =
      credentials.username === username &&
      typeof credentials.password === "string" &&
      (await bcrypt.compare(credentials.password, password));
    if (isAdmin) await beginSession(store, socket);
    return isAdmin;
  };
}

function loadBcrypt() {
  try {
    return require("bcryptjs");
  } catch (cause) {
    throw new Error("instrument() needs bcryptjs for passwords: npm install bcryptjs", { cause });
  }
}

async function isSession(store, sessionId) {
  if (typeof sessionId !== "string" || sessionId === "") return false;
  try {
    return (await store.doesSessionExist(sessionId)) === true;
  } catch (error) {
    debug("the store does not say whether there is a session: %s", error);
    return false;
  }
}

/** An admin who has said the password need not do so again; if that cannot be kept, it is asked for. */
async function beginSession(store, socket) {
  const sessionId = randomBytes(16).toString("hex");
  try {
    await store.saveSession(sessionId);
    socket.emit("session", sessionId);
  } catch (error) {
    debug("the session is not kept: %s", error);
  }
}

module.exports = { judgeOf };
