"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { randomBytes } = require("node:crypto");
const zlib = require("node:zlib");
const { serve, once, record, frame, RawWebSocket, CONTINUATION, PING } = require("./support/harness");

// without context the server leaves short messages as they are
const OFFER = {
  headers: { "Sec-WebSocket-Extensions": "permessage-deflate; server_no_context_takeover" },
};

/** A compressed message, as the extension wants it. */
function deflated(data) {
  const bytes = zlib.deflateRawSync(data, { finishFlush: zlib.constants.Z_SYNC_FLUSH });
  return bytes.subarray(0, bytes.length - 4);
}

/** A server with the extension. */
async function compressing(t, options = {}) {
  const server = await serve(t, { perMessageDeflate: true, ...options });
  const ws = await RawWebSocket.open(server, OFFER);
  assert.match(ws.headers["sec-websocket-extensions"], /^permessage-deflate/);
  return server;
}

async function assertClosed(server, bytes, code) {
  const { ws, disconnected } = await server.rawPair(OFFER);
  ws.write(bytes);
  assert.equal((await disconnected)[0], "transport error");
  const closed = await ws.closed();
  assert.deepEqual([closed.code, closed.reason], [code, ""]);
}

test("without the option it is not negotiated", async (t) => {
  const server = await serve(t);
  const { ws, disconnected } = await server.rawPair(OFFER);
  assert.equal(ws.headers["sec-websocket-extensions"], undefined);
  ws.frame({ payload: deflated("6"), rsv: 4 });
  assert.equal((await disconnected)[0], "transport error");
  assert.equal((await ws.closed()).code, 1002);
});

test("a client that does not offer it is served without", async (t) => {
  const server = await serve(t, { perMessageDeflate: true });
  const { ws, socket } = await server.rawPair();
  assert.equal(ws.headers["sec-websocket-extensions"], undefined);
  socket.emit("ev", "x".repeat(5000));
  assert.equal((await ws.next()).length, 5000 + '42["ev",""]'.length);
  assert.ok(ws.frames.every(({ rsv }) => rsv === 0));
});

test("a compressed message is inflated", async (t) => {
  const server = await compressing(t);
  const { ws, socket } = await server.rawPair(OFFER);
  assert.match(ws.headers["sec-websocket-extensions"], /^permessage-deflate/);
  const got = once(socket, "ev");
  ws.frame({ payload: deflated('42["ev","aé語😀"]'), rsv: 4 });
  assert.deepEqual(await got, ["aé語😀"]);
});

test("a client may look back as far as its window goes, also into earlier messages", async (t) => {
  const server = await compressing(t);
  const { ws, socket } = await server.rawPair(OFFER);
  const got = record(socket, "ev");
  const deflate = zlib.createDeflateRaw();
  const chunks = record(deflate, "data");
  const far = randomBytes(8000).toString("hex");
  let before = 0;
  for (let n = 0; n < 2; n++) {
    deflate.write(`42["ev","${far}"]`);
    await new Promise((resolve) => deflate.flush(zlib.constants.Z_SYNC_FLUSH, resolve));
    const bytes = Buffer.concat(chunks.list.splice(0).map(([chunk]) => chunk));
    ws.frame({ payload: bytes.subarray(0, -4), rsv: 4 });
    assert.ok(n === 0 || bytes.length < before / 10, "the second is a reference to the first");
    before = bytes.length;
  }
  await got.until(2);
  assert.deepEqual(got.list, [[far], [far]]);
});

test("a large message is compressed, a short one is not", async (t) => {
  const server = await compressing(t);
  const { ws, socket } = await server.rawPair(OFFER);
  const text = "x".repeat(5000);
  const next = async () => {
    const count = ws.frames.length;
    await ws.changes.until(() => ws.frames.length > count);
    return ws.frames[count];
  };
  let received = next();
  socket.emit("ev", text);
  const large = await received;
  assert.equal(large.rsv, 4);
  assert.ok(large.payload.length < 200);
  const tail = Buffer.from([0, 0, 0xff, 0xff]);
  const options = { finishFlush: zlib.constants.Z_SYNC_FLUSH };
  const inflated = zlib.inflateRawSync(Buffer.concat([large.payload, tail]), options);
  assert.equal(inflated.toString(), `42["ev","${text}"]`);
  received = next();
  socket.emit("ev", "short");
  assert.equal((await received).rsv, 0);
});

test("messages are compressed with as large a window as the client wants", async (t) => {
  const server = await serve(t, { perMessageDeflate: true });
  // which comes twice, further apart than the smallest window reaches
  const text = randomBytes(1000).toString("hex").repeat(2);
  for (const windowBits of [9, 12, 15]) {
    const offer = `permessage-deflate; server_no_context_takeover; server_max_window_bits=${windowBits}`;
    const { ws, socket } = await server.rawPair({ headers: { "Sec-WebSocket-Extensions": offer } });
    const count = ws.frames.length;
    socket.emit("ev", text);
    await ws.changes.until(() => ws.frames.length > count);
    const { rsv, payload } = ws.frames[count];
    assert.equal(rsv, 4);
    const tail = Buffer.from([0, 0, 0xff, 0xff]);
    const options = { finishFlush: zlib.constants.Z_SYNC_FLUSH, windowBits };
    const inflated = zlib.inflateRawSync(Buffer.concat([payload, tail]), options);
    assert.equal(inflated.toString(), `42["ev","${text}"]`);
    assert.equal(payload.length < 1500, windowBits > 10, `${payload.length} bytes with ${windowBits} bits`);
  }
});

test("a bomb gets 1009", async (t) => {
  const server = await compressing(t, { maxHttpBufferSize: 1000 });
  const bomb = deflated(Buffer.alloc(200_000, "6"));
  assert.ok(bomb.length < 1000);
  await assertClosed(server, frame({ payload: bomb, rsv: 4 }), 1009);
});

test("garbage gets 1007", async (t) => {
  const server = await compressing(t);
  await assertClosed(server, frame({ payload: "\xff\xff\xff\xff garbage", rsv: 4 }), 1007);
});

test("RSV1 on a continuation or a control frame gets 1002", async (t) => {
  const server = await serve(t, { perMessageDeflate: true });
  await assertClosed(server, frame({ opcode: PING, rsv: 4 }), 1002);
  const bytes = Buffer.concat([
    frame({ payload: "6", fin: false }),
    frame({ opcode: CONTINUATION, payload: "6", rsv: 4 }),
  ]);
  await assertClosed(server, bytes, 1002);
});

test("extensions that make no sense do no harm", async (t) => {
  const server = await serve(t, { perMessageDeflate: true });
  for (const offer of [
    "permessage-deflate; server_max_window_bits=7",
    "permessage-deflate; server_max_window_bits=16",
    "permessage-deflate; client_max_window_bits=x",
    "permessage-deflate; unknown_parameter",
    "permessage-deflate; __proto__=1; constructor",
    "constructor, __proto__, toString; hasOwnProperty",
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    "x-other; a=1",
    ", ,;;=",
    '"',
    `${"permessage-deflate,".repeat(300)}permessage-deflate`,
  ]) {
    const ws = await RawWebSocket.upgrade(server, { headers: { "Sec-WebSocket-Extensions": offer } });
    assert.ok([101, 400].includes(ws.status), `${ws.status} for ${offer}`);
    ws.destroy();
  }
  const { client } = await server.pair();
  assert.equal(client.connected, true);
});
