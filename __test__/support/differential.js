"use strict";

// Plays scenarios on npm's socket.io (of another folder, if `SIO_STOCK` names one) and on this package, and compares what everybody who took part saw.
//
// A scenario is
//   {
//     name,
//     options?,   of the server, or a function of the stage that returns them
//     listener?,  for the other requests of the HTTP server: a function of the stage that returns one
//     not?,       { https?: reason, nativeTls?: reason, duplex?: reason }: why it is not played over such streams; `https`
//                 is TLS by workers or by Node, `nativeTls` the former
//     differs?,   { why, logs: { actor: { stock: [line], ours: [line] } }, streams? }: where this package means to differ
//     run(stage)
//   }

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const timers = require("node:timers");
const ours = require("../../index.js");
const { EventLog } = require("./event-log");
const {
  serve,
  listen,
  atEnd,
  adopt,
  connected,
  RawConnection,
  RawPolling,
  RawWebSocket,
} = require("./harness");
const { PING, PONG } = require("./raw-websocket");
const { requireStock } = require("./stock");
const waiting = require("./waiting");

const stock = requireStock("socket.io");

const FOLDER = path.join(__dirname, "..", "differential");

// stock leaves timers of half a minute running, for which the process need not wait
const { setTimeout } = timers;
timers.setTimeout = globalThis.setTimeout = (...args) => setTimeout(...args).unref();

/**
 * For `differs`: an event that is read together with what ends the session. Neither package calls its own listeners.
 *
 * @param {string} event
 * @param {string[]} end what is said of the end
 */
const caughtEarlier = (event, end) => ({
  why: "a catch-all listener hears of an event when it is read; with stock, when the socket is disconnected already",
  logs: {
    server: {
      stock: ["connection", ...end, `event ${event}`],
      ours: ["connection", `event ${event}`, ...end],
    },
  },
});

const goneBy = (reason) => [`disconnecting "${reason}" undefined`, `disconnect "${reason}" undefined`];

/** What a scenario has at hand. */
class Stage {
  constructor(sio, stream, scope) {
    this.sio = sio;
    this.isStock = sio === stock;
    this.stream = stream;
    this.scope = scope;
    this.events = new EventLog();
    /** Writes a line into an actor's log. */
    this.log = this.events.add.bind(this.events);
    /** Waits for a line, see `EventLog.until`. */
    this.until = this.events.until.bind(this.events);
    /** Leaves something out of all lines. */
    this.hide = this.events.hide.bind(this.events);
    Object.assign(this, { connected, ...waiting });
  }

  async prepare({ options, listener }) {
    const server = await this.serve(
      typeof options === "function" ? options(this) : { ...options },
      listener?.(this),
    );
    Object.assign(this, { server, io: server.io, httpServer: server.httpServer, port: server.port });
  }

  /** One more server. */
  serve(options, requestListener) {
    return serve(this.scope, options, { stream: this.stream, requestListener, of: this.sio });
  }

  /** An HTTP server to attach to. */
  listen(requestListener) {
    return listen(this.scope, this.stream, requestListener);
  }

  /** Has a server that the scenario made itself closed at the end. */
  adopt(io, port = this.port) {
    return adopt(this.scope, io, port, this.stream);
  }

  /** Has something closed at the end. */
  atEnd(close) {
    atEnd(this.scope, close);
  }

  /** Logs events of any emitter with their arguments. */
  watch(actor, emitter, ...events) {
    for (const event of events) {
      emitter.on(event, (...args) => this.log(actor, event, ...args));
    }
    return emitter;
  }

  /** Logs everything that happens to the sockets of a namespace. */
  watchSockets(nsp = this.io, actor = "server") {
    nsp.on("connection", (socket) => {
      this.log(actor, "connection");
      this.watchSocket(socket, actor);
    });
  }

  watchSocket(socket, actor = "server") {
    socket.onAny((event, ...args) => this.log(actor, `event ${named(event)}`, ...args));
    this.watch(actor, socket, "error", "disconnecting", "disconnect");
  }

  /** A stock client, everything that it hears logged. */
  client(actor, nsp, options, server = this.server) {
    const client = server.client(nsp, options);
    client.on("connect", () => this.log(actor, "connect"));
    client.on("disconnect", (reason) => this.log(actor, "disconnect", reason));
    client.on("connect_error", (error) => this.log(actor, "connect_error", error.message, error.data));
    client.onAny((event, ...args) => {
      const values = args.map((arg) => (typeof arg === "function" ? "[ack]" : arg));
      this.log(actor, `event ${event}`, ...values);
    });
    return client;
  }

  /** A stock client that is connected, and its socket on the server. */
  async pair(actor, nsp, options) {
    const client = this.client(actor, nsp, options);
    await connected(client);
    const socket = this.io.of(nsp ?? "/").sockets.get(client.id);
    return { client, socket };
  }

  /** The upgrade of a raw WebSocket, whatever becomes of it: the head of the answer and all frames are logged. */
  upgrade(actor, options, server = this.server) {
    return this._webSocket(actor).upgrade(server, options);
  }

  /** A raw WebSocket with a session of Engine.IO. */
  ws(actor, options, server = this.server) {
    return this._webSocket(actor).open(server, options);
  }

  /** A raw WebSocket that has joined a namespace. */
  join(actor, options, server = this.server) {
    return this._webSocket(actor).connect(server, options);
  }

  _webSocket(actor) {
    const { log } = this;
    return class extends RawWebSocket {
      readHead() {
        super.readHead();
        if (this.statusText !== null) {
          logHead(log, actor, this.statusText, this.headerLines);
        }
      }

      onFrame(frame) {
        const { header, opcode, payload } = frame;
        const shown = opcode === 1 ? payload.toString() : payload;
        log(actor, header.toString("hex"), shown);
        super.onFrame(frame);
      }

      /** Goodbye as by a proper client; logs how the connection ended, and what was no WebSocket. */
      async closed() {
        const closed = await super.closed();
        if (this.body || this.received.length) {
          log(actor, "body", this.body || this.received.toString());
        }
        log(actor, "end", closed.end);
        return closed;
      }

      /**
       * Waits until what was sent so far has been handled. A native thread answers the first ping of the protocol before
       * JavaScript hears of what came in front of it, but not the second.
       */
      async settled() {
        await this.answersPing();
        await this.answersPing();
        await new Promise(setImmediate);
        await new Promise(setImmediate);
      }

      async answersPing() {
        const payload = String((this.pings = (this.pings ?? 0) + 1));
        this.frame({ opcode: PING, payload });
        const isAnswer = (frame) => frame.opcode === PONG && frame.payload.toString() === payload;
        const isOver = () => this.closeFrame !== null || this.end !== null;
        await this.changes.until(() => this.frames.some(isAnswer) || isOver());
      }
    };
  }

  /** A raw polling session; its requests and answers are logged. */
  polling(actor, options, server = this.server) {
    return this._polling(actor).open(server, options);
  }

  /** A raw polling client that has joined a namespace. */
  joinPolling(actor, options, server = this.server) {
    return this._polling(actor).connect(server, options);
  }

  _polling(actor) {
    const stage = this;
    return class extends RawPolling {
      request(options) {
        return stage.http(actor, options, this.server);
      }
    };
  }

  /** An HTTP request, and its answer logged. */
  async http(actor, options, server = this.server) {
    const answer = await server.request(options);
    const { rawHeaders } = answer;
    const headers = rawHeaders.flatMap((name, i) => (i % 2 ? [] : [`${name}: ${rawHeaders[i + 1]}`]));
    logHead(this.log, actor, `${answer.status} ${answer.statusText}`, headers);
    const isText = /^(text|application\/json)/.test(answer.headers["content-type"] ?? "text");
    this.log(actor, "body", isText ? answer.body : answer.bytes);
    return answer;
  }

  /** Sends bytes, and logs all that comes back until the server hangs up. */
  async bytes(actor, ...chunks) {
    const connection = this.server.keep(new RawConnection(this.server));
    for (const chunk of chunks) {
      connection.write(chunk);
    }
    await connection.ended();
    this.log(actor, "answer", connection.received.toString("latin1"));
    return connection;
  }
}

/** An event may have no name, but an ack. */
function named(event) {
  return typeof event === "function" ? "without a name" : event;
}

function logHead(log, actor, first, headers) {
  log(actor, first);
  for (const header of headers) {
    log(actor, `  ${header}`);
  }
}

/** Plays a scenario on one of the packages and returns what was seen. */
async function play(scenario, sio, stream) {
  const ends = [];
  const alive = setInterval(() => {}, 2 ** 31 - 1);
  const stage = new Stage(sio, stream, { after: (end) => ends.push(end) });
  try {
    await stage.prepare(scenario);
    await waiting.within(Promise.resolve(scenario.run(stage)), "the scenario", 2 * waiting.LIMIT);
    return stage.events.close(stage.port);
  } catch (error) {
    error.message = `on ${stage.isStock ? "stock" : "ours"}: ${error.message}\n${show(stage)}`;
    throw error;
  } finally {
    for (const end of ends) {
      await end();
    }
    clearInterval(alive);
  }
}

function show(stage) {
  return JSON.stringify(stage.events.close(stage.port), null, 2);
}

/**
 * What there is to be tested over one kind of stream. The tests themselves are made by whoever asks, so that each belongs
 * to the file that is run.
 *
 * @param {string} stream
 * @returns {Iterable<[name: string, options: object, body: () => Promise<void>]>} arguments of `test()`
 */
function* comparisons(stream) {
  const subjects = fs
    .readdirSync(FOLDER)
    .filter((name) => name.endsWith(".js"))
    .sort();
  for (const subject of subjects) {
    for (const scenario of require(path.join(FOLDER, subject))) {
      const name = `${path.basename(subject, ".js")}: ${scenario.name}`;
      yield [name, { skip: whyNot(scenario, stream) }, () => compare(scenario, stream)];
    }
  }
}

/** What a stream is called by scenarios. */
const kindOf = (stream) => (stream === "node-tls" ? "https" : stream);

function whyNot({ not = {} }, stream) {
  return not[kindOf(stream)] ?? (stream === "https" ? not.nativeTls : undefined);
}

async function compare(scenario, stream) {
  const expected = await play(scenario, stock, stream);
  const actual = await play(scenario, ours, stream);
  assert.ok(Object.values(expected).flat().length > 0, "something is seen");
  const { differs } = scenario;
  if (differs !== undefined && (differs.streams?.includes(kindOf(stream)) ?? true)) {
    setApart(differs, expected, actual);
  }
  assert.deepStrictEqual(actual, expected);
}

/** Takes out of the logs of both what is meant to differ, and is as it is meant to be. */
function setApart({ logs: meant }, expected, actual) {
  for (const [actor, logs] of Object.entries(meant)) {
    assert.deepStrictEqual({ actor, log: expected[actor] }, { actor, log: logs.stock }, "stock");
    assert.deepStrictEqual({ actor, log: actual[actor] }, { actor, log: logs.ours }, "ours");
    assert.notDeepStrictEqual(logs.ours, logs.stock);
    delete expected[actor];
    delete actual[actor];
  }
}

module.exports = { comparisons, caughtEarlier, goneBy, setApart };
