"use strict";

// Upgrade requests: those that are refused, and how; those that are accepted.

const { upgradeRequest, frame, RawWebSocket } = require("../support/raw-websocket");

const path = (query) => `/socket.io/?${query}`;
const WEBSOCKET = "EIO=4&transport=websocket";

const REFUSED = [
  ["no query", ""],
  ["an unknown transport", "EIO=4&transport=nope"],
  ["transport=__proto__", "EIO=4&transport=__proto__"],
  ["transport=webtransport", "EIO=4&transport=webtransport"],
  ["an unknown sid", `${WEBSOCKET}&sid=nope`],
  ["sid=__proto__", `${WEBSOCKET}&sid=__proto__`],
  ["sid twice", `${WEBSOCKET}&sid=x&sid=y`],
  ["version 12", WEBSOCKET, { "Sec-WebSocket-Version": "12" }],
  ["no version", WEBSOCKET, { "Sec-WebSocket-Version": undefined }],
  ["version 013", WEBSOCKET, { "Sec-WebSocket-Version": "x13" }],
  ["a short key", WEBSOCKET, { "Sec-WebSocket-Key": "short" }],
  ["a long key", WEBSOCKET, { "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==" }],
  ["no key", WEBSOCKET, { "Sec-WebSocket-Key": undefined }],
  ["two keys", WEBSOCKET, { "Sec-WebSocket-Key": ["dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ=="] }],
  ["Upgrade: foo", WEBSOCKET, { Upgrade: "foo" }],
  ["Upgrade: websocket, foo", WEBSOCKET, { Upgrade: "websocket, foo" }],
  ["an empty entry among the subprotocols", WEBSOCKET, { "Sec-WebSocket-Protocol": "a,,b" }],
  ["a subprotocol twice", WEBSOCKET, { "Sec-WebSocket-Protocol": "a, b, a" }],
  ["a subprotocol that is no token", WEBSOCKET, { "Sec-WebSocket-Protocol": "a/b" }],
  ["a subprotocol with 14,000 spaces", WEBSOCKET, { "Sec-WebSocket-Protocol": `b${" ".repeat(14_000)}x` }],
  ["an origin that is no header", WEBSOCKET, { Origin: "a\x01b" }],
];

const ACCEPTED = [
  ["as usual", WEBSOCKET],
  ["version 8", WEBSOCKET, { "Sec-WebSocket-Version": "8" }],
  ["Upgrade: WebSocket", WEBSOCKET, { Upgrade: "WebSocket" }],
  ["Connection: keep-alive, Upgrade", WEBSOCKET, { Connection: "keep-alive, Upgrade" }],
  ["one subprotocol", WEBSOCKET, { "Sec-WebSocket-Protocol": "chat" }],
  ["several subprotocols", WEBSOCKET, { "Sec-WebSocket-Protocol": " chat , superchat" }],
  ["permessage-deflate, which is off", WEBSOCKET, { "Sec-WebSocket-Extensions": "permessage-deflate" }],
  ["hostile extensions", WEBSOCKET, { "Sec-WebSocket-Extensions": 'constructor, __proto__; a=1;;, "' }],
  ["transport twice", "EIO=4&transport=websocket&transport=websocket"],
  ["an empty sid", `${WEBSOCKET}&sid=`],
  ["an origin without the option cors", WEBSOCKET, { Origin: "https://evil.example" }],
  ["other parameters", `${WEBSOCKET}&t=abc&x=%20y&x=z`],
];

function watchErrors({ io, log }) {
  io.engine.on("connection_error", ({ code, message, context }) => {
    log("engine", "connection_error", code, message, context);
  });
}

/** What a raw client logs of its handshake. */
const UPGRADED = [
  "HTTP/1.1 101 Switching Protocols",
  "  Upgrade: websocket",
  "  Connection: Upgrade",
  "  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
  '816b "0{\\"sid\\":\\"<id 1>\\",\\"upgrades\\":[],\\"pingInterval\\":25000,\\"pingTimeout\\":20000,\\"maxPayload\\":1000000}"',
];

/** The answers that settled() waits for. */
const PONGS = ["8a01 <Buffer 31>", "8a01 <Buffer 32>"];

module.exports = [
  ...REFUSED.map(([name, query, headers]) => ({
    name: `refused: ${name}`,
    async run(stage) {
      watchErrors(stage);
      await stage.bytes("request", upgradeRequest(path(query), headers));
      stage.log("engine", "clients", stage.io.engine.clientsCount);
    },
  })),
  ...ACCEPTED.map(([name, query, headers]) => ({
    name: `accepted: ${name}`,
    async run(stage) {
      const { io, log } = stage;
      watchErrors(stage);
      io.on("connection", ({ handshake, conn }) => {
        const { host, ...rest } = handshake.headers;
        log("server", "handshake", handshake.query, rest, typeof host, handshake.xdomain, handshake.secure);
        log("server", "url", handshake.url, conn.protocol, conn.transport.name);
      });
      const ws = await stage.join("client", { query, headers });
      stage.watch("conn", io.engine.clients[ws.sid], "close");
      ws.frame({ opcode: 8 });
      await ws.closed();
      await stage.until("conn", "close");
    },
  })),
  ...["EIO=3&transport=websocket", "EIO=5&transport=websocket", "transport=websocket"].map((query) => ({
    name: `${query}: switched to, then refused`,
    async run(stage) {
      watchErrors(stage);
      const connection = await stage.bytes("request", upgradeRequest(path(query)));
      stage.log("request", connection.end);
    },
  })),
  {
    name: "transport=polling: switched to, then closed",
    async run(stage) {
      watchErrors(stage);
      const ws = await stage.upgrade("client", { query: "EIO=4&transport=polling" });
      await ws.closed();
      stage.log("engine", "clients", stage.io.engine.clientsCount);
    },
  },
  ...[
    ["transport=polling", "EIO=4&transport=polling"],
    ["two transports, of which the last is polling", "EIO=4&transport=websocket&transport=polling"],
    ["a session that is upgrading to another WebSocket", `${WEBSOCKET}&sid=`],
  ].map(([name, query]) => ({
    name: `${name}: closed, and the connection kept until the client has closed it too`,
    async run(stage) {
      watchErrors(stage);
      let sid = "";
      if (query.endsWith("=")) {
        ({ sid } = await stage.polling("session"));
        const first = await stage.upgrade("first", { query: query + sid });
        first.text("2probe");
        await first.count(1);
      }
      const ws = await stage.upgrade("client", { query: query + sid });
      await ws.changes.until(() => ws.closeFrame !== null);
      // what is no goodbye changes nothing
      ws.text("2");
      await stage.server.request({ path: "/socket.io/?EIO=4&transport=nope" });
      stage.log("client", "open", ws.end);
      ws.frame({ opcode: 8 });
      stage.log("client", "closed", await ws.ended());
    },
  })),
  {
    name: "on another path: silent, and ended",
    options: { destroyUpgradeTimeout: 30 },
    not: { duplex: "only streams that count the bytes written are ended" },
    async run(stage) {
      await stage.bytes("request", upgradeRequest("/other/?EIO=4&transport=websocket"));
    },
  },
  {
    name: "with more headers than Node takes in front of those that matter",
    async run(stage) {
      const request = upgradeRequest(path(WEBSOCKET));
      const firstLine = request.indexOf("\r\n") + 2;
      const fields = Array.from({ length: 2000 }, (_, i) => `h${i}:\r\n`).join("");
      await stage.bytes("request", request.slice(0, firstLine) + fields + request.slice(firstLine));
    },
  },
  {
    name: "with a method other than GET",
    async run(stage) {
      watchErrors(stage);
      const request = upgradeRequest(path(WEBSOCKET)).replace(/^GET/, "POST");
      await stage.bytes("request", request);
    },
  },
  {
    name: "HTTP/1.0",
    async run(stage) {
      const request = upgradeRequest(path(WEBSOCKET)).replace("HTTP/1.1", "HTTP/1.0");
      const ws = stage.server.keep(new RawWebSocket(stage.server));
      ws.write(request);
      await ws.changes.until(() => ws.frames.length > 0 || ws.end !== null);
      stage.log("client", ws.statusText, ws.frames.length, ws.end);
    },
  },
  ...["\0\0\0\0", "GET\r\n\r\n", "GET /socket.io/ HTTP/9.9\r\n\r\n", "x".repeat(100_000)].map((text) => ({
    name: `what is not HTTP: ${JSON.stringify(text.slice(0, 20))}`,
    run: (stage) => stage.bytes("request", text),
  })),
  {
    name: "frames behind the upgrade request",
    async run(stage) {
      stage.watchSockets();
      const ws = await stage.ws("client", { head: frame({ payload: "40" }) });
      if (!stage.isStock) {
        await ws.count(2);
      }
      await ws.settled();
    },
    differs: {
      why: "stock loses frames that come with the upgrade request; here they are delivered",
      logs: {
        client: {
          stock: [...UPGRADED, ...PONGS],
          ours: [...UPGRADED, '8120 "40{\\"sid\\":\\"<id 2>\\"}"', ...PONGS],
        },
        server: { stock: undefined, ours: ["connection"] },
      },
    },
  },
  ...[1, 2].map((rsv) => ({
    name: `a broken frame, RSV${4 - rsv}, behind the upgrade request`,
    async run(stage) {
      const ws = await stage.upgrade("client", { head: frame({ payload: "6", rsv }) });
      await ws.closed();
      await stage.eventually(() => stage.io.engine.clientsCount === 0, "no session is left");
    },
    differs: {
      why: "what comes with the upgrade request is read when the session is open",
      logs: {
        client: {
          stock: [...UPGRADED.slice(0, -1), "8802 <Buffer 03ea>", 'end "FIN"'],
          ours: [...UPGRADED, "8802 <Buffer 03ea>", 'end "FIN"'],
        },
      },
    },
  })),
];
