"use strict";

// Survivors that differ from the original in nothing that anybody could notice, and why.

/** @type {Object<string, string>} by the name of the mutant */
const equivalent = {
  "lib/adapter/room-mirror.js: ConditionalExpression: this._apart.size !== 0 → true — return this._apart.size !== 0 && this._apart.has(id) ? NOBODY : conn._handle;":
    "an empty Set has nobody: that it is not asked only saves time",
  "lib/api/broadcast-operator.js: ConditionalExpression: mayAddRooms(adapter) → true — if (mayAddRooms(adapter)) {":
    "our own broadcast() adds nothing to the Sets that it gets: that there are none of its own only saves making them",
  "lib/engine/limits.js: EqualityOperator: this._buckets.size >= this._sweepAt → this._buckets.size > this._sweepAt — if (this._buckets.size >= this._sweepAt) this._forgetFull();":
    "a bucket that is full is the same as a new one: those of one address more are kept before they are looked through",
  "lib/api/connect-queue.js: EqualityOperator: delay >= 1 → delay > 1 — const ms = delay >= 1 && delay <= MAX_DELAY ? delay : 1;":
    "a delay of 1 becomes 1",
  "lib/api/socket.js: ConditionalExpression: listeners.length !== 0 → true — if (listeners !== undefined && listeners.length !== 0) {":
    "of an empty list, nobody is called: that it is not copied only saves time",
  "lib/node/entrance.js: EqualityOperator: this._listening.fd >= 0 → this._listening.fd > 0 — if (defers === this._defers || !(this._listening.fd >= 0)) return;":
    "a server has descriptor 0 only if the application has closed standard input, and then connections only do not wait in the kernel",
  "lib/node/kept.js: ObjectLiteral: { finished: false } → {} — const BUSY = { finished: false };":
    "Node only asks whether the answer is finished, and without the property it is not either",
  "lib/node/secure-socket.js: BlockStatement: { socket[kHeld] ??= []; } → {} — function expectSession(socket) {":
    "what is written waits anyway; a socket that is destroyed before its session has come is closed a little earlier, with nothing left to say",
  "lib/node/shown.js: ConditionalExpression: !socket.destroyed → false — if (!socket.destroyed) socket.read(0);":
    "Node's HTTP server begins to read by itself, and a server with other listeners than that has its connections from Node",
  "lib/node/stream.js: BlockStatement: { return undefined; } → {} — get socket() {":
    "a getter that returns nothing returns undefined",
  "src/bridge/engine.rs: replace == with != in NativeEngine::take_session — return (stream.word() == u32::MAX).then_some(TlsSession {});":
    "the line is for systems that are no Unix, where there is no TLS here",
  "src/os/memory.rs: replace / with % in expect_much — if capacity < MUCH || buffer.len() > capacity / 2 {":
    "the kernel is not advised to map large pages, which only costs time",
  "src/worker/deadlines.rs: replace < with <= in Deadlines::arm — Some(entry) if at < entry.at => {":
    "a deadline is replaced by the same one",
  "src/worker/mod.rs: replace < with <= in Worker::with_session — if after.is_some_and(|after| before.is_none_or(|before| after < before)) {":
    "a deadline is armed for a second time, which changes nothing",
  "src/worker/output.rs: replace < with <= in queue_pieces — [only] if only.len() < SHARE_FROM => outbox.append(pool, |out| out.extend_from_slice(only)),":
    "a piece of exactly so many bytes is copied instead of shared, and both are the same to whoever gets it",
  "src/bridge/engine.rs: replace < with <= in NativeEngine::look_at — if fd < 0 || path.is_empty() {":
    "the line is for systems that are no Unix, where no connection is looked at",
  "src/worker/answer.rs: replace * with / in Answer::forget_written — self.bytes.shrink_to(2 * self.bytes.len());":
    "memory is given back down to what is needed, and taken again for more: that only costs time",
  "src/worker/deadlines.rs: replace < with > in Deadlines::remove — if self.heap.capacity() > 1024 && self.heap.len() < self.heap.capacity() / 8 {":
    "memory is given back sooner, and more often, which only costs time",
  "src/protocol/websocket/deflate.rs: replace - with + in deflate — out.reserve(64.max((input.len() - consumed).min(STEP)));":
    "room is made for more than there will be, within the same bound",
  "src/worker/outgoing.rs: replace Outgoing::gather with () — let meets_others = self.has_backlog() || self.dirty.len() > few;":
    "broadcasts that meet others are written one by one: the same bytes in more calls",
  "src/worker/outgoing.rs: replace Outgoing::is_gathering -> bool with true — self.gathering > 0":
    "broadcasts that meet no others are gathered too: the same bytes by way of outboxes",
  "src/bridge/engine.rs: replace >> with << in NativeEngine::deflate_parameters — client_max_window_bits: (agreed >> 4 & 15).clamp(9, 15) as u8,":
    "the library keeps the largest window whatever it is asked for: a decompressor is only not used again",
  "src/worker/wire.rs: replace match guard error.kind() == ErrorKind::Interrupted with true in Layer::push — Err(error) if error.kind() == ErrorKind::Interrupted => {}":
    "a descriptor that does not wait is not interrupted",
};

module.exports = { equivalent };
