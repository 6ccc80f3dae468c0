"use strict";

const assert = require("node:assert/strict");
const test = require("node:test");
const {
  isStock,
  serve,
  once,
  record,
  connected,
  eventually,
  RawPolling,
  LIMIT,
} = require("./support/harness");
const { RawWebTransport, sessionPair } = require("./support/raw-webtransport");

const TRANSPORTS = { transports: ["polling", "websocket", "webtransport"] };

test("a session begins with a packet on the first stream", async (t) => {
  const server = await serve(t, { ...TRANSPORTS, pingInterval: 1234 });
  const connection = once(server.io.engine, "connection");
  const transport = await RawWebTransport.open(server);
  const { sid, ...rest } = transport.handshake;
  assert.deepEqual(rest, { upgrades: [], pingInterval: 1234, pingTimeout: 20000, maxPayload: 1e6 });
  const [conn] = await connection;
  assert.equal(conn.id, sid);
  assert.equal(conn.protocol, 4);
  assert.equal(conn.request, null);
  assert.equal(conn.remoteAddress, undefined);
  assert.equal(conn.transport.name, "webtransport");
  assert.equal(conn.transport.session, transport.session);
  assert.equal(conn.transport.readyState, "open");
  assert.equal(server.io.engine.clients[sid], conn);
  assert.equal(server.io.engine.clientsCount, 1);
  await transport.accepted;
});

for (const length of [125, 126, 65_535, 65_536, 65_537]) {
  test(`messages of ${length} bytes, the most and the least that each form of a length can say`, async (t) => {
    const server = await serve(t, TRANSPORTS);
    const connection = once(server.io, "connection");
    const transport = await RawWebTransport.connect(server);
    const [socket] = await connection;
    // in front of a text, there is the digit of a message
    const text = "x".repeat(length - '42["ev",""]'.length);
    const gotText = once(socket, "ev");
    transport.send(`42["ev","${text}"]`);
    assert.deepEqual(await gotText, [text]);
    socket.emit("ev", text);
    assert.deepEqual(await transport.next(), { type: "message", data: `2["ev","${text}"]` });

    const bytes = Buffer.alloc(length, 1);
    const gotBytes = once(socket, "bin");
    const { bytesRead } = socket.conn;
    const head = '451-["bin",{"_placeholder":true,"num":0}]';
    transport.send(head);
    transport.send(bytes);
    assert.deepEqual(await gotBytes, [bytes]);
    if (!isStock) {
      const longer = length < 126 ? 0 : length < 65_536 ? 2 : 8;
      assert.equal(socket.conn.bytesRead - bytesRead, 6 + head.length + 6 + longer + length);
    }
    socket.emit("bin", bytes);
    await transport.next();
    assert.deepEqual(await transport.next(), { type: "message", data: bytes });
  });
}

test("initialPacket follows the handshake", async (t) => {
  const server = await serve(t, { ...TRANSPORTS, initialPacket: Buffer.from([1, 2]) });
  const transport = await RawWebTransport.open(server);
  assert.deepEqual(await transport.next(), { type: "message", data: Buffer.from([1, 2]) });
});

test("events, acknowledgements and attachments in both directions", async (t) => {
  const server = await serve(t, TRANSPORTS);
  const connection = once(server.io, "connection");
  const transport = await RawWebTransport.connect(server);
  const [socket] = await connection;
  assert.equal(socket.id, transport.id);
  assert.deepEqual(socket.handshake.headers, {});
  assert.deepEqual(socket.handshake.query, {});
  assert.equal(socket.handshake.secure, true);
  assert.equal(socket.handshake.xdomain, false);

  const got = once(socket, "ev");
  transport.send('42["ev","é😀"]');
  assert.deepEqual(await got, ["é😀"]);
  const gotBinary = once(socket, "bin");
  transport.send('451-["bin",{"_placeholder":true,"num":0}]');
  transport.send(Buffer.from([1, 2, 3]));
  assert.deepEqual(await gotBinary, [Buffer.from([1, 2, 3])]);

  server.io.emit("back", "ß");
  assert.deepEqual(await transport.next(), { type: "message", data: '2["back","ß"]' });
  socket.emit("bin", Buffer.from([4, 5]));
  assert.equal((await transport.next()).data, '51-["bin",{"_placeholder":true,"num":0}]');
  assert.deepEqual(await transport.next(), { type: "message", data: Buffer.from([4, 5]) });
  const acknowledged = socket.timeout(LIMIT).emitWithAck("ask");
  const { data } = await transport.next();
  transport.send(`43${/^2(\d+)/.exec(data)[1]}["yes"]`);
  assert.equal(await acknowledged, "yes");
});

test("messages of all lengths arrive whole, in pieces and in order", async (t) => {
  const server = await serve(t, TRANSPORTS);
  const connection = once(server.io, "connection");
  const transport = await RawWebTransport.connect(server);
  const [socket] = await connection;
  const got = record(socket, "ev");
  const lengths = [1, 100, 125, 126, 127, 1000, 65535, 65536, 300_000];
  const texts = lengths.map((length) => "x".repeat(length));
  for (const text of texts) transport.send(`42["ev","${text}"]`);
  // a packet that comes byte by byte
  for (const byte of Buffer.from('\n42["ev",1]')) transport.sendBytes(Buffer.from([byte]));
  assert.deepEqual(
    await got.until(lengths.length + 1),
    [...texts, 1].map((value) => [value]),
  );
  for (const text of texts) socket.emit("ev", text);
  for (const text of texts) assert.equal((await transport.next()).data, `2["ev","${text}"]`);
  for (const length of lengths) socket.conn.send(Buffer.alloc(length, 7));
  for (const length of lengths) assert.deepEqual((await transport.next()).data, Buffer.alloc(length, 7));
});

test("heartbeats", async (t) => {
  const server = await serve(t, { ...TRANSPORTS, pingInterval: 50, pingTimeout: 100 });
  const connection = once(server.io.engine, "connection");
  const transport = await RawWebTransport.open(server);
  const [conn] = await connection;
  const heartbeat = once(conn, "heartbeat");
  assert.equal((await transport.next()).type, "ping");
  transport.send("3");
  await heartbeat;
  const [reason] = await once(conn, "close");
  assert.equal(reason, "ping timeout");
  await transport.ended();
});

test("the end of the client", async (t) => {
  const server = await serve(t, TRANSPORTS);
  const connection = once(server.io, "connection");
  const transport = await RawWebTransport.connect(server);
  const [socket] = await connection;
  const disconnected = once(socket, "disconnect");
  transport.client.close();
  assert.equal((await disconnected)[0], "transport close");
  assert.equal(server.io.engine.clientsCount, 0);
});

test("the end by the server comes behind what was sent before", async (t) => {
  const server = await serve(t, TRANSPORTS);
  const connection = once(server.io, "connection");
  const transport = await RawWebTransport.connect(server);
  const [socket] = await connection;
  const disconnected = once(socket, "disconnect");
  socket.emit("bye");
  assert.equal((await transport.next()).data, '2["bye"]');
  socket.disconnect(true);
  assert.equal((await disconnected)[0], "server namespace disconnect");
  await transport.ended();
  await eventually(() => server.io.engine.clientsCount === 0, "end of the session");
});

test("closing the transport ends its session", async (t) => {
  const server = await serve(t, TRANSPORTS);
  const connection = once(server.io.engine, "connection");
  const transport = await RawWebTransport.open(server);
  const [conn] = await connection;
  const closed = once(conn, "close");
  conn.transport.close();
  assert.equal((await closed)[0], "transport close");
  await transport.ended();
});

test("io.close() ends the sessions", async (t) => {
  const server = await serve(t, TRANSPORTS);
  const connection = once(server.io, "connection");
  const transport = await RawWebTransport.connect(server);
  const [socket] = await connection;
  const disconnected = once(socket, "disconnect");
  await server.io.close();
  assert.equal((await disconnected)[0], "server shutting down");
  await transport.ended();
});

for (const [what, bytes] of [
  ["an empty packet", Buffer.from([0])],
  ["a packet over the limit", Buffer.from([126, 0x03, 0xe9])],
  ["a packet of a length that no number holds", Buffer.from([127, 255, 255, 255, 255, 255, 255, 255, 255])],
  ["an unknown type", Buffer.from("\x019")],
]) {
  test(`${what} ends the session with a parse error`, async (t) => {
    const server = await serve(t, { ...TRANSPORTS, maxHttpBufferSize: 1000 });
    const connection = once(server.io.engine, "connection");
    const transport = await RawWebTransport.open(server);
    const [conn] = await connection;
    const closed = once(conn, "close");
    transport.sendBytes(bytes);
    assert.equal((await closed)[0], "parse error");
    await transport.ended();
  });
}

test("a ping of the client ends the session", async (t) => {
  const server = await serve(t, TRANSPORTS);
  const connection = once(server.io.engine, "connection");
  const transport = await RawWebTransport.open(server);
  const [conn] = await connection;
  const closed = once(conn, "close");
  transport.send("2");
  const [reason, error] = await closed;
  assert.equal(reason, "transport error");
  assert.equal(error.message, "invalid heartbeat direction");
  await transport.ended();
});

for (const packet of ["40", "2probe", '0{"sid":"nobody"}', '0{"sid":1}', "0{", '0{"sid":"__proto__"}', "9"]) {
  test(`a session is closed that begins with ${packet}`, async (t) => {
    const server = await serve(t, TRANSPORTS);
    const transport = new RawWebTransport(server);
    await transport.begin(packet);
    await transport.ended();
    await transport.accepted;
    assert.equal(server.io.engine.clientsCount, 0);
  });
}

test("a session without a stream, or without a packet on it, is closed in time", async (t) => {
  const server = await serve(t, { ...TRANSPORTS, upgradeTimeout: 50 });
  const silent = new RawWebTransport(server);
  const streaming = new RawWebTransport(server);
  await streaming.client.createBidirectionalStream();
  await Promise.all([silent.ended(), streaming.ended()]);
  assert.equal(server.io.engine.clientsCount, 0);
});

test("an exception of a listener is not kept back", async (t) => {
  const server = await serve(t, TRANSPORTS);
  server.io.engine.on("connection", () => {
    throw new Error("broken");
  });
  const transport = new RawWebTransport(server);
  const accepted = assert.rejects(transport.accepted, { message: "broken" });
  await transport.begin();
  await accepted;
});

test("a session that ends before its handshake is forgotten", async (t) => {
  const server = await serve(t, TRANSPORTS);
  const transport = new RawWebTransport(server);
  transport.client.close();
  await transport.accepted;
  assert.equal(server.io.engine.clientsCount, 0);
});

test("sessions are closed where middlewares want to see requests", async (t) => {
  const server = await serve(t, TRANSPORTS);
  server.io.engine.use((req, res, next) => next());
  const transport = new RawWebTransport(server);
  await transport.ended();
});

test("sessions are closed while the server is drained", { skip: isStock && "stock has none" }, async (t) => {
  const server = await serve(t, TRANSPORTS);
  await server.io.drain();
  const transport = new RawWebTransport(server);
  await transport.ended();
  assert.equal(server.io.engine.clientsCount, 0);
});

test("it is advertised to clients that poll if it is among the transports", async (t) => {
  const upgrades = async (options) => (await RawPolling.open(await serve(t, options))).handshake.upgrades;
  assert.deepEqual(await upgrades({}), ["websocket"]);
  assert.deepEqual(await upgrades(TRANSPORTS), ["websocket", "webtransport"]);
  assert.deepEqual(await upgrades({ transports: ["polling", "webtransport"] }), ["webtransport"]);
  assert.deepEqual(await upgrades({ ...TRANSPORTS, allowUpgrades: false }), []);
});

test("a session that polls moves to it", async (t) => {
  const server = await serve(t, TRANSPORTS);
  const { polling, socket } = await server.pollingPair();
  const { conn } = socket;
  const upgrading = once(conn, "upgrading");
  const upgraded = once(conn, "upgrade");
  const transport = new RawWebTransport(server);
  await transport.begin(`0{"sid":"${polling.sid}"}`);
  transport.send("2probe");
  assert.deepEqual(await transport.next(), { type: "pong", data: "probe" });
  const [announced] = await upgrading;
  assert.equal(announced.name, "webtransport");
  assert.equal(conn.transport.name, "polling");
  transport.send("5");
  assert.equal((await upgraded)[0], announced);
  assert.equal(conn.transport, announced);
  assert.equal(conn.upgraded, true);
  assert.notEqual(conn.request, null);
  const got = once(socket, "ev");
  transport.send('42["ev",1]');
  assert.deepEqual(await got, [1]);
  socket.emit("back");
  assert.deepEqual(await transport.next(), { type: "message", data: '2["back"]' });

  const late = new RawWebTransport(server);
  await late.begin(`0{"sid":"${polling.sid}"}`);
  await late.ended();
  assert.equal(conn.readyState, "open");
});

test("a session goes on polling if WebTransport does not take over", async (t) => {
  const server = await serve(t, { ...TRANSPORTS, upgradeTimeout: 50 });
  const { polling, socket } = await server.pollingPair();
  const transport = new RawWebTransport(server);
  await transport.begin(`0{"sid":"${polling.sid}"}`);
  await transport.ended();
  await eventually(() => !socket.conn.upgrading, "end of the attempt");
  assert.equal(socket.conn.transport.name, "polling");
  socket.emit("still here");
  assert.equal(await polling.next(), '42["still here"]');
});

test("the client of socket.io", async (t) => {
  const server = await serve(t, TRANSPORTS, { stream: "http" });
  globalThis.WebTransport = class {
    constructor() {
      const { client, server: session } = sessionPair();
      server.io.engine.onWebTransportSession(session);
      return client;
    }
  };
  t.after(() => delete globalThis.WebTransport);
  server.io.on("connection", (socket) => socket.on("echo", (...args) => args.pop()(...args)));
  for (const transports of [["webtransport"], ["polling", "webtransport"]]) {
    const client = server.client("/", { transports });
    await connected(client);
    if (client.io.engine.transport.name !== "webtransport") await once(client.io.engine, "upgrade");
    assert.equal(client.io.engine.transport.name, "webtransport");
    const bytes = Buffer.alloc(100_000, 9);
    assert.equal(await client.timeout(LIMIT).emitWithAck("echo", "é"), "é");
    assert.deepEqual(Buffer.from(await client.timeout(LIMIT).emitWithAck("echo", bytes)), bytes);
    const [socket] = await server.io.fetchSockets();
    const disconnected = once(server.io.sockets.sockets.get(socket.id), "disconnect");
    client.disconnect();
    assert.equal((await disconnected)[0], "client namespace disconnect");
  }
});
