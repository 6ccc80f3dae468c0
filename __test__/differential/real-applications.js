"use strict";

// What applications do with middlewares, as the documentation of Socket.IO and of the middlewares shows it: who may come
// in, who is refused and how, and what happens in between.

const { ServerResponse } = require("node:http");
const compression = require("compression");
const cookieParser = require("cookie-parser");
const cors = require("cors");
const express = require("express");
const { rateLimit } = require("express-rate-limit");
const session = require("express-session");
const { default: helmet } = require("helmet");
const { Passport, Strategy } = require("passport");
const { Strategy: LocalStrategy } = require("passport-local");
const {
  ORIGIN,
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
} = require("../support/middlewares");
const { RawConnection } = require("../support/raw-websocket");

const POLLING = "/socket.io/?EIO=4&transport=polling";
const FORM = { "Content-Type": "application/x-www-form-urlencoded" };

/** Ways for a middleware of the engine to say no. */
const REFUSALS = {
  "401, as the documentation does it": (req, res) => {
    res.writeHead(401);
    res.end();
  },
  "a status and a text": (req, res) => {
    res.statusCode = 403;
    res.statusMessage = "Not you";
    res.setHeader("Content-Type", "text/plain");
    res.end("not you");
  },
  "a redirection": (req, res) => {
    res.writeHead(302, "Elsewhere", { Location: "/login" });
    res.end();
  },
  "a body in parts": (req, res) => {
    res.writeHead(503, { "Retry-After": "1" });
    res.write("not ");
    setImmediate(() => res.end("now"));
  },
  "the end of the connection": (req, res) => {
    res.setHeader("Connection", "close");
    res.statusCode = 400;
    res.end("away");
  },
  "an error": (req, res, next) => next(new Error("no")),
  "an error after a while": async (req, res, next) => {
    await new Promise(setImmediate);
    next(new Error("no"));
  },
  "an exception": () => {
    throw new Error("no");
  },
  "a rejection": async () => {
    await new Promise(setImmediate);
    throw new Error("no");
  },
};

/** As the documentation has it. */
function onlyForHandshake(middleware) {
  return (req, res, next) => {
    if (req._query.sid === undefined) middleware(req, res, next);
    else next();
  };
}

/** Opens a session that polls, and joins. */
async function open(browser, { query = POLLING } = {}) {
  const handshake = await browser.get(query);
  const sid = /"sid":"([^"]+)"/.exec(handshake.text.replaceAll("\\", ""))[1];
  return `${query}&sid=${sid}`;
}

/** Sends requests in one write, and logs all that comes back until the server hangs up. */
async function sendAll(stage, requests) {
  const connection = stage.server.keep(new RawConnection(stage.server));
  connection.write(requests);
  await connection.ended();
  const text = connection.received.toString("latin1");
  for (const line of text.split("\r\n")) stage.log("client", line);
  return text;
}

const sid = (url) => new URLSearchParams(url).get("sid");

/** A store of sessions that takes its time. */
class SlowStore extends session.MemoryStore {
  get(id, callback) {
    setImmediate(() => super.get(id, (...args) => setImmediate(callback, ...args)));
  }
  set(id, value, callback) {
    setTimeout(() => super.set(id, value, callback), 2);
  }
  touch(id, value, callback) {
    setTimeout(() => super.touch(id, value, callback), 2);
  }
}

/** Logging in and out by passport. */
function passportOf(stage) {
  const passport = new Passport();
  passport.use(
    new LocalStrategy((username, password, done) => {
      if (password === "secret") done(null, { id: 7, username });
      else done(null, false, { message: "wrong" });
    }),
  );
  passport.serializeUser((user, done) => setImmediate(done, null, user.id));
  passport.deserializeUser((id, done) => setImmediate(done, null, { id, username: "found" }));
  stage.app.post("/login", express.urlencoded(), passport.authenticate("local"), (req, res) => {
    res.json({ user: req.user, session: req.session.id });
  });
  stage.app.post("/logout", (req, res, next) => {
    const { id } = req.session;
    req.logout((error) => {
      if (error) return next(error);
      stage.io.in(`session: ${id}`).disconnectSockets();
      res.sendStatus(204);
    });
  });
  return passport;
}

/** Tokens as by passport-jwt. */
class Bearer extends Strategy {
  name = "bearer";

  authenticate(req) {
    const token = req.headers.authorization?.split(" ")[1];
    if (token === undefined) return this.fail("Bearer");
    setImmediate(() => {
      if (token === "good") this.success({ name: "bearer" });
      else if (token === "broken") this.error(new Error("broken"));
      else this.fail('Bearer error="invalid_token"');
    });
  }
}

module.exports = [
  {
    name: "sessions, as the documentation has them",
    listener: makeApp,
    async run(stage) {
      share(stage, sessions(stage));
      routes(stage.app);
      stage.app.post("/logout", (req, res) => {
        const { id } = req.session;
        req.session.destroy(() => {
          stage.io.in(id).disconnectSockets();
          res.status(204).end();
        });
      });
      application(stage);
      stage.io.on("connection", (socket) => {
        socket.join(socket.request.session.id);
        stage.log("server", "rooms", [...socket.rooms].length);
      });
      const browser = new Browser(stage);
      await browser.get("/page");
      const cookies = [...browser.cookies].map(([name, value]) => `${name}=${value}`).join();
      stage.hide(/(?<=sec-websocket-key"?[:,] ")[\w+/]+==/gi, "<key>");
      for (const tab of ["first tab", "second tab"]) {
        const client = stage.client(tab, "/", { extraHeaders: { Cookie: cookies } });
        await stage.connected(client);
        stage.log(tab, "answered", await client.emitWithAck("count"));
      }
      const url = await open(browser);
      await browser.post(url, "40");
      await browser.get(url);
      await browser.post(url, '42["count"]');
      await browser.get(url);
      await browser.get("/api");
      await browser.post("/logout", "");
      await stage.until("first tab", "disconnect");
      await stage.until("second tab", "disconnect");
      await browser.get(url);
      await stage.until("server", "disconnect", 3);
      await browser.get("/api");
    },
  },
  {
    name: "passport, with middlewares for handshakes only",
    listener: makeApp,
    async run(stage) {
      const authenticate = sessions(stage);
      stage.app.use(endings(stage), authenticate);
      const passport = passportOf(stage);
      const { engine } = stage.io;
      engine.use(endings(stage));
      engine.use(onlyForHandshake(authenticate));
      engine.use(onlyForHandshake(passport.session()));
      engine.use(
        onlyForHandshake((req, res, next) => {
          if (req.user) {
            next();
          } else {
            res.writeHead(401);
            res.end();
          }
        }),
      );
      engine.use(observer(stage));
      application(stage);
      stage.io.on("connection", ({ request }) => {
        stage.log("server", "user", request.user, request.isAuthenticated(), typeof request.logout);
      });
      const browser = new Browser(stage);
      await browser.get(POLLING);
      await browser.post("/login", "username=ann&password=wrong", FORM);
      await browser.post("/login", "username=ann&password=secret", FORM);
      const url = await open(browser);
      await browser.post(url, "40");
      await browser.get(url);
      await browser.post(url, '42["count"]');
      await browser.get(url);
      const Cookie = `connect.sid=${browser.cookies.get("connect.sid")}`;
      const ws = await stage.join("ws", { headers: { Cookie } });
      ws.text('42["count"]');
      await ws.count(3);
      const stranger = stage.client("stranger", "/", { transports: ["polling"] });
      await stage.until("stranger", "connect_error");
      stranger.disconnect();
    },
  },
  {
    name: "passport, with tokens",
    listener: makeApp,
    async run(stage) {
      const passport = new Passport();
      passport.use(new Bearer());
      const authenticate = passport.authenticate("bearer", { session: false });
      share(stage, helmet());
      stage.io.engine.use(onlyForHandshake(authenticate));
      application(stage);
      for (const token of ["good", "bad", "broken", undefined]) {
        const headers = token && { Authorization: `Bearer ${token}` };
        const browser = new Browser(stage, { headers });
        const { status, text } = await browser.get(POLLING);
        if (status === 200) {
          const url = `${POLLING}&sid=${JSON.parse(text.slice(1)).sid}`;
          await browser.post(url, "40", { Authorization: "" });
          await browser.get(url);
        }
        const ws = await stage.upgrade("ws", { headers });
        if (ws.status === 101) await ws.count(1);
        else await ws.closed();
      }
    },
  },
  ...Object.entries(REFUSALS).map(([name, refuse]) => ({
    name: `refused by ${name}`,
    listener: makeApp,
    async run(stage) {
      let isOpen = false;
      stage.app.use(endings(stage));
      stage.io.engine.use(endings(stage));
      const guard = (req, res, next) => {
        if (isOpen || !req._query) next();
        else return refuse(req, res, next);
      };
      for (const middleware of [
        logsWithPino(stage),
        logsWithMorgan(stage),
        helmet(),
        sessions(stage),
        count,
        guard,
      ]) {
        stage.app.use(middleware);
        stage.io.engine.use(middleware);
      }
      stage.linesEach = 2;
      routes(stage.app);
      application(stage);
      const browser = new Browser(stage);
      await browser.get("/page");
      await browser.get(POLLING);
      await browser.get("/page");
      isOpen = true;
      const url = await open(browser);
      isOpen = false;
      await browser.post(url, "40");
      await browser.get(url);
      isOpen = true;
      await browser.post(url, "40");
      await browser.get(url);
      stage.log("server", "clients", stage.io.engine.clientsCount);
    },
  })),
  ...Object.entries(REFUSALS).map(([name, refuse]) => ({
    name: `a WebSocket refused by ${name}`,
    listener: makeApp,
    async run(stage) {
      for (const middleware of [helmet(), cookieParser(), refuse]) stage.io.engine.use(middleware);
      application(stage);
      const ws = await stage.upgrade("client");
      await ws.closed();
      const client = stage.client("stranger");
      await stage.until("stranger", "connect_error");
      client.disconnect();
      stage.log("server", "clients", stage.io.engine.clientsCount);
    },
  })),
  ...["polling", "websocket"].map((transport) => ({
    name: `allowRequest that asks a session, ${transport}`,
    options: (stage) => ({
      allowRequest(req, callback) {
        // as it was done before engines had middlewares
        const res = new ServerResponse(req);
        stage.session(req, res, () => {
          stage.log("allowRequest", plain(req.session), req.sessionID);
          req.session.visits = (req.session.visits ?? 0) + 1;
          req.session.save(() => {
            res.writeHead(200);
            req.cookieHolder = res.getHeader("Set-Cookie");
            callback(req.session.visits > 2 ? "seen enough" : null, req.session.visits <= 2);
          });
        });
      },
    }),
    listener(stage) {
      stage.session = sessions(stage, { saveUninitialized: false });
      return makeApp(stage);
    },
    async run(stage) {
      stage.app.use(endings(stage), stage.session);
      stage.io.engine.use(endings(stage));
      routes(stage.app);
      application(stage);
      for (const event of ["initial_headers", "headers"]) {
        stage.io.engine.on(event, (headers, req) => {
          stage.log("engine", event, req.method, headers);
          if (req.cookieHolder) {
            headers["set-cookie"] = req.cookieHolder.join();
            delete req.cookieHolder;
          }
        });
      }
      const browser = new Browser(stage);
      if (transport === "polling") {
        const url = await open(browser);
        await browser.post(url, "40");
        await browser.get(url);
        await open(browser);
        await browser.get("/api");
        await browser.get(POLLING);
        await browser.get("/api");
        return;
      }
      const headers = {};
      for (let i = 0; i < 3; i++) {
        const ws = await stage.upgrade("ws", { headers: { ...headers } });
        if (ws.status !== 101) {
          await ws.closed();
          break;
        }
        await ws.count(1);
        headers.Cookie ??= ws.headers["set-cookie"].split(";")[0];
      }
    },
  })),
  ...["GET", "POST", "handshake"].map((kind) => ({
    name: `a client that hangs up while a middleware thinks: ${kind}`,
    options: { httpRequestBodyTimeout: 50 },
    listener: makeApp,
    async run(stage) {
      share(stage, logsWithPino(stage), sessions(stage));
      application(stage);
      const browser = new Browser(stage);
      const url = await open(browser);
      await browser.post(url, "40");
      await browser.get(url);
      stage.watch("conn", stage.io.engine.clients[sid(url)], "close");
      let go;
      stage.io.engine.use((req, res, next) => {
        go = next;
        req.socket.once("close", () => stage.log("server", "hung up"));
      });
      const req = stage.server.startRequest({
        method: kind === "POST" ? "POST" : "GET",
        path: kind === "handshake" ? POLLING : url,
        headers: kind === "POST" ? { "Content-Type": "text/plain", "Content-Length": "2" } : {},
      });
      req.end(kind === "POST" ? "40" : undefined);
      await stage.eventually(() => go, "the middleware");
      req.destroy();
      await stage.until("server", "hung up");
      await stage.until("over", "close", 4);
      await stage.until("lines", 4);
      go();
      if (kind === "POST") await stage.until("conn", "close");
      await new Promise(setImmediate);
      await new Promise(setImmediate);
      stage.log("server", "clients", stage.io.engine.clientsCount, stage.io.of("/").sockets.size);
      // would wait for a GET otherwise, to say that it is closed
      for (const conn of Object.values(stage.io.engine.clients)) conn.close(true);
    },
  })),
  ...["GET", "POST"].map((method) => ({
    name: `two requests at once: ${method}`,
    not: { nativeTls: "of two connections, the one or the other is answered first" },
    listener: makeApp,
    async run(stage) {
      share(stage, logsWithPino(stage), helmet(), sessions(stage));
      application(stage);
      const browser = new Browser(stage);
      const url = await open(browser);
      await browser.post(url, "40");
      await browser.get(url);
      const conn = stage.io.engine.clients[sid(url)];
      stage.watch("conn", conn, "close");
      const headers = { Cookie: `connect.sid=${browser.cookies.get("connect.sid")}` };
      if (method === "GET") {
        const first = stage.http("first", { path: url, headers });
        await stage.eventually(() => conn.transport.writable, "a poll is open");
        await stage.http("second", { path: url, headers });
        await first;
        await stage.until("lines", 5);
      } else {
        const first = stage.server.startRequest({
          method,
          path: url,
          headers: { ...headers, "Content-Length": "2" },
        });
        first.flushHeaders();
        await stage.until("seen", "POST", 2);
        await stage.http("second", { method, path: url, headers, body: "42" });
        await stage.until("lines", 5);
      }
      await stage.until("conn", "close");
      stage.log("server", "clients", stage.io.engine.clientsCount);
    },
  })),
  ...[true, false].flatMap((httpCompression) =>
    ["gzip", "deflate", "br", "identity", "gzip;q=0, *;q=0"].map((encoding) => ({
      name: `big answers, ${httpCompression ? "compressed" : "not compressed"} by the engine, for ${encoding}`,
      options: { httpCompression },
      listener: makeApp,
      async run(stage) {
        share(stage, logsWithMorgan(stage), compression(), sessions(stage));
        stage.app.get("/big", (req, res) => res.type("text").send("x".repeat(100_000)));
        application(stage);
        const browser = new Browser(stage, { headers: { "Accept-Encoding": encoding } });
        const url = await open(browser);
        await browser.post(url, "40");
        await browser.get(url);
        await browser.get("/big");
        for (const size of [10, 1000, 2000, 300_000]) {
          stage.io.emit("big", "é".repeat(size));
          stage.io.emit("then", Buffer.alloc(10));
          await browser.get(url);
          const conn = stage.io.engine.clients[sid(url)];
          while (conn.writeBuffer.length > 0) await browser.get(url);
        }
        await browser.get("/big");
      },
    })),
  ),
  {
    name: "JSONP",
    listener: makeApp,
    async run(stage) {
      share(stage, ...everything(stage));
      application(stage);
      const browser = new Browser(stage);
      const url = await open(browser, { query: `${POLLING}&j=0` });
      await browser.post(url, `d=${encodeURIComponent("40")}`, FORM);
      await browser.get(url);
      await browser.post(url, `d=${encodeURIComponent('42["count"]')}`, FORM);
      await browser.get(url);
    },
  },
  {
    name: "clients of revision 3",
    options: { allowEIO3: true },
    listener: makeApp,
    async run(stage) {
      share(stage, ...everything(stage));
      application(stage);
      const query = "/socket.io/?EIO=3&transport=polling";
      const browser = new Browser(stage);
      const url = await open(browser, { query });
      await browser.get(url);
      await browser.post(url, '11:42["count"]');
      await browser.get(url);
      await browser.post(url, "1:1");
      await stage.until("server", "disconnect");
      const ws = await stage.upgrade("ws", { query: "EIO=3&transport=websocket" });
      await ws.count(2);
    },
  },
  {
    name: "clients of revision 3 that are not allowed",
    listener: makeApp,
    async run(stage) {
      share(stage, ...everything(stage));
      application(stage);
      const browser = new Browser(stage);
      await browser.get("/socket.io/?EIO=3&transport=polling");
      await browser.get("/socket.io/?transport=polling");
    },
  },
  {
    name: "preflight requests, cors as a function",
    options: {
      cors: (req, callback) =>
        setImmediate(callback, null, { origin: req.headers.origin === ORIGIN && ORIGIN, credentials: true }),
    },
    listener: makeApp,
    async run(stage) {
      share(stage, logsWithPino(stage), helmet(), sessions(stage));
      routes(stage.app);
      stage.app.use("/api", cors());
      application(stage);
      const browser = new Browser(stage);
      const preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
      };
      // the engine's own middleware, which answers these, comes first
      const ask = (path, Origin = ORIGIN) =>
        stage.http("preflight", {
          method: "OPTIONS",
          path,
          agent: browser.agent,
          headers: { ...preflight, Origin },
        });
      await ask(POLLING);
      const url = await open(browser);
      await ask(url);
      await browser.post(url, "40");
      await browser.ask("OPTIONS", "/api", undefined, preflight);
      await browser.get(url);
      await browser.get(POLLING, { Origin: "https://evil.example" });
      await ask(POLLING, "https://evil.example");
      const ws = await stage.upgrade("ws", { headers: { Origin: ORIGIN } });
      await ws.count(1);
    },
  },
  {
    name: "an Express application as a middleware of the engine",
    listener: makeApp,
    async run(stage) {
      const inner = express();
      inner.set("env", "test");
      inner.set("trust proxy", true);
      inner.use((req, res, next) => {
        stage.log("inner", req.ip, req.ips, req.protocol, req.secure, req.hostname, req.path, req.query);
        stage.log(
          "inner",
          req.get("User-Agent"),
          req.accepts("html"),
          req.is("text"),
          req.baseUrl,
          req.fresh,
        );
        res.set("X-Inner", "1").cookie("inner", "1");
        if (req.query.teapot) res.status(418).json({ teapot: true });
        else next();
      });
      inner.use("/other", (req, res) => res.send("never"));
      share(stage, inner, sessions(stage));
      application(stage);
      const browser = new Browser(stage, {
        headers: { "X-Forwarded-For": "10.1.2.3, 10.0.0.1", "X-Forwarded-Proto": "https" },
      });
      const url = await open(browser);
      await browser.post(url, "40");
      await browser.get(url);
      await browser.get(`${url}&teapot=1`);
      await browser.get(`${POLLING}&teapot=1`);
      await browser.post(url, '42["count"]');
      await browser.get(url);
    },
  },
  {
    name: "requests to the application and to the engine in one write",
    not: { nativeTls: "they are read in one go, without a turn for promises in between" },
    listener: makeApp,
    async run(stage) {
      for (const middleware of [helmet(), sessions(stage, { store: new SlowStore() }), count]) {
        stage.app.use(middleware);
        stage.io.engine.use(middleware);
      }
      routes(stage.app);
      application(stage);
      const head = "Host: localhost\r\nUser-Agent: raw\r\n";
      const text = await sendAll(
        stage,
        `GET /page HTTP/1.1\r\n${head}\r\nGET ${POLLING} HTTP/1.1\r\n${head}\r\n` +
          `GET /api HTTP/1.1\r\n${head}Connection: close\r\n\r\n`,
      );
      const path = `${POLLING}&sid=${/"sid":"([^"]+)"/.exec(text)[1]}`;
      await sendAll(
        stage,
        `POST ${path} HTTP/1.1\r\n${head}Content-Length: 2\r\n\r\n40GET ${path} HTTP/1.1\r\n${head}\r\n` +
          `GET /page HTTP/1.1\r\n${head}Connection: close\r\n\r\n`,
      );
    },
  },
  {
    name: "several POSTs in one write",
    not: { duplex: "stock takes them for simultaneous there" },
    listener: makeApp,
    async run(stage) {
      stage.io.engine.use(helmet());
      routes(stage.app);
      stage.watchSockets();
      const polling = await stage.joinPolling("polling");
      const post = (body) =>
        `POST ${polling.url} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
      const page = "GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
      await sendAll(stage, post('42["one"]') + post('42["two"]') + post('42["three"]') + page);
      await stage.until("server", "three");
      await sendAll(stage, post("1") + post('42["late"]') + page);
      await stage.until("server", "disconnect ");
    },
  },
  {
    name: "a store that takes its time",
    listener: makeApp,
    async run(stage) {
      share(stage, logsWithMorgan(stage), sessions(stage, { store: new SlowStore(), resave: true }), count);
      routes(stage.app);
      application(stage);
      const browser = new Browser(stage);
      const url = await open(browser);
      await browser.post(url, "40");
      await browser.get(url);
      await browser.get("/api");
      const poll = browser.get(url);
      const other = new Browser(stage);
      other.requests = browser.requests + 1;
      await stage.eventually(() => stage.io.engine.clients[sid(url)].transport.writable, "a poll is open");
      stage.io.emit("late");
      await poll;
      other.requests = browser.requests;
      await other.post(url, "1");
      await stage.until("server", "disconnect");
    },
  },
  {
    name: "limits that are reached",
    listener: makeApp,
    async run(stage) {
      stage.hide(/(?<=-Reset: )\d+/gi, "<seconds>");
      stage.hide(/&t=[\w.-]+/g);
      const limiter = rateLimit({
        windowMs: 3_600_000,
        limit: 4,
        legacyHeaders: false,
        validate: false,
        keyGenerator: (req) => req.socket.remoteAddress,
        handler(req, res) {
          res.writeHead(429, { "Content-Type": "text/plain" });
          res.end("slow down");
        },
      });
      share(stage, logsWithPino(stage), helmet(), limiter);
      routes(stage.app);
      application(stage);
      const browser = new Browser(stage);
      const url = await open(browser);
      await browser.post(url, "40");
      await browser.get(url);
      await browser.get("/page");
      await browser.get(url);
      await browser.post(url, '42["count"]');
      await browser.get("/page");
      const ws = await stage.upgrade("ws");
      await ws.closed();
      const client = stage.client("stranger", "/", { transports: ["polling"] });
      await stage.until("stranger", "connect_error");
      client.disconnect();
    },
  },
  {
    name: "an HTTP server without a framework",
    listener: (stage) => (req, res) => {
      const run = ([middleware, ...rest]) => {
        if (middleware) middleware(req, res, () => run(rest));
        else res.end(JSON.stringify(plain(req.session)));
      };
      run(stage.middlewares);
    },
    async run(stage) {
      stage.middlewares = [
        endings(stage),
        logsWithMorgan(stage),
        helmet(),
        compression({ threshold: 0 }),
        sessions(stage),
        count,
        observer(stage),
      ];
      for (const middleware of stage.middlewares) stage.io.engine.use(middleware);
      application(stage);
      const browser = new Browser(stage);
      await browser.get("/");
      const url = await open(browser);
      await browser.get("/");
      await browser.post(url, "40");
      await browser.get(url);
      await browser.post(url, '42["count"]');
      await browser.get(url);
      await browser.get("/");
    },
  },
  {
    name: "warnings, over a connection that is used often",
    listener: makeApp,
    async run(stage) {
      const onWarning = ({ name, message }) => stage.log("process", name, message);
      process.on("warning", onWarning);
      stage.atEnd(() => process.off("warning", onWarning));
      const sockets = new Set();
      stage.io.engine.use((req, res, next) => {
        sockets.add(req.socket);
        next();
      });
      share(stage, ...everything(stage), logsWithMorgan(stage));
      stage.linesEach = 2;
      routes(stage.app);
      application(stage);
      const browser = new Browser(stage);
      const url = await open(browser);
      await browser.post(url, "40");
      await browser.get(url);
      for (let i = 0; i < 15; i++) {
        await browser.post(url, '42["count"]');
        await browser.get(url);
        await browser.get("/page");
      }
      stage.log("server", "sockets", sockets.size);
    },
  },
];
