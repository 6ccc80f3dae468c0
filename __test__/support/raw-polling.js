"use strict";

const http = require("node:http");
const https = require("node:https");
const { within } = require("./waiting");

const SEPARATOR = "\x1e";

/**
 * Starts a request and hands it back, for tests that cut it.
 *
 * @param {{ port: number, secure: boolean, localAddress?: string }} server `localAddress`: from where to connect
 * @param {{ method?: string, path?: string, headers?: object, agent?: any }} options
 * @returns {import("node:http").ClientRequest}
 */
function startRequest(server, { method = "GET", path = "/", headers = {}, agent = false } = {}) {
  const { request } = server.secure ? https : http;
  return request({
    host: "127.0.0.1",
    port: server.port,
    method,
    path,
    headers,
    agent,
    localAddress: server.localAddress,
    rejectUnauthorized: false,
  });
}

/**
 * Sends a request and resolves with the whole answer. A connection that ends without an answer rejects.
 *
 * @param {{ port: number, secure: boolean }} server
 * @param {{ method?: string, path?: string, headers?: object, body?: string | Buffer }} [options]
 * @returns {Promise<{ status: number, statusText: string, headers: object, rawHeaders: string[], body: string, bytes: Buffer, json: any }>}
 */
function request(server, options = {}) {
  const answer = new Promise((resolve, reject) => {
    const req = startRequest(server, options);
    req.on("error", reject);
    req.on("response", (res) => {
      const chunks = [];
      res.on("data", (chunk) => chunks.push(chunk));
      res.on("error", reject);
      res.on("end", () => {
        const bytes = Buffer.concat(chunks);
        const body = bytes.toString();
        const isJson = /^application\/json/.test(res.headers["content-type"]);
        resolve({
          status: res.statusCode,
          statusText: res.statusMessage,
          headers: res.headers,
          rawHeaders: res.rawHeaders,
          body,
          bytes,
          json: isJson && body && !res.headers["content-encoding"] ? JSON.parse(body) : undefined,
        });
      });
    });
    server.keep?.({ destroy: () => req.destroy() });
    req.end(options.body);
  });
  return within(answer, `answer to ${options.method ?? "GET"} ${options.path}`);
}

/** An Engine.IO long-polling client without any logic of its own. */
class RawPolling {
  constructor(server, path, query) {
    this.server = server;
    this.path = path;
    this.query = query;
    this.sid = null;
    this.queue = [];
  }

  /**
   * Opens a session.
   *
   * @param {{ port: number, secure: boolean }} server
   * @param {{ path?: string, query?: string, headers?: object }} [options]
   * @returns {Promise<RawPolling>} with `handshake`, `sid` and `answer`
   */
  static async open(server, { path = "/socket.io/", query = "EIO=4&transport=polling", headers } = {}) {
    const client = new this(server, path, query);
    client.answer = await client.request({ path: `${path}?${query}`, headers });
    if (client.answer.status !== 200) {
      throw new Error(`handshake answered with ${client.answer.status} ${client.answer.body}`);
    }
    const [packet, ...rest] = client.answer.body.split(SEPARATOR);
    client.handshake = JSON.parse(packet.slice(1));
    client.sid = client.handshake.sid;
    client.queue = rest;
    return client;
  }

  /**
   * Opens a session and joins a namespace.
   *
   * @returns {Promise<RawPolling>} with `id`, the public id
   */
  static async connect(server, options = {}) {
    const client = await this.open(server, options);
    const prefix = options.nsp ? `${options.nsp},` : "";
    await client.post(`40${prefix}${options.auth ? JSON.stringify(options.auth) : ""}`);
    const packet = await client.next();
    if (!packet.startsWith(`40${prefix}{`)) {
      throw new Error(`not a connect packet: ${packet}`);
    }
    client.id = JSON.parse(packet.slice(2 + prefix.length)).sid;
    return client;
  }

  get url() {
    return `${this.path}?${this.query}&sid=${this.sid}`;
  }

  /** Any request to the server. */
  request(options) {
    return request(this.server, options);
  }

  /** One poll. Resolves with the answer; `packets` are its packets as text. */
  async poll(headers) {
    const answer = await this.request({ path: this.url, headers });
    answer.packets = answer.body.split(SEPARATOR);
    return answer;
  }

  /** One data request. */
  post(body, headers = { "Content-Type": "text/plain;charset=UTF-8" }) {
    return this.request({ method: "POST", path: this.url, headers, body });
  }

  /** The next packet; polls when none is left over from the last poll. */
  async next() {
    while (this.queue.length === 0) {
      const answer = await this.poll();
      if (answer.status !== 200) {
        throw new Error(`poll answered with ${answer.status} ${answer.body}`);
      }
      this.queue.push(...answer.packets);
    }
    return this.queue.shift();
  }
}

module.exports = { SEPARATOR, startRequest, request, RawPolling };
