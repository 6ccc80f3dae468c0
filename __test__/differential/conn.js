"use strict";

// socket.conn: its properties, its events, its methods, over both transports and the upgrade between them.

const EVENTS = [
  "open",
  "packet",
  "packetCreate",
  "data",
  "message",
  "heartbeat",
  "upgrading",
  "upgrade",
  "flush",
  "drain",
  "error",
  "close",
];

/** Packets and transports as far as they are the same kind of thing. */
function plain(value) {
  if (value?.name === "websocket" || value?.name === "polling") {
    return `[transport ${value.name}]`;
  }
  return Array.isArray(value) ? value.map(plain) : value;
}

function watchConn(stage, conn, events = EVENTS) {
  for (const event of events) {
    conn.on(event, (...args) => stage.log("conn", event, ...args.map(plain)));
  }
}

const describe = (conn) => [
  conn.protocol,
  conn.readyState,
  conn.upgraded,
  conn.upgrading,
  conn.writeBuffer,
  conn.transport.name,
  typeof conn.remoteAddress,
  conn.request?.url.replace(/&t=\w+/, ""),
  conn.id === conn.transport.sid,
];

const both = (name, run) =>
  ["websocket", "polling"].map((transport) => ({
    name: `${name}, over ${transport}`,
    run: (stage) => run(stage, transport),
  }));

const WAYS_IN = ["on", "addListener", "once", "prependListener", "prependOnceListener"];

/** Events of each packet, which a session emits itself, for nobody but the application. */
const WATCHED = ["packet", "packetCreate", "flush", "drain", "heartbeat"];

const WAYS_OUT = [
  ["removeListener", (emitter, event, listener) => emitter.removeListener(event, listener)],
  ["off", (emitter, event, listener) => emitter.off(event, listener)],
  ["removeAllListeners(event)", (emitter, event) => emitter.removeAllListeners(event)],
];

async function rawSession(stage, transport) {
  const raw = await (transport === "polling" ? stage.polling("client") : stage.ws("client"));
  return { raw, conn: stage.io.engine.clients[raw.sid] };
}

module.exports = [
  ...both("properties", async (stage, transport) => {
    const { client, socket } = await stage.pair("client", "/", { transports: [transport] });
    const { conn } = socket;
    stage.log("conn", "open", ...describe(conn));
    stage.log(
      "conn",
      "same",
      conn === socket.client.conn,
      conn.request === socket.request,
      socket.client.request === conn.request,
      conn.id !== socket.id,
      conn.server === stage.io.engine,
    );
    stage.log(
      "conn",
      "transport",
      conn.transport.writable !== undefined,
      conn.transport.readyState,
      conn.transport.supportsBinary,
      conn.transport.protocol,
      conn.transport.discarded,
    );
    conn.on("close", () => stage.log("conn", "closed", ...describe(conn)));
    client.disconnect();
    await stage.until("conn", "closed");
  }),
  ...both("all events of messages both ways", async (stage, transport) => {
    const { raw, conn } = await rawSession(stage, transport);
    watchConn(stage, conn);
    if (transport === "polling") {
      const poll = raw.poll();
      await stage.eventually(() => conn.transport.writable, "a poll is open");
      conn.send("hello");
      await poll;
      await raw.post("40");
      await raw.poll();
      await raw.post("42[1]\x1e3\x1e6");
      conn.send(Buffer.from([1, 2]), { compress: false });
      conn.write("written");
      await raw.poll();
    } else {
      conn.send("hello");
      await raw.count(2);
      raw.text("40");
      await raw.count(3);
      raw.text("42[1]");
      raw.text("3");
      raw.text("6");
      await raw.settled();
      await stage.until("conn", "packet", 4);
      conn.send(Buffer.from([1, 2]), { compress: false });
      await raw.count(4);
      conn.write("written");
      await raw.count(5);
    }
    await stage.until("conn", "drain", 3);
  }),
  ...both("the callback of send", async (stage, transport) => {
    const { raw, conn } = await rawSession(stage, transport);
    for (const [i, args] of [["a"], ["b", {}], ["c", { compress: false }]].entries()) {
      conn.send(...args, () => stage.log("conn", `callback ${i}`));
    }
    conn.send("d", () => stage.log("conn", "callback d"));
    while (raw.messages ? raw.messages.length < 5 : !(await raw.poll()).body.includes("4d")) {
      if (raw.messages) {
        await raw.count(5);
      }
    }
    await stage.until("conn", "callback d");
  }),
  ...both("what send returns, and sending after the end", async (stage, transport) => {
    const { raw, conn } = await rawSession(stage, transport);
    stage.log("conn", "send", conn.send("a") === conn, conn.write("b") === conn);
    stage.watch("conn", conn, "close");
    if (transport === "polling") {
      await raw.poll();
    } else {
      await raw.count(3);
    }
    conn.close(true);
    await stage.until("conn", "close");
    stage.log("conn", "send", conn.send("late") === conn, conn.readyState);
  }),
  ...both("close with messages waiting", async (stage, transport) => {
    const { raw, conn } = await rawSession(stage, transport);
    watchConn(stage, conn, ["close", "drain"]);
    conn.send("one");
    conn.send("two");
    conn.close();
    if (transport === "polling") {
      await raw.poll();
      await raw.poll();
    } else {
      await raw.closed();
    }
    await stage.until("conn", "close");
    stage.log("conn", "readyState", conn.readyState);
  }),
  ...both("a message to a session that nobody joined", async (stage, transport) => {
    const { raw, conn } = await rawSession(stage, transport);
    watchConn(stage, conn, ["data", "message", "packet", "close"]);
    if (transport === "polling") {
      await raw.post("4hello");
      await raw.poll();
    } else {
      raw.text("4hello");
      await raw.closed();
    }
    await stage.until("conn", "close");
  }),
  {
    name: "binary messages are Buffers",
    async run(stage) {
      const { raw, conn } = await rawSession(stage, "websocket");
      conn.on("data", (data) => stage.log("conn", "data", Buffer.isBuffer(data), data));
      raw.binary(Buffer.from([1, 2]));
      await stage.until("conn", "data");
    },
  },
  {
    name: "request may be dropped",
    async run(stage) {
      stage.watchSockets();
      const { client, socket } = await stage.pair("client");
      socket.conn.request = null;
      stage.log("server", "request", socket.request, socket.client.request);
      client.emit("ev");
      await stage.until("server", "event ev");
      stage.log("server", "handshake", socket.handshake.url.split("?")[0]);
    },
  },
  {
    name: "ids among engine.clients",
    async run(stage) {
      const { raw, conn } = await rawSession(stage, "websocket");
      const { engine } = stage.io;
      stage.watch("conn", conn, "close");
      stage.log(
        "engine",
        "clients",
        Object.keys(engine.clients).length,
        engine.clientsCount,
        engine.clients[raw.sid] === conn,
      );
      raw.frame({ opcode: 8 });
      await raw.closed();
      await stage.until("conn", "close");
      stage.log("engine", "clients", Object.keys(engine.clients).length, engine.clientsCount);
    },
  },
  {
    name: "listeners are removed",
    async run(stage) {
      const { raw, conn } = await rawSession(stage, "websocket");
      const listener = () => stage.log("conn", "not wanted");
      for (const event of ["packet", "message", "data", "packetCreate"]) {
        conn.on(event, listener);
        conn.removeListener(event, listener);
      }
      conn.once("packet", ({ type }) => stage.log("conn", "once", type));
      raw.text("6");
      raw.text("6");
      await raw.settled();
    },
  },
  {
    name: "the stream of a WebSocket",
    async run(stage) {
      const { socket } = await stage.pair("client");
      const { transport, request } = socket.conn;
      const below = transport.socket;
      stage.log(
        "conn",
        "socket",
        below.readyState,
        below.bufferedAmount,
        typeof below.close,
        typeof below.terminate,
        typeof below._socket.remoteAddress,
      );
      stage.log(
        "conn",
        "request",
        request.method,
        request.url.split("?")[0],
        request.httpVersion,
        Object.keys(request.headers),
        request.socket.destroyed,
        typeof request.connection.remoteAddress,
      );
    },
    not: { duplex: "such a stream has no address" },
  },
  // the upgrade
  {
    name: "an upgrade, all of it",
    async run(stage) {
      const { raw, conn } = await rawSession(stage, "polling");
      watchConn(stage, conn, ["upgrading", "upgrade", "packet", "close"]);
      const query = `EIO=4&transport=websocket&sid=${raw.sid}`;
      const ws = await stage.upgrade("ws", { query });
      ws.text("2probe");
      await ws.count(1);
      await stage.until("conn", "upgrading");
      stage.log("conn", "state", ...describe(conn).slice(0, 6));
      ws.text("5");
      await stage.until("conn", 'upgrade "[');
      stage.log("conn", "state", ...describe(conn).slice(0, 6));
      conn.send("over the WebSocket");
      await ws.count(2);
      await stage.http("late poll", { path: raw.url });
      ws.text("40");
      await ws.count(3);
      ws.frame({ opcode: 8 });
      await ws.closed();
      await stage.until("conn", "close");
    },
  },
  {
    name: "an upgrade while a poll is open, and what was waiting",
    async run(stage) {
      const { raw, conn } = await rawSession(stage, "polling");
      watchConn(stage, conn, ["upgrading", "upgrade"]);
      const poll = stage.http("poll", { path: raw.url });
      await stage.eventually(() => conn.transport.writable, "a poll is open");
      const ws = await stage.upgrade("ws", { query: `EIO=4&transport=websocket&sid=${raw.sid}` });
      ws.text("2probe");
      await ws.count(1);
      await poll;
      conn.send("waits for the WebSocket");
      ws.text("5");
      await ws.count(2);
      await stage.until("conn", 'upgrade "[');
    },
  },
  {
    name: "an upgrade without a probe",
    async run(stage) {
      const { raw, conn } = await rawSession(stage, "polling");
      watchConn(stage, conn, ["upgrading", "upgrade", "close"]);
      const ws = await stage.upgrade("ws", { query: `EIO=4&transport=websocket&sid=${raw.sid}` });
      ws.text("5");
      await stage.until("conn", 'upgrade "[');
      conn.send("hello");
      await ws.count(1);
    },
  },
  ...["4hello", "2", "2prob", "3probe", "", "x", "6", "0", "1"].map((packet) => ({
    name: `an upgrade that begins with ${JSON.stringify(packet)}`,
    async run(stage) {
      const { raw, conn } = await rawSession(stage, "polling");
      watchConn(stage, conn, ["upgrading", "upgrade", "packet", "close"]);
      const ws = await stage.upgrade("ws", { query: `EIO=4&transport=websocket&sid=${raw.sid}` });
      ws.text(packet);
      await ws.closed();
      await stage.eventually(() => !conn.upgrading, "the upgrade is given up");
      stage.log("conn", "state", ...describe(conn).slice(0, 6));
      conn.send("alive");
      await raw.poll();
    },
  })),
  {
    name: "an upgrade that takes too long",
    options: { upgradeTimeout: 20 },
    async run(stage) {
      const { raw, conn } = await rawSession(stage, "polling");
      const ws = await stage.upgrade("ws", { query: `EIO=4&transport=websocket&sid=${raw.sid}` });
      await ws.closed();
      await stage.eventually(() => !conn.upgrading, "the upgrade is given up");
      stage.log("conn", "state", ...describe(conn).slice(0, 6));
      conn.send("alive");
      await raw.poll();
    },
  },
  {
    name: "a WebSocket that closes while it probes",
    async run(stage) {
      const { raw, conn } = await rawSession(stage, "polling");
      const ws = await stage.upgrade("ws", { query: `EIO=4&transport=websocket&sid=${raw.sid}` });
      ws.text("2probe");
      await ws.count(1);
      ws.frame({ opcode: 8 });
      await ws.closed();
      await stage.eventually(() => !conn.upgrading, "the upgrade is given up");
      conn.send("alive");
      await raw.poll();
      const again = await stage.upgrade("again", { query: `EIO=4&transport=websocket&sid=${raw.sid}` });
      again.text("2probe");
      await again.count(1);
    },
  },
  {
    name: "a second upgrade at once, and one after the upgrade",
    async run(stage) {
      const { raw, conn } = await rawSession(stage, "polling");
      watchConn(stage, conn, ["upgrade"]);
      const query = `EIO=4&transport=websocket&sid=${raw.sid}`;
      const first = await stage.upgrade("first", { query });
      first.text("2probe");
      await first.count(1);
      await (await stage.upgrade("second", { query })).closed();
      first.text("5");
      await stage.until("conn", 'upgrade "[');
      await (await stage.upgrade("third", { query })).closed();
      conn.send("alive");
      await first.count(2);
    },
  },
  {
    name: "an upgrade of a session that began with a WebSocket",
    options: { upgradeTimeout: 20 },
    async run(stage) {
      const { raw, conn } = await rawSession(stage, "websocket");
      await (await stage.upgrade("second", { query: `EIO=4&transport=websocket&sid=${raw.sid}` })).closed();
      conn.send("alive");
      await raw.count(2);
    },
  },
  {
    name: "an upgrade with EIO=3 of a session with EIO=4",
    async run(stage) {
      const { raw, conn } = await rawSession(stage, "polling");
      await (await stage.upgrade("ws", { query: `EIO=3&transport=websocket&sid=${raw.sid}` })).closed();
      conn.send("alive");
      await raw.poll();
    },
  },
  {
    name: "a stock client upgrades in the middle of traffic",
    async run(stage) {
      stage.watchSockets();
      const client = stage.client("client", "/", { transports: ["polling", "websocket"] });
      await stage.connected(client);
      const [socket] = stage.io.of("/").sockets.values();
      const upgraded = new Promise((resolve) => socket.conn.once("upgrade", resolve));
      for (let n = 0; n < 50; n++) {
        client.emit("in", n);
        socket.emit("out", n);
        if (n === 25) {
          await upgraded;
        }
      }
      await stage.until("client", "event out 49");
      await stage.until("server", "event in 49");
      stage.log(
        "server",
        "transport",
        socket.conn.transport.name,
        socket.conn.upgraded,
        socket.handshake.query.transport,
      );
    },
  },
  {
    name: "a session that closes while a WebSocket probes",
    async run(stage) {
      const { raw, conn } = await rawSession(stage, "polling");
      watchConn(stage, conn, ["close"]);
      const ws = await stage.upgrade("ws", { query: `EIO=4&transport=websocket&sid=${raw.sid}` });
      ws.text("2probe");
      await ws.count(1);
      await raw.post("1");
      await stage.until("conn", "close");
      await ws.closed();
    },
  },
  {
    name: "a broken frame while a WebSocket probes",
    async run(stage) {
      const { raw, conn } = await rawSession(stage, "polling");
      watchConn(stage, conn, ["close", "error"]);
      const ws = await stage.upgrade("ws", { query: `EIO=4&transport=websocket&sid=${raw.sid}` });
      ws.frame({ opcode: 3 });
      await ws.closed();
      conn.send("alive");
      await raw.poll();
    },
  },
  ...WAYS_IN.flatMap((way) =>
    both(`listeners added by ${way}`, async (stage, transport) => {
      const { client, socket } = await stage.pair("client", "/", { transports: [transport] });
      const { conn } = socket;
      for (const event of EVENTS) {
        conn[way](event, (value) => stage.log(`conn ${event}`, "called", value?.type, value?.length));
      }
      for (const event of ["packet", "drain"]) {
        conn.transport[way](event, (value) => stage.log(`transport ${event}`, "called", value?.type));
      }
      client.on("question", (answer) => answer());
      await socket.emitWithAck("question");
      await socket.emitWithAck("question");
    }),
  ),
  ...WAYS_OUT.flatMap(([name, remove]) =>
    both(`listeners removed by ${name}`, async (stage, transport) => {
      const { client, socket } = await stage.pair("client", "/", { transports: [transport] });
      const { conn } = socket;
      const listener = () => stage.log("conn", "called");
      for (const event of WATCHED) {
        conn.on(event, listener);
        conn.prependOnceListener(event, listener);
      }
      for (const event of ["packet", "drain"]) conn.transport.on(event, listener);
      for (const event of WATCHED) {
        remove(conn, event, listener);
        remove(conn, event, listener);
      }
      for (const event of ["packet", "drain"]) conn.transport.removeListener(event, listener);
      conn.on("drain", () => stage.log("conn", "drain"));
      client.on("question", (answer) => answer());
      await socket.emitWithAck("question");
      await stage.until("conn", "drain");
      stage.log("conn", "left", ...WATCHED.map((event) => conn.listenerCount(event)));
    }),
  ),
  ...both("what the request leads to", async (stage, transport) => {
    const { client, socket } = await stage.pair("client", "/", { transports: [transport] });
    const { conn, request } = socket;
    const { websocket } = request;
    stage.log("request", "websocket", typeof websocket, Object.keys(request).includes("websocket"));
    if (transport === "websocket") {
      stage.log("request", "same", websocket === conn.transport.socket, websocket.readyState);
      stage.log("request", "socket", request.socket.bytesRead > 200, request.socket.pending);
    }
    client.disconnect();
    await stage.eventually(() => request.socket.destroyed, "the end");
    stage.log("request", "later", websocket?.readyState);
    if (transport === "websocket") stage.log("request", "socket", request.socket.pending);
  }),
];
