"use strict";

// Requests for an upgrade, sound and not, and what answers them.

const KEY = "Sec-WebSocket-Key";
const VERSION = "Sec-WebSocket-Version";
const PROTOCOL = "Sec-WebSocket-Protocol";
const EXTENSIONS = "Sec-WebSocket-Extensions";

const header = (name, ...values) =>
  values.map((value) => [`${name} ${JSON.stringify(value)}`, { [name]: value }]);

const REQUESTS = [
  ...["POST", "PUT", "HEAD", "OPTIONS", "DELETE", "get", "CONNECT"].map((method) => [
    `method ${method}`,
    { method },
  ]),
  ["HTTP/1.0", { version: "1.0" }],
  ...[
    ...header("Upgrade", undefined, "", "h2c", "WebSocket", "WEBSOCKET", "websocket2", "websocket, h2c"),
    ...header("Connection", undefined, "close", "keep-alive", "upgrade", "keep-alive, Upgrade"),
    ...header(
      VERSION,
      undefined,
      "",
      "7",
      "8",
      "9",
      "12",
      "14",
      "013",
      "0x0d",
      "1.3e1",
      "13.0",
      "-13",
      "13, 8",
    ),
    ...header(VERSION, "thirteen", ["13", "13"], "99999999999999999999"),
    ...header(KEY, undefined, "", "x", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ=", "A".repeat(24)),
    ...header(KEY, `${"A".repeat(23)}==`, `${"/+".repeat(11)}==`, `${"A".repeat(21)}_==`),
    ...header(KEY, "  dGhlIHNhbXBsZSBub25jZQ==  ", ["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="]),
    ...header(
      PROTOCOL,
      "",
      " ",
      "a",
      "a,b",
      "b, a",
      "a , b",
      "a\t,\tb",
      "a,,b",
      ",a",
      "a,",
      "a, a",
      "a b",
      "a,b ",
    ),
    ...header(PROTOCOL, "a/b", '"a"', "a;b", "(a)", "!#$%&'*+-.^_`|~09azAZ", "\xe9", ["a", "b"], ["a", "a"]),
    ...header(EXTENSIONS, "", "permessage-deflate", "garbage;;;", "x-unknown"),
    ...header("Host", undefined),
    ...header("Content-Length", "0", "5"),
    ...header("Transfer-Encoding", "chunked"),
    ...header("Origin", "http://elsewhere.example"),
  ].map(([name, headers]) => [name, { headers }]),
  ["no headers but the host", { text: "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" }],
  ["no HTTP", { text: "\x00\x01\x02\x03\r\n\r\n" }],
  ["headers of 20,000 bytes", { headers: { "X-Long": "x".repeat(20_000) } }],
  ["headers of 10,000 bytes", { headers: { "X-Long": "x".repeat(10_000) } }],
  [
    "lower case names",
    {
      text:
        "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n" +
        "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    },
  ],
];

const several = (headers) => Object.fromEntries(headers);

/** More than one thing is wrong: what is complained of. */
const TOGETHER = [
  ["method and key", { method: "PUT", headers: { [KEY]: "x" } }],
  [
    "upgrade and key",
    {
      headers: several([
        ["Upgrade", "h2c"],
        [KEY, "x"],
      ]),
    },
  ],
  [
    "key and version",
    {
      headers: several([
        [KEY, "x"],
        [VERSION, "7"],
      ]),
    },
  ],
  ["version and path", { path: "/other", headers: several([[VERSION, "7"]]) }],
  ["path and protocol", { path: "/other", headers: several([[PROTOCOL, "a,a"]]) }],
  [
    "protocol and extensions",
    {
      headers: several([
        [PROTOCOL, "a,a"],
        [EXTENSIONS, ";"],
      ]),
    },
  ],
  ["extensions", { headers: several([[EXTENSIONS, ";"]]) }],
];

/** Those that an application hears of, by what is wrong with them. */
const TOLD = {
  ...Object.fromEntries(
    ["method P", "Upgrade", VERSION, KEY, PROTOCOL, EXTENSIONS].map((start) => [
      start,
      REQUESTS.filter(([name]) => name.startsWith(start)),
    ]),
  ),
  "two things": TOGETHER,
};

async function ask(stage, request) {
  const raw = await stage.handshake("client", request);
  if (raw.status === 101) {
    stage.log("server", "socket", stage.socket.protocol, stage.socket.extensions, stage.socket.readyState);
    raw.close();
    await raw.over();
    const connections = stage.events.of("server").list.filter((line) => line.startsWith("connection"));
    await stage.until("server", "close in", connections.length);
  }
}

const PATHS = [
  "/ws",
  "/ws?a=1",
  "/ws?",
  "/ws/",
  "/",
  "/WS",
  "/ws/more",
  "/%77s",
  "//ws",
  "http://localhost/ws",
];

module.exports = [
  ...REQUESTS.map(([name, request]) => ({
    name,
    async run(stage) {
      await stage.serve();
      stage.watchServer();
      await ask(stage, request);
    },
  })),

  ...TOGETHER.map(([name, request]) => ({
    name: `two things are wrong: ${name}`,
    async run(stage) {
      await stage.serve({ path: "/", perMessageDeflate: true });
      stage.watchServer();
      await ask(stage, request);
    },
  })),

  ...PATHS.map((path) => ({
    name: `path ${path} where /ws is served`,
    async run(stage) {
      await stage.serve({ path: "/ws" });
      stage.watchServer();
      await ask(stage, { path });
    },
  })),

  ...Object.entries(TOLD).map(([name, requests]) => ({
    name: `wsClientError: ${name}`,
    async run(stage) {
      const wss = await stage.serve({ path: "/", perMessageDeflate: true });
      stage.watchServer();
      wss.on("wsClientError", (error, socket, req) => {
        stage.log(
          "server",
          "wsClientError",
          error,
          req.method,
          req.url,
          socket === req.socket,
          socket.writable,
        );
        socket.end(`HTTP/1.1 400 Bad Request\r\nX-Why: ${error.message}\r\nConnection: close\r\n\r\n`);
      });
      for (const [name, request] of requests) {
        stage.log("server", name);
        await ask(stage, request);
      }
    },
  })),
  {
    name: "wsClientError: the socket destroyed by the listener",
    async run(stage) {
      const wss = await stage.serve();
      wss.on("wsClientError", (error, socket) => {
        stage.log("server", "wsClientError", error);
        socket.destroy();
      });
      await stage.handshake("client", { headers: { [KEY]: "x" } });
    },
  },
  {
    name: "wsClientError is not for a wrong path, nor for who is refused",
    async run(stage) {
      const wss = await stage.serve({ path: "/ws", verifyClient: () => false });
      wss.on("wsClientError", (error) => stage.log("server", "wsClientError", error));
      await stage.handshake("wrong path", { path: "/other" });
      await stage.handshake("refused", { path: "/ws" });
    },
  },
  {
    name: "requests for other things, to a server with a port of its own",
    async run(stage) {
      await stage.serve();
      await stage.request("GET");
      await stage.request("HEAD", { method: "HEAD", path: "/some/where" });
      await stage.request("POST", { method: "POST", body: "x".repeat(1000) });
      await stage.request("with a path", { path: "/a?b=c" });
    },
  },
];
