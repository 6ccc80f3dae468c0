"use strict";

// That the package works on the Node that runs this, and takes its native roads there rather than falling back without
// a word: they use what Node does not promise to keep.

const assert = require("node:assert/strict");
const { createHook } = require("node:async_hooks");
const test = require("node:test");
const { serve, isStock, once, record, within, defaultStream } = require("./support/harness");

// they are tried out with some of their own
if (!isStock) require("../lib/node/internals").whyUnshown();

const COUNT = 12;
const VALUES = [1, "aé語😀", { a: [null] }, Buffer.from([0, 255]), { b: [Buffer.from("x")] }];

const TRANSPORTS = [["websocket"], ["polling"], ["polling", "websocket"]];

const NATIVE = {
  skip:
    (isStock && "stock has no native roads") ||
    (process.platform === "win32" && "on Windows, streams stay in JavaScript") ||
    (defaultStream !== "http" && "only plain connections have a descriptor"),
};

/** The parsers that Node's HTTP servers have made, one for each connection that they have seen. */
let parsers = 0;
createHook({ init: (id, type) => void (type === "HTTPINCOMINGMESSAGE" && parsers++) }).enable();

/** Resolves when a client has left polling for a WebSocket, on both sides. */
async function upgraded({ client, socket }) {
  const { engine } = client.io;
  if (engine.transport.name !== "websocket") await within(once(engine, "upgrade"), "the client's upgrade");
  if (!socket.conn.upgraded) await within(once(socket.conn, "upgrade"), "the server's upgrade");
}

/** The stream of a connection, by the name of its class. */
function roadOf({ socket }) {
  return socket.conn._stream.constructor.name;
}

for (const transports of TRANSPORTS) {
  const name = transports.join(" to ");

  test(`${name}: events, acknowledgements and binary data both ways`, async (t) => {
    const server = await serve(t);
    const pair = await server.pair("/", { transports });
    if (transports.length > 1) await upgraded(pair);
    const { client, socket } = pair;
    assert.equal(socket.conn.transport.name, transports.at(-1));
    for (const [here, there] of [
      [client, socket],
      [socket, client],
    ]) {
      there.on("echo", (...args) => args.pop()(...args));
      for (const value of VALUES) {
        assert.deepEqual(await here.timeout(5000).emitWithAck("echo", value), value);
      }
    }
    const gone = once(socket, "disconnect");
    client.disconnect();
    assert.deepEqual((await gone)[0], "client namespace disconnect");
  });

  test(`${name}: rooms`, async (t) => {
    const server = await serve(t);
    const pairs = await server.pairs(COUNT, "/", { transports });
    const isIn = (index) => index % 4 !== 0;
    const heard = pairs.map(({ client }) => record(client, "ev"));
    pairs.forEach(({ socket }, index) => isIn(index) && socket.join("room"));
    const last = Promise.all(pairs.map(({ client }) => once(client, "last")));
    server.io
      .to("room")
      .except(pairs[1].socket.id)
      .emit("ev", "x", Buffer.from([1]));
    server.io.emit("last");
    await last;
    for (const [index, { list }] of heard.entries()) {
      assert.deepEqual(list, isIn(index) && index !== 1 ? [["x", Buffer.from([1])]] : [], `client ${index}`);
    }
  });
}

test("no road is off", NATIVE, () => {
  const { closedRoads, whyUnkept, whyUnshown } = require("../lib/node/internals");
  assert.deepEqual(closedRoads(), { descriptors: undefined, remaking: undefined, entrance: undefined });
  assert.deepEqual([whyUnshown(), whyUnkept()], [undefined, undefined]);
});

for (const allowRequest of [null, false, ""]) {
  test(`the option allowRequest: ${JSON.stringify(allowRequest)} shows no requests`, NATIVE, async (t) => {
    const { io } = await serve(t, { allowRequest });
    assert.equal(io.engine._showsRequests(), false);
  });
}

test("a client that begins with a WebSocket is admitted without Node's HTTP server", NATIVE, async (t) => {
  const server = await serve(t);
  parsers = 0;
  const pair = await server.pair("/", { transports: ["websocket"] });
  assert.equal(parsers, 0, "parsers of Node's HTTP server");
  assert.equal(roadOf(pair), "TakenSocket");
});

test("the connection of an upgrade is taken from Node, with its descriptor", NATIVE, async (t) => {
  const server = await serve(t);
  const pair = await server.pair("/", { transports: ["polling", "websocket"] });
  await upgraded(pair);
  assert.equal(roadOf(pair), "TakenSocket");
});

test("one that Node's HTTP server has first is taken from it as well", NATIVE, async (t) => {
  const server = await serve(t);
  server.httpServer.on("connection", (socket) => socket.on("timeout", () => {}));
  parsers = 0;
  const pair = await server.pair("/", { transports: ["websocket"] });
  assert.equal(parsers, 1, "parsers of Node's HTTP server");
  assert.equal(roadOf(pair), "TakenSocket");
});

for (const transports of TRANSPORTS) {
  test(`a broadcast is one command, to clients over ${transports.join(" to ")}`, NATIVE, async (t) => {
    const server = await serve(t);
    const pairs = await server.pairs(COUNT, "/", { transports });
    for (const { socket } of pairs) socket.join("room");
    const { commands } = server.io.engine._bridge;
    const said = [];
    for (const command of ["broadcast", "send", "sendBuffer", "sendPackets", "sendShared"]) {
      const original = commands[command];
      commands[command] = function (...args) {
        said.push(command);
        return original.apply(this, args);
      };
    }
    const heard = Promise.all(pairs.map(({ client }) => once(client, "ev")));
    server.io.to("room").emit("ev", "x");
    assert.deepEqual(said, ["broadcast"]);
    server.io.emit("ev", "y");
    assert.deepEqual(said, ["broadcast", "broadcast"]);
    assert.deepEqual(await heard, Array(COUNT).fill(["x"]));
  });
}
