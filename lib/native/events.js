"use strict";

/**
 * What the workers have to tell, on its way to whom it concerns. The layout of a batch, and of each kind of event, is
 * described where it is written, in src/worker/event.rs.
 */

const { events, words } = require("./codes");
const queue = require("./event-queue");
const { compact, detach } = require("./text");

// taken before anybody can replace it by a fake timer
const { setImmediate, setTimeout } = require("timers");

const {
  PACKET,
  TEXT,
  BINARY,
  CLOSED,
  RELEASED,
  POLL_ANSWER,
  POST_DONE,
  CONTROL,
  UPGRADING,
  UPGRADED,
  UPGRADE_FAILED,
  PIPE_WRITE,
  PIPE_END,
  SENT,
  CHECK_ALIVE,
  POLL_ANSWER_BINARY,
  SLOW_CONSUMER,
  ARRIVED,
  HUNG_UP,
  ELSEWHERE,
  OVERLAP,
  POST_OVERLAP,
  LIMIT,
  FRAME,
  VIOLATION,
} = events;

/** What ARRIVED says of how a request asks. */
const METHODS = ["GET", "POST", "OPTIONS"];

const { NO_ID, DRAIN_HEAD, DRAIN_CAPACITY } = words;

/** Of a stream that is released: see src/worker/event.rs. */
const IS_CUT = 1 << 24;
const IS_SPOILT = 1 << 25;
const HAS_SESSION = 1 << 26;

/** Words that one turn of the event loop takes at the most, so that other things get their turn. */
const WORDS_PER_TURN = 8192;

/** The same for what the events weigh: their texts and buffers, in bytes. */
const WEIGHT_PER_TURN = 256 * 1024;

/**
 * Turns of the event loop after which whatever had arrived from a client has been handed over: its connection is
 * accepted in one, its request read in the next, and the engine may have been woken before either.
 */
const TURNS_TO_ARRIVE = 4;

/** The batch of events that is being worked through, and how far that has come. */
class Batch {
  constructor() {
    this.words = new Uint32Array(DRAIN_CAPACITY);
    this.bytes = Buffer.from(this.words.buffer);
    this.text = "";
    this.buffers = undefined;
    /** The connection whose packets are being handled. */
    this.subject = -1;
    this.at = 0;
    this.end = 0;
    this.textAt = 0;
    this.bufferAt = 0;
  }

  /** Fetches the next batch. @returns {boolean} whether there was one */
  fetch(native) {
    this.text = native.drain(this.bytes);
    this.at = DRAIN_HEAD;
    this.end = DRAIN_HEAD + this.words[0];
    this.textAt = 0;
    this.bufferAt = 0;
    if (this.words[0] === 0) return false;
    this.buffers = this.words[1] === 0 ? undefined : native.takeBuffers();
    return true;
  }

  /** The next so many characters, as a part of the batch's text: see `detach()`. */
  takeText(length) {
    const from = this.textAt;
    this.textAt = from + length;
    return this.text.slice(from, this.textAt);
  }

  /** The next buffer, which is no longer held from here. */
  takeBuffer() {
    const at = this.bufferAt++;
    const buffer = this.buffers[at];
    this.buffers[at] = undefined;
    return buffer;
  }
}

/**
 * Called when events begin to wait. A tick of its own lets exceptions of listeners take Node's usual way. The engine is
 * not held by what it hands out for this: if nobody else holds it, nobody waits for events.
 */
function wake(ref) {
  const bridge = ref.deref();
  if (bridge !== undefined) process.nextTick(bridge.drain);
}

/**
 * Works through the events that wait. A listener that throws ends this call, as it would end the callback of a
 * socket; the rest of the batch is delivered in another tick.
 */
function drain(bridge) {
  const { commands } = bridge;
  let completed = false;
  commands.held = true;
  try {
    queue.runBatch(workThrough, bridge);
    completed = true;
  } finally {
    commands.held = false;
    commands.flush();
    if (!completed) process.nextTick(bridge.drain);
  }
}

function workThrough(bridge) {
  const { native, batch } = bridge;
  let words = WORDS_PER_TURN;
  let weight = WEIGHT_PER_TURN;
  for (;;) {
    while (batch.at < batch.end) dispatch(bridge, batch);
    queue.flush();
    batch.subject = -1;
    if (words <= 0 || weight <= 0) {
      setImmediate(bridge.drain);
      return;
    }
    if (!batch.fetch(native)) return;
    words -= batch.words[0];
    weight -= batch.words[2];
  }
}

/** Handles the next event of a batch. The batch has moved on before any listener of that event is called. */
function dispatch(bridge, batch) {
  const { words, at } = batch;
  const kind = words[at] & 0xff;
  if (kind <= CLOSED) {
    // as if each client's packets had been read from its socket by JavaScript: see event-queue.js
    const subject = words[at + 1];
    if (subject !== batch.subject || kind === CLOSED) queue.flush();
    batch.subject = subject;
  } else if (kind === ARRIVED || kind === LIMIT) {
    queue.flush();
    batch.subject = -1;
  }
  // most packets are events, whose listeners are not called yet
  if (kind === PACKET) takePacket(bridge, batch);
  else queue.callApart(take, undefined, bridge, batch);
}

/** Hands over a Socket.IO packet. */
function takePacket(bridge, batch) {
  const { words, at, text } = batch;
  batch.at = at + 5;
  const start = batch.textAt;
  const end = start + words[at + 3];
  batch.textAt = end;
  const conn = bridge.conns.get(words[at + 1]);
  if (conn === undefined) return;
  const first = words[at];
  const id = words[at + 2];
  const namespaceLength = first >>> 16;
  conn._onPacket(
    text,
    start,
    end,
    start + words[at + 4],
    (first >>> 8) & 0xff,
    namespaceLength === 0 ? "/" : text.slice(start + 1, start + 1 + namespaceLength),
    id === NO_ID ? -1 : id,
  );
}

/** Handles any other event. */
function take(bridge, batch) {
  const { words, at } = batch;
  const first = words[at];
  const subject = words[at + 1];
  switch (first & 0xff) {
    case TEXT: {
      batch.at = at + 3;
      const text = batch.takeText(words[at + 2]);
      bridge.conns.get(subject)?._onMessage(text);
      break;
    }
    case BINARY: {
      batch.at = at + 2;
      const data = batch.takeBuffer();
      bridge.conns.get(subject)?._onMessage(data);
      break;
    }
    case FRAME: {
      batch.at = at + 2;
      const payload = batch.takeBuffer();
      bridge.conns.get(subject)?._onFrame(first >>> 8, payload);
      break;
    }
    case VIOLATION: {
      batch.at = at + 3;
      const description = detach(batch.takeText(words[at + 2]));
      bridge.conns.get(subject)?._onViolation(first >>> 16, description);
      break;
    }
    case CLOSED: {
      batch.at = at + 4;
      const reason = detach(batch.takeText(words[at + 2]));
      const description = detach(batch.takeText(words[at + 3]));
      const conn = bridge.conns.get(subject);
      if (conn === undefined) break;
      try {
        conn._onNativeClose(reason, description, first >>> 16);
      } finally {
        conn._polling?.settle();
        bridge.conns.remove(subject);
        bridge.host._onRest();
      }
      break;
    }
    case RELEASED: {
      batch.at = at + 2;
      const session = (first & HAS_SESSION) === 0 ? undefined : bridge.native.takeSession(subject);
      const stream = bridge.streams.get(subject);
      if (stream === undefined) break;
      bridge.releaseStream(subject);
      stream.onReleased({
        isUnanswered: (first & 0xff00) !== 0,
        served: (first >>> 16) & 0xff,
        isCut: (first & IS_CUT) !== 0,
        isSpoilt: (first & IS_SPOILT) !== 0,
        session,
      });
      // which may call the application
      stream.owner?._onReleased();
      break;
    }
    case POLL_ANSWER: {
      batch.at = at + 3;
      const payload = batch.takeText(words[at + 2]);
      bridge.conns.get(subject)?._polling?.answer(payload, (first & 0xff00) !== 0);
      break;
    }
    case POLL_ANSWER_BINARY: {
      batch.at = at + 2;
      const payload = batch.takeBuffer();
      bridge.conns.get(subject)?._polling?.answer(payload, (first & 0xff00) !== 0);
      break;
    }
    case POST_DONE:
      batch.at = at + 2;
      bridge.conns.get(subject)?._polling?.onPosted();
      break;
    case CONTROL: {
      batch.at = at + 3;
      const data = detach(batch.takeText(words[at + 2]));
      const type = String.fromCharCode((first >>> 8) & 0xff);
      bridge.conns.get(subject)?._onControl(type, data, first >>> 16 !== 0);
      break;
    }
    case UPGRADING:
      batch.at = at + 2;
      bridge.conns.get(subject)?._onUpgrading();
      break;
    case UPGRADED:
      batch.at = at + 2;
      bridge.conns.get(subject)?._onUpgraded();
      break;
    case UPGRADE_FAILED:
      batch.at = at + 2;
      bridge.conns.get(subject)?._onUpgradeFailed();
      break;
    case PIPE_WRITE: {
      batch.at = at + 2;
      const data = batch.takeBuffer();
      bridge.streams.get(subject)?.write(data);
      break;
    }
    case PIPE_END:
      batch.at = at + 2;
      bridge.streams.get(subject)?.end();
      break;
    case SENT:
      batch.at = at + 2;
      bridge.conns.get(subject)?._onSent();
      break;
    case CHECK_ALIVE:
      batch.at = at + 2;
      if ((first & 0xff00) !== 0) bridge.commands.alive(subject);
      else answerLate(bridge, subject, TURNS_TO_ARRIVE);
      break;
    case SLOW_CONSUMER:
      batch.at = at + 3;
      if (bridge.conns.get(subject) === undefined) break;
      bridge.host._onSlowConsumer(bridge.conns.get(subject), words[at + 2], (first & 0x100) !== 0);
      break;
    case LIMIT:
      batch.at = at + 3;
      bridge.conns.get(subject)?._onLimit((first >>> 8) & 0xff, words[at + 2], first >>> 16 !== 0);
      break;
    case HUNG_UP: {
      batch.at = at + 2;
      const stream = bridge.streams.get(subject);
      if (stream === undefined) break;
      bridge.releaseStream(subject);
      stream.onHungUp(first >>> 8);
      break;
    }
    case ELSEWHERE: {
      batch.at = at + 3;
      const session = (first & 0x100) === 0 ? undefined : bridge.native.takeSession(subject);
      bridge.streams.get(subject)?.moveTo(words[at + 2], session);
      break;
    }
    case OVERLAP:
      batch.at = at + 2;
      bridge.conns.get(subject)?._polling?.onOverlap();
      break;
    case POST_OVERLAP:
      batch.at = at + 2;
      bridge.conns.get(subject)?._polling?.onPostOverlap();
      break;
    case ARRIVED: {
      batch.at = at + 6;
      const text = compact(batch.takeText(words[at + 5]));
      const ports = words[at + 2];
      const lengths = words[at + 3];
      const security = words[at + 4];
      const offersExtensions = (first & 0x100) !== 0;
      const method = METHODS[first >>> 9];
      bridge.streams.get(subject)?.onRequest(text, ports, lengths, security, method, offersExtensions);
      break;
    }
    default: {
      batch.at = at + 2;
      process.emitWarning(detach(batch.takeText(subject)), "SockeyeWarning");
    }
  }
}

/**
 * Answers CHECK_ALIVE after some turns of the event loop in which the stream of the connection does not rest. What a client
 * that polls has to say may come by a new connection, which was accepted in one of them, and over which hands have to be
 * shaken first.
 */
function answerLate(bridge, connection, turns) {
  setImmediate(() => {
    if (bridge.isResting(bridge.conns.get(connection)?._stream)) {
      answerLate(bridge, connection, TURNS_TO_ARRIVE);
    } else if (turns > 1) {
      answerLate(bridge, connection, turns - 1);
    } else {
      const time = bridge.conns.get(connection)?._polling === undefined ? 0 : bridge.greetingTime;
      if (time > 0) setTimeout(() => bridge.commands.alive(connection), time).unref();
      else bridge.commands.alive(connection);
    }
  });
}

module.exports = { Batch, drain, wake };
