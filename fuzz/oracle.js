"use strict";

/**
 * What Node, stock, and the JavaScript half of this package make of some bytes: a program that reads questions from its standard
 * input and answers each on its standard output. A question is its length in four bytes, the lowest first, a letter, and
 * bytes; an answer is its length, and JSON. It ends with its standard input.
 */

const fs = require("node:fs");
const path = require("node:path");
const { HTTPParser, methods } = require("_http_common");
const accepts = require("accepts");
const { Decoder: StockDecoder } = require("socket.io-parser");
const { Decoder, parsePayload } = require("../lib/api/packet");

const QUESTIONS = {
  /** A head of a request, and how much of its body is there: what Node's parser says of it. */
  H: askOfRequest,
  /** A whole response. */
  R: askOfResponse,
  /** The text of a Socket.IO packet. */
  S: askOfPacket,
  /** Base64, which may be anything but text beyond Latin-1. */
  B: (bytes) => Buffer.from(bytes.toString("latin1"), "base64").toString("hex"),
  /** Bytes from which commands are made: what they look like when they cross, and what they mean. */
  C: (bytes) => require("./oracle-commands").encode(bytes),
};

/** A parser, and what it has told. */
function parserOf(type) {
  const parser = new HTTPParser();
  parser.initialize(type, {});
  const told = { heads: [], body: [], complete: 0 };
  let early = [];
  let earlyUrl = "";
  // more headers than fit at once
  parser[HTTPParser.kOnHeaders] = (headers, url) => {
    early.push(...headers);
    earlyUrl += url;
  };
  parser[HTTPParser.kOnHeadersComplete] = (
    major,
    minor,
    headers,
    method,
    url,
    status,
    reason,
    upgrade,
    keep,
  ) => {
    told.heads.push({
      version: `${major}.${minor}`,
      // what of the two a release hands over
      headers: [...early, ...(headers ?? [])],
      method,
      url: earlyUrl + (url ?? ""),
      status,
      upgrade,
      keepAlive: keep,
    });
    early = [];
    earlyUrl = "";
    return upgrade ? 2 : 0;
  };
  parser[HTTPParser.kOnBody] = (...args) => {
    const [bytes, at, length] = args;
    told.body.push(at === undefined ? Buffer.from(bytes) : Buffer.from(bytes.subarray(at, at + length)));
  };
  parser[HTTPParser.kOnMessageComplete] = () => {
    told.complete++;
  };
  return { parser, told };
}

/** The question: where the head ends, and bytes of the body behind it (both in four bytes), a seed, then the bytes. */
function askOfRequest(question) {
  const head = question.readUInt32LE(0);
  const seed = question.readUInt32LE(4);
  const bytes = question.subarray(8);
  const { parser, told } = parserOf(HTTPParser.REQUEST);
  const failed = (result) => result instanceof Error && { error: `${result.code}: ${result.reason}` };
  let at = 0;
  let state = seed | 1;
  // all but the last byte of the head, in pieces
  while (at < head - 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const end = Math.min(head - 1, at + 1 + ((state >>> 16) % (seed % 3 === 0 ? 4 : 600)));
    const result = parser.execute(bytes.subarray(at, end));
    if (result instanceof Error) return failed(result);
    at = end;
  }
  const early = told.heads.length;
  let result = parser.execute(bytes.subarray(head - 1, head));
  if (result instanceof Error) return failed(result);
  const [first] = told.heads;
  const answer = { early, ...first, completeAtHead: told.complete };
  answer.method = methods[first?.method];
  const values = first?.headers.filter(
    (_, i) => i % 2 === 1 && first.headers[i - 1].toLowerCase() === "accept-encoding",
  );
  const headers = values?.length > 0 ? { "accept-encoding": values.join(", ") } : {};
  answer.coding = accepts({ headers }).encodings(["gzip", "deflate"]);
  if (first !== undefined && !first.upgrade) {
    result = parser.execute(bytes.subarray(head));
    if (result instanceof Error) return failed(result);
    answer.completeAtBody = told.complete;
    answer.body = Buffer.concat(told.body).toString("hex");
    if (first.keepAlive) {
      result = parser.execute(Buffer.from("GET /next HTTP/1.1\r\nHost: x\r\n\r\n"));
      if (result instanceof Error) return failed(result);
      answer.next = told.heads[1]?.url;
    }
  }
  parser.close();
  return answer;
}

/** The question: seconds since 1970 (eight bytes), then the response. */
function askOfResponse(question) {
  const { parser, told } = parserOf(HTTPParser.RESPONSE);
  const result = parser.execute(question.subarray(8));
  if (result instanceof Error) return { error: `${result.code}: ${result.reason}` };
  const [first] = told.heads;
  const answer = { ...first, complete: told.complete, body: Buffer.concat(told.body).toString("hex") };
  answer.date = new Date(Number(question.readBigUInt64LE(0)) * 1000).toUTCString();
  parser.close();
  return answer;
}

/**
 * The question: the type that the worker has read, plus 1; the acknowledgement id (-1: none) and where the JSON begins, in
 * UTF-16 units (four bytes each); length of the namespace (four bytes); the text. A type of 0: the worker has left it alone.
 */
function askOfPacket(question) {
  const text = question.toString("utf8", 13);
  const decode = (Class) => {
    const decoder = new Class();
    let packet = null;
    decoder.on("decoded", (decoded) => (packet = decoded));
    try {
      decoder.add(text);
    } catch (err) {
      return { error: err.message };
    }
    return packet ?? { pending: true };
  };
  const answer = { stock: plain(decode(StockDecoder)), ours: plain(decode(Decoder)) };
  if (question[0] > 0) {
    const [id, body, namespace] = [1, 5, 9].map((at) => question.readInt32LE(at));
    const type = question[0] - 1;
    const packet = { type, nsp: namespace === 0 ? "/" : text.slice(1, 1 + namespace) };
    if (id !== -1) packet.id = id;
    try {
      // as Client._onText does it
      if (body < text.length) packet.data = parsePayload(type, text.slice(body));
      answer.fast = plain(packet);
    } catch (err) {
      answer.fast = { error: err.message };
    }
  }
  return answer;
}

/** A packet in a form that is the same for the same content: its members in order, and an id that JSON could not hold. */
function plain(packet) {
  if (packet.error !== undefined || packet.pending)
    return packet.error === undefined ? packet : { error: packet.error };
  const { type, nsp, id, data } = packet;
  const json =
    data === undefined ? null : JSON.stringify(data, (_, value) => (Object.is(value, -0) ? "-0" : value));
  return {
    type,
    nsp,
    id: id === undefined ? null : String(id),
    data: json === null ? null : json.toWellFormed(),
  };
}

function write(bytes) {
  for (let at = 0; at < bytes.length;) at += fs.writeSync(1, bytes, at);
}

/** @returns {Buffer|undefined} so many bytes, or nothing at the end of the input */
function read(length) {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length;) {
    const count = fs.readSync(0, bytes, at, length - at, null);
    if (count === 0) return undefined;
    at += count;
  }
  return bytes;
}

process.chdir(path.join(__dirname, ".."));
for (let length = read(4); length !== undefined; length = read(4)) {
  const question = read(length.readUInt32LE(0));
  if (question === undefined) break;
  let answer;
  try {
    answer = QUESTIONS[String.fromCharCode(question[0])](question.subarray(1));
  } catch (err) {
    answer = { failure: err.stack };
  }
  const bytes = Buffer.from(JSON.stringify(answer));
  const head = Buffer.alloc(4);
  head.writeUInt32LE(bytes.length);
  write(Buffer.concat([head, bytes]));
}
process.exit(0);
