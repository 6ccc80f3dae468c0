"use strict";

// Mutants that no test noticed once. Each is a piece of text that occurs once in its file, and what it becomes.

const fs = require("node:fs");
const path = require("node:path");

/** @type {[string, string, string, string][]} what it does, the file, the text, and what it becomes */
const LIST = [
  [
    "who leaves a mirrored room stays in the workers' room",
    "lib/adapter/room-mirror.js",
    "if (member.handle !== NOBODY) this._engine._bridge.commands.leave(room.number, member.handle);",
    "",
  ],
  [
    "a volatile binary event over polling loses its attachment where the packets are watched",
    "lib/engine/conn.js",
    "if (packets.length > 1) flags &= ~VOLATILE;",
    "",
  ],
  [
    "a volatile binary event over polling loses its attachment",
    "lib/engine/conn.js",
    "sendPackets(this._handle, packets, flags & ~VOLATILE);",
    "sendPackets(this._handle, packets, flags);",
  ],
  [
    "an upgrade on a connection that has served a request gets another socket",
    "lib/engine/observers.js",
    "socket.bytesRead <= lengthOf(req) + (head?.length ?? 0)",
    "true",
  ],
  [
    "the workers of all but the first of a run of recipients are not told",
    "lib/native/commands.js",
    `this.words[this._runCountAt]++;
      this.mask |= 1 << workerOf(connection, this.workers);`,
    "this.words[this._runCountAt]++;",
  ],
  [
    "only the first worker hears of an operation",
    "lib/native/commands.js",
    "this.mask |= subject === -1 ? -1 : 1 << workerOf(subject, this.workers);",
    "this.mask |= 1;",
  ],
  ["a pumped stream does not rest", "lib/node/pipe.js", "this.socket.pause();", ""],
  [
    "unwritten bytes of a pumped stream are lost at its release",
    "lib/node/pipe.js",
    "socket.writableLength > 0",
    "false",
  ],
  [
    "an ack that comes after the broadcast's timeout is added to the application's list",
    "lib/api/broadcast-operator.js",
    `if (isTimedOut) {
      return;
    }`,
    "",
  ],
  [
    "the callback of a broadcast that has timed out is called again",
    "lib/api/broadcast-operator.js",
    "isTimedOut = true;",
    "",
  ],
  [
    "what is kept for the acks of a broadcast stays after its timeout",
    "lib/api/broadcast-operator.js",
    "socket._forgetAck(packet.id);",
    "",
  ],
  [
    "a payload of exactly 65,536 bytes has a short header",
    "lib/engine/transports/frame.js",
    "length < 0x10000",
    "length <= 0x10000",
  ],
  [
    "the sweep spares the newest of the packets that are old",
    "lib/adapter/packet-log.js",
    "findLastIndex(({ emittedAt }) => emittedAt < time) + 1",
    "findLastIndex(({ emittedAt }) => emittedAt < time)",
  ],
  [
    "a pumped stream is not ended after the Close handshake",
    "src/worker/writes.rs",
    "Stream::Pipe(_) => self.events.simple(Kind::PipeEnd, id),",
    "Stream::Pipe(_) => {}",
  ],
  [
    "a compressed broadcast is in the form of the first client",
    "src/worker/output.rs",
    "entry.0 == parameters && entry.1 == protocol",
    "entry.0 == parameters",
  ],
  [
    "a message is compressed though its flags say that it is not to be",
    "src/worker/output.rs",
    "match websocket.reader.deflate.as_mut().filter(|_| compress) {",
    "match websocket.reader.deflate.as_mut() {",
  ],
  [
    "a broadcast is compressed though its flags say that it is not to be",
    "src/worker/output.rs",
    "match deflate.filter(|_| self.compress) {",
    "match deflate {",
  ],
  [
    "a client that never hangs up is waited for without end",
    "src/worker/lifecycle.rs",
    `websocket.owner = None;
            self.deadlines.arm(Holder::Stream(stream), at);`,
    `websocket.owner = None;
            let _ = at;`,
  ],
  [
    "a pong is overdue while it may wait in a queue that is full",
    "src/worker/lifecycle.rs",
    `if self.events.is_full() || is_behind {
            self.with_session(id, |connection, turn| connection.session.postpone_heartbeat(turn));`,
    `if false || is_behind {
            self.with_session(id, |connection, turn| connection.session.postpone_heartbeat(turn));`,
  ],
  [
    "a closing session waits for the upgrade of a probe that was aborted",
    "src/protocol/session/upgrade.rs",
    "State::Closing { probe, .. } => *probe = None,",
    "State::Closing { .. } => {}",
  ],
  [
    "a binary frame on a probe does not abort it",
    "src/worker/input.rs",
    `if self.is_probing(owner, id) {
            self.abort_upgrade(owner, id);
            return Flow::Stop;
        }
        if !self.protocol(owner).is_legacy() {`,
    "if !self.protocol(owner).is_legacy() {",
  ],
  [
    "workers do not go on reading where the queue was full to the byte",
    "src/worker/event.rs",
    "before >= self.limit && before",
    "before > self.limit && before",
  ],
  [
    "workers go on reading where the queue is still full to the byte",
    "src/worker/event.rs",
    "before - batch.weight < self.limit;",
    "before - batch.weight <= self.limit;",
  ],
  [
    "a connection is opened of a request that is gone when it is admitted",
    "src/worker/arrivals.rs",
    `if is_new {
                self.refuse_connection(connection);
            }`,
    `if is_new {
            }`,
  ],
];

/**
 * @param {string} root
 * @returns {import("./javascript").Mutant[]}
 * @throws {Error} if a file has changed so that a text is not there once
 */
function knownMutants(root) {
  return LIST.map(([name, file, text, changed]) => {
    const parts = fs.readFileSync(path.join(root, file), "utf8").split(text);
    if (parts.length !== 2) throw new Error(`${file} has this ${parts.length - 1} times: ${text}`);
    return {
      name: `${file}: ${name}`,
      language: file.startsWith("src/") ? "rust" : "js",
      file,
      at: parts[0].length,
      apply: () => parts.join(changed),
    };
  });
}

module.exports = { knownMutants };
