"use strict";

/**
 * The Socket.IO packet on the wire: a line of text `<type>[<attachments>-][<namespace>,][<ack id>][<json>]`, followed by
 * one binary message per attachment. The JSON names an attachment by `{"_placeholder":true,"num":<index>}`.
 *
 * Encoder and Decoder have the interface that the `parser` option asks for, so that a custom parser can stand in for them.
 * Malformed input is answered with the same errors as by socket.io-parser, down to what it happens to let through: every
 * such leniency is named below where it matters.
 */

const { EventEmitter } = require("node:events");

/** Version of the Socket.IO protocol. */
const protocol = 5;

const NAMES = ["CONNECT", "DISCONNECT", "EVENT", "ACK", "CONNECT_ERROR", "BINARY_EVENT", "BINARY_ACK"];

/** Packet types by name and, the other way round, names by type. */
const PacketType = {};
for (const [type, name] of NAMES.entries()) {
  PacketType[name] = type;
  PacketType[type] = name;
}
Object.freeze(PacketType);

const [CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK] = NAMES.keys();

/** What a peer may not use as an event name: the events that a socket emits of itself, and those of EventEmitter. */
const RESERVED_EVENTS = new Set([
  "connect",
  "connect_error",
  "disconnect",
  "disconnecting",
  "newListener",
  "removeListener",
]);

/** Test environments may lack these globals, or have a File that is no Blob. */
const { Blob: BlobClass, File: FileClass } = globalThis;

/** More attachments than this in one packet are refused. */
const MAX_ATTACHMENTS = 10;

/**
 * So are more arguments than this: listeners get them on the stack, and a packet of a hundred kilobytes could overflow it,
 * which would be an uncaught exception.
 */
const MAX_ARGUMENTS = 16_384;

/**
 * Bytes that the placeholders of a packet may stand for, if that is more than there are: clients use each attachment once.
 * An application that passes such a packet on would send so much to each of its clients.
 */
const MAX_REPEATED = 64 * 1024 * 1024;

class Encoder {
  /**
   * @param {Function} [replacer] - second argument for `JSON.stringify`
   */
  constructor(replacer) {
    this.replacer = replacer;
  }

  /**
   * Encodes a packet.
   *
   * @public
   * @param {{type: number, nsp?: string, id?: number, data?: any}} packet
   * @returns {Array<string|Buffer|ArrayBuffer|ArrayBufferView>} the text, then the attachments if there are any
   */
  encode(packet) {
    const { type, nsp, id, data } = packet;
    if ((type === EVENT || type === ACK) && hasBinary(data)) {
      const attachments = [];
      const body = withPlaceholders(data, attachments);
      const header = `${type === EVENT ? BINARY_EVENT : BINARY_ACK}${attachments.length}-`;
      return [encodeText(header, nsp, id, body, this.replacer), ...attachments];
    }
    // a packet that is already of a binary type comes from somebody who has taken the attachments out of it
    const header = type === BINARY_EVENT || type === BINARY_ACK ? `${type}${packet.attachments}-` : type;
    return [encodeText(header, nsp, id, data, this.replacer)];
  }
}

/**
 * Turns messages back into packets; emits "decoded" with each.
 */
class Decoder extends EventEmitter {
  /**
   * @param {Function|{reviver?: Function, maxAttachments?: number}} [opts] - options, or just the reviver for `JSON.parse`
   */
  constructor(opts) {
    super();
    const { reviver, maxAttachments } = typeof opts === "function" ? { reviver: opts } : (opts ?? {});
    this.reviver = reviver;
    this.maxAttachments = maxAttachments ?? MAX_ATTACHMENTS;
    /** The packet whose attachments are still arriving, and those that are here. */
    this.pending = undefined;
    this.attachments = undefined;
  }

  /**
   * Takes the next message.
   *
   * @public
   * @param {string|Buffer|ArrayBuffer|ArrayBufferView|{base64: true}} message
   * @throws {Error} if the message is malformed or out of place
   */
  add(message) {
    if (typeof message === "string") {
      if (this.pending !== undefined) {
        throw new Error("got plaintext data when reconstructing a packet");
      }
      this._addText(message);
    } else if (isBinary(message) || message.base64) {
      if (this.pending === undefined) {
        throw new Error("got binary data when not reconstructing a packet");
      }
      this._addAttachment(message);
    } else {
      throw new Error("Unknown type: " + message);
    }
  }

  /**
   * Forgets a packet whose attachments have not all arrived.
   *
   * @public
   */
  destroy() {
    this.pending = undefined;
    this.attachments = undefined;
  }

  /** @private */
  _addText(text) {
    const packet = decodeText(text, this.reviver, this.maxAttachments);
    if (packet.attachments === undefined) {
      this.emit("decoded", packet);
      return;
    }
    packet.type = packet.type === BINARY_EVENT ? EVENT : ACK;
    this.pending = packet;
    this.attachments = [];
  }

  /** @private */
  _addAttachment(attachment) {
    const { pending: packet, attachments } = this;
    attachments.push(attachment);
    if (attachments.length < packet.attachments) {
      return;
    }
    let bytes = 0;
    for (let i = 0; i < attachments.length; i++) bytes += sizeOf(attachments[i]);
    packet.data = withAttachments(packet.data, attachments, { left: Math.max(bytes, MAX_REPEATED) });
    delete packet.attachments;
    this.destroy();
    this.emit("decoded", packet);
  }
}

/**
 * The text of a packet.
 *
 * @param {number|string} header - the type and, for a packet with attachments, their number and "-"
 * @param {string} [nsp]
 * @param {number} [id] - the ack id
 * @param {any} [data]
 * @param {Function} [replacer]
 * @returns {string}
 */
function encodeText(header, nsp, id, data, replacer) {
  let text = "" + header;
  if (nsp && nsp !== "/") {
    text += nsp + ",";
  }
  if (id != null) {
    text += id;
  }
  if (data != null) {
    text +=
      (replacer === undefined && Array.isArray(data) && joinFlat(data)) || JSON.stringify(data, replacer);
  }
  return text;
}

/**
 * Takes the text of a packet apart.
 *
 * @param {string} text
 * @param {Function} [reviver]
 * @param {number} [maxAttachments]
 * @returns {{type: number, nsp: string, attachments?: number, id?: number, data?: any}}
 * @throws {Error} if the text is no packet
 */
function decodeText(text, reviver, maxAttachments = MAX_ATTACHMENTS) {
  // empty text and a blank are both 0 in Number()'s eyes, that is a CONNECT
  const type = Number(text.charAt(0));
  if (!(type <= BINARY_ACK)) {
    throw new Error("unknown packet type " + type);
  }
  const packet = { type };
  let at = 1;

  if (type === BINARY_EVENT || type === BINARY_ACK) {
    const dash = text.indexOf("-", at);
    // Number() also lets "0x1", "1.0" and " 1" through
    const count = dash === -1 ? NaN : Number(text.slice(at, dash));
    if (!Number.isInteger(count) || count < 1) {
      throw new Error("Illegal attachments");
    }
    if (count > maxAttachments) {
      throw new Error("too many attachments");
    }
    packet.attachments = count;
    at = dash + 1;
  }

  packet.nsp = "/";
  if (text.charAt(at) === "/") {
    const comma = text.indexOf(",", at);
    const end = comma === -1 ? text.length : comma;
    packet.nsp = text.slice(at, end);
    at = end + 1;
  }

  let end = at;
  while (end < text.length && isIdCharacter(text.charAt(end))) {
    end++;
  }
  if (end > at) {
    packet.id = Number(text.slice(at, end));
  }

  if (end < text.length) {
    packet.data = parsePayload(type, text.slice(end), reviver);
  }
  return packet;
}

/**
 * Parses and checks the JSON of a packet.
 *
 * @param {number} type - the type of the packet
 * @param {string} json - not empty
 * @param {Function} [reviver]
 * @returns {any}
 * @throws {Error} if it is no JSON, or not what a packet of that type may carry
 */
function parsePayload(type, json, reviver) {
  let payload;
  try {
    payload = JSON.parse(json, reviver);
  } catch {
    throw new Error("invalid payload");
  }
  if (!isPayloadValid(type, payload)) {
    throw new Error("invalid payload");
  }
  return payload;
}

/**
 * Puts the attachments back in the place of their placeholders. Containers are changed in place.
 *
 * @param {any} data
 * @param {Array} attachments
 * @param {{left: number}} budget - bytes that placeholders may still stand for
 * @returns {any}
 * @throws {Error} if a placeholder names an attachment that does not exist, or they name too much too often
 */
function withAttachments(data, attachments, budget) {
  if (typeof data !== "object" || data === null) {
    return data;
  }
  if (data._placeholder === true) {
    const { num } = data;
    if (typeof num === "number" && num >= 0 && num < attachments.length) {
      budget.left -= sizeOf(attachments[num]);
      if (budget.left >= 0) {
        return attachments[num];
      }
    }
    throw new Error("illegal attachments");
  }
  if (Array.isArray(data)) {
    for (let i = 0; i < data.length; i++) {
      data[i] = withAttachments(data[i], attachments, budget);
    }
  } else {
    for (const key of Object.keys(data)) {
      data[key] = withAttachments(data[key], attachments, budget);
    }
  }
  return data;
}

/** The bytes of an attachment. A number such as 0.5 names none. */
function sizeOf(attachment) {
  return attachment?.byteLength ?? 0;
}

/**
 * Whether a value holds binary data, at any depth. Runs for every packet that leaves, so plain values come first.
 *
 * @param {any} value
 * @returns {boolean}
 */
function hasBinary(value) {
  if (typeof value !== "object" || value === null) {
    return false;
  }
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const item = value[i];
      if (typeof item === "object" && item !== null && hasBinary(item)) {
        return true;
      }
    }
    return false;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && isBinary(value)) {
    return true;
  }
  if (typeof value.toJSON === "function") {
    // what JSON.stringify would encode; its result is not asked for a toJSON() of its own
    return hasBinaryFields(value.toJSON());
  }
  return hasBinaryFields(value);
}

module.exports = {
  protocol,
  PacketType,
  Encoder,
  Decoder,
  RESERVED_EVENTS,
  encodeText,
  parsePayload,
  hasBinary,
};

/** What JSON.stringify leaves as it is, except that surrogates may be fine in pairs: it is up to it to see. */
const NEEDS_ESCAPE = /[^ !#-[\]-\ud7ff\ue000-\uffff]/;

/**
 * The JSON of a list of plain strings and numbers, which most events are: in half the time that JSON.stringify takes to
 * set about it (Node 20).
 *
 * @returns {string|undefined} undefined if there is anything else in the list
 */
function joinFlat(values) {
  let text = "[";
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    const separator = i === 0 ? "" : ",";
    if (typeof value === "string" && !NEEDS_ESCAPE.test(value)) {
      text += separator + '"' + value + '"';
    } else if (typeof value === "number" && Number.isFinite(value)) {
      text += separator + value;
    } else {
      return undefined;
    }
  }
  return text + "]";
}

/** As hasBinary(), without regard to a toJSON() on the value itself. */
function hasBinaryFields(value) {
  if (typeof value !== "object" || value === null) {
    return false;
  }
  if (Array.isArray(value)) {
    return hasBinary(value);
  }
  if (isBinary(value)) {
    return true;
  }
  for (const key in value) {
    if (Object.hasOwn(value, key)) {
      const field = value[key];
      if (typeof field === "object" && field !== null && hasBinary(field)) {
        return true;
      }
    }
  }
  return false;
}

function isBinary(value) {
  return (
    ArrayBuffer.isView(value) ||
    value instanceof ArrayBuffer ||
    (BlobClass !== undefined && value instanceof BlobClass) ||
    (FileClass !== undefined && value instanceof FileClass)
  );
}

/** A copy of the data in which every binary value is a placeholder; the binary values are added to `attachments`. */
function withPlaceholders(data, attachments, isFromToJSON = false) {
  if (typeof data !== "object" || data === null) {
    return data;
  }
  if (isBinary(data)) {
    if (!ArrayBuffer.isView(data) && !(data instanceof ArrayBuffer)) {
      throw new TypeError(
        "a Blob has to be read before it can be sent: emit what its arrayBuffer() resolves with",
      );
    }
    return { _placeholder: true, num: attachments.push(data) - 1 };
  }
  if (Array.isArray(data)) {
    return Array.from(data, (item) => withPlaceholders(item, attachments));
  }
  if (data instanceof Date) {
    return data;
  }
  if (typeof data.toJSON === "function" && !isFromToJSON) {
    return withPlaceholders(data.toJSON(), attachments, true);
  }
  const copy = {};
  for (const key of Object.keys(data)) {
    copy[key] = withPlaceholders(data[key], attachments);
  }
  return copy;
}

/** Digits, and the blanks that Number() takes for a 0. */
function isIdCharacter(character) {
  return !Number.isNaN(Number(character));
}

function isPayloadValid(type, payload) {
  switch (type) {
    case EVENT:
    case BINARY_EVENT:
      return isList(payload) && isEventName(payload[0]);
    case ACK:
    case BINARY_ACK:
      return isList(payload);
    case CONNECT:
      return isObject(payload);
    case CONNECT_ERROR:
      return typeof payload === "string" || isObject(payload);
    case DISCONNECT:
    default:
      return false;
  }
}

function isList(payload) {
  return Array.isArray(payload) && payload.length <= MAX_ARGUMENTS;
}

function isEventName(name) {
  return typeof name === "string" ? !RESERVED_EVENTS.has(name) : typeof name === "number";
}

/** Of what JSON can yield: an object, neither an array nor null. */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
