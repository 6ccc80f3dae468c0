"use strict";

// What a process of a program runs: the role, a function of the program's file, and the answers to what the conductor
// asks. A role gets `{ args, io, httpServer, sio, answers, tell, release }`:
//   args                 what the conductor hands over
//   sio                  the package under test
//   io, httpServer      for servers: it listens when the role has returned
//   answers              where it puts functions that the conductor may ask: `answers.count = (args) => …`
//   tell(type, rest)     tells the conductor something unasked
//   release()            lets go of the conductor, so that the process ends when nothing else keeps it

const http = require("node:http");
const https = require("node:https");
const { once } = require("node:events");
const { monitorEventLoopDelay } = require("node:perf_hooks");
const { selfSigned } = require("../../__test__/support/certificate");

/** How often the event loop is looked at, in ms. */
const RESOLUTION = 5;

const config = JSON.parse(process.argv[2]);
const delays = monitorEventLoopDelay({ resolution: RESOLUTION });
delays.enable();

const answers = { usage, gc: () => globalThis.gc() };

process.on("message", ({ id, name, args }) => answer(id, name, args));
// who has started it is gone
process.on("disconnect", endWithConductor);

start().catch((error) => {
  console.error(error);
  process.exit(70);
});

async function start() {
  const program = require(`../${config.program}`);
  const context = { args: config.args, answers, tell, release };
  Object.defineProperty(context, "sio", { get: () => require(config.package) });
  if (config.server) {
    const httpServer = config.stream === "tls" ? https.createServer(selfSigned()) : http.createServer();
    context.httpServer = httpServer;
    context.io = new context.sio.Server(httpServer, config.server);
    // before the first client can come
    await program[config.role](context);
    httpServer.listen(config.port ?? 0, "127.0.0.1");
    await once(httpServer, "listening");
    tell("listening", { port: httpServer.address().port });
  } else {
    await program[config.role](context);
  }
}

function tell(type, rest = {}) {
  if (process.connected) process.send({ type, ...rest });
}

function endWithConductor() {
  process.exit(71);
}

function release() {
  process.off("disconnect", endWithConductor);
  process.disconnect();
}

async function answer(id, name, args) {
  try {
    tell("answer", { id, result: await answers[name](args) });
  } catch (error) {
    tell("answer", { id, error: `${name}: ${error.stack}` });
  }
}

/** What the process knows of itself. */
function usage() {
  // the time between two looks is in what the histogram has
  const loopMax = Math.max(0, delays.max / 1e6 - RESOLUTION);
  delays.reset();
  return { loopMax, memory: process.memoryUsage() };
}
