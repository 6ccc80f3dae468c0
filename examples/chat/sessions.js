"use strict";

const { createHash, randomUUID, timingSafeEqual } = require("node:crypto");
const { Refusal } = require("./refusal");

const USER_NAME = /^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,23}$/u;

/**
 * Who is logged in. A session outlives its connections for a while, so that a reload or a lost network brings
 * somebody back as the same user, into the same rooms; its token is what the page keeps.
 */
class Sessions {
  #sessions = new Map();
  #password;
  #lifetime;
  #onRemove;

  constructor({ password, lifetime, onRemove }) {
    this.#password = password;
    this.#lifetime = lifetime;
    this.#onRemove = onRemove;
  }

  /** The session for what a client sent as `auth`: a token to resume one, or a name and a password for a new one. */
  authenticate({ token, name, password }) {
    return token === undefined ? this.#login(name, password) : this.#resume(token);
  }

  #resume(token) {
    const session = this.#sessions.get(token);
    if (!session) {
      throw new Refusal("Your session has ended, please log in again.", "session");
    }
    return session;
  }

  #login(name, password) {
    if (typeof name !== "string" || !USER_NAME.test(name.trim())) {
      throw new Refusal("Please choose a name of 1 to 24 letters, digits, spaces, dots or hyphens.", "name");
    }
    if (this.#password !== "" && !isSame(password, this.#password)) {
      throw new Refusal("This password is wrong.", "password");
    }
    const user = { id: randomUUID(), name: name.trim() };
    const owner = [...this.#sessions.values()].find((session) => isSameName(session.user.name, user.name));
    if (owner?.connections > 0) {
      throw new Refusal("Somebody with this name is here already.", "name");
    }
    if (owner) {
      this.remove(owner);
    }
    const session = { token: randomUUID(), user, rooms: new Set(), connections: 0, expiry: undefined };
    this.#sessions.set(session.token, session);
    this.#expireLater(session);
    return session;
  }

  /** A connection of this session is there. Returns the session, unless it has ended in the meantime. */
  attach(token) {
    const session = this.#sessions.get(token);
    if (session) {
      session.connections++;
      clearTimeout(session.expiry);
    }
    return session;
  }

  /** A connection of this session is gone. */
  detach(session) {
    session.connections--;
    if (session.connections === 0 && this.#sessions.has(session.token)) {
      this.#expireLater(session);
    }
  }

  remove(session) {
    clearTimeout(session.expiry);
    this.#sessions.delete(session.token);
    this.#onRemove();
  }

  /** Whether somebody, here or expected back, is in a room. */
  anyIn(room) {
    return [...this.#sessions.values()].some((session) => session.rooms.has(room));
  }

  #expireLater(session) {
    session.expiry = setTimeout(() => this.remove(session), this.#lifetime).unref();
  }
}

function isSameName(a, b) {
  return a.localeCompare(b, undefined, { sensitivity: "accent" }) === 0;
}

/** Compares two passwords in a time that says nothing about them. */
function isSame(given, wanted) {
  const digest = (text) => createHash("sha256").update(text).digest();
  return typeof given === "string" && timingSafeEqual(digest(given), digest(wanted));
}

module.exports = { Sessions };
