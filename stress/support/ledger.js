"use strict";

/** So many sentences about what was wrong are kept. */
const EXAMPLES = 3;

/**
 * Who receives a stream of numbered messages (1, 2, 3 …) writes them down here, and learns what was wrong with it:
 *
 * - doubled: a number came again
 * - misordered: a number came behind a larger one of the same session. (Across sessions that can be: what is left of the
 *   last one may be on its way still.)
 * - lost: a number was left out within a session, if the stream is gapless; between two sessions messages may be missed.
 *   Of a stream that is not gapless, since only what is acked must arrive, {@link Ledger#settle} says at the end what was
 *   lost.
 */
class Ledger {
  received = 0;
  doubled = 0;
  misordered = 0;
  lost = 0;
  /** sentences */
  examples = [];
  /** the largest number that has come */
  last = 0;
  /** what below that has not come: pairs of a first and a last number */
  #gaps = [];
  #session;
  /** the largest number that has come in this session, 0 before the first */
  #lastOfSession = 0;
  /** and in those before it */
  #sessions = new Map();

  /**
   * @param {string} name of the stream, for the examples
   * @param {{ isGapless?: boolean }} [options]
   */
  constructor(name, { isGapless = false } = {}) {
    this.name = name;
    this.isGapless = isGapless;
  }

  /**
   * @param {string} session
   * @param {number} number
   */
  note(session, number) {
    this.received++;
    if (session !== this.#session) {
      this.#sessions.set(this.#session, this.#lastOfSession);
      this.#session = session;
      this.#lastOfSession = this.#sessions.get(session) ?? 0;
    }
    if (number > this.last) {
      const left = this.#lastOfSession > 0 ? number - this.#lastOfSession - 1 : 0;
      if (this.isGapless && left > 0) {
        this.lost += left;
        this.#tell(`lost: ${number} came behind ${this.#lastOfSession}`);
      }
      if (number > this.last + 1) this.#gaps.push([this.last + 1, number - 1]);
      this.last = this.#lastOfSession = number;
    } else if (!this.#fill(number)) {
      this.doubled++;
      this.#tell(`doubled: ${number} came again`);
    } else if (number < this.#lastOfSession) {
      this.misordered++;
      // it was taken for lost
      if (this.isGapless) this.lost--;
      this.#tell(`misordered: ${number} came behind ${this.#lastOfSession}`);
    } else {
      this.#lastOfSession = number;
    }
  }

  /**
   * At the end, when the last number should have come. Of a stream that is not gapless, all have come but those of which
   * the sender says that they need not.
   *
   * @param {number} sent the last number that was sent
   * @param {Set<number>} [excused] what was not acked
   */
  settle(sent, excused) {
    const gaps = this.isGapless ? [] : this.#gaps;
    for (const [first, last] of [...gaps, [this.last + 1, sent]]) {
      for (let number = first; number <= last; number++) {
        if (excused?.has(number)) continue;
        this.lost++;
        this.#tell(`lost: ${number} of ${sent} ${excused ? "was acked and " : ""}has not come`);
      }
    }
  }

  /** Whether a number was missing until now. */
  #fill(number) {
    const index = this.#gaps.findIndex(([first, last]) => first <= number && number <= last);
    if (index === -1) return false;
    const [first, last] = this.#gaps[index];
    const rest = [
      [first, number - 1],
      [number + 1, last],
    ].filter(([from, to]) => from <= to);
    this.#gaps.splice(index, 1, ...rest);
    return true;
  }

  #tell(what) {
    if (this.examples.length < EXAMPLES) this.examples.push(`${this.name}, ${what}`);
  }
}

/**
 * What several ledgers have in common, and what came to somebody it was not for.
 *
 * @param {Iterable<Ledger>} ledgers
 */
function sum(ledgers) {
  const total = { received: 0, lost: 0, doubled: 0, misordered: 0, examples: [] };
  for (const ledger of ledgers) {
    for (const name of ["received", "lost", "doubled", "misordered"]) total[name] += ledger[name];
    total.examples.push(...ledger.examples);
  }
  total.examples.splice(EXAMPLES);
  return total;
}

module.exports = { Ledger, sum };
