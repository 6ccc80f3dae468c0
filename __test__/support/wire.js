"use strict";

// Requests of clients that poll, written out, and their answers to the byte.

const { RawConnection } = require("./harness");

/** The body in chunks, and the bytes that they take; undefined if the last of them, which is empty, is not there yet. */
function readChunks(bytes) {
  const chunks = [];
  let at = 0;
  while (bytes.indexOf("\r\n", at) !== -1) {
    const start = bytes.indexOf("\r\n", at) + 2;
    const length = parseInt(bytes.toString("latin1", at, start), 16);
    at = start + length + 2;
    if (length === 0) return at <= bytes.length ? { body: Buffer.concat(chunks), length: at } : undefined;
    chunks.push(bytes.subarray(start, start + length));
  }
  return undefined;
}

/** A connection whose answers are read one by one. */
class Wire extends RawConnection {
  /** The next answer, as text. */
  async answer() {
    return (await this.answerBytes()).toString();
  }

  /** The next answer. */
  async answerBytes() {
    let end;
    await this.changes.until(() => {
      const head = this.received.indexOf("\r\n\r\n");
      if (head !== -1) end = head + 4 + this._bodyLength(head);
      return this.received.length >= end || this.end !== null;
    });
    const bytes = this.received.subarray(0, end);
    this.received = this.received.subarray(bytes.length);
    return bytes;
  }

  /** Bytes of the body behind a head that ends here; infinitely many if that is not known yet. */
  _bodyLength(end) {
    const head = this.received.toString("latin1", 0, end);
    if (/^transfer-encoding: chunked$/im.test(head)) {
      return readChunks(this.received.subarray(end + 4))?.length ?? Infinity;
    }
    return Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
  }

  /** Sends a request, and resolves with its answer. */
  ask(text) {
    this.write(text);
    return this.answer();
  }

  /** Sends a request, and resolves with its answer. */
  askBytes(text) {
    this.write(text);
    return this.answerBytes();
  }
}

const wire = (server) => server.keep(new Wire(server));

const lines = (headers) =>
  Object.entries(headers)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join("");

const target = (sid) => `/socket.io/?EIO=4&transport=polling&t=abc${sid === undefined ? "" : `&sid=${sid}`}`;

const get = (sid, headers = {}) =>
  `GET ${target(sid)} HTTP/1.1\r\n${lines({ Host: "here", ...headers })}\r\n`;

const post = (sid, body, headers = {}) =>
  `POST ${target(sid)} HTTP/1.1\r\n${lines({
    Host: "here",
    "Content-Type": "text/plain;charset=UTF-8",
    "Content-Length": Buffer.byteLength(body),
    ...headers,
  })}\r\n${body}`;

const sidOf = (answer) => /"sid":"([^"]+)"/.exec(answer)[1];
const bodyOf = (answer) => answer.slice(answer.indexOf("\r\n\r\n") + 4);

module.exports = { bodyOf, get, post, readChunks, sidOf, target, wire };
