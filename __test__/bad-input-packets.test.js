"use strict";

// Engine.IO and Socket.IO packets that make no sense, over WebSocket, and what becomes of the session.

const test = require("node:test");
const assert = require("node:assert/strict");
const { serve, fileScope, once, bystander, RawWebSocket } = require("./support/harness");

const file = fileScope(test);
let server;
let stillServed;

test.before(async () => {
  server = await serve(file, { maxHttpBufferSize: 1e7 });
  server.io.of("/chat");
  stillServed = await bystander(server);
});

test.afterEach(() => stillServed());

/** Resolves with the reason for which the next session closes. */
function closeOfNext({ io }) {
  return new Promise((resolve) => io.engine.once("connection", (conn) => conn.once("close", resolve)));
}

const ending = (reason) => [`disconnecting: ${reason}`, `disconnect: ${reason}`];

// Engine.IO

for (const packet of ["", "9", "x", "7", " 4", "\u00004", "😀"]) {
  test(`Engine.IO packet ${JSON.stringify(packet)}: parse error`, async () => {
    const { ws, log, disconnected } = await server.rawPair();
    ws.text(packet);
    assert.deepEqual(await disconnected, ["parse error", undefined]);
    assert.deepEqual(log, ending("parse error"));
    assert.deepEqual(await ws.closed(), { code: null, reason: "", end: "FIN" });
  });
}

for (const packet of ["2", "2probe"]) {
  test(`Engine.IO packet ${packet}: invalid heartbeat direction`, async () => {
    const { ws, log, disconnected } = await server.rawPair();
    ws.text(packet);
    const [reason, description] = await disconnected;
    assert.deepEqual([reason, description.message], ["transport error", "invalid heartbeat direction"]);
    assert.deepEqual(log, ending("transport error"));
    assert.deepEqual(await ws.closed(), { code: null, reason: "", end: "FIN" });
  });
}

test("Engine.IO packets 0, 1, 3, 5 and 6 are ignored on a WebSocket", async () => {
  const { ws, socket, log } = await server.rawPair();
  for (const packet of ["0", "0{}", "1", "3", "3probe", "5", "6", "6x"]) {
    ws.text(packet);
  }
  const got = once(socket, "ev");
  ws.text('42["ev"]');
  await got;
  assert.deepEqual(log, []);
});

// Socket.IO: "error" on the socket, then "forced close"

const INVALID = "invalid payload";
const ILLEGAL = "Illegal attachments";
const RESERVED = ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

const ROWS = [
  ["47", "unknown packet type 7"],
  ["48", "unknown packet type 8"],
  ["49", "unknown packet type 9"],
  ["4x", "unknown packet type NaN"],
  ["4-", "unknown packet type NaN"],
  ["4😀", "unknown packet type NaN"],
  ["42{}", INVALID],
  ["42[]", INVALID],
  ['42["a"', INVALID],
  ["42[", INVALID],
  ["42null", INVALID],
  ['42"text"', INVALID],
  ["42true", INVALID],
  ["42[null]", INVALID],
  ["42[true]", INVALID],
  ['42[{"toString":"foo"}]', INVALID],
  ['42[["a"]]', INVALID],
  ['42["a"]x', INVALID],
  ["42\u0000", INVALID],
  ['42["a",]', INVALID],
  ["42-1[]", INVALID],
  ["421.5[]", INVALID],
  ["40[]", INVALID],
  ["40null", INVALID],
  ['40"x"', INVALID],
  ["41{}", INVALID],
  ["41[]", INVALID],
  ["431{}", INVALID],
  ["431null", INVALID],
  ["43{}", INVALID],
  ["44[]", INVALID],
  ["45-", ILLEGAL],
  ["45", ILLEGAL],
  ["45[]", ILLEGAL],
  ["450-", ILLEGAL],
  ["45-1-", ILLEGAL],
  ["451.5-", ILLEGAL],
  ["45x-", ILLEGAL],
  ["451", ILLEGAL],
  ["46-", ILLEGAL],
  ['451-{"a":1}', INVALID],
  ['451-["disconnect"]', INVALID],
  ["4511-[]", "too many attachments"],
  ['4511-["a"]', "too many attachments"],
  ['45999999999-["a"]', "too many attachments"],
  ['4611-[""]', "too many attachments"],
  ...RESERVED.map((name) => [`42["${name}"]`, INVALID]),
];

for (const [packet, message] of ROWS) {
  test(`${JSON.stringify(packet)}: ${message}, forced close`, async () => {
    const { ws, log, disconnected } = await server.rawPair();
    ws.text(packet);
    assert.deepEqual(await disconnected, ["forced close", undefined]);
    assert.deepEqual(log, [`error: ${message}`, ...ending("forced close")]);
    assert.deepEqual(await ws.closed(), { code: null, reason: "", end: "FIN" });
  });
}

test("a message packet without content: some error, forced close", async () => {
  const { ws, log, disconnected } = await server.rawPair();
  ws.text("4");
  assert.deepEqual(await disconnected, ["forced close", undefined]);
  assert.equal(log.length, 3);
  assert.match(log[0], /^error: ./);
  assert.equal((await ws.closed()).end, "FIN");
});

test("text while attachments are pending", async () => {
  const { ws, log, disconnected } = await server.rawPair();
  ws.text('451-["ev",{"_placeholder":true,"num":0}]');
  ws.text('42["ev"]');
  assert.deepEqual(await disconnected, ["forced close", undefined]);
  assert.deepEqual(log, [
    "error: got plaintext data when reconstructing a packet",
    ...ending("forced close"),
  ]);
});

test("binary data that nobody announced", async () => {
  const { ws, log, disconnected } = await server.rawPair();
  ws.binary(Buffer.from([1]));
  assert.deepEqual(await disconnected, ["forced close", undefined]);
  assert.deepEqual(log, [
    "error: got binary data when not reconstructing a packet",
    ...ending("forced close"),
  ]);
});

test("one attachment too many", async () => {
  const { ws, socket, log, disconnected } = await server.rawPair();
  const got = once(socket, "ev");
  ws.text('451-["ev",{"_placeholder":true,"num":0}]');
  ws.binary(Buffer.from([1]));
  ws.binary(Buffer.from([2]));
  assert.deepEqual(await disconnected, ["forced close", undefined]);
  assert.deepEqual(log[0], "error: got binary data when not reconstructing a packet");
  await Promise.race([got, Promise.resolve()]);
});

for (const num of ['"splice"', "-1", "1", "null", "1.5", '"0"', "1e100"]) {
  test(`a placeholder with num ${num}: illegal attachments`, async () => {
    const { ws, log, disconnected } = await server.rawPair();
    ws.text(`451-["ev",{"_placeholder":true,"num":${num}}]`);
    ws.binary(Buffer.from([1]));
    assert.deepEqual(await disconnected, ["forced close", undefined]);
    assert.deepEqual(log, ["error: illegal attachments", ...ending("forced close")]);
  });
}

test("a placeholder without num: illegal attachments", async () => {
  const { ws, log, disconnected } = await server.rawPair();
  ws.text('451-["ev",{"_placeholder":true}]');
  ws.binary(Buffer.from([1]));
  await disconnected;
  assert.deepEqual(log, ["error: illegal attachments", ...ending("forced close")]);
});

test("a placeholder that is not true stays what it is", async () => {
  const { ws, socket } = await server.rawPair();
  const got = once(socket, "ev");
  ws.text('451-["ev",{"_placeholder":1,"num":9},{"_placeholder":true,"num":0}]');
  ws.binary(Buffer.from([1]));
  assert.deepEqual(await got, [{ _placeholder: 1, num: 9 }, Buffer.from([1])]);
});

test("an attachment used twice, and one not used at all", async () => {
  const { ws, socket } = await server.rawPair();
  const got = once(socket, "ev");
  ws.text('452-["ev",{"_placeholder":true,"num":1},{"_placeholder":true,"num":1}]');
  ws.binary(Buffer.from([1]));
  ws.binary(Buffer.from([2]));
  assert.deepEqual(await got, [Buffer.from([2]), Buffer.from([2])]);
});

// wrong at this time: closed without "error"

for (const [packet, name] of [
  ["40", "a second CONNECT"],
  ['42/chat,["ev"]', "an event to a namespace that was not joined"],
  ['42/nope,["ev"]', "an event to an unknown namespace"],
  ["41/chat,", "a DISCONNECT of a namespace that was not joined"],
  ["43/chat,1[]", "an ack in a namespace that was not joined"],
  ['44{"message":"x"}', "a CONNECT_ERROR from the client"],
  ["44", "an empty CONNECT_ERROR"],
]) {
  test(`${name}: closed, no error`, async () => {
    const { ws, log, disconnected } = await server.rawPair();
    ws.text(packet);
    assert.deepEqual(await disconnected, ["forced close", undefined]);
    assert.deepEqual(log, ending("forced close"));
    assert.deepEqual(await ws.closed(), { code: null, reason: "", end: "FIN" });
  });
}

for (const packet of ['42["ev"]', "41", "430[]", '44{"message":"x"}', "4x", "42{}"]) {
  test(`${packet} before CONNECT: closed`, async () => {
    const { ws, closed } = await server.rawSession();
    ws.text(packet);
    assert.deepEqual(await closed, ["forced close", undefined]);
    assert.deepEqual(await ws.closed(), { code: null, reason: "", end: "FIN" });
  });
}

for (const nsp of ["/nope", "/__proto__", "/constructor", "/чат", `/${"x".repeat(1000)}`]) {
  test(`CONNECT to the unknown namespace ${nsp.slice(0, 20)}: refused, and the session stays open`, async () => {
    const ws = await RawWebSocket.open(server);
    ws.text(`40${nsp},`);
    assert.equal(await ws.next(), `44${nsp},{"message":"Invalid namespace"}`);
    ws.text(`40${nsp}`);
    assert.equal(await ws.next(), `44${nsp},{"message":"Invalid namespace"}`);
    ws.text("40");
    assert.match(await ws.next(), /^40\{"sid":/);
  });
}

test("CONNECT with hostile auth", async () => {
  const ws = await RawWebSocket.open(server);
  ws.text('40{"__proto__":{"polluted":1},"pid":{},"offset":[]}');
  const { sid } = JSON.parse((await ws.next()).slice(2));
  const { auth } = server.io.sockets.sockets.get(sid).handshake;
  assert.deepEqual(Object.keys(auth), ["__proto__", "pid", "offset"]);
  assert.equal({}.polluted, undefined);
});

test("no CONNECT: closed at connectTimeout", async (t) => {
  const hasty = await serve(t, { connectTimeout: 30 });
  const closed = closeOfNext(hasty);
  const ws = await RawWebSocket.open(hasty);
  assert.equal(await closed, "forced close");
  assert.deepEqual(await ws.closed(), { code: null, reason: "", end: "FIN" });
});

test("unknown and double ack ids are ignored", async () => {
  const { ws, socket, log } = await server.rawPair();
  for (const packet of ["4399[]", "4399[]", "430[1]", '43["no id"]', "43"]) {
    ws.text(packet);
  }
  const got = once(socket, "ev");
  ws.text('42["ev"]');
  await got;
  assert.deepEqual(log, []);
});

test("binary acks that nobody asked for are ignored", async () => {
  const { ws, socket, log } = await server.rawPair();
  ws.text('461-99[{"_placeholder":true,"num":0}]');
  ws.binary(Buffer.from([1]));
  const got = once(socket, "ev");
  ws.text('42["ev"]');
  await got;
  assert.deepEqual(log, []);
});

test("arrays nested 450,000 deep are delivered", async () => {
  const { ws, socket } = await server.rawPair();
  const got = once(socket, "deep");
  ws.text(`42["deep",${"[".repeat(450_000)}${"]".repeat(450_000)}]`);
  assert.ok(Array.isArray((await got)[0]));
});
