"use strict";

const assert = require("node:assert/strict");
const { EventEmitter } = require("node:events");
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const test = require("node:test");
const { connect, connected, once, sio } = require("./support/harness");
const { requireStock, resolveStock } = require("./support/stock");

const stock = requireStock("socket.io");

/** What stock's objects have and ours do not: how things work inside there, which here is the work of native threads. */
const ABSENT = {
  Client: ["_parseNamespace"],
  "io.engine": ["_applyMiddlewares", "cleanup", "createTransport", "handshake", "verify"],
  "io.engine.ws": ["_state", "completeUpgrade"],
  "socket.conn": [
    "_maybeUpgrade",
    "cleanupFn",
    "clearTransport",
    "closeTransport",
    "flush",
    "getAvailableUpgrades",
    "hasRefreshedPingTimeout",
    "onDrain",
    "onOpen",
    "onPacket",
    "pingIntervalTimer",
    "pingTimeoutTimer",
    "resetPingTimeout",
    "schedulePing",
    "sendPacket",
    "setTransport",
  ],
  "socket.conn.transport": [
    "_canSendPreEncodedFrame",
    "_doSend",
    "_doSendLast",
    "_onSent",
    "_onSentLast",
    "_readyState",
    "closeTimeout",
    "doClose",
    "doWrite",
    "headers",
    "onClose",
    "onData",
    "onError",
    "onPacket",
    "parser",
    "write",
  ],
};

/** Of a WebSocket's transport, what only polling has. */
const OF_POLLING = ["onRequest"];

const DOCUMENT = fs.readFileSync(path.join(__dirname, "..", "docs", "compatibility.md"), "utf8");

/** The objects of a server with a client of each transport, by the names of the document's sections. */
async function objectsOf(scope, Server) {
  const httpServer = http.createServer();
  const io = new Server(httpServer);
  httpServer.listen(0, "127.0.0.1");
  await once(httpServer, "listening");
  const sockets = [];
  for (const transport of ["websocket", "polling"]) {
    const connection = once(io, "connection");
    const { port } = httpServer.address();
    const options = { transports: [transport], forceNew: true, reconnection: false };
    const client = connect(`http://127.0.0.1:${port}`, options);
    scope.push(() => client.close());
    await connected(client);
    sockets.push((await connection)[0]);
  }
  scope.push(() => io.close());
  const [socket, polling] = sockets;
  const operator = io.to("room");
  return {
    Server: [io],
    Namespace: [io.sockets, io.of(/^\/dynamic/)],
    Socket: [socket],
    handshake: [socket.handshake],
    "BroadcastOperator and RemoteSocket": [operator],
    Client: [socket.client],
    Adapter: [io.sockets.adapter],
    "io.engine": [io.engine],
    "io.engine.ws": [io.engine.ws],
    "socket.conn": [socket.conn, polling.conn],
    "socket.conn.transport": [socket.conn.transport, polling.conn.transport],
  };
}

/** The names of everything that an object has, except what any object or emitter has. */
function namesOf(object) {
  const names = new Set(Object.keys(object));
  for (
    let prototype = Object.getPrototypeOf(object);
    prototype !== null && prototype !== Object.prototype && prototype !== EventEmitter.prototype;
    prototype = Object.getPrototypeOf(prototype)
  ) {
    for (const name of Object.getOwnPropertyNames(prototype)) names.add(name);
  }
  for (const name of ["constructor", "_events", "_eventsCount", "_maxListeners"]) names.delete(name);
  return [...names].sort();
}

/** What the document has in backticks between a heading and the next. */
function listedIn(section) {
  const [, text] = new RegExp(`\n## ${section}\n([^]*?)(?=\n## |$)`).exec(DOCUMENT) ?? [];
  assert.ok(text, `a section "${section}" in the document`);
  return new Set([...text.matchAll(/`([^`]+)`/g)].map(([, name]) => name));
}

const closers = [];
let theirs, ours;

test.before(async () => {
  theirs = await objectsOf(closers, stock.Server);
  ours = await objectsOf(closers, sio.Server);
});

test.after(async () => {
  for (const close of closers) await close();
});

test("everything that stock's objects have is there", () => {
  for (const [section, objects] of Object.entries(theirs)) {
    for (const [index, object] of objects.entries()) {
      const missing = namesOf(object).filter((name) => !(name in ours[section][index]));
      const unexpected = missing.filter((name) => !ABSENT[section]?.includes(name));
      const isWebSocket = section === "socket.conn.transport" && index === 0;
      assert.deepEqual(
        isWebSocket ? unexpected.filter((name) => !OF_POLLING.includes(name)) : unexpected,
        [],
      );
    }
  }
});

test("what is said to be absent is", { skip: sio === stock }, () => {
  for (const [section, names] of Object.entries(ABSENT)) {
    for (const name of names)
      assert.ok(!ours[section].some((object) => name in object), `${section}.${name}`);
  }
});

test("the document lists everything that stock's objects have", () => {
  for (const section of Object.keys(theirs)) {
    if (section === "handshake" || section === "io.engine.ws") continue;
    const listed = listedIn(section);
    const names = theirs[section].flatMap(namesOf).filter((name) => !name.startsWith("_"));
    assert.deepEqual(
      [...new Set(names)].filter((name) => !listed.has(name)),
      [],
      section,
    );
  }
  const listed = listedIn("Socket");
  for (const name of namesOf(theirs.handshake[0])) assert.ok(listed.has(name), `handshake.${name}`);
});

test("the document lists every option", () => {
  const listed = listedIn("Options");
  for (const name of Object.keys(theirs["io.engine"][0].opts)) assert.ok(listed.has(name), name);
  const types = ["index.d.ts", "types/engine.d.ts"].map((file) =>
    fs.readFileSync(path.join(__dirname, "..", file), "utf8"),
  );
  for (const declaration of types.flatMap((text) => [
    ...text.matchAll(/interface (?:Server|Attach)Options.*\{([^]*?)\n\}/g),
  ])) {
    for (const [, name] of declaration[1].matchAll(/^ {2}(\w+)\??:/gm)) assert.ok(listed.has(name), name);
  }
});

test(
  "everything that ws exports and its objects have is at sockeye.io/ws, and listed",
  { skip: sio === stock },
  () => {
    const theirs = require("ws");
    const own = require("../ws.js");
    assert.deepEqual(
      Object.keys(theirs).filter((name) => !(name in own)),
      [],
    );
    const listed = listedIn("sockeye.io/ws");
    const [their, our] = [theirs, own].map(({ WebSocket, WebSocketServer }) => ({
      WebSocket: new WebSocket(null, undefined, {}),
      WebSocketServer: new WebSocketServer({ noServer: true }),
    }));
    for (const name in their) {
      const names = namesOf(their[name]).filter((member) => !member.startsWith("_"));
      assert.deepEqual(
        names.filter((member) => !(member in our[name])),
        [],
        name,
      );
      assert.deepEqual(
        names.filter((member) => !listed.has(member)),
        [],
        name,
      );
    }
    for (const name of [their, our].flatMap(({ WebSocketServer: { options } }) => Object.keys(options))) {
      assert.ok(listed.has(name), name);
    }
    const types = fs.readFileSync(path.join(__dirname, "..", "ws.d.ts"), "utf8");
    const [, members] = /interface ServerOptions<[^]*?\{\n([^]*?)\n {2}\}/.exec(types);
    for (const [, name] of members.matchAll(/^ {4}(\w+)\??:/gm)) assert.ok(listed.has(name), name);
  },
);

test("the tests that the document names exist", () => {
  for (const [, cell] of DOCUMENT.matchAll(/^\|.*\|([^|]*)\|$/gm)) {
    const names = cell.split(",").map((name) => name.trim());
    for (const name of names) {
      if (name === "" || name === "shown by" || /^-+$/.test(name)) continue;
      const file = name.startsWith("types/")
        ? name
        : `${name}${name.startsWith("differential/") ? ".js" : ".test.js"}`;
      assert.ok(fs.existsSync(path.join(__dirname, file)), name);
    }
  }
});

test("the files of dist have the names that stock's have", () => {
  const directory = path.join(path.dirname(resolveStock("socket.io/package.json")), "dist");
  const root = path.dirname(require.resolve(path.join(__dirname, "..", "package.json")));
  const files = fs.readdirSync(directory).filter((file) => /^[\w-]+(\.d\.ts|\.js)$/.test(file));
  for (const file of files) {
    if (file.startsWith("uws.")) continue;
    const own = path.join(root, "dist", file);
    assert.ok(fs.existsSync(own), file);
    if (!file.endsWith(".js")) continue;
    const names = Object.keys(require(path.join(directory, file))).sort();
    assert.deepEqual(Object.keys(require(own)).sort(), names, file);
  }
});
