"use strict";

/**
 * Gathers what JavaScript wants of the workers, so that it crosses to them once a batch or tick, in order.
 * The layout is described where it is read, in src/worker/command.rs.
 */

// taken before anybody can replace it by a fake timer
const { setImmediate } = require("timers");

const { isUtf8 } = require("node:buffer");
const { operations, flags, words } = require("./codes");
const { workerOf } = require("./slots");

const {
  SEND,
  MULTICAST,
  BROADCAST,
  ROOM,
  DROP_ROOM,
  JOIN,
  LEAVE,
  CLOSE,
  POLL,
  DROP,
  ALIVE,
  WATCH,
  PIPE_WRITTEN,
  PIPE_END,
  POST,
  ADMIT,
  DECLINE,
  TELL_SENT,
  HOLD,
  ADMIT_POLLING,
  HANG_UP,
  POSTED,
  PASS,
  ANSWER,
  WATCH_SHOWN,
  EXPIRE,
  SLOW_CONSUMER,
  EXEMPT,
  FRAME,
  HALT,
} = operations;

const { VOLATILE, COMPRESS, NOTIFY, DISCARD, IF_IDLE } = flags;
const { NO_TEXT, HAS_BUFFERS, TARGET_CONNECTION, NEVER } = words;

/** A batch whose text is longer than this crosses at once: V8 copies it as a whole, which is quickest within its caches. */
const TEXT_LIMIT = 1 << 15;

/**
 * Bytes that the attachments of a packet may be if some of them are the same, which crosses once but is sent as often as
 * it is there: what V8 can have in one string, so that stock cannot send more to clients that poll. Different ones may be
 * as large as they are.
 */
const MAX_REPEATED = 2 ** 29;

class Commands {
  /**
   * @param {NativeEngine} native - where batches go
   * @param {number} workers - how many workers there are
   */
  constructor(native, workers) {
    this.native = native;
    this.workers = workers;
    this.words = new Uint32Array(1024);
    this.length = 0;
    this.text = "";
    /** The buffers to cross, each once; their places in that list; and the places of those of the operations, in order. */
    this.buffers = undefined;
    this._places = undefined;
    this._used = [];
    this.mask = 0;
    /** While held, the holder flushes at its end. */
    this.held = false;
    this.scheduled = false;
    this._isScheduledLate = false;
    this.flush = this.flush.bind(this);
    this._flushLate = this._flushLate.bind(this);
    // the recipients of one array of packets, while it is being handed out
    this._runPackets = undefined;
    this._runCountAt = 0;
    // what was last sent by `sendOften()`: as it was given, as it crosses, and which run of recipients it is
    this._often = undefined;
    this._oftenBytes = undefined;
    this._oftenPackets = undefined;
    this._isOftenText = false;
    this._oftenFlags = 0;
    this._run = 0;
    /** How often something has crossed. */
    this._turn = 1;
  }

  /** A text message for one connection; see `wholeText`. */
  send(connection, text, flags) {
    const at = this._begin(3, connection);
    this.words[at] = SEND | (flags << 8);
    this.words[at + 1] = connection;
    this.words[at + 2] = text.length;
    this._addText(text);
  }

  /** A binary message for one connection. */
  sendBuffer(connection, buffer, flags) {
    this._addBuffer(buffer);
    const at = this._begin(4, connection);
    this.words[at] = SEND | (flags << 8) | HAS_BUFFERS;
    this.words[at + 1] = connection;
    this.words[at + 2] = NO_TEXT;
    this.words[at + 3] = 1;
  }

  /**
   * What a parser has made of a packet, for one connection: a text, then buffers; or buffers only.
   * @throws {RangeError} when it repeats its buffers so often that it becomes too large
   */
  sendPackets(connection, packets, flags) {
    if (!isOneOperation(packets)) {
      for (const packet of packets) this.sendPackets(connection, [toMessage(packet)], flags);
      return;
    }
    const texts = textsOf(packets);
    const buffers = this._addBuffers(packets, texts);
    const hasBuffers = buffers === 0 ? 0 : 1;
    const at = this._begin(3 + hasBuffers, connection);
    this.words[at] = SEND | (flags << 8) | (hasBuffers << 16);
    this.words[at + 1] = connection;
    this.words[at + 2] = texts === 0 ? NO_TEXT : packets[0].length;
    if (hasBuffers !== 0) this.words[at + 3] = buffers;
    if (texts !== 0) this._addText(wholeText(packets[0]));
  }

  /**
   * One of a run of recipients of the same array of packets: as long as nothing else is said in between, they become
   * one operation with a list of connections.
   * @throws {RangeError} as above
   */
  sendShared(connection, packets, flags) {
    if (this._runPackets === packets) {
      const at = this._reserve(1);
      this.words[at] = connection;
      this.words[this._runCountAt]++;
      this.mask |= 1 << workerOf(connection, this.workers);
      return;
    }
    if (!isOneOperation(packets)) {
      this.sendPackets(connection, packets, flags);
      return;
    }
    const texts = textsOf(packets);
    const buffers = this._addBuffers(packets, texts);
    const hasBuffers = buffers === 0 ? 0 : 1;
    const at = this._begin(4 + hasBuffers, connection);
    this.words[at] = MULTICAST | (flags << 8) | (hasBuffers << 16);
    this.words[at + 1] = texts === 0 ? NO_TEXT : packets[0].length;
    this.words[at + 2] = 1;
    if (hasBuffers !== 0) this.words[at + 3] = buffers;
    this.words[at + 3 + hasBuffers] = connection;
    this._runPackets = packets;
    this._runCountAt = at + 2;
    if (texts !== 0) this._addText(wholeText(packets[0]));
  }

  /**
   * A message for one of many connections who may all get the same, one after the other: a run of these is one operation.
   * @param {{ _handle: number, _run: number, _turn: number, _turnBytes: number }} recipient
   * @param {string|Buffer} data - as it is now: the bytes of a Buffer are copied
   * @param {boolean} isText - whether it is a text message
   * @returns {boolean} false: nothing was sent, because it is to be text, and is not UTF-8
   */
  sendOften(recipient, data, isText, flags) {
    const isBefore = data === this._often && isText === this._isOftenText && flags === this._oftenFlags;
    // the application may have written to a Buffer meanwhile
    if (isBefore && (typeof data === "string" || isEqual(data, this._oftenBytes))) {
      if (recipient._run === this._run) {
        // nobody is twice in one operation
        this._run++;
        this._oftenPackets = [this._oftenPackets[0]];
      }
      recipient._run = this._run;
      this._count(recipient, data.length);
      this.sendShared(recipient._handle, this._oftenPackets, flags);
      return true;
    }
    const packet = this._beginRun(data, isText, flags);
    if (packet === undefined) return false;
    this._count(recipient, data.length);
    recipient._run = this._run;
    if (typeof packet === "string") this.send(recipient._handle, packet, flags);
    else this.sendBuffer(recipient._handle, packet, flags);
    // who waits for it waits for this one only
    if ((flags & NOTIFY) !== 0) this._often = undefined;
    return true;
  }

  /** Bytes that one of them was sent, and that have not crossed yet. */
  bytesFor(recipient) {
    return recipient._turn === this._turn ? recipient._turnBytes : 0;
  }

  _count(recipient, bytes) {
    if (recipient._turn !== this._turn) {
      recipient._turn = this._turn;
      recipient._turnBytes = 0;
    }
    recipient._turnBytes += bytes;
  }

  /** @returns {string|Buffer|undefined} what crosses; nothing if it is to be text, and is not UTF-8 */
  _beginRun(data, isText, flags) {
    this._often = undefined;
    const isBytes = typeof data !== "string";
    if (isBytes && isText && !isUtf8(data)) return undefined;
    this._run++;
    this._oftenBytes = isBytes ? Buffer.from(data) : undefined;
    const packet = isText ? wholeText(data.toString()) : this._oftenBytes;
    this._oftenPackets = [packet];
    this._often = data;
    this._isOftenText = isText;
    this._oftenFlags = flags;
    return packet;
  }

  /** A frame for a client that speaks no Engine.IO. `first`: its first byte (RFC 6455 section 5.2). */
  frame(connection, first, payload) {
    // as it is now: the application may write to it
    this._addBuffer(Buffer.from(payload));
    const at = this._begin(4, connection);
    this.words[at] = FRAME | (first << 8) | HAS_BUFFERS;
    this.words[at + 1] = connection;
    this.words[at + 2] = NO_TEXT;
    this.words[at + 3] = 1;
  }

  /** Nothing is to be read of such a client, or again. */
  halt(connection, isHalted) {
    this._simple(HALT | ((isHalted ? 1 : 0) << 8), connection, connection);
  }

  /**
   * A message for everybody in some rooms, but not in others.
   * @param {Array} packets - what a parser has made of a packet
   * @param {number[]} targets - the rooms and connections to reach
   * @param {number[]} except - the rooms and connections to spare
   * @throws {RangeError} as above
   */
  broadcast(packets, targets, except, flags) {
    if (!isOneOperation(packets)) {
      for (const packet of packets) this.broadcast([toMessage(packet)], targets, except, flags);
      return;
    }
    const texts = textsOf(packets);
    const buffers = this._addBuffers(packets, texts);
    const hasBuffers = buffers === 0 ? 0 : 1;
    let at = this._begin(4 + hasBuffers + targets.length + except.length, -1);
    this.words[at] = BROADCAST | (flags << 8) | (hasBuffers << 16);
    this.words[at + 1] = texts === 0 ? NO_TEXT : packets[0].length;
    this.words[at + 2] = targets.length;
    this.words[at + 3] = except.length;
    at += 4;
    if (hasBuffers !== 0) this.words[at++] = buffers;
    for (let i = 0; i < targets.length; i++) this.words[at++] = targets[i];
    for (let i = 0; i < except.length; i++) this.words[at++] = except[i];
    if (texts !== 0) this._addText(wholeText(packets[0]));
  }

  /** Makes a room with the given connections in it. */
  room(room, connections) {
    let at = this._begin(3 + connections.length, -1);
    this.words[at] = ROOM;
    this.words[at + 1] = room;
    this.words[at + 2] = connections.length;
    at += 3;
    for (let i = 0; i < connections.length; i++) this.words[at++] = connections[i];
  }

  dropRoom(room) {
    this._simple(DROP_ROOM, room, -1);
  }

  join(room, connection) {
    const at = this._begin(3, connection);
    this.words[at] = JOIN;
    this.words[at + 1] = room;
    this.words[at + 2] = connection;
  }

  leave(room, connection) {
    const at = this._begin(3, connection);
    this.words[at] = LEAVE;
    this.words[at + 1] = room;
    this.words[at + 2] = connection;
  }

  close(connection, discard) {
    this._simple(CLOSE | ((discard ? DISCARD : 0) << 8), connection, connection);
  }

  /** A GET waits for an answer. */
  poll(connection) {
    const at = this._beginLate(2, connection);
    this.words[at] = POLL;
    this.words[at + 1] = connection;
  }

  /** The body of a POST. */
  post(connection, body) {
    const at = this._beginLate(3, connection);
    this.words[at] = POST;
    this.words[at + 1] = connection;
    this.words[at + 2] = body.length;
    this._addText(wholeText(body));
  }

  /** The session has ended on this side. */
  drop(connection) {
    this._simple(DROP, connection, connection);
  }

  /** The answer to CHECK_ALIVE: what had been sent has been written, or what had arrived handed over. */
  alive(connection) {
    this._simple(ALIVE, connection, connection);
  }

  /** Asks to be told when everything that has been sent so far has left. */
  tellSent(connection) {
    this._simple(TELL_SENT, connection, connection);
  }

  /** What a client sends is not limited any more. */
  exempt(connection) {
    this._simple(EXEMPT, connection, connection);
  }

  /** What to report of a connection beyond messages. */
  watch(connection, mask) {
    this._simple(WATCH | (mask << 8), connection, connection);
  }

  /** Asks to be told of a session after so many milliseconds, or, with Infinity, not any more. */
  expire(connection, milliseconds) {
    const at = this._begin(3, connection);
    this.words[at] = EXPIRE;
    this.words[at + 1] = connection;
    // what is longer is asked for again
    this.words[at + 2] = milliseconds === Infinity ? NEVER : Math.min(Math.max(milliseconds, 0), NEVER - 1);
  }

  /** What holds for events of a namespace if their client does not read: see `ruleOf()` in lib/engine/slow-consumer.js. */
  slowConsumer(connection, namespace, { policy, maxBytes, maxAge }) {
    const name = namespace === "/" ? "" : wholeText(namespace);
    const at = this._begin(5, connection);
    this.words[at] = SLOW_CONSUMER | (policy << 8);
    this.words[at + 1] = connection;
    this.words[at + 2] = name.length;
    this.words[at + 3] = Math.min(maxBytes, NEVER);
    this.words[at + 4] = Math.min(maxAge, NEVER);
    this._addText(name);
  }

  pipeWritten(stream) {
    this._simple(PIPE_WRITTEN, stream, stream);
  }

  pipeEnd(stream) {
    this._simple(PIPE_END, stream, stream);
  }

  /** The packets of a POST that the worker has are read. */
  posted(connection) {
    this._simple(POSTED, connection, connection);
  }

  /** There is a POST whose body follows: no other may come before that. */
  hold(connection) {
    const at = this._beginLate(2, connection);
    this.words[at] = HOLD;
    this.words[at + 1] = connection;
  }

  /**
   * An arrival becomes a session, or, with an empty `sid`, the WebSocket of one that polls. `headers`: what its answer has
   * beyond the usual.
   */
  admit(connection, stream, revision, sid, headers) {
    const at = this._beginLate(6, connection);
    this.words[at] = ADMIT;
    this.words[at + 1] = connection;
    this.words[at + 2] = stream;
    this.words[at + 3] = sid.length + headers.length;
    this.words[at + 4] = revision;
    this.words[at + 5] = sid.length;
    this._addText(sid + headers);
  }

  /** An arrival becomes a session that polls: see `Opening` in src/worker/arrivals.rs. */
  admitPolling(connection, stream, { sid, origin, upgrades, cookie, first, cors }) {
    const lengths = `${Buffer.byteLength(cookie)}\n${Buffer.byteLength(first)}`;
    const text = `${sid}\n${origin}\n${upgrades}\n${lengths}\n${cookie}${first}${cors}`;
    const at = this._beginLate(4, connection);
    this.words[at] = ADMIT_POLLING;
    this.words[at + 1] = connection;
    this.words[at + 2] = stream;
    this.words[at + 3] = text.length;
    this._addText(text);
  }

  /** An arrival is to be closed, or only if nothing is under way. */
  hangUp(stream, ifIdle) {
    this._simple(HANG_UP | ((ifIdle ? IF_IDLE : 0) << 8), stream, stream);
  }

  /**
   * The application has seen a request of a session, which a worker may answer. `headers`: what it adds to the answer,
   * lines with their ends.
   */
  pass(stream, headers) {
    this._lines(PASS, stream, headers);
  }

  /** A preflight is answered. `head`: the status line and headers, with their ends. */
  answerPreflight(stream, head) {
    this._lines(ANSWER, stream, head);
  }

  _lines(operation, stream, lines) {
    const at = this._beginLate(3, stream);
    this.words[at] = operation;
    this.words[at + 1] = stream;
    this.words[at + 2] = lines.length;
    this._addText(lines);
  }

  /** The application takes its time over a request: the end of the connection is to be told. */
  watchShown(stream) {
    this._simple(WATCH_SHOWN, stream, stream);
  }

  /** An arrival is to be Node's. */
  decline(stream) {
    this._simple(DECLINE, stream, stream);
  }

  /** Hands everything over now. */
  flush() {
    this.scheduled = false;
    if (this.length === 0) return;
    const { length, text, buffers, mask } = this;
    const places = this._used.length === 0 ? 0 : this._addPlaces();
    this.length = 0;
    this.text = "";
    this.buffers = undefined;
    this._places = undefined;
    this.mask = 0;
    this._runPackets = undefined;
    this._often = this._oftenBytes = this._oftenPackets = undefined;
    this._turn++;
    this.native.submit(this.words, length, places, text, buffers, mask);
  }

  _flushLate() {
    this._isScheduledLate = false;
    this.flush();
  }

  _simple(first, subject, worker) {
    const at = this._begin(2, worker);
    this.words[at] = first;
    this.words[at + 1] = subject;
  }

  /** Room for an operation that concerns one worker, or all (-1). */
  _begin(size, subject) {
    if (!this.scheduled && !this.held) {
      this.scheduled = true;
      process.nextTick(this.flush);
    }
    return this._open(size, subject);
  }

  /**
   * The same for what a request brings. Requests come in ticks of their own, but many in one turn of the event loop, and
   * waking a worker costs more than all the rest: they cross at its end, or with what is said sooner.
   */
  _beginLate(size, subject) {
    if (!this._isScheduledLate) {
      this._isScheduledLate = true;
      setImmediate(this._flushLate);
    }
    return this._open(size, subject);
  }

  _open(size, subject) {
    this._runPackets = undefined;
    this.mask |= subject === -1 ? -1 : 1 << workerOf(subject, this.workers);
    return this._reserve(size);
  }

  _reserve(size) {
    const at = this.length;
    this.length = at + size;
    if (this.length > this.words.length) {
      const words = new Uint32Array(Math.max(this.words.length * 2, this.length));
      words.set(this.words);
      this.words = words;
    }
    return at;
  }

  _addText(text) {
    this.text += text;
    if (this.text.length > TEXT_LIMIT) this.flush();
  }

  _addBuffer(data) {
    this.buffers ??= [];
    this._places ??= new Map();
    let place = this._places.get(data);
    if (place === undefined) {
      place = this.buffers.push(toBuffer(data)) - 1;
      this._places.set(data, place);
    }
    this._used.push(place);
  }

  /** Writes the places of the operations' buffers behind the operations. @returns {number} how many there are */
  _addPlaces() {
    const used = this._used;
    const at = this._reserve(used.length);
    this.words.set(used, at);
    this._used = [];
    return used.length;
  }

  /**
   * Adds what of a packet is buffers, before its operation is begun: something else may be among them, and throw.
   * @returns {number} how many there are
   */
  _addBuffers(packets, texts) {
    const count = packets.length - texts;
    if (count === 0) return 0;
    if (count > 1) checkRepeated(packets, texts);
    const before = this._used.length;
    try {
      for (let i = texts; i < packets.length; i++) this._addBuffer(packets[i]);
    } catch (error) {
      this._used.length = before;
      throw error;
    }
    return count;
  }
}

/** Whether two Buffers have the same in them. */
function isEqual(a, b) {
  const { length } = a;
  if (length > SHORT) return a.equals(b);
  if (length !== b.length) return false;
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Bytes that are compared sooner one by one than by a call into Node. */
const SHORT = 64;

/**
 * A text that does not end with half a character, which would merge with the other half at the beginning of the next
 * text. Looking at the end of a text that has just been put together makes V8 copy it, so this is left to those who do
 * not know that there is something else there, such as the bracket that ends an event.
 * @param {string} text
 * @returns {string} of the same length
 */
function wholeText(text) {
  return (text.charCodeAt(text.length - 1) & 0xfc00) === 0xd800 ? text.toWellFormed() : text;
}

/** How many of the packets are text: the first, or none. */
function textsOf(packets) {
  return typeof packets[0] === "string" ? 1 : 0;
}

/** @throws {RangeError} when buffers are so many times the same that the packet becomes too large */
function checkRepeated(packets, texts) {
  let bytes = 0;
  for (let i = texts; i < packets.length; i++) bytes += packets[i].byteLength;
  if (!(bytes > MAX_REPEATED)) return;
  let distinct = 0;
  for (const buffer of new Set(packets.slice(texts))) distinct += buffer.byteLength;
  if (bytes > distinct) {
    throw new RangeError(`a packet repeats its ${distinct} bytes of attachments until they are ${bytes}`);
  }
}

/** Whether packets are what one operation can carry: a text, then binary values; or binary values only. */
function isOneOperation(packets) {
  if (packets.length === 0 || !(typeof packets[0] === "string" || isBinary(packets[0]))) return false;
  for (let i = 1; i < packets.length; i++) {
    if (!isBinary(packets[i])) return false;
  }
  return true;
}

function isBinary(data) {
  return ArrayBuffer.isView(data) || data instanceof ArrayBuffer;
}

/** What is neither text nor binary is sent as text. */
function toMessage(data) {
  return typeof data === "string" || isBinary(data) ? data : String(data || "");
}

/** Any binary value as a Buffer over the same memory. */
function toBuffer(data) {
  if (Buffer.isBuffer(data)) return data;
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return Buffer.from(data);
}

module.exports = { Commands, VOLATILE, COMPRESS, NOTIFY, TARGET_CONNECTION, toMessage, wholeText };
