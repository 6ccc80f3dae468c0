"use strict";

// Pages, polling and requests of the application over one connection, as browsers send them, and unusual requests behind
// ordinary ones: the bytes of all answers.

const { bodyOf, get, post, sidOf, wire } = require("../support/wire");

const PAGE = "GET /page HTTP/1.1\r\nHost: here\r\n\r\n";

const CHUNKED = { "Transfer-Encoding": "chunked", "Content-Length": undefined };

const PREFLIGHT = { Origin: "http://here", "Access-Control-Request-Method": "POST" };

/** Requests that are none of the ordinary client's. */
const UNUSUAL = {
  "a POST in chunks": (sid) => post(sid, "3\r\n4on\r\n1\r\ne\r\n0\r\n\r\n", CHUNKED),
  "a POST in chunks with extensions and a trailer": (sid) =>
    post(sid, "3;a=b\r\n4on\r\n1\r\ne\r\n0\r\nX-Sum: 1\r\n\r\n", CHUNKED),
  "a POST in chunks of which one has no length": (sid) => post(sid, "x\r\n4on\r\n0\r\n\r\n", CHUNKED),
  "a preflight request": (sid) => get(sid, PREFLIGHT).replace("GET", "OPTIONS"),
  "a preflight request with a body": (sid) => post(sid, "4a", PREFLIGHT).replace("POST", "OPTIONS"),
  "a preflight request for no session": () => get(undefined, PREFLIGHT).replace("GET", "OPTIONS"),
  "HTTP/1.0": (sid) => post(sid, "4a").replace("HTTP/1.1", "HTTP/1.0"),
  "HTTP/1.0, kept alive": (sid) =>
    post(sid, "4a", { Connection: "keep-alive" }).replace("1.1\r\n", "1.0\r\n"),
  "a connection that is to be closed": (sid) => post(sid, "4a", { Connection: "close" }),
  "an unknown session": () => get("nobody"),
};

const nameless = (text) => text.replaceAll(/Date: [^\r]+/g, "Date: <date>").replaceAll("\r\n", "\n");

/** A connection that has carried a page and the requests of a session, and is to go on. */
async function open(stage, headers) {
  const connection = wire(stage.server);
  const ask = async (text) => {
    const answer = await connection.ask(text);
    stage.log("client", nameless(answer));
    return answer;
  };
  await ask(PAGE);
  const sid = sidOf(await connection.ask(get(undefined, headers)));
  stage.hide(sid, "<sid>");
  stage.log("client", bodyOf(await ask(post(sid, "40", headers))));
  await connection.ask(get(sid, headers));
  return { connection, ask, sid };
}

function follow({ io, log }) {
  io.on("connection", (socket) => {
    log("server", "connection");
    socket.onAny((event) => log("server", "event", event));
    socket.on("disconnect", (reason) => log("server", "disconnect", reason));
  });
  io.engine.on("connection_error", ({ req, code }) => log("server", "connection_error", req.method, code));
}

const listener = () => (req, res) => res.end(`${req.method} ${req.url}`);

module.exports = [
  {
    name: "pages, polling, and requests of the application, by turns",
    listener,
    async run(stage) {
      follow(stage);
      const { connection, ask, sid } = await open(stage);
      for (let round = 0; round < 3; round++) {
        for (const event of ["a", "b", "c"]) await ask(post(sid, `42["${event}"]`));
        await ask(PAGE);
        stage.io.emit("hello");
        await ask(get(sid));
        await ask(PAGE);
      }
      connection.socket.end();
      stage.log("client", await connection.ended());
    },
  },
  ...Object.entries(UNUSUAL).flatMap(([name, request]) =>
    [undefined, { origin: "http://here", credentials: true }].map((cors) => ({
      name: `behind ordinary requests: ${name}${cors ? ", with the option cors" : ""}`,
      listener,
      options: { cors },
      async run(stage) {
        follow(stage);
        const headers = cors && { Origin: "http://here" };
        const { connection, ask, sid } = await open(stage, headers);
        for (let round = 0; round < 2 && connection.end === null; round++) {
          await ask(request(sid));
          const more = await ask(post(sid, '42["more"]', headers));
          if (more === "") stage.log("client", await connection.ended());
        }
      },
    })),
  ),
  ...Object.entries({
    "requests for each connection": { maxRequestsPerSocket: 4 },
    "a short time limit for requests": { requestTimeout: 3000, headersTimeout: 2000 },
    "no time between requests": { keepAliveTimeout: 0 },
    "little time between requests": { keepAliveTimeout: 900 },
  }).map(([name, limits]) => ({
    name: `limits of the HTTP server: ${name}`,
    listener,
    async run(stage) {
      follow(stage);
      Object.assign(stage.io.httpServer, limits);
      const { connection, ask, sid } = await open(stage);
      for (let posts = 0; posts < 5 && connection.end === null; posts++) await ask(post(sid, '42["more"]'));
      stage.log("client", (await ask(PAGE)) === "");
      connection.socket.end();
      stage.log("client", await connection.ended());
    },
  })),
];
