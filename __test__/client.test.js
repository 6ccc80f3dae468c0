"use strict";

const test = require("node:test");
const assert = require("node:assert/strict");
const { EventEmitter, once } = require("node:events");
const { Server } = require("../lib/api/server");
const { PacketType } = require("../lib/api/packet");

const { CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR } = PacketType;
const NO_ID = -1;

/** A connection without a network: remembers what is written, and whether it was closed. */
class FakeConn extends EventEmitter {
  constructor() {
    super();
    this.id = "sid";
    this.protocol = 4;
    this.readyState = "open";
    this.remoteAddress = "127.0.0.1";
    this.request = { headers: { origin: "o" }, connection: {}, url: "/socket.io/", _query: { q: "1" } };
    this.transport = { writable: true };
    this.written = [];
  }

  write(data) {
    this.written.push(data);
  }

  close() {
    this.readyState = "closed";
    this.end("forced close");
  }
}

/** One that emits events, as Engine.IO's does. */
class EmittingConn extends FakeConn {
  receive(messages) {
    for (const message of messages) {
      this.emit("data", message);
    }
  }

  end(reason) {
    this.emit("close", reason);
  }
}

/** One that calls the client's entry points, as our own does. */
class DirectConn extends FakeConn {
  _bindClient(client) {
    this.client = client;
  }

  _write(text) {
    this.written.push(text);
  }

  _writeText(text) {
    this.written.push(text);
  }

  _writePackets(packets) {
    this.written.push(...packets);
  }

  receive(messages) {
    for (const message of messages) {
      const [, ...args] = message;
      this.client[message[0]](...args);
    }
  }

  end(reason) {
    this.client.onclose(reason);
  }
}

/** Long enough for all that has been put off to the next tick, or the one after. */
function settle() {
  return new Promise(setImmediate);
}

/** A server, and a client that has joined the main namespace. */
async function connected(options) {
  const io = new Server(options);
  const conn = new DirectConn();
  io.onconnection(conn);
  conn.client._onText(CONNECT, "/", NO_ID, "");
  const [socket] = await once(io, "connection");
  conn.written.length = 0;
  return { io, conn, client: conn.client, socket, log: watch(socket) };
}

/** A list of all that happens to a socket. */
function watch(socket, log = []) {
  socket.on("error", (err) => log.push(["error", err.message]));
  socket.on("disconnect", (reason) => log.push(["disconnect", reason]));
  for (const event of ["a", "b"]) {
    socket.on(event, (...args) => log.push([event, ...args]));
  }
  return log;
}

test("an event reaches its listeners once the packets with it are dealt with", async () => {
  const { client, log } = await connected();
  client._onText(EVENT, "/", NO_ID, '["a",1,{"x":[]}]');
  client._onText(EVENT, "/", NO_ID, '["b"]');
  assert.deepEqual(log, []);
  await settle();
  assert.deepEqual(log, [["a", 1, { x: [] }], ["b"]]);
});

test("an event without anything is an event without a name", async () => {
  const { client, socket } = await connected();
  const names = [];
  socket.on("undefined", (...args) => names.push(args));
  client._onText(EVENT, "/", NO_ID, "");
  await settle();
  assert.deepEqual(names, [[]]);
});

test("an event is acknowledged, once", async () => {
  const { client, conn, socket } = await connected();
  socket.on("ask", (value, reply) => {
    reply(value + 1, { more: true });
    reply("again");
  });
  client._onText(EVENT, "/", 7, '["ask",1]');
  await settle();
  assert.deepEqual(conn.written, ['37[2,{"more":true}]']);
});

test("an event right before a DISCONNECT is ignored", async () => {
  const { client, log } = await connected();
  client._onText(EVENT, "/", NO_ID, '["a"]');
  client._onText(DISCONNECT, "/", NO_ID, "");
  await settle();
  assert.deepEqual(log, [["disconnect", "client namespace disconnect"]]);
});

test("an event right behind a DISCONNECT is ignored, and the connection lives", async () => {
  const { client, conn, log } = await connected();
  client._onText(DISCONNECT, "/", NO_ID, "");
  client._onText(EVENT, "/", NO_ID, '["a"]');
  await settle();
  assert.deepEqual(log, [["disconnect", "client namespace disconnect"]]);
  assert.equal(conn.readyState, "open");
});

test("events behind one that makes the server disconnect are ignored, and the connection lives", async () => {
  const { client, conn, socket, log } = await connected();
  socket.on("stop", () => socket.disconnect());
  client._onText(EVENT, "/", NO_ID, '["stop"]');
  client._onText(EVENT, "/", NO_ID, '["a"]');
  await settle();
  assert.deepEqual(log, [["disconnect", "server namespace disconnect"]]);
  assert.deepEqual([conn.readyState, conn.written], ["open", ["1"]]);
});

test("an acknowledgement calls its callback, and only once", async () => {
  const { client, socket } = await connected();
  const answers = [];
  socket.emit("ask", (...args) => answers.push(args));
  client._onText(ACK, "/", 0, '["yes",1]');
  client._onText(ACK, "/", 0, '["twice"]');
  client._onText(ACK, "/", 99, '["nobody"]');
  assert.deepEqual(answers, [["yes", 1]]);
  assert.equal(socket.acks.size, 0);
});

test("attachments are put in their places", async () => {
  const { client, socket, log } = await connected();
  const answers = [];
  socket.emit("ask", (answer) => answers.push(answer));
  const one = Buffer.of(1);
  const two = Buffer.of(2);
  client._onRaw('52-["a",{"x":{"_placeholder":true,"num":1}},{"_placeholder":true,"num":0}]');
  client._onRaw(one);
  client._onRaw(two);
  client._onRaw('61-0[{"_placeholder":true,"num":0}]');
  client._onRaw(one);
  await settle();
  assert.deepEqual(log, [["a", { x: two }, one]]);
  assert.deepEqual(answers, [one]);
});

test("an event with attachments is acknowledged", async () => {
  const { client, conn, socket } = await connected();
  socket.on("echo", (bytes, reply) => reply(bytes));
  client._onRaw('51-3["echo",{"_placeholder":true,"num":0}]');
  client._onRaw(Buffer.of(9));
  await settle();
  assert.deepEqual(conn.written, ['61-3[{"_placeholder":true,"num":0}]', Buffer.of(9)]);
});

test("messages as they are go through the decoder", async () => {
  const { client, log } = await connected();
  client._onRaw('2["a",1]');
  client._onRaw('51-["b",{"_placeholder":true,"num":0}]');
  client._onRaw(Buffer.of(1));
  client._onText(EVENT, "/", NO_ID, '["a",2]');
  await settle();
  assert.deepEqual(log, [
    ["a", 1],
    ["b", Buffer.of(1)],
    ["a", 2],
  ]);
});

const MALFORMED = [
  ["no array", ["_onText", EVENT, "/", NO_ID, "{}"], "invalid payload"],
  ["no JSON", ["_onText", EVENT, "/", NO_ID, '["a"'], "invalid payload"],
  ["a reserved name", ["_onText", EVENT, "/", NO_ID, '["disconnect"]'], "invalid payload"],
  ["an acknowledgement of nothing", ["_onText", ACK, "/", 1, "{}"], "invalid payload"],
  ["a CONNECT with an array", ["_onText", CONNECT, "/x", NO_ID, "[]"], "invalid payload"],
  ["a DISCONNECT with a payload", ["_onText", DISCONNECT, "/", NO_ID, "{}"], "invalid payload"],
  ["attachments and no array", ["_onRaw", "51-{}"], "invalid payload"],
  ["an unknown type", ["_onRaw", "7"], "unknown packet type 7"],
  ["an unexpected attachment", ["_onRaw", Buffer.of(1)], "got binary data when not reconstructing a packet"],
  ["an empty message", ["_onRaw", undefined], "Cannot read properties of undefined (reading 'base64')"],
];

for (const [name, call, message] of MALFORMED) {
  test(`${name} is an error, and the end`, async () => {
    const { conn, log } = await connected();
    conn.receive([call, ["_onText", EVENT, "/", NO_ID, '["a"]']]);
    await settle();
    assert.deepEqual(log, [
      ["error", message],
      ["disconnect", "forced close"],
    ]);
    assert.equal(conn.readyState, "closed");
  });
}

test("text while attachments are missing is an error, and the end", async () => {
  const { client, log } = await connected();
  client._onRaw('51-["b",{"_placeholder":true,"num":0}]');
  client._onText(EVENT, "/", NO_ID, '["a"]');
  await settle();
  assert.deepEqual(log, [
    ["error", "got plaintext data when reconstructing a packet"],
    ["disconnect", "forced close"],
  ]);
});

const SENSELESS = [
  ["a second CONNECT", [CONNECT, "/", NO_ID, ""]],
  ["an event for a namespace not joined", [EVENT, "/x", NO_ID, '["a"]']],
  ["an acknowledgement for a namespace not joined", [ACK, "/x", 0, "[]"]],
  ["a refusal from the client", [CONNECT_ERROR, "/", NO_ID, '{"message":"no"}']],
];

for (const [name, packet] of SENSELESS) {
  test(`${name} is the end, without an error`, async () => {
    const { client, conn, log } = await connected();
    client._onText(...packet);
    await settle();
    assert.deepEqual(log, [["disconnect", "forced close"]]);
    assert.equal(conn.readyState, "closed");
  });
}

test("an unknown namespace is refused, and the connection lives", async () => {
  const { client, conn } = await connected();
  client._onText(CONNECT, "/nope", NO_ID, "");
  assert.deepEqual(conn.written, ['4/nope,{"message":"Invalid namespace"}']);
  assert.equal(conn.readyState, "open");
});

test("an exception while a namespace is looked for is an error, and the end", async () => {
  const { io, client, log } = await connected();
  io.of(() => {
    throw new Error("not today");
  });
  client._onText(CONNECT, "/nope", NO_ID, "");
  assert.deepEqual(log, [
    ["error", "not today"],
    ["disconnect", "forced close"],
  ]);
});

test("an exception of a listener is the caller's", async () => {
  const { client, socket } = await connected();
  socket.emit("ask", () => {
    throw new Error("listener");
  });
  assert.throws(() => client._onText(ACK, "/", 0, "[]"), /listener/);
});

const DETOURS = {
  "onAny()": (socket, log) => socket.onAny((name, ...args) => log.push(["any", name, ...args])),
  "use()": (socket, log) =>
    socket.use((event, next) => {
      log.push(["use", ...event]);
      next();
    }),
  "an onevent of its own": (socket, log) => {
    const { onevent } = socket;
    socket.onevent = function (packet) {
      log.push(["onevent", packet]);
      onevent.call(this, packet);
    };
  },
  "an _onpacket of its own": (socket, log) => {
    const { _onpacket } = socket;
    socket._onpacket = function (packet) {
      log.push(["_onpacket", packet]);
      _onpacket.call(this, packet);
    };
  },
  "a dispatch of its own": (socket, log) => {
    const { dispatch } = socket;
    socket.dispatch = function (event) {
      log.push(["dispatch", event]);
      dispatch.call(this, event);
    };
  },
  "a run of its own": (socket, log) => {
    const { run } = socket;
    socket.run = function (event, done) {
      log.push(["run", event]);
      run.call(this, event, done);
    };
  },
};

for (const [name, detour] of Object.entries(DETOURS)) {
  test(`with ${name}, events are as on a connection that emits them`, async () => {
    const logs = [];
    for (const conn of [new DirectConn(), new EmittingConn()]) {
      const isDirect = conn instanceof DirectConn;
      const io = new Server();
      io.onconnection(conn);
      conn.receive([isDirect ? ["_onText", CONNECT, "/", NO_ID, ""] : "0"]);
      const [socket] = await once(io, "connection");
      const log = watch(socket);
      detour(socket, log);
      conn.receive(
        isDirect
          ? [
              ["_onText", EVENT, "/", NO_ID, '["a",1]'],
              ["_onText", EVENT, "/", NO_ID, '["b"]'],
            ]
          : ['2["a",1]', '2["b"]'],
      );
      await settle();
      logs.push(log);
    }
    assert.equal(logs[0].length, 4);
    assert.deepEqual(logs[0], logs[1]);
  });
}

test("middleware and plain sockets of one client keep the order of arrival", async () => {
  const { io, client, socket } = await connected();
  const log = watch(socket);
  io.of("/x").on("connection", (other) => {
    other.use((event, next) => next(event[0] === "b" ? new Error("refused") : undefined));
    watch(other, log);
  });
  client._onText(CONNECT, "/x", NO_ID, "");
  await settle();
  client._onText(EVENT, "/x", NO_ID, '["a",1]');
  client._onText(EVENT, "/", NO_ID, '["a",2]');
  client._onText(EVENT, "/x", NO_ID, '["b",3]');
  client._onText(EVENT, "/x", NO_ID, '["a",4]');
  client._onText(EVENT, "/", NO_ID, '["a",5]');
  await settle();
  assert.deepEqual(log, [
    ["a", 1],
    ["a", 2],
    ["error", "refused"],
    ["a", 4],
    ["a", 5],
  ]);
});

test("what is emitted is written at once", async () => {
  const { io, conn, socket } = await connected();
  socket.emit("a", 1, { x: "é" });
  socket.emit("a", Buffer.of(1));
  socket.compress(false).volatile.emit("b");
  socket.emit("c", () => {});
  socket.send("d");
  assert.deepEqual(conn.written, [
    '2["a",1,{"x":"é"}]',
    '51-["a",{"_placeholder":true,"num":0}]',
    Buffer.of(1),
    '2["b"]',
    '20["c"]',
    '2["message","d"]',
  ]);
  assert.equal(io.sockets._ids, 1);
});

test("nothing is written when the connection is not open", async () => {
  const { conn, socket } = await connected();
  conn.readyState = "closing";
  socket.emit("a");
  assert.deepEqual(conn.written, []);
});

for (const [owner, method] of [
  ["socket", "packet"],
  ["socket", "notifyOutgoingListeners"],
  ["client", "_packet"],
  ["client", "writeToEngine"],
]) {
  test(`a ${owner}.${method} of one's own is called for what is emitted`, async () => {
    const context = await connected();
    const original = context[owner][method];
    let calls = 0;
    context[owner][method] = function (...args) {
      calls++;
      return original.apply(this, args);
    };
    context.socket.emit("a", 1);
    assert.equal(calls, 1);
    assert.deepEqual(context.conn.written, ['2["a",1]']);
  });
}

test("an encoder of one's own is called for what is emitted", async () => {
  const { io, conn, socket } = await connected();
  io.encoder.encode = () => ["encoded"];
  socket.emit("a", 1);
  assert.deepEqual(conn.written, ["encoded"]);
});

test("the sockets of a client can be looked at, before and after others join", async () => {
  const { io, client, socket } = await connected();
  assert.deepEqual([...client.sockets.keys()], [socket.id]);
  assert.deepEqual([...client.nsps.keys()], ["/"]);
  io.of("/x");
  client._onText(CONNECT, "/x", NO_ID, "");
  await settle();
  assert.deepEqual([...client.nsps.keys()], ["/", "/x"]);
  assert.equal(client.sockets.size, 2);
  socket.disconnect();
  assert.deepEqual([...client.nsps.keys()], ["/x"]);
});

test("the end of the connection is told to all sockets, and nothing comes after it", async () => {
  const { io, conn, client, socket } = await connected();
  const log = watch(socket);
  io.of("/x").on("connection", (other) => watch(other, log));
  client._onText(CONNECT, "/x", NO_ID, "");
  await settle();
  client._onText(EVENT, "/", NO_ID, '["a"]');
  conn.end("ping timeout");
  client._onText(EVENT, "/", NO_ID, '["a"]');
  client._onRaw('2["a"]');
  await settle();
  assert.deepEqual(log, [
    ["disconnect", "ping timeout"],
    ["disconnect", "ping timeout"],
  ]);
  assert.equal(client.sockets.size, 0);
});

test("the handshake is that of the time of the connection", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: 1000 });
  const { socket } = await connected();
  t.mock.timers.setTime(5000);
  assert.deepEqual(socket.handshake, {
    headers: { origin: "o" },
    time: String(new Date(1000)),
    address: "127.0.0.1",
    xdomain: true,
    secure: false,
    issued: 1000,
    url: "/socket.io/",
    query: { q: "1" },
    auth: {},
  });
  assert.equal(socket.handshake, socket.handshake);
});

test("the handshake outlives the request", async () => {
  const { conn, client, socket } = await connected();
  client._keepHandshakes();
  conn.request = null;
  assert.equal(socket.request, null);
  assert.deepEqual(socket.handshake.headers, { origin: "o" });
});

test("what nobody has asked for is made when it is asked for, and can be replaced", async () => {
  const { socket } = await connected();
  for (const name of ["data", "acks", "fns", "flags", "handshake"]) {
    assert.equal(socket[name], socket[name]);
    const own = {};
    socket[name] = own;
    assert.equal(socket[name], own);
  }
});

test("a client that joins nothing is closed after the connect timeout", async () => {
  const io = new Server({ connectTimeout: 1 });
  const conn = new DirectConn();
  const closed = new Promise((resolve) => {
    conn.end = resolve;
  });
  io.onconnection(conn);
  assert.ok(conn.client.connectTimeout);
  // only the process of the tests has nothing else to live on
  const alive = setInterval(() => {}, 1000);
  await closed;
  clearInterval(alive);
  assert.equal(conn.client.connectTimeout, undefined);
});

test("clients with a longer connect timeout do not hold up those with a shorter one", async () => {
  const io = new Server({ connectTimeout: 1_000_000 });
  const patient = new DirectConn();
  io.onconnection(patient);
  io.connectTimeout(1);
  const hasty = new DirectConn();
  const closed = new Promise((resolve) => {
    hasty.end = resolve;
  });
  io.onconnection(hasty);
  const alive = setInterval(() => {}, 1000);
  await closed;
  clearInterval(alive);
  assert.equal(patient.readyState, "open");
  patient.close();
});

test("clients that have joined or gone wait for no connect timeout", async () => {
  const { io, client } = await connected();
  const gone = new DirectConn();
  io.onconnection(gone);
  gone.close();
  assert.equal(client.connectTimeout, undefined);
  assert.equal(gone.client.connectTimeout, undefined);
  assert.deepEqual(
    [...io._connectQueue.lines.values()].map((line) => line.deadlines.size),
    [0],
  );
});

test("a custom parser gets the messages as they are", async () => {
  const io = new Server({ parser: require("socket.io-parser") });
  const conn = new EmittingConn();
  conn._bindClient = () => assert.fail("must not be bound");
  conn._writePackets = (packets) => conn.written.push(...packets);
  io.onconnection(conn);
  conn.receive(["0"]);
  const [socket] = await once(io, "connection");
  const log = watch(socket);
  conn.receive(['2["a",1]']);
  await settle();
  assert.deepEqual(log, [["a", 1]]);
});
