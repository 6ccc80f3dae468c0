"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { serve, once, record, frame, CONTINUATION, SEPARATOR } = require("./support/harness");

/** Characters of 1, 2, 3 and 4 bytes in UTF-8, alone and mixed, and what tends to go wrong. */
const TEXTS = [
  "a",
  "é",
  "語",
  "😀",
  "aé語😀",
  "😀語éa",
  "ascii then é",
  "é then ascii",
  "\u0000\u0001\u001f",
  "\u007f\u0080\u07ff\u0800\uffff\u{10000}\u{10ffff}",
  "\ufeffBOM inside\ufeff",
  "\u2028\u2029",
  "e\u0301 combining, 👩‍👩‍👧‍👦 joined, 🇩🇪 flag",
  "שלום עולם, Привет, こんにちは",
  '"quotes", \\ and \n\r\t',
];

for (const transport of ["websocket", "polling"]) {
  test(`texts of every width over ${transport}, both ways`, async (t) => {
    const server = await serve(t);
    const { client, socket } = await server.pair("/", { transports: [transport] });
    const up = record(socket, "ev");
    const down = record(client, "ev");
    for (const text of TEXTS) {
      client.emit("ev", text, { [text]: [text] });
      socket.emit("ev", text, { [text]: [text] });
    }
    const expected = TEXTS.map((text) => [text, { [text]: [text] }]);
    await Promise.all([up.until(TEXTS.length), down.until(TEXTS.length)]);
    assert.deepEqual(up.list, expected);
    assert.deepEqual(down.list, expected);
  });

  test(`event names and acks that are not ASCII over ${transport}`, async (t) => {
    const server = await serve(t);
    const { client, socket } = await server.pair("/", { transports: [transport] });
    for (const name of ["événement", "イベント", "😀", "a😀b", "\u{1f600}\u{1f601}"]) {
      socket.on(name, (value, ack) => ack(`${name} ${value}`));
      client.on(name, (value, ack) => ack(`${name} ${value}`));
      assert.equal(await client.timeout(5000).emitWithAck(name, "語"), `${name} 語`);
      assert.equal(await socket.timeout(5000).emitWithAck(name, "語"), `${name} 語`);
    }
  });
}

test("messages of different widths in one segment", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  const got = record(socket, "ev");
  ws.write(Buffer.concat(TEXTS.map((text) => frame({ payload: `42["ev",${JSON.stringify(text)}]` }))));
  await got.until(TEXTS.length);
  assert.deepEqual(
    got.list,
    TEXTS.map((text) => [text]),
  );
});

test("messages of different widths and of many clients at once", async (t) => {
  const server = await serve(t);
  const clients = await Promise.all(TEXTS.map(() => server.rawPair()));
  const recorders = clients.map(({ socket }) => record(socket, "ev"));
  for (let round = 0; round < 20; round++) {
    clients.forEach(({ ws }, i) => {
      const text = TEXTS[(i + round) % TEXTS.length];
      ws.text(`42["ev",${JSON.stringify(text)},${i}]`);
    });
  }
  await Promise.all(recorders.map((recorder) => recorder.until(20)));
  recorders.forEach((recorder, i) => {
    const expected = Array.from({ length: 20 }, (_, round) => [TEXTS[(i + round) % TEXTS.length], i]);
    assert.deepEqual(recorder.list, expected);
  });
});

test("a text that arrives byte by byte", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  const got = once(socket, "aé語😀");
  for (const byte of frame({ payload: '42["aé語😀","😀語éa"]' })) {
    ws.write(Buffer.from([byte]));
    await new Promise(setImmediate);
  }
  assert.deepEqual(await got, ["😀語éa"]);
});

test("a text in fragments that split its characters", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  const bytes = Buffer.from('42["ev","aé語😀"]');
  for (let cut = 1; cut < bytes.length; cut++) {
    const got = once(socket, "ev");
    ws.frame({ payload: bytes.subarray(0, cut), fin: false });
    ws.frame({ opcode: 9, payload: "a ping in between" });
    ws.frame({ opcode: CONTINUATION, payload: bytes.subarray(cut) });
    assert.deepEqual(await got, ["aé語😀"], `cut after ${cut} bytes`);
  }
});

test("the length of a text is counted in bytes on the wire", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  for (const length of [30, 31, 32, 116, 117, 118, 16380, 16383, 16384]) {
    const text = "😀".repeat(length);
    socket.emit("ev", text);
    assert.equal(await ws.next(), `42["ev","${text}"]`);
  }
});

test("lone surrogates", async (t) => {
  const server = await serve(t);
  const { ws, socket } = await server.rawPair();
  const got = once(socket, "ev");
  // as escapes they are valid JSON and kept
  ws.text('42["ev","\\ud800","\\udc00x"]');
  assert.deepEqual(await got, ["\ud800", "\udc00x"]);
  // on the way out JSON.stringify escapes them
  socket.emit("ev", "\ud800");
  assert.equal(await ws.next(), '42["ev","\\ud800"]');
});

test("the separator of payloads inside a text", async (t) => {
  const server = await serve(t);
  for (const transport of ["websocket", "polling"]) {
    const { client, socket } = await server.pair("/", { transports: [transport] });
    const up = once(socket, "ev");
    client.emit("ev", `a${SEPARATOR}b`);
    assert.deepEqual(await up, [`a${SEPARATOR}b`]);
    const down = once(client, "ev");
    socket.emit("ev", `a${SEPARATOR}b`);
    assert.deepEqual(await down, [`a${SEPARATOR}b`]);
  }
});

test("broadcasts that are not ASCII reach polling and WebSocket clients", async (t) => {
  const server = await serve(t);
  const ws = await server.pair();
  const polling = await server.pair("/", { transports: ["polling"] });
  ws.socket.join("комната");
  polling.socket.join("комната");
  for (const text of TEXTS) {
    const got = Promise.all([once(ws.client, text), once(polling.client, text)]);
    server.io.to("комната").emit(text, text);
    assert.deepEqual(await got, [[text], [text]]);
  }
});

test("auth and query that are not ASCII", async (t) => {
  const server = await serve(t);
  for (const transport of ["websocket", "polling"]) {
    const { socket } = await server.pair("/", {
      transports: [transport],
      auth: { имя: "😀語é" },
      query: { имя: "😀語é" },
    });
    assert.deepEqual(socket.handshake.auth, { имя: "😀語é" });
    assert.equal(socket.handshake.query["имя"], "😀語é");
  }
});
