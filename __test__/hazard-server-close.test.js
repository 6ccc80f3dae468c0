"use strict";

// What Node's HTTP server and its sockets say about connections that live elsewhere.

const test = require("node:test");
const assert = require("node:assert/strict");
const { serve, once, record, within, eventually, RawWebSocket } = require("./support/harness");

const HTTP = { stream: "http" };

function connections(httpServer) {
  return new Promise((resolve, reject) => {
    httpServer.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });
}

for (const stream of ["http", "https"]) {
  test(`getConnections counts WebSocket clients while they are connected, over ${stream}`, async (t) => {
    const server = await serve(t, {}, { stream });
    assert.equal(await connections(server.httpServer), 0);
    const clients = await Promise.all(Array.from({ length: 5 }, () => RawWebSocket.connect(server)));
    assert.equal(await connections(server.httpServer), 5);
    clients[0].socket.end();
    clients[1].destroy();
    await eventually(async () => (await connections(server.httpServer)) === 3, "three are left");
    server.io.disconnectSockets(true);
    await Promise.all(clients.slice(2).map((ws) => ws.closed()));
    await eventually(async () => (await connections(server.httpServer)) === 0, "none is left");
  });

  test(`httpServer.close() waits for WebSocket clients, over ${stream}`, async (t) => {
    const server = await serve(t, {}, { stream });
    const clients = await Promise.all(Array.from({ length: 3 }, () => server.rawPair()));
    let closed = false;
    const close = new Promise((resolve) => server.httpServer.close(resolve)).then((error) => {
      closed = true;
      return error;
    });
    assert.equal(server.httpServer.listening, false);
    for (const { ws, socket } of clients) {
      assert.equal(closed, false);
      const got = once(socket, "ev");
      ws.text('42["ev"]');
      await got;
      ws.socket.end();
    }
    assert.equal(await within(close, "close of the HTTP server"), undefined);
  });
}

test("closeAllConnections and closeIdleConnections leave WebSocket clients alone", async (t) => {
  const server = await serve(t, {}, HTTP);
  const { ws, socket, log } = await server.rawPair();
  server.httpServer.closeIdleConnections();
  server.httpServer.closeAllConnections();
  const got = once(socket, "ev");
  ws.text('42["ev"]');
  await got;
  assert.deepEqual(log, []);
});

test("the time limits of the HTTP server do not hit WebSocket clients", async (t) => {
  const server = await serve(t, { pingInterval: 50, pingTimeout: 2000 }, HTTP);
  Object.assign(server.httpServer, {
    timeout: 60,
    keepAliveTimeout: 20,
    requestTimeout: 50,
    headersTimeout: 40,
  });
  server.httpServer.setTimeout(60);
  const { client, socket } = await server.pair();
  await record(socket.conn, "heartbeat").until(6);
  assert.equal(client.connected, true);
  // and without any traffic for longer than the limits
  const quiet = await serve(t, {}, HTTP);
  quiet.httpServer.setTimeout(60);
  const idle = await quiet.rawPair();
  await new Promise((resolve) => setTimeout(resolve, 200));
  assert.deepEqual(idle.log, []);
});

test("req.socket tells addresses while the client is connected, and the remote one after", async (t) => {
  const server = await serve(t, {}, HTTP);
  const { ws, socket, disconnected } = await server.rawPair();
  const net = socket.request.socket;
  const { localPort } = ws.socket;
  assert.equal(net, socket.request.connection);
  assert.equal(net.remoteAddress, "127.0.0.1");
  assert.equal(net.remotePort, localPort);
  assert.equal(net.remoteFamily, "IPv4");
  assert.equal(net.destroyed, false);
  ws.socket.end();
  await disconnected;
  assert.equal(net.remoteAddress, "127.0.0.1");
  assert.equal(net.remotePort, localPort);
});

test("the address of a client whose request nobody has looked at before it left", async (t) => {
  const server = await serve(t, {}, HTTP);
  const ws = await RawWebSocket.connect(server);
  const socket = server.io.sockets.sockets.get(ws.id);
  const gone = once(socket, "disconnect");
  ws.destroy();
  await gone;
  assert.equal(socket.handshake.address, "127.0.0.1");
  assert.equal(socket.conn.remoteAddress, "127.0.0.1");
  assert.equal(socket.request.socket.remoteAddress, "127.0.0.1");
  assert.equal(socket.request.connection.remoteAddress, "127.0.0.1");
});

test("req.socket is destroyed and emits 'close' when the client is gone", async (t) => {
  for (const stream of ["http", "https", "duplex"]) {
    const server = await serve(t, {}, { stream });
    const { ws, socket } = await server.rawPair();
    const net = socket.request.socket;
    const closed = once(net, "close");
    ws.socket.end();
    await closed;
    assert.equal(net.destroyed, true, stream);
  }
});

test("req.socket emits 'close' when the server disconnects the client", async (t) => {
  for (const stream of ["http", "https", "duplex"]) {
    const server = await serve(t, {}, { stream });
    const { ws, socket } = await server.rawPair();
    const closed = once(socket.request.socket, "close");
    socket.disconnect(true);
    await ws.closed();
    await closed;
  }
});

test("destroying req.socket ends the session", async (t) => {
  for (const stream of ["http", "https", "duplex"]) {
    const server = await serve(t, {}, { stream });
    const { ws, socket, disconnected } = await server.rawPair();
    socket.request.socket.destroy();
    const [reason] = await disconnected;
    assert.equal(reason, "transport close", stream);
    await ws.ended();
    await eventually(() => server.io.engine.clientsCount === 0, `no session is left over ${stream}`);
  }
});

test("a TLS connection can be told from its request", async (t) => {
  const server = await serve(t, {}, { stream: "https" });
  const { socket } = await server.pair();
  assert.equal(socket.request.socket.encrypted, true);
  assert.equal(typeof socket.request.socket.getProtocol(), "string");
  assert.equal(socket.handshake.secure, true);
});

test("'connection' of the HTTP server is emitted once per client", async (t) => {
  const server = await serve(t, {}, HTTP);
  const seen = record(server.httpServer, "connection");
  await Promise.all(Array.from({ length: 5 }, () => RawWebSocket.connect(server)));
  assert.equal(seen.list.length, 5);
});
