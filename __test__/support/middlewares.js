"use strict";

// Middlewares that applications really use, and what is logged of the requests that they see, for scenarios.

const http = require("node:http");
const https = require("node:https");
const zlib = require("node:zlib");
const compression = require("compression");
const cookieParser = require("cookie-parser");
const cookieSession = require("cookie-session");
const cors = require("cors");
const express = require("express");
const { rateLimit } = require("express-rate-limit");
const session = require("express-session");
const { default: helmet } = require("helmet");
const morgan = require("morgan");
const { pinoHttp } = require("pino-http");

const ORIGIN = "https://app.example";

const DECODERS = { gzip: zlib.gunzipSync, deflate: zlib.inflateSync, br: zlib.brotliDecompressSync };

/**
 * Middlewares by what they are for, made anew for each stage. Those that log one line when a request is over write it as
 * the actor "lines", and have `stage.hasLines` set.
 */
const SETUPS = {
  "express-session": (stage) => [sessions(stage)],
  "express-session, saved each time": (stage) => [sessions(stage, { resave: true, rolling: true })],
  "cookie-session": () => [cookieSession({ name: "state", keys: ["secret"] }), count],
  "cookie-parser": () => [cookieParser("secret")],
  helmet: () => [helmet()],
  morgan: (stage) => [logsWithMorgan(stage)],
  "pino-http": (stage) => [logsWithPino(stage)],
  compression: () => [compression({ threshold: 0 })],
  cors: () => [cors({ origin: [ORIGIN], credentials: true, exposedHeaders: ["X-Shown"] })],
  "express-rate-limit": (stage) => [limits(stage, 1000)],
  "all of them": (stage) => everything(stage),
};

function everything(stage) {
  return [
    logsWithPino(stage),
    helmet(),
    cors({ origin: ORIGIN, credentials: true }),
    compression({ threshold: 0 }),
    cookieParser("secret"),
    limits(stage, 1000),
    sessions(stage),
    ...(stage.tally ? [] : [count]),
  ];
}

/** Sessions with ids that are the same each time. */
function sessions(stage, options) {
  let id = 0;
  return session({
    secret: "secret",
    resave: false,
    saveUninitialized: true,
    genid: () => `session ${++id}`,
    ...options,
  });
}

/** Has the session change with each request. */
function count(req, res, next) {
  req.session.requests = (req.session.requests ?? 0) + 1;
  next();
}

function logsWithMorgan(stage) {
  stage.hasLines = true;
  const format =
    ':remote-addr ":method :url HTTP/:http-version" :status :res[content-length] :res[content-type] ":user-agent"';
  // on an upgrade, stock has a part of a response, which is over at once
  const skip = isUpgrade;
  return morgan(format, { skip, stream: { write: (line) => logLine(stage, line.trim()) } });
}

function logsWithPino(stage) {
  stage.hasLines = true;
  const stream = {
    write(line) {
      const { responseTime, req, ...entry } = JSON.parse(line);
      const { remotePort, ...request } = req;
      // what of Node's own has called the logger depends on who writes to the socket
      if (entry.err) entry.err.stack = entry.err.stack.replace(/\n {4}at .*\(?node:.*/g, "");
      // on an upgrade, stock has a part of a response, which has no status, nor is it ever complete
      logLine(stage, typeof responseTime, typeof remotePort, request, request.headers.upgrade ? "" : entry);
    },
  };
  const ignore = (req) => stage.tally !== undefined && isUpgrade(req);
  return pinoHttp({ base: null, timestamp: false, autoLogging: { ignore } }, stream);
}

function isUpgrade(req) {
  return req.headers.upgrade !== undefined;
}

function logLine(stage, ...line) {
  if (stage.tally) stage.tally.lines++;
  else stage.log("lines", ...line);
}

function limits(stage, limit) {
  stage.hide(/(?<=-Reset: )\d+/i, "<seconds>");
  stage.hide(/(?<="ratelimit-reset": ?")\d+/i, "<seconds>");
  return rateLimit({
    windowMs: 3_600_000,
    limit,
    legacyHeaders: false,
    validate: false,
    keyGenerator: (req) => req.socket.remoteAddress,
    handler(req, res) {
      res.writeHead(429, { "Content-Type": "text/plain" });
      res.end("slow down");
    },
  });
}

/** Middlewares both of Express and of the engine, as the documentation has it. */
function share(stage, ...middlewares) {
  for (const middleware of [endings(stage), ...middlewares, observer(stage)]) {
    stage.app.use(middleware);
    stage.io.engine.use(middleware);
  }
}

/**
 * Has requests counted instead of logged, where a client polls as often as it likes. Handshakes are logged all the same.
 *
 * @returns {() => Promise<void>} resolves when all of them are over, and a line of each has been written
 */
function tallyRequests(stage) {
  const tally = { begun: 0, over: 0, lines: 0 };
  stage.tally = tally;
  return async () => {
    await stage.eventually(() => tally.over === tally.begun, "the end of all requests");
    if (stage.hasLines) await stage.eventually(() => tally.lines >= tally.begun, "a line for each request");
    await new Promise(setImmediate);
    stage.log("over", "one line each", !stage.hasLines || tally.lines === tally.begun);
  };
}

/** Logs when requests and answers are over. */
function endings(stage) {
  return (req, res, next) => {
    if (isUpgrade(req)) {
      next();
    } else if (stage.tally) {
      stage.tally.begun++;
      res.on("close", () => stage.tally.over++);
      next();
    } else {
      for (const event of ["finish", "close"]) {
        res.on(event, () => {
          const { statusCode, headersSent, writableEnded, writableFinished } = res;
          stage.log(
            "over",
            event,
            statusCode,
            headersSent,
            writableEnded,
            writableFinished,
            res.getHeaderNames(),
          );
        });
      }
      req.on("close", () => stage.log("read", "close", req.complete, req.aborted, req.destroyed));
      next();
    }
  };
}

/** Logs what a middleware can see of a request. */
function observer(stage) {
  const connections = [];
  return (req, res, next) => {
    const { socket } = req;
    if (stage.tally && req._query?.sid !== undefined && !isUpgrade(req)) {
      next();
      return;
    }
    if (!connections.includes(socket)) connections.push(socket);
    stage.log("seen", `${req.method} ${req.url} HTTP/${req.httpVersion}`, req.originalUrl);
    stage.log("seen", "headers", req.rawHeaders, req.headers);
    stage.log(
      "seen",
      "connection",
      stage.tally === undefined && connections.indexOf(socket),
      socket === req.connection,
      socket.remoteAddress,
      socket.remoteFamily,
      typeof socket.remotePort,
      socket.localAddress,
      socket.localPort === stage.port,
      socket.encrypted,
      socket.readable,
      socket.writable,
      socket.destroyed,
    );
    // whether a body is there depends on the packets that it comes in
    const isComplete = req.method === "POST" || req.complete;
    stage.log("seen", "state", isComplete, req.readable, req.aborted, req.upgrade, req.ip, req.secure);
    stage.log(
      "seen",
      "left",
      plain(req.session),
      req.sessionID,
      req.cookies,
      req.signedCookies,
      typeof req.id,
    );
    stage.log("seen", "response", res.req === req, res.socket === socket);
    if (!isUpgrade(req)) {
      stage.log("seen", "response", res.statusCode, res.headersSent, res.writableEnded, {
        ...res.getHeaders(),
      });
    }
    next();
  };
}

/** Logs what is known of the request behind a socket, and answers two events. */
function application(stage) {
  stage.io.engine.on("connection_error", ({ req, code, message, context }) => {
    stage.log("engine", "connection_error", req.method, code, message, context);
  });
  stage.io.on("connection", (socket) => {
    const { request, handshake } = socket;
    const { time, issued, ...rest } = handshake;
    stage.log("server", "handshake", typeof time, typeof issued, rest);
    stage.log(
      "server",
      "request",
      request.method,
      request.url,
      request === socket.conn.request,
      request._query,
    );
    stage.log("server", "left", plain(request.session), request.sessionID, request.cookies, request.user);
    socket.on("count", (acknowledge) => {
      const { session: current } = socket.request;
      if (current?.reload === undefined) {
        socket.emit("counted", current?.requests);
        acknowledge?.(current?.requests);
        return;
      }
      current.reload((error) => {
        stage.log("server", "reloaded", error, socket.request.session === current);
        const { session: fresh } = socket.request;
        fresh.events = (fresh.events ?? 0) + 1;
        fresh.save((error) => {
          stage.log("server", "saved", error, plain(fresh));
          socket.emit("counted", fresh.events);
          acknowledge?.(fresh.events);
        });
      });
    });
    stage.watch("server", socket, "disconnect");
  });
}

/** What a session consists of. */
function plain(current) {
  return current && { ...current };
}

function routes(app) {
  app.get("/page", (req, res) => res.send("<h1>a page</h1>"));
  app.get("/api", (req, res) => res.json({ session: req.session?.id, events: req.session?.events }));
}

/** Requests with cookies as a browser keeps them: over one connection, or each over one of its own. */
class Browser {
  constructor(stage, { keepAlive = true, headers = {} } = {}) {
    this.stage = stage;
    const { Agent } = stage.server.secure ? https : http;
    this.agent = keepAlive && stage.server.keep(new Agent({ keepAlive, maxSockets: 1 }));
    this.headers = headers;
    this.cookies = new Map();
    this.requests = 0;
  }

  /** Sends a request, logs the answer, and waits until it is over for the server too. */
  async ask(method, path, body, headers = {}) {
    const { stage, agent, cookies } = this;
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const answer = await stage.server.request({
      method,
      path,
      body,
      agent,
      headers: {
        "User-Agent": "a browser",
        Origin: ORIGIN,
        ...(cookie && { Cookie: cookie }),
        ...(body !== undefined && { "Content-Type": "text/plain;charset=UTF-8" }),
        ...this.headers,
        ...headers,
      },
    });
    for (const line of answer.headers["set-cookie"] ?? []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      cookies.set(name, value);
    }
    const { rawHeaders } = answer;
    stage.log("client", `${method} ${path}`, answer.status, answer.statusText);
    for (let i = 0; i < rawHeaders.length; i += 2) {
      stage.log("client", `  ${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
    }
    const decode = DECODERS[answer.headers["content-encoding"]];
    answer.text = (decode?.(answer.bytes) ?? answer.bytes).toString();
    stage.log("client", "  body", answer.text);
    await this.isOver(path);
    return answer;
  }

  /** Whoever logs does so when the server is done, which the client may know before. */
  async isOver(path) {
    const isBundle = path.endsWith(".js");
    if (isBundle) return;
    this.requests++;
    if (this.stage.hasLines) await this.stage.until("lines", this.requests * (this.stage.linesEach ?? 1));
    await this.stage.until("over", "close", this.requests);
    await this.stage.until("read", "close", this.requests);
  }

  get(path, headers) {
    return this.ask("GET", path, undefined, headers);
  }

  post(path, body, headers) {
    return this.ask("POST", path, body, headers);
  }
}

/** The `listener` of a scenario: an Express application, which is `stage.app`. */
function makeApp(stage) {
  stage.app = express();
  stage.app.set("env", "test");
  return stage.app;
}

module.exports = {
  ORIGIN,
  SETUPS,
  Browser,
  application,
  count,
  endings,
  everything,
  logsWithMorgan,
  logsWithPino,
  makeApp,
  observer,
  plain,
  routes,
  sessions,
  share,
  tallyRequests,
};
