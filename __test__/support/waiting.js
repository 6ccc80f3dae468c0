"use strict";

/** How long an awaited event may take. Waits end with the event, so this only bounds failures; `SIO_LIMIT` sets it. */
const LIMIT = Number(process.env.SIO_LIMIT) || 10_000;

/**
 * Resolves or rejects as `promise` does, or rejects after `ms` and says what was missing.
 *
 * @param {Promise<any>} promise
 * @param {string} what
 * @param {number} [ms]
 */
function within(promise, what, ms = LIMIT) {
  // created here, so that the stack of the error shows the test's line
  const error = new Error(`${what}: nothing within ${ms} ms`);
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(error), ms).unref();
    promise.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (reason) => {
        clearTimeout(timer);
        reject(reason);
      },
    );
  });
}

/**
 * Resolves with the arguments of the next `event`, for any emitter with `once`.
 *
 * @param {{ once: Function }} emitter
 * @param {string} event
 * @param {number} [ms]
 * @returns {Promise<any[]>}
 */
function once(emitter, event, ms) {
  const seen = new Promise((resolve) => emitter.once(event, (...args) => resolve(args)));
  const promise = within(seen, `event "${event}"`, ms);
  // who never awaits it does not need the event
  promise.catch(() => {});
  return promise;
}

/**
 * A promise with its functions outside.
 *
 * @returns {{ promise: Promise<any>, resolve: Function, reject: Function }}
 */
function deferred() {
  const result = {};
  result.promise = new Promise((resolve, reject) => Object.assign(result, { resolve, reject }));
  return result;
}

/** A list that can be awaited: `until(n)` resolves when it holds n entries. */
class Recorder {
  constructor() {
    this.list = [];
    this.waiters = [];
  }

  push(entry) {
    this.list.push(entry);
    const ready = this.waiters.filter((waiter) => waiter.test(this.list));
    this.waiters = this.waiters.filter((waiter) => !ready.includes(waiter));
    for (const waiter of ready) {
      waiter.resolve(this.list);
    }
  }

  /**
   * @param {number | ((list: any[]) => boolean)} condition
   * @param {number} [ms]
   * @returns {Promise<any[]>} the list
   */
  until(condition, ms = LIMIT) {
    const test = typeof condition === "number" ? (list) => list.length >= condition : condition;
    if (test(this.list)) {
      return Promise.resolve(this.list);
    }
    const waiter = deferred();
    waiter.test = test;
    this.waiters.push(waiter);
    return within(waiter.promise, `recorder (${condition})`, ms).catch((error) => {
      error.message += `, recorded ${this.list.length}: ${preview(this.list)}`;
      throw error;
    });
  }
}

function preview(list) {
  const text = String(JSON.stringify(list.slice(-20)));
  return text.length > 500 ? `${text.slice(0, 500)}…` : text;
}

/**
 * Records the arguments of every `event` of `emitter`.
 *
 * @returns {Recorder} of argument arrays
 */
function record(emitter, event) {
  const recorder = new Recorder();
  emitter.on(event, (...args) => recorder.push(args));
  return recorder;
}

/**
 * Waits for a condition that no event announces (a count in /proc, a map of the server).
 *
 * @param {() => any} condition
 * @param {string} what
 * @param {number} [ms]
 * @returns {Promise<any>} the first truthy value
 */
async function eventually(condition, what, ms = LIMIT) {
  const end = Date.now() + ms;
  for (;;) {
    const value = await condition();
    if (value) {
      return value;
    }
    if (Date.now() > end) {
      throw new Error(`${what}: not within ${ms} ms`);
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

module.exports = { LIMIT, within, once, deferred, Recorder, record, eventually };
