"use strict";

/** Where sessions of admins are kept, so that a page that is loaded again does not ask for the password. */

/** Keeps them in this process. */
class InMemoryStore {
  constructor() {
    this._sessions = new Set();
  }

  /**
   * @param {string} sessionId
   * @returns {Promise<boolean>}
   */
  async doesSessionExist(sessionId) {
    return this._sessions.has(sessionId);
  }

  /** @param {string} sessionId */
  saveSession(sessionId) {
    this._sessions.add(sessionId);
  }
}

/** Keeps them in Redis, for several servers, under the keys that `@socket.io/admin-ui` has for them. */
class RedisStore {
  /**
   * @param {object} redisClient - of redis, any version, or of ioredis
   * @param {object} [options]
   * @param {string} [options.prefix] - of the keys, by default "socket.io-admin"
   * @param {number} [options.sessionDuration] - how many seconds a session lasts, by default a day
   */
  constructor(redisClient, { prefix = "socket.io-admin", sessionDuration = 86_400 } = {}) {
    this.redisClient = redisClient;
    this._prefix = prefix;
    this._sessionDuration = sessionDuration;
  }

  /**
   * @param {string} sessionId
   * @returns {Promise<boolean>}
   */
  async doesSessionExist(sessionId) {
    return Number(await this._ask("exists", this._keyOf(sessionId))) === 1;
  }

  /**
   * @param {string} sessionId
   * @returns {Promise<void>}
   */
  async saveSession(sessionId) {
    await this._ask("set", this._keyOf(sessionId), "true");
    await this._ask("expire", this._keyOf(sessionId), this._sessionDuration);
  }

  _keyOf(sessionId) {
    return `${this._prefix}#${sessionId}`;
  }

  _ask(command, ...args) {
    const client = this.redisClient;
    // from version 4 on, clients of redis know this, and take no callbacks
    if (typeof client.isReady === "boolean") return client[command](...args);
    return new Promise((resolve, reject) => {
      client[command](...args, (error, result) => (error ? reject(error) : resolve(result)));
    });
  }
}

module.exports = { InMemoryStore, RedisStore };
