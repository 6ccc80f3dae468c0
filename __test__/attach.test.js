"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const http = require("node:http");
const path = require("node:path");
const fs = require("node:fs");
const net = require("node:net");
const os = require("node:os");
const {
  sio,
  isStock,
  adopt,
  atEnd,
  once,
  connected,
  request,
  connect,
  RawWebSocket,
  upgradeRequest,
} = require("./support/harness");

/** An HTTP server that listens on a free port. */
async function listening(t, httpServer) {
  httpServer.listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  return httpServer.address().port;
}

test("exports: callable, with Server, Namespace and Socket", () => {
  assert.equal(typeof sio, "function");
  for (const name of ["Server", "Namespace", "Socket"]) {
    assert.equal(typeof sio[name], "function", name);
  }
  assert.ok(sio({}) instanceof sio.Server);
  assert.ok(new sio.Server().sockets instanceof sio.Namespace);
});

test("new Server(httpServer)", async (t) => {
  const httpServer = http.createServer();
  const io = new sio.Server(httpServer);
  assert.equal(io.httpServer, httpServer);
  assert.equal(io.engine, io.eio);
  const server = adopt(t, io, await listening(t, httpServer));
  const { client } = await server.pair();
  assert.equal(client.connected, true);
});

test("the module called as a function", async (t) => {
  const httpServer = http.createServer();
  const io = sio(httpServer, { path: "/own" });
  const server = adopt(t, io, await listening(t, httpServer));
  const { client } = await server.pair("/", { path: "/own" });
  assert.equal(client.connected, true);
});

test("new Server(port)", async (t) => {
  const io = new sio.Server(0, { pingInterval: 12345 });
  await once(io.httpServer, "listening");
  const { port } = io.httpServer.address();
  const server = adopt(t, io, port);
  assert.equal((await RawWebSocket.open(server)).handshake.pingInterval, 12345);
  const answer = await request(server, { path: "/" });
  assert.deepEqual([answer.status, answer.body], [404, ""]);
});

test("attach and listen with a port, also as a string", async (t) => {
  for (const method of ["attach", "listen"]) {
    for (const port of [0, "0"]) {
      const io = new sio.Server();
      assert.equal(io[method](port), io);
      await once(io.httpServer, "listening");
      const server = adopt(t, io, io.httpServer.address().port);
      const { client } = await server.pair();
      assert.equal(client.connected, true);
    }
  }
});

test("whatever equals a number is a port", (t) => {
  const ports = [];
  t.mock.method(net.Server.prototype, "listen", (port) => ports.push(port));
  for (const port of [true, 3000n, "3000", " 0x10 ", false, ""]) new sio.Server().attach(port);
  new sio.Server(true);
  assert.deepEqual(ports, [1, 3000, 3000, 16, 0, 0, 1]);
});

test("what is neither an HTTP server nor a port is refused, and it is said what it was", () => {
  for (const [srv, shown] of [
    ["3000x", /not '3000x'$/],
    [{ listen() {} }, /not \{ listen: \[Function: listen\] \}$/],
    [undefined, /not undefined$/],
    [null, /not null$/],
  ]) {
    assert.throws(() => new sio.Server().attach(srv), {
      name: "TypeError",
      message: isStock ? /./ : shown,
    });
  }
});

test("attach(httpServer, options)", async (t) => {
  const httpServer = http.createServer();
  const io = new sio.Server();
  io.attach(httpServer, { pingTimeout: 4321 });
  const server = adopt(t, io, await listening(t, httpServer));
  assert.equal((await RawWebSocket.open(server)).handshake.pingTimeout, 4321);
});

test("a server attached to nothing keeps its handlers until it is attached", async (t) => {
  const io = new sio.Server({ pingInterval: 7777 });
  const connection = once(io, "connection");
  io.use((socket, next) => {
    socket.data.early = true;
    next();
  });
  const httpServer = http.createServer();
  const port = await listening(t, httpServer);
  io.attach(httpServer);
  const server = adopt(t, io, port);
  const { client, socket } = await server.pair();
  assert.equal((await connection)[0].id, client.id);
  assert.equal(socket.data.early, true);
  assert.equal((await RawWebSocket.open(server)).handshake.pingInterval, 7777);
});

test("broadcasting on a server attached to nothing does nothing", () => {
  const io = new sio.Server();
  assert.equal(io.emit("ev"), true);
  assert.equal(io.to("room").emit("ev", Buffer.from("x")), true);
});

test("an express-like function instead of a server is refused with a sentence", () => {
  assert.throws(() => new sio.Server().attach(() => {}), {
    message:
      "You are trying to attach socket.io to an express request handler function. Please pass a http.Server instance.",
  });
});

test("request listeners of before and after attaching go on", async (t) => {
  const seen = [];
  const httpServer = http.createServer((req, res) => {
    seen.push(`before ${req.url}`);
    if (req.url === "/before") {
      res.end("before");
    }
  });
  const io = new sio.Server(httpServer);
  httpServer.on("request", (req, res) => {
    seen.push(`after ${req.url.slice(0, 11)}`);
    if (req.url === "/after") {
      res.end("after");
    }
  });
  const server = adopt(t, io, await listening(t, httpServer));
  assert.equal((await request(server, { path: "/before" })).body, "before");
  assert.equal((await request(server, { path: "/after" })).body, "after");
  assert.deepEqual(seen, ["before /before", "after /before", "before /after", "after /after"]);
  seen.length = 0;
  await request(server, { path: "/socket.io/?EIO=4&transport=polling" });
  assert.deepEqual(seen, ["after /socket.io/"]);
});

test("two servers with different paths on one HTTP server", async (t) => {
  const httpServer = http.createServer();
  const first = new sio.Server(httpServer, { path: "/first" });
  const second = new sio.Server(httpServer, { path: "/second" });
  const port = await listening(t, httpServer);
  const one = adopt(t, first, port);
  const two = adopt(t, second, port);
  const a = await one.pair("/", { path: "/first" });
  const b = await two.pair("/", { path: "/second" });
  // the HTTP server closes when the clients of both are gone
  atEnd(t, () => [first, second].forEach((io) => io.disconnectSockets(true)));
  const got = once(a.client, "ev");
  first.emit("ev", "first");
  second.emit("ev", "second");
  assert.deepEqual(await got, ["first"]);
  assert.equal(b.client.connected, true);
});

test("a Unix-domain socket", async (t) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "sio-"));
  const socketPath = path.join(directory, "s");
  const httpServer = http.createServer();
  const io = new sio.Server(httpServer);
  httpServer.listen(socketPath);
  await once(httpServer, "listening");
  atEnd(t, () => {
    fs.rmSync(directory, { recursive: true, force: true });
    return io.close();
  });
  const server = { keep: (thing) => atEnd(t, () => thing.destroy()) };
  const ws = await RawWebSocket.connect(server, { connect: { path: socketPath } });
  const socket = io.sockets.sockets.get(ws.id);
  const got = once(socket, "ev");
  ws.text('42["ev","é"]');
  assert.deepEqual(await got, ["é"]);
  io.emit("back", Buffer.from([1]));
  assert.equal(await ws.next(), '451-["back",{"_placeholder":true,"num":0}]');
  assert.deepEqual(await ws.next(), Buffer.from([1]));
  const gone = once(socket, "disconnect");
  ws.socket.end();
  assert.equal((await gone)[0], "transport close");
});

test("handleUpgrade and handleRequest called by somebody else", async (t) => {
  const httpServer = http.createServer();
  const io = new sio.Server({ serveClient: false });
  io.attach(http.createServer());
  httpServer.on("request", (req, res) => io.engine.handleRequest(req, res));
  httpServer.on("upgrade", (req, socket, head) => io.engine.handleUpgrade(req, socket, head));
  const port = await listening(t, httpServer);
  atEnd(t, () => {
    io.disconnectSockets(true);
    httpServer.closeAllConnections();
    return new Promise((resolve) => httpServer.close(resolve));
  });
  for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
    const client = connect(`http://127.0.0.1:${port}`, { transports, forceNew: true, reconnection: false });
    atEnd(t, () => client.close());
    await connected(client);
    const socket = io.sockets.sockets.get(client.id);
    socket.on("echo", (value, ack) => ack(value));
    assert.equal(await client.timeout(5000).emitWithAck("echo", 1), 1);
  }
});

test("a proxy in front that closes its side", async (t) => {
  const httpServer = http.createServer();
  const io = new sio.Server(httpServer);
  const port = await listening(t, httpServer);
  adopt(t, io, port);
  const proxy = net.createServer((client) => {
    const upstream = net.connect(port, "127.0.0.1");
    client.pipe(upstream).pipe(client);
    client.on("error", () => {});
    upstream.on("error", () => {});
  });
  const proxyPort = await listening(t, proxy);
  atEnd(t, () => new Promise((resolve) => proxy.close(resolve)));
  const ws = new RawWebSocket({ port: proxyPort, secure: false });
  ws.write(upgradeRequest("/socket.io/?EIO=4&transport=websocket"));
  await ws.answered();
  assert.match(await ws.next(), /^0\{/);
  ws.text("40");
  await ws.next();
  const [socket] = io.sockets.sockets.values();
  const gone = once(socket, "disconnect");
  ws.destroy();
  assert.equal((await gone)[0], "transport close");
});
