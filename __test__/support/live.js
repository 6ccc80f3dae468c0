"use strict";

const fs = require("node:fs");
const { createChat } = require("../../examples/chat/app");
const { createLive } = require("../../examples/live/live");
const { atEnd, connect, eventually, once, record, sio, within, LIMIT } = require("./harness");

/** Few clients that talk much, and heartbeats in time for a short block. */
const SMALL = {
  load: { sayEvery: 1000, echoEvery: 1000 },
  limits: { clientsAtFirst: 10, clientsMore: 15, interval: 100, patience: 100, block: 3000 },
  serverOptions: { pingInterval: 500, pingTimeout: 1500 },
  descriptors: 230, // and 200 of them for other things: so there may be 30 clients
};

/**
 * The chat with the page /live beside it, on a free port, until the test ends.
 *
 * @param {{ after: Function }} t
 * @param {object} [options] of createLive, in place of those of `SMALL`
 * @returns {Promise<string>} its address
 */
async function serveLive(t, options = {}) {
  const chat = createChat({ Server: sio.Server, livePage: "/live/" });
  const live = createLive({ ...chat, ...SMALL, ...options });
  atEnd(t, async () => {
    await within(live.close(), "the end of the processes");
    const closed = chat.io.close();
    chat.httpServer.closeAllConnections();
    await within(closed, "io.close()");
  });
  chat.httpServer.listen(0, "127.0.0.1");
  await once(chat.httpServer, "listening");
  return `http://127.0.0.1:${chat.httpServer.address().port}`;
}

/** Somebody who looks at the figures, without a page. */
class Viewer {
  constructor(t, url) {
    this.socket = connect(`${url}/live`, { forceNew: true, transports: ["websocket"] });
    this.figures = record(this.socket, "figures");
    this.states = record(this.socket, "state");
    atEnd(t, () => this.socket.disconnect());
  }

  ask(event, ...args) {
    return this.socket.timeout(LIMIT).emitWithAck(event, ...args);
  }

  /** Resolves with the first figures of which this is true, of those from now on, or from an earlier time on. */
  async sees(condition, from = this.now) {
    const find = (list) => list.slice(from).find(([figures]) => condition(figures));
    return find(await this.figures.until((list) => find(list) !== undefined, 2 * LIMIT))[0];
  }

  get now() {
    return this.figures.list.length;
  }

  /** Resolves when so many clients are connected to each of these sides, and no other side is there. */
  seesClients(count, ...names) {
    return this.sees(
      ({ sides }) =>
        Object.keys(sides).join() === names.join() &&
        names.every((name) => sides[name].clients?.clients === count),
    );
  }
}

/** The processes that a process has started and that are running. */
function childrenOf(pid) {
  return fs
    .readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
    .trim()
    .split(" ")
    .filter(Boolean)
    .filter(isAlive);
}

/** Whether a process is there, and is more than an entry that its parent has not read yet. */
function isAlive(pid) {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}

function haveEnded(pids) {
  return eventually(() => !pids.some(isAlive), "the end of the processes");
}

module.exports = { serveLive, Viewer, childrenOf, haveEnded };
