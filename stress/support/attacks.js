"use strict";

// What hostile clients do, each by its name. An attack goes on for a while and says what it has cost the attacker: KB that
// were sent, or attempts that were made. It reads what it is sent, and takes every end of a connection for granted.

const net = require("node:net");
const zlib = require("node:zlib");
const { once } = require("node:events");
const {
  BINARY,
  CONTINUATION,
  PING,
  PONG,
  frame,
  upgradeRequest,
} = require("../../__test__/support/raw-websocket");
const { deferred, within } = require("../../__test__/support/waiting");
const { LightClient } = require("./light-client");

const SESSION = "/socket.io/?EIO=4&transport=websocket";
const POLLING = "/socket.io/?EIO=4&transport=polling";

/** Attempts at the same time. */
const AT_ONCE = 8;
/** Connections that send a byte every few ms. */
const SLOW_ONES = 200;
const SLOW_INTERVAL = 5;
/** Bytes of what is written at once, at least; and before what was written must have been handled: not so much that a server
 * takes longer for it than a client has for its pong. */
const PIECE = 32 << 10;
const WINDOW = 128 << 10;
/** In ms: how long an end or an answer is waited for. */
const PATIENCE = 5000;
const LONG_PATIENCE = 30_000;

const text = (payload) => frame({ payload });
const many = (count, make) => Array.from({ length: count }, (_, i) => make(i));
const placeholders = (count) => many(count, () => '{"_placeholder":true,"num":0}').join(",");

/** A message in pieces. */
function fragments(first, middle, count) {
  const one = frame({ opcode: CONTINUATION, payload: middle, fin: false });
  return [
    frame({ payload: first, fin: false }),
    ...Array(count).fill(one),
    frame({ opcode: CONTINUATION, payload: '"]' }),
  ];
}

/** As ws compresses it. */
function deflated(payload) {
  const { Z_SYNC_FLUSH } = zlib.constants;
  return frame({
    rsv: 4,
    payload: zlib.deflateRawSync(payload, { finishFlush: Z_SYNC_FLUSH }).subarray(0, -4),
  });
}

const HALF = upgradeRequest(SESSION).slice(0, 100);
const post = (sid, body, headers = `Content-Length: ${body.length}\r\n`) =>
  `POST ${POLLING}&sid=${sid} HTTP/1.1\r\nHost: x\r\n${headers}\r\n${body}`;
const get = (path, headers = "") => `GET ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;
const stranger = `${POLLING}&sid=nobody`;

/**
 * @typedef {{ unit: "KB" | "attempt", run: (target: { port: number, ms: number }) => Promise<number> }} Attack
 * @type {Record<string, Attack>}
 */
const attacks = {
  "slow handshakes, a byte": { unit: "attempt", run: slowHandshakes },
  "half heads": attempt((port) => hangUp(port, HALF)),
  "half frames": session((socket) => socket.write(text("x".repeat(5000)).subarray(0, 2500))),
  "frames without payload": session((socket) =>
    socket.write(frame({ length: 900_000, payload: "" }).subarray(0, 14)),
  ),
  "frames of 2^62 bytes": session((socket) => ended(socket, frame({ length: 2n ** 62n, payload: "x" }))),
  "broken frames": session((socket) => ended(socket, frame({ payload: "x", masked: false }))),
  "text that is not UTF-8": session((socket) => ended(socket, frame({ payload: Buffer.alloc(200, 0xff) }))),

  pings: flood([frame({ opcode: PING, payload: "x".repeat(125) })]),
  "empty pings": flood([frame({ opcode: PING })]),
  pongs: flood([frame({ opcode: PONG, payload: "x".repeat(125) })]),
  noops: flood([text("6")]),
  "events for nobody": flood([text('42["nobody"]')]),
  "acks of nothing": flood([text("43123[]")]),
  probes: { unit: "KB", run: probes },
  "fragments of a byte": flood(fragments('42["x","', "y", 10_000)),
  "empty fragments": flood(fragments('42["x","', "", 10_000)),
  "16,385 fragments": session((socket) => ended(socket, Buffer.concat(fragments('42["x","', "y", 16_400)))),
  "CONNECT to unknown namespaces": flood(many(500, (i) => text(`40/unknown-${i},`))),
  "CONNECT to a known one, and out": flood([text("40/known,"), text("41/known,")]),
  placeholders: flood([
    text(`451-["x",${placeholders(20_000)}]`),
    frame({ opcode: BINARY, payload: Buffer.alloc(100) }),
  ]),
  "placeholders without a number": session((socket) =>
    ended(
      socket,
      Buffer.concat([text('451-["x",{"_placeholder":true}]'), frame({ opcode: BINARY, payload: "x" })]),
    ),
  ),
  "empty attachments": flood([
    text(`4510-["x",${placeholders(10)}]`),
    ...Array(10).fill(frame({ opcode: BINARY })),
  ]),
  "attachments that do not come": session((socket) =>
    socket.write(
      Buffer.concat([text('4510-["x"]'), frame({ opcode: BINARY, payload: Buffer.alloc(100_000) })]),
    ),
  ),
  "too many attachments": session((socket) => ended(socket, text('459999-["x"]'))),
  "deep JSON": flood([text(`42["x",${"[".repeat(100_000)}${"]".repeat(100_000)}]`)]),
  "deep JSON without its end": session((socket) => ended(socket, text(`42["x",${"[".repeat(300_000)}`))),
  "a MB of digits": flood([text(`42${"1".repeat(950_000)}`)]),
  "a number of a MB": flood([text(`42["x",${"1".repeat(950_000)}]`)]),
  "80,000 keys": flood([text(`42["x",{${many(80_000, (i) => `"k${i}":1`).join(",")}}]`)]),
  __proto__: flood([text('42["x",{"__proto__":{"a":1},"constructor":{"prototype":1}}]')]),
  "deflated bombs": session((socket) => ended(socket, deflated("x".repeat(50e6))), { deflate: true }),
  "deflated rubbish": session(
    (socket) => ended(socket, frame({ rsv: 4, payload: Buffer.alloc(5000, 0xa7) })),
    {
      deflate: true,
    },
  ),
  "sessions without a namespace": attempt((port) => answered(port, upgradeRequest(SESSION))),
  "sessions that are never polled": attempt((port) => answered(port, get(POLLING))),

  "POSTs of nothing": polling((sid) => post(sid, "6")),
  "POSTs that are cut": polling((sid) => post(sid, "4".repeat(500), "Content-Length: 1000\r\n"), {
    isLast: true,
  }),
  "POSTs of a MB and more": polling((sid) => post(sid, "4".repeat(1_000_001)), { isLast: true }),
  "polls that are cut": polling((sid) => get(`${POLLING}&sid=${sid}`), { isLast: true }),
  "requests of nobody": attempt((port) => answered(port, get(stranger))),
  "pipelined requests": { unit: "KB", run: pipelined },
  "1,500 headers": attempt((port) => answered(port, get(POLLING, many(1500, (i) => `a${i}:\r\n`).join("")))),
  "a header of 15 KB": attempt((port) => answered(port, get(stranger, `a: ${"x".repeat(15_000)}\r\n`))),
  "a header of 100 KB": attempt((port) => answered(port, get(stranger, `a: ${"x".repeat(100_000)}\r\n`))),
  "upgrades with 1,500 headers": attempt((port) =>
    answered(port, upgradeRequest(SESSION, Object.fromEntries(many(1500, (i) => [`a${i}`, ""])))),
  ),
  "extensions of 7 KB": attempt((port) =>
    answered(port, upgradeRequest(SESSION, { "Sec-WebSocket-Extensions": `${"a,".repeat(3500)}b` })),
  ),
  "a subprotocol of 14,000 spaces": attempt((port) =>
    answered(port, upgradeRequest(SESSION, { "Sec-WebSocket-Protocol": `b${" ".repeat(14_000)}x` })),
  ),
  "smuggling: length and chunks": smuggling(
    "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
    "0\r\n\r\nX",
  ),
  "smuggling: two lengths": smuggling("Content-Length: 1\r\nContent-Length: 2\r\n", "66"),
  "smuggling: bare line feeds": smuggling("Content-Length: 1\nX: y\n", "6"),
  "smuggling: folded lines": smuggling("Content-Length:\r\n 1\r\n", "6"),
  "smuggling: chunk extensions": smuggling(
    "Transfer-Encoding: chunked\r\n",
    `1;${"x=y;".repeat(1000)}\r\n6\r\n0\r\n\r\n`,
  ),
  "resets before a request": attempt((port) => reset(port)),
  "resets behind a request": attempt((port) => reset(port, upgradeRequest(SESSION))),
  "resets in a session": session((socket) => socket.resetAndDestroy()),
  "resets in a frame": session((socket) => {
    socket.write(text("x".repeat(5000)).subarray(0, 2500), () => socket.resetAndDestroy());
    return closed(socket);
  }),
};

/** Attempts of `one`, some at a time. */
function attempt(one) {
  return attempts(async (port) => {
    await one(port);
    return 1;
  });
}

/** The same where `one`, which is given the time at which it has to end, makes several and says how many. */
function attempts(one) {
  return {
    unit: "attempt",
    async run({ port, ms }) {
      const end = performance.now() + ms;
      let count = 0;
      const loop = async () => {
        while (performance.now() < end) {
          // `count +=` would take the count from before the wait
          const made = await one(port, end);
          count += made;
        }
      };
      await Promise.all(many(AT_ONCE, loop));
      return count;
    },
  };
}

/** Each attempt has a session of its own, over a WebSocket. */
function session(one, options) {
  return attempt(async (port) => {
    const client = await LightClient.connect(port, options);
    await one(client.socket);
    client.destroy();
  });
}

/** The same messages again and again, in one session; a new one where the server has ended it. */
function flood(messages) {
  let piece = Buffer.concat(messages);
  if (piece.length < PIECE) piece = Buffer.concat(Array(Math.ceil(PIECE / piece.length)).fill(piece));
  return {
    unit: "KB",
    async run({ port, ms }) {
      const end = performance.now() + ms;
      let sent = 0;
      while (performance.now() < end) {
        const client = await LightClient.connect(port);
        while (performance.now() < end && client.end === undefined) {
          for (let bytes = 0; bytes < WINDOW; bytes += piece.length) client.socket.write(piece);
          await echoed(client);
        }
        sent += client.socket.bytesWritten;
        client.destroy();
      }
      return sent / 1000;
    },
  };
}

async function slowHandshakes({ port, ms }) {
  const request = upgradeRequest(SESSION);
  const sockets = many(SLOW_ONES, () => open(port));
  const end = performance.now() + ms;
  let sent = 0;
  for (let at = 0; at < request.length - 1 && performance.now() < end; at++) {
    for (const socket of sockets) sent += socket.writable && socket.write(request[at]) ? 1 : 0;
    await new Promise((resolve) => setTimeout(resolve, SLOW_INTERVAL));
  }
  sockets.forEach((socket) => socket.destroy());
  return sent;
}

/** A WebSocket that is to take over from a session's polling says "2probe" all the time. */
async function probes({ port, ms }) {
  const sid = await handshake(port);
  const socket = open(port);
  socket.write(upgradeRequest(`${SESSION}&sid=${sid}`));
  await Promise.race([once(socket, "data"), closed(socket)]);
  const piece = Buffer.concat(Array(2000).fill(text("2probe")));
  return (await pour(socket, piece, performance.now() + ms)) / 1000;
}

/** Writes a piece again and again, as fast as it is taken; then hangs up. @returns {Promise<number>} bytes that were written */
async function pour(socket, piece, end) {
  while (performance.now() < end && !socket.destroyed) {
    if (socket.write(piece)) await new Promise(setImmediate);
    else await Promise.race([once(socket, "drain").catch(() => {}), closed(socket)]);
  }
  const sent = socket.bytesWritten;
  socket.destroy();
  return sent;
}

/** Requests on a connection that is kept, each in a session that polls, and each behind the answer to the one before. */
function polling(request, { isLast = false } = {}) {
  return attempts(async (port, end) => {
    const bytes = request(await handshake(port));
    const socket = open(port);
    let count = 0;
    do {
      socket.write(bytes);
      count++;
      if (isLast) await new Promise((resolve) => setTimeout(resolve, 2));
      else await Promise.race([once(socket, "data").catch(() => {}), closed(socket)]);
    } while (!isLast && !socket.destroyed && performance.now() < end);
    socket.destroy();
    return count;
  });
}

async function pipelined({ port, ms }) {
  const piece = get(stranger).repeat(200);
  const end = performance.now() + ms;
  let sent = 0;
  while (performance.now() < end) sent += await pour(open(port), piece, end);
  return sent / 1000;
}

/** A POST whose body begins at one place for one reader and at another for the next. */
function smuggling(headers, body) {
  return attempt(async (port) => {
    const sid = await handshake(port);
    await answered(port, post(sid, body, headers));
  });
}

/** A connection whose end is nobody's fault. */
function open(port) {
  const socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
  socket.on("error", () => {});
  socket.resume();
  return socket;
}

/** Resolves when a connection is closed; a patient attacker has other things to do. */
function closed(socket) {
  if (socket.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, PATIENCE);
    socket.once("close", () => (clearTimeout(timer), resolve()));
  });
}

/** Resolves when the server has handled all that it was sent, or has ended the connection. */
async function echoed(client) {
  const { promise, resolve } = deferred();
  client.onMessage = (payload) => payload.toString("latin1", 0, 3) === "439" && resolve();
  client.onEnd = resolve;
  client.send('429["echo",1]');
  if (client.end === undefined) await within(promise, "the end of a flood", LONG_PATIENCE);
}

/** Sends something that ends the connection. */
function ended(socket, bytes) {
  socket.write(bytes);
  return closed(socket);
}

async function answered(port, bytes) {
  const socket = open(port);
  socket.write(bytes);
  await Promise.race([once(socket, "data").catch(() => {}), closed(socket)]);
  socket.destroy();
}

async function hangUp(port, bytes) {
  const socket = open(port);
  socket.end(bytes);
  await closed(socket);
}

async function reset(port, bytes) {
  const socket = open(port);
  await once(socket, "connect");
  if (bytes) await new Promise((resolve) => socket.write(bytes, resolve));
  socket.resetAndDestroy();
  await closed(socket);
}

/** The id of a new session that polls. */
async function handshake(port) {
  const socket = open(port);
  socket.write(get(POLLING, "Connection: close\r\n"));
  let answer = "";
  socket.on("data", (chunk) => (answer += chunk));
  await closed(socket);
  return /"sid":"(.*?)"/.exec(answer)[1];
}

module.exports = attacks;
