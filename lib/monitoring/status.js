"use strict";

/** The status page of a server: what `io.metrics()` tells, as a page that draws it, and nobody sees who must not. */

const { createHash, timingSafeEqual } = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const { inspect } = require("node:util");
const { version } = require("../../package.json");

const PAGE = path.join(__dirname, "status-page.html");

/** Rooms and connections that are listed: the page is to stay light. */
const MOST_ROOMS = 50;
const MOST_CONNECTIONS = 100;

/**
 * What answers the requests for a status page.
 * @param {import("../api/server").Server} io
 * @param {{ auth: ((req: object) => any)|{ username: string, password: string }|false }} options - `false`: everybody may see it
 * @returns {{ handle: (req: object, res: object, rest: string) => void }} `rest`: what of the path follows that of the page
 * @throws {TypeError} when nobody says who may see it
 */
function makeStatus(io, { auth } = {}) {
  const isAllowed = judgeOf(auth);
  const page = fs.readFileSync(PAGE);
  const digest = createHash("sha256").update(scriptOf(page)).digest("base64");
  const headers = {
    "Cache-Control": "no-store",
    // nothing that is shown can become code
    "Content-Security-Policy": `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${digest}'; connect-src 'self'`,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
  };

  function answer(req, res, rest) {
    if (req.method !== "GET" && req.method !== "HEAD") {
      res.writeHead(405, { Allow: "GET, HEAD" }).end();
    } else if (rest === "data") {
      send(res, { ...headers, "Content-Type": "application/json" }, JSON.stringify(statusOf(io)));
    } else if (rest === "") {
      send(res, { ...headers, "Content-Type": "text/html; charset=utf-8" }, page);
    } else {
      res.writeHead(404, headers).end();
    }
  }

  function settle(req, res, rest, allowed) {
    if (res.headersSent) return;
    if (allowed !== true) refuse(res);
    else {
      try {
        answer(req, res, rest);
      } catch (error) {
        res.writeHead(500, headers).end(`The status cannot be told: ${error.message}`);
      }
    }
  }

  function refuse(res) {
    if (typeof auth === "function") res.writeHead(403, headers).end("Forbidden");
    else res.writeHead(401, { ...headers, "WWW-Authenticate": 'Basic realm="status"' }).end("Unauthorized");
  }

  return {
    handle(req, res, rest) {
      let allowed;
      try {
        allowed = isAllowed(req);
      } catch {
        // who cannot be judged is not let in
        allowed = false;
      }
      const decide = (decision) => settle(req, res, rest, decision);
      // at once, if that can be: listeners that come later see that the request is answered
      if (typeof allowed?.then === "function") allowed.then(decide, () => decide(false));
      else decide(allowed);
    },
  };
}

function send(res, headers, body) {
  res.writeHead(200, { ...headers, "Content-Length": Buffer.byteLength(body) });
  res.end(body);
}

/** Who decides about a request. */
function judgeOf(auth) {
  if (auth === false) return () => true;
  if (typeof auth === "function") return auth;
  const { username, password } = auth ?? {};
  if (typeof username !== "string" || typeof password !== "string" || password === "") {
    const allowed = "a function, { username, password }, or false for everybody";
    throw new TypeError(
      `serveStatus() wants to know who may see it: auth is ${inspect(auth, { depth: 0 })}, not ${allowed}`,
    );
  }
  const expected = hash(`${username}:${password}`);
  return ({ headers }) => {
    const [, encoded = ""] = /^Basic ([A-Za-z0-9+/=]+)$/i.exec(headers.authorization ?? "") ?? [];
    return timingSafeEqual(hash(Buffer.from(encoded, "base64").toString()), expected);
  };
}

function hash(text) {
  return createHash("sha256").update(text).digest();
}

/** What stands between the tags of the page's script. */
function scriptOf(page) {
  return /<script>([^]*)<\/script>/.exec(page.toString())[1];
}

/** What the page shows. */
function statusOf(io) {
  const { rss, heapUsed } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  return {
    version,
    node: process.version,
    pid: process.pid,
    uptime: process.uptime(),
    now: Date.now(),
    memory: { rss, heapUsed },
    cpu: (user + system) / 1000,
    isDraining: io.isDraining,
    metrics: io.metrics(),
    rooms: roomsOf(io),
    connections: connectionsOf(io),
    ended: io.engine?.traces?.() ?? [],
  };
}

/** The largest rooms, but for those that sockets have for themselves. */
function roomsOf(io) {
  const rooms = [];
  for (const nsp of io._nsps.values()) {
    for (const [name, members] of nsp.adapter.rooms) {
      if (!nsp.sockets.has(name)) rooms.push({ namespace: nsp.name, name: String(name), size: members.size });
    }
  }
  return rooms.sort((a, b) => b.size - a.size).slice(0, MOST_ROOMS);
}

/** The connections for which most waits. */
function connectionsOf(io) {
  const conns = Object.values(io.engine?.clients ?? {});
  const rows = conns.map((conn) => ({ conn, waiting: conn.bufferedAmount ?? 0 }));
  return rows
    .sort((a, b) => b.waiting - a.waiting)
    .slice(0, MOST_CONNECTIONS)
    .map(({ conn, waiting }) => ({
      address: conn.remoteAddress,
      transport: conn.transport.name,
      waiting,
      bytesRead: conn.bytesRead,
      bytesWritten: conn.bytesWritten,
      roundTripTime: conn.roundTripTime,
      connectedAt: conn.connectedAt,
      steps: conn.trace?.() ?? [],
    }));
}

module.exports = { makeStatus };
