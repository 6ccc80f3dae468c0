"use strict";

/**
 * Asks the middlewares of an engine about a request, one after the other: those that there are when it comes. What one
 * of them does after it has made up its mind (a second `next()`, an exception) has no consequences; nor does what
 * follows run within one, which would take the exceptions of others for its own.
 *
 * @param {Function[]} middlewares - each gets the request, the response and `next(err)`
 * @param {IncomingMessage} req
 * @param {ServerResponse} res
 * @returns {Promise<void>} rejected when one refuses the request, throws or rejects
 */
async function runMiddlewares(middlewares, req, res) {
  const all = middlewares.slice();
  // others who listen for requests hear of this one first
  await undefined;
  for (const middleware of all) await decisionOf(middleware, req, res);
}

/** The first word of a middleware is its last: that is how a promise is settled. */
function decisionOf(middleware, req, res) {
  return new Promise((resolve, reject) => {
    const next = (err) => {
      if (err) reject(err);
      else resolve();
    };
    try {
      const result = middleware(req, res, next);
      if (typeof result?.then === "function") Promise.resolve(result).catch(next);
    } catch (error) {
      next(error);
    }
  });
}

module.exports = { runMiddlewares };
