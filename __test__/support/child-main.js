"use strict";

// What a child process of `startChild` runs: the function that the test handed over as text.

const events = require("node:events");
const fs = require("node:fs");
const http = require("node:http");
const { setTimeout: delay } = require("node:timers/promises");

const { source, args } = JSON.parse(process.env.SIO_CHILD);
delete process.env.SIO_CHILD;

const body = (0, eval)(`(${source})`);

/** Messages of the test, awaited by name. */
const inbox = new events.EventEmitter();
process.on("message", ({ type, ...rest }) => inbox.emit(type, rest));
// the channel must not keep alive a process whose end is what the test measures
process.channel.unref();
// when the test's process has ended, nobody is left to end this one
const parent = process.ppid;
process.on("disconnect", () => setTimeout(() => process.ppid === parent || process.exit(71), 1000).unref());

const context = {
  args,
  inbox,
  /** Tells the test something. */
  send: (type, rest = {}) => process.send({ type, ...rest }),
  /** The package under test, loaded when first asked for. */
  get sio() {
    return require("./target").sio;
  },
  /** socket.io-client */
  get connect() {
    return require("socket.io-client").io;
  },
  /** Loads a file of this directory, or a package. */
  load: require,
  fs,
  http,
  delay,
  /** An HTTP server that listens on a free port. */
  async listen(httpServer = http.createServer()) {
    httpServer.listen(0, "127.0.0.1");
    await events.once(httpServer, "listening");
    return httpServer;
  },
  /** Blocks the event loop, as a long computation does. */
  block(ms) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  },
};

Promise.resolve(body(context)).catch((error) => {
  console.error(error);
  process.exit(70);
});
