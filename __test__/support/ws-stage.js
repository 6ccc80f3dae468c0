"use strict";

const http = require("node:http");
const https = require("node:https");
const stock = require("ws");
const { selfSigned } = require("./certificate");
const { EventLog, print } = require("./event-log");
const { CLOSE, PING, PONG, closePayload, frame, upgradeRequest, RawWebSocket } = require("./raw-websocket");
const waiting = require("./waiting");

/** What a ping says that is only sent to know when everything before it was handled. */
const MARK = "mark ";

/** A log whose lines hold nothing random but ports and dates. */
class WsLog extends EventLog {
  normalise(lines) {
    return lines.map((line) =>
      this.hidden
        .reduce((text, [pattern, replacement]) => text.replace(pattern, replacement), line)
        .replace(/[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [\d:]{8} GMT/g, "<date>"),
    );
  }
}

/** What a scenario has at hand; `ws` is the package that it is played on. */
class WsStage {
  constructor(ws) {
    this.ws = ws;
    this.isStock = ws === stock;
    this.events = new WsLog();
    /** Writes a line into an actor's log. */
    this.log = this.events.add.bind(this.events);
    /** Waits for a line, see `EventLog.until`. */
    this.until = this.events.until.bind(this.events);
    this.ends = [];
    this.marks = 0;
    /** Into whose log it goes that a server is closed, if that has no place among what its sockets tell. */
    this.ending = undefined;
    Object.assign(this, waiting);
  }

  atEnd(end) {
    this.ends.push(end);
  }

  async end() {
    for (const end of this.ends.reverse()) {
      await end();
    }
  }

  /** Logs what a function throws, or returns. */
  attempt(actor, what, body) {
    let result;
    try {
      result = body();
      this.log(actor, `${what}: returned`, result);
    } catch (error) {
      this.log(actor, `${what}: threw`, error);
    }
    return result;
  }

  /** A WebSocketServer as it is made; it is not listening yet. */
  make(options, callback) {
    const wss = new this.ws.WebSocketServer(options, callback);
    this.wss = wss;
    this.atEnd(() => {
      for (const socket of wss.clients ?? []) {
        socket.terminate();
      }
      wss.close();
    });
    return wss;
  }

  /** One that listens on a port of its own. */
  async serve(options) {
    const wss = this.make({ host: "127.0.0.1", port: 0, ...options });
    await waiting.once(wss, "listening");
    this.know(wss.address().port);
    return wss;
  }

  /** An HTTP server that listens. */
  async listen(listener, { secure = false } = {}) {
    const server = secure ? https.createServer(selfSigned(), listener) : http.createServer(listener);
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    this.know(server.address().port);
    this.atEnd(() => {
      server.closeAllConnections();
      server.close();
    });
    return server;
  }

  know(port) {
    this.port = port;
    this.events.hide(new RegExp(`\\b${port}\\b`, "g"), "<port>");
  }

  /** Logs what a server tells, and what its sockets tell. */
  watchServer(wss = this.wss, actor = "server") {
    wss.on("listening", () => this.log(actor, "listening"));
    wss.on("error", (error) => this.log(actor, "server error", error));
    wss.on("close", () => this.log(this.ending ?? actor, "server close"));
    this.watchSockets(wss, actor);
    return wss;
  }

  /** Logs what happens to the sockets of a server. */
  watchSockets(wss = this.wss, actor = "server") {
    wss.on("connection", (socket, req) => {
      this.log(actor, `connection ${req.url}`);
      this.socket = this.watch(actor, socket);
    });
  }

  /** Logs all events of a socket. */
  watch(actor, socket) {
    socket.on("open", () => this.log(actor, "open"));
    socket.on("message", (data, isBinary) => this.log(actor, "message", shown(data, isBinary), isBinary));
    for (const event of ["ping", "pong"]) {
      socket.on(event, (data) => {
        if (!data.toString().startsWith(MARK)) this.log(actor, event, data);
      });
    }
    socket.on("error", (error) => this.log(actor, `error in ${socket.readyState}:`, error));
    socket.on("close", (code, reason) => this.log(actor, `close in ${socket.readyState}:`, code, reason));
    return socket;
  }

  /** A client of stock's, everything that it hears logged. */
  client(actor = "client", { path = "/", protocols, secure = false, ...options } = {}) {
    const url = `${secure ? "wss" : "ws"}://127.0.0.1:${this.port}${path}`;
    const client = new stock.WebSocket(url, protocols, { rejectUnauthorized: false, ...options });
    this.atEnd(() => client.terminate());
    return this.watch(actor, client);
  }

  /** A client that is open, and its socket at the server. */
  async pair(options, clientOptions) {
    const wss = await this.serve(options);
    this.watchSockets(wss);
    const accepted = waiting.once(wss, "connection");
    const client = this.client("client", clientOptions);
    await waiting.once(client, "open");
    const [socket, req] = await accepted;
    return { wss, socket, req, client };
  }

  /** A handshake of one's own making, and its answer logged. */
  async handshake(actor = "client", options = {}) {
    const { method = "GET", path = "/", headers, version = "1.1", head = "", text } = options;
    const raw = new (this.rawClass(actor))({ port: this.port, secure: options.secure }, options.connect);
    this.atEnd(() => raw.destroy());
    const request =
      text ?? upgradeRequest(path, headers).replace(/^GET/, method).replace("HTTP/1.1", `HTTP/${version}`);
    raw.write(Buffer.concat([Buffer.from(request, "latin1"), Buffer.from(head)]));
    if (options.answered === false) return raw;
    await raw.answered();
    if (raw.status === null) {
      this.log(actor, `no answer, end ${raw.end}`);
    } else if (raw.status !== 101) {
      const length = method === "HEAD" ? 0 : Number(raw.headers["content-length"] ?? 0);
      await raw.changes.until(() => Buffer.byteLength(raw.body) >= length || raw.end !== null);
      if (raw.headers.connection !== "keep-alive") await raw.ended();
      this.log(actor, "body", raw.body);
      this.log(actor, `end ${raw.end}`);
      raw.destroy();
    }
    return raw;
  }

  /** A raw client that is connected, and its socket at the server. */
  async rawPair(options, rawOptions) {
    const wss = await this.serve(options);
    this.watchSockets(wss);
    const accepted = waiting.once(wss, "connection");
    const raw = await this.handshake("client", rawOptions);
    const [socket, req] = await accepted;
    return { wss, socket, req, raw };
  }

  rawClass(actor) {
    const { log } = this;
    const stage = this;
    return class extends RawWebSocket {
      readHead() {
        super.readHead();
        if (this.statusText !== null) {
          log(actor, this.statusText);
          for (const line of this.headerLines) {
            log(actor, `  ${line}`);
          }
        }
      }

      onFrame(received) {
        const { header, opcode, payload } = received;
        if (opcode === PONG) {
          // at which moment a ping is answered, between other messages, is nobody's promise
          if (!payload.toString().startsWith(MARK)) log(`${actor}: pongs`, header.toString("hex"), payload);
        } else {
          log(actor, `frame ${header.toString("hex")}`, opcode === 1 ? payload.toString() : payload);
        }
        super.onFrame(received);
      }

      /** Says goodbye, or answers it, and logs how the connection ended. */
      async closed() {
        const closed = await super.closed();
        log(actor, `end ${closed.end}`);
        return closed;
      }

      close(code = 1000, reason) {
        this.frame({ opcode: CLOSE, payload: code === null ? "" : closePayload(code, reason) });
      }

      /** Waits until the server has hung up, and logs it. */
      async over() {
        const end = await this.ended();
        log(actor, `end ${end}`);
        return end;
      }

      /** Waits until what was sent so far has been handled; an engine may answer the first ping before JavaScript hears of it. */
      async settled() {
        for (let i = 0; i < 2; i++) {
          const payload = `${MARK}${stage.marks++}`;
          this.frame({ opcode: PING, payload });
          await this.changes.until(() =>
            this.frames.some((one) => one.opcode === PONG && one.payload.toString() === payload),
          );
        }
        await stage.turns();
      }

      /** Sends bytes one by one, each in a turn of its own. */
      async drip(bytes, size = 1) {
        for (let i = 0; i < bytes.length; i += size) {
          this.write(bytes.subarray(i, i + size));
          await stage.turns(1);
        }
      }
    };
  }

  async turns(count = 3) {
    for (let i = 0; i < count; i++) {
      await new Promise(setImmediate);
    }
  }

  /** An ordinary request, and its answer logged. */
  async request(actor, options = {}) {
    const { secure = false, body, ...rest } = options;
    const client = secure ? https : http;
    const request = client.request({
      host: "127.0.0.1",
      port: this.port,
      agent: false,
      rejectUnauthorized: false,
      ...rest,
    });
    request.end(body);
    const [response] = await waiting.once(request, "response");
    let text = "";
    for await (const chunk of response) {
      text += chunk;
    }
    this.log(actor, `${response.statusCode} ${response.statusMessage}`, {
      ...response.headers,
      date: undefined,
    });
    this.log(actor, "body", text);
  }

  /** Waits until all these have been told that their socket is closed. */
  async over(...actors) {
    for (const actor of actors.length ? actors : ["server", "client"]) {
      await this.until(actor, "close in");
    }
  }
}

function shown(data, isBinary) {
  if (data instanceof Blob) return `Blob of ${data.size}`;
  if (Array.isArray(data)) return [`${data.length ? "fragments" : "no fragments"}`, Buffer.concat(data)];
  return isBinary || !Buffer.isBuffer(data) ? data : data.toString();
}

/** Several frames in one piece of bytes. */
const frames = (...list) => Buffer.concat(list.map((one) => (Buffer.isBuffer(one) ? one : frame(one))));

/** A message in so many fragments. */
const fragmented = (opcode, payloads) =>
  frames(
    ...payloads.map((payload, i) => ({
      opcode: i === 0 ? opcode : 0,
      payload,
      fin: i === payloads.length - 1,
    })),
  );

module.exports = { WsStage, frames, fragmented, print, stock };
