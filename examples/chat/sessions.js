"use strict";

const { createHash, randomUUID, timingSafeEqual } = require("node:crypto");
const { Refusal } = require("./refusal");

const USER_NAME = /^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,23}$/u;

/**
 * Who is logged in. A session outlives its connections for a while, so that a reload or a lost network brings
 * somebody back as the same user, into the same rooms; its token is what the page keeps.
 *
 * Every change is told to `onChange`, so that other processes can keep the same sessions: see examples/cluster.
 */
class Sessions {
  #sessions = new Map();
  #password;
  #lifetime;
  #onRemove;
  #onChange;
  #node;

  constructor({ password, lifetime, onRemove, onChange = () => {}, node = "" }) {
    this.#password = password;
    this.#lifetime = lifetime;
    this.#onRemove = onRemove;
    this.#onChange = onChange;
    this.#node = node;
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
    if (owner && isConnected(owner)) {
      throw new Refusal("Somebody with this name is here already.", "name");
    }
    if (owner) {
      this.remove(owner);
    }
    const session = this.#open(randomUUID(), user);
    this.#tell(session);
    return session;
  }

  #open(token, user) {
    /** `connections`: how many there are, by the process that they are with */
    const session = { token, user, rooms: new Set(), connections: new Map(), expiry: undefined };
    this.#sessions.set(token, session);
    this.#expireUnlessConnected(session);
    return session;
  }

  /** A connection of this session is there. Returns the session, unless it has ended in the meantime. */
  attach(token) {
    const session = this.#sessions.get(token);
    if (session) {
      this.#count(session, this.#node, (session.connections.get(this.#node) ?? 0) + 1);
      this.#tell(session);
    }
    return session;
  }

  /** A connection of this session is gone. */
  detach(session) {
    this.#count(session, this.#node, session.connections.get(this.#node) - 1);
    if (this.#sessions.has(session.token)) {
      this.#tell(session);
    }
  }

  enter(session, room) {
    session.rooms.add(room);
    this.#tell(session);
  }

  leave(session, room) {
    session.rooms.delete(room);
    this.#tell(session);
  }

  remove(session) {
    this.#onChange({ removed: session.token });
    this.#forget(session);
  }

  /** Makes a change that another process has made. */
  apply({ removed, token, user, rooms, connections, gone }) {
    if (removed !== undefined && this.#sessions.has(removed)) {
      this.#forget(this.#sessions.get(removed));
    }
    if (token !== undefined) {
      const session = this.#sessions.get(token) ?? this.#open(token, user);
      session.rooms = new Set(rooms);
      for (const [node, count] of connections) {
        this.#count(session, node, count);
      }
    }
    if (gone !== undefined) {
      for (const session of this.#sessions.values()) {
        this.#count(session, gone, 0);
      }
    }
  }

  /** The changes that make these sessions out of none. */
  snapshot() {
    return [...this.#sessions.values()].map(asChange);
  }

  /** Whether somebody, here or expected back, is in a room. */
  anyIn(room) {
    return [...this.#sessions.values()].some((session) => session.rooms.has(room));
  }

  #forget(session) {
    clearTimeout(session.expiry);
    this.#sessions.delete(session.token);
    this.#onRemove();
  }

  #tell(session) {
    const count = session.connections.get(this.#node) ?? 0;
    this.#onChange({ ...asChange(session), connections: [[this.#node, count]] });
  }

  #count(session, node, count) {
    if (count > 0) {
      session.connections.set(node, count);
    } else {
      session.connections.delete(node);
    }
    this.#expireUnlessConnected(session);
  }

  #expireUnlessConnected(session) {
    clearTimeout(session.expiry);
    if (!isConnected(session) && this.#sessions.has(session.token)) {
      session.expiry = setTimeout(() => this.remove(session), this.#lifetime).unref();
    }
  }
}

function isConnected(session) {
  return session.connections.size > 0;
}

function asChange({ token, user, rooms, connections }) {
  return { token, user, rooms: [...rooms], connections: [...connections] };
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
