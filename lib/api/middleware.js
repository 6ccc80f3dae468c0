"use strict";

/**
 * Runs middleware functions one after the other, until one passes an error on. Functions that are added meanwhile are not
 * run.
 *
 * @private
 * @param {Array<(subject: any, next: (err?: Error) => void) => void>} fns
 * @param {any} subject - what they are about: a socket that wants to join, or an event that has come in
 * @param {(err?: Error) => void} done
 */
function runInTurn(fns, subject, done) {
  if (fns.length === 0) {
    done();
    return;
  }
  const chain = fns.slice();
  function runFrom(i) {
    chain[i](subject, (err) => {
      if (err) {
        done(err);
      } else if (i + 1 < chain.length) {
        runFrom(i + 1);
      } else {
        done();
      }
    });
  }
  runFrom(0);
}

module.exports = { runInTurn };
