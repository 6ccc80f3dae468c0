"use strict";

// Survivors that differ from the original in nothing that anybody could notice, and why.

/** @type {Object<string, string>} by the name of the mutant */
const equivalent = {
  "lib/adapter/room-mirror.js:167:12: ConditionalExpression: this._apart.size !== 0 → true":
    "an empty Set has nobody: that it is not asked only saves time",
  "lib/api/broadcast-operator.js:313:7: ConditionalExpression: mayAddRooms(adapter) → true":
    "our own broadcast() adds nothing to the Sets that it gets: that there are none of its own only saves making them",
  "lib/node/entrance.js:73:38: EqualityOperator: this._listening.fd >= 0 → this._listening.fd > 0":
    "a server has descriptor 0 only if the application has closed standard input, and then connections only do not wait in the kernel",
  "lib/node/secure-socket.js:268:32: BlockStatement: { socket[kHeld] ??= []; } → {}":
    "what is written waits anyway; a socket that is destroyed before its session has come is closed a little earlier, with nothing left to say",
  "lib/node/shown.js:279:7: ConditionalExpression: !socket.destroyed → false":
    "Node's HTTP server begins to read by itself, and a server with other listeners than that has its connections from Node",
  "src/os/memory.rs:20:51: replace / with % in expect_much":
    "the kernel is not advised to map large pages, which only costs time",
  "src/worker/deadlines.rs:63:31: replace < with <= in Deadlines::arm":
    "a deadline is replaced by the same one",
  "src/worker/mod.rs:652:71: replace < with <= in Worker::with_session":
    "a deadline is armed for a second time, which changes nothing",
  "src/worker/output.rs:129:30: replace < with <= in queue_pieces":
    "a piece of exactly so many bytes is copied instead of shared, and both are the same to whoever gets it",
};

module.exports = { equivalent };
